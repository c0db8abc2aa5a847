/*!
What becomes of the filter's state when a new document comes.
*/
mod support;

use serde_json::json;
use serin_policy::Proxy;

use support::{begin, document, end, lines, module, policy};

const BOB: &str = "cookie: serin=bob";

#[test]
fn what_cannot_be_read_leaves_the_last_good_in_force_and_shows() {
    let (mut vm, proxy) = module(&json!({}));
    let stands = |vm: &mut support::Vm| {
        begin(vm, &proxy, BOB);
        assert_eq!(proxy.sent_on("x-serin-version"), ["stable"]);
    };
    for (times, junk) in [&b""[..], b"{", b"\xff\xfe", br#"{"version": 1}"#].into_iter().enumerate() {
        vm.configure(&proxy, junk, &Proxy::default());
        stands(&mut vm);
        assert_eq!(proxy.metric("serin_refused"), 1);
        assert_eq!(proxy.metric("tag.malformed;.serin_refusals"), times as u64 + 1);
        assert_eq!(proxy.metric("tag.shop/shop;.serin_revision"), 7);
    }
    vm.configure(&proxy, br#"{"version": 2}"#, &Proxy::default());
    let changes = json!({"revision": 8, "salt": ""});
    vm.configure(
        &proxy,
        &document(&[policy(&changes), policy(&json!({"name": "shop/two"}))]),
        &Proxy::default(),
    );
    stands(&mut vm);
    assert_eq!(proxy.metric("tag.unsupported;.serin_refusals"), 1);
    assert_eq!(proxy.metric("tag.invalid;.serin_refusals"), 1);
    let words = "serin: policy shop/shop: policies[0].salt: \"\": give a text without zero bytes, such as namespace/release/run";
    assert_eq!(proxy.log.borrow().last().unwrap(), words);

    vm.configure(&proxy, &document(&[policy(&json!({"revision": 9}))]), &Proxy::default());
    assert_eq!(proxy.metric("serin_refused"), 0);
    assert_eq!(proxy.metric("tag.shop/shop;.serin_revision"), 9);
}

#[test]
fn a_first_document_that_cannot_be_read_leaves_every_request_on_stable() {
    let (mut vm, proxy) = (support::Vm::default(), support::FakeProxy::default());
    vm.configure(&proxy, b"junk", &Proxy::default());
    begin(&mut vm, &proxy, "x-serin-version: canary");
    // Routes may be there that would believe the client.
    assert_eq!(proxy.sent_on("x-serin-version"), [""; 0]);
    assert_eq!(proxy.metric("serin_refused"), 1);
}

#[test]
fn a_request_in_flight_keeps_the_policy_it_began_with() {
    let (mut vm, proxy) =
        module(&json!({"responseHeader": "x-served-by", "counts": {"objectiveMs": 500}, "steps": [1, 2]}));
    let exchange = begin(&mut vm, &proxy, "");
    let version = proxy.sent_on("x-serin-version");
    let other = json!({"name": "shop/other", "responseHeader": "x-other", "counts": {"objectiveMs": 500}, "revision": 8});
    vm.configure(&proxy, &document(&[policy(&other)]), &Proxy::default());
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
        vm.configure(&proxy, &document(&[policy(&changes), json!({"name": "shop/bad"})]), &Proxy::default());
        for request in [BOB, "sec-fetch-mode: cors"] {
            let exchange = begin(&mut vm, &proxy, request);
            end(&mut vm, &proxy, exchange, ":status: 200");
        }
    }
    let metrics = proxy.metrics.borrow().len();
    assert_eq!(metrics, proxy.definitions.get(), "every metric is defined once: {:?}", proxy.metrics);
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
        vm.configure(&proxy, &json, &Proxy::of("", namespace));
        *proxy.request.borrow_mut() = lines(":authority: cart\ncookie: serin=bob");
        serin_filter::Exchange::default().on_request_headers(&mut vm, &proxy);
        assert_eq!(proxy.sent_on("x-serin-version"), expected, "{namespace:?}");
    }
}
