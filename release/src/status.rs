/*!
What a Release's `status` says: to people first, and at its end what the agent needs to go on after a restart.
*/
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a release is doing. Written by Serin only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReleaseStatus {
    /// The generation of the spec that the rest of the status is about.
    pub observed_generation: Option<i64>,
    /// Where the present run stands: `Waiting`, `Preparing`, `Starting`, `Progressing`, `OffPlan`, `Promoting`,
    /// `Promoted`, `RolledBack` or `Aborted`.
    pub phase: String,
    /// Why it stands there, in one sentence.
    pub message: String,
    /// The present run, named by the canary's image tag and a hash of its pod template.
    pub run: Option<String>,
    /// How the new version comes in: `Canary`.
    pub strategy: String,
    /// The present step of how many, e.g. `2/5`.
    pub step: Option<String>,
    /// The share of callers that is to get the canary, e.g. `10%`.
    pub weight: String,
    /// The share of randomly assigned requests that the canary served in this step, e.g. `9.8%`.
    pub served: Option<String>,
    /// What the evidence says so far, with its numbers.
    pub verdict: Option<String>,
    /// The proxies that assign callers.
    pub proxies: ProxyCounts,
    /// `Ready`, `Routed`, `Progressing` and `Healthy`, in the usual form.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The last ten runs, the latest first.
    pub history: Vec<RunRecord>,
    /// The Deployment that is the stable one now, where versions change places.
    pub stable_deployment: Option<String>,
    /// What the agent needs to go on after a restart, as JSON. Of no use to people, and not for them to edit.
    pub state: Option<String>,
}

/// How many proxies there are, and what they say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyCounts {
    /// How many run the present policy.
    pub current: u32,
    /// How many there are.
    pub total: u32,
    /// How many do not run the filter.
    pub bypassed: u32,
}

/// One run, from its beginning to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    /// What the run is called.
    pub run: String,
    /// When it began.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub started: Timestamp,
    /// How it ended: `Promoted`, `RolledBack` or `Aborted`, or `Replaced` by another run. Missing while it lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Every change of the weight, the latest last.
    pub changes: Vec<WeightChange>,
}

/// A change of the weight: who, when, why, from what to what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WeightChange {
    /// When it changed.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// Who decided it: the planner, or a person.
    pub by: String,
    /// The canary's share before.
    pub from: String,
    /// The canary's share from then on.
    pub to: String,
    /// Why it changed, in one sentence.
    pub reason: String,
}
