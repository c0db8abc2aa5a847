/*!
How the canary is judged, as people write it.
*/
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Scalar, schema};
use crate::prometheus::{Reporter, Settings};
use crate::{Metric as BuiltIn, OnNoData, rule};

/// How the canary is judged.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Analysis {
    /// How often the proxies' counters are read, 100ms to 5m. The default is `1s`.
    #[schemars(with = "schema::Duration")]
    pub interval: Scalar,
    /// How long everybody stays on stable at first. Meanwhile the users whom each step will move are compared with all
    /// others, so that the canary is not blamed for errors that they had before; 0s to 24h. The default is `5m`.
    #[schemars(with = "schema::Duration")]
    pub baseline: Scalar,
    /// For how long slow answers do not count after the canary was given users or pods, for cold caches and the like; 0s to
    /// 24h. Failures always count. The default is `30s`, or a quarter of the shortest step that lasts for a given time,
    /// if that is less.
    #[schemars(with = "Option<schema::Duration>")]
    pub warm_up: Option<Scalar>,
    /// How long everybody is on the new version before it becomes stable; 0s to 24h. Meanwhile stable keeps its pods, and
    /// the new version is judged by what stable did in this run: when it fails, everybody goes back. The default is `5m`.
    #[schemars(with = "schema::Duration")]
    pub bake: Scalar,
    /// What the canary is judged by. The default is all that is built in: `request-success-rate` (and users who meet a
    /// failure), `request-duration`, `latency-tail` (stable's p95 and p99), `route-errors`, `client-errors` (4xx),
    /// `client-aborts` (callers who leave before an answer) and `traffic-share`. With an empty list nothing is judged.
    #[schemars(length(max = rule::MAX_METRICS))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub metrics: Option<Vec<Metric>>,
    /// How many requests the canary must have had in a step before it can pass, at least 1. It can fail after fewer. The
    /// default is 200.
    #[schemars(range(min = 1))]
    pub min_requests: u64,
    /// How sure the analysis must be.
    pub confidence: Confidence,
    /// How many bad requests belong together on average, as when one broken user retries; 1 to 1000. They are counted as
    /// one. Serin estimates the number from stable, and uses this one where it is larger. The default is 1.
    #[schemars(with = "f64", range(min = *rule::FACTOR.start(), max = *rule::FACTOR.end()))]
    pub dispersion: Scalar,
    /// Whether every proxy closes the canary by itself when it fails far more often than stable does: more than twice as often
    /// and one in twenty on top, or what `compare` of `request-success-rate` allows if that is more. It works between two
    /// looks of the agent, and with no agent at all; the agent then takes everybody back. The default is true.
    pub fuse: bool,
    /// What to do when a step gets too few requests for a verdict: `Pause` stays at the step until there are enough,
    /// `Rollback` takes the canary back, `Promote` goes on without a verdict. The default is `Pause`.
    pub on_no_data: OnNoData,
    /// How long a step may last with too few requests before `onNoData` acts, if that is `Rollback` or `Promote`; 0s to
    /// 24h. The default is `10m`.
    #[schemars(with = "schema::Duration")]
    pub no_data_after: Scalar,
    /// Where requests are counted: `Proxies` asks the proxies themselves, `Prometheus` asks a Prometheus for the proxies'
    /// counts, `Istio` asks it for Istio's standard metrics. The default is `Proxies`.
    pub source: AnalysisSource,
    /// The Prometheus that is asked for counts, by the sources `Prometheus` and `Istio`, and for metrics with a `query`. In a
    /// cluster the default is the agent's source `default`; outside one it is needed.
    pub prometheus: Option<Settings>,
    /// Where Istio's standard metrics have the service; for the source `Istio`.
    pub istio: Istio,
}

/// Where requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum AnalysisSource {
    /// By the proxies, which are asked themselves.
    #[default]
    Proxies,
    /// By the proxies, whose counts a Prometheus has.
    Prometheus,
    /// By Istio's standard metrics, which a Prometheus has.
    Istio,
}

