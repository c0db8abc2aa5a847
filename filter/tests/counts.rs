/*!
What a request counts as.
*/
mod support;

use std::time::Duration;

use serde_json::json;
use serin_policy::{Proxy, route};

use support::{begin, document, end, lines, module, policy, visit};

const BOB: &str = "cookie: serin=bob";

/// Where bob's requests are counted.
const REST: &str = "tag.shop/shop/stable/rest;.serin_";

/// How a request goes. It takes 500 ms, where more than 500 are slow, if `late` adds nothing.
#[derive(Debug, Default, Clone, Copy)]
struct Case<'c> {
    request: &'c str,
    response: &'c str,
    trailers: &'c str,
    /// What the proxy says of its end.
    flags: &'c [u32],
    late: Duration,
}

impl Case<'_> {
    /// What is counted of the request, made by bob. Whoever gives no response is taken to have left.
    #[track_caller]
    fn check(self, expected: &[&str]) {
        // Whether or not there is a body between.
        for is_whole in [self.trailers.is_empty(), false] {
            self.check_once(is_whole, expected);
        }
    }

    #[track_caller]
    fn check_once(self, is_whole: bool, expected: &[&str]) {
        let (mut vm, proxy) = module(&json!({"counts": {"objectiveMs": 500}, "steps": [500_000]}));
        let mut exchange = begin(&mut vm, &proxy, &format!("{BOB}\n{}", self.request));
        let took = Duration::from_millis(500) + self.late;
        proxy.now_ns.set(proxy.now_ns.get() + u64::try_from(took.as_nanos()).unwrap());
        proxy.flags.set(self.flags.iter().map(|flag| 1 << flag).sum());
        *proxy.response.borrow_mut() = lines(self.response);
        if !self.response.is_empty() {
            exchange.on_response_headers(&mut vm, &proxy, is_whole);
            // The body takes an hour, and nobody minds.
            proxy.now_ns.set(proxy.now_ns.get() + 3_600_000_000_000);
        }
        *proxy.trailers.borrow_mut() = lines(self.trailers);
        if !self.trailers.is_empty() {
            exchange.on_response_trailers(&proxy);
        }
        // Trailers are there once, and whoever logs twice counts once.
        proxy.trailers.borrow_mut().clear();
        exchange.on_log(&mut vm, &proxy);
        exchange.on_log(&mut vm, &proxy);
        let counted = proxy.counted();
        let counted: Vec<_> = counted.iter().filter_map(|line| line.strip_prefix(REST)).collect();
        assert_eq!(counted, expected, "{self:?}");
    }
}

#[track_caller]
fn check(response: &str, expected: &[&str]) {
    Case { response, ..Case::default() }.check(expected);
}

/// The counter of failures of requests for `/`.
fn failed() -> String {
    format!("failed_route_{}=1", route::group(b"/"))
}

#[test]
fn a_request_is_counted_by_its_status_class() {
    for (status, class) in [(100, 1), (200, 2), (299, 2), (302, 3), (404, 4)] {
        check(&format!(":status: {status}"), &[&format!("rq_{class}xx=1"), "rq_time=500"]);
    }
    for status in [500, 503, 504, 599] {
        check(&format!(":status: {status}"), &["rq_5xx=1", "rq_time=500", &failed()]);
    }
}

#[test]
fn a_caller_who_left_before_the_answer_is_counted_apart() {
    check("", &["left=1", "rq_time=500"]);
    for none in [":status:", ":status: 600", ":status: 99", ":status: junk", ":status: -1"] {
        check(none, &["left=1", "rq_time=500"]);
    }
    let late = Duration::from_millis(1);
    Case { late, ..Case::default() }.check(&["left=1", "slow=1", "rq_time=501"]);
}

#[test]
fn an_answer_is_slow_by_when_it_begins_and_not_by_when_it_ends() {
    let late = Duration::from_nanos(1);
    check(":status: 200", &["rq_2xx=1", "rq_time=500"]);
    Case { response: ":status: 200", late, ..Case::default() }.check(&["rq_2xx=1", "slow=1", "rq_time=500"]);
    // A connection that became something else has no latency.
    Case { response: ":status: 101", late, ..Case::default() }.check(&["rq_1xx=1"]);
}

