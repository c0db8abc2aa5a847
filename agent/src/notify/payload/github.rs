/*!
GitHub's deployments (REST API of 2022-11-28: `POST /repos/{owner}/{repo}/deployments`, and `…/deployments/{id}/statuses`), and
its commit statuses (`POST /repos/{owner}/{repo}/statuses/{sha}`).
*/
use serde_json::{Value, json};

use super::{cut, without_nulls};
use crate::notify::Message;

/// What is deployed: the tag of the canary's image.
pub(in crate::notify) fn reference(message: &Message) -> Option<&str> {
    let image = message.canary.image.as_deref()?;
    let (_, name) = image.rsplit_once('/').unwrap_or(("", image));
    let (name, _) = name.split_once('@').unwrap_or((name, ""));
    name.split_once(':').map(|(_, tag)| tag)
}

/// A deployment of `reference`.
pub(in crate::notify) fn deployment(message: &Message, reference: &str, environment: &str) -> Value {
    json!({
        "ref": reference,
        "environment": environment,
        "description": cut(&format!("{} by Serin", message.release()), 140),
        "auto_merge": false,
        "required_contexts": [],
        "payload": {"run": message.run, "release": message.release()},
    })
}

/// How a deployment stands.
pub(in crate::notify) fn status(message: &Message) -> Value {
    let state = match message.event.as_str() {
        "Promoted" | "Settled" => "success",
        "RolledBack" => "failure",
        "Aborted" => "inactive",
        _ => "in_progress",
    };
    without_nulls(json!({
        "state": state,
        "description": cut(&message.text, 140),
        "log_url": message.link,
        "auto_inactive": state == "success",
    }))
}

/// How a commit stands. A later status of the same context takes the place of the one before.
pub(in crate::notify) fn commit_status(message: &Message) -> Value {
    let state = match message.event.as_str() {
        "Promoted" | "Settled" => "success",
        "RolledBack" => "failure",
        "Aborted" => "error",
        _ => "pending",
    };
    without_nulls(json!({
        "state": state,
        "description": cut(&message.text, 140),
        "target_url": message.link,
        "context": format!("serin/{}", message.release()),
    }))
}