/// Where Istio's standard metrics have the service.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Istio {
    /// Whose report is counted: that of the callers' proxies (`source`), which also see what never reached the service, or
    /// that of the service's own (`destination`). The default is `source`.
    pub reporter: Reporter,
    /// The label of Istio's metrics that tells the versions apart. The default is `destination_version`.
    #[schemars(with = "Option<schema::MetricLabel>")]
    pub version_label: Option<String>,
    /// The value of that label for the stable version; in a cluster for the Deployment that `spec.stable` names, whichever
    /// version is there. The default is what the labels of that Deployment's pods make it, or the version's name.
    #[schemars(length(max = 63))]
    pub stable: Option<String>,
    /// The value of that label for the canary, likewise of `spec.canary`.
    #[schemars(length(max = 63))]
    pub canary: Option<String>,
}

impl Default for Analysis {
    fn default() -> Self {
        Self {
            interval: Scalar::from("1s"),
            baseline: Scalar::from("5m"),
            bake: Scalar::from("5m"),
            warm_up: None,
            metrics: None,
            min_requests: 200,
            confidence: Confidence::default(),
            dispersion: Scalar::from("1"),
            fuse: true,
            on_no_data: OnNoData::default(),
            no_data_after: Scalar::from("10m"),
            source: AnalysisSource::default(),
            prometheus: None,
            istio: Istio::default(),
        }
    }
}

/// How sure the analysis must be.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Confidence {
    /// The chance that a good canary is taken back by mistake, all metrics together: more than 0% and at most 50%. The
    /// default is `1%`.
    #[schemars(with = "schema::Percentage")]
    pub false_rollback: Scalar,
}

impl Default for Confidence {
    fn default() -> Self {
        Self { false_rollback: Scalar::from("1%") }
    }
}

/// Something that the canary is judged by.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = Metric::validations()))]
pub struct Metric {
    /// One that is built in, such as `request-success-rate`, or a name of its own for a metric with a `query`.
    #[schemars(with = "schema::MetricName")]
    pub name: String,
    /// Which values are good. Of those built in, `request-success-rate` and `request-duration` have such a limit.
    #[serde(default)]
    pub threshold_range: ThresholdRange,
    /// For a metric with a `query`: the values at which the release goes on. Between these and `thresholdRange`, beyond which
    /// the canary is taken back, it stays where it is. The default is `thresholdRange`.
    #[serde(default)]
    pub success_range: SuccessRange,
    /// How much worse than stable the canary may be. A metric with a `query` is compared with stable only if this is given;
    /// those built in always are.
    pub compare: Option<Compare>,
    /// For `request-duration`: a request that takes longer is slow; 1ms to 24h. The default is `500ms`.
    #[schemars(with = "Option<schema::Duration>")]
    pub objective: Option<Scalar>,
    /// PromQL for a metric of your own, with the variables `{{ namespace }}`, `{{ name }}`, `{{ service }}`, `{{ arm }}`
    /// (stable or canary), `{{ version }}` and `{{ interval }}`; in a cluster also `{{ deployment }}`, `{{ pods }}` (a
    /// pattern of the pods' names, for `=~`) and `{{ labels.NAME }}` (of the pods). Outside a cluster it needs
    /// `analysis.prometheus`.
    #[schemars(with = "Option<schema::Query>")]
    pub query: Option<String>,
    /// A MetricTemplate that has the `query`, instead of one here, and what else is left out here of `interval`,
    /// `thresholdRange`, `successRange` and `compare`.
    // An older agent that reads a saved Release does not know the word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_ref: Option<TemplateRef>,
    /// The time between two readings of the `query`, 1s to 1h. The default is `15s`.
    #[schemars(with = "Option<schema::Duration>")]
    pub interval: Option<Scalar>,
    /// Whether the metric of the `query` is shown and not judged. The default is false.
    #[serde(default)]
    pub dry_run: bool,
}