#[test]
fn an_answer_that_broke_off_in_the_middle_is_a_failure_unless_the_caller_hung_up() {
    // Request timeout, resets of both sides, a failed and a terminated connection, a protocol error.
    for flag in [2, 3, 4, 5, 6, 23] {
        let broken = Case { response: ":status: 200", flags: &[flag], ..Case::default() };
        broken.check(&["rq_2xx=1", "broken=1", "rq_time=500", &failed()]);
        for by_the_caller in [14, 28] {
            Case { flags: &[flag, by_the_caller], ..broken }.check(&["rq_2xx=1", "rq_time=500"]);
        }
        for tunnel in ["upgrade: websocket", ":method: CONNECT"] {
            Case { request: tunnel, ..broken }.check(&["rq_2xx=1", "rq_time=500"]);
        }
        Case { response: ":status: 101", ..broken }.check(&["rq_1xx=1"]);
        Case { response: ":status: 404", ..broken }.check(&[
            "rq_4xx=1",
            "broken=1",
            "rq_time=500",
            &failed(),
        ]);
        // One failure is enough for a request.
        Case { response: ":status: 503", ..broken }.check(&["rq_5xx=1", "rq_time=500", &failed()]);
        Case { trailers: "grpc-status: 14", ..broken }.check(&[
            "rq_2xx=1",
            "grpc_server_errors=1",
            "rq_time=500",
            &failed(),
        ]);
    }
    // An idle stream that the proxy ends, and one that has lasted too long.
    Case { response: ":status: 200", flags: &[16, 19, 22], ..Case::default() }
        .check(&["rq_2xx=1", "rq_time=500"]);
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
    let failed = failed();
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
        expected.extend((blamed == Some(server)).then_some(failed.as_str()));
        let line = format!("grpc-status: {status}");
        Case { response: ":status: 200", trailers: &line, ..Case::default() }.check(&expected);
        check(&format!(":status: 200\n{line}"), &expected);
    }
    // Trailers have the last word, and a status that says all leaves gRPC nothing to say.
    Case { response: ":status: 200\ngrpc-status: 0", trailers: "grpc-status: 14", ..Case::default() }
        .check(&["rq_2xx=1", server, "rq_time=500", &failed]);
    check(":status: 503\ngrpc-status: 14", &["rq_5xx=1", "rq_time=500", &failed]);
    check(":status: 404\ngrpc-status: 12", &["rq_4xx=1", "rq_time=500"]);
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
    let proxy = visit(&json!({}), BOB, ":status: 500");
    assert_eq!(proxy.counted(), ["tag.shop/shop;.serin_revision=7"]);
    assert_eq!(proxy.ticks_ms.get(), None);
    // A request that never got to the filter, and one that is logged twice.
    let (mut vm, proxy) = module(&json!({"counts": {"objectiveMs": 500}}));
    serin_filter::Exchange::default().on_log(&mut vm, &proxy);
    assert_eq!(proxy.counted(), ["tag.shop/shop;.serin_revision=7"]);
    let mut exchange = begin(&mut vm, &proxy, BOB);
    exchange.on_log(&mut vm, &proxy);
    exchange.on_log(&mut vm, &proxy);
    assert_eq!(proxy.metric("tag.shop/shop/stable/rest;.serin_left"), 1);
}

#[test]
fn a_request_that_waits_for_too_long_is_slow_while_it_does_and_once() {
    let (mut vm, proxy) = module(&json!({"counts": {"objectiveMs": 500}}));
    assert!(proxy.ticks_ms.get().is_some());
    let pass = |vm: &mut support::Vm, ms: u64| {
        proxy.now_ns.set(proxy.now_ns.get() + ms * 1_000_000);
        vm.on_tick(&proxy);
        ["waiting", "waited", "slow", "rq_2xx"].map(|name| proxy.metric(&format!("{REST}{name}")))
    };
    let waits = begin(&mut vm, &proxy, BOB);
    let answered = begin(&mut vm, &proxy, BOB);
    assert_eq!(pass(&mut vm, 500), [0, 0, 0, 0]);
    end(&mut vm, &proxy, answered, ":status: 200");
    assert_eq!(pass(&mut vm, 1), [1, 0, 1, 1]);
    assert_eq!(pass(&mut vm, 10_000), [1, 0, 1, 1]);
    end(&mut vm, &proxy, waits, ":status: 200");
    assert_eq!(pass(&mut vm, 10_000), [1, 1, 1, 2]);
    // One that nobody has looked at meanwhile counts when it is answered.
    let unseen = begin(&mut vm, &proxy, BOB);
    proxy.now_ns.set(proxy.now_ns.get() + 501_000_000);
    end(&mut vm, &proxy, unseen, ":status: 200");
    assert_eq!(pass(&mut vm, 0), [1, 1, 2, 3]);
}

