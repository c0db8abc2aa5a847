/*!
Releases, and what other people have around them, for the tests.
*/
use serde_json::{Value, json};

use serin_release::delivery::Delivery;
use serin_release::{Release, ReleaseObject};

/// The host of the Service that all of them are for.
pub(crate) const SERVICE: &str = "shop.shop.svc.cluster.local";

/// Somebody's object of this kind, `name` with its namespace.
#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
pub(crate) fn object(kind: &str, name: &str, spec: Value) -> Value {
    let (namespace, name) = name.split_once('/').unwrap();
    json!({"kind": kind, "metadata": {"namespace": namespace, "name": name}, "spec": spec})
}

/// Release `shop/NAME` for service `shop`, with `routing` as people write it.
pub(crate) fn release(name: &str, routing: &Value) -> (Release, Delivery) {
    release_with_services(name, routing, [None, None])
}

/// The same, with these Services of stable and of the canary.
pub(crate) fn release_with_services(
    name: &str,
    routing: &Value,
    services: [Option<&str>; 2],
) -> (Release, Delivery) {
    let spec = json!({"routing": routing});
    of_spec(name, &spec, services)
}

/// The same, with more of the `spec`.
pub(crate) fn release_with(name: &str, spec: &Value) -> (Release, Delivery) {
    of_spec(name, spec, [None, None])
}

fn of_spec(name: &str, more: &Value, services: [Option<&str>; 2]) -> (Release, Delivery) {
    let [stable, canary] = services.map(|name| name.map(|name| json!({"name": name})));
    let mut object = json!({
        "apiVersion": "serin.dev/v1alpha1",
        "kind": "Release",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "service": {"name": "shop", "port": 8080},
            "stable": {"targetRef": {"name": "shop-stable"}, "service": stable},
            "canary": {
                "targetRef": {"name": "shop-canary"},
                "service": canary,
                "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 10}}},
            },
        },
    });
    object["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let object: ReleaseObject = serde_json::from_value(object).unwrap();
    Release::from_object(&object, "1.5.0").unwrap()
}
