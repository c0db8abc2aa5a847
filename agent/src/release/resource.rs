/*!
A Release as people write it: the words of the document and their defaults, not yet checked.

Numbers that need checking are kept as they were written, so that a refusal can show them, and fields that must be
there are optional, so that their absence is reported together with everything else.
*/
use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_saphyr::UserMessageFormatter;
use serin_policy::Source;
use serin_policy::cookie::{SameSite, Secure};
use serin_policy::matching::Match;

use super::OnNoData;
use super::problem::ReleaseError;
use crate::observe::prometheus::{Reporter, Settings};

/// Reads the words; `check` makes sense of them.
pub(super) fn read(yaml: &str) -> Result<Resource, ReleaseError> {
    serde_saphyr::from_str(yaml).map_err(|error| {
        let text = error.render_with_formatter(&UserMessageFormatter);
        ReleaseError::Unreadable(text.strip_prefix("error: ").unwrap_or(&text).to_owned())
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Resource {
    pub(super) api_version: Option<String>,
    pub(super) kind: Option<String>,
    #[serde(default)]
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Metadata {
    pub(super) name: Option<String>,
    pub(super) namespace: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Spec {
    #[serde(default)]
    pub(super) service: Service,
    #[serde(default)]
    pub(super) stable: Version,
    #[serde(default)]
    pub(super) canary: Version,
    #[serde(default)]
    pub(super) routing: Routing,
    #[serde(default)]
    pub(super) session_affinity: SessionAffinity,
    #[serde(default)]
    pub(super) overrides: Vec<Override>,
    #[serde(default)]
    pub(super) segments: Vec<Segment>,
    pub(super) response_header: Option<String>,
    #[serde(default)]
    pub(super) strategy: Strategy,
    #[serde(default)]
    pub(super) analysis: Analysis,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Service {
    pub(super) name: Option<String>,
    pub(super) port: u16,
}

impl Default for Service {
    fn default() -> Self {
        Self { name: None, port: 80 }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Version {
    pub(super) version: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Routing {
    /// None: the service's own name in the cluster.
    pub(super) hosts: Option<Vec<String>>,
    pub(super) path_prefix: String,
}

impl Default for Routing {
    fn default() -> Self {
        Self { hosts: None, path_prefix: "/".to_owned() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SessionAffinity {
    pub(super) sources: Vec<Source>,
    /// None: the cookie is issued as by default, if a cookie source is listed.
    pub(super) cookie: Option<Cookie>,
    pub(super) propagation: Propagation,
}

impl Default for SessionAffinity {
    fn default() -> Self {
        let sources = vec![Source::Cookie("serin".to_owned())];
        Self { sources, cookie: None, propagation: Propagation::default() }
    }
}

/// How the id reaches the services behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Propagation {
    /// In the `baggage` member `serin`, which services that forward trace context send on by themselves.
    #[default]
    Baggage,
    /// Not at all.
    None,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Cookie {
    /// None: that of the first cookie source.
    pub(super) name: Option<String>,
    pub(super) max_age: Scalar,
    pub(super) path: String,
    pub(super) domain: Option<String>,
    pub(super) same_site: SameSite,
    pub(super) http_only: bool,
    pub(super) secure: Secure,
}

impl Default for Cookie {
    fn default() -> Self {
        Self {
            name: None,
            max_age: Scalar::from("7d"),
            path: "/".to_owned(),
            domain: None,
            same_site: SameSite::default(),
            http_only: true,
            secure: Secure::default(),
        }
    }
}

/// Unlike the policy's own type, this one refuses what it does not know: a misspelled `tokenSha256` would leave
/// the override open to all.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Override {
    pub(super) header: String,
    #[serde(default, deserialize_with = "given")]
    pub(super) token_sha256: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) matches: Vec<Match>,
    pub(super) weight: Scalar,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Strategy {
    #[serde(default)]
    pub(super) canary: Canary,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Canary {
    pub(super) steps: Vec<Step>,
}

impl Default for Canary {
    fn default() -> Self {
        let steps = [("1", "2m"), ("10", "5m"), ("25", "5m"), ("50", "5m")].map(|(weight, duration)| Step {
            set_weight: Scalar::from(weight),
            pause: Some(Pause { duration: Some(Scalar::from(duration)) }),
        });
        Self { steps: steps.into() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Step {
    pub(super) set_weight: Scalar,
    #[serde(default, deserialize_with = "given")]
    pub(super) pause: Option<Pause>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pause {
    /// None: until a person approves.
    #[serde(default, deserialize_with = "given")]
    pub(super) duration: Option<Scalar>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Analysis {
    pub(super) interval: Scalar,
    pub(super) baseline: Scalar,
    pub(super) warm_up: Scalar,
    /// None: both of them. An empty list judges nothing, which must be written to be meant.
    pub(super) metrics: Option<Vec<Metric>>,
    pub(super) min_requests: u64,
    pub(super) confidence: Confidence,
    pub(super) dispersion: Scalar,
    pub(super) on_no_data: OnNoData,
    pub(super) no_data_after: Scalar,
    pub(super) source: AnalysisSource,
    pub(super) prometheus: Option<Settings>,
    pub(super) istio: Istio,
}

/// Where requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(super) enum AnalysisSource {
    #[default]
    Proxies,
    Prometheus,
    Istio,
}

/// Where Istio's standard metrics have the service.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Istio {
    pub(super) reporter: Reporter,
    pub(super) version_label: Option<String>,
    /// None: the versions' names.
    pub(super) stable: Option<String>,
    pub(super) canary: Option<String>,
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

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Confidence {
    pub(super) false_rollback: Scalar,
}

impl Default for Confidence {
    fn default() -> Self {
        Self { false_rollback: Scalar::from("1%") }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Metric {
    pub(super) name: String,
    #[serde(default)]
    pub(super) threshold_range: ThresholdRange,
    pub(super) compare: Option<Compare>,
    pub(super) objective: Option<Scalar>,
    /// What makes it a metric of people's own.
    pub(super) query: Option<String>,
    pub(super) interval: Option<Scalar>,
    #[serde(default)]
    pub(super) dry_run: bool,
}

/// How much worse than stable the canary may be.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Compare {
    pub(super) max_ratio: Option<Scalar>,
    pub(super) slack: Option<Scalar>,
}

impl Metric {
    /// The metrics that are judged by where nothing else is said.
    pub(super) fn defaults() -> Vec<Self> {
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

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ThresholdRange {
    pub(super) min: Option<Scalar>,
    pub(super) max: Option<Scalar>,
}

/// For fields whose absence is a decision: a key with nothing behind it (a template's empty variable, say) is not
/// taken for one.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A number or a text, as it was written.
#[derive(Debug)]
pub(super) struct Scalar(pub(super) String);

impl From<&str> for Scalar {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a text")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Scalar, E> {
        Err(E::custom("nothing is written here: give a number or a text"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::from(text))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar(number.to_string()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar(number.to_string()))
    }

    /// A double prints as the shortest decimal that reads back as itself, which is what was written.
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar(number.to_string()))
    }
}
