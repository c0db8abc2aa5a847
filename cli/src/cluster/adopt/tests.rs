//! What is made of what is there.

use k8s_openapi::api::apps::v1::Deployment;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::*;
use crate::draft::{checked, together};

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A Deployment whose pods have the label `version`.
fn deployment(name: &str, version: &str, replicas: u32, created: &str) -> Deployment {
    let labels = json!({"app": "shop", "version": version});
    read(json!({
        "metadata": {"name": name, "creationTimestamp": created},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "shop"}]}},
        },
    }))
}

/// A Service of pods with these labels.
fn service(name: &str, selector: &Value, ports: &Value) -> Service {
    read(json!({"metadata": {"name": name}, "spec": {"selector": selector, "ports": ports}}))
}

/// A shop at v1 and v2.
fn shop() -> Found {
    Found {
        namespace: "ns".to_owned(),
        services: vec![service("shop", &json!({"app": "shop"}), &json!([{"name": "http", "port": 80}]))],
        deployments: vec![
            deployment("shop-v1", "v1", 2, "2026-11-01T00:00:00Z"),
            deployment("shop-v2", "v2", 1, "2026-11-02T00:00:00Z"),
        ],
        sees_all_routes: true,
        ..Found::default()
    }
}

fn route(kind: &str, name: &str, spec: &Value) -> Arc<Value> {
    Arc::new(json!({"kind": kind, "metadata": {"name": name, "namespace": "ns"}, "spec": spec}))
}

/// Two subsets by the label `version`, and so much for v2.
fn weighted(v2: u32) -> Vec<Arc<Value>> {
    let to =
        |subset: &str, weight| json!({"destination": {"host": "shop", "subset": subset}, "weight": weight});
    let subset = |version: &str| json!({"name": version, "labels": {"version": version}});
    vec![
        route(
            "DestinationRule",
            "shop",
            &json!({
                "host": "shop",
                "subsets": [subset("v1"), subset("v2")],
                "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 7}}},
            }),
        ),
        route(
            "VirtualService",
            "shop",
            &json!({
                "hosts": ["shop.example.com", "shop"],
                "gateways": ["istio-ingress/main", "mesh"],
                "http": [
                    {"match": [{"headers": {"x-canary": {"exact": "yes"}}}], "route": [to("v2", 100)]},
                    {"route": [to("v1", 100 - v2), to("v2", v2)], "timeout": "3s"},
                ],
            }),
        ),
    ]
}

/// What is proposed says all of `parts`, and is what Serin takes; or is refused so.
#[track_caller]
fn check(found: &Found, what: &str, parts: &[&str]) {
    let what: Option<What> = (!what.is_empty()).then(|| what.parse().unwrap());
    let asked = Asked { what: what.as_ref(), ..Asked::default() };
    let said =
        propose(found, &asked).and_then(|draft| checked(&[draft]).map(|documents| together(&documents)));
    let said = said.unwrap_or_else(|error| format!("refused: {error:#}"));
    // A comment goes over several lines.
    let flat = said.replace("\n#  ", "");
    for part in parts {
        assert!(said.contains(part) || flat.contains(part), "{part:?} is not in:\n{said}");
    }
}

#[test]
fn a_service_is_found_by_its_name_by_a_deployment_or_by_itself() {
    let found = shop();
    for what in ["", "shop", "service/shop", "svc/shop", "deployment/shop-v2", "shop-v1"] {
        check(&found, what, &["metadata:\n  name: shop\n  namespace: ns\n", "service:\n    name: shop\n"]);
    }
    for (what, says) in [
        ("nothing", "refused: there is neither a Service nor a Deployment nothing in ns"),
        ("service/nothing", "refused: there is no Service nothing in ns"),
        ("deployment/nothing", "refused: there is no Deployment nothing in ns"),
    ] {
        check(&found, what, &[says]);
    }
    let mut two = shop();
    two.services.push(service("other", &json!({"app": "shop"}), &json!([{"port": 80}])));
    check(&two, "", &["refused: ns has several Services: shop, other: write serin adopt NAME"]);
    check(&two, "shop-v1", &["refused: several Services select the pods of Deployment shop-v1"]);
    two.services[1] = service("only-v2", &json!({"version": "v2"}), &json!([{"port": 80}]));
    check(&two, "deployment/shop-v2", &["service:\n    name: shop\n"]);
    assert!("pod/shop".parse::<What>().is_err());
}

