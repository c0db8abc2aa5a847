//! What providers take, by their documentation, and what they answer.

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use serin_release::notification::{Channel, Target};

use super::Asked;

type Checked = Result<(), String>;

/// Whether the channel's secret is a bearer token.
pub(super) fn is_token(channel: &Channel<()>) -> bool {
    matches!(
        channel,
        Channel::SlackBot { .. }
            | Channel::Grafana { .. }
            | Channel::GitHub { .. }
            | Channel::Webhook { to: Target::Open { token: Some(()), .. }, .. }
    )
}

/// What they answer where all is well.
pub(super) fn answer(asked: &Asked) -> (StatusCode, Value) {
    match asked.path.as_str() {
        "/api/chat.postMessage" | "/api/chat.update" => (StatusCode::OK, json!({"ok": true, "ts": "17.3"})),
        "/repos/example/shop/deployments" => (StatusCode::CREATED, json!({"id": 42})),
        "/v2/enqueue" => (StatusCode::ACCEPTED, json!({"status": "success"})),
        _ => (StatusCode::OK, json!("ok")),
    }
}

/// What is wrong with a request.
pub(super) fn check(channel: &Channel<()>, Asked { path, headers, body }: &Asked) -> Checked {
    let media = headers["content-type"].to_str().unwrap_or_default();
    let wanted = match channel {
        Channel::CloudEvents { .. } => "application/cloudevents+json",
        _ => "application/json",
    };
    ensure(media == wanted, "content-type")?;
    match channel {
        Channel::Slack { .. } => slack(body),
        Channel::SlackBot { .. } => {
            text(body, "channel", 1, 64)?;
            slack(body)
        }
        Channel::Teams { .. } => teams(body),
        Channel::Discord { .. } => discord(body),
        Channel::GoogleChat { .. } => google_chat(body),
        Channel::Webhook { template: Some(_), .. } => {
            text(body, "summary", 1, 200)?;
            ensure(body["failed"].is_u64(), "failed")
        }
        Channel::Webhook { template: None, .. } => {
            serde_json::from_value::<crate::notify::Message>(body.clone())
                .map(drop)
                .map_err(|it| it.to_string())
        }
        Channel::CloudEvents { .. } => cloud_event(body),
        Channel::Alertmanager { .. } => alerts(body),
        Channel::PagerDuty { .. } => pager_duty(body),
        Channel::Grafana { .. } => {
            ensure(body["time"].as_i64().is_some_and(|ms| ms > 1_000_000_000_000), "time in ms")?;
            ensure(texts(&body["tags"]), "tags")?;
            text(body, "text", 1, 10_000)
        }
        Channel::Email { .. } => Err("mail does not go by HTTP".to_owned()),
        Channel::GitHub { .. } => {
            ensure(headers.contains_key("user-agent"), "GitHub asks who it is")?;
            if path.contains("/example/shop/statuses/") {
                one_of(body, "state", &["error", "failure", "pending", "success"])?;
                text(body, "context", 1, 255)?;
            } else if path.ends_with("/statuses") {
                let states = ["error", "failure", "inactive", "in_progress", "queued", "pending", "success"];
                one_of(body, "state", &states)?;
            } else {
                text(body, "ref", 1, 255)?;
                text(body, "environment", 1, 255)?;
                ensure(body["required_contexts"].is_array() && body["auto_merge"].is_boolean(), "types")?;
            }
            text(body, "description", 0, 140)
        }
    }
}

fn ensure(holds: bool, what: &str) -> Checked {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn text(of: &Value, key: &str, least: usize, most: usize) -> Checked {
    let length = of[key].as_str().map(|text| text.chars().count());
    ensure(length.is_some_and(|length| (least..=most).contains(&length)), key)
}

fn one_of(of: &Value, key: &str, words: &[&str]) -> Checked {
    ensure(of[key].as_str().is_some_and(|word| words.contains(&word)), key)
}

fn time(of: &Value, key: &str) -> Result<Timestamp, String> {
    of[key].as_str().and_then(|text| text.parse().ok()).ok_or_else(|| format!("{key} is no time"))
}

fn texts(list: &Value) -> bool {
    list.as_array().is_some_and(|list| list.iter().all(Value::is_string))
}

fn list<'v>(of: &'v Value, key: &str, most: usize) -> Result<&'v Vec<Value>, String> {
    of[key].as_array().filter(|list| list.len() <= most).ok_or_else(|| key.to_owned())
}

/// docs.slack.dev, "Legacy secondary message attachments", `chat.postMessage` and `chat.update`.
fn slack(body: &Value) -> Checked {
    text(body, "text", 1, 40_000)?;
    for attachment in body["attachments"].as_array().into_iter().flatten() {
        let colour = attachment["color"].as_str().unwrap_or_default();
        let is_colour = colour.len() == 7 && colour[1..].bytes().all(|digit| digit.is_ascii_hexdigit());
        ensure(is_colour && colour.starts_with('#'), "color")?;
        text(attachment, "title", 1, 3000)?;
        text(attachment, "fallback", 1, 8000)?;
        ensure(attachment["ts"].is_i64(), "ts")?;
        for field in list(attachment, "fields", 20)? {
            text(field, "title", 1, 200)?;
            text(field, "value", 1, 3000)?;
            ensure(field["short"].is_boolean(), "short")?;
        }
    }
    Ok(())
}

