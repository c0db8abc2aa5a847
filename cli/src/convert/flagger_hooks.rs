/*!
The webhooks of a Canary: the same words mean the same in Serin. What differs is where they stand in a run, and how failures
are counted.
*/
use serde_json::{Value, json};
use serin_release::resource::When;
use serin_release::{duration, rule};

use super::source::Source;
use super::{label, tell_of_reach};
use crate::draft::{Draft, Fields};

/// What the rest of a Canary says of its webhooks.
pub(super) struct Course {
    /// Each is asked once in such a time.
    pub(super) interval: String,
    /// Whether everybody gets the new version at once.
    pub(super) is_blue_green: bool,
    /// The failed check with which Flagger goes back.
    pub(super) threshold: u64,
}

/// Takes the webhooks of a Canary in `namespace`.
pub(super) fn hooks(
    source: &mut Source,
    namespace: Option<&str>,
    course: &Course,
    draft: &mut Draft,
) -> Vec<Fields> {
    let mut hooks = Vec::new();
    for (i, mut webhook) in source.take_list("spec.analysis.webhooks").into_iter().enumerate() {
        let place = format!("spec.analysis.webhooks[{i}]");
        let name = webhook.take_text("name").unwrap_or_default();
        let url = webhook.take_text("url").unwrap_or_default();
        match when(&mut webhook, &url, course, draft) {
            Ok(when) => {
                let mut fields = Fields::default().with("name", label(&name, &hooks));
                fields.put("when", when.as_str());
                fields.put("url", url.as_str());
                fields.extend(answers(&mut webhook, when, &place, course, draft));
                tell_of_reach(&url, namespace, draft);
                hooks.push(fields);
                webhook.tell_rest("spec.analysis.webhooks[]", &place, super::flagger_fields::FIELDS, draft);
            }
            Err(why) => draft.leave_out(format!("{place} ({name})"), &why),
        }
    }
    hooks
}

/// When it is asked, if it can be.
fn when(webhook: &mut Source, url: &str, course: &Course, draft: &mut Draft) -> Result<When, String> {
    // Flagger takes one that does not say for load.
    let kind = webhook.take_text("type").filter(|kind| !kind.is_empty());
    let kind = kind.unwrap_or_else(|| When::Rollout.as_str().to_owned());
    if kind == "event" {
        return Err(format!(
            "it is told of events: notifications has webhook and cloudEvents for that, as in [{{name: events, webhook: {{url: \
             \"{url}\"}}}}]. Their JSON is Serin's own (docs/notifications.md)"
        ));
    }
    if !rule::is_address(url) {
        return Err(format!("url: {url}: {}", rule::ADDRESS));
    }
    let when =
        serde_json::from_value(json!(kind)).map_err(|_| format!("type: {kind}: Serin has none such"))?;
    if when == When::Rollout {
        draft.note(
            "Load that a hook sends to the canary's own Service comes past the filter (docs/adoption.md), and is not judged: \
             users are.",
        );
    }
    match when {
        When::ConfirmTrafficIncrease if course.is_blue_green => {
            return Err("a blue-green release has no shares: confirm-promotion comes before everybody".to_owned());
        }
        When::Rollout if course.is_blue_green => {
            draft.note(
                "A blue-green release has no steps at which a rollout hook could be asked: it is pre-rollout, until its first \
                 yes, before anybody gets the new version.",
            );
            return Ok(When::PreRollout);
        }
        When::ConfirmRollout | When::ConfirmTrafficIncrease | When::ConfirmPromotion => draft.note(
            "A gate (confirm-…) is asked until it says yes. That it waits is told to those alone whose notifications[].events \
             has AwaitsHook. To wait for a person, a step with pause: {} takes no gate.",
        ),
        _ => {}
    }
    Ok(when)
}

/// How it is asked, and what its answers do.
fn answers(webhook: &mut Source, when: When, place: &str, course: &Course, draft: &mut Draft) -> Fields {
    let mut fields = Fields::default();
    if let Some(text) = webhook.take_text("timeout") {
        match duration::parse(&text)
            .and_then(|time| rule::hook::HOOK_TIMEOUT.check(time).map(|_| text.clone()))
        {
            Ok(text) => fields.put("timeout", text),
            Err(hint) => {
                draft.leave_out(
                    format!("{place}.timeout"),
                    &format!("{text}: {hint}. It is the longest here"),
                );
                fields.put("timeout", "10m");
            }
        }
    }
    let is_interval =
        |text: &&String| duration::parse(text).and_then(|time| rule::READING.check(time)).is_ok();
    fields.put_some("interval", Some(&course.interval).filter(is_interval).map(String::as_str));
    let retries = webhook.take("retries").as_ref().and_then(Value::as_u64).unwrap_or_default();
    // With the threshold's failure Flagger goes back; all before are forgiven.
    let forgiven = if when.is_test() { course.threshold - 1 } else { 0 };
    if when.is_test() || when == When::PostRollout {
        fields.put("retries", (forgiven + retries).min(rule::hook::MAX_RETRIES.into()));
    }
    if when.is_test() {
        fields.put("failure", "Rollback");
        draft.note(
            "Flagger adds up all failed checks of a run, up to analysis.threshold. Serin goes back when one hook fails more than \
             hooks[].retries times in a row.",
        );
    }
    fields.put_some("metadata", webhook.take("metadata"));
    fields
}

