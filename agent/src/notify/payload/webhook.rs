/*!
A message as JSON, or as a template of people's own makes it.
*/
use serde_json::{Value, json};
use serin_release::notification::JsonTemplate;
use serin_release::status::StepStatus;

use crate::notify::Message;

/// The message as `template` has it, or all of it.
pub(in crate::notify) fn webhook(message: &Message, template: Option<&JsonTemplate>) -> Value {
    // What was taken apart can be put together.
    template.and_then(|template| template.fill_in(|name| value(message, name)).ok()).unwrap_or(json!(message))
}

/// One of the values of [`VALUES`](serin_release::notification::VALUES).
fn value(message: &Message, name: &str) -> Value {
    let Message { canary, stable, users, step, .. } = message;
    match name {
        "all" => json!(message),
        "at" => json!(message.at),
        "canaryImage" => json!(canary.image),
        "canaryRequests" => json!(canary.requests.map(|requests| requests.of)),
        "canaryFailed" => json!(canary.requests.map(|requests| requests.failed)),
        "event" => json!(message.event),
        "evidence" => json!(message.evidence.as_ref().map(|evidence| &evidence.text)),
        "id" => json!(message.id),
        "link" => json!(message.link),
        "name" => json!(message.name),
        "namespace" => json!(message.namespace),
        "phase" => json!(message.phase),
        "run" => json!(message.run),
        "service" => json!(message.service),
        "severity" => json!(message.severity),
        "stableFailed" => json!(stable.requests.map(|requests| requests.failed)),
        "stableImage" => json!(stable.image),
        "stableRequests" => json!(stable.requests.map(|requests| requests.of)),
        "step" => json!(step.map(|StepStatus { index, of }| format!("{index} of {of}"))),
        "text" => json!(message.text),
        "title" => json!(message.title()),
        "users" => json!(users.map(|users| users.seen)),
        "usersFailed" => json!(users.map(|users| users.failed)),
        "weight" => json!(message.weight.to_string()),
        _ => Value::Null,
    }
}
