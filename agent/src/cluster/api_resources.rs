/*!
The kinds of objects that others define and Serin reads or writes: no crate has types for them that keep up with kube.
*/
use k8s_openapi::api::core::v1::Service;
use kube::api::Api;
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::{Client, ResourceExt};
use serde_json::Value;
use serin_release::ReleaseObject;

/// The Releases of `namespace`, whether or not this agent can read their specs: a write must not fail for the answer.
pub(super) fn releases(client: Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client, namespace, &ApiResource::erase::<ReleaseObject>(&()))
}

pub(super) fn wasm_plugin() -> ApiResource {
    resource("extensions.istio.io", "v1alpha1", "WasmPlugin", "wasmplugins")
}

pub(super) fn virtual_service() -> ApiResource {
    resource("networking.istio.io", "v1", "VirtualService", "virtualservices")
}

pub(super) fn destination_rule() -> ApiResource {
    resource("networking.istio.io", "v1", "DestinationRule", "destinationrules")
}

/// Of Serin's Services; other people's are read by their type.
pub(super) fn service() -> ApiResource {
    ApiResource::erase::<Service>(&())
}

pub(super) fn gateway() -> ApiResource {
    resource("networking.istio.io", "v1", "Gateway", "gateways")
}

pub(super) fn sidecar() -> ApiResource {
    resource("networking.istio.io", "v1", "Sidecar", "sidecars")
}

/// KEDA's autoscaler, which a cluster may not know.
pub(super) fn scaled_object() -> ApiResource {
    resource("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects")
}

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: format!("{group}/{version}"),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// The whole object as JSON, as `mesh` takes it.
pub(super) fn json(object: &DynamicObject) -> Value {
    // An object that came as JSON has a JSON form.
    serde_json::to_value(object).unwrap_or_default()
}

/// Which version of an object this is: later ones have higher numbers.
pub(super) fn version(object: &impl ResourceExt) -> u64 {
    object.resource_version().and_then(|version| version.parse().ok()).unwrap_or_default()
}
