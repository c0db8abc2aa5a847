/*!
What the filter does to one request and its response.
*/
mod support;

use serde_json::{Value, json};

use support::{begin, end, lines, module, visit};

/// Stable and on the canary, by policy/tests/points.tsv.
const BOB: &str = "cookie: serin=bob";
const USER: &str = "cookie: serin=user@example.com";

#[test]
fn the_version_is_written_in_place_of_whatever_a_client_sent() {
    for (request, expected) in [
        (BOB, "stable"),
        (USER, "canary"),
        ("cookie: serin=bob\nx-serin-version: canary", "stable"),
        ("x-serin-version: v9\ncookie: serin=user@example.com\nx-serin-version: stable", "canary"),
    ] {
        assert_eq!(visit(&json!({}), request, "").sent_on("x-serin-version"), [expected], "{request}");
    }
    let elsewhere = json!({"requestHeader": "x-version"});
    assert_eq!(visit(&elsewhere, USER, "").sent_on("x-version"), ["canary"]);
}

#[test]
fn the_response_shows_the_version_if_it_is_to() {
    let shown = json!({"responseHeader": "x-served-by"});
    assert_eq!(visit(&shown, USER, ":status: 200").answered("x-served-by"), ["canary"]);
    assert_eq!(visit(&shown, BOB, ":status: 200\nx-served-by: app").answered("x-served-by"), ["stable"]);
    assert_eq!(visit(&json!({}), USER, ":status: 200\nx-served-by: app").answered("x-served-by"), ["app"]);
}

#[test]
fn the_application_is_told_of_flags_in_place_of_whatever_a_client_sent() {
    // bob's place is 470,748 for this one, by python-xxhash.
    let flags = json!({"flags": [{"name": "half", "weight": 500_000}, {"name": "few", "weight": 1}]});
    for (request, expected) in [
        (BOB, "half"),
        ("cookie: serin=bob\nx-serin-flags: few\nx-serin-flags: admin", "half"),
        ("x-serin-flags: few", ""),
    ] {
        let issues_none = json!({"name": "serin", "maxAgeSeconds": 60, "issue": false});
        let without_cookie = json!({"flags": flags["flags"], "cookie": issues_none});
        assert_eq!(visit(&without_cookie, request, "").sent_on("x-serin-flags"), [expected], "{request}");
    }
    // Where there are none, the header is anybody's.
    assert_eq!(visit(&json!({}), "x-serin-flags: own", "").sent_on("x-serin-flags"), ["own"]);
    // A flag stays with a caller, so one without an id is given one whatever the version.
    let closed = json!({"flags": flags["flags"], "closed": true});
    assert_eq!(visit(&closed, "", ":status: 200").answered("set-cookie").len(), 1);
}

#[test]
fn a_host_without_a_policy_is_left_alone_but_for_versions_that_a_client_claims() {
    let (mut vm, proxy) =
        module(&json!({"responseHeader": "x-served-by", "counts": {"objectiveMs": 0}, "baggage": "k"}));
    let before = proxy.metrics.borrow().clone();
    let request =
        lines(":authority: elsewhere.example\n:path: /\nx-serin-version: canary\nbaggage: k=made-up");
    let response = lines(":status: 200\nx-served-by: app");
    *proxy.request.borrow_mut() = request.clone();
    let mut exchange = serin_filter::Exchange::default();
    exchange.on_request_headers(&mut vm, &proxy);
    *proxy.response.borrow_mut() = response.clone();
    exchange.on_response_headers(&mut vm, &proxy, true);
    exchange.on_log(&mut vm, &proxy);
    let claim = |(name, _): &(String, Vec<u8>)| name == "x-serin-version";
    assert_eq!(*proxy.request.borrow(), request.into_iter().filter(|line| !claim(line)).collect::<Vec<_>>());
    assert_eq!(*proxy.response.borrow(), response);
    assert_eq!(*proxy.metrics.borrow(), before);
}

#[test]
fn the_star_answers_even_for_requests_without_a_host() {
    let (mut vm, proxy) = module(&json!({"hosts": ["*"]}));
    for request in ["x-serin-version: canary", ":authority:\nx-serin-version: canary"] {
        *proxy.request.borrow_mut() = lines(&format!("{request}\ncookie: serin=bob"));
        serin_filter::Exchange::default().on_request_headers(&mut vm, &proxy);
        assert_eq!(proxy.sent_on("x-serin-version"), ["stable"], "{request}");
    }
}

