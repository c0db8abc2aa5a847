/*!
A Release as people write it: the words of the document and their defaults, not yet checked.

Numbers that need checking are kept as they were written, so that a refusal can show them, and fields that must be
there are optional, so that their absence is reported together with everything else.
*/
mod affinity;
mod analysis;
mod routing;
mod scalar;
mod strategy;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::de::Deserializer;
use serde::{Deserialize, Serialize};
use serde_saphyr::UserMessageFormatter;
use serin_policy::matching::Match;

use super::problem::ReleaseError;
pub use affinity::Propagation;
pub(crate) use affinity::{Cookie, SessionAffinity};
pub(crate) use analysis::{Analysis, AnalysisSource, Istio, Metric};
pub use routing::Mode;
pub(crate) use routing::Routing;
pub(crate) use scalar::Scalar;
pub use strategy::PromotionMode;
pub(crate) use strategy::{Pause, Step, Strategy};

/// Reads the words; `check` makes sense of them.
pub(crate) fn read(yaml: &str) -> Result<Resource, ReleaseError> {
    serde_saphyr::from_str(yaml).map_err(|error| {
        let text = error.render_with_formatter(&UserMessageFormatter);
        ReleaseError::Unreadable(text.strip_prefix("error: ").unwrap_or(&text).to_owned())
    })
}

/// The whole document.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Resource {
    pub(crate) api_version: Option<String>,
    pub(crate) kind: Option<String>,
    #[serde(default)]
    pub(crate) metadata: Metadata,
    #[serde(default)]
    pub(crate) spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metadata {
    pub(crate) name: Option<String>,
    pub(crate) namespace: Option<String>,
}

/// How new versions of a service are released.
#[derive(CustomResource, Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[kube(group = "serin.dev", version = "v1alpha1", kind = "Release", root = "ReleaseObject", namespaced)]
#[kube(status = "crate::release::status::ReleaseStatus")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Spec {
    /// Hold everything: no step is taken until this is false again. Evidence against the canary still counts.
    #[serde(default)]
    pub(crate) suspend: bool,
    #[serde(default)]
    pub(crate) service: Service,
    #[serde(default)]
    pub(crate) stable: Version,
    #[serde(default)]
    pub(crate) canary: Version,
    #[serde(default)]
    pub(crate) routing: Routing,
    #[serde(default)]
    pub(crate) session_affinity: SessionAffinity,
    #[serde(default)]
    pub(crate) overrides: Vec<Override>,
    #[serde(default)]
    pub(crate) segments: Vec<Segment>,
    pub(crate) response_header: Option<String>,
    #[serde(default)]
    pub(crate) strategy: Strategy,
    #[serde(default)]
    pub(crate) analysis: Analysis,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Service {
    pub(crate) name: Option<String>,
    pub(crate) port: u16,
}

impl Default for Service {
    fn default() -> Self {
        Self { name: None, port: 80 }
    }
}

/// One of the two versions.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Version {
    /// What people call it. Outside a cluster the canary's version names the run; in a cluster its pod template does.
    pub(crate) version: Option<String>,
    /// The Deployment that runs it. In a cluster both versions need one.
    pub(crate) target_ref: Option<TargetRef>,
    /// The HorizontalPodAutoscaler that scales the Deployment, if one does.
    pub(crate) autoscaler_ref: Option<AutoscalerRef>,
    /// Istio's own `trafficPolicy`, for this version's subset only.
    pub(crate) traffic_policy: Option<serde_json::Value>,
}

/// A Deployment of the Release's namespace.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TargetRef {
    /// `Deployment`.
    #[serde(default = "deployment")]
    pub(crate) kind: String,
    /// Its name.
    pub(crate) name: String,
}

/// An autoscaler of the Release's namespace.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AutoscalerRef {
    /// `HorizontalPodAutoscaler`.
    #[serde(default = "autoscaler")]
    pub(crate) kind: String,
    /// Its name.
    pub(crate) name: String,
}

fn deployment() -> String {
    "Deployment".to_owned()
}

fn autoscaler() -> String {
    "HorizontalPodAutoscaler".to_owned()
}

/// Unlike the policy's own type, this one refuses what it does not know: a misspelled `tokenSha256` would leave
/// the override open to all.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Override {
    pub(crate) header: String,
    #[serde(default, deserialize_with = "given")]
    pub(crate) token_sha256: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Segment {
    pub(crate) name: String,
    pub(crate) matches: Vec<Match>,
    pub(crate) weight: Scalar,
}

/// For fields whose absence is a decision: a key with nothing behind it (a template's empty variable, say) is not
/// taken for one.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
