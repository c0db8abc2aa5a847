//! What is found in clusters of all kinds.

mod others;
mod services;

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::mesh::fixtures;

/// A cluster in which the Release of [`fixtures`] can be driven.
#[derive(Clone)]
struct World {
    routing: Value,
    service: Option<Value>,
    /// Names of the versions' own Services, and these.
    named_services: [Option<&'static str>; 2],
    version_services: [Option<Value>; 2],
    stable: Value,
    canary: Value,
    routes: Vec<Value>,
    sidecars: Vec<Value>,
    callers: &'static str,
    has_proxies: bool,
    domain: Option<&'static str>,
    taken_over: bool,
}

fn world() -> World {
    let deployment = |version: &str| {
        json!({
            "spec": {
                "selector": {"matchLabels": {"app": "shop", "version": version}},
                "template": {
                    "metadata": {"labels": {"app": "shop", "version": version}},
                    "spec": {"containers": [{"name": "shop", "ports": [{"name": "http", "containerPort": 8080}]}]},
                },
            },
            "status": {"readyReplicas": 3},
        })
    };
    World {
        routing: json!({}),
        service: Some(json!({"spec": {
            "clusterIP": "10.0.0.1",
            "selector": {"app": "shop"},
            "ports": [{"name": "http", "port": 8080, "targetPort": "http"}],
        }})),
        named_services: [None, None],
        version_services: [None, None],
        stable: deployment("v1"),
        canary: deployment("v2"),
        routes: Vec::new(),
        sidecars: Vec::new(),
        callers: "shop",
        has_proxies: true,
        domain: None,
        taken_over: false,
    }
}

/// With `changes` merged into the object at `field`; a null takes away.
fn with(object: &mut Value, changes: &Value) {
    match (object, changes) {
        (Value::Object(object), Value::Object(changes)) => {
            for (name, value) in changes {
                with(object.entry(name).or_insert(Value::Null), value);
            }
        }
        (object, changes) => *object = changes.clone(),
    }
}

fn report(world: &World) -> Report {
    let (release, delivery) = fixtures::release_with_services("shop", &world.routing, world.named_services);
    let read = |value: &Value| serde_json::from_value::<Deployment>(value.clone()).unwrap();
    let services = [&world.service, &world.version_services[0], &world.version_services[1]];
    let [service, of_stable, of_canary] = services.map(|service| {
        service.as_ref().map(|service| serde_json::from_value::<Service>(service.clone()).unwrap())
    });
    let arcs = |values: &[Value]| values.iter().cloned().map(Arc::new).collect::<Vec<_>>();
    let entrances: Vec<_> = delivery
        .routing
        .attach_points
        .iter()
        .map(|point| Entrance {
            point: point.clone(),
            namespaces: vec![world.callers.to_owned()],
            has_proxies: world.has_proxies,
        })
        .collect();
    check(&Subject {
        release: &release,
        delivery: &delivery,
        service: service.as_ref(),
        version_services: [of_stable.as_ref(), of_canary.as_ref()],
        stable: Some(&read(&world.stable)),
        canary: Some(&read(&world.canary)),
        routes: &arcs(&world.routes),
        sidecars: &arcs(&world.sidecars),
        entrances: &entrances,
        cluster_domain: world.domain,
        taken_over: world.taken_over,
        now: "2026-01-01T00:01:00Z".parse().unwrap(),
    })
}

/// Checks what is found in the usual world after `edit`: each finding begins as expected.
#[track_caller]
fn finds(edit: impl FnOnce(&mut World), expected: &[&str]) {
    let mut world = world();
    edit(&mut world);
    let line = |finding: &Finding| format!("{:?} {finding}", finding.severity);
    let found: Vec<_> = report(&world).findings.iter().map(line).collect();
    let as_expected = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected));
    assert!(as_expected, "found {found:#?}, want {expected:#?}");
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn ports(service: Value, expected: &[&str]) {
    finds(|world| with(world.service.as_mut().unwrap(), &json!({"spec": service})), expected);
}

#[test]
fn a_service_in_order_has_nothing_against_it() {
    finds(|_| {}, &[]);
    assert_eq!(report(&world()).ports, Some(Ports { main: 8080, others: Vec::new() }));
}

