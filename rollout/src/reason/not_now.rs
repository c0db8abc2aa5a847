/*!
Why a person's command is not obeyed.
*/
use serde::{Deserialize, Serialize};

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
    /// The run was neither rolled back nor aborted, and nobody has undone its promotion.
    NotTakenBack,
    /// The canary broke a limit at this very moment.
    JustFailed,
    /// The canary's users are on their way back, step by step.
    GoingBack,
    /// The canary lacks the pods for everybody. They are being added.
    LacksCapacity,
    /// No pod of stable is ready: there is nobody to go back to.
    StableDown,
    /// The Release says that nothing is to move.
    Suspended,
    /// A window says that nobody is moved at this time.
    Frozen,
    /// The Release has no window that a person may override.
    NothingToOverride,
    /// Something stands in the way.
    Blocked,
    /// Stable was given another version since the run began.
    StableChanged,
    /// Nobody is moved anyway: the canary is being given its pods.
    Preparing,
    /// The people who have to approve are several, and nobody proves who this is.
    NotProved,
    /// This person has approved, and others have to.
    ApprovedAlready,
    /// The time to approve is over.
    TooLate,
    /// Several people have to approve before, which this would skip.
    TakesSeveral,
    /// Stable and canary have one version.
    NothingToRelease,
    /// The old version's time is not over.
    StillKept,
    /// What was saved of the run cannot be read: only an abort needs nothing of it.
    Unreadable,
}
