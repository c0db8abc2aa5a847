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
