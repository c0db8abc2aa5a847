/*!
From words to those who are told of a release.
*/
use serin_policy::rule::LABEL;

use super::{few, named, quoted};
use crate::notification::{Channel, JsonTemplate, Mail, Notification, Target};
use crate::problem::{Problem, Problems};
use crate::resource::{self, Address, Email, Endpoint, GitHub, SecretKey, Slack, Webhook};
use crate::rule;

/// Somebody who is told by the agent's own configuration, where the words stand at `path`.
///
/// # Errors
/// With everything that is wrong.
pub fn notification<S>(
    path: &str,
    words: resource::Notification<S>,
) -> Result<Notification<S>, Vec<Problem>> {
    let mut problems = Problems::default();
    match one(path, words, &mut problems) {
        Some(sound) if problems.is_empty() => Ok(sound),
        _ => Err(problems.into_list()),
    }
}

/// Those who are told by a Release.
pub(super) fn check(
    words: &[resource::Notification<SecretKey>],
    problems: &mut Problems,
) -> Vec<Notification> {
    const PATH: &str = "spec.notifications";
    few(PATH, words.len(), rule::MAX_NOTIFICATIONS, problems);
    let mut sound: Vec<Notification> = Vec::new();
    for (i, words) in words.iter().enumerate() {
        if sound.iter().any(|other| other.name == words.name) {
            problems.add(PATH, quoted(Some(&words.name)), rule::OTHER_NOTIFICATION);
        }
        let path = format!("{PATH}[{i}]");
        let Some(found) = one(&path, words.clone(), problems) else { continue };
        if let Some(SecretKey { name, key }) = found.channel.secret() {
            let path = format!("{path}.{}.secretRef", found.channel.field());
            named(&format!("{path}.name"), Some(name.clone()), &rule::OBJECT_NAME, problems);
            named(&format!("{path}.key"), Some(key.clone()), &rule::SECRET_KEY, problems);
        }
        sound.push(found);
    }
    sound
}

fn one<S>(path: &str, words: resource::Notification<S>, problems: &mut Problems) -> Option<Notification<S>> {
    let resource::Notification {
        name,
        severity,
        events,
        slack,
        teams,
        discord,
        google_chat,
        webhook,
        cloud_events,
        alertmanager,
        pager_duty,
        grafana,
        github,
        email,
    } = words;
    let name = named(&format!("{path}.name"), Some(name), &LABEL, problems).unwrap_or_default();
    if let Some(events) = &events {
        if events.is_empty() {
            problems.add(format!("{path}.events"), "[]", rule::EVENT.hint());
        }
        few(&format!("{path}.events"), events.len(), rule::MAX_EVENTS, problems);
        for (i, event) in events.iter().enumerate().filter(|(_, event)| !rule::EVENT.accepts(event)) {
            problems.add(format!("{path}.events[{i}]"), quoted(Some(event)), rule::EVENT.hint());
        }
    }
    let mut given = Vec::new();
    let at = |field: &str| format!("{path}.{field}");
    if let Some(Slack { channel, secret_ref }) = slack {
        given.push(match channel {
            None => Channel::Slack { address: secret_ref },
            Some(channel) => {
                named(&at("slack.channel"), Some(channel.clone()), &rule::SLACK_CHANNEL, problems);
                Channel::SlackBot { channel, token: secret_ref }
            }
        });
    }
    given.extend(teams.map(|Address { secret_ref: address }| Channel::Teams { address }));
    given.extend(discord.map(|Address { secret_ref: address }| Channel::Discord { address }));
    given.extend(google_chat.map(|Address { secret_ref: address }| Channel::GoogleChat { address }));
    if let Some(Webhook { url, secret_ref, template }) = webhook {
        let template = template.and_then(|text| {
            let path = at("webhook.template");
            let text = named(&path, Some(text), &rule::TEMPLATE, problems)?;
            let parsed = JsonTemplate::parse(&text);
            parsed.map_err(|hint| problems.add(path, quoted(Some(&text)), hint)).ok()
        });
        let to = target(&at("webhook"), Endpoint { url, secret_ref }, problems);
        given.extend(to.map(|to| Channel::Webhook { to, template }));
    }
    if let Some(found) = cloud_events {
        given.extend(target(&at("cloudEvents"), found, problems).map(|to| Channel::CloudEvents { to }));
    }
    if let Some(found) = alertmanager {
        given.extend(target(&at("alertmanager"), found, problems).map(|to| Channel::Alertmanager { to }));
    }
    given.extend(pager_duty.map(|Address { secret_ref: key }| Channel::PagerDuty { key }));
    match grafana.map(|found| target(&at("grafana"), found, problems)) {
        None | Some(None) => {}
        Some(Some(Target::Open { url, token: Some(token) })) => given.push(Channel::Grafana { url, token }),
        Some(Some(_)) => problems.add(at("grafana"), "a url or a secretRef alone", rule::GRAFANA),
    }
    if let Some(GitHub { repository, environment, commit_status, secret_ref: token }) = github {
        if !rule::is_repository(&repository) {
            problems.add(at("github.repository"), quoted(Some(&repository)), rule::REPOSITORY);
        }
        given.push(Channel::GitHub { repository, environment, commit_status, token });
    }
    given.extend(email.map(|found| mail(&at("email"), found, problems)));
    if given.len() > 1 || (given.is_empty() && !problems.is_below(path)) {
        problems.add(path, format!("{} channels", given.len()), rule::ONE_CHANNEL);
    }
    Some(Notification { name, severity, events, channel: given.pop()? })
}

fn mail<S>(path: &str, found: Email<S>, problems: &mut Problems) -> Channel<S> {
    let Email { url, from, to, user, secret_ref: password } = found;
    let at = |field: &str| format!("{path}.{field}");
    if !rule::mail::is_mail_server(&url) {
        problems.add(at("url"), quoted(Some(&url)), rule::mail::MAIL_SERVER);
    }
    named(&at("from"), Some(from.clone()), &rule::mail::MAIL_ADDRESS, problems);
    if to.is_empty() {
        problems.add(at("to"), "[]", rule::mail::MAIL_ADDRESS.hint());
    }
    few(&at("to"), to.len(), rule::mail::MAX_RECIPIENTS, problems);
    for (i, to) in to.iter().enumerate() {
        named(&at(&format!("to[{i}]")), Some(to.clone()), &rule::mail::MAIL_ADDRESS, problems);
    }
    if user.is_some() && password.is_none() {
        problems.add(at("user"), "without a password", rule::mail::USER_HAS_PASSWORD);
    }
    Channel::Email { url, mail: Mail { from, to, user }, password }
}

fn target<S>(path: &str, found: Endpoint<S>, problems: &mut Problems) -> Option<Target<S>> {
    let path = format!("{path}.url");
    match (found.url, found.secret_ref) {
        (Some(url), _) if !rule::is_address(&url) => {
            problems.add(path, quoted(Some(&url)), rule::ADDRESS);
            None
        }
        (Some(url), token) => Some(Target::Open { url, token }),
        (None, Some(secret)) => Some(Target::Secret(secret)),
        (None, None) => {
            problems.add(path, "missing", rule::NO_ADDRESS);
            None
        }
    }
}
