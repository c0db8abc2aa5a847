mod around;
mod marked;
mod written;

use serde_json::{Value, json};

use super::conflicts::{Conflicts, REPLACED_BY, conflicts};
use super::verify::{Existing, verify};
use super::*;
use crate::mesh::fixtures::{self, SERVICE, object};
use crate::mesh::object::list;

fn labels(text: &str) -> Labels {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn pods(selector: &str, all: &str) -> Pods {
    Pods { selector: labels(selector), labels: labels(all) }
}

fn subsets() -> Subsets {
    Subsets {
        stable: pods("app=shop,track=stable", "app=shop,track=stable,version=v1"),
        canary: pods("app=shop,track=canary", "app=shop,track=canary,version=v2"),
    }
}

/// A Service with these ports, and nothing else around.
fn around(main: u16, others: &[u16]) -> Surroundings {
    let ports = Ports { main, others: others.to_vec() };
    Surroundings { ports, service_ports: Vec::new(), selects_both: true, traffic_policy: None }
}

fn snapshot(routing: &Value) -> String {
    let (release, delivery) = fixtures::release("shop", routing);
    let managed = managed(&release, &delivery, &subsets(), Leads::default(), &around(8080, &[])).unwrap();
    format!("{}---\n{}", paste::yaml(&managed.virtual_service), paste::yaml(&managed.destination_rule))
}

#[test]
fn the_smallest_release_is_routed() {
    insta::assert_snapshot!(snapshot(&json!({})));
}

#[test]
fn all_that_a_release_says_of_routing_is_in_its_objects() {
    insta::assert_snapshot!(snapshot(&json!({
        "gateways": ["istio-ingress/edge", "local", "mesh"],
        "meshNamespaces": ["shop", "web"],
        "hosts": ["Shop.example.com:443", "shop.example.com"],
        "pathPrefix": "/api/",
        "timeout": "10s",
        "retries": {"attempts": 2},
        "fault": {"delay": {"fixedDelay": "1s"}},
        "corsPolicy": {"allowOrigins": [{"exact": "https://example.com"}]},
        "headers": {"request": {"set": {"x-a": "b"}}},
        "trafficPolicy": {"loadBalancer": {"simple": "LEAST_REQUEST"}},
    })));
}

#[test]
fn versions_that_no_label_tells_apart_are_refused() {
    let (release, delivery) = fixtures::release("shop", &json!({}));
    let check = |subsets: Subsets, expected: Option<&str>| {
        let found = managed(&release, &delivery, &subsets, Leads::default(), &around(8080, &[]))
            .err()
            .map(|error| error.to_string());
        assert_eq!(found.as_deref(), expected);
    };
    check(subsets(), None);
    check(
        Subsets { stable: pods("app=shop", "app=shop"), canary: pods("app=shop,v=2", "app=shop,v=2") },
        Some(
            "the selector of Deployment shop-stable (app=shop) also selects the pods of shop-canary: give both a label \
             that differs, in spec.selector.matchLabels and in the pod template, e.g. version",
        ),
    );
    // The selectors differ, but not by what the pods are.
    check(
        Subsets { stable: pods("v=1", "v=1,b=c"), canary: pods("b=c", "v=2,b=c") },
        Some(
            "the selector of Deployment shop-canary (b=c) also selects the pods of shop-stable: give both a label that \
             differs, in spec.selector.matchLabels and in the pod template, e.g. version",
        ),
    );
}

#[test]
fn what_its_people_let_be_replaced_does_not_stand_in_the_way() {
    let (release, delivery) = fixtures::release("shop", &json!({"meshNamespaces": ["shop", "web"]}));
    let check = |kind: &str, name: &str, by: &str, expected: (usize, usize)| {
        let mut object = object(kind, name, json!({"hosts": [SERVICE], "host": SERVICE}));
        object["metadata"]["annotations"] = json!({REPLACED_BY: by});
        let Conflicts { now, replaced } = conflicts(&[object], &release, &delivery);
        assert_eq!((now.len(), replaced.len()), expected, "{kind} {name} {by}");
    };
    check("VirtualService", "shop/a", "shop", (0, 1));
    check("VirtualService", "web/a", "shop/shop", (0, 1));
    check("DestinationRule", "shop/a", "shop", (0, 1));
    // Another Release, or one of another namespace, or callers who would not see Serin's subsets.
    check("VirtualService", "shop/a", "cart", (1, 0));
    check("VirtualService", "web/a", "shop", (1, 0));
    check("DestinationRule", "web/a", "shop/shop", (1, 0));
}

#[test]
fn whoever_has_a_host_at_the_same_place_stands_in_the_way() {
    let (release, delivery) = fixtures::release(
        "shop",
        &json!({"gateways": ["edge/gw", "mesh"], "hosts": ["*.example.com"], "meshNamespaces": ["shop", "web"]}),
    );
    let check = |kind: &str, name: &str, spec: Value, expected: Option<&str>| {
        let object = object(kind, name, spec);
        let found = conflicts(std::slice::from_ref(&object), &release, &delivery).now;
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        let line = found.first().and_then(|line| line.split_once(':')).map(|(line, _)| line);
        assert_eq!((line, found.len()), (expected, expected.iter().len()), "{object}");
    };
    let vs = |name, spec, expected| check("VirtualService", name, spec, expected);
    let at_edge = |host| json!({"hosts": [host], "gateways": ["edge/gw"]});
    vs("x/a", at_edge("*.example.com"), Some("VirtualService x/a has *.example.com at edge/gw"));
    vs("x/a", at_edge("shop.example.com"), Some("VirtualService x/a has shop.example.com at edge/gw"));
    vs("x/a", at_edge("example.com"), None);
    vs("x/a", at_edge("*.com"), None);
    vs("x/a", at_edge("*"), None);
    vs("x/a", json!({"hosts": ["*.example.com"], "gateways": ["gw"]}), None);
    vs(
        "edge/a",
        json!({"hosts": ["*.example.com"], "gateways": ["gw"]}),
        Some("VirtualService edge/a has *.example.com at edge/gw"),
    );
    // Without gateways it is the mesh's; a short name is a service of its own namespace.
    vs(
        "shop/a",
        json!({"hosts": ["shop"]}),
        Some("VirtualService shop/a has shop.shop.svc.cluster.local at mesh"),
    );
    vs("web/a", json!({"hosts": ["shop"]}), None);
    vs(
        "web/a",
        json!({"hosts": [SERVICE], "exportTo": ["."]}),
        Some("VirtualService web/a has shop.shop.svc.cluster.local at mesh"),
    );
    vs("x/a", json!({"hosts": [SERVICE], "exportTo": ["."]}), None);
    vs("x/a", json!({"hosts": [SERVICE], "exportTo": ["~"]}), None);
    vs("x/a", json!({"http": []}), None);

    let dr = |name, host, expected| check("DestinationRule", name, json!({"host": host}), expected);
    dr("shop/a", "shop", Some("DestinationRule shop/a has shop.shop.svc.cluster.local at mesh"));
    dr("shop/a", "*.shop.svc.cluster.local", None);
    dr("shop/a", "other", None);
    // A caller's own rules go before ours, wildcards too.
    dr("web/a", "*.local", Some("DestinationRule web/a has *.local at mesh"));
    dr("edge/a", SERVICE, Some("DestinationRule edge/a has shop.shop.svc.cluster.local at edge/gw"));
    dr("x/a", "*.local", None);
}

#[test]
fn serins_own_objects_stand_in_nobodys_way_but_a_sidecars() {
    let routing =
        |path: &str| json!({"gateways": ["edge/gw", "mesh"], "hosts": ["a.com"], "pathPrefix": path});
    let ((release, delivery), other) =
        (fixtures::release("shop", &routing("/a")), fixtures::release("shop2", &routing("/b")));
    let of = |(release, delivery): &(Release, Delivery)| {
        let managed = managed(release, delivery, &subsets(), Leads::default(), &around(8080, &[])).unwrap();
        managed.virtual_service
    };
    let check = |existing: Value, expected: &[&str]| {
        let found = conflicts(&[existing], &release, &delivery).now;
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    };
    check(of(&(release.clone(), delivery.clone())), &[]);
    check(
        of(&other),
        &["VirtualService shop/shop2-serin has a.com at mesh: sidecars follow only one of two \
           VirtualServices for a host; give the Releases different hosts"],
    );
    let mut at_edge = of(&other);
    at_edge["spec"]["gateways"] = json!(["edge/gw"]);
    check(at_edge, &[]);
}

/// A rule with the two subsets, and the Service.
fn rule() -> Value {
    object(
        "DestinationRule",
        "shop/shop",
        json!({"host": "shop", "subsets": [
            {"name": "v1", "labels": {"version": "v1"}},
            {"name": "v2", "labels": {"version": "v2"}},
            {"name": "both", "labels": {"app": "shop"}},
            {"name": "none", "labels": {"version": "v3"}},
        ]}),
    )
}

fn services() -> Vec<Value> {
    let service = |name: &str, selector| object("Service", name, json!({"selector": selector}));
    vec![
        service("shop/shop", json!({"app": "shop"})),
        service("shop/shop-v1", json!({"app": "shop", "version": "v1"})),
        service("shop/shop-v2", json!({"app": "shop", "version": "v2"})),
    ]
}

fn to(host: &str, subset: &str) -> Value {
    with(json!({"host": host}), [("subset", (!subset.is_empty()).then(|| subset.into()))])
}

/// A route with `conditions`, to `destination`.
#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn to_if(conditions: &Value, destination: Value) -> Value {
    with(json!({"route": [{"destination": destination}]}), [("match", Some(conditions.clone()))])
}

