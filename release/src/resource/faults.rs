/*!
Faults that are injected on purpose, as people write them. The words are Istio's, as far as it has any.
*/
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serin_policy::Arm;
use serin_policy::marks::MarkSpec;
use serin_policy::matching::Match;

use super::{Scalar, schema};
use crate::faults::GrpcStatus;
use crate::rule;

/// A fault that is injected into answers of one version. What becomes of these requests counts apart, and is not judged.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [schema::validation(
    ".delay",
    "has(self.delay) || has(self.abort)",
    rule::NO_FAULT,
)]))]
pub struct Fault {
    /// The version whose requests meet it. Those of the canary meet it until everybody gets the new version.
    pub version: FaultyVersion,
    /// Which of the version's requests: those that meet all conditions of any one of these. The default is all of them.
    #[serde(default)]
    #[schemars(length(max = MarkSpec::MAX_MATCHES))]
    pub matches: Vec<Match>,
    /// Requests that are sent on later. The default is none.
    pub delay: Option<FaultDelay>,
    /// Requests that are answered with an error instead of being sent on. None of them is delayed. The default is none.
    pub abort: Option<FaultAbort>,
    /// When the fault ends, such as `2026-12-01T18:00:00Z`. Proxies end it by their own clocks.
    #[schemars(extend("format" = "date-time", "maxLength" = rule::MOST_OF_TIME))]
    pub until: String,
}

/// A version that a fault is injected into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FaultyVersion {
    /// The version in use.
    Stable,
    /// The new version.
    Canary,
}

impl From<FaultyVersion> for Arm {
    fn from(version: FaultyVersion) -> Self {
        match version {
            FaultyVersion::Stable => Self::Stable,
            FaultyVersion::Canary => Self::Canary,
        }
    }
}

/// Requests that are sent on later.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultDelay {
    /// How much later, 1ms to 1h.
    #[schemars(with = "schema::Duration")]
    pub fixed_delay: Scalar,
    /// The share of the requests, in percent, 0 to 100. Chance chooses them one by one.
    #[schemars(with = "schema::Percentage")]
    pub percentage: Scalar,
}

/// Requests that are answered with an error.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [schema::validation(
    ".httpStatus",
    "has(self.httpStatus) != has(self.grpcStatus)",
    rule::ONE_ABORT,
)]))]
pub struct FaultAbort {
    /// The HTTP status, 200 to 599. Either this or `grpcStatus`.
    #[schemars(range(min = *rule::ABORT_STATUS.start(), max = *rule::ABORT_STATUS.end()))]
    pub http_status: Option<u16>,
    /// The gRPC status by its name.
    pub grpc_status: Option<GrpcStatus>,
    /// The share of the requests, in percent, 0 to 100; together with that of `delay` at most 100. Chance chooses them one
    /// by one.
    #[schemars(with = "schema::Percentage")]
    pub percentage: Scalar,
}
