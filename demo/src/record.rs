/*!
What simulated users write down.
*/
use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serin_policy::Arm;

use serin_local::shop::Version;

/// One request of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// Who asked.
    pub(super) user: u32,
    /// When they asked.
    pub(super) sent: Timestamp,
    /// How long they waited.
    pub(super) took: Duration,
    /// What they got.
    pub(super) outcome: Outcome,
}

impl Record {
    /// When the answer was there.
    pub(super) fn ended(&self) -> Timestamp {
        self.sent.checked_add(SignedDuration::try_from(self.took).unwrap_or_default()).unwrap_or(self.sent)
    }
}

/// What a user got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// An answer of the shop, and the proxy's word for the version agreed with the shop's own.
    Served(Served),
    /// Anything else: none of it is the shop's doing.
    Failed(Failure),
}

/// An answer of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Served {
    /// The deployment that answered.
    pub(super) arm: Arm,
    /// The version deployed there.
    pub(super) version: Version,
    /// Whether the shop answered with an error.
    pub(super) error: bool,
}

/// How a request can fail that the shop has not failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Failure {
    /// No answer: the connection broke.
    Broken,
    /// No answer in time.
    Late,
    /// An answer of this status that the shop did not give.
    Status(u16),
    /// The proxy named another version than the one that answered, or none.
    Mislabelled,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken => f.write_str("the connection broke"),
            Self::Late => f.write_str("no answer in time"),
            Self::Status(status) => write!(f, "status {status}, not from the shop"),
            Self::Mislabelled => f.write_str("labelled with another version than the one that answered"),
        }
    }
}