fn canary() -> Value {
    json!([{"headers": {"x-serin-version": {"exact": "canary"}}}])
}

/// What is said of a VirtualService with the routes `http`: the sentences, then what to paste.
fn verdict(routing: &Value, http: &[Value], rules: &[Value]) -> Vec<String> {
    let (release, delivery) = fixtures::release("shop", routing);
    let vs = [object("VirtualService", "shop/vs", json!({"hosts": ["shop"], "http": http}))];
    let existing = Existing { virtual_services: &vs, destination_rules: rules, services: &services() };
    let missing = verify(existing, &release, &delivery, &subsets());
    missing.iter().map(ToString::to_string).collect()
}

/// Checks the sentences.
fn check_verdict(http: &[Value], expected: &[&str]) {
    let found = verdict(&json!({}), http, &[rule()]);
    let sentences: Vec<_> =
        found.iter().filter_map(|line| Some(line.split_once(". Paste into")?.0)).collect();
    assert_eq!(sentences, expected, "{http:#?}");
}

#[test]
fn routes_that_lead_where_they_should_lack_nothing() {
    let none = Value::Null;
    let everyone = json!([]);
    check_verdict(&[to_if(&canary(), to("shop", "v2")), to_if(&everyone, to("shop", "v1"))], &[]);
    check_verdict(&[to_if(&canary(), to(SERVICE, "v2")), to_if(&none, to("shop-v1", ""))], &[]);
    let slash = json!([{"uri": {"prefix": "/"}}]);
    check_verdict(&[to_if(&canary(), to("shop-v2", "")), to_if(&slash, to("shop-v1", ""))], &[]);
    // Other people's routes are their business.
    let health = json!([{"uri": {"exact": "/healthz"}}]);
    let elsewhere = json!([{"gateways": ["edge"]}]);
    check_verdict(
        &[
            to_if(&health, to("elsewhere", "")),
            to_if(&elsewhere, to("elsewhere", "")),
            to_if(&canary(), to("shop", "v2")),
            to_if(&everyone, to("shop", "v1")),
        ],
        &[],
    );
    // Only callers that run the filter, or all of them: either will do.
    let inside = |namespace: &str| {
        let mut conditions = canary();
        conditions[0]["sourceNamespace"] = json!(namespace);
        [to_if(&conditions, to("shop", "v2")), to_if(&everyone, to("shop", "v1"))]
    };
    check_verdict(&inside("shop"), &[]);
    let none = "VirtualService shop/vs: spec.http has no route for the header x-serin-version: canary";
    check_verdict(&inside("web"), &[none]);
    let weighted = json!({"route": [{"destination": to("shop", "v1"), "weight": 100}, {"destination": to("shop", "v2"), "weight": 0}]});
    check_verdict(&[to_if(&canary(), to("shop", "v2")), weighted], &[]);
}

