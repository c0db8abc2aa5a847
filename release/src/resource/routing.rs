/*!
How requests reach the two versions, as people write it.
*/
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use serin_policy::Policy;
use serin_policy::retries::RetriesSpec;

use super::{Scalar, schema};
use crate::rule;

/// How requests reach the two versions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    schema::validation(".gateways", "!has(self.gateways) || self.gateways.size() > 0", rule::GATEWAYS),
    schema::validation(
        ".meshNamespaces",
        "!has(self.meshNamespaces) || !has(self.gateways) || 'mesh' in self.gateways",
        rule::MESH_NAMESPACES,
    ),
    schema::validation(
        ".hosts",
        "!has(self.gateways) || self.gateways.all(gateway, gateway == 'mesh') || has(self.hosts)",
        rule::HOSTS,
    ),
]))]
pub struct Routing {
    /// Who writes the routes. `Managed`: Serin, into a VirtualService and a DestinationRule of its own. `Verify`: you;
    /// Serin checks that yours do what is needed and never writes them. Either way routes do not change while weights do.
    /// The default is `Managed`.
    pub mode: Mode,
    /// What becomes of Serin's routes when the Release is deleted. `Keep`: they stay and lead everybody to stable, and a
    /// Release of the same name takes them over. `Delete`: they go, and whoever has no other route gets no answer. With
    /// `Verify` the routes are yours and stay as they are. The default is `Keep`.
    pub deletion_policy: DeletionPolicy,
    /// Where requests come in and callers are assigned to versions: Istio Gateways as `namespace/name` (or `name`, in the
    /// Release's namespace), and `mesh` for the callers' sidecars. The default is `[mesh]`.
    #[schemars(with = "Vec<schema::GatewayName>", length(max = rule::MAX_GATEWAYS))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub gateways: Vec<String>,
    /// The namespaces of the callers whose sidecars assign, if `mesh` is among the gateways. The default is the Release's
    /// own.
    #[schemars(with = "Option<Vec<schema::Label>>", length(min = 1, max = rule::MAX_MESH_NAMESPACES))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub mesh_namespaces: Option<Vec<String>>,
    /// Hosts by which clients reach the service, such as `shop.example.com`. Required with a Gateway. The default is the
    /// service's own name in the cluster, which is always added for `mesh`. With `mesh`, another namespace's host takes that
    /// namespace's consent: its label `serin.dev/hosts-from` with the Release's namespace.
    #[schemars(length(min = 1, max = rule::MAX_HOSTS), inner(length(min = 1, max = 253)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub hosts: Option<Vec<String>>,
    /// Hosts by which everybody gets the new version for as long as a run has one, such as `preview.shop.example.com`: for
    /// testers. At other times they get stable. What comes by them is not judged. The default is none.
    #[schemars(length(max = Policy::MAX_PREVIEW_HOSTS), inner(length(min = 1, max = 253)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub preview_hosts: Vec<String>,
    /// Only requests under this path are assigned, by whole segments: `/api` takes `/api/x` and not `/apix`. All others go
    /// to stable. The default is `/`.
    #[schemars(with = "schema::PathPrefix")]
    pub path_prefix: String,
    /// How long a request may take, e.g. `10s`: the `timeout` of Istio's VirtualService. Without it
    /// Istio sets no limit.
    #[schemars(with = "Option<schema::Duration>")]
    pub timeout: Option<String>,
    /// The `retries` of Istio's VirtualService. The default is Istio's own.
    #[schemars(with = "Option<schema::Istios>")]
    pub retries: Option<Value>,
    /// How requests are tried again while users go back, for a while after each rollback and abort: beside what `retries`, or
    /// your routes, say. The default is nothing.
    pub rollback_retries: Option<RollbackRetries>,
    /// The `fault` of Istio's VirtualService: delays and errors injected on purpose. The default is none.
    #[schemars(with = "Option<schema::Istios>")]
    pub fault: Option<Value>,
    /// The `corsPolicy` of Istio's VirtualService. The default is none.
    #[schemars(with = "Option<schema::Istios>")]
    pub cors_policy: Option<Value>,
    /// The `headers` of Istio's VirtualService: what is set, added and removed. The default is nothing.
    #[schemars(with = "Option<schema::Istios>")]
    pub headers: Option<Value>,
    /// The `rewrite` of Istio's VirtualService, for what is under `pathPrefix`: the path or the host that both versions get.
    /// The default is none.
    #[schemars(with = "Option<schema::Istios>")]
    pub rewrite: Option<Value>,
    /// The `trafficPolicy` of Istio's DestinationRule, for both versions. The default is Istio's own.
    #[schemars(with = "Option<schema::Istios>")]
    pub traffic_policy: Option<Value>,
    /// HTTP routes that come before all others, with the fields of Istio's. Each has a `match`. One with a `route`, a
    /// `redirect`, a `directResponse` or a `delegate` is yours. One without any of these leads to the version that a caller has,
    /// with what else it says, such as a `timeout` or a `rewrite`, and without what stands here. The default is none.
    #[schemars(with = "Vec<schema::Istios>", length(max = rule::routes::MAX))]
    pub http: Vec<Value>,
    /// The `tls` routes of Istio's VirtualService, beside Serin's: connections are nobody's, so they lead to stable or to
    /// another service. The default is none.
    #[schemars(with = "Vec<schema::Istios>", length(max = rule::routes::MAX))]
    pub tls: Vec<Value>,
    /// The `tcp` routes of Istio's VirtualService, with the same in mind. The default is none.
    #[schemars(with = "Vec<schema::Istios>", length(max = rule::routes::MAX))]
    pub tcp: Vec<Value>,
    /// The `exportTo` of Serin's VirtualService and DestinationRules: the namespaces whose proxies know these routes, `.` for the
    /// Release's own and `*` for all. The default is the mesh's, which usually is all.
    #[schemars(length(min = 1, max = rule::routes::MAX_EXPORTS), inner(length(min = 1, max = 63)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub export_to: Option<Vec<String>>,
}

