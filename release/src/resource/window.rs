/*!
Times at which users are moved, or are not, as people write them. The words are those of Argo CD's sync windows.
*/
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Scalar, schema};

/// Times at which users are moved to a new version, or are not: runs begin, shares rise and promotions begin, or wait. Going back
/// is never frozen.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Window {
    /// What it is called. No two have one name.
    #[schemars(with = "schema::Label")]
    pub name: String,
    /// `deny`: nobody is moved in it. `allow`: nobody is moved outside of it, and of the others of this kind. `deny` counts
    /// where both are open.
    pub kind: WindowKind,
    /// When it begins, in the five fields of cron, such as `0 22 * * 1-5`.
    #[schemars(with = "schema::Cron")]
    pub schedule: String,
    /// How long it lasts then, 1m to 31d.
    #[schemars(with = "schema::Duration")]
    pub duration: Scalar,
    /// Whose clock the schedule goes by, such as `Europe/Berlin`. The default is `UTC`.
    #[serde(default = "utc")]
    #[schemars(with = "schema::TimeZone")]
    pub time_zone: String,
}

/// Whether users are moved in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WindowKind {
    /// In it, or in another of this kind, and at no other time.
    Allow,
    /// Not in it.
    Deny,
}

fn utc() -> String {
    "UTC".to_owned()
}