#[test]
fn a_service_that_cannot_be_released_is_refused_with_the_reason() {
    finds(|world| world.service = None, &["Error Service shop: there is none in shop: create it"]);
    ports(
        json!({"type": "ExternalName", "externalName": "example.com"}),
        &["Error Service shop: is an ExternalName"],
    );
    ports(json!({"selector": null}), &["Error Service shop: has no selector"]);
    ports(json!({"clusterIP": "None"}), &["Error Service shop: is headless"]);
    let headless_at_a_gateway = |world: &mut World| {
        with(world.service.as_mut().unwrap(), &json!({"spec": {"clusterIP": "None"}}));
        world.routing = json!({"gateways": ["edge/gw"], "hosts": ["shop.example.com"]});
    };
    finds(headless_at_a_gateway, &[]);
    ports(
        json!({"ports": [{"name": "http", "port": 8000}, {"name": "admin", "port": 9000}]}),
        &["Error Service shop: has no port 8080, only 8000 (http), 9000 (admin): give spec.service.port"],
    );
    ports(
        json!({"selector": {"version": "v1"}}),
        &["Error Service shop: does not select the pods of Deployment shop-canary, which lack version=v1"],
    );
    ports(
        json!({"ports": [{"name": "http", "port": 8080, "targetPort": "web"}]}),
        &[
            "Error Service shop: port 8080 leads to the containers' port \"web\", and no container of Deployment \
             shop-stable has one",
            "Error Service shop: port 8080 leads to the containers' port \"web\", and no container of Deployment \
             shop-canary has one",
        ],
    );
}

#[test]
fn a_port_is_http_by_istios_rules() {
    let check = |port: Value, expected: &[&str]| {
        let mut whole = json!({"port": 8080});
        with(&mut whole, &port);
        ports(json!({"ports": [whole]}), expected);
    };
    for name in ["http", "http-web", "HTTP2", "grpc", "grpc-web-x"] {
        check(json!({"name": name}), &[]);
    }
    for protocol in ["http", "kubernetes.io/h2c", "kubernetes.io/ws", "grpc-web"] {
        check(json!({"name": "tcp-x", "appProtocol": protocol}), &[]);
    }
    check(json!({"name": "web"}), &["Warning Service shop: port 8080 does not say what is spoken there"]);
    check(json!({}), &["Warning Service shop: port 8080 does not say"]);
    for (name, protocol) in [("tcp-web", "TCP"), ("https", "HTTPS"), ("tls", "TLS"), ("redis-1", "Redis")] {
        let says = format!("Error Service shop: port 8080 is {protocol} to Istio by its name {name:?}");
        check(json!({"name": name}), &[&says]);
    }
    check(
        json!({"name": "http", "appProtocol": "tcp"}),
        &["Error Service shop: port 8080 is TCP to Istio by its appProtocol \"tcp\""],
    );
    check(json!({"name": "http", "protocol": "UDP"}), &["Error Service shop: port 8080 is UDP to Istio"]);
    // At a Gateway it is the Gateway's port that says so.
    finds(
        |world| {
            with(
                world.service.as_mut().unwrap(),
                &json!({"spec": {"ports": [{"name": "tcp", "port": 8080}]}}),
            );
            world.routing = json!({"gateways": ["edge/gw"], "hosts": ["shop.example.com"]});
        },
        &[],
    );
}

#[test]
fn a_port_that_nobody_names_is_the_only_one_or_80() {
    let check = |ports: &Value, expected: Option<(u16, &[u16])>| {
        let mut world = world();
        with(world.service.as_mut().unwrap(), &json!({"spec": {"ports": ports}}));
        let (mut release, delivery) = fixtures::release("shop", &world.routing);
        release.service.port = None;
        let service: Service = serde_json::from_value(world.service.unwrap()).unwrap();
        let found = super::check(&Subject {
            release: &release,
            delivery: &delivery,
            service: Some(&service),
            version_services: [None, None],
            stable: None,
            canary: None,
            routes: &[],
            sidecars: &[],
            entrances: &[],
            cluster_domain: None,
            taken_over: false,
            now: Timestamp::UNIX_EPOCH,
        });
        let expected = expected.map(|(main, others)| Ports { main, others: others.to_vec() });
        assert_eq!(found.ports, expected, "{:?}", found.findings);
        assert_eq!(found.errors().count(), usize::from(expected.is_none()), "{:?}", found.findings);
    };
    let port = |number: u16, name: &str| json!({"port": number, "name": name});
    check(&json!([port(8000, "http")]), Some((8000, &[])));
    check(&json!([port(9090, "grpc"), port(80, "http"), port(5432, "tcp")]), Some((80, &[9090])));
    check(&json!([port(8000, "http"), port(9090, "grpc")]), None);
    check(&json!([]), None);
}