#[test]
fn the_deployment_that_serves_is_told_from_the_other() {
    let stable_is = |found: &Found, name: &str, why: &str| {
        let stable = format!("stable:\n    targetRef:\n      name: {name}\n");
        check(found, "", &[&stable, why]);
    };
    stable_is(&shop(), "shop-v1", "by their names");
    let mut found = shop();
    found.routes = weighted(90);
    stable_is(&found, "shop-v2", "a VirtualService gives it more");
    found.routes = weighted(50);
    stable_is(&found, "shop-v1", "by their names");
    let named = |one: &str, other: &str, replicas| {
        let mut found = shop();
        found.deployments = vec![
            deployment(one, "v1", 1, "2026-11-02T00:00:00Z"),
            deployment(other, "v2", replicas, "2026-11-01T00:00:00Z"),
        ];
        found
    };
    stable_is(&named("shop-green", "shop-blue", 1), "shop-blue", "by their names");
    stable_is(&named("shop-canary", "shop", 1), "shop", "by their names");
    stable_is(&named("a", "b", 5), "b", "it has more pods");
    stable_is(&named("a", "b", 1), "b", "it is older");
    stable_is(&named("shop-v10", "shop-v9", 1), "shop-v9", "by their names");
}

#[test]
fn other_numbers_of_deployments_than_two_are_said() {
    let mut found = shop();
    found.deployments.push(deployment("shop-v3", "v3", 1, "2026-11-03T00:00:00Z"));
    check(
        &found,
        "",
        &["refused: 3 Deployments are behind Service shop: shop-v1, shop-v2, shop-v3: name two of them"],
    );
    let asked = Asked { stable: Some("shop-v2"), canary: Some("shop-v3"), ..Asked::default() };
    let draft = propose(&found, &asked).unwrap();
    assert!(together(&checked(&[draft]).unwrap()).contains("stable:\n    targetRef:\n      name: shop-v2\n"));
    let asked = Asked { stable: Some("shop"), ..Asked::default() };
    assert_eq!(
        propose(&found, &asked).unwrap_err().to_string(),
        "--stable: shop: there is no such Deployment in ns"
    );
    found.deployments.truncate(1);
    let to_do = "to do: there is no Deployment shop-canary. Make it from shop-v1";
    check(&found, "", &["canary:\n    targetRef:\n      name: shop-canary\n", to_do]);
    found.deployments.clear();
    check(&found, "shop", &["refused: no Deployment is behind Service shop"]);
}

#[test]
fn a_canary_past_the_service_gets_one_of_its_own() {
    let mut found = shop();
    found.services[0] = service("shop", &json!({"version": "v1"}), &json!([{"name": "http", "port": 80}]));
    let own = |name: &str| format!("targetRef:\n      name: shop-v2\n    service:\n      name: {name}\n");
    check(&found, "shop", &[&own("shop-v2")]);
    found.services.push(service(
        "shop-next",
        &json!({"version": "v2"}),
        &json!([{"name": "http", "port": 80}]),
    ));
    check(&found, "shop", &[&own("shop-next")]);
}

#[test]
fn versions_that_routes_reach_by_a_service_each_keep_them() {
    let mut found = shop();
    let of = |name: &str, version: &str| {
        service(name, &json!({"version": version}), &json!([{"name": "http", "port": 80}]))
    };
    found.services.extend([of("shop-old", "v1"), of("shop-new", "v2")]);
    let to = |host: &str, weight| json!({"destination": {"host": host}, "weight": weight});
    let http = json!([{"route": [to("shop-old", 100), to("shop-new", 0)]}]);
    found.routes = vec![route("VirtualService", "shop", &json!({"hosts": ["shop"], "http": http}))];
    let own = |version: &str, service: &str| {
        format!("targetRef:\n      name: shop-{version}\n    service:\n      name: {service}\n")
    };
    check(&found, "service/shop", &[&own("v1", "shop-old"), &own("v2", "shop-new"), "replaced-by=shop"]);
    // Where users call the one of stable's pods, there is no other.
    let http = json!([{"route": [to("shop-old", 100), to("shop-new", 0)]}]);
    let spec = json!({"hosts": ["shop.example.com"], "gateways": ["main"], "http": http});
    found.routes = vec![route("VirtualService", "shop", &spec)];
    check(
        &found,
        "service/shop-old",
        &["stable:\n    targetRef:\n      name: shop-v1\n  canary:", &own("v2", "shop-new")],
    );
}