#[test]
fn what_is_missing_is_said_by_object_and_field() {
    let everyone = || to_if(&json!([]), to("shop", "v1"));
    let of_canary = |subset| to_if(&canary(), to("shop", subset));
    let none = "VirtualService shop/vs: spec.http has no route for the header x-serin-version: canary";
    check_verdict(&[everyone()], &[none]);
    check_verdict(&[], &[none, "VirtualService shop/vs: spec.http has no route for everybody else under /"]);
    check_verdict(
        &[everyone(), of_canary("v2")],
        &[
            "VirtualService shop/vs: spec.http[1] comes after spec.http[0] of VirtualService shop/vs, which takes every \
           request: nobody would reach the canary",
        ],
    );
    let picky = json!([{"headers": {"x-serin-version": {"exact": "canary"}, "x-tester": {"exact": "yes"}}}]);
    check_verdict(
        &[to_if(&picky, to("shop", "v2")), everyone()],
        &[
            "VirtualService shop/vs: spec.http[0] asks for x-serin-version: canary and for more besides, so that not \
           everybody who is given the canary would reach it",
        ],
    );
    check_verdict(
        &[of_canary("v1"), everyone()],
        &[
            "VirtualService shop/vs: spec.http[0].route leads to the pods of Deployment shop-stable, want those of \
           shop-canary",
        ],
    );
    check_verdict(
        &[of_canary("both"), to_if(&json!([]), to("shop", ""))],
        &[
            "VirtualService shop/vs: spec.http[0].route leads to shop subset both, which means the pods of both versions, \
             want only those of Deployment shop-canary",
            "VirtualService shop/vs: spec.http[1].route leads to shop, which means the pods of both versions, want only \
             those of Deployment shop-stable",
        ],
    );
    check_verdict(
        &[of_canary("none"), to_if(&json!([]), to("gone", ""))],
        &[
            "VirtualService shop/vs: spec.http[0].route leads to shop subset none, which means the pods of neither \
             version, want those of Deployment shop-canary",
            "VirtualService shop/vs: spec.http[1].route leads to gone.shop.svc.cluster.local, and there is no such \
             Service",
        ],
    );
    let weighted = json!({"route": [{"destination": to("shop", "v1"), "weight": 90}, {"destination": to("shop", "v2"), "weight": 10}]});
    check_verdict(
        &[of_canary("v2"), weighted],
        &[
            "VirtualService shop/vs: spec.http[1].route divides requests over 2 destinations by weight: a user would \
           change versions with every request, for the share is the filter's business now",
        ],
    );
    check_verdict(
        &[of_canary("v2"), json!({"redirect": {"uri": "/"}})],
        &["VirtualService shop/vs: spec.http[1] sends nobody anywhere: stable needs a destination"],
    );
    check_verdict(
        &[of_canary("canary"), everyone()],
        &[
            "DestinationRule shop/shop has no subset \"canary\", which VirtualService shop/vs: spec.http[0] leads to",
        ],
    );
}

