//! Links: which requests are sent on, to where, and whom their cookie gives the canary.
mod support;

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};
use serin_policy::grant::Granter;
use serin_policy::links::Visit;
use serin_policy::{Policy, Proxy, Reason, Table};

use support::{Lines, NOW, check, decide, document, policy, spec};

static GRANTER: LazyLock<Granter> =
    LazyLock::new(|| Granter::new("0123456789abcdef0123456789abcdef", "shop/shop"));

fn grant(hours: u64) -> String {
    GRANTER.grant(1, "canary", NOW + hours * 3_600).unwrap().0
}

fn links() -> Value {
    json!({"links": {"key": GRANTER.key()}})
}

fn visit(policy: &Policy, path: &str, more: &str) -> Visit {
    let pseudo = [(":path", path.as_bytes()), (":scheme", b"https")];
    let rest = Lines::parse(&format!("{more}\n:method: GET"));
    policy.visit(&Lines([Lines::of(&pseudo).0, rest.0].concat()))
}

/// A visit to the path leads there, or nowhere.
#[track_caller]
fn leads(path: &str, expected: Option<&str>) {
    let found = match visit(&policy(&links()), path, "") {
        Visit::Follow { location, .. } => Some(location),
        Visit::Plain | Visit::Refused => None,
    };
    assert_eq!(found.as_deref(), expected, "{path}");
}

#[test]
fn a_link_leads_to_the_same_address_without_it() {
    let good = format!("serin={}", grant(2));
    leads(&format!("/?{good}"), Some("/"));
    leads(&format!("/cart?{good}"), Some("/cart"));
    leads(&format!("/cart?a=1&{good}&b=2"), Some("/cart?a=1&b=2"));
    leads(&format!("/cart?{good}&a=%20%26&&b"), Some("/cart?a=%20%26&&b"));
    leads(&format!("/cart?{good}&serin=x&{good}"), Some("/cart"));
    leads(&format!("/cart?xserin=1&serin&{good}"), Some("/cart?xserin=1&serin"));
    leads(&format!("/a?b?c&{good}"), Some("/a?b?c"));
    leads("/cart?serin=off&a=1", Some("/cart?a=1"));
    // What is no link is not touched.
    for other in ["/", "/cart?a=1", "/cart?serin", "/cart?xserin=off", "/serin=off", "/cart?%73erin=off", ""]
    {
        leads(other, None);
    }
}

#[test]
fn a_link_leads_to_no_other_host() {
    let good = format!("serin={}", grant(2));
    leads(&format!("//evil.example/?{good}"), Some("/.//evil.example/"));
    leads(&format!("/\\evil.example/?{good}"), Some("/./\\evil.example/"));
    leads(&format!("///evil.example?{good}"), Some("/.///evil.example"));
    leads(&format!("/\t/evil.example/?{good}"), None);
    leads(&format!("/a?x=\r\nset-cookie: a=b&{good}"), None);
    leads(&format!("evil.example/?{good}"), None);
    leads(&format!("https://evil.example/?{good}"), None);
    leads(&format!("/\u{e9}?{good}"), None);
}

#[test]
fn a_link_is_what_a_person_opens() {
    let policy = policy(&links());
    let path = format!("/cart?serin={}", grant(2));
    let follows = |more: &str| matches!(visit(&policy, &path, more), Visit::Follow { .. });
    assert!(follows(""));
    assert!(follows(":method: HEAD"));
    assert!(follows("sec-fetch-mode: navigate"));
    for other in [":method: POST", ":method: OPTIONS", "sec-fetch-mode: no-cors", "sec-fetch-mode: cors"] {
        assert_eq!(visit(&policy, &path, other), Visit::Plain, "{other}");
    }
    let wrong = [
        String::new(),
        "canary".to_owned(),
        "canary:open".to_owned(),
        grant(2).replace("canary", "stable"),
        grant(2).replace("canary", "v9"),
        grant(0),
        format!("{}A", grant(2)),
        Granter::new("0123456789abcdef0123456789abcdef", "shop/other").grant(1, "canary", NOW + 1).unwrap().0,
    ];
    for value in wrong {
        assert_eq!(visit(&policy, &format!("/?serin={value}"), ""), Visit::Refused, "{value}");
    }
}

