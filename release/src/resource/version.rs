/*!
Versions beside stable and canary, as people write them.
*/
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Scalar, schema};

/// A version beside stable and canary.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["name", "share"]))]
pub struct ExtraVersion {
    /// Its name, by which routes, overrides and segments know it: another than `stable` and `canary`.
    #[schemars(with = "Option<schema::Label>")]
    pub name: Option<String>,
    /// What it runs. Another is another version: its callers go to stable for the baseline, and it is judged anew. The
    /// default is that nobody says.
    #[schemars(with = "Option<schema::VersionName>")]
    pub version: Option<String>,
    /// Its share of all callers, in percent, 0 to 100. The canary's steps must leave room for it, but for one of 100, which
    /// means all who are on no other version.
    #[schemars(with = "schema::Percentage")]
    pub share: Scalar,
}
