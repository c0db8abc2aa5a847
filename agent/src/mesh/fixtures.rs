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
    let [stable, canary] = services.map(|name| name.map(|name| json!({"name": name})));
    let object: ReleaseObject = serde_json::from_value(json!({
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
            "routing": routing,
        },
    }))
    .unwrap();
    Release::from_object(&object, "1.5.0").unwrap()
}
