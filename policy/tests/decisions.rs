/*!
Which version a request gets, and why: each rule by itself, and their order.
*/
mod support;

use serde_json::{Value, json};

use support::{Lines, check, decide, policy, with};

/// `sha256sum` of `open sesame`.
const SESAME: &str = "41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb";

/// At 50 %, by points.tsv, bob (956897) is stable and user@example.com (122964) on the canary.
fn by_user() -> Value {
    json!({"identity": [{"baggage": "user"}]})
}

#[test]
fn closed_beats_override_beats_segment_beats_bucket() {
    let everything = "x-canary: canary\nx-user-type: beta\nbaggage: user=bob";
    let rules = with(
        by_user(),
        &json!({
            "overrides": [{"header": "x-canary"}],
            "segments": [{"name": "beta", "weight": 1_000_000, "matches": [{"headers": [{"name": "x-user-type", "value": "beta"}]}]}],
        }),
    );
    check(&with(rules.clone(), &json!({"closed": true})), &[(everything, "stable: closed")]);
    check(
        &rules,
        &[
            (everything, "canary: override"),
            ("x-canary: stable\nx-user-type: beta\nbaggage: user=bob", "stable: override"),
            ("x-user-type: beta\nbaggage: user=bob", "canary: segment 1"),
            ("baggage: user=bob", "stable: bucket the promotion; baggage bob"),
            ("baggage: user=user@example.com", "canary: bucket the promotion; baggage user@example.com"),
        ],
    );
}

#[test]
fn an_open_override_takes_everybody_who_names_a_version() {
    check(
        &json!({"overrides": [{"header": "x-canary"}]}),
        &[
            ("x-canary: canary", "canary: override"),
            ("x-canary: stable", "stable: override"),
            ("x-canary: canary:whatever", "canary: override"),
            ("x-canary: Canary", "stable: no identity"),
            ("x-canary: v9", "stable: no identity"),
            ("x-canary:", "stable: no identity"),
            // Only the first line counts, as in every header that is no list.
            ("x-canary: v9\nx-canary: canary", "stable: no identity"),
        ],
    );
}

#[test]
fn a_guarded_override_wants_its_token() {
    check(
        &json!({"overrides": [{"header": "x-canary", "tokenSha256": SESAME}]}),
        &[
            ("x-canary: canary:open sesame", "canary: override"),
            ("x-canary: canary:open barley", "stable: no identity"),
            ("x-canary: canary:open sesame:", "stable: no identity"),
            ("x-canary: canary:", "stable: no identity"),
            ("x-canary: canary", "stable: no identity"),
            ("x-canary: v9:open sesame", "stable: no identity"),
            // The digest is in every proxy's configuration: knowing it must not be enough.
            (&format!("x-canary: canary:{SESAME}"), "stable: no identity"),
        ],
    );
    // Hexadecimal digits may come in capitals.
    check(
        &json!({"overrides": [{"header": "x-canary", "tokenSha256": SESAME.to_uppercase()}]}),
        &[("x-canary: canary:open sesame", "canary: override")],
    );
}

#[test]
fn the_first_override_that_may_decide_does() {
    check(
        &json!({"overrides": [{"header": "x-guarded", "tokenSha256": SESAME}, {"header": "x-open"}]}),
        &[
            ("x-guarded: canary:open sesame\nx-open: stable", "canary: override"),
            ("x-guarded: canary:wrong\nx-open: stable", "stable: override"),
            ("x-guarded: v9:open sesame\nx-open: canary", "canary: override"),
            ("x-open: canary", "canary: override"),
        ],
    );
}

