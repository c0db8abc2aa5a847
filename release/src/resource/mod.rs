/*!
A Release as people write it: the words of the document and their defaults, not yet checked.

Numbers that need checking are kept as they were written, so that a refusal can show them, and fields that must be
there are optional, so that their absence is reported together with everything else.
*/
mod affinity;
mod analysis;
mod approval;
pub(crate) mod document;
mod faults;
mod given;
mod hook;
mod hook_check;
mod hook_kinds;
mod metric_template;
mod mirror;
mod notification;
mod pod_template;
mod routing;
mod scalar;
pub mod schema;
mod strategy;
mod version;
mod window;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serin_policy::Policy;
use serin_policy::flags::FlagSpec;
use serin_policy::links::default_query;
use serin_policy::matching::{Match, SegmentSpec};

use super::rule;
pub use affinity::Propagation;
pub use affinity::{Cookie, SessionAffinity};
pub use analysis::{
    Analysis, AnalysisSource, Compare, Istio, Metric, SuccessRange, TemplateRef, ThresholdRange,
};
pub use approval::{Approval, OnTimeout};
pub use document::{Documents, Metadata, Resource, TemplateResource, read};
pub use faults::{Fault, FaultAbort, FaultDelay, FaultyVersion};
pub use given::Given;
pub use hook::{Hook, HookFailure, When};
pub use hook_check::{Check, Header, JsonPointer, Through};
pub use hook_kinds::{HookJob, HookLoad};
pub use metric_template::MetricTemplateSpec;
pub use mirror::Mirror;
pub use notification::{
    Address, CHANNELS, Email, Endpoint, GitHub, Level, Notification, SecretKey, Slack, Webhook,
};
pub use pod_template::PodTemplate;
pub use routing::{DeletionPolicy, Mode, RollbackRetries, Routing};
pub use scalar::Scalar;
pub use strategy::{BlueGreen, Canary, Gate, Pause, PromotionMode, Rollback, RollbackMode, Step, Strategy};
pub use version::ExtraVersion;
pub use window::{Window, WindowKind};

