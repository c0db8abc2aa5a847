//! What a Service and other people's rules make of the routes.

use super::*;

#[test]
fn each_port_of_the_service_leads_to_the_same_port_of_a_version() {
    let check = |routing: &Value, others: &[u16], expected: &[&str]| {
        let (release, delivery) = fixtures::release("shop", routing);
        let around = around(8080, others);
        let managed = managed(&release, &delivery, &subsets(), Leads::default(), &around).unwrap();
        let line = |route: &Value| {
            let asks = list(route, "/match").iter().map(|one| {
                let texts = |name: &str| one.get(name).map(ToString::to_string).unwrap_or_default();
                let all = [
                    texts("gateways"),
                    texts("sourceNamespace"),
                    texts("port"),
                    text(one, "/uri/prefix").to_owned(),
                ];
                all.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
            });
            let destination = &route["route"][0]["destination"];
            let to = [text(destination, "/subset"), &destination["port"]["number"].to_string()].join(":");
            format!("{} -> {to}", asks.collect::<Vec<_>>().join(" | "))
        };
        let found: Vec<_> = list(&managed.virtual_service, "/spec/http").iter().map(line).collect();
        assert_eq!(found, expected);
    };
    check(&json!({}), &[], &[r#""shop" -> canary:8080"#, " -> stable:8080"]);
    check(
        &json!({"gateways": ["edge/gw", "mesh"], "hosts": ["shop.example.com"]}),
        &[9090],
        &[
            r#"["edge/gw"] -> canary:8080"#,
            r#""shop" 9090 -> canary:9090"#,
            r#"["mesh"] 9090 -> stable:9090"#,
            r#""shop" -> canary:8080"#,
            " -> stable:8080",
        ],
    );
    // Whoever comes in by a Gateway names no port of the Service.
    check(
        &json!({"gateways": ["edge/gw"], "hosts": ["shop.example.com"]}),
        &[9090],
        &[r#"["edge/gw"] -> canary:8080"#, " -> stable:8080"],
    );
    check(
        &json!({"pathPrefix": "/api"}),
        &[9090],
        &[
            r#""shop" 9090 | "shop" 9090 /api/ -> canary:9090"#,
            r#"["mesh"] 9090 | ["mesh"] 9090 /api/ -> stable:9090"#,
            r#"["mesh"] 9090 -> stable:9090"#,
            r#""shop" | "shop" /api/ -> canary:8080"#,
            " | /api/ -> stable:8080",
            " -> stable:8080",
        ],
    );
}

#[test]
fn a_version_with_a_service_of_its_own_is_led_to_there() {
    let check = |services: [Option<&str>; 2], selects_both: bool, expected: &[&str]| {
        let (release, delivery) = fixtures::release_with_services("shop", &json!({}), services);
        let around = Surroundings { selects_both, ..around(8080, &[]) };
        let managed = managed(&release, &delivery, &subsets(), Leads::default(), &around).unwrap();
        let to = |route: &Value| {
            let destination = &route["route"][0]["destination"];
            [text(destination, "/host").split('.').next().unwrap_or_default(), text(destination, "/subset")]
                .join(" ")
        };
        let found: Vec<_> = list(&managed.virtual_service, "/spec/http").iter().map(to).collect();
        assert_eq!(found, expected);
        managed
    };
    let plain = check([None, None], true, &["shop canary", "shop stable"]);
    assert!(plain.version_rules.is_empty());
    let own = check([None, Some("shop-canary")], false, &["shop-canary ", "shop "]);
    check([None, Some("shop-canary")], true, &["shop-canary ", "shop stable"]);
    check([Some("shop-v1"), Some("shop-canary")], true, &["shop-canary ", "shop-v1 "]);
    // Whoever goes from one way to the other finds the subsets known.
    assert_eq!(own.destination_rule, plain.destination_rule);
    let [rule] = &own.version_rules[..] else { panic!("{:?}", own.version_rules) };
    assert_eq!(text(rule, "/metadata/name"), "shop-serin-canary");
    let expected = json!({
        "host": "shop-canary.shop.svc.cluster.local",
        "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 10}}},
    });
    assert_eq!(rule["spec"], expected);
}

#[test]
fn a_versions_own_policy_goes_before_that_of_both_part_by_part() {
    let common = json!({"trafficPolicy": {"tls": {"mode": "DISABLE"}, "connectionPool": {"tcp": {"maxConnections": 9}}}});
    let (release, mut delivery) =
        fixtures::release_with_services("shop", &common, [None, Some("shop-canary")]);
    delivery.stable.traffic_policy = Some(json!({"tls": {"mode": "SIMPLE"}}));
    let managed = managed(&release, &delivery, &subsets(), Leads::default(), &around(8080, &[])).unwrap();
    let policy = |tls: &str, connections: u32| json!({"tls": {"mode": tls}, "connectionPool": {"tcp": {"maxConnections": connections}}});
    assert_eq!(managed.destination_rule["spec"]["trafficPolicy"], policy("SIMPLE", 9));
    assert_eq!(managed.version_rules[0]["spec"]["trafficPolicy"], policy("DISABLE", 10));
}

#[test]
fn the_canarys_service_is_known_again_and_put_right() {
    let (release, _) = fixtures::release("shop", &json!({}));
    let port: ServicePort = serde_json::from_value(
        json!({"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP", "nodePort": 30_000}),
    )
    .unwrap();
    let wanted = services::canary(&release, "shop-canary", &[port], &subsets().canary.selector);
    insta::assert_snapshot!(paste::yaml(&wanted));
    let check = |changes: Value, expected: (bool, bool)| {
        let mut found = wanted.clone();
        found["spec"]["clusterIP"] = json!("10.0.0.9");
        found["spec"]["sessionAffinity"] = json!("None");
        for (pointer, value) in changes.as_object().unwrap() {
            *found.pointer_mut(pointer).unwrap() = value.clone();
        }
        let seen = (services::is_made_for(&found, &release), services::is_as_written(&wanted, &found));
        assert_eq!(seen, expected, "{changes}");
    };
    check(json!({}), (true, true));
    check(json!({"/spec/selector": {"app": "shop"}}), (true, false));
    check(json!({"/spec/ports/0/targetPort": 9090}), (true, false));
    check(json!({"/spec/ports": []}), (true, false));
    check(json!({"/metadata/labels/serin.dev~1release": "cart"}), (false, true));
    check(json!({"/metadata/labels": {}}), (false, false));
    let found =
        json!({"metadata": {"resourceVersion": "7"}, "spec": {"selector": {"app": "x", "more": "y"}}});
    let repair = services::repair(&wanted, &found);
    assert_eq!(repair["spec"]["selector"], json!({"app": "shop", "track": "canary", "more": null}));
    assert_eq!(
        (&repair["spec"]["ports"], &repair["metadata"]["resourceVersion"]),
        (&wanted["spec"]["ports"], &json!("7"))
    );
}

#[test]
fn what_a_wildcard_said_of_connections_goes_on_to_count() {
    let check = |routing: &Value, expected: &Value| {
        let (release, delivery) = fixtures::release("shop", routing);
        let policy = Some(json!({"tls": {"mode": "DISABLE"}}));
        let around = Surroundings { traffic_policy: policy, ..around(8080, &[]) };
        let managed = managed(&release, &delivery, &subsets(), Leads::default(), &around).unwrap();
        assert_eq!(managed.destination_rule["spec"]["trafficPolicy"], *expected);
    };
    check(&json!({}), &json!({"tls": {"mode": "DISABLE"}}));
    let own = json!({"loadBalancer": {"simple": "RANDOM"}});
    check(&json!({"trafficPolicy": own}), &own);
}

#[test]
fn an_object_of_others_with_the_name_of_serins_is_named() {
    let (release, _) = fixtures::release("shop", &json!({}));
    let check = |metadata: Value, expected: bool| {
        let mut found = object("VirtualService", "shop/shop-serin", json!({}));
        found["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
        let named = foreign(&found, &release);
        assert_eq!(named.is_some(), expected, "{named:?}");
        assert!(named.is_none_or(|named| named.contains("VirtualService shop/shop-serin")));
    };
    check(json!({}), true);
    check(json!({"ownerReferences": [{"kind": "Release", "name": "cart"}]}), true);
    check(json!({"labels": {"app.kubernetes.io/managed-by": "serin"}}), false);
    // Somebody has taken the label off ours.
    check(json!({"ownerReferences": [{"kind": "Release", "name": "shop"}]}), false);
}