#[test]
fn a_segment_compares_headers_cookies_path_and_method() {
    for (one, takes, leaves) in [
        (
            json!({"headers": [{"name": "x-a", "value": "one"}]}),
            "x-a: one",
            &["x-a: one more", "x-a: One", "x-b: one"][..],
        ),
        (
            json!({"headers": [{"name": "x-a", "type": "Prefix", "value": "one"}]}),
            "x-a: one more",
            &["x-a: not one", "x-a: on"],
        ),
        (
            json!({"headers": [{"name": "x-a", "type": "Contains", "value": "one"}]}),
            "x-a: not one more",
            &["x-a: on e", "x-a:"],
        ),
        (json!({"headers": [{"name": "x-a", "type": "Present"}]}), "x-a:", &["x-b: one"]),
        (
            json!({"cookies": [{"name": "c", "value": "one"}]}),
            "cookie: a=b; c=one",
            &["cookie: c=two", "cookie: cc=one", "c: one"],
        ),
        (
            json!({"cookies": [{"name": "c", "value": "one"}]}),
            "cookie: a=b\ncookie: c=one",
            &["cookie: a=b\ncookie: d=one"],
        ),
        (
            json!({"cookies": [{"name": "c", "type": "Prefix", "value": "one"}]}),
            "cookie: c=oneself",
            &["cookie: c=on"],
        ),
        (
            json!({"cookies": [{"name": "c", "type": "Contains", "value": "one"}]}),
            "cookie: c=\"stone\"",
            &["cookie: one=c"],
        ),
        (json!({"cookies": [{"name": "c", "type": "Present"}]}), "cookie: c=", &["cookie: c", "cookie: d=c"]),
        (json!({"path": {"value": "/a"}}), ":path: /a?x=/b", &[":path: /a/", ":path: /b?x=/a"]),
        (json!({"path": {"type": "Prefix", "value": "/a"}}), ":path: /ab", &[":path: /b/a"]),
        (json!({"path": {"type": "Contains", "value": "b"}}), ":path: /abc", &[":path: /a?b"]),
        (json!({"method": "POST"}), ":method: POST", &[":method: GET", "x-a: POST"]),
    ] {
        let changes = json!({"segments": [{"name": "s", "matches": [one], "weight": 1_000_000}]});
        check(&changes, &[(takes, "canary: segment 1")]);
        for request in leaves {
            check(&changes, &[(request, "stable: no identity")]);
        }
    }
}

#[test]
fn matches_are_alternatives_and_what_is_in_one_must_hold_together() {
    let changes = json!({"segments": [{"name": "s", "weight": 1_000_000, "matches": [
        {"headers": [{"name": "x-a", "value": "1"}, {"name": "x-b", "value": "2"}], "method": "GET"},
        {"cookies": [{"name": "c", "value": "3"}], "path": {"value": "/p"}},
    ]}]});
    check(
        &changes,
        &[
            ("x-a: 1\nx-b: 2\n:method: GET", "canary: segment 1"),
            ("x-a: 1\nx-b: 2\n:method: PUT", "stable: no identity"),
            ("x-a: 1\n:method: GET", "stable: no identity"),
            ("cookie: c=3\n:path: /p", "canary: segment 1"),
            ("cookie: c=3\n:path: /q", "stable: no identity"),
            ("x-a: 1\nx-b: 2\n:path: /p", "stable: no identity"),
        ],
    );
}

#[test]
fn the_first_segment_that_matches_sets_the_weight() {
    let segment = |name: &str, weight: u32| json!({"name": name, "weight": weight, "matches": [{"headers": [{"name": format!("x-{name}"), "type": "Present"}]}]});
    let segments = json!({"segments": [segment("none", 0), segment("all", 1_000_000), segment("some", 956_897), segment("more", 956_898)]});
    check(
        &with(by_user(), &segments),
        &[
            ("x-none: 1\nx-all: 1\nbaggage: user=user@example.com", "stable: segment 1"),
            ("x-all: 1\nx-some: 1\nbaggage: user=bob", "canary: segment 2"),
            // bob stands at 956897.
            ("x-some: 1\nbaggage: user=bob", "stable: split segment 3; baggage bob"),
            ("x-more: 1\nbaggage: user=bob", "canary: split segment 4; baggage bob"),
            ("x-more: 1", "stable: no identity"),
        ],
    );
}

