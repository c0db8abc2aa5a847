/*!
What a Release's `status` says: an API that people, `kubectl`, Argo CD and a page read. `docs/status.md` has it for them.

Numbers are numbers. What a word can be is an enum. What an earlier agent has left in another form is read as far as it
makes sense and never keeps a Release from being read.
*/
mod analysis;
mod share;

use std::fmt;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

pub use analysis::{
    AnalysisStatus, ForecastStatus, InjectedStatus, MetricStatus, MetricVersion, NotJudged, RaisedBy,
    RatioStatus, RequestsStatus, SegmentStatus, Unit, UsersStatus, VerdictStatus,
};
pub use share::{Served, Share};

/// How a release is doing. Written by Serin only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReleaseStatus {
    /// The generation of the spec that the rest of the status is about.
    pub observed_generation: Option<i64>,
    /// Where the release stands.
    #[serde(deserialize_with = "or_default")]
    pub phase: ReleasePhase,
    /// Why it stands there, for people.
    pub message: String,
    /// The present run, named by the canary's image tag and a hash of its pod template.
    pub run: Option<String>,
    /// How the new version comes in.
    #[serde(deserialize_with = "or_default")]
    pub strategy: Strategy,
    /// The present step; missing before the first and after the last.
    #[serde(deserialize_with = "or_default")]
    pub step: Option<StepStatus>,
    /// The share of callers that is to get the new version.
    #[serde(deserialize_with = "or_default")]
    pub weight: Share,
    /// What the new version served in this step, of all requests that were assigned by chance.
    #[serde(deserialize_with = "or_default")]
    pub served: Option<Served>,
    /// The versions, with what each is to get and has served: stable first.
    #[serde(deserialize_with = "or_default")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub versions: Vec<VersionStatus>,
    /// What the evidence says; missing while nothing is judged.
    #[serde(deserialize_with = "or_default")]
    pub analysis: Option<AnalysisStatus>,
    /// The proxies that assign callers.
    pub proxies: ProxyCounts,
    /// `Accepted`, `Ready`, `Routed`, `Progressing` and `Healthy`; `Reconciling` and `Stalled` only where they are so.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The last command that a person gave, and what came of it.
    #[serde(deserialize_with = "or_default")]
    pub command: Option<CommandStatus>,
    /// How those do who are told of the release by `spec.notifications`.
    #[serde(deserialize_with = "or_default")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub notifications: Vec<NotificationStatus>,
    /// The last ten runs, the latest first.
    #[serde(deserialize_with = "or_default")]
    pub history: Vec<RunRecord>,
    /// The Deployment that is the stable one now, where versions change places.
    pub stable_deployment: Option<String>,
    /// What the agent needs to go on after a restart, as JSON. Of no use to people, and not for them to edit.
    pub state: Option<String>,
}

/// Where a release stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReleasePhase {
    /// Nothing is to release: there was no run yet, or stable and canary have the same version.
    #[default]
    Idle,
    /// A run has begun, and the canary is given its pods. Nobody gets it.
    Preparing,
    /// The canary is ready for testers, and everybody else stays on stable for the baseline.
    Starting,
    /// At one of its steps.
    Progressing,
    /// At a weight that is none of its steps'. A person must say how to go on.
    OffPlan,
    /// Everybody is on the new version, and it is watched before it becomes stable.
    Baking,
    /// Everybody is on the new version of a blue-green release, and the old one keeps its pods for the way back.
    Keeping,
    /// Everybody is to go to the new version, and it becomes stable.
    Promoting,
    /// Stable has the new version, and everybody is on it.
    Promoted,
    /// Everybody goes back to stable; the canary has its pods until nobody needs them.
    RollingBack,
    /// The evidence was against the canary, or it could not serve: everybody is on stable.
    RolledBack,
    /// A person ended the run: everybody is on stable.
    Aborted,
    /// This agent cannot read what another has saved of the run: whatever is under way stays as it is.
    Unknown,
}

impl ReleasePhase {
    /// All there are, in the order of a release.
    pub const ALL: [Self; 13] = [
        Self::Idle,
        Self::Preparing,
        Self::Starting,
        Self::Progressing,
        Self::OffPlan,
        Self::Baking,
        Self::Keeping,
        Self::Promoting,
        Self::Promoted,
        Self::RollingBack,
        Self::RolledBack,
        Self::Aborted,
        Self::Unknown,
    ];

    /// The phase as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "Idle",
            Self::Preparing => "Preparing",
            Self::Starting => "Starting",
            Self::Progressing => "Progressing",
            Self::OffPlan => "OffPlan",
            Self::Baking => "Baking",
            Self::Keeping => "Keeping",
            Self::Promoting => "Promoting",
            Self::Promoted => "Promoted",
            Self::RollingBack => "RollingBack",
            Self::RolledBack => "RolledBack",
            Self::Aborted => "Aborted",
            Self::Unknown => "Unknown",
        }
    }
}