#[test]
fn a_new_caller_gets_a_cookie_that_no_shared_cache_may_keep() {
    // The application's cache-control, and what is added to it; `None` where no cookie is set at all.
    for (response, expected) in [
        ("", Some(&["private"][..])),
        ("cache-control: no-cache", Some(&["private, no-cache"])),
        ("cache-control: private, max-age=60", Some(&["private, max-age=60"])),
        ("cache-control: no-store", Some(&["no-store"])),
        ("cache-control: max-age=0\nexpires: 0", Some(&["private, max-age=0"])),
        ("cache-control: public, max-age=0", Some(&["private, max-age=0"])),
        ("expires: 0", Some(&["private"])),
        ("expires: Thu, 01 Jan 1970 00:00:00 GMT", Some(&["private"])),
        ("cache-control: no-cache\ncache-control: no-store", Some(&["no-cache", "no-store"])),
        ("cache-control: public", None),
        ("cache-control: no-cache\ncache-control: s-maxage=60", None),
        ("cache-control: max-age=60", None),
        ("expires: Thu, 01 Dec 2033 16:00:00 GMT", None),
        ("cache-control: private\ncdn-cache-control: max-age=60", None),
        ("cache-control: private\nsurrogate-control: max-age=60", None),
        ("cache-control: private\ncdn-cache-control: no-store", Some(&["private"])),
    ] {
        let proxy = visit(&json!({}), "", &format!(":status: 200\nset-cookie: session=1\n{response}"));
        let cookies = proxy.answered("set-cookie");
        assert_eq!(cookies[0], "session=1", "the application's own comes first and stays: {response}");
        match expected {
            None => assert_eq!(cookies.len(), 1, "{response}"),
            Some(cache_control) => {
                assert_eq!(proxy.answered("cache-control"), cache_control, "{response}");
                assert_eq!(cookies.len(), 2, "{response}");
                let (id, attributes) = cookies[1].strip_prefix("serin=").unwrap().split_once("; ").unwrap();
                assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
                assert_eq!(attributes, "Max-Age=60; Path=/; SameSite=Lax; Secure; HttpOnly");
            }
        }
    }
}

#[test]
fn a_caller_whose_answer_shared_caches_keep_is_counted_or_has_it_made_private() {
    let check = |on_cacheable: &str, response: &str, cookies: usize, cache_control: &str, withheld: u64| {
        let cookie = json!({"name": "serin", "maxAgeSeconds": 60, "onCacheable": on_cacheable});
        let changes = json!({"cookie": cookie, "counts": {"objectiveMs": 100}});
        let proxy = visit(&changes, "", &format!(":status: 200\n{response}"));
        assert_eq!(proxy.answered("set-cookie").len(), cookies, "{on_cacheable}: {response}");
        assert_eq!(proxy.answered("cache-control").join(", "), cache_control, "{on_cacheable}: {response}");
        let counted: u64 = ["stable", "canary"]
            .map(|arm| proxy.metric(&format!("tag.shop/shop/{arm}/rest;.serin_withheld")))
            .iter()
            .sum();
        assert_eq!(counted, withheld, "{on_cacheable}: {response}");
    };
    let kept = "cache-control: public, max-age=60";
    check("Hold", kept, 0, "public, max-age=60", 1);
    check("Ignore", kept, 0, "public, max-age=60", 1);
    check("MakePrivate", kept, 1, "private, max-age=60", 0);
    check("Hold", "cache-control: no-store", 1, "no-store", 0);
    // What a CDN keeps by its own header is the CDN's.
    let by_cdn = "cache-control: private\ncdn-cache-control: max-age=60";
    check("MakePrivate", by_cdn, 0, "private", 1);
}

/// Whether shared caches may keep it is said by these three, as the client gets them.
const CACHING: [&str; 3] = ["cache-control", "cdn-cache-control", "surrogate-control"];