/// How new versions of a service are released.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend(
    "required" = ["service", "stable", "canary"],
    "x-kubernetes-validations" = [schema::validation(
        ".canary.targetRef.name",
        "self.stable.targetRef.name != self.canary.targetRef.name",
        rule::OTHER_DEPLOYMENT,
    ), schema::validation(
        ".strategy.canary.promotion.mode",
        "!has(self.strategy) || !has(self.strategy.canary) || !has(self.strategy.canary.promotion) \
         || !has(self.strategy.canary.promotion.mode) || self.strategy.canary.promotion.mode != 'Swap' \
         || !has(self.routing) || !has(self.routing.mode) || self.routing.mode != 'Verify'",
        rule::SWAP_NEEDS_MANAGED,
    ), schema::validation(
        ".strategy.canary.promotion.mode",
        "!has(self.strategy) || !has(self.strategy.canary) || !has(self.strategy.canary.promotion) \
         || !has(self.strategy.canary.promotion.mode) || self.strategy.canary.promotion.mode != 'Swap' \
         || !has(self.canary.service)",
        rule::SWAP_NEEDS_SUBSETS,
    ), schema::validation(
        ".podTemplate.configTracking",
        "!has(self.podTemplate) || !has(self.podTemplate.configTracking) || !self.podTemplate.configTracking \
         || !has(self.strategy) || ((!has(self.strategy.canary) || !has(self.strategy.canary.promotion) \
         || !has(self.strategy.canary.promotion.mode) || self.strategy.canary.promotion.mode == 'Copy') \
         && (!has(self.strategy.blueGreen) || (has(self.strategy.blueGreen.promotion) \
         && has(self.strategy.blueGreen.promotion.mode) && self.strategy.blueGreen.promotion.mode == 'Copy')))",
        rule::TRACKING_NEEDS_COPY,
    ), schema::validation(
        ".strategy.blueGreen.promotion.mode",
        "!has(self.strategy) || !has(self.strategy.blueGreen) || (has(self.strategy.blueGreen.promotion) \
         && has(self.strategy.blueGreen.promotion.mode) && self.strategy.blueGreen.promotion.mode != 'Swap') \
         || !has(self.routing) || !has(self.routing.mode) || self.routing.mode != 'Verify'",
        rule::SWAP_NEEDS_MANAGED,
    ), schema::validation(
        ".strategy.blueGreen.promotion.mode",
        "!has(self.strategy) || !has(self.strategy.blueGreen) || (has(self.strategy.blueGreen.promotion) \
         && has(self.strategy.blueGreen.promotion.mode) && self.strategy.blueGreen.promotion.mode != 'Swap') \
         || !has(self.canary.service)",
        rule::SWAP_NEEDS_SUBSETS,
    ), schema::validation(
        ".faults",
        "!has(self.faults) || self.faults.size() == 0 || !has(self.routing) || !has(self.routing.mode) \
         || self.routing.mode != 'Verify'",
        rule::FAULTS_NEED_MANAGED,
    ), schema::validation(
        ".strategy.canary.mirror",
        "!has(self.strategy) || !has(self.strategy.canary) || !has(self.strategy.canary.mirror) \
         || !has(self.routing) || !has(self.routing.mode) || self.routing.mode != 'Verify'",
        rule::mirror::NEEDS_MANAGED,
    ), schema::validation(
        ".strategy.blueGreen.mirror",
        "!has(self.strategy) || !has(self.strategy.blueGreen) || !has(self.strategy.blueGreen.mirror) \
         || !has(self.routing) || !has(self.routing.mode) || self.routing.mode != 'Verify'",
        rule::mirror::NEEDS_MANAGED,
    ), schema::validation(
        ".canary.service.name",
        "!has(self.canary.service) || (self.canary.service.name != self.service.name \
         && (!has(self.stable.service) || self.canary.service.name != self.stable.service.name))",
        rule::OTHER_SERVICE,
    ), schema::validation(
        ".stable.service",
        "!has(self.stable.service) || has(self.canary.service)",
        rule::SERVICE_OF_EACH,
    )],
))]
pub struct Spec {
    /// Whether the release is held where it is until this is false again. A canary that fails its analysis is still taken
    /// back. The default is false.
    #[serde(default)]
    pub suspend: bool,
    /// The service whose users are assigned to versions.
    #[serde(default)]
    pub service: Service,
    /// The version in use: whoever does not get the canary gets it.
    #[serde(default)]
    pub stable: Version,
    /// The new version. A change of its Deployment's pod template starts a new run.
    #[serde(default)]
    pub canary: Version,
    /// What of a pod template makes a version: all of it, but for what only tells the two Deployments apart or starts the
    /// same version again.
    #[serde(default)]
    pub pod_template: PodTemplate,
    /// How requests reach the two versions.
    #[serde(default)]
    pub routing: Routing,
    /// How callers are recognised, so that each of them stays with one version.
    #[serde(default)]
    pub session_affinity: SessionAffinity,
    /// Headers with which testers choose a version. The default is none.
    #[serde(default)]
    #[schemars(length(max = Policy::MAX_OVERRIDES))]
    pub overrides: Vec<Override>,
    /// Versions beside stable and canary, each with a share of its own that you write, behind plain Envoys. Each is judged
    /// against stable by itself, and a bad one is taken back alone. Raising or lowering a share moves callers between that
    /// version and stable, and nobody else. The default is none.
    // An older agent that reads a saved Release does not know the word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = serin_policy::Extra::MOST), extend("x-kubernetes-validations" = [{
        "rule": "self.all(one, self.exists_one(other, other.name == one.name) && one.name != 'stable' && one.name != 'canary')",
        "message": rule::versions::OTHER_NAME,
    }]))]
    pub versions: Vec<ExtraVersion>,
    /// Addresses that give a tester a version in a plain browser, until an hour that stands in each: `serin link` makes them.
    /// The default is none.
    // An older agent that reads a saved Release does not know the word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<Links>,
    /// Groups of requests with a weight of their own; the first that matches counts. The canary gets pods for what they bring.
    /// The default is none.
    #[serde(default)]
    #[schemars(length(max = Policy::MAX_SEGMENTS), extend("x-kubernetes-validations" = [{
        "rule": "self.all(one, self.exists_one(other, other.name == one.name))",
        "message": SegmentSpec::OWN_NAME,
    }]))]
    pub segments: Vec<Segment>,
    /// Feature flags: the application finds the names of those that a caller has in the request header `x-serin-flags`, with
    /// commas between them, whichever version serves them. A caller keeps a flag from release to release. The default is
    /// none.
    #[serde(default)]
    #[schemars(length(max = Policy::MAX_FLAGS), extend("x-kubernetes-validations" = [{
        "rule": "self.all(one, self.exists_one(other, other.name == one.name))",
        "message": FlagSpec::OWN_NAME,
    }]))]
    pub flags: Vec<Flag>,
    /// Faults that are injected into answers of one version, to see what becomes of it: late answers, and errors. What they
    /// make of a version counts apart, and is not judged. The default is none.
    #[serde(default)]
    #[schemars(length(max = rule::MAX_FAULTS))]
    pub faults: Vec<Fault>,
    /// A response header that shows which version answered, such as `x-served-by`. The default is none.
    #[schemars(with = "Option<schema::OwnHeaderName>")]
    pub response_header: Option<String>,
    /// Whether proxies tell their access logs, in a field for formats to show, which version a request got, and why. The
    /// default is false.
    // An older agent that reads a saved Release does not know the word.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub access_log: bool,
    /// How the new version comes in.
    #[serde(default)]
    pub strategy: Strategy,
    /// Whose word it takes where a run waits for a person. The default is anybody's who may give commands, without end.
    // An older agent that reads a saved Release does not know the word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// How the canary is judged.
    #[serde(default)]
    pub analysis: Analysis,
    /// What becomes of users of the canary when the agent has not been heard of for `agentLostAfter`, so that nobody would take
    /// back a bad version: `Stable` has the proxies send everybody to stable by themselves, until the agent is back and
    /// goes on; `Hold` leaves all as it is. From the promotion on there is no other version to go to, and all is left as it
    /// is. The default is `Stable`.
    // An older agent that reads a saved Release does not know the word.
    #[serde(default, skip_serializing_if = "OnAgentLost::is_default")]
    pub on_agent_lost: OnAgentLost,
    /// How long the agent may be silent, 3m to 24h. With proxies' clocks off by a minute it is a minute more or less. The
    /// default is `15m`.
    // As above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Duration>")]
    pub agent_lost_after: Option<Scalar>,
    /// Times at which users are moved to a new version, and times at which nobody is. The agent's operator may have others
    /// besides. The default is any time.
    // An older agent that reads a saved Release does not know the word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = rule::MAX_WINDOWS), extend("x-kubernetes-validations" = [{
        "rule": "self.all(one, self.exists_one(other, other.name == one.name))",
        "message": rule::OTHER_WINDOW,
    }]))]
    pub windows: Vec<Window>,
    /// Who is asked at points of a run, in a cluster, as Flagger asks: gates, tests of the canary, load. The default is nobody.
    // An older agent that reads a saved Release does not know the word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = rule::hook::MAX_HOOKS), extend("x-kubernetes-validations" = [{
        "rule": "self.all(one, self.exists_one(other, other.name == one.name))",
        "message": rule::hook::OTHER_HOOK,
    }]))]
    pub hooks: Vec<Hook>,
    /// Who is told of the release, in a cluster. The agent's operator may have others told besides. The default is nobody.
    // An older agent that reads a saved Release does not know the word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = rule::MAX_NOTIFICATIONS), extend("x-kubernetes-validations" = [{
        "rule": "self.all(one, self.exists_one(other, other.name == one.name))",
        "message": rule::OTHER_NOTIFICATION,
    }]))]
    pub notifications: Vec<Notification<SecretKey>>,
}

