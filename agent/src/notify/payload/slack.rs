/*!
Slack: an attachment with a colour and fields (docs.slack.dev, "Legacy secondary attachments"), by an incoming webhook or by
`chat.postMessage`.
*/
use serde_json::{Value, json};

use super::{colour, cut, without_nulls};
use crate::notify::Message;

/// The most characters of a text; Slack cuts longer ones itself, in the middle of a word.
const LONGEST: usize = 3000;

/// What a webhook is sent.
pub(in crate::notify) fn message(message: &Message) -> Value {
    let short = |name: &str| name != "Evidence";
    let field = |(name, value): (&str, String)| json!({"title": name, "value": escaped(&value), "short": short(name)});
    let attachment = json!({
        "color": format!("#{:06x}", colour(message)),
        "fallback": escaped(&format!("{}: {}", message.title(), message.text)),
        "title": escaped(&message.title()),
        "title_link": message.link,
        "text": escaped(&message.text),
        "fields": message.facts().into_iter().map(field).collect::<Vec<_>>(),
        "ts": message.at.as_second(),
        "mrkdwn_in": [],
    });
    json!({"text": escaped(&message.title()), "attachments": [without_nulls(attachment)]})
}

/// The same in `channel`, for `chat.postMessage` and, where `ts` says which one, `chat.update`.
pub(in crate::notify) fn in_channel(message: &Message, channel: &str, ts: Option<&str>) -> Value {
    let mut body = self::message(message);
    body["channel"] = json!(channel);
    if let Some(ts) = ts {
        body["ts"] = json!(ts);
    }
    body
}

/// An event in the thread of a run's message.
pub(in crate::notify) fn in_thread(message: &Message, channel: &str, ts: &str) -> Value {
    json!({"channel": channel, "thread_ts": ts, "text": escaped(&message.text), "mrkdwn": false, "unfurl_links": false})
}

/// Slack takes three characters for its own.
fn escaped(text: &str) -> String {
    cut(text, LONGEST).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
