/*!
Why a canary was taken off the air.
*/
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serin_policy::Weight;
use serin_policy::evidence::Tally;

use super::analysis::{Failure, Grouped};
use super::messages::friendly;

/// Why the canary was taken off the air.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Cause {
    /// It is worse than allowed.
    Failed {
        /// The weight it had.
        weight: Weight,
        /// By which test.
        failure: Failure,
    },
    /// Proxies have closed it by themselves: it failed far more often there than stable did.
    Fuse {
        /// The weight it had.
        weight: Weight,
        /// Which proxies, by name: the first of them, where there are many.
        proxies: Vec<String>,
        /// The canary's requests in this step, and those that failed.
        canary: Tally,
        /// Stable's meanwhile.
        stable: Tally,
    },
    /// There was nothing to judge it by.
    NoData {
        /// The weight it had.
        weight: Weight,
        /// How long the step was observed.
        after: Duration,
        /// What was missing.
        why: String,
    },
    /// It cannot serve: its Deployment is gone, or no pod of it is ready.
    Down {
        /// The weight it had.
        weight: Weight,
        /// What is wrong with it.
        why: String,
    },
    /// A hook is against it.
    Hook {
        /// The weight it had.
        weight: Weight,
        /// Which hook.
        hook: String,
        /// Why.
        why: String,
    },
    /// It was found closed in front of the proxies, by whomever.
    FoundClosed,
}

impl Cause {
    /// The weight it had, where that is known.
    pub const fn weight(&self) -> Option<Weight> {
        match self {
            Self::Failed { weight, .. }
            | Self::Fuse { weight, .. }
            | Self::NoData { weight, .. }
            | Self::Down { weight, .. }
            | Self::Hook { weight, .. } => Some(*weight),
            Self::FoundClosed => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { failure, .. } => failure.fmt(f),
            Self::Fuse { proxies, canary, stable, .. } => {
                let by = proxies.first().map_or("a proxy", String::as_str);
                let others = match proxies.len() {
                    0 | 1 => String::new(),
                    more => format!(" and {} more", more - 1),
                };
                // Proxies count on their own, and the agent looks at them in turns.
                if canary.requests == 0 {
                    return write!(
                        f,
                        "the fuse of {by}{others} has blown: the canary failed there far more often than stable, before a \
                         request to it was counted in this step"
                    );
                }
                let of = |tally: &Tally| format!("{} of", Grouped(tally.bad));
                write!(
                    f,
                    "the fuse of {by}{others} has blown: {} the canary's {} requests in this step failed, and {} stable's {}",
                    of(canary),
                    Grouped(canary.requests),
                    of(stable),
                    Grouped(stable.requests)
                )
            }
            Self::NoData { after, why, .. } => write!(f, "no verdict after {}: {why}", friendly(after)),
            Self::Down { why, .. } => write!(f, "the canary cannot serve: {why}"),
            Self::Hook { hook, why, .. } => write!(f, "hook {hook}: {why}"),
            Self::FoundClosed => f.write_str(
                "proxies were found with the canary closed, and it stays so: retry to start again",
            ),
        }
    }
}
