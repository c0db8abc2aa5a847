/*!
Why the planner did what it did, or what it waits for: one typed reason for each, with a plain sentence.

A reason that merely goes on is given again at every tick and is equal to the one before, so that whoever shows
reasons can leave repetitions out. Numbers that change by the tick therefore have no place here but in
[`Progress`](super::Progress).
*/
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serin_policy::Weight;

use super::analysis::Judged;
use super::lagging::{self, Lagging};
use super::observation::CommandKind;
use super::status::{Actor, Cause};
use super::workloads::Lack;
use crate::release::delivery::PromotionMode;

/// Why something was done or is waited for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Reason {
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
    /// Stable and canary have one version.
    NothingToRelease,
    /// Everybody is on the canary.
    Promoted {
        /// The run.
        run: String,
    },
    /// The canary is off the air.
    RolledBack {
        /// Why.
        cause: Cause,
    },
    /// A person took the canary off the air.
    Aborted {
        /// Who.
        by: String,
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
    /// A person's command makes no sense now and changed nothing.
    CommandRefused {
        /// The command.
        command: CommandKind,
        /// Who gave it.
        by: String,
        /// Why it makes no sense.
        why: NotNow,
    },
    /// A person holds the run.
    Paused {
        /// Who.
        by: String,
    },
    /// Proxies do not report what is wanted; until they do, nobody else is moved.
    AwaitsProxies {
        /// The revision they are to report.
        revision: u64,
        /// The proxies that do not; empty when there is no proxy at all.
        proxies: Vec<Lagging>,
    },
    /// A proxy refuses what is in front of it and goes on with what it has.
    ProxyRefuses {
        /// Its name.
        name: String,
        /// Why it does.
        why: String,
    },
    /// Everybody is on stable for a time, so that those whom the steps will move can be compared with the rest.
    Baseline {
        /// For how long.
        duration: Duration,
    },
    /// The step lasts at least for a time.
    Observing {
        /// The step, from 1.
        step: usize,
        /// How many there are.
        of: usize,
        /// Its weight.
        weight: Weight,
        /// How long it lasts at least.
        duration: Duration,
    },
    /// Too few requests to the canary for a verdict.
    AwaitsRequests {
        /// How many it takes.
        need: u64,
    },
    /// The canary lacks the pods for the share it is to get next.
    AwaitsCapacity {
        /// That share.
        weight: Weight,
        /// What it lacks.
        lack: Lack,
    },
    /// No pod of stable is ready: there is nobody to go back to.
    StableDown,
    /// The Release says that nothing is to move.
    Suspended,
    /// Something stands in the way.
    Blocked {
        /// What.
        why: String,
    },
    /// The canary's version becomes stable.
    HandingOver {
        /// How.
        mode: PromotionMode,
        /// What stable's pods complain of.
        trouble: Option<String>,
    },
    /// Stable has the new version: everybody goes to it.
    HandedOver,
    /// Requests may still be under way on the canary.
    Draining {
        /// How long they are given.
        delay: Duration,
    },
    /// The release is over, and everybody is on stable, which has the new version.
    Settled,
    /// Nothing can be counted: nobody else is moved until it can.
    AwaitsData {
        /// What was asked, and what came back.
        why: String,
    },
    /// One of people's own metrics says nothing.
    AwaitsReading {
        /// Which.
        metric: String,
        /// What came back.
        why: String,
    },
    /// The evidence leans against the canary without being conclusive.
    Doubtful {
        /// What it leans by.
        metric: Judged,
    },
    /// New callers do not get the canary in the share that was asked for.
    SampleRatio {
        /// That share.
        weight: Weight,
    },
    /// A person must approve the step.
    AwaitsApproval {
        /// The step, from 1.
        step: usize,
        /// How many there are.
        of: usize,
        /// Its weight.
        weight: Weight,
    },
    /// The weight is no step's: a person must say how to go on.
    Stranded {
        /// The weight.
        weight: Weight,
        /// The weight of the first step above it; none when the promotion is next.
        next: Option<Weight>,
    },
    /// The file has an earlier revision than was decided: it is written again.
    FileBehind {
        /// The revision found.
        found: u64,
        /// The revision that was decided.
        wanted: u64,
    },
    /// The file was changed by someone else: it is written again.
    FileEdited {
        /// The run found.
        run: String,
        /// The weight found.
        weight: Weight,
        /// Whether the canary was found taking no traffic.
        closed: bool,
    },
    /// The file makes no sense: it is written again.
    FileUnreadable {
        /// What is wrong with it.
        why: String,
    },
    /// The file is gone: it is written again.
    FileGone,
    /// The Release was edited without starting a new run: the policy is written again.
    ReleaseEdited,
}