#[test]
fn the_port_and_what_scales_are_as_they_are() {
    let mut found = shop();
    found.services[0] = service(
        "shop",
        &json!({"app": "shop"}),
        &json!([{"name": "tcp-admin", "port": 9000}, {"name": "http-web", "port": 8080}]),
    );
    found.scalers = vec![Scaler { kind: "ScaledObject", name: "shop".into(), deployment: "shop-v1".into() }];
    let scaler = "name: shop-v1\n    autoscalerRef:\n      kind: ScaledObject\n      name: shop\n";
    check(&found, "", &["name: shop\n    port: 8080\n", "9000 (tcp-admin), 8080 (http-web)", scaler]);
}

#[test]
fn plain_routes_are_replaced_and_others_are_kept() {
    let mut found = shop();
    check(&found, "", &["No VirtualService leads to the Service"]);
    found.routes = weighted(10);
    check(
        &found,
        "",
        &[
            "gateways:\n    - istio-ingress/main\n    - mesh\n    hosts:\n    - shop.example.com\n    timeout: 3s\n",
            "maxConnections: 7",
            "left out: ns/shop has a route for [{\"headers\":{\"x-canary\":{\"exact\":\"yes\"}}}]",
            "kubectl annotate virtualservice shop -n ns serin.dev/replaced-by=shop",
            "kubectl annotate destinationrule shop -n ns serin.dev/replaced-by=shop",
        ],
    );
    let to = |host: &str| json!([{"destination": {"host": host}}]);
    let (uploads, health) = (json!([{"uri": {"prefix": "/upload"}}]), json!([{"uri": {"exact": "/health"}}]));
    let http = json!([
        {"match": uploads, "route": to("shop"), "timeout": "60s"},
        {"match": health, "directResponse": {"status": 200}},
        {"match": [{"uri": {"prefix": "/cart"}}], "route": to("cart")},
        {"route": to("shop"), "rewrite": {"uri": "/v1/"}},
    ]);
    let spec = json!({"hosts": ["shop.example.com"], "gateways": ["main"], "http": http, "exportTo": ["."]});
    found.routes = vec![route("VirtualService", "shop", &spec)];
    let written = [
        "rewrite:\n      uri: /v1/\n",
        "http:\n    - match:\n      - uri:\n          prefix: /upload\n      timeout: 60s\n    - directResponse:",
        "host: cart",
        "exportTo:\n    - '.'\n",
    ];
    check(&found, "", &written);
    for (http, why) in [
        (json!([{"route": to("shop"), "mirror": {"host": "shop"}}]), "spec.http[0] of ns/shop has a mirror"),
        (json!([{"route": to("shop")}, {"route": to("cart")}]), "leads to cart.ns.svc.cluster.local"),
        (
            json!([{"redirect": {"uri": "/a"}}, {"route": to("shop")}]),
            "spec.http[0] of ns/shop has a redirect",
        ),
        (json!([{"match": [{"uri": {"prefix": "/a"}}], "route": to("shop")}]), "asks for the uri"),
    ] {
        let spec = json!({"hosts": ["shop.example.com"], "gateways": ["main"], "http": http});
        found.routes = vec![route("VirtualService", "shop", &spec)];
        check(&found, "", &["mode: Verify", "gateways:\n    - main\n", why]);
    }
}

#[test]
fn a_service_that_is_released_already_is_not_adopted_again() {
    let mut found = shop();
    let spec = json!({"service": {"name": "shop"}});
    found.releases = vec![read(json!({"metadata": {"name": "shopping"}, "spec": spec}))];
    check(&found, "shop", &["refused: Release shopping is for Service shop already"]);
}
