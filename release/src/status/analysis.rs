/*!
What the evidence of a run says, as it is shown in a status.
*/
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Odds, Share};

/// What the evidence of a run says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisStatus {
    /// The verdict on the present step.
    pub verdict: VerdictStatus,
    /// The same for people, with its numbers.
    pub message: String,
    /// Requests to the canary that the verdict goes by.
    pub requests: RequestsStatus,
    /// Each metric that is looked at.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub metrics: Vec<MetricStatus>,
    /// Users who met a failure, where proxies tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<UsersStatus>,
    /// Users of segments that have the canary as a whole, by metric.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<SegmentStatus>,
    /// What is not judged at present, besides what the spec leaves out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_judged: Vec<NotJudged>,
    /// Requests of this run that met a fault of `spec.faults`. They count here and are judged nowhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub injected: Vec<InjectedStatus>,
    /// How soon faults would be caught, by step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forecasts: Vec<ForecastStatus>,
}

/// A verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VerdictStatus {
    /// Within its limits and no worse than allowed.
    Pass,
    /// Worse than allowed.
    Fail,
    /// Too few requests, or a metric of one's own that says nothing.
    NotEnoughData,
    /// A metric speaks against the canary, but it could be chance, or one of one's own is between its two limits.
    Unclear,
    /// Both versions are beyond a limit at present, so it is not the canary's.
    SharedTrouble,
    /// New callers do not get the canary in the share asked for.
    SampleRatio,
    /// The canary gets fewer requests than its users made while they were on stable.
    TrafficShare,
}

impl VerdictStatus {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::Pass,
        Self::Fail,
        Self::NotEnoughData,
        Self::Unclear,
        Self::SharedTrouble,
        Self::SampleRatio,
        Self::TrafficShare,
    ];

    /// The verdict as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "Pass",
            Self::Fail => "Fail",
            Self::NotEnoughData => "NotEnoughData",
            Self::Unclear => "Unclear",
            Self::SharedTrouble => "SharedTrouble",
            Self::SampleRatio => "SampleRatio",
            Self::TrafficShare => "TrafficShare",
        }
    }
}

/// Requests, of how many that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestsStatus {
    /// So many there were in this step.
    pub have: u64,
    /// So many it takes.
    pub need: u64,
}

/// One metric, in this run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricStatus {
    /// What it is called.
    pub name: String,
    /// What is counted.
    pub unit: Unit,
    /// What each version got.
    pub versions: Vec<MetricVersion>,
    /// The largest share of the canary's that may be bad at present, where the metric has such a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Share>,
    /// Why that is more than the Release says, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_raised_by: Option<RaisedBy>,
    /// The smallest share of bad requests that would be caught within the present step, by the traffic before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smallest_fault: Option<Share>,
    /// How many times stable's share of bad ones the canary's is, where both had any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<RatioStatus>,
    /// How many bad requests come at a time, and are taken for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispersion: Option<f64>,
    /// How unlikely a good canary is to look as bad as this one.
    pub odds: Odds,
    /// Whether it is only shown, and holds or rolls back nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// What raises a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RaisedBy {
    /// Stable has as many bad requests at present.
    Stable,
    /// The canary's users had as many while they were on stable.
    Users,
}

/// How the users of a segment fare that has the canary as a whole, by one metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SegmentStatus {
    /// The segment.
    pub segment: String,
    /// The metric.
    pub metric: String,
    /// Their requests in this run.
    pub count: u64,
    /// The bad ones among them.
    pub bad: u64,
    /// The largest share of them that may be bad at present: beyond it the run is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Share>,
    /// The share beyond which the canary is taken back, since a few users do not make as much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_beyond: Option<Share>,
    /// How unlikely a good canary is to look as bad as this one: to go beyond that share.
    pub odds: Odds,
}

/// Something that is not judged at present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotJudged {
    /// What: a metric, or users.
    pub what: String,
    /// Why not.
    pub why: String,
}

/// Requests of a version that met a fault on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InjectedStatus {
    /// The version's name.
    pub name: String,
    /// How many there were.
    pub requests: u64,
}

/// A ratio, and the bounds it keeps with 95 % confidence, however often one looks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RatioStatus {
    /// The ratio.
    pub estimate: f64,
    /// It is at least this.
    pub low: f64,
    /// And at most this.
    pub high: f64,
}

/// How users fared, each counted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsersStatus {
    /// Users who failed for the first time in this run, on the canary.
    pub canary_failed: u64,
    /// And on stable.
    pub stable_failed: u64,
    /// About how many different users the canary has had.
    #[serde(default)]
    pub canary_users: u64,
    /// About how many of them have met a failure.
    #[serde(default)]
    pub canary_users_failed: u64,
    /// How unlikely a good canary is to look as bad as this one.
    pub odds: Odds,
}

/// How long a fault would take to be caught at a step, by the traffic before the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForecastStatus {
    /// The step, from 1.
    pub step: u32,
    /// Seconds until a canary that fails three times as often as stable is caught; none for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threefold_seconds: Option<u64>,
    /// The same of one that fails ten times as often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenfold_seconds: Option<u64>,
}

/// What a metric counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Unit {
    /// Requests, of which some failed or were slow.
    Requests,
    /// Readings of a metric of one's own, of which some were out of range.
    Readings,
}

/// What a version got by one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricVersion {
    /// The version's name.
    pub name: String,
    /// Requests, or readings.
    pub count: u64,
    /// The bad ones among them.
    pub bad: u64,
    /// The latest reading, where it was a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}
