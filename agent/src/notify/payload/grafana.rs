/*!
Grafana (`POST /api/annotations`).
*/
use serde_json::{Value, json};

use crate::notify::Message;

/// The annotation, on every dashboard that asks for its tags.
pub(in crate::notify) fn annotation(message: &Message) -> Value {
    let mut tags = vec![
        "serin".to_owned(),
        format!("release:{}", message.release()),
        format!("event:{}", message.event),
    ];
    tags.extend(message.run.iter().map(|run| format!("run:{run}")));
    // Grafana shows the text as HTML.
    let text = format!("{}: {}", message.title(), message.text);
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    json!({"time": message.at.as_millisecond(), "tags": tags, "text": text})
}