/// What becomes of users of the canary when the agent falls silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum OnAgentLost {
    /// Proxies send everybody to stable.
    #[default]
    Stable,
    /// All is left as it is.
    Hold,
}

impl OnAgentLost {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The service whose users are assigned to versions.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name"]))]
pub struct Service {
    /// The name of the Service, in the Release's namespace. It must select the pods of both versions; where the canary has a
    /// `service` of its own, those of stable and no others.
    #[schemars(with = "Option<schema::Label>")]
    pub name: Option<String>,
    /// The Service's port that Gateways lead to, 1 to 65535. Callers inside the mesh reach each version at every HTTP port.
    /// The default is the Service's only port, or 80 among several.
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
}

/// One of the two versions.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("required" = ["targetRef"]))]
pub struct Version {
    /// The version's name. The default is `stable` for the stable version. In a cluster the canary's name comes from its
    /// pod template, and what is written here is ignored.
    #[schemars(with = "Option<schema::VersionName>")]
    pub version: Option<String>,
    /// The Deployment that runs the version.
    pub target_ref: Option<TargetRef>,
    /// What scales the Deployment, if something does. The default is none.
    pub autoscaler_ref: Option<AutoscalerRef>,
    /// A Service with the pods of this version and no others, to which its requests go. With one for the canary, whoever
    /// comes past the filter meets stable alone. The default is none for the canary: both versions are subsets of
    /// `spec.service` then. For stable it is `spec.service`.
    pub service: Option<VersionService>,
    /// The `trafficPolicy` of Istio's DestinationRule, for this version only. The default is that of `routing`.
    #[schemars(with = "Option<schema::Istios>")]
    pub traffic_policy: Option<serde_json::Value>,
    /// The `headers` of Istio's route for requests of this version only: what is set, added and removed, besides `headers` of
    /// `routing`. The default is nothing.
    #[schemars(with = "Option<schema::Istios>")]
    pub headers: Option<serde_json::Value>,
}

/// The Service of one version.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionService {
    /// The Service's name, in the Release's namespace. Where there is none of the canary's and `routing.mode` is `Managed`,
    /// Serin makes it, with the ports of `spec.service`, and it goes with the Release.
    #[schemars(with = "schema::Label")]
    pub name: String,
}

