/*!
A CloudEvent (specification 1.0.2), in the structured mode.
*/
use serde_json::{Value, json};

use crate::notify::Message;

/// The event, with the whole message as its data.
pub(in crate::notify) fn cloud_event(message: &Message) -> Value {
    let mut kind = String::from("dev.serin.release");
    for letter in message.event.chars() {
        if letter.is_uppercase() {
            kind.push(if kind.ends_with("release") { '.' } else { '-' });
        }
        kind.extend(letter.to_lowercase());
    }
    json!({
        "specversion": "1.0",
        "id": message.id,
        "source": format!("/namespaces/{}/releases/{}", message.namespace, message.name),
        "type": kind,
        "subject": message.run.as_deref().unwrap_or(&message.name),
        "time": message.at.to_string(),
        "datacontenttype": "application/json",
        "data": message,
    })
}
