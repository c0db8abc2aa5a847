/*!
Where a run stands. What is only of use in one phase is kept with that phase.
*/
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serin_policy::Weight;

use super::cause::Cause;
use super::handover::HandoverState;
use super::receding::RecedeState;

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Phase {
    /// Nothing was decided yet.
    #[default]
    Waiting,
    /// What was saved cannot be read: the run stays as it is until an agent comes that can, or a person aborts it.
    Unreadable {
        /// Why it cannot.
        why: String,
        /// The weight in front of the proxies.
        weight: Weight,
        /// Whether the canary takes no traffic at all there.
        closed: bool,
    },
    /// In a cluster: nobody gets the canary, testers included, until it has the pods for the first step.
    Preparing {
        /// Whether every proxy has reported so.
        #[serde(default)]
        reported: bool,
    },
    /// Weight 0: every proxy is to know the run before anybody is moved.
    Starting {
        /// When every proxy knew the run; time spent paused or held is left out by moving this on.
        since: Option<Timestamp>,
        /// A person holds it.
        paused: Option<Paused>,
        /// When something outside of the run was last seen to hold it: its clock stands still.
        #[serde(default)]
        held_at: Option<Timestamp>,
        /// Whether the canary gets copies of stable's requests, which comes after those whom the steps will move were compared.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        mirrors: bool,
        /// Who has approved of the cutover, where it takes a person.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approved_by: Option<String>,
    },
    /// At a step.
    Progressing(StepState),
    /// At a weight that is no step's, found in front of the proxies: a person must say how to go on.
    #[serde(alias = "stranded")]
    OffPlan {
        /// That weight.
        weight: Weight,
    },
    /// Its users are taken off the canary in steps: what is wrong with it is not grave.
    Receding(RecedeState),
    /// Everybody is to go to the canary; not every proxy reports it.
    Promoting,
    /// Everybody is on the canary, and it is watched: there is a way back still.
    Baking(BakeState),
    /// Everybody is on the new version of a blue-green release, and the old one keeps its pods for the way back.
    Keeping(KeepState),
    /// Everybody is on the canary, and stays there.
    Promoted,
    /// In a cluster: the canary is promoted, and its version becomes stable.
    HandingOver(HandoverState),
    /// In a cluster: stable has the new version, and everybody goes to it.
    #[serde(alias = "returning")]
    CuttingBack {
        /// What becomes of the canary meanwhile.
        #[serde(default)]
        canary: Emptying,
    },
    /// In a cluster: there is nothing to release. Stable and canary have one version, and everybody is on stable.
    Settled,
    /// The canary is off the air, on evidence.
    RolledBack {
        /// Why.
        cause: Cause,
        /// What becomes of the canary meanwhile.
        #[serde(default)]
        canary: Emptying,
    },
    /// The canary is off the air because a person said so.
    Aborted {
        /// Who.
        by: String,
        /// What becomes of the canary meanwhile.
        #[serde(default)]
        canary: Emptying,
    },
}

/// What becomes of a canary that nobody is to be sent to any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "kebab-case")]
pub enum Emptying {
    /// Some proxy may still send somebody there.
    #[default]
    InUse,
    /// Every proxy has reported that it sends nobody there: requests under way are given their time.
    Draining {
        /// Since when.
        since: Timestamp,
    },
    /// It has no pods any more.
    Empty,
}

impl Emptying {
    /// Whether some proxy may still send somebody there.
    pub const fn is_in_use(self) -> bool {
        matches!(self, Self::InUse)
    }
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepState {
    /// The step, from 0.
    pub index: usize,
    /// The step's weight.
    pub weight: Weight,
    /// What the step is about at the moment.
    pub stage: Stage,
    /// A person holds it.
    pub paused: Option<Paused>,
    /// When something outside of the run was last seen to hold it: its clock stands still.
    #[serde(default)]
    pub held_at: Option<Timestamp>,
}

/// How far the bake is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BakeState {
    /// When every proxy had sent everybody to the canary; time spent paused or held is left out by moving this on.
    pub since: Timestamp,
    /// A person holds it.
    pub paused: Option<Paused>,
    /// When something outside of the run was last seen to hold it: its clock stands still.
    pub held_at: Option<Timestamp>,
}

/// How far the old version's time is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeepState {
    /// When the bake was over; time spent paused is left out by moving this on.
    pub since: Timestamp,
    /// A person holds it.
    pub paused: Option<Paused>,
    /// Who has approved of the old version's end, where it takes a person.
    pub approved_by: Option<String>,
}

