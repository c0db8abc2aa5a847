//! What is found of other people's routes, rules and Sidecars.

use super::*;
use crate::mesh::fixtures::{SERVICE, object};

#[test]
fn routes_that_lead_to_the_whole_service_are_named() {
    let check = |name: &str, spec: Value, expected: &[&str]| {
        finds(|world| world.routes.push(object("VirtualService", name, spec)), expected);
    };
    let to = |destination: Value| json!({"hosts": ["old.example.com"], "gateways": ["edge/gw"], "http": [{"route": [{"destination": destination}]}]});
    let past = "leads to shop.shop.svc.cluster.local without a subset";
    check(
        "web/a",
        to(json!({"host": SERVICE})),
        &[&format!("Warning VirtualService web/a: spec.http[0].route {past}")],
    );
    check(
        "shop/a",
        to(json!({"host": "shop"})),
        &[&format!("Warning VirtualService shop/a: spec.http[0].route {past}")],
    );
    check("web/a", to(json!({"host": "shop"})), &[]);
    check("web/a", to(json!({"host": SERVICE, "subset": "stable"})), &[]);
    check(
        "shop/a",
        json!({"http": [{"route": [{"destination": {"host": "other"}}]}, {"route": [{"destination": {"host": "shop"}}]}]}),
        &[&format!("Warning VirtualService shop/a: spec.http[1].route of a delegate {past}")],
    );
    check(
        "web/a",
        json!({"hosts": ["x.com"], "tls": [{"match": [{"sniHosts": ["x.com"]}], "route": [{"destination": {"host": SERVICE}}]}]}),
        &[&format!("Warning VirtualService web/a: spec.tls[0].route {past}")],
    );
    // What takes the same host keeps the Release out altogether.
    check(
        "shop/a",
        json!({"hosts": ["shop"], "http": [{"route": [{"destination": {"host": "shop"}}]}]}),
        &["Error VirtualService shop/a: has shop.shop.svc.cluster.local at mesh: sidecars follow only one"],
    );
}

#[test]
fn rules_that_hide_the_subsets_or_would_be_hidden_are_named() {
    let rule = |name: &str, host: &str| {
        object("DestinationRule", name, json!({"host": host, "trafficPolicy": {"tls": {"mode": "DISABLE"}}}))
    };
    let check = |rule: Value, routing: Value, callers: &'static str, expected: &[&str]| {
        let edit = |world: &mut World| {
            world.routes.push(rule);
            (world.routing, world.callers) = (routing, callers);
        };
        finds(edit, expected);
    };
    let at_edge = || json!({"gateways": ["edge/gw"], "hosts": ["shop.example.com"]});
    // Callers of any namespace follow the routes of the mesh.
    for host in ["*", "*.local", "*.shop.svc.cluster.local"] {
        let says =
            format!("Error DestinationRule web/a: has {host} for callers in web, which know no subset");
        check(rule("web/a", host), json!({}), "shop", &[&says]);
        check(rule("web/a", host), at_edge(), "edge", &[]);
    }
    check(rule("web/a", "*.web.svc.cluster.local"), json!({}), "shop", &[]);
    // A Gateway's pods may be anywhere.
    check(
        rule("proxies/a", "*.local"),
        at_edge(),
        "proxies",
        &["Error DestinationRule proxies/a: has *.local for the proxies at edge/gw, which know no subset"],
    );
    // Defaults come last, at gateways of their own namespace too.
    check(rule("istio-system/a", "*.local"), json!({}), "shop", &[]);
    check(rule("istio-system/a", "*.local"), at_edge(), "istio-system", &[]);
    let own_policy = || json!({"trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}});
    for name in ["istio-system/a", "shop/a"] {
        let says = format!("Warning DestinationRule {name}: its trafficPolicy for *.local does not count");
        check(rule(name, "*.local"), own_policy(), "shop", &[&says]);
    }
}

#[test]
fn the_most_exact_default_is_inherited() {
    let (release, _) = fixtures::release("shop", &json!({}));
    let check = |rules: &[(&str, &str)], expected: Option<&str>| {
        let rule = |(name, host): &(&str, &str)| {
            let spec = json!({"host": host, "trafficPolicy": {"of": name}});
            Arc::new(object("DestinationRule", name, spec))
        };
        let rules: Vec<_> = rules.iter().map(rule).collect();
        let found = inherited(&rules, &release).map(|policy| policy["of"].as_str().unwrap());
        assert_eq!(found, expected);
    };
    check(&[], None);
    check(
        &[("istio-system/a", "*.local"), ("istio-system/b", "*.shop.svc.cluster.local")],
        Some("istio-system/b"),
    );
    check(&[("istio-system/a", "*.shop.svc.cluster.local"), ("shop/b", "*")], Some("shop/b"));
    check(&[("web/a", "*"), ("istio-system/a", "*.com")], None);
}

#[test]
fn sidecars_that_hide_the_service_are_named() {
    let sidecar = |name: &str, hosts: Value| object("Sidecar", name, json!({"egress": [{"hosts": hosts}]}));
    let check = |sidecar: Value, expected: &[&str]| {
        let edit = |world: &mut World| {
            world.routing = json!({"meshNamespaces": ["web"]});
            world.callers = "web";
            world.sidecars.push(sidecar);
        };
        finds(edit, expected);
    };
    let hidden = |name: &str| {
        format!("Error Sidecar {name}: keeps shop.shop.svc.cluster.local from the callers in web")
    };
    for hosts in [json!(["./*"]), json!(["other/*", "shop/cart.shop.svc.cluster.local"]), json!(["~/*"])] {
        check(sidecar("web/a", hosts.clone()), &[&hidden("web/a")]);
        check(sidecar("istio-system/a", hosts.clone()), &[&hidden("istio-system/a")]);
        check(sidecar("cart/a", hosts), &[]);
    }
    for hosts in [json!(["*/*"]), json!(["shop/*"]), json!(["./*", "*/*.svc.cluster.local"])] {
        check(sidecar("web/a", hosts), &[]);
    }
    check(object("Sidecar", "web/a", json!({"outboundTrafficPolicy": {"mode": "ALLOW_ANY"}})), &[]);
    let mut narrow = sidecar("web/a", json!(["./*"]));
    with(&mut narrow, &json!({"spec": {"workloadSelector": {"labels": {"app": "batch"}}}}));
    check(narrow, &["Warning Sidecar web/a: keeps shop.shop.svc.cluster.local from some callers in web"]);
}
