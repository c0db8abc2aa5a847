/*!
Where a release's requests are found among Istio's standard metrics.
*/
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The label that tells versions apart, unless another one is named.
pub const DEFAULT_VERSION_LABEL: &str = "destination_version";

/// Whose report is counted. Both see each request, so it is one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reporter {
    /// The callers' proxies: they also see what never reached the service, and gateways always are there.
    #[default]
    Source,
    /// The service's own sidecars.
    Destination,
}

impl Reporter {
    /// The label `reporter` as Istio writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }
}

/// Where a release's requests are found among Istio's metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Istio {
    /// Whose report is counted.
    pub reporter: Reporter,
    /// The service's namespace: `destination_service_namespace`.
    pub namespace: String,
    /// The service's name: `destination_service_name`. Stable's, where each version has a Service of its own.
    pub service: String,
    /// The same of the canary.
    pub canary_service: String,
    /// The label that tells its versions apart.
    pub version_label: String,
    /// What that label says of stable.
    pub stable: String,
    /// What that label says of the canary.
    pub canary: String,
    /// Requests that take longer are slow.
    pub objective_ms: u32,
}
