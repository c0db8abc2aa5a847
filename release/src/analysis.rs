/*!
What a canary is judged by.
*/
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serin_policy::evidence::{Allowance, Dispersion};
use serin_policy::fuse::FuseSpec;

use super::Percent;
use crate::prometheus::{Access, Istio, Template, Workload};

/// What a canary is judged by, and how carefully.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// How often the proxies are read: 100 ms to 5 min.
    pub interval: Duration,
    /// How long everybody stays on stable at first, while those whom the steps will move are compared with the rest.
    pub baseline: Duration,
    /// For how long slow answers do not count after the canary was given users or pods. Failures always count.
    pub warm_up: Duration,
    /// How long everybody is on the canary before its version becomes stable: until then there is a way back.
    pub bake: Duration,
    /// How many requests to the canary in a step a good verdict takes, from 1.
    pub min_requests: u64,
    /// How often a good canary may be taken back, all metrics together: above 0, at most 50 %.
    pub false_rollback: Percent,
    /// How many versions share that chance: the canary, and those beside it.
    pub judged: u8,
    /// How many bad requests come at a time at least; the estimate from stable's own past is used where it is higher.
    pub dispersion: Dispersion,
    /// Whether proxies close a canary by themselves whose failures exceed stable's beyond doubt.
    pub has_fuse: bool,
    /// What requests are judged by, and where "bad" begins.
    pub criteria: BTreeMap<Metric, Criterion>,
    /// A request that takes longer is counted as slow, judged or not. Whole milliseconds, from 1.
    pub objective_ms: u32,
    /// People's own metrics.
    pub custom: Vec<CustomMetric>,
    /// The Deployments of stable and canary, where people's own metrics may ask for them: in a cluster.
    pub workloads: Option<[Workload; 2]>,
    /// What to do when a step gets too few requests for a verdict.
    pub no_data: NoData,
    /// Where requests are counted.
    pub source: CountSource,
    /// The Prometheus that is asked for counts, unless the proxies are, and for people's own metrics. A Release in a cluster
    /// only names one, in its [`Delivery`](crate::delivery::Delivery): whoever knows the operator's fills this in.
    pub prometheus: Option<Access>,
}

impl Analysis {
    /// When a proxy closes the canary by itself, if it is to: where failures are judged.
    pub fn fuse(&self) -> Option<FuseSpec> {
        let judged = self.criterion(Metric::RequestSuccessRate).filter(|_| self.has_fuse)?;
        Some(FuseSpec::beside(judged.compare))
    }

    /// Whether there is something to ask a Prometheus for.
    pub fn needs_prometheus(&self) -> bool {
        self.source != CountSource::Proxies || !self.custom.is_empty()
    }
}

/// Where requests are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CountSource {
    /// By the proxies, which are asked themselves.
    Proxies,
    /// By the proxies, whose counts a Prometheus has.
    Prometheus,
    /// By Istio's standard metrics, which a Prometheus has.
    Istio(Istio),
}

/// A metric of people's own.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomMetric {
    /// What it is called.
    pub name: String,
    /// What is asked.
    pub query: Template,
    /// The time between two readings. Readings of overlapping times would be the same evidence twice.
    pub interval: Duration,
    /// The canary's smallest and largest good value: beyond, it is taken back.
    pub range: (Option<f64>, Option<f64>),
    /// The smallest and the largest value at which the release goes on, within `range`.
    pub success: (Option<f64>, Option<f64>),
    /// How much larger than stable's the canary's value may be, where the two are compared.
    pub compare: Option<Excess>,
    /// Whether it is only shown.
    pub dry_run: bool,
}

/// How much larger than stable's value the canary's may be: `ratio` × that + `slack`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Excess {
    /// The factor, from 1.
    pub ratio: f64,
    /// What is allowed on top, in the metric's own unit.
    pub slack: f64,
}

impl CustomMetric {
    /// Of how many readings of a good canary one may be out of range, or larger than is allowed: one in ten.
    pub const TOLERANCE: f64 = 0.1;
}

/// Where "bad" begins, for one metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Criterion {
    /// The largest share of the canary's requests that may be bad, for the metrics that have a limit. Where as many are
    /// bad on stable, or were while their users were there, it is as much more as `compare` allows.
    pub limit: Option<Percent>,
    /// How much worse than stable the canary may be.
    pub compare: Allowance,
}

/// What to do when a step gets too few requests for a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoData {
    /// What.
    pub then: OnNoData,
    /// After how long, counted from when the step is observed. [`OnNoData::Pause`] has nothing to wait for.
    pub after: Duration,
}

/// What to do without data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum OnNoData {
    /// Stay at the step until there is data.
    #[default]
    Pause,
    /// Take the canary back.
    Rollback,
    /// Go on without a verdict.
    Promote,
}

/// What is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Requests that do not fail, and users who meet no failure.
    RequestSuccessRate,
    /// Requests that take no longer than the objective.
    RequestDuration,
    /// How long the slowest of stable's requests take: its p95 and p99.
    LatencyTail,
    /// Requests that fail, by group of routes: of one that is dead the sum of all shows little.
    RouteErrors,
    /// Answers that blame the client: 4xx, and what gRPC has of the kind.
    ClientErrors,
    /// Callers who leave before there is an answer.
    ClientAborts,
    /// The canary's share of the requests, which its users had while they were on stable.
    TrafficShare,
}

impl Metric {
    /// Every metric there is.
    pub const ALL: [Self; 7] = [
        Self::RequestSuccessRate,
        Self::RequestDuration,
        Self::LatencyTail,
        Self::RouteErrors,
        Self::ClientErrors,
        Self::ClientAborts,
        Self::TrafficShare,
    ];

    /// What people call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestSuccessRate => "request-success-rate",
            Self::RequestDuration => "request-duration",
            Self::LatencyTail => "latency-tail",
            Self::RouteErrors => "route-errors",
            Self::ClientErrors => "client-errors",
            Self::ClientAborts => "client-aborts",
            Self::TrafficShare => "traffic-share",
        }
    }

    /// The metric that people call so.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.as_str() == name)
    }

    /// How much worse than stable a canary may be where nothing else is said: so many times its value, and so many percent
    /// on top.
    pub const fn default_allowance(self) -> (&'static str, &'static str) {
        match self {
            Self::RequestSuccessRate => ("1.5", "0.1%"),
            Self::RequestDuration | Self::ClientErrors | Self::ClientAborts => ("1.5", "1%"),
            Self::LatencyTail => ("1.2", "1%"),
            Self::RouteErrors => ("1.5", "0.025%"),
            Self::TrafficShare => ("2", "0%"),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Analysis {
    /// Where "bad" begins for `metric`, if it is judged.
    pub fn criterion(&self, metric: Metric) -> Option<Criterion> {
        self.criteria.get(&metric).copied()
    }

    /// The evidence, as ln E, at which all tests together take the canary back, or a finding that takes nothing back holds
    /// it: ln(1/α).
    pub fn needed(&self) -> f64 {
        f64::from(self.judged).ln() - self.false_rollback.share().ln()
    }
}
