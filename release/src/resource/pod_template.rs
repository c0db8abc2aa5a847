/*!
What of a pod template makes a version, and what only tells the two Deployments apart or starts the same version again.
*/
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::rule;

/// Annotations by which tools start the same version again.
const RESTARTS: &[&str] = &[
    "kubectl.kubernetes.io/restartedAt",
    "reloader.stakater.com/*",
    "vso.secrets.hashicorp.com/restartedAt",
    "cattle.io/timestamp",
    "keel.sh/update-time",
];

/// Labels that say which version it is, or what a mesh or a cloud makes of its pods.
const OF_VERSION: &[&str] = &[
    "app.kubernetes.io/version",
    "tags.datadoghq.com/version",
    "istio.io/*",
    "sidecar.istio.io/*",
    "networking.istio.io/*",
    "topology.istio.io/*",
    "azure.workload.identity/*",
];

/// What of a pod template makes a version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct PodTemplate {
    /// Annotations that make no new version and are never copied to stable: names, or their beginnings with a `*` at the
    /// end, such as `checksum/*`. Those by which `kubectl rollout restart`, Reloader, the Vault Secrets Operator, Rancher and
    /// Keel start pods again are always among them.
    #[schemars(with = "Vec<schema::KeyPattern>", length(max = rule::MAX_PATTERNS))]
    pub ignored_annotations: Vec<String>,
    /// Labels that are part of the version and are copied to stable: names, or their beginnings with a `*` at the end.
    /// `app.kubernetes.io/version` and the labels of Istio's and of cloud identities are always among them. All others tell
    /// the two Deployments apart, and stay as they are.
    #[schemars(with = "Vec<schema::KeyPattern>", length(max = rule::MAX_PATTERNS))]
    pub version_labels: Vec<String>,
    /// Whether the `ConfigMaps` that the canary's pod template names are part of the version: what is in them, not their labels.
    /// One that changes starts a run then, when the canary has no pods, and stable's pods start anew with it in the end; the
    /// default is that it is only told in mid-run. Secrets are not tracked, for the agent has no right to see them, and
    /// Kubernetes has none to see that one has changed without reading it: write a checksum of theirs into an annotation of
    /// the pod template. Takes the promotion `Copy`.
    pub config_tracking: bool,
}

impl PodTemplate {
    /// Whether the annotation makes no new version.
    pub fn ignores_annotation(&self, name: &str) -> bool {
        is_among(name, RESTARTS, &self.ignored_annotations)
    }

    /// Whether the label is part of the version.
    pub fn has_version_label(&self, name: &str) -> bool {
        is_among(name, OF_VERSION, &self.version_labels)
    }
}

fn is_among(name: &str, always: &[&str], patterns: &[String]) -> bool {
    let fits = |pattern: &str| match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    };
    always.iter().copied().chain(patterns.iter().map(String::as_str)).any(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_name_or_its_beginning() {
        let own = PodTemplate {
            ignored_annotations: vec!["checksum/*".to_owned()],
            version_labels: vec!["team".to_owned()],
            config_tracking: false,
        };
        for (name, by_default, with_own) in [
            ("kubectl.kubernetes.io/restartedAt", true, true),
            ("kubectl.kubernetes.io/restartedAtAll", false, false),
            ("reloader.stakater.com/last-reloaded-from", true, true),
            ("checksum/config", false, true),
            ("prometheus.io/port", false, false),
        ] {
            let found = [PodTemplate::default(), own.clone()].map(|it| it.ignores_annotation(name));
            assert_eq!(found, [by_default, with_own], "{name}");
        }
        for (name, by_default, with_own) in [
            ("app.kubernetes.io/version", true, true),
            ("istio.io/rev", true, true),
            ("version", false, false),
            ("team", false, true),
            ("teams", false, false),
        ] {
            let found = [PodTemplate::default(), own.clone()].map(|it| it.has_version_label(name));
            assert_eq!(found, [by_default, with_own], "{name}");
        }
    }
}
