/*!
Who is told of releases whatever they say themselves.
*/
use std::path::PathBuf;

use serde::Deserialize;
use serin_release::checked_notification;
use serin_release::notification::Notification;
use serin_release::{Problem, resource};
use serin_rollout::{Event, Hold, Outcome};

use super::ConfigError;
use crate::notify::Key;

/// A file of the agent's own pod that has a secret in it. It is read for each message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretFile {
    /// The file.
    pub file: PathBuf,
}

/// Who is told of releases, and where people read about them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Messages {
    /// The address of a page about a Release.
    page: Option<String>,
    channels: Vec<Channel>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Channel {
    notification: Notification<SecretFile>,
    /// None for all.
    namespaces: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct NotificationsWords {
    page: Option<String>,
    channels: Vec<ChannelWords>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChannelWords {
    channel: resource::Notification<SecretFile>,
    namespaces: Option<Vec<String>>,
}

/// The variables of `page`.
const NAMESPACE: &str = "{{ namespace }}";
const NAME: &str = "{{ name }}";

impl Messages {
    pub(super) fn of(words: NotificationsWords) -> Result<Self, ConfigError> {
        let NotificationsWords { page, channels: words } = words;
        if let Some(page) = page.as_ref().filter(|page| url::Url::parse(page).is_err()) {
            return Err(ConfigError::Wrong(format!(
                "notifications.page: {page:?}: give an address, such as https://serin.example.com/{NAMESPACE}/{NAME}"
            )));
        }
        let mut channels: Vec<Channel> = Vec::new();
        for (i, ChannelWords { channel, namespaces }) in words.into_iter().enumerate() {
            let path = format!("notifications.channels[{i}].channel");
            let wrong = |problem: &Problem| ConfigError::Wrong(problem.to_string());
            let notification = checked_notification(&path, channel)
                .map_err(|problems| problems.first().map_or(ConfigError::Wrong(path.clone()), wrong))?;
            if let Some(problem) = unknown_events(&path, &notification).first() {
                return Err(wrong(problem));
            }
            let name = &notification.name;
            if channels.iter().any(|other| other.notification.name == *name) {
                let hint = "give each channel a name of its own";
                return Err(ConfigError::Wrong(format!("{path}.name: {name:?}: {hint}")));
            }
            channels.push(Channel { notification, namespaces });
        }
        Ok(Self { page, channels })
    }

    /// Those who are told of Releases in `namespace`.
    pub fn channels(&self, namespace: &str) -> impl Iterator<Item = (Key, &Notification<SecretFile>)> {
        let is_for = move |channel: &&Channel| {
            channel.namespaces.as_ref().is_none_or(|those| those.iter().any(|one| one == namespace))
        };
        let keyed = |channel: &Channel| Key::Operator(channel.notification.name.clone());
        self.channels.iter().filter(is_for).map(move |channel| (keyed(channel), &channel.notification))
    }

    /// Where people read about a Release.
    pub fn page_of(&self, namespace: &str, name: &str) -> Option<String> {
        self.page.as_ref().map(|page| page.replace(NAMESPACE, namespace).replace(NAME, name))
    }
}

/// What `notification` names among events, and is none.
pub fn unknown_events<S>(path: &str, notification: &Notification<S>) -> Vec<Problem> {
    let names = || Event::NAMES.iter().chain(Hold::NAMES).chain(Outcome::NAMES).map(|(name, _)| *name);
    let events = notification.events.iter().flatten().enumerate();
    let unknown = events.filter(|(_, event)| !names().any(|name| name == event.as_str()));
    let problem = |(i, event): (usize, &String)| Problem {
        path: format!("{path}.events[{i}]"),
        value: format!("{event:?}"),
        hint: "there is no such event: docs/status.md has their names".to_owned(),
    };
    unknown.map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Operator;

    #[test]
    fn a_channel_is_for_the_namespaces_that_it_names_or_for_all() {
        let file = "
notifications:
  page: https://serin.example.com/{{ namespace }}/{{ name }}
  channels:
  - channel: {name: all, slack: {secretRef: {file: /etc/serin/slack}}}
  - channel: {name: some, teams: {secretRef: {file: /etc/serin/teams}}}
    namespaces: [team-a]
";
        let messages = Operator::from_yaml(file).unwrap().messages;
        let told = |namespace| -> Vec<_> {
            messages.channels(namespace).map(|(_, channel)| channel.name.clone()).collect()
        };
        assert_eq!((told("team-a"), told("team-b")), (vec!["all".into(), "some".into()], vec!["all".into()]));
        let page = messages.page_of("team-a", "shop");
        assert_eq!(page.as_deref(), Some("https://serin.example.com/team-a/shop"));
    }
}