#[test]
fn nobody_is_sent_to_a_stable_without_pods() {
    let none_ready = |world: &mut World| with(&mut world.stable, &json!({"status": {"readyReplicas": 0}}));
    finds(
        none_ready,
        &["Error Deployment shop-stable: no pod of it is ready, and all users would be sent there"],
    );
    let status = |reason: &str| {
        let coming = json!({"type": "Progressing", "status": "True", "reason": reason});
        json!({"status": {"readyReplicas": 0, "conditions": [coming]}})
    };
    for (reason, severity) in [("ReplicaSetUpdated", "Passing"), ("NewReplicaSetAvailable", "Error")] {
        let expected = format!("{severity} Deployment shop-stable: no pod of it is ready");
        finds(|world| with(&mut world.stable, &status(reason)), &[&expected]);
    }
    // A service that is off has nobody to lose.
    let off = json!({"spec": {"replicas": 0}, "status": {"readyReplicas": null}});
    finds(
        |world| {
            with(&mut world.stable, &off);
            with(&mut world.canary, &off);
        },
        &[],
    );
    finds(|world| with(&mut world.stable, &off), &["Error Deployment shop-stable: no pod of it is ready"]);
    let available = |is: &str, since: &str, expected: &[&str]| {
        let condition = json!({"type": "Available", "status": is, "lastTransitionTime": since});
        finds(|world| with(&mut world.stable, &json!({"status": {"conditions": [condition]}})), expected);
    };
    available("True", "2026-01-01T00:00:55Z", &[]);
    let too_soon =
        "Passing Deployment shop-stable: it has not been available for 5 s: wait until every proxy";
    available("True", "2026-01-01T00:00:56Z", &[too_soon]);
    available(
        "False",
        "2026-01-01T00:00:00Z",
        &["Error Deployment shop-stable: it is not available with 3 ready pods"],
    );
    // Once the routes are there, it is the planner's business.
    finds(
        |world| {
            none_ready(world);
            world.taken_over = true;
        },
        &[],
    );
}

#[test]
fn pods_have_sidecars_where_that_is_needed() {
    let template =
        json!({"spec": {"template": {"metadata": {"labels": {"sidecar.istio.io/inject": "false"}}}}});
    let annotated =
        json!({"spec": {"template": {"metadata": {"annotations": {"sidecar.istio.io/inject": "false"}}}}});
    for without in [template, annotated] {
        finds(
            |world| with(&mut world.canary, &without),
            &[
                "Warning Deployment shop-canary: its pods refuse a sidecar (sidecar.istio.io/inject), and those of shop-stable \
               do not",
            ],
        );
        finds(
            |world| {
                with(&mut world.canary, &without);
                with(&mut world.stable, &without);
            },
            &[],
        );
        finds(
            |world| {
                with(&mut world.canary, &without);
                world.routing = json!({"trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}}});
            },
            &["Error Deployment shop-canary: its pods refuse a sidecar"],
        );
    }
    finds(
        |world| world.has_proxies = false,
        &["Warning namespace shop: no pod in it has a sidecar that takes requests"],
    );
}

#[test]
fn a_cluster_with_another_domain_is_refused() {
    finds(|world| world.domain = Some("cluster.local"), &[]);
    finds(|world| world.domain = Some("corp.example"), &["Error the cluster's domain: is corp.example"]);
    for (resolv_conf, expected) in [
        (
            "nameserver 10.0.0.10\nsearch shop.svc.cluster.local svc.cluster.local cluster.local\n",
            Some("cluster.local"),
        ),
        (
            "search a.svc.corp.example. svc.corp.example. corp.example\noptions ndots:5\n",
            Some("corp.example"),
        ),
        ("search example.com\n", None),
        ("", None),
    ] {
        assert_eq!(cluster_domain(resolv_conf), expected, "{resolv_conf}");
    }
}

#[test]
fn routes_that_people_write_are_not_held_against_them_here() {
    finds(
        |world| {
            world.routing = json!({"mode": "Verify"});
            world.service = None;
            world.routes.push(json!({"kind": "DestinationRule", "metadata": {"namespace": "shop", "name": "a"}, "spec": {"host": "shop"}}));
        },
        &[],
    );
}
