/*!
Links: a browser is sent on with a cookie, and no cache keeps what it gets by it.
*/
mod support;

use std::sync::LazyLock;

use serde_json::{Value, json};
use serin_filter::Exchange;
use serin_filter::exchange::Onward;
use serin_policy::grant::Granter;

use support::{FakeProxy, Vm, end, lines, module};

const HOUR: u64 = 3_600;
/// 28 November 2026, 10:00.
const NOW: u64 = 1_795_860_000;

static GRANTER: LazyLock<Granter> =
    LazyLock::new(|| Granter::new("0123456789abcdef0123456789abcdef", "shop/shop"));

fn grant(hours: u64) -> String {
    GRANTER.grant(1, "canary", NOW + hours * HOUR).unwrap().0
}

fn linked(more: &Value) -> (Vm, FakeProxy) {
    let mut changes = json!({"links": {"key": GRANTER.key()}, "counts": {"objectiveMs": 500},
        "responseHeader": "x-served-by"});
    changes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (vm, proxy) = module(&changes);
    proxy.now_ns.set(NOW * 1_000_000_000);
    (vm, proxy)
}

/// A GET for `path`, with more header lines; what becomes of it.
fn get(vm: &mut Vm, proxy: &FakeProxy, path: &str, more: &str) -> (Exchange, Onward) {
    *proxy.request.borrow_mut() =
        lines(&format!(":authority: shop.example.com\n:scheme: https\n:method: GET\n:path: {path}\n{more}"));
    proxy.response.borrow_mut().clear();
    let mut exchange = Exchange::default();
    let onward = exchange.on_request_headers(vm, proxy);
    (exchange, onward)
}

#[test]
fn a_browser_is_sent_on_and_nothing_of_it_is_kept_or_counted() {
    for closed in [false, true] {
        let (mut vm, proxy) = linked(&json!({"closed": closed}));
        let path = format!("/cart?a=1&serin={}", grant(2));
        let (mut exchange, onward) = get(&mut vm, &proxy, &path, "");
        assert_eq!(onward, Onward::Answered);
        let cookie =
            format!("serin-link-shop={}; Max-Age=7200; Path=/; SameSite=Lax; Secure; HttpOnly", grant(2));
        for (name, value) in [
            (":status", "303"),
            ("location", "/cart?a=1"),
            ("set-cookie", &cookie),
            ("cache-control", "private, no-store"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(proxy.answered(name), [value]);
        }
        assert!(proxy.sent_on("x-serin-version").is_empty());
        // It goes out like any other answer, and nothing is added to it.
        let before = proxy.response.borrow().clone();
        exchange.on_response_headers(&mut vm, &proxy, true);
        exchange.on_log(&mut vm, &proxy);
        assert_eq!(*proxy.response.borrow(), before);
        assert_eq!(proxy.counted(), ["tag.shop/shop;.serin_revision=7"]);
    }
}

#[test]
fn a_wrong_link_is_counted_and_like_any_other_request() {
    let (mut vm, proxy) = linked(&json!({}));
    for path in ["/?serin=canary".to_owned(), format!("/?serin={}", grant(0))] {
        let (exchange, onward) = get(&mut vm, &proxy, &path, "");
        assert_eq!(onward, Onward::Upstream);
        assert_eq!(proxy.sent_on(":path"), [path]);
        end(&mut vm, &proxy, exchange, ":status: 200");
    }
    assert_eq!(proxy.metric("tag.shop/shop;.serin_refused_links"), 2);
}

#[test]
fn no_shared_cache_keeps_what_a_tester_gets() {
    let tester = format!("cookie: serin=bob; serin-link-shop={}", grant(2));
    for (request, response, cache_control, of_cdn) in [
        (tester.as_str(), ":status: 200", "private", None),
        (&tester, ":status: 200\ncache-control: public, max-age=60", "private, max-age=60", None),
        (&tester, ":status: 200\ncache-control: no-store", "no-store", None),
        (&tester, ":status: 200\ncdn-cache-control: max-age=60", "private", Some("no-store")),
        ("cookie: serin=bob", ":status: 200\ncache-control: public, max-age=60", "public, max-age=60", None),
    ] {
        let (mut vm, proxy) = linked(&json!({}));
        let (exchange, _) = get(&mut vm, &proxy, "/", request);
        end(&mut vm, &proxy, exchange, response);
        let version = if request == tester { "canary" } else { "stable" };
        assert_eq!(proxy.answered("x-served-by"), [version]);
        assert_eq!(proxy.answered("cache-control"), [cache_control], "{response}");
        assert_eq!(proxy.answered("cdn-cache-control"), of_cdn.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_closed_canary_has_no_testers() {
    let (mut vm, proxy) = linked(&json!({"closed": true}));
    let (_, onward) = get(&mut vm, &proxy, "/", &format!("cookie: serin-link-shop={}", grant(2)));
    assert_eq!((onward, proxy.sent_on("x-serin-version")), (Onward::Upstream, vec!["stable".to_owned()]));
}
