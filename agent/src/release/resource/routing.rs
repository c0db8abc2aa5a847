/*!
How requests reach the two versions, as people write it.
*/
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How requests reach the two versions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Routing {
    /// Who writes the routes. Neither is written while weights move.
    pub(crate) mode: Mode,
    /// Where requests come in: Istio Gateways as `namespace/name` (or `name`, in the Release's namespace), and `mesh`
    /// for the sidecars of the callers. `[mesh]` by default.
    pub(crate) gateways: Vec<String>,
    /// With `mesh`: the namespaces whose sidecars call the service. The Release's own by default.
    pub(crate) mesh_namespaces: Option<Vec<String>>,
    /// Hosts by which clients reach the service. The service's own name in the cluster by default; with `mesh` that
    /// is always among them.
    pub(crate) hosts: Option<Vec<String>>,
    /// Path prefix under which requests are assigned; `/` by default.
    pub(crate) path_prefix: String,
    /// How long a request may take, e.g. `10s`: the VirtualService's `timeout`.
    pub(crate) timeout: Option<String>,
    /// The VirtualService's `retries`.
    pub(crate) retries: Option<Value>,
    /// The VirtualService's `fault`.
    pub(crate) fault: Option<Value>,
    /// The VirtualService's `corsPolicy`.
    pub(crate) cors_policy: Option<Value>,
    /// The VirtualService's `headers`.
    pub(crate) headers: Option<Value>,
    /// The DestinationRule's `trafficPolicy`, for both versions.
    pub(crate) traffic_policy: Option<Value>,
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