/// Which MetricTemplate is meant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateRef {
    /// Its name.
    #[schemars(with = "schema::Label")]
    pub name: String,
    /// Its namespace. The default is the Release's own; another one has to share it (`spec.sharedWith`).
    #[schemars(with = "Option<schema::Label>")]
    pub namespace: Option<String>,
}

/// How much worse than stable the canary may be.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Compare {
    /// How many times stable's value the canary's may be, 1 to 1000: of the share of bad requests, or of the value of the
    /// `query`; for `traffic-share`, by which factor the canary's requests may be fewer than its users made before. The
    /// default is 1.5, for `latency-tail` 1.2.
    #[schemars(with = "Option<f64>", range(min = *rule::FACTOR.start(), max = *rule::FACTOR.end()))]
    pub max_ratio: Option<Scalar>,
    /// What is allowed on top of that: a percentage, such as `0.1%`, or for a `query` a number in its own unit. The default
    /// is `0.1%` for `request-success-rate`, `0.025%` for `route-errors`, 0 for `traffic-share` and a `query`, and `1%` for
    /// the rest.
    #[schemars(with = "Option<schema::Quantity>")]
    pub slack: Option<Scalar>,
}

impl Metric {
    /// The metrics that are judged by where nothing else is said.
    pub fn defaults() -> Vec<Self> {
        let metric = |name: &str| Self {
            name: name.to_owned(),
            threshold_range: ThresholdRange::default(),
            success_range: SuccessRange::default(),
            compare: None,
            objective: None,
            query: None,
            template_ref: None,
            interval: None,
            dry_run: false,
        };
        BuiltIn::ALL.map(BuiltIn::as_str).map(metric).into()
    }

    fn validations() -> Value {
        let built_in = format!("self.name in {:?}", BuiltIn::ALL.map(BuiltIn::as_str));
        let has_query = "has(self.query) || has(self.templateRef)";
        let duration = BuiltIn::RequestDuration;
        json!([
            schema::validation(".name", format!("{has_query} || {built_in}"), rule::BUILT_IN),
            schema::validation(".name", format!("!({has_query}) || !({built_in})"), rule::OWN_NAME),
            schema::validation(".query", "!has(self.query) || !has(self.templateRef)", rule::ONE_QUERY),
            schema::validation(
                ".objective",
                format!("!has(self.objective) || self.name == '{duration}'"),
                rule::NO_OBJECTIVE,
            ),
            schema::validation(
                ".successRange",
                format!("!has(self.successRange) || {has_query}"),
                rule::NO_SUCCESS_RANGE,
            ),
            schema::validation(
                ".thresholdRange",
                "!has(self.query) || has(self.thresholdRange) || has(self.compare)",
                rule::WHAT_IS_GOOD,
            ),
        ])
    }
}

/// Which values are good.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThresholdRange {
    /// The smallest good value: for `request-success-rate` the percentage of requests that do not fail (the default is 99),
    /// for a `query` a number in its own unit.
    #[schemars(with = "Option<schema::Quantity>")]
    pub min: Option<Scalar>,
    /// The largest good value: for `request-duration` the percentage of requests that are slow (the default is 5), for a
    /// `query` a number in its own unit.
    #[schemars(with = "Option<schema::Quantity>")]
    pub max: Option<Scalar>,
}

impl ThresholdRange {
    /// Whether it has no limit.
    pub const fn is_empty(&self) -> bool {
        self.min.is_none() && self.max.is_none()
    }
}

/// The values at which a release goes on.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuccessRange {
    /// The smallest of them, in the unit of the `query`; not below `thresholdRange.min`.
    #[schemars(with = "Option<schema::Quantity>")]
    pub min: Option<Scalar>,
    /// The largest of them, likewise; not above `thresholdRange.max`.
    #[schemars(with = "Option<schema::Quantity>")]
    pub max: Option<Scalar>,
}

impl SuccessRange {
    /// Whether it has no limit.
    pub const fn is_empty(&self) -> bool {
        self.min.is_none() && self.max.is_none()
    }
}