#[test]
fn no_shared_cache_keeps_what_the_canary_answers_while_others_have_stable() {
    let check = |changes: &Value, request: &str, response: &str, expected: [&str; 3]| {
        let proxy = visit(changes, request, &format!(":status: 200\n{response}"));
        assert_eq!(
            CACHING.map(|name| proxy.answered(name).join(" | ")),
            expected,
            "{changes} {request}: {response}"
        );
    };
    let guarded = json!({"caches": "PrivateCanary"});
    for (response, expected) in [
        ("", ["private", "", ""]),
        ("cache-control: public, max-age=60", ["private, max-age=60", "", ""]),
        ("cache-control: max-age=60\ncache-control: s-maxage=9", ["private, max-age=60", "", ""]),
        ("expires: Thu, 01 Dec 2033 16:00:00 GMT", ["private", "", ""]),
        ("cache-control: no-store", ["no-store", "", ""]),
        ("cache-control: private, max-age=60", ["private, max-age=60", "", ""]),
        ("cache-control: private\ncdn-cache-control: max-age=60", ["private", "no-store", ""]),
        ("surrogate-control: max-age=60", ["private", "", "no-store"]),
    ] {
        check(&guarded, USER, response, expected);
    }
    let kept = "cache-control: public, max-age=60\nsurrogate-control: max-age=60";
    let as_it_is = ["public, max-age=60", "", "max-age=60"];
    check(&guarded, BOB, kept, as_it_is);
    check(&json!({}), USER, kept, as_it_is);
    // A new caller on the canary gets no cookie for it: those on stable get none either.
    let all = json!({"caches": "PrivateCanary", "versions": [{"name": "stable"}, {"name": "canary", "weight": 1_000_000}]});
    let proxy = visit(&all, "", &format!(":status: 200\n{kept}"));
    assert_eq!(proxy.answered("set-cookie"), [""; 0]);
    assert_eq!(proxy.answered("cache-control"), ["private, max-age=60"]);
}

#[test]
fn nobody_is_told_that_the_canarys_page_is_newer_than_what_there_is() {
    let since = "if-modified-since: Thu, 01 Dec 2033 16:00:00 GMT";
    let tagged = format!("{since}\nif-none-match: \"v2\"");
    let kept = ["Thu, 01 Dec 2033 16:00:00 GMT"];
    for (changes, request, expected) in [
        (json!({"caches": "WholeAnswers"}), since, &[][..]),
        // By the tag the application knows it.
        (json!({"caches": "WholeAnswers"}), tagged.as_str(), &kept[..]),
        (json!({}), since, &kept[..]),
    ] {
        let sent = visit(&changes, &format!("{BOB}\n{request}"), "").sent_on("if-modified-since");
        assert_eq!(sent, expected, "{changes} {request}");
    }
}

#[test]
fn no_cookie_is_put_in_place_of_the_applications_own_nor_into_what_a_browser_has_kept() {
    for (response, expected) in [
        (":status: 200\nset-cookie: serin=theirs; Path=/", &["serin=theirs; Path=/"][..]),
        (":status: 304", &[]),
    ] {
        let proxy = visit(&json!({}), "", response);
        assert_eq!(proxy.answered("set-cookie"), expected, "{response}");
        assert_eq!(proxy.answered("cache-control"), [""; 0], "{response}");
    }
}

#[test]
fn whoever_came_with_an_id_or_may_not_have_one_gets_no_cookie() {
    for request in [BOB, "sec-fetch-mode: no-cors", "sec-fetch-mode: cors\ncookie: serin=\"no id\""] {
        let proxy = visit(&json!({}), request, ":status: 200");
        assert_eq!(proxy.answered("set-cookie"), [""; 0], "{request}");
        assert_eq!(proxy.answered("cache-control"), [""; 0], "{request}");
    }
    let issues_none = json!({"cookie": null});
    assert_eq!(visit(&issues_none, "", ":status: 200").answered("set-cookie"), [""; 0]);
}

#[test]
fn a_caller_is_a_new_one_only_once() {
    let (mut vm, proxy) = module(&json!({}));
    let mut set_cookie = || {
        let exchange = begin(&mut vm, &proxy, "");
        let version = proxy.sent_on("x-serin-version");
        end(&mut vm, &proxy, exchange, ":status: 200");
        let cookie = proxy.answered("set-cookie").remove(0);
        let pair = cookie.split(';').next().unwrap().to_owned();
        let exchange = begin(&mut vm, &proxy, &format!("cookie: {pair}"));
        assert_eq!(proxy.sent_on("x-serin-version"), version, "the version they met first: {pair}");
        end(&mut vm, &proxy, exchange, ":status: 200");
        assert_eq!(proxy.answered("set-cookie"), [""; 0]);
        pair
    };
    let all: std::collections::BTreeSet<_> = (0..100).map(|_| set_cookie()).collect();
    assert_eq!(all.len(), 100, "and everybody gets an id of their own");
}