#[test]
fn what_to_paste_is_right_for_the_case() {
    let everyone = [to_if(&json!([]), to("shop", "v1"))];
    let mut all = Vec::new();
    for (case, routing, http, rules) in [
        ("they have subsets", json!({}), &everyone[..], vec![rule()]),
        ("they have Services", json!({}), &everyone[..], vec![]),
        ("with a path", json!({"pathPrefix": "/api"}), &[], vec![rule()]),
        ("nothing is routed", json!({"gateways": ["edge/gw"], "hosts": ["a.com"]}), &[], vec![rule()]),
        (
            "a subset is missing",
            json!({}),
            &[to_if(&canary(), to("shop", "c")), to_if(&json!([]), to("shop", "v1"))],
            vec![rule()],
        ),
    ] {
        all.push(format!("# {case}\n{}", verdict(&routing, http, &rules).join("\n")));
    }
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn what_to_paste_is_enough() {
    for path in ["/", "/api", "/api/"] {
        let routing = json!({"pathPrefix": path});
        let (release, delivery) = fixtures::release("shop", &routing);
        let route = |arm, subset| {
            let yaml = paste::route(arm, &to("shop", subset), &release);
            let mut list: Vec<Value> = serde_saphyr::from_str(&yaml).unwrap();
            list.remove(0)
        };
        let http = [route(Arm::Canary, "v2"), route(Arm::Stable, "v1")];
        assert_eq!(verdict(&routing, &http, &[rule()]), Vec::<String>::new(), "{path}");
        // What Serin would write itself satisfies it as well.
        let Managed { virtual_service, destination_rule, .. } =
            managed(&release, &delivery, &subsets(), Leads::default(), &around(8080, &[])).unwrap();
        let existing = Existing {
            virtual_services: &[virtual_service],
            destination_rules: &[destination_rule],
            services: &services(),
        };
        assert_eq!(verify(existing, &release, &delivery, &subsets()), [], "{path}");
    }
}

#[test]
fn the_virtualservice_that_counts_is_looked_at() {
    let (release, delivery) =
        fixtures::release("shop", &json!({"gateways": ["edge/gw"], "hosts": ["a.example.com"]}));
    let vs = |name: &str, host: &str, created: &str, http: Value| {
        let mut vs =
            object("VirtualService", name, json!({"hosts": [host], "gateways": ["edge/gw"], "http": http}));
        vs["metadata"]["creationTimestamp"] = created.into();
        vs
    };
    let check = |virtual_services: &[Value], expected: usize| {
        let existing = Existing { virtual_services, destination_rules: &[rule()], services: &services() };
        let missing = verify(existing, &release, &delivery, &subsets());
        assert_eq!(missing.len(), expected, "{missing:#?}");
    };
    let full = json!([to_if(&canary(), to("shop", "v2")), to_if(&json!([]), to("shop", "v1"))]);
    let wrong = json!([to_if(&json!([]), to("shop", "both"))]);
    check(
        &[
            vs("shop/wide", "*.example.com", "1", wrong.clone()),
            vs("shop/a", "a.example.com", "2", full.clone()),
        ],
        0,
    );
    check(&[vs("shop/wide", "*.example.com", "1", full.clone())], 0);
    // A gateway joins the two: the older one's last route goes before the younger one's, behind all that ask for something.
    check(&[vs("shop/b", "a.example.com", "1", wrong), vs("shop/a", "a.example.com", "2", full)], 1);
}