#[test]
fn its_cookie_lasts_as_long_as_the_link_and_the_way_out_takes_it_away() {
    let domain = json!({"identity": [{"cookie": "serin"}],
        "cookie": {"name": "serin", "maxAgeSeconds": 60, "domain": "example.com"}, "links": links()["links"]});
    for (changes, domain) in [(links(), ""), (domain, "; Domain=example.com")] {
        let policy = policy(&changes);
        for (value, kept, seconds) in [(grant(2), grant(2), 7_200), ("off".to_owned(), String::new(), 0)] {
            let Visit::Follow { set_cookie, .. } = visit(&policy, &format!("/?serin={value}"), "") else {
                panic!("{value}")
            };
            let expected = format!(
                "serin-link-shop={kept}; Max-Age={seconds}; Path=/{domain}; SameSite=Lax; Secure; HttpOnly"
            );
            assert_eq!(set_cookie, expected);
        }
    }
}

#[test]
fn the_cookie_gives_the_version_until_its_hour() {
    let good = format!("cookie: theme=dark; serin-link-shop={}", grant(1));
    let stable = GRANTER.grant(0, "stable", NOW + 1).unwrap().0;
    let drawn = "stable: no identity";
    let cases = [
        (good.as_str(), "canary: override"),
        (&format!("cookie: serin-link-shop={stable}"), "stable: override"),
        (&format!("cookie: serin-link-shop={}", grant(0)), drawn),
        (&format!("cookie: serin-link-other={}", grant(1)), drawn),
        (&format!("cookie: serin-link-shop=x; serin-link-shop={}", grant(1)), drawn),
        ("cookie: serin-link-shop=canary", drawn),
    ];
    check(&links(), &cases);
    let mut closed = links();
    closed["closed"] = json!(true);
    check(&closed, &[(&good, "stable: closed")]);
    check(&json!({}), &[(&good, drawn)]);
}

#[test]
fn services_in_a_mesh_are_not_sent_on() {
    let sidecar = Proxy::of("sidecar~10.0.0.1~a.ns~ns.svc", None);
    let (table, _) = Table::read(&document(&[spec(&links())]), &sidecar, &Table::default());
    assert_eq!(visit(table.policies().next().unwrap(), "/?serin=off", ""), Visit::Plain);
}

proptest! {
    #[test]
    fn whatever_the_path_is_the_way_on_is_a_path_of_this_host(
        place in r"[/\\.\t a-zA-Z:@?#%é]{0,12}",
        before in r"[&=?#a-z%/\\]{0,8}",
        after in r"[&=?#a-z%/\\]{0,8}",
    ) {
        let path = format!("/{place}?{before}&serin={}&{after}", grant(2));
        if let Visit::Follow { location, set_cookie } = visit(&policy(&links()), &path, "") {
            prop_assert!(location.starts_with('/'), "{}", location);
            prop_assert!(!location.starts_with("//") && !location.starts_with("/\\"), "{}", location);
            prop_assert!(!location.contains(&grant(2)), "{}", location);
            prop_assert!(location.bytes().chain(set_cookie.bytes()).all(|byte| (b' '..=b'~').contains(&byte)));
        }
    }

    #[test]
    fn no_other_cookie_gives_a_version(value in r"(canary|stable)?\.?[0-9]{0,12}\.?[A-Za-z0-9_-]{0,330}", at in 0_usize..340, byte in r"[A-Za-z0-9_.-]") {
        let policy = policy(&links());
        let mut near = grant(5);
        let at = at % near.len();
        near.replace_range(at..=at, &byte);
        for value in [value, near] {
            if value != grant(5) {
                let request = Lines::parse(&format!("cookie: serin-link-shop={value}"));
                prop_assert_ne!(decide(&policy, &request).reason, Reason::Override, "{}", value);
            }
        }
    }
}