/// Why a command makes no sense now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotNow {
    /// The run is over.
    NothingInProgress,
    /// The run is held already.
    HeldAlready,
    /// The run is not held, nor does it wait for an approval.
    NothingToResume,
    /// Some proxy does not report the present weight, and no weight is raised before all do.
    ProxiesLag,
    /// The run is being promoted, or was.
    PromotedAlready,
    /// The run was neither rolled back nor aborted.
    NotTakenBack,
    /// The canary broke a limit at this very moment.
    JustFailed,
    /// The canary lacks the pods for everybody. They are being added.
    LacksCapacity,
    /// No pod of stable is ready: there is nobody to go back to.
    StableDown,
    /// The Release says that nothing is to move.
    Suspended,
    /// Something stands in the way.
    Blocked,
    /// Nobody is moved anyway: the canary is being given its pods.
    Preparing,
    /// Stable and canary have one version.
    NothingToRelease,
}

impl Reason {
    /// A word for it, in kebab-case, for labels and logs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::NewRun { .. } => "new-run",
            Self::TakenUp { .. } => "taken-up",
            Self::StepBegun { .. } => "step-begun",
            Self::Promoting { .. } => "promoting",
            Self::Prepared { .. } => "prepared",
            Self::NothingToRelease => "nothing-to-release",
            Self::Promoted { .. } => "promoted",
            Self::RolledBack { .. } => "rolled-back",
            Self::Aborted { .. } => "aborted",
            Self::Retried { .. } => "retried",
            Self::Resumed { .. } => "resumed",
            Self::Approved { .. } => "approved",
            Self::CommandRefused { .. } => "command-refused",
            Self::Paused { .. } => "paused",
            Self::AwaitsProxies { .. } => "awaits-proxies",
            Self::ProxyRefuses { .. } => "proxy-refuses",
            Self::Baseline { .. } => "baseline",
            Self::Observing { .. } => "observing",
            Self::AwaitsRequests { .. } => "awaits-requests",
            Self::AwaitsCapacity { .. } => "awaits-capacity",
            Self::StableDown => "stable-down",
            Self::Suspended => "suspended",
            Self::Blocked { .. } => "blocked",
            Self::HandingOver { .. } => "handing-over",
            Self::HandedOver => "handed-over",
            Self::Draining { .. } => "draining",
            Self::Settled => "settled",
            Self::AwaitsData { .. } => "awaits-data",
            Self::AwaitsReading { .. } => "awaits-reading",
            Self::Doubtful { .. } => "doubtful",
            Self::SampleRatio { .. } => "sample-ratio",
            Self::AwaitsApproval { .. } => "awaits-approval",
            Self::Stranded { .. } => "stranded",
            Self::FileBehind { .. } => "file-behind",
            Self::FileEdited { .. } => "file-edited",
            Self::FileUnreadable { .. } => "file-unreadable",
            Self::FileGone => "file-gone",
            Self::ReleaseEdited => "release-edited",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { run } => write!(f, "run {run} begins: proxies are told of it, at 0%"),
            Self::NewRun { previous, run } => {
                write!(
                    f,
                    "run {run} takes the place of {previous}: everybody is on stable until proxies know it"
                )
            }
            Self::TakenUp { run, weight, closed } => {
                let closed = if *closed { ", closed" } else { "" };
                write!(f, "run {run} is taken up as found in front of the proxies: {weight}{closed}")
            }
            Self::StepBegun { step, of, weight, by } => {
                write!(f, "step {step} of {of}: {weight} to the canary, by {by}")
            }
            Self::Promoting { by } => write!(f, "promotion: everybody to the canary, by {by}"),
            Self::Prepared { run } => {
                write!(f, "run {run} has the pods for its first step: testers may try it")
            }
            Self::NothingToRelease => {
                f.write_str("stable and canary have one version: there is nothing to release")
            }
            Self::Promoted { run } => write!(f, "run {run} is promoted: everybody is on it"),
            Self::RolledBack { cause: Cause::Failed { weight, failure } } => {
                write!(f, "rolled back at {weight}: {failure}")
            }
            Self::RolledBack { cause: Cause::NoData { weight, after, why } } => {
                let after = friendly(after);
                write!(f, "rolled back at {weight}: nothing to judge by after {after}: {why}")
            }
            Self::RolledBack { cause: Cause::Down { weight, why } } => {
                write!(f, "rolled back at {weight}: the canary cannot serve: {why}")
            }
            Self::RolledBack { cause: Cause::FoundClosed } => f.write_str(
                "the canary was found closed in front of the proxies and stays so: retry to start over",
            ),
            Self::Aborted { by } => write!(f, "aborted by {by}: everybody is on stable"),
            Self::Retried { by } => write!(f, "started over by {by}"),
            Self::Resumed { by } => write!(f, "resumed by {by}"),
            Self::Approved { step, by } => write!(f, "step {step} approved by {by}"),
            Self::CommandRefused { command, by, why } => {
                write!(f, "{command} by {by} changes nothing: {why}")
            }
            Self::Paused { by } => write!(f, "paused by {by}: resume to go on"),
            Self::AwaitsProxies { revision, proxies } if proxies.is_empty() => {
                write!(f, "waits for a proxy to report revision {revision}: there is none")
            }
            Self::AwaitsProxies { revision, proxies } => {
                write!(f, "waits for proxies to report revision {revision}: {}", lagging::Shortened(proxies))
            }
            Self::ProxyRefuses { name, why } => {
                write!(f, "{name} refuses the policy and goes on with the one it has: {why}")
            }
            Self::Baseline { duration } => {
                let duration = friendly(duration);
                write!(
                    f,
                    "for {duration} everybody is on stable: those whom the steps will move are compared with the rest"
                )
            }
            Self::Observing { step, of, weight, duration } => {
                let duration = friendly(duration);
                write!(f, "step {step} of {of} at {weight} is observed for {duration}")
            }
            Self::AwaitsRequests { need } => {
                write!(f, "waits until the canary has had {need} requests in this step")
            }
            Self::AwaitsCapacity { weight, lack } => {
                write!(f, "waits for the canary's pods for {weight}: {lack}")
            }
            Self::StableDown => {
                f.write_str("no pod of stable is ready, so nobody is sent back to it: scale it up again")
            }
            Self::Suspended => f.write_str("suspended: set spec.suspend to false to go on"),
            Self::Blocked { why } => write!(f, "nobody is moved: {why}"),
            Self::HandingOver { mode, trouble } => {
                f.write_str(match mode {
                    PromotionMode::Copy => {
                        "everybody is on the canary; stable's Deployment takes its pod template"
                    }
                    PromotionMode::Swap => {
                        "everybody is on the canary; its Deployment becomes the stable one"
                    }
                    PromotionMode::Wait => {
                        "everybody is on the canary; waits until stable's Deployment has its pod template"
                    }
                })?;
                trouble.as_ref().map_or(Ok(()), |trouble| write!(f, " ({trouble})"))
            }
            Self::HandedOver => f.write_str("stable has the new version: everybody goes to it"),
            Self::Draining { delay } => {
                write!(f, "the canary keeps its pods for {} more, for requests under way", friendly(delay))
            }
            Self::Settled => f.write_str("everybody is on stable, and there is nothing to release"),
            Self::AwaitsData { why } => write!(f, "nothing can be counted, so nobody else is moved: {why}"),
            Self::AwaitsReading { metric, why } => write!(f, "waits for a reading of {metric}: {why}"),
            Self::Doubtful { metric } => {
                write!(
                    f,
                    "the evidence leans against the canary by {metric}: nobody else is moved until it is clear"
                )
            }
            Self::SampleRatio { weight } => write!(
                f,
                "new callers do not get the canary in the share asked for, {weight}: a path loses or repeats some of \
                 them"
            ),
            Self::AwaitsApproval { step, of, weight } => {
                write!(
                    f,
                    "nothing speaks against step {step} of {of} at {weight}, which waits for approval: resume to go on"
                )
            }
            Self::Stranded { weight, next } => {
                write!(f, "{weight} is no step's weight: resume to go on ")?;
                match next {
                    Some(next) => write!(f, "to {next}, promote or abort"),
                    None => f.write_str("to the promotion, or abort"),
                }
            }
            Self::FileBehind { found, wanted } => {
                write!(f, "the file has revision {found}, not {wanted} yet: it is written again")
            }
            Self::FileEdited { run, weight, closed } => {
                let closed = if *closed { ", closed" } else { "" };
                write!(
                    f,
                    "someone else wrote run {run} at {weight}{closed} into the file: it is written again"
                )
            }
            Self::FileUnreadable { why } => write!(f, "the file is unreadable ({why}): it is written again"),
            Self::FileGone => f.write_str("the file is gone: it is written again"),
            Self::ReleaseEdited => f.write_str("the Release was edited: the policy is written again"),
        }
    }
}

fn friendly(duration: &Duration) -> String {
    jiff::fmt::friendly::SpanPrinter::new().unsigned_duration_to_string(duration)
}

impl fmt::Display for NotNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingInProgress => "no run is in progress",
            Self::HeldAlready => "the run is held already",
            Self::NothingToResume => "the run is neither paused nor waiting for approval",
            Self::ProxiesLag => {
                "some proxy does not report the present weight, and none is raised before all do"
            }
            Self::PromotedAlready => "the run is promoted already",
            Self::NotTakenBack => "only a run that was rolled back or aborted can start over",
            Self::JustFailed => "the canary has just failed",
            Self::LacksCapacity => "the canary lacks the pods for everybody; they are being added: try again",
            Self::StableDown => "no pod of stable is ready: scale it up first",
            Self::Suspended => "the Release is suspended: set spec.suspend to false first",
            Self::Blocked => "something stands in the way, as said here: mend it first",
            Self::Preparing => {
                "nobody is moved before the canary has its pods: abort, or set spec.suspend, to hold it"
            }
            Self::NothingToRelease => "stable and canary have one version: there is nothing to release",
        })
    }
}
