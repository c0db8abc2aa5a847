/*!
What the filter counts, and what becomes of its state when a new document comes.
*/
mod support;

use serde_json::json;

use support::{begin, document, end, lines, module, policy, visit};

const BOB: &str = "cookie: serin=bob";

/// What one request of bob's is counted as, but for the gauges every configuration sets. It takes 500 ms, where
/// more than 500 are slow, if `late` adds nothing.
#[track_caller]
fn check(response: &str, trailers: &str, attempts: Option<u64>, late_ns: u64, expected: &[&str]) {
    let (mut vm, proxy) = module(&json!({"counts": {"objectiveMs": 500}, "steps": [500_000]}));
    let exchange = begin(&mut vm, &proxy, BOB);
    proxy.now_ns.set(proxy.now_ns.get() + 500_000_000 + late_ns);
    *proxy.trailers.borrow_mut() = lines(trailers);
    proxy.attempts.set(attempts);
    end(&mut vm, &proxy, exchange, response);
    let counted = proxy.counted();
    let counted: Vec<_> =
        counted.iter().filter_map(|line| line.strip_prefix("tag.shop/shop/stable/rest;.serin_")).collect();
    assert_eq!(counted, expected, "{response:?}, {trailers:?}, {attempts:?}");
}

#[test]
fn a_request_is_counted_by_its_status_class() {
    for (status, class) in [(100, 1), (200, 2), (299, 2), (302, 3), (404, 4), (500, 5), (503, 5), (599, 5)] {
        check(&format!(":status: {status}"), "", Some(1), 0, &[&format!("rq_{class}xx=1"), "rq_time=500"]);
    }
    // A caller who left is no error of the version's.
    for none in ["", ":status:", ":status: 600", ":status: 99", ":status: junk", ":status: -1"] {
        check(none, "", None, 0, &["rq_4xx=1", "rq_time=500"]);
    }
}

#[test]
fn only_what_takes_longer_than_the_objective_is_slow() {
    check(":status: 200", "", Some(1), 0, &["rq_2xx=1", "rq_time=500"]);
    check(":status: 200", "", Some(1), 1, &["rq_2xx=1", "slow=1", "rq_time=500"]);
    check("", "", None, 1_000_000, &["rq_4xx=1", "slow=1", "rq_time=501"]);
    // A connection that became something else lasts as long as its user likes.
    check(":status: 101", "", Some(1), 1_000_000_000, &["rq_1xx=1"]);
}

#[test]
fn an_answer_that_needed_a_retry_says_so() {
    check(":status: 200", "", Some(2), 0, &["rq_2xx=1", "retried=1", "rq_time=500"]);
    check(":status: 200", "", Some(0), 0, &["rq_2xx=1", "rq_time=500"]);
}

#[test]
fn callers_whose_id_was_made_just_now_are_counted_apart() {
    for (request, expected) in [("", 1), (BOB, 0)] {
        let policy = json!({"counts": {"objectiveMs": 500}});
        let proxy = visit(&policy, request, ":status: 200");
        let issued = proxy.counted().iter().filter(|line| line.ends_with(";.serin_issued=1")).count();
        assert_eq!(issued, expected, "{request:?}: {:?}", proxy.counted());
    }
}

#[test]
fn grpc_errors_are_told_apart_by_whom_they_blame() {
    let [server, client] = ["grpc_server_errors=1", "grpc_client_errors=1"];
    for (status, blamed) in [
        ("0", None),
        ("1", Some(client)),
        ("2", Some(server)),
        ("4", Some(server)),
        ("5", Some(client)),
        ("13", Some(server)),
        ("14", Some(server)),
        ("16", Some(client)),
        ("junk", Some(server)),
        ("-1", Some(server)),
        ("", None),
    ] {
        let mut expected = vec!["rq_2xx=1"];
        expected.extend(blamed);
        expected.push("rq_time=500");
        let line = format!("grpc-status: {status}");
        check(":status: 200", &line, Some(1), 0, &expected);
        check(&format!(":status: 200\n{line}"), "", Some(1), 0, &expected);
    }
    // Trailers have the last word.
    check(
        ":status: 200\ngrpc-status: 0",
        "grpc-status: 14",
        Some(1),
        0,
        &["rq_2xx=1", server, "rq_time=500"],
    );
}

