/*!
Whose word it takes where a run waits for a person, as people write it.
*/
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Scalar, schema};
use crate::rule;

/// Whose word it takes where a run waits for a person: at a step with `pause: {}`, and before a `Manual` cutover. Who may give it
/// is a right: the verb `resume` on `releases/command`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [schema::validation(
    ".onTimeout",
    "!has(self.onTimeout) || has(self.timeout)",
    rule::NO_TIMEOUT,
)]))]
pub struct Approval {
    /// How many different people have to approve, 1 to 10. For more than one, the cluster has to prove who gives a command
    /// (`manifests/commands`), and `promote` does not skip them. The default is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = rule::MAX_APPROVALS))]
    pub required: Option<u32>,
    /// How long they have for it, 1s to 31d. Time in which something else holds the run does not count. The default is without
    /// end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Duration>")]
    pub timeout: Option<Scalar>,
    /// What becomes of the run then. The default is `Hold`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_timeout: Option<OnTimeout>,
}

/// What becomes of a run that nobody approves of in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnTimeout {
    /// It waits on. Whoever has approved has to do so again, for the time begins anew; and it is told as a warning.
    #[default]
    Hold,
    /// The canary is taken back.
    Rollback,
}
