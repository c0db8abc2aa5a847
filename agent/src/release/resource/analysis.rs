/*!
How the canary is judged, as people write it.
*/
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Scalar;
use crate::observe::prometheus::{Reporter, Settings};
use crate::release::OnNoData;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Analysis {
    pub(crate) interval: Scalar,
    pub(crate) baseline: Scalar,
    pub(crate) warm_up: Scalar,
    /// None: both of them. An empty list judges nothing, which must be written to be meant.
    pub(crate) metrics: Option<Vec<Metric>>,
    pub(crate) min_requests: u64,
    pub(crate) confidence: Confidence,
    pub(crate) dispersion: Scalar,
    pub(crate) on_no_data: OnNoData,
    pub(crate) no_data_after: Scalar,
    pub(crate) source: AnalysisSource,
    pub(crate) prometheus: Option<Settings>,
    pub(crate) istio: Istio,
}

/// Where requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) enum AnalysisSource {
    #[default]
    Proxies,
    Prometheus,
    Istio,
}

/// Where Istio's standard metrics have the service.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Istio {
    pub(crate) reporter: Reporter,
    pub(crate) version_label: Option<String>,
    /// None: the versions' names.
    pub(crate) stable: Option<String>,
    pub(crate) canary: Option<String>,
}

impl Default for Analysis {
    fn default() -> Self {
        Self {
            interval: Scalar::from("1s"),
            baseline: Scalar::from("5m"),
            warm_up: Scalar::from("2s"),
            metrics: None,
            min_requests: 200,
            confidence: Confidence::default(),
            dispersion: Scalar::from("1"),
            on_no_data: OnNoData::default(),
            no_data_after: Scalar::from("10m"),
            source: AnalysisSource::default(),
            prometheus: None,
            istio: Istio::default(),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Confidence {
    pub(crate) false_rollback: Scalar,
}

impl Default for Confidence {
    fn default() -> Self {
        Self { false_rollback: Scalar::from("1%") }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Metric {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) threshold_range: ThresholdRange,
    pub(crate) compare: Option<Compare>,
    pub(crate) objective: Option<Scalar>,
    /// What makes it a metric of people's own.
    pub(crate) query: Option<String>,
    pub(crate) interval: Option<Scalar>,
    #[serde(default)]
    pub(crate) dry_run: bool,
}

/// How much worse than stable the canary may be.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Compare {
    pub(crate) max_ratio: Option<Scalar>,
    pub(crate) slack: Option<Scalar>,
}

impl Metric {
    /// The metrics that are judged by where nothing else is said.
    pub(crate) fn defaults() -> Vec<Self> {
        let metric = |name: &str| Self {
            name: name.to_owned(),
            threshold_range: ThresholdRange::default(),
            compare: None,
            objective: None,
            query: None,
            interval: None,
            dry_run: false,
        };
        ["request-success-rate", "request-duration"].map(metric).into()
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThresholdRange {
    pub(crate) min: Option<Scalar>,
    pub(crate) max: Option<Scalar>,
}