/// What a step is about at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Stage {
    /// Not every proxy reports the step's weight.
    RollingOut,
    /// Every proxy has reported it: the step's clock runs.
    Observing {
        /// When the clock began; time spent paused is left out by moving this on.
        since: Timestamp,
        /// Who has approved the step, where it takes a person.
        approved_by: Option<String>,
    },
}

/// A person holds the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Who.
    pub by: String,
    /// Since when: the step's clock stands still.
    pub since: Timestamp,
}

impl StepState {
    /// The step of this index, pushed just now.
    pub(super) fn new(index: usize, weight: Weight) -> Self {
        Self { index, weight, stage: Stage::RollingOut, paused: None, held_at: None }
    }

    /// How long the step was observed, pauses left out.
    pub(super) fn elapsed(&self, now: Timestamp) -> Duration {
        let since = match self.stage {
            Stage::RollingOut => None,
            Stage::Observing { since, .. } => Some(since),
        };
        elapsed(since, self.paused.as_ref(), now)
    }
}

/// Time since a clock began, pauses left out. One that was set back has measured nothing.
pub(super) fn elapsed(since: Option<Timestamp>, paused: Option<&Paused>, now: Timestamp) -> Duration {
    let until = paused.map_or(now, |paused| paused.since);
    since.map_or(Duration::ZERO, |since| Duration::try_from(until.duration_since(since)).unwrap_or_default())
}

/// Has a clock that began at `since` leave out the time from `stood` on.
pub(super) fn leave_out(since: &mut Timestamp, stood: Timestamp, now: Timestamp) {
    *since = since.checked_add(now.duration_since(stood)).unwrap_or(now).min(now);
}

impl Phase {
    /// The beginning of a run outside a cluster, and in one when the canary has its pods.
    pub(super) const STARTING: Self =
        Self::Starting { since: None, paused: None, held_at: None, mirrors: false, approved_by: None };

    /// Off the air, on evidence.
    pub(super) const fn rolled_back(cause: Cause) -> Self {
        Self::RolledBack { cause, canary: Emptying::InUse }
    }

    /// Whether a run is on its way: it has begun, and nobody has been sent back to stable yet.
    pub const fn is_under_way(&self) -> bool {
        match self {
            Self::Preparing { .. }
            | Self::Unreadable { .. }
            | Self::Starting { .. }
            | Self::Progressing(_)
            | Self::OffPlan { .. }
            | Self::Receding(_)
            | Self::Promoting
            | Self::Baking(_)
            | Self::Keeping(_)
            | Self::HandingOver(_) => true,
            Self::Waiting
            | Self::Promoted
            | Self::CuttingBack { .. }
            | Self::Settled
            | Self::RolledBack { .. }
            | Self::Aborted { .. } => false,
        }
    }

    /// Whether a person holds it.
    pub(super) const fn is_paused(&self) -> bool {
        matches!(
            self,
            Self::Starting { paused: Some(_), .. }
                | Self::Progressing(StepState { paused: Some(_), .. })
                | Self::Baking(BakeState { paused: Some(_), .. })
                | Self::Keeping(KeepState { paused: Some(_), .. })
        )
    }

    /// What becomes of the canary, in phases in which nobody is to be sent to it any more.
    pub(super) const fn emptying(&mut self) -> Option<&mut Emptying> {
        match self {
            Self::CuttingBack { canary } | Self::RolledBack { canary, .. } | Self::Aborted { canary, .. } => {
                Some(canary)
            }
            _ => None,
        }
    }

    /// A word for it, in kebab-case, for labels.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Unreadable { .. } => "unreadable",
            Self::Preparing { .. } => "preparing",
            Self::Starting { .. } => "starting",
            Self::Progressing(_) => "progressing",
            Self::OffPlan { .. } => "off-plan",
            Self::Receding(_) => "receding",
            Self::Promoting => "promoting",
            Self::Baking(_) => "baking",
            Self::Keeping(_) => "keeping",
            Self::Promoted => "promoted",
            Self::HandingOver(_) => "handing-over",
            Self::CuttingBack { .. } => "cutting-back",
            Self::Settled => "settled",
            Self::RolledBack { .. } => "rolled-back",
            Self::Aborted { .. } => "aborted",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())?;
        match self {
            Self::Starting { paused: Some(_), .. }
            | Self::Baking(BakeState { paused: Some(_), .. })
            | Self::Keeping(KeepState { paused: Some(_), .. }) => f.write_str(", paused"),
            Self::Progressing(state) => {
                let paused = if state.paused.is_some() { ", paused" } else { "" };
                write!(f, ", step {}{paused}", state.index + 1)
            }
            _ => Ok(()),
        }
    }
}
