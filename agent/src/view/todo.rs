/*!
What people can do about a Release as it is.
*/
use serde::{Deserialize, Serialize};

use super::{WaitView, WaitsOn};
use serin_release::status::{ReleasePhase, ReleaseStatus, Role};
use serin_rollout::CommandKind;

/// What people can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Todo {
    /// What, in a sentence.
    pub text: String,
    /// The commands that it takes.
    pub commands: Vec<CommandKind>,
}

/// What people can do, if there is anything.
pub(super) fn todo(status: &ReleaseStatus, waits: Option<&WaitView>) -> Option<Todo> {
    use CommandKind::{Abort, Promote, Resume, Retry};
    let todo = |text: &str, commands: &[CommandKind]| {
        Some(Todo { text: text.to_owned(), commands: commands.to_vec() })
    };
    if status.conditions.iter().any(|found| found.type_ == "Stalled" && found.reason == "StableReplaced") {
        return todo(
            "release this version again, or give the canary's Deployment stable's template",
            &[Retry],
        );
    }
    let Some(waits) = waits else {
        return match status.phase {
            ReleasePhase::RolledBack | ReleasePhase::Aborted => {
                todo("give the canary's Deployment another version, or release this one again", &[Retry])
            }
            ReleasePhase::Idle | ReleasePhase::Promoted => next_run(status),
            _ => None,
        };
    };
    match (waits.reason.as_str(), waits.on) {
        ("AwaitsApproval", _) => todo("approve the step, or take the release back", &[Resume, Abort]),
        ("AwaitsCutover", _) => todo("begin the cutover, or take the release back", &[Resume, Abort]),
        ("AwaitsCleanup", _) => todo("let the old version go, or go back to it", &[Resume, Abort]),
        ("Keeping", _) => todo("abort goes back to the old version at once, while it is kept", &[Abort]),
        ("Paused", _) => todo("go on, or take the release back", &[Resume, Abort]),
        ("Suspended", _) => todo("set spec.suspend to false", &[]),
        ("StableChanged", _) => todo("release over what stable was given, or take it back", &[Resume, Abort]),
        ("StablePutBack", _) => todo("give stable the version once more, or take it back", &[Resume, Abort]),
        ("OffPlan", _) => todo("go on from here, or take the release back", &[Resume, Promote, Abort]),
        ("InvalidSpec", _) => todo("mend the spec, as the message says", &[]),
        (_, WaitsOn::Mending | WaitsOn::Person) => todo("mend what the message says", &[]),
        (_, WaitsOn::Course | WaitsOn::Others) => None,
    }
}

/// How the next run begins.
fn next_run(status: &ReleaseStatus) -> Option<Todo> {
    let canary = status.versions.iter().find(|version| version.role == Role::Canary)?;
    let deployment = canary.deployment.as_ref()?;
    let text = format!("a new pod template on deployment/{deployment} starts the next run");
    Some(Todo { text, commands: Vec::new() })
}
