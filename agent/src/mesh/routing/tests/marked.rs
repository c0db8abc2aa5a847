//! The routes of requests with a mark.

use super::*;

fn with_faults() -> Value {
    let (release, delivery) = fixtures::release_with(
        "shop",
        &json!({
            "routing": {
                "gateways": ["edge/gw", "mesh"],
                "hosts": ["a.com"],
                "pathPrefix": "/api",
                "fault": {"delay": {"fixedDelay": "1s"}},
            },
            "faults": [
                {
                    "version": "canary",
                    "delay": {"fixedDelay": "1500ms", "percentage": 10},
                    "abort": {"httpStatus": 500, "percentage": 5},
                    "until": "2026-12-01T18:00:00Z",
                },
                {
                    "version": "stable",
                    "abort": {"grpcStatus": "UNAVAILABLE", "percentage": 5},
                    "until": "2026-12-01T18:00:00Z",
                },
            ],
        }),
    );
    managed(&release, &delivery, &subsets(), Leads::default(), &around(8080, &[9090]))
        .unwrap()
        .virtual_service
}

fn names(object: &Value) -> Vec<&str> {
    list(object, "/spec/http").iter().map(|route| text(route, "/name")).collect()
}

#[test]
fn a_mark_has_its_route_wherever_the_filter_assigns_before_those_that_ask_for_less() {
    let routes = with_faults();
    let marks = ["marked-fault-1-delay", "marked-fault-1-abort", "marked-fault-2-abort"];
    let of_place = |suffix: &str| marks.map(|mark| format!("serin-{mark}{suffix}"));
    let expected = [
        of_place("-gateway").to_vec(),
        vec!["serin-canary-gateway".to_owned()],
        of_place("-9090").to_vec(),
        ["canary-9090", "stable-9090", "rest-9090"].map(|name| format!("serin-{name}")).to_vec(),
        of_place("").to_vec(),
        ["canary", "stable", "rest"].map(|name| format!("serin-{name}")).to_vec(),
    ];
    assert_eq!(names(&routes), expected.concat());
    // Nobody writes marks any more when the Release is gone.
    let left = left_behind(routes);
    assert_eq!(names(&left), ["serin-stable-9090", "serin-rest-9090", "serin-stable", "serin-rest"]);
}

#[test]
fn a_mark_counts_only_with_its_version_where_the_filter_writes_both() {
    let routes = with_faults();
    let of = |name: &str| {
        let route = list(&routes, "/spec/http").iter().find(|route| text(route, "/name") == name);
        route.unwrap_or_else(|| panic!("no {name}")).clone()
    };
    let all = json!({"value": 100});
    for (name, version, place, fault) in [
        (
            "serin-marked-fault-1-delay-gateway",
            "canary",
            json!({"gateways": ["edge/gw"]}),
            json!({"delay": {"fixedDelay": "1.500s", "percentage": all}}),
        ),
        (
            "serin-marked-fault-1-abort",
            "canary",
            json!({"sourceNamespace": "shop"}),
            json!({"abort": {"httpStatus": 500, "percentage": all}}),
        ),
        (
            "serin-marked-fault-2-abort-9090",
            "stable",
            json!({"sourceNamespace": "shop", "port": 9090}),
            json!({"abort": {"grpcStatus": "UNAVAILABLE", "percentage": all}}),
        ),
    ] {
        let route = of(name);
        let mark =
            ["fault-1-delay", "fault-1-abort", "fault-2-abort"].into_iter().find(|mark| name.contains(mark));
        let headers = json!({"x-serin-version": {"exact": version}, "x-serin-mark": {"exact": mark}});
        let conditions = [json!({"exact": "/api"}), json!({"prefix": "/api/"})]
            .map(|uri| with(place.clone(), [("headers", Some(headers.clone())), ("uri", Some(uri))]));
        assert_eq!(route["match"], json!(conditions), "{name}");
        assert_eq!(route["route"][0]["destination"]["subset"], version, "{name}");
        assert_eq!(route["fault"], fault, "{name}");
    }
    // What is injected on purpose is not what is injected into everything.
    assert_eq!(of("serin-canary")["fault"], json!({"delay": {"fixedDelay": "1s"}}));
}

#[test]
fn a_copy_goes_to_the_canary_of_what_stable_answers_at_the_port_that_was_asked_for() {
    let (release, delivery) = fixtures::release_with(
        "shop",
        &json!({
            "routing": {"gateways": ["edge/gw", "mesh"], "hosts": ["a.com"], "retries": {"attempts": 2}},
            "strategy": {"canary": {"mirror": {}}},
        }),
    );
    let made = managed(&release, &delivery, &subsets(), Leads::default(), &around(8080, &[9090])).unwrap();
    let routes = list(&made.virtual_service, "/spec/http");
    for (name, port) in [
        ("serin-marked-mirror-gateway", 8080),
        ("serin-marked-mirror", 8080),
        ("serin-marked-mirror-9090", 9090),
    ] {
        let at = routes.iter().position(|route| text(route, "/name") == name);
        let route = &routes[at.unwrap_or_else(|| panic!("no {name}"))];
        let headers = json!({"x-serin-version": {"exact": "stable"}, "x-serin-mark": {"exact": "mirror"}});
        assert_eq!(route["match"][0]["headers"], headers, "{name}");
        assert_eq!(route["route"][0]["destination"]["subset"], "stable", "{name}");
        let canary = json!({"host": fixtures::SERVICE, "subset": "canary", "port": {"number": port}});
        assert_eq!(
            route["mirrors"],
            json!([{"destination": canary, "percentage": {"value": 100}}]),
            "{name}"
        );
        assert_eq!(route["retries"], json!({"attempts": 2}), "{name}");
    }
    assert_eq!(names(&left_behind(made.virtual_service)), ["serin-stable-9090", "serin-stable"]);
}