#[test]
fn callers_without_an_id_are_stable_until_everybody_is_on_the_canary() {
    for (ppm, expected) in [(0, "stable"), (999_999, "stable"), (1_000_000, "canary")] {
        let versions = json!({"versions": [{"name": "stable"}, {"name": "canary", "weight": ppm}]});
        check(&with(by_user(), &versions), &[("", &format!("{expected}: no identity"))]);
    }
}

#[test]
fn who_needs_no_draw_is_identified_only_to_be_sent_on() {
    let fixed = json!({
        "closed": true,
        "identity": [{"cookie": "serin"}],
        "cookie": {"name": "serin", "maxAgeSeconds": 60},
    });
    check(&fixed, &[("cookie: serin=bob", "stable: closed"), ("", "stable: closed")]);
    check(
        &with(fixed, &json!({"baggage": "serin"})),
        &[("cookie: serin=bob", "stable: closed; cookie bob"), ("", "stable: closed; new minted")],
    );
}

#[test]
fn a_decision_asks_for_no_more_than_its_rules_need() {
    use std::cell::RefCell;

    struct Counted(Lines, RefCell<Vec<String>>);
    impl serin_policy::Request for Counted {
        fn header(&self, name: &str) -> Option<Vec<u8>> {
            self.1.borrow_mut().push(name.to_owned());
            self.0.header(name)
        }
        fn header_list(&self, name: &str) -> Option<Vec<u8>> {
            self.1.borrow_mut().push(format!("all {name}"));
            self.0.header_list(name)
        }
        fn now_seconds(&self) -> u64 {
            self.1.borrow_mut().push("the time".to_owned());
            self.0.now_seconds()
        }
    }
    let policy = policy(&json!({
        "identity": [{"cookie": "serin"}, {"baggage": "serin"}],
        "cookie": {"name": "serin", "maxAgeSeconds": 60},
        "segments": [
            {"name": "a", "matches": [{"cookies": [{"name": "a", "value": "1"}]}], "weight": 0},
            {"name": "b", "matches": [{"path": {"value": "/a"}}, {"path": {"value": "/b"}}], "weight": 0},
        ],
    }));
    for (request, expected) in [
        // A returning user, with what the segments ask for: each answer costs a call out of the module.
        ("cookie: a=0; serin=bob\n:path: /", "cookie, all cookie, :path"),
        (":path: /", "cookie, :path, all baggage, cdn-loop, sec-fetch-mode, user-agent"),
        ("cookie: a=1", "cookie"),
    ] {
        let request = Counted(Lines::parse(request), RefCell::default());
        decide(&policy, &request);
        assert_eq!(request.1.borrow().join(", "), expected);
    }
}

#[test]
fn a_preview_host_leads_to_the_canary_for_as_long_as_it_takes_traffic() {
    let preview = json!({"previewHosts": ["green.example.com", "*.preview.example.com"], "overrides": [{"header": "x-canary"}]});
    let expected = "canary: override";
    check(
        &with(by_user(), &preview),
        &[
            (":authority: green.example.com", expected),
            (":authority: GREEN.example.com:8080", expected),
            (":authority: a.preview.example.com.", expected),
            (":authority: green.example.com\nx-canary: stable", "stable: override"),
            (":authority: preview.example.com", "stable: no identity"),
            (":authority: green.example.com.evil.org", "stable: no identity"),
            (":authority: shop.example.com\nbaggage: user=bob", "stable: bucket the promotion; baggage bob"),
            ("", "stable: no identity"),
        ],
    );
    let closed = with(with(by_user(), &preview), &json!({"closed": true}));
    check(&closed, &[(":authority: green.example.com", "stable: closed")]);
}

#[test]
fn once_promoted_those_without_an_id_get_the_canary_at_any_weight() {
    check(&by_user(), &[("", "stable: no identity")]);
    check(
        &with(by_user(), &json!({"promoted": true})),
        &[
            ("", "canary: no identity"),
            ("baggage: user=bob", "stable: bucket the promotion; baggage bob"),
            ("baggage: user=user@example.com", "canary: bucket the promotion; baggage user@example.com"),
        ],
    );
}
