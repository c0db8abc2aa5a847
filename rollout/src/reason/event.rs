/*!
The reasons there are for what happens, once.
*/
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serin_policy::Weight;

use super::NotNow;
use crate::analysis::Failure;
use crate::cause::Cause;
use crate::commands::CommandKind;
use crate::status::Actor;

/// Something that happened, once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Event {
    /// The first run this planner sees begins.
    Started {
        /// The run.
        run: String,
    },
    /// A new run takes the place of another.
    NewRun {
        /// The run that ends.
        previous: String,
        /// The run that begins.
        run: String,
    },
    /// No status of this run was kept, but the file has it: the run goes on from there.
    TakenUp {
        /// The run.
        run: String,
        /// The weight found.
        weight: Weight,
        /// Whether the canary was found taking no traffic.
        closed: bool,
    },
    /// A step begins.
    StepBegun {
        /// The step, from 1.
        step: usize,
        /// How many there are.
        of: usize,
        /// Its weight.
        weight: Weight,
        /// Who decided it.
        by: Actor,
    },
    /// Some of its users are taken off the canary: what is wrong with it is not grave.
    StepBack {
        /// The share it has now.
        weight: Weight,
        /// What is wrong with it.
        cause: Cause,
    },
    /// The promotion begins.
    Promoting {
        /// Who decided it.
        by: Actor,
    },
    /// The canary has the pods for its first step.
    Prepared {
        /// The run.
        run: String,
    },
    /// A person starts the run over.
    Retried {
        /// Who.
        by: String,
    },
    /// A person ended the pause.
    Resumed {
        /// Who.
        by: String,
    },
    /// A person approved the step.
    Approved {
        /// The step, from 1.
        step: usize,
        /// Who.
        by: String,
    },
    /// A person approved, of several who have to.
    ApprovalGiven {
        /// Who.
        by: String,
        /// How many have.
        given: u32,
        /// How many have to.
        required: u32,
    },
    /// Nobody, or not everybody who has to, has approved in time: the run waits on, for all of them.
    ApprovalLapsed {
        /// How long they had.
        after: Duration,
        /// How many have approved.
        given: u32,
        /// How many have to.
        required: u32,
    },
    /// A person approved of the cutover of a blue-green release.
    CutoverApproved {
        /// Who.
        by: String,
    },
    /// A person approved of the old version's end.
    CleanupApproved {
        /// Who.
        by: String,
    },
    /// The old version of a blue-green release has had its time: nobody goes back to it any more.
    KeepEnded {
        /// Who decided it.
        by: Actor,
        /// The run that its Deployment has instead, if somebody has given it another.
        by_run: Option<String>,
    },
    /// A hook has said yes, and more than that.
    HookPassed {
        /// Which.
        hook: String,
        /// What.
        told: String,
    },
    /// A person has the run go on although a window freezes it.
    FreezeOverridden {
        /// Who, and why.
        by: String,
    },
    /// A person's command makes no sense now and changed nothing.
    CommandRefused {
        /// The command.
        command: CommandKind,
        /// Who gave it.
        by: String,
        /// Why it makes no sense.
        why: NotNow,
    },
    /// A person does not wait for the end of the bake.
    BakeEnded {
        /// Who.
        by: String,
    },
    /// Stable has the new version and does not serve the few: they are taken back to the canary.
    #[serde(alias = "few-not-served")]
    ProbeFailed {
        /// Their requests.
        requests: u64,
        /// Those that failed.
        errors: u64,
        /// How many were to be expected.
        expected: u64,
        /// How long until it is tried again.
        again_after: Duration,
    },
    /// Stable has the new version: everybody goes to it.
    HandedOver,
    /// The file has an earlier revision than was decided: it is written again.
    #[serde(alias = "file-behind")]
    PolicyBehind {
        /// The revision found.
        found: u64,
        /// The revision that was decided.
        wanted: u64,
    },
    /// The file was changed by someone else: it is written again.
    #[serde(alias = "file-edited")]
    PolicyEdited {
        /// The run found.
        run: String,
        /// The weight found.
        weight: Weight,
        /// Whether the canary was found taking no traffic.
        closed: bool,
    },
    /// The file makes no sense: it is written again.
    #[serde(alias = "file-unreadable")]
    PolicyUnreadable {
        /// What is wrong with it.
        why: String,
    },
    /// The file is gone: it is written again.
    #[serde(alias = "file-gone")]
    PolicyGone,
    /// The agent has not renewed the policy's lease in time, and proxies have sent everybody to stable: it is written again.
    LeaseLapsed,
    /// The Release was edited without starting a new run: the policy is written again.
    ReleaseEdited,
    /// A version beside stable and canary gets its share.
    VersionOpened {
        /// Which.
        version: String,
        /// The share.
        share: Weight,
    },
    /// A version beside stable and canary is bad: its callers go to stable, and nobody else is moved.
    VersionTakenBack {
        /// Which.
        version: String,
        /// The share that it had.
        share: Weight,
        /// What is bad.
        failure: Box<Failure>,
    },
}