/// adaptivecards.io, schema 1.4; learn.microsoft.com, "Post a workflow when a webhook request is received".
fn teams(body: &Value) -> Checked {
    one_of(body, "type", &["message"])?;
    ensure(body.to_string().len() < 28_000, "28 KB")?;
    for attachment in list(body, "attachments", 1)? {
        one_of(attachment, "contentType", &["application/vnd.microsoft.card.adaptive"])?;
        let card = &attachment["content"];
        one_of(card, "type", &["AdaptiveCard"])?;
        one_of(card, "version", &["1.4"])?;
        for element in list(card, "body", 10)? {
            match element["type"].as_str() {
                Some("RichTextBlock") => {
                    for run in list(element, "inlines", 1)? {
                        one_of(run, "type", &["TextRun"])?;
                        text(run, "text", 1, 3000)?;
                        let colours = ["Attention", "Warning", "Good", "Accent"];
                        ensure(run["color"].is_null() || one_of(run, "color", &colours).is_ok(), "color")?;
                    }
                }
                Some("FactSet") => {
                    for fact in list(element, "facts", 20)? {
                        text(fact, "title", 1, 100)?;
                        text(fact, "value", 1, 1000)?;
                    }
                }
                other => return Err(format!("{other:?}")),
            }
        }
        for action in card["actions"].as_array().into_iter().flatten() {
            one_of(action, "type", &["Action.OpenUrl"])?;
            text(action, "url", 8, 2000)?;
        }
    }
    Ok(())
}

/// discord.com/developers/docs/resources/message, "Embed Limits".
fn discord(body: &Value) -> Checked {
    ensure(texts(&body["allowed_mentions"]["parse"]), "allowed_mentions")?;
    for embed in list(body, "embeds", 10)? {
        text(embed, "title", 1, 256)?;
        text(embed, "description", 1, 4096)?;
        ensure(embed["color"].as_u64().is_some_and(|colour| colour <= 0x00FF_FFFF), "color")?;
        time(embed, "timestamp")?;
        let mut all = 0;
        for field in list(embed, "fields", 25)? {
            text(field, "name", 1, 256)?;
            text(field, "value", 1, 1024)?;
            all += field.to_string().len();
        }
        ensure(all < 6000 - 256 - 2000, "6,000 characters")?;
    }
    Ok(())
}

/// developers.google.com/workspace/chat/api/reference/rest/v1/cards.
fn google_chat(body: &Value) -> Checked {
    text(&body["thread"], "threadKey", 1, 4000)?;
    for card in list(body, "cardsV2", 1)? {
        text(card, "cardId", 1, 200)?;
        text(&card["card"]["header"], "title", 1, 200)?;
        for section in list(&card["card"], "sections", 100)? {
            for widget in list(section, "widgets", 100)? {
                let kinds = widget.as_object().map(|widget| widget.keys().cloned().collect::<Vec<_>>());
                match kinds.unwrap_or_default().as_slice() {
                    [one] if one == "textParagraph" => text(&widget["textParagraph"], "text", 1, 4000)?,
                    [one] if one == "decoratedText" => text(&widget["decoratedText"], "text", 1, 4000)?,
                    [one] if one == "buttonList" => {
                        let button = &widget["buttonList"]["buttons"][0];
                        text(&button["onClick"]["openLink"], "url", 8, 2000)?;
                    }
                    other => return Err(format!("{other:?}")),
                }
            }
        }
    }
    Ok(())
}

/// cloudevents/spec 1.0.2, "Required Attributes" and "Naming Conventions".
fn cloud_event(body: &Value) -> Checked {
    one_of(body, "specversion", &["1.0"])?;
    for key in ["id", "source", "type"] {
        text(body, key, 1, 500)?;
    }
    time(body, "time")?;
    let names = body.as_object().into_iter().flat_map(|body| body.keys());
    let is_name = |name: &String| name.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit());
    ensure(names.into_iter().all(is_name), "names in lower case")?;
    ensure(body["data"].is_object(), "data")
}

/// Alertmanager's `api/v2/openapi.yaml`, `postableAlerts`.
fn alerts(body: &Value) -> Checked {
    let alerts = body.as_array().ok_or("a list")?;
    ensure(alerts.len() == 1, "one alert")?;
    for alert in alerts {
        text(&alert["labels"], "alertname", 1, 100)?;
        for set in ["labels", "annotations"] {
            let set = alert[set].as_object().ok_or("a set of labels")?;
            let is_name = |name: &str| {
                !name.as_bytes()[0].is_ascii_digit()
                    && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            };
            let wrong = set.iter().find(|(name, value)| !value.is_string() || !is_name(name));
            ensure(wrong.is_none(), &format!("{wrong:?}"))?;
        }
        ensure(time(alert, "startsAt")? < time(alert, "endsAt")?, "it lasts")?;
    }
    Ok(())
}

/// developer.pagerduty.com, Events API v2, "PD-CEF".
fn pager_duty(body: &Value) -> Checked {
    text(body, "routing_key", 32, 32)?;
    text(body, "dedup_key", 1, 255)?;
    one_of(body, "event_action", &["trigger", "resolve"])?;
    if body["event_action"] == "resolve" {
        return Ok(());
    }
    let payload = &body["payload"];
    text(payload, "summary", 1, 1024)?;
    text(payload, "source", 1, 255)?;
    one_of(payload, "severity", &["critical", "error", "warning", "info"])?;
    time(payload, "timestamp")?;
    ensure(payload["custom_details"].is_object(), "custom_details")?;
    text(&body["links"][0], "href", 8, 2000)
}
