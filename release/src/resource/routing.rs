/*!
How requests reach the two versions, as people write it.
*/
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::schema;

/// How requests reach the two versions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.gateways) || self.gateways.size() > 0",
        "message": "gateways: give at least one Gateway as namespace/name, or leave it out for [mesh]",
        "fieldPath": ".gateways",
    },
    {
        "rule": "!has(self.meshNamespaces) || !has(self.gateways) || 'mesh' in self.gateways",
        "message": "meshNamespaces: add mesh to spec.routing.gateways, or leave the namespaces out",
        "fieldPath": ".meshNamespaces",
    },
    {
        "rule": "!has(self.gateways) || self.gateways.all(gateway, gateway == 'mesh') || has(self.hosts)",
        "message": "hosts: give the hosts by which clients reach the service through the Gateway, such as [shop.example.com]",
        "fieldPath": ".hosts",
    },
]))]
pub struct Routing {
    /// Who writes the routes: with `Managed` Serin has a VirtualService and a DestinationRule of its own; with `Verify` it
    /// checks that yours do what is needed, and never writes them. Neither is written while weights move. The default is
    /// `Managed`.
    pub mode: Mode,
    /// Where requests come in: Istio Gateways as `namespace/name` (or `name`, in the Release's namespace), and `mesh` for
    /// the sidecars of callers. Callers are assigned to versions there. The default is `[mesh]`.
    #[schemars(with = "Vec<schema::GatewayName>", length(max = 32), extend("x-kubernetes-list-type" = "set"))]
    pub gateways: Vec<String>,
    /// The namespaces whose sidecars call the service, if `mesh` is among the gateways. The default is the Release's own.
    #[schemars(with = "Option<Vec<schema::Label>>", length(min = 1, max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub mesh_namespaces: Option<Vec<String>>,
    /// Hosts by which clients reach the service, such as `shop.example.com`. To be given when a Gateway is named. The
    /// default is the service's own name in the cluster; with `mesh` that is always among them.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 253)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub hosts: Option<Vec<String>>,
    /// Path prefix under which requests are assigned, by whole segments: `/api` takes `/api/x` and not `/apix`. Other
    /// requests go to stable. The default is `/`.
    pub path_prefix: String,
    /// How long a request may take, e.g. `10s`: the `timeout` of Istio's VirtualService. The default is Istio's own: no
    /// limit.
    #[schemars(with = "Option<schema::Duration>")]
    pub timeout: Option<String>,
    /// The `retries` of Istio's VirtualService. The default is Istio's own.
    #[schemars(with = "Option<schema::Istios>")]
    pub retries: Option<Value>,
    /// The `fault` of Istio's VirtualService: faults that are injected on purpose. The default is none.
    #[schemars(with = "Option<schema::Istios>")]
    pub fault: Option<Value>,
    /// The `corsPolicy` of Istio's VirtualService. The default is none.
    #[schemars(with = "Option<schema::Istios>")]
    pub cors_policy: Option<Value>,
    /// The `headers` of Istio's VirtualService: what is set, added and removed. The default is nothing.
    #[schemars(with = "Option<schema::Istios>")]
    pub headers: Option<Value>,
    /// The `trafficPolicy` of Istio's DestinationRule, for both versions. The default is Istio's own.
    #[schemars(with = "Option<schema::Istios>")]
    pub traffic_policy: Option<Value>,
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

impl Default for Routing {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            gateways: vec!["mesh".to_owned()],
            mesh_namespaces: None,
            hosts: None,
            path_prefix: "/".to_owned(),
            timeout: None,
            retries: None,
            fault: None,
            cors_policy: None,
            headers: None,
            traffic_policy: None,
        }
    }
}
