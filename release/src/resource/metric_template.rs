/*!
A metric as people share it between Releases.
*/
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Compare, Metric, Scalar, SuccessRange, ThresholdRange, schema};
use crate::rule;

/// A metric's query, and what Releases that name it are judged by where they say nothing else.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricTemplateSpec {
    /// The namespaces whose Releases may use it besides its own; `*` is all of them. The default is none.
    #[serde(default)]
    #[schemars(with = "Vec<schema::Namespaces>", length(max = rule::MAX_SHARED_WITH))]
    pub shared_with: Vec<String>,
    /// PromQL with the variables that a metric's own `query` has. It is asked of the Prometheus of the Release.
    #[schemars(with = "schema::Query")]
    pub query: String,
    /// The time between two readings, 1s to 1h, where a Release gives none. The default is `15s`.
    #[schemars(with = "Option<schema::Duration>")]
    pub interval: Option<Scalar>,
    /// Which values are good, where a Release gives no `thresholdRange`.
    #[serde(default)]
    pub threshold_range: ThresholdRange,
    /// At which values a release goes on, where it gives no `successRange`. The default is `thresholdRange`.
    #[serde(default)]
    pub success_range: SuccessRange,
    /// How much worse than stable the canary may be, where a Release gives no `compare`.
    pub compare: Option<Compare>,
}

impl MetricTemplateSpec {
    /// Whether Releases of another namespace may use it.
    pub fn is_shared_with(&self, namespace: &str) -> bool {
        self.shared_with.iter().any(|shared| shared == "*" || shared == namespace)
    }

    /// `metric` with what it leaves out as it is here.
    pub fn fill_in(&self, metric: &Metric) -> Metric {
        let of_template = self.clone();
        let metric = metric.clone();
        Metric {
            query: Some(of_template.query),
            template_ref: None,
            interval: metric.interval.or(of_template.interval),
            threshold_range: if metric.threshold_range.is_empty() {
                of_template.threshold_range
            } else {
                metric.threshold_range
            },
            success_range: if metric.success_range.is_empty() {
                of_template.success_range
            } else {
                metric.success_range
            },
            compare: metric.compare.or(of_template.compare),
            ..metric
        }
    }

    /// Whether `field` of `metric` is as it is here, once that is filled in.
    pub fn decides(&self, field: &str, metric: &Metric) -> bool {
        let has_own_limit = !metric.threshold_range.is_empty();
        match field {
            "query" => true,
            "interval" => metric.interval.is_none(),
            "thresholdRange" => !has_own_limit && !self.threshold_range.is_empty(),
            // Within a limit of the Release's own it is the Release's to be right.
            "successRange" => !has_own_limit && metric.success_range.is_empty(),
            "compare" => metric.compare.is_none(),
            _ => false,
        }
    }
}
