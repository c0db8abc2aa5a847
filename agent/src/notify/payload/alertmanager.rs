/*!
Prometheus' Alertmanager (`POST /api/v2/alerts`, as its `openapi.yaml` has it).
*/
use jiff::SignedDuration;
use serde_json::{Value, json};
use serin_release::resource::Level;

use super::without_nulls;
use crate::notify::Message;

/// An alert lasts so long: nobody says when it is over.
const LASTS: SignedDuration = SignedDuration::from_hours(1);

/// The alert.
pub(in crate::notify) fn alertmanager(message: &Message) -> Value {
    let severity = match message.severity {
        Level::Critical => "critical",
        Level::Warning => "warning",
        Level::Info => "info",
    };
    let labels = json!({
        "alertname": format!("Serin{}", message.event),
        "namespace": message.namespace,
        "release": message.name,
        "service": message.service,
        "run": message.run,
        "severity": severity,
    });
    let mut annotations = json!({"summary": message.title(), "description": message.text});
    for (name, value) in message.facts() {
        annotations[name.to_lowercase().replace([' ', ','], "_").replace("__", "_")] = json!(value);
    }
    let alert = json!({
        "labels": without_nulls(labels),
        "annotations": annotations,
        "startsAt": message.at.to_string(),
        "endsAt": message.at.saturating_add(LASTS).unwrap_or(message.at).to_string(),
        "generatorURL": message.link,
    });
    json!([without_nulls(alert)])
}