/// How requests are tried again while users go back.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RollbackRetries {
    /// How often at most, after the first try; 1 to 10. The default is 3.
    #[schemars(range(min = 1, max = RetriesSpec::MAX_ATTEMPTS))]
    pub attempts: u32,
    /// How long each try may take; 1ms to 1h. The default is as long as the request.
    #[schemars(with = "Option<schema::Duration>")]
    pub per_try_timeout: Option<Scalar>,
    /// When, with commas between conditions: Envoy's `5xx`, `gateway-error`, `reset`, `reset-before-request`, `connect-failure`,
    /// `envoy-ratelimited`, `retriable-4xx`, `refused-stream` and `http3-post-connect-failure`, and gRPC's `cancelled`,
    /// `deadline-exceeded`, `internal`, `resource-exhausted` and `unavailable`. The default is `connect-failure`,
    /// `refused-stream` and `reset-before-request`: no request is tried again by these that a version may have acted on.
    #[schemars(with = "schema::RetryConditions")]
    pub retry_on: String,
    /// For how long, from when a proxy knows of the rollback; 1s to 1h. The default is `2m`.
    #[schemars(with = "schema::Duration")]
    pub duration: Scalar,
}

impl Default for RollbackRetries {
    fn default() -> Self {
        Self {
            attempts: 3,
            per_try_timeout: None,
            retry_on: "connect-failure,refused-stream,reset-before-request".to_owned(),
            duration: Scalar::from("2m"),
        }
    }
}

/// Who writes the routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Serin: a VirtualService and a DestinationRule of its own.
    #[default]
    Managed,
    /// You: Serin checks that your VirtualService and DestinationRule do what is needed, and writes neither.
    Verify,
}

/// What becomes of Serin's routes when the Release is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They stay and lead everybody to stable.
    #[default]
    Keep,
    /// They go.
    Delete,
}

impl Default for Routing {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            deletion_policy: DeletionPolicy::default(),
            gateways: vec!["mesh".to_owned()],
            mesh_namespaces: None,
            hosts: None,
            preview_hosts: Vec::new(),
            path_prefix: "/".to_owned(),
            timeout: None,
            retries: None,
            rollback_retries: None,
            fault: None,
            cors_policy: None,
            headers: None,
            rewrite: None,
            traffic_policy: None,
            http: Vec::new(),
            tls: Vec::new(),
            tcp: Vec::new(),
            export_to: None,
        }
    }
}