#[test]
fn the_cookie_is_secure_exactly_on_https() {
    for (scheme, secure) in [(":scheme: https", true), (":scheme: http", false)] {
        let (mut vm, proxy) = module(&json!({}));
        *proxy.request.borrow_mut() = lines(&format!(":authority: shop.example.com\n{scheme}"));
        let mut exchange = serin_filter::Exchange::default();
        exchange.on_request_headers(&mut vm, &proxy);
        end(&mut vm, &proxy, exchange, ":status: 200");
        assert_eq!(proxy.answered("set-cookie")[0].contains("; Secure"), secure, "{scheme}");
    }
}

#[test]
fn without_randomness_there_is_no_cookie_and_no_panic() {
    let (mut vm, proxy) = module(&json!({}));
    proxy.dry.set(true);
    let exchange = begin(&mut vm, &proxy, "");
    end(&mut vm, &proxy, exchange, ":status: 200");
    assert_eq!(proxy.sent_on("x-serin-version"), ["stable"]);
    assert_eq!(proxy.answered("set-cookie"), [""; 0]);
}

#[test]
fn the_id_travels_on_in_baggage() {
    let edge = json!({"baggage": "k"});
    let mesh = json!({"baggage": "k", "identity": [{"baggage": "k"}], "cookie": null});
    let foreign = json!({"baggage": "k", "identity": [{"header": "x-user-email"}], "cookie": null});
    let others = json!({"baggage": "k", "identity": [{"baggage": "user"}], "cookie": null});
    for (changes, request, expected) in [
        (&edge, "cookie: serin=bob", &["k=bob"][..]),
        (&edge, "cookie: serin=50%", &["k=50%25"]),
        (&edge, "cookie: serin=bob\nbaggage: a=b;p=q, c=d", &["k=bob,a=b;p=q, c=d"]),
        (&edge, "cookie: serin=bob\nbaggage: a=b\nbaggage: c=d", &["k=bob,a=b,c=d"]),
        // What a client made up is written over, and taken out where there is nothing to write.
        (&edge, "cookie: serin=bob\nbaggage: k=mallory,a=b,k=eve", &["k=bob,a=b"]),
        (&edge, "sec-fetch-mode: cors\nbaggage: k=mallory , a=b", &["a=b"]),
        (&edge, "sec-fetch-mode: cors\nbaggage: k=mallory", &[]),
        (&edge, "sec-fetch-mode: cors\nbaggage: a=b ; p", &["a=b ; p"]),
        (&edge, "sec-fetch-mode: cors", &[]),
        // In the mesh it came from a proxy, and goes on as it came.
        (&mesh, "baggage: a=b , k=bob;p=q", &["a=b , k=bob;p=q"]),
        (&mesh, "baggage: a=b", &["a=b"]),
        // What others call a caller is nobody else's business.
        (&foreign, "x-user-email: alice", &["k=2bd806c97f0e00af1a1fc3328fa763a9"]),
        // A member that others have set is none of the one in which ids travel on.
        (&others, "baggage: user=bob,k=mallory", &["k=bob,user=bob"]),
        // And who sends nothing on leaves baggage alone.
        (&json!({}), "cookie: serin=bob\nbaggage: k=mallory", &["k=mallory"]),
    ] {
        assert_eq!(visit(changes, request, "").sent_on("baggage"), expected, "{request:?} by {changes}");
    }
}

#[test]
fn an_id_issued_at_the_edge_is_the_one_that_travels_on() {
    let proxy = visit(&json!({"baggage": "k"}), "", ":status: 200");
    let [cookie, member] = [proxy.answered("set-cookie").remove(0), proxy.sent_on("baggage").remove(0)];
    let id = member.strip_prefix("k=").unwrap();
    assert!(cookie.starts_with(&format!("serin={id};")), "{cookie} and {member}");
}
