/*!
How runs end.
*/
use serde::{Deserialize, Serialize};

use crate::cause::Cause;

/// How a run ended. It is given again at every tick for as long as nothing else begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Outcome {
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
    /// The canary was taken off the air when stable had taken its version, in part at least.
    StableHasIt,
    /// The release is over, and everybody is on stable, which has the new version.
    Settled,
    /// Nothing is under way and everybody is on stable, whose Deployment somebody has given another pod template than the run
    /// has.
    StableReplaced {
        /// The run.
        run: String,
        /// The run that stable's pod template makes now.
        by_run: String,
        /// Who has changed stable's Deployment last besides Serin, if they leave a name.
        by: Option<String>,
    },
}