#[cfg(test)]
mod tests {
    use super::super::tests::Read;
    use super::*;

    const TESTER: &str = "http://flagger-loadtester.test/";

    #[test]
    fn webhooks_are_hooks_with_the_patience_of_the_threshold() {
        let metadata =
            json!({"type": "bash", "cmd": "curl -sf http://podinfo-canary.test/", "logCmdOutput": "true"});
        let read = Read::canary(
            &json!({"interval": "30s", "threshold": 5, "stepWeight": 10, "webhooks": [
                {"name": "Load test", "url": TESTER, "timeout": "20m", "metadata": metadata},
                {"name": "load-test", "type": "pre-rollout", "url": TESTER, "timeout": "5s", "retries": 2},
                {"name": "gate", "type": "confirm-promotion", "url": TESTER, "retries": 2, "muteAlert": true},
                {"name": "back", "type": "rollback", "url": "https://gates.example.com/x", "disableTLS": true},
                {"name": "end", "type": "post-rollout", "url": "http://bot.chat:8080/", "retries": 1},
                {"name": "short", "type": "rollback", "url": "http://tester:8080/"},
            ]}),
            &[],
        );
        read.check(
            "hooks",
            &json!([
                {"name": "load-test", "when": "rollout", "url": TESTER, "timeout": "10m", "interval": "30s", "retries": 4,
                 "failure": "Rollback", "metadata": metadata},
                {"name": "load-test-2", "when": "pre-rollout", "url": TESTER, "timeout": "5s", "interval": "30s", "retries": 6,
                 "failure": "Rollback"},
                {"name": "gate", "when": "confirm-promotion", "url": TESTER, "interval": "30s"},
                {"name": "back", "when": "rollback", "url": "https://gates.example.com/x", "interval": "30s"},
                {"name": "end", "when": "post-rollout", "url": "http://bot.chat:8080/", "interval": "30s", "retries": 1},
                {"name": "short", "when": "rollback", "url": "http://tester:8080/", "interval": "30s"},
            ]),
        );
        assert_eq!(read.left_out, "spec.analysis.webhooks[0].timeout; spec.analysis.webhooks[3].disableTLS");
        for origin in ["https://gates.example.com", "http://bot.chat:8080"] {
            read.says(&format!("have the agent's operator add {origin} to allowedAddresses"));
        }
        assert!(!read.text.contains("add http://flagger-loadtester.test"), "{}", read.text);
        read.says("write the namespace into http://tester:8080, as http://NAME.NAMESPACE");
        read.says("A gate (confirm-…) is asked until it says yes.");
        read.says("not needed: spec.analysis.webhooks[2].muteAlert: that a gate waits");
    }

    #[test]
    fn what_has_no_place_in_a_run_is_left_out_with_what_to_do() {
        let webhooks = json!([
            {"name": "events", "type": "event", "url": "http://events.test/"},
            {"name": "load", "type": "rollout", "url": TESTER},
            {"name": "rise", "type": "confirm-traffic-increase", "url": TESTER},
            {"name": "odd", "type": "pre-rollout", "url": "flagger-loadtester"},
        ]);
        let read = Read::canary(&json!({"interval": "1m", "iterations": 5, "webhooks": webhooks}), &[]);
        let tester = json!({"name": "load", "when": "pre-rollout", "url": TESTER, "interval": "1m", "retries": 0,
                            "failure": "Rollback"});
        read.check("hooks", &json!([tester]));
        assert_eq!(
            read.left_out,
            "spec.analysis.webhooks[0] (events); spec.analysis.webhooks[2] (rise); spec.analysis.webhooks[3] (odd)"
        );
        read.says(r#"[{name: events, webhook: {url: "http://events.test/"}}]"#);
        read.says("A blue-green release has no steps at which a rollout hook could be asked");
        read.says("and is not judged: users are.");
    }
}
