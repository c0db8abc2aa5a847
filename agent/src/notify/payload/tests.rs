use super::*;
use crate::notify::tests::{rollback, step};

/// A payload as a file of its own.
#[track_caller]
fn golden(name: &str, payload: &Value) {
    insta::assert_snapshot!(name, serde_json::to_string_pretty(payload).unwrap());
}

/// The same of one that is no JSON.
#[track_caller]
fn golden_text(name: &str, text: &str) {
    insta::assert_snapshot!(name, text);
}

#[test]
fn each_provider_is_told_of_a_rollback_in_its_own_words() {
    let message = rollback();
    golden("slack", &slack::message(&message));
    golden("slack_step", &slack::message(&step()));
    golden("slack_thread", &slack::in_thread(&message, "C024BE91L", "17.3"));
    golden("teams", &teams(&message));
    golden("discord", &discord(&message));
    golden("google_chat", &google_chat(&message));
    golden("webhook", &webhook(&message, None));
    golden("cloud_event", &cloud_event(&message));
    golden("alertmanager", &alertmanager(&message));
    golden("pager_duty", &pager_duty(&message, "the-key"));
    golden("grafana", &annotation(&message));
    golden("github_status", &github::status(&message));
    golden("github_commit_status", &github::commit_status(&message));
    golden_text("email", &crate::notify::email::text(&message));
}

#[test]
fn what_has_gone_well_closes_an_incident_and_has_other_colours() {
    let message = step();
    assert_eq!(pager_duty(&message, "the-key")["event_action"], "resolve");
    assert_eq!(slack::message(&message)["attachments"][0]["color"], "#3681c9");
    golden("github_deployment", &github::deployment(&message, "v2.0.1", "production"));
}

#[test]
fn what_somebody_has_written_stays_text() {
    let text = "<!channel> <https://evil.example|here> **@everyone** [here](https://evil.example)";
    let message = Message { text: text.to_owned(), ..rollback() };
    let slack = slack::message(&message).to_string();
    assert!(!slack.contains("<!channel>") && slack.contains("&lt;!channel&gt;"), "{slack}");
    let discord = discord(&message);
    assert_eq!(discord["allowed_mentions"], serde_json::json!({"parse": []}));
    let shown = discord["embeds"][0]["description"].as_str().unwrap();
    assert!(shown.contains(r"\*\*@everyone\*\* \[here\]\("), "{shown}");
    assert!(!google_chat(&message).to_string().contains("<https"));
    assert!(!annotation(&message).to_string().contains("<https"));
    // In a text run of Teams there is no Markdown.
    assert_eq!(teams(&message)["attachments"][0]["content"]["body"][1]["type"], "RichTextBlock");
}

#[test]
fn a_tag_is_what_github_knows_the_version_by() {
    for (image, expected) in [
        ("shop:v2", Some("v2")),
        ("registry.example.com:5000/team/shop:v2.0.1", Some("v2.0.1")),
        ("registry.example.com:5000/team/shop", None),
        ("shop:v2@sha256:00", Some("v2")),
        ("shop@sha256:00", None),
    ] {
        let mut message = rollback();
        message.canary.image = Some(image.to_owned());
        assert_eq!(github::reference(&message), expected, "{image}");
    }
}

#[test]
fn every_value_of_a_template_is_known() {
    for name in serin_release::notification::VALUES {
        let template = format!("[{{{{ {name} }}}}]");
        let template = serin_release::notification::JsonTemplate::parse(&template).unwrap();
        let is_known = |message: Message| !webhook(&message, Some(&template))[0].is_null();
        assert!(is_known(rollback()) || is_known(step()), "{name}");
    }
}
