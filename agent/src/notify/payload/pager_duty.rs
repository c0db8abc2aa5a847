/*!
PagerDuty (Events API v2, `POST /v2/enqueue`).
*/
use serde_json::{Map, Value, json};
use serin_release::resource::Level;

use super::{cut, without_nulls};
use crate::notify::Message;

/// The event: what is grave opens an incident of the Release, and what goes well closes it.
pub(in crate::notify) fn pager_duty(message: &Message, key: &str) -> Value {
    let dedup = format!("serin/{}", message.release());
    if message.severity == Level::Info {
        return json!({"routing_key": key, "event_action": "resolve", "dedup_key": dedup});
    }
    let details: Map<String, Value> =
        message.facts().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let link = message.link.as_ref().map(|link| json!([{"href": link, "text": "The release"}]));
    without_nulls(json!({
        "routing_key": key,
        "event_action": "trigger",
        "dedup_key": dedup,
        "client": "Serin",
        "links": link,
        "payload": {
            "summary": cut(&format!("{}: {}", message.title(), message.text), 1024),
            "source": message.release(),
            "severity": if message.severity == Level::Critical { "critical" } else { "warning" },
            "timestamp": message.at.to_string(),
            "component": message.service,
            "group": message.namespace,
            "class": message.event,
            "custom_details": details,
        },
    }))
}