#[test]
fn requests_are_counted_under_version_and_reason() {
    let rules = json!({
        "steps": [10_000, 500_000],
        "counts": {"objectiveMs": 500},
        "overrides": [{"header": "x-canary"}],
        "segments": [
            {"name": "beta", "weight": 1_000_000, "matches": [{"method": "PUT"}]},
            {"name": "half", "weight": 500_000, "matches": [{"method": "GET"}]},
        ],
    });
    for (request, expected) in [
        ("cookie: serin=!", "canary/step-1"),
        ("cookie: serin=user@example.com", "canary/step-2"),
        (BOB, "stable/rest"),
        ("sec-fetch-mode: cors", "stable/no-id"),
        ("x-canary: canary", "canary/override"),
        (":method: PUT", "canary/segment:beta"),
        (":method: GET\ncookie: serin=bob", "stable/split:half"),
    ] {
        let proxy = visit(&rules, request, ":status: 200");
        assert_eq!(proxy.metric(&format!("tag.shop/shop/{expected};.serin_rq_2xx")), 1, "{request}");
        assert_eq!(proxy.metrics.borrow().iter().filter(|(name, _)| name.ends_with("2xx")).count(), 1);
    }
    let mut closed = rules;
    closed["closed"] = json!(true);
    assert_eq!(visit(&closed, BOB, ":status: 200").metric("tag.shop/shop/stable/closed;.serin_rq_2xx"), 1);
}

#[test]
fn nothing_is_counted_where_nothing_is_to_be() {
    assert_eq!(visit(&json!({}), BOB, ":status: 500").counted(), ["tag.shop/shop;.serin_revision=7"]);
    // A request that never got to the filter, and one that is logged twice.
    let (mut vm, proxy) = module(&json!({"counts": {"objectiveMs": 500}}));
    serin_filter::Exchange::default().on_log(&mut vm, &proxy);
    assert_eq!(proxy.counted(), ["tag.shop/shop;.serin_revision=7"]);
    let mut exchange = begin(&mut vm, &proxy, BOB);
    exchange.on_log(&mut vm, &proxy);
    exchange.on_log(&mut vm, &proxy);
    assert_eq!(proxy.metric("tag.shop/shop/stable/rest;.serin_rq_4xx"), 1);
}

