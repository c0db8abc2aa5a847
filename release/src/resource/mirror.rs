/*!
Copies of stable's requests, as people write them.
*/
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serin_policy::marks::MarkSpec;

use super::{Scalar, schema};

/// Copies of stable's requests that the canary gets before it has users. Stable answers the users; the canary's answers go
/// nowhere, but to the verdict.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mirror {
    /// The share of stable's requests, in percent: more than 0, at most 100. Chance chooses them one by one. The default is
    /// 10.
    #[schemars(with = "schema::Percentage")]
    pub percentage: Scalar,
    /// For how long, at least; 1s to 7d. It lasts until the canary has answered `analysis.minRequests` of them. The default
    /// is `5m`.
    #[schemars(with = "schema::Duration")]
    pub duration: Scalar,
    /// The methods of the requests. Whoever names others, such as POST, has the canary do what they ask for once more. The
    /// default is GET, HEAD and OPTIONS.
    #[schemars(with = "Vec<schema::Method>", length(min = 1, max = MarkSpec::MAX_MATCHES))]
    pub methods: Vec<String>,
}

impl Default for Mirror {
    fn default() -> Self {
        Self {
            percentage: Scalar::from("10"),
            duration: Scalar::from("5m"),
            methods: ["GET", "HEAD", "OPTIONS"].map(str::to_owned).into(),
        }
    }
}
