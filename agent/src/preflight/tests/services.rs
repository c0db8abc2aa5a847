//! What is found where each version has a Service.

use super::*;
use crate::mesh::fixtures::object;

/// A Service of these pods.
fn service(selector: &Value, ports: &[u16]) -> Value {
    let ports: Vec<_> =
        ports.iter().map(|port| json!({"name": format!("http-{port}"), "port": port})).collect();
    json!({"spec": {"clusterIP": "10.0.0.2", "selector": selector, "ports": ports}})
}

fn of(version: &str) -> Value {
    json!({"app": "shop", "version": version})
}

/// Checks what is found where the canary has a Service of its own, and `edit` has been made. Returns whether routes can
/// lead to each version.
#[track_caller]
fn check(edit: impl Fn(&mut World), expected: &[&str]) -> bool {
    let edit = |world: &mut World| {
        world.named_services = [None, Some("shop-canary")];
        world.service = Some(service(&of("v1"), &[8080]));
        world.version_services = [None, Some(service(&of("v2"), &[8080]))];
        edit(world);
    };
    finds(edit, expected);
    let mut world = world();
    edit(&mut world);
    report(&world).ports.is_some()
}

#[test]
fn each_versions_service_has_its_pods_and_no_others() {
    assert!(check(|_| {}, &[]));
    // Serin makes the canary's.
    assert!(check(|world| world.version_services[1] = None, &[]));
    let serins = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "serin", "serin.dev/release": "shop"}}});
    assert!(check(
        |world| {
            let mut edited = service(&of("v1"), &[80]);
            with(&mut edited, &serins);
            world.version_services[1] = Some(edited);
        },
        &[],
    ));
    // Routes ask for stable's subset until the Service is narrowed.
    let both = json!({"app": "shop"});
    assert!(check(
        |world| world.service = Some(service(&both, &[8080])),
        &[
            "Error Service shop: also selects the pods of Deployment shop-canary: whoever calls it past the filter meets both \
           versions: add version=v1 to its spec.selector"
        ],
    ));
    assert!(!check(
        |world| world.version_services[1] = Some(service(&both, &[8080])),
        &[
            "Error Service shop-canary: also selects the pods of Deployment shop-stable: whoever calls it past the filter \
           meets both versions: add version=v2 to its spec.selector"
        ],
    ));
    assert!(!check(
        |world| world.version_services[1] = Some(service(&of("v1"), &[8080])),
        &[
            "Error Service shop-canary: does not select the pods of Deployment shop-canary, which lack version=v1",
        ],
    ));
    assert!(!check(
        |world| world.named_services[0] = Some("shop-stable"),
        &[
            "Error Service shop-stable: there is none in shop: create it, or name another in spec.stable.service.name"
        ],
    ));
    let three = |world: &mut World| {
        world.named_services[0] = Some("shop-stable");
        world.version_services[0] = Some(service(&of("v1"), &[8080]));
    };
    assert!(check(three, &[]));
    assert!(check(
        |world| {
            three(world);
            world.service = Some(service(&both, &[8080]));
        },
        &[
            "Warning Service shop: selects the pods of both versions: whoever calls it past the filter meets the canary"
        ],
    ));
}

#[test]
fn a_label_that_goes_with_the_version_tells_no_services_apart() {
    let labels = json!({"spec": {"template": {"metadata": {"labels": {"build": "7"}}}}});
    check(
        |world| {
            with(&mut world.stable, &labels);
            world.service = Some(service(&json!({"app": "shop", "build": "7"}), &[8080]));
        },
        &[
            "Error Service shop: tells its pods from those of Deployment shop-canary by build=7 alone, which may change with \
           every version: it is not in spec.selector of Deployment shop-stable: add version=v1 to its spec.selector",
        ],
    );
}

#[test]
fn the_canarys_service_has_the_ports_and_is_one_that_routes_can_lead_to() {
    check(
        |world| world.version_services[1] = Some(service(&of("v2"), &[80])),
        &[
            "Error Service shop-canary: has no port 8080, to which requests for this version go: give it the ports of Service \
           shop",
        ],
    );
    check(
        |world| with(world.version_services[1].as_mut().unwrap(), &json!({"spec": {"clusterIP": "None"}})),
        &["Error Service shop-canary: is headless"],
    );
    let named = json!({"spec": {"ports": [{"name": "http", "port": 8080, "targetPort": "web"}]}});
    check(
        |world| with(world.version_services[1].as_mut().unwrap(), &named),
        &[
            "Error Service shop-canary: port 8080 leads to the containers' port \"web\", and no container of Deployment \
           shop-canary",
        ],
    );
}

#[test]
fn where_people_write_the_routes_they_make_the_service_too() {
    let verified = |world: &mut World| world.routing = json!({"mode": "Verify"});
    check(verified, &[]);
    check(
        |world| {
            verified(world);
            world.version_services[1] = None;
        },
        &["Error Service shop-canary: there is none in shop: create it"],
    );
}

#[test]
fn only_what_leads_to_the_canarys_service_is_another_way_to_it() {
    let route = |host: &str| json!({"hosts": ["old.example.com"], "gateways": ["edge/gw"], "http": [{"route": [{"destination": {"host": host}}]}]});
    check(|world| world.routes.push(object("VirtualService", "shop/a", route("shop"))), &[]);
    check(
        |world| world.routes.push(object("VirtualService", "shop/a", route("shop-canary"))),
        &[
            "Warning VirtualService shop/a: spec.http[0].route leads to shop-canary.shop.svc.cluster.local, the canary's own: \
           whoever comes by it meets the canary, at 0% too: lead to shop instead",
        ],
    );
    // No caller has to know a subset.
    let rule = |name| object("DestinationRule", name, json!({"host": "*.local"}));
    check(|world| world.routes.push(rule("web/a")), &[]);
    let rule = object("DestinationRule", "shop/a", json!({"host": "shop-canary"}));
    check(
        |world| world.routes.push(rule.clone()),
        &["Error DestinationRule shop/a: has shop-canary.shop.svc.cluster.local at mesh"],
    );
    let sidecar =
        object("Sidecar", "shop/a", json!({"egress": [{"hosts": ["shop/shop.shop.svc.cluster.local"]}]}));
    check(
        |world| world.sidecars.push(sidecar.clone()),
        &["Error Sidecar shop/a: keeps shop-canary.shop.svc.cluster.local from the callers in shop"],
    );
}