impl fmt::Display for ReleasePhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a new version comes in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Strategy {
    /// In steps, by share of the callers.
    #[default]
    Canary,
    /// For everybody at once, with the old version kept for the way back.
    BlueGreen,
}

/// A step, of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepStatus {
    /// Which one: the first is 1.
    pub index: u32,
    /// How many there are.
    pub of: u32,
}

/// One version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VersionStatus {
    /// What the filter calls it, in the request header that routes go by.
    pub name: String,
    /// What it is in this release.
    pub role: Role,
    /// Its Deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// The share of callers that is to get it.
    pub weight: Share,
    /// What it served in this step, of all requests that were assigned by chance; of a version beside stable and canary, of
    /// its own and stable's since it was opened or its share was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served: Option<Served>,
    /// What the evidence says of a version beside stable and canary, while it has its share and after it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<VerdictStatus>,
    /// How a version beside stable and canary stands, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What a version is in a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Role {
    /// The others are held against it, and everybody can go back to it.
    Stable,
    /// It is being released.
    Canary,
    /// It stands beside the two, with a share of its own.
    Extra,
}

/// Odds of one in so many releases. Two digits count, and a billion stands for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Odds {
    /// A good canary looks as bad as this one at most once in so many releases.
    pub now: u64,
    /// The canary is rolled back when it is this many.
    pub needed: u64,
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

impl ProxyCounts {
    /// Whether every one runs the present policy.
    pub const fn all_current(&self) -> bool {
        self.current == self.total
    }
}

/// A command that was heard, by annotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandStatus {
    /// What tells it from every other: `serin.dev/command-id`, where whoever gave it has written one.
    pub id: String,
    /// The word that was written.
    pub command: String,
    /// When it was heard.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// What came of it.
    pub outcome: CommandOutcome,
    /// Who gave it and why, by their own account; where it was refused, also why that.
    pub message: String,
}

/// What came of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CommandOutcome {
    /// It was obeyed.
    Taken,
    /// It makes no sense now, and changed nothing.
    Refused,
}

/// How somebody does who is told of the release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotificationStatus {
    /// The name in `spec.notifications`.
    pub name: String,
    /// The last event that they were told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// When that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub at: Option<Timestamp>,
    /// Why the last message did not get there. Missing where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
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
    /// How it ended. Missing while it lasts.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Option::is_none")]
    pub outcome: Option<RunOutcome>,
    /// Every change of the weight, the latest last.
    pub changes: Vec<WeightChange>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RunOutcome {
    /// Its version is stable.
    Promoted,
    /// It was rolled back.
    RolledBack,
    /// A person ended it.
    Aborted,
    /// Another run took its place.
    Replaced,
}

/// A change of the weight: who, when, why, from what to what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WeightChange {
    /// When it changed.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// Who decided it: the planner, or a person.
    pub by: String,
    /// The canary's share before.
    pub from: Share,
    /// The canary's share from then on.
    pub to: Share,
    /// Why it changed, in a word.
    pub reason: String,
    /// Why it changed, for people.
    #[serde(default)]
    pub message: String,
}

/// A field as it is written now, or its default for whatever else another agent has left there.
fn or_default<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(from: D) -> Result<T, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_are_written_as_they_are_called() {
        for phase in ReleasePhase::ALL {
            assert_eq!(json!(phase), phase.as_str());
        }
        for verdict in VerdictStatus::ALL {
            assert_eq!(json!(verdict), verdict.as_str());
        }
    }

    #[test]
    fn what_an_earlier_agent_wrote_is_read_as_far_as_it_makes_sense() {
        let change = json!({
            "at": "2026-11-21T17:26:51Z", "by": "the planner", "from": "0%", "to": "12.5%", "reason": "step 1 of 2"
        });
        let status: ReleaseStatus = serde_json::from_value(json!({
            "phase": "Waiting", "strategy": "Canary", "step": "1/2", "weight": "12.5%", "served": "9.8%",
            "verdict": "healthy", "run": "v2", "state": "{}", "proxies": {"current": 1, "total": 1, "bypassed": 0},
            "history": [{"run": "v2", "started": "2026-11-21T17:26:51Z", "outcome": "Promoted", "changes": [change]}],
        }))
        .unwrap();
        assert_eq!((status.phase, status.step, status.served), (ReleasePhase::Idle, None, None));
        assert_eq!(status.weight.to_string(), "12.5%");
        let run = &status.history[0];
        assert_eq!(
            (run.outcome, run.changes[0].to.to_string()),
            (Some(RunOutcome::Promoted), "12.5%".to_owned())
        );
        assert_eq!((status.run.as_deref(), status.state.as_deref()), (Some("v2"), Some("{}")));
    }
}
