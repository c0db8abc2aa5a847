/*!
What people ask for by annotating a Release: `kubectl annotate release shop serin.dev/command=abort`.
*/
use kube::ResourceExt;
use serde_json::Value;

use serin_release::ReleaseObject;
use serin_rollout::{Command, CommandKind};

/// The annotation with the command. It is taken off when the command is obeyed.
pub(super) const COMMAND: &str = "serin.dev/command";

/// The annotation that says who gives it, for those who give it for others.
pub(super) const BY: &str = "serin.dev/command-by";

/// The command that `object` carries.
///
/// # Errors
/// When it is none; the text says which there are.
pub(super) fn read(object: &ReleaseObject) -> Option<Result<Command, String>> {
    let text = object.annotations().get(COMMAND)?;
    let kind = serde_json::from_value::<CommandKind>(Value::from(text.as_str()));
    Some(match kind {
        Ok(kind) => Ok(Command { kind, by: giver(object) }),
        Err(_) => Err(format!(
            "metadata.annotations[{COMMAND}]: {text:?}: write pause, resume, promote, abort or retry"
        )),
    })
}

/// Who set the annotation: as they say themselves, or else the program that did it. The API server's audit log has
/// their name.
fn giver(object: &ReleaseObject) -> String {
    if let Some(by) = object.annotations().get(BY) {
        return by.clone();
    }
    let has_set = |fields: &Value| {
        fields
            .pointer("/f:metadata/f:annotations")
            .is_some_and(|set| set.get(format!("f:{COMMAND}")).is_some())
    };
    let mut managers = object.managed_fields().iter().rev();
    let setter = managers.find(|entry| entry.fields_v1.as_ref().is_some_and(|fields| has_set(&fields.0)));
    setter.and_then(|entry| entry.manager.clone()).unwrap_or_else(|| "somebody".to_owned())
}