/// A Deployment of the Release's namespace.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetRef {
    /// The kind, which is `Deployment`; that is also the default.
    #[serde(default = "deployment")]
    #[schemars(extend("enum" = [rule::DEPLOYMENT]))]
    pub kind: String,
    /// The Deployment's name, in the Release's namespace.
    #[schemars(with = "schema::Label")]
    pub name: String,
}

/// An autoscaler of the Release's namespace.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AutoscalerRef {
    /// The kind: `HorizontalPodAutoscaler`, which is the default, or KEDA's `ScaledObject`.
    #[serde(default = "autoscaler")]
    #[schemars(extend("enum" = rule::AUTOSCALERS))]
    pub kind: String,
    /// The autoscaler's name, in the Release's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

fn deployment() -> String {
    rule::DEPLOYMENT.to_owned()
}

fn autoscaler() -> String {
    rule::AUTOSCALERS[0].to_owned()
}

/// A header by which a tester names the version they want, `stable` or `canary`.
// Unlike the policy's own type, this one refuses what it does not know: a misspelled `tokenSha256` would leave the
// override open to all.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Override {
    /// The header's name in lower case, such as `x-canary`.
    #[schemars(with = "schema::HeaderName")]
    pub header: String,
    /// The SHA-256, as 64 hexadecimal digits, of a token that testers must add to the version, as in
    /// `x-canary: canary:TOKEN`; never the token itself. Without this, anybody can use the override.
    #[serde(default, skip_serializing_if = "Given::is_left_out")]
    #[schemars(with = "Option<schema::TokenSha256>")]
    pub token_sha256: Given<String>,
}

/// By what addresses for testers are known.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Links {
    /// The key that `serin link NAME --key` makes of a token. It is no secret: with it proxies tell whether a link is right,
    /// and nobody can make one.
    #[schemars(with = "schema::LinkKey")]
    pub key: String,
    /// The parameter of an address's query that makes a link of it. The default is `serin`, as in
    /// `https://shop.example.com/cart?serin=…`.
    #[serde(default = "default_query")]
    #[schemars(with = "schema::QueryName")]
    pub query: String,
}

/// A feature flag.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flag {
    /// What the application calls it.
    #[schemars(with = "schema::Label")]
    pub name: String,
    /// The share of callers that has it, in percent, 0 to 100. Raising it takes it from nobody.
    #[schemars(with = "schema::Percentage")]
    pub percentage: Scalar,
    /// Who has it besides: whoever makes a request that meets all conditions of any one of these. The default is nobody.
    #[serde(default)]
    #[schemars(length(max = FlagSpec::MAX_MATCHES))]
    pub matches: Vec<Match>,
}

/// A group of requests with a weight of its own.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// The segment's name, as it appears in metrics.
    #[schemars(with = "schema::Label")]
    pub name: String,
    /// Which requests belong to the segment: those that meet all conditions of any one of these.
    #[schemars(length(min = 1, max = SegmentSpec::MAX_MATCHES))]
    pub matches: Vec<Match>,
    /// The share of the segment that gets the canary, in percent, 0 to 100: 100 for testers, 0 for users who must never
    /// get it. None of its members is in the share of a version of `spec.versions`.
    #[schemars(with = "schema::Percentage")]
    pub weight: Scalar,
    /// The version of `spec.versions` that the share gets in the canary's place, by its name.
    // An older agent that reads a saved Release does not know the word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Label>")]
    pub version: Option<String>,
}