#[test]
fn so_many_may_wait_and_those_beyond_count_when_they_are_answered() {
    let (mut vm, proxy) = module(&json!({"counts": {"objectiveMs": 500}}));
    let all: Vec<_> = (0..5_000).map(|_| begin(&mut vm, &proxy, BOB)).collect();
    proxy.now_ns.set(proxy.now_ns.get() + 501_000_000);
    vm.on_tick(&proxy);
    assert_eq!(proxy.metric(&format!("{REST}waiting")), 4_096);
    for exchange in all {
        end(&mut vm, &proxy, exchange, ":status: 200");
    }
    let counted = ["waited", "slow", "rq_2xx"].map(|name| proxy.metric(&format!("{REST}{name}")));
    assert_eq!(counted, [4_096, 5_000, 5_000]);
}

#[test]
fn what_is_left_of_a_run_is_not_booked_on_the_next() {
    let run = |run: u32, revision: u32| {
        let changes =
            json!({"salt": format!("shop/shop/{run}"), "revision": revision, "counts": {"objectiveMs": 500}});
        document(&[policy(&changes)])
    };
    let (mut vm, proxy) = (support::Vm::default(), support::FakeProxy::default());
    let total = || -> u64 {
        let metrics = proxy.metrics.borrow();
        metrics.iter().filter(|(name, _)| !name.ends_with("serin_revision")).map(|(_, value)| value).sum()
    };
    vm.configure(&proxy, &run(1, 1), &Proxy::default());
    let [stays, waits, answered] = [(); 3].map(|()| begin(&mut vm, &proxy, "sec-fetch-mode: cors"));
    // A step of the same run changes nothing.
    vm.configure(&proxy, &run(1, 2), &Proxy::default());
    end(&mut vm, &proxy, answered, ":status: 200");
    let before = total();
    assert_eq!(before, 1);
    vm.configure(&proxy, &run(2, 3), &Proxy::default());
    proxy.now_ns.set(proxy.now_ns.get() + 501_000_000);
    vm.on_tick(&proxy);
    end(&mut vm, &proxy, stays, ":status: 504");
    // Not even when its own comes again: nobody knows any more what it began with.
    vm.configure(&proxy, &run(1, 4), &Proxy::default());
    end(&mut vm, &proxy, waits, ":status: 504");
    assert_eq!(total(), before);
}

#[test]
fn a_failure_is_sorted_by_route_and_nobody_learns_the_path() {
    let counts = json!({"counts": {"objectiveMs": 500}});
    let (mut vm, proxy) = module(&counts);
    for (path, status) in
        [("/cart/17?secret=x", 500), ("/cart/4711", 503), ("/cart/17", 200), ("/cart/17", 404)]
    {
        let request = format!(":authority: shop.example.com\n:path: {path}\n{BOB}");
        *proxy.request.borrow_mut() = lines(&request);
        let mut exchange = serin_filter::Exchange::default();
        exchange.on_request_headers(&mut vm, &proxy);
        end(&mut vm, &proxy, exchange, &format!(":status: {status}"));
    }
    let group = route::group(b"/cart/1");
    assert_eq!(proxy.metric(&format!("{REST}failed_route_{group}")), 2);
    let names: Vec<_> = proxy.metrics.borrow().iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names.iter().filter(|name| name.contains("failed_route")).count(), 1);
    assert!(names.iter().all(|name| !name.contains("cart") && !name.contains("secret")), "{names:?}");
}
