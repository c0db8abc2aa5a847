/*!
Why the planner did what it did, or what it waits for: one typed reason for each, with a plain sentence in
`messages`.

A reason that merely goes on is given again at every tick and is equal to the one before, so that whoever shows
reasons can leave repetitions out. Numbers that change by the tick therefore have no place here but in
[`Progress`](super::Progress).
*/
mod event;
mod kinds;
mod not_now;
mod outcome;

use serde::{Deserialize, Serialize};
use serin_release::delivery::PromotionMode;

use super::workloads::Lack;
pub use event::Event;
pub use kinds::Hold;
pub use not_now::NotNow;
pub use outcome::Outcome;

/// Why things are as they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reason {
    /// Something happened.
    Event(Event),
    /// Something is waited for.
    Hold(Hold),
    /// The run is over.
    Outcome(Outcome),
}

/// Who should hear of a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Whoever follows the release: it goes as planned, or as somebody asked.
    Info,
    /// Whoever is responsible for it: it needs a person, or has lost something.
    Warning,
    /// The same, at once: users are hurt or were, or there is no way back.
    Critical,
}

impl Reason {
    /// A word for it, in kebab-case, for logs and the labels of metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Event(event) => event.code(),
            Self::Hold(hold) => hold.code(),
            Self::Outcome(outcome) => outcome.code(),
        }
    }

    /// The same word in `CamelCase`, as Kubernetes has reasons.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Event(event) => event.name(),
            Self::Hold(hold) => hold.name(),
            Self::Outcome(outcome) => outcome.name(),
        }
    }

    /// Who should hear of it.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Event(event) => event.usual_severity(),
            Self::Hold(hold) => hold.severity(),
            Self::Outcome(outcome) => outcome.usual_severity(),
        }
    }
}

