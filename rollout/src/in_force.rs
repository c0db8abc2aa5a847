/*!
What is in front of the proxies, and nothing else is the truth about the weight.
*/
use jiff::Timestamp;
use serin_policy::{Lease, Policy, Weight};

/// What the file in front of the proxies says: the truth about the weight.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum InForce {
    /// There is no file.
    #[default]
    Nothing,
    /// There is a file that makes no sense.
    Unreadable {
        /// What is wrong with it.
        why: String,
    },
    /// A policy for this release.
    Policy {
        /// The run it was written for.
        run: String,
        /// Its revision.
        revision: u64,
        /// The canary's share.
        weight: Weight,
        /// Whether the canary takes no traffic at all.
        closed: bool,
        /// How it is with its lease: one that has run out is as good as closed.
        lease: Lease,
    },
}

impl InForce {
    /// What a policy in front of the proxies says `now`, whose lease runs `until` so many seconds since 1970, if it has one.
    pub fn of(policy: &Policy, until: Option<u64>, now: Timestamp) -> Self {
        Self::Policy {
            run: policy.run().to_owned(),
            revision: policy.revision(),
            weight: policy.weight(),
            closed: policy.is_closed(),
            lease: Lease::at(until, || u64::try_from(now.as_nanosecond()).unwrap_or_default()),
        }
    }

    /// The share of the callers that a canary gets, of whatever run.
    pub(super) fn share(&self) -> Weight {
        match self {
            Self::Policy { weight, closed: false, lease: Lease::Unleased | Lease::Held, .. } => *weight,
            Self::Policy { .. } | Self::Nothing | Self::Unreadable { .. } => Weight::ZERO,
        }
    }

    /// The share of the callers that the canary of `run` gets.
    pub(super) fn share_of(&self, run: &str) -> Weight {
        match self {
            Self::Policy { run: found, .. } if found == run => self.share(),
            _ => Weight::ZERO,
        }
    }
}