#[test]
fn what_cannot_be_read_leaves_the_last_good_in_force_and_shows() {
    let (mut vm, proxy) = module(&json!({}));
    let stands = |vm: &mut support::Vm| {
        begin(vm, &proxy, BOB);
        assert_eq!(proxy.sent_on("x-serin-version"), ["stable"]);
    };
    for (times, junk) in [&b""[..], b"{", b"\xff\xfe", br#"{"version": 1}"#].into_iter().enumerate() {
        vm.configure(&proxy, junk, None);
        stands(&mut vm);
        assert_eq!(proxy.metric("serin_refused"), 1);
        assert_eq!(proxy.metric("tag.malformed;.serin_refusals"), times as u64 + 1);
        assert_eq!(proxy.metric("tag.shop/shop;.serin_revision"), 7);
    }
    vm.configure(&proxy, br#"{"version": 2}"#, None);
    let changes = json!({"revision": 8, "salt": ""});
    vm.configure(&proxy, &document(&[policy(&changes), policy(&json!({"name": "shop/two"}))]), None);
    stands(&mut vm);
    assert_eq!(proxy.metric("tag.unsupported;.serin_refusals"), 1);
    assert_eq!(proxy.metric("tag.invalid;.serin_refusals"), 1);
    let words = "serin: policy shop/shop: policies[0].salt: \"\": give a text without zero bytes, such as namespace/release/run";
    assert_eq!(proxy.log.borrow().last().unwrap(), words);

    vm.configure(&proxy, &document(&[policy(&json!({"revision": 9}))]), None);
    assert_eq!(proxy.metric("serin_refused"), 0);
    assert_eq!(proxy.metric("tag.shop/shop;.serin_revision"), 9);
}

#[test]
fn a_first_document_that_cannot_be_read_leaves_every_request_alone() {
    let (mut vm, proxy) = (support::Vm::default(), support::FakeProxy::default());
    vm.configure(&proxy, b"junk", None);
    begin(&mut vm, &proxy, "x-serin-version: canary");
    assert_eq!(proxy.sent_on("x-serin-version"), ["canary"]);
    assert_eq!(proxy.metric("serin_refused"), 1);
}

#[test]
fn a_request_in_flight_keeps_the_policy_it_began_with() {
    let (mut vm, proxy) =
        module(&json!({"responseHeader": "x-served-by", "counts": {"objectiveMs": 500}, "steps": [1, 2]}));
    let exchange = begin(&mut vm, &proxy, "");
    let version = proxy.sent_on("x-serin-version");
    let other = json!({"name": "shop/other", "responseHeader": "x-other", "counts": {"objectiveMs": 500}, "revision": 8});
    vm.configure(&proxy, &document(&[policy(&other)]), None);
    end(&mut vm, &proxy, exchange, ":status: 200");
    assert_eq!(proxy.answered("x-served-by"), version);
    assert_eq!(proxy.answered("x-other"), [""; 0]);
    assert_eq!(proxy.answered("set-cookie").len(), 1);
    assert_eq!(proxy.metric(&format!("tag.shop/shop/{}/rest;.serin_rq_2xx", version[0])), 1);
    // Nor does it leave its counters behind for those who come after.
    for (request, arm) in [(BOB, "stable"), ("cookie: serin=user@example.com", "canary")] {
        let exchange = begin(&mut vm, &proxy, request);
        end(&mut vm, &proxy, exchange, ":status: 200");
        assert_eq!(proxy.metric(&format!("tag.shop/other/{arm}/rest;.serin_rq_2xx")), 1);
    }
}

#[test]
fn metrics_are_defined_once_however_often_the_policy_changes() {
    let (mut vm, proxy) = module(&json!({}));
    for revision in 1..=100 {
        let changes =
            json!({"revision": revision, "counts": {"objectiveMs": 500}, "salt": format!("{revision}")});
        vm.configure(&proxy, &document(&[policy(&changes), json!({"name": "shop/bad"})]), None);
        for request in [BOB, "sec-fetch-mode: cors"] {
            let exchange = begin(&mut vm, &proxy, request);
            end(&mut vm, &proxy, exchange, ":status: 200");
        }
    }
    let metrics = proxy.metrics.borrow();
    let names: std::collections::BTreeSet<_> = metrics.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), metrics.len(), "every metric is defined once: {metrics:?}");
    drop(metrics);
    let requests = ["stable/rest", "canary/rest", "stable/no-id"]
        .map(|tag| proxy.metric(&format!("tag.shop/shop/{tag};.serin_rq_2xx")));
    assert_eq!(requests.iter().sum::<u64>(), 200, "and they go on counting where they were: {requests:?}");
    assert_eq!(proxy.metric("tag.malformed;.serin_refusals"), 100);
}

#[test]
fn the_own_namespace_is_where_the_proxy_says_it_is() {
    let (mut vm, proxy) = (support::Vm::default(), support::FakeProxy::default());
    let json = document(&[policy(&json!({"hosts": ["cart.shop.svc.cluster.local"]}))]);
    for (namespace, expected) in [(Some("shop"), &["stable"][..]), (Some("other"), &[]), (None, &[])] {
        vm.configure(&proxy, &json, namespace);
        *proxy.request.borrow_mut() = lines(":authority: cart\ncookie: serin=bob");
        serin_filter::Exchange::default().on_request_headers(&mut vm, &proxy);
        assert_eq!(proxy.sent_on("x-serin-version"), expected, "{namespace:?}");
    }
}