/// One row for each variant: its code, who should usually hear of it, and what a hold waits for.
macro_rules! table {
    ($kind:ident: $($variant:ident, $code:literal, $severity:ident;)+) => {
        impl $kind {
            /// Every name there is, with the severity it usually has.
            pub const NAMES: &[(&'static str, Severity)] =
                &[$((stringify!($variant), Severity::$severity)),+];

            /// A word for it, in kebab-case, for logs and the labels of metrics.
            pub const fn code(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $code),+
                }
            }

            /// The same word in `CamelCase`, as Kubernetes has reasons.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => stringify!($variant)),+
                }
            }

            const fn usual_severity(&self) -> Severity {
                match self {
                    $(Self::$variant { .. } => Severity::$severity),+
                }
            }
        }
    };
    ($kind:ident: $($variant:ident, $code:literal, $severity:ident, $awaits:ident;)+) => {
        table! { $kind: $($variant, $code, $severity;)+ }

        impl $kind {
            /// What each waits for, by its name.
            pub const AWAITS: &[(&'static str, Awaits)] = &[$((stringify!($variant), Awaits::$awaits)),+];

            /// What a run waits for that is held by this.
            pub const fn awaits(&self) -> Awaits {
                match self {
                    $(Self::$variant { .. } => Awaits::$awaits),+
                }
            }
        }
    };
}

table! { Event:
    Started, "started", Info;
    NewRun, "new-run", Info;
    TakenUp, "taken-up", Warning;
    StepBegun, "step-begun", Info;
    StepBack, "step-back", Warning;
    Promoting, "promoting", Info;
    Prepared, "prepared", Info;
    Retried, "retried", Info;
    Resumed, "resumed", Info;
    Approved, "approved", Info;
    ApprovalGiven, "approval-given", Info;
    ApprovalLapsed, "approval-lapsed", Warning;
    CutoverApproved, "cutover-approved", Info;
    CleanupApproved, "cleanup-approved", Info;
    KeepEnded, "keep-ended", Info;
    HookPassed, "hook-passed", Info;
    FreezeOverridden, "freeze-overridden", Warning;
    CommandRefused, "command-refused", Warning;
    BakeEnded, "bake-ended", Info;
    ProbeFailed, "probe-failed", Critical;
    HandedOver, "handed-over", Info;
    PolicyBehind, "policy-behind", Info;
    PolicyEdited, "policy-edited", Warning;
    PolicyUnreadable, "policy-unreadable", Warning;
    PolicyGone, "policy-gone", Warning;
    LeaseLapsed, "lease-lapsed", Warning;
    ReleaseEdited, "release-edited", Info;
    VersionOpened, "version-opened", Info;
    VersionTakenBack, "version-taken-back", Critical;
}

table! { Hold:
    Paused, "paused", Info, Person;
    AwaitsProxies, "awaits-proxies", Info, Others;
    ProxyRefuses, "proxy-refuses", Warning, Course;
    Baseline, "baseline", Info, Course;
    Mirroring, "mirroring", Info, Course;
    Baking, "baking", Info, Course;
    Keeping, "keeping", Info, Course;
    AwaitsCutover, "awaits-cutover", Info, Person;
    AwaitsCleanup, "awaits-cleanup", Info, Person;
    Observing, "observing", Info, Course;
    Receding, "receding", Warning, Course;
    AwaitsRequests, "awaits-requests", Info, Others;
    AwaitsCapacity, "awaits-capacity", Info, Others;
    StableDown, "stable-down", Critical, Mending;
    Suspended, "suspended", Info, Person;
    Frozen, "frozen", Info, Others;
    Contested, "contested", Warning, Mending;
    StableChanged, "stable-changed", Warning, Person;
    StablePutBack, "stable-put-back", Warning, Mending;
    AwaitsRoutes, "awaits-routes", Info, Others;
    RolesUnclear, "roles-unclear", Warning, Mending;
    StateUnreadable, "state-unreadable", Warning, Mending;
    Blocked, "blocked", Warning, Mending;
    RunWaits, "run-waits", Warning, Mending;
    HandingOver, "handing-over", Info, Course;
    AwaitsEndpoints, "awaits-endpoints", Info, Course;
    ProbeBegun, "probe-begun", Info, Course;
    Draining, "draining", Info, Course;
    CanaryScaled, "canary-scaled", Warning, Course;
    AwaitsData, "awaits-data", Warning, Others;
    AwaitsReading, "awaits-reading", Info, Others;
    AwaitsSuccess, "awaits-success", Info, Others;
    AwaitsHook, "awaits-hook", Info, Others;
    HookFails, "hook-fails", Warning, Mending;
    Doubtful, "doubtful", Warning, Others;
    SampleRatio, "sample-ratio", Warning, Mending;
    CookieWithheld, "cookie-withheld", Warning, Mending;
    SharedTrouble, "shared-trouble", Warning, Others;
    TrafficShare, "traffic-share", Warning, Mending;
    AwaitsApproval, "awaits-approval", Info, Person;
    OffPlan, "off-plan", Warning, Mending;
}

table! { Outcome:
    NothingToRelease, "nothing-to-release", Info;
    Promoted, "promoted", Info;
    RolledBack, "rolled-back", Critical;
    Aborted, "aborted", Warning;
    StableHasIt, "stable-has-it", Warning;
    Settled, "settled", Info;
    StableReplaced, "stable-replaced", Warning;
}

/// What a held run waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaits {
    /// A time, or work that is under way: nothing is in the way.
    Course,
    /// What comes by itself, sooner or later.
    Others,
    /// A person's word.
    Person,
    /// Somebody who mends something.
    Mending,
}

impl Hold {
    /// Whether a run waits for people who have to approve, by this one.
    pub(super) const fn is_for_approval(&self) -> bool {
        matches!(self, Self::AwaitsApproval { .. } | Self::AwaitsCutover { .. })
    }

    /// Whether a run cannot go on for this.
    pub const fn is_obstacle(&self) -> bool {
        // Nobody can say when Git will have the new version.
        let is_gits_turn = matches!(self, Self::HandingOver { mode: PromotionMode::Wait, .. });
        is_gits_turn || !matches!(self.awaits(), Awaits::Course)
    }

    /// Who should hear of it. Pods that complain do not get ready by themselves.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::AwaitsCapacity { lack: Lack { trouble: Some(_), .. }, .. }
            | Self::HandingOver { trouble: Some(_), .. } => Severity::Warning,
            _ => self.usual_severity(),
        }
    }
}

impl From<Event> for Reason {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}

impl From<Hold> for Reason {
    fn from(hold: Hold) -> Self {
        Self::Hold(hold)
    }
}

impl From<Outcome> for Reason {
    fn from(outcome: Outcome) -> Self {
        Self::Outcome(outcome)
    }
}
