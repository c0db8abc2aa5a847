/*!
Which version a request gets, and why: each rule by itself, and their order.
*/
mod support;

use serde_json::{Value, json};

use support::{Lines, decide, describe, policy};

/// Each request, as header lines, gets the answer beside it from the policy with `changes`.
#[track_caller]
fn check(changes: &Value, cases: &[(&str, &str)]) {
    let policy = policy(changes);
    for (request, expected) in cases {
        assert_eq!(describe(&decide(&policy, &Lines::parse(request))), *expected, "{request:?} by {changes}");
    }
}

/// `sha256sum` of `open sesame`.
const SESAME: &str = "41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb";

/// At 50 %, by points.tsv, bob (956897) is stable and user@example.com (122964) on the canary.
fn by_user() -> Value {
    json!({"identity": [{"baggage": "user"}]})
}

fn with(mut changes: Value, more: &Value) -> Value {
    changes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    changes
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
fn identity_is_looked_for_in_the_configured_order() {
    let sources = json!({
        "identity": [{"header": "x-user-id"}, {"cookie": "sid"}, {"cookie": "serin"}, {"baggage": "serin"}, "requestId"],
        "cookie": {"name": "serin", "maxAgeSeconds": 60, "issue": false},
    });
    let request = [
        "x-user-id: alice",
        "cookie: sid=alice",
        "cookie: serin=b",
        "baggage: serin=c",
        "x-request-id: d",
        "",
    ];
    // What others call a caller is digested: `printf %s alice | sha256sum | head -c 32`.
    let alice = "2bd806c97f0e00af1a1fc3328fa763a9";
    let found =
        [&format!("header {alice}"), &format!("cookie {alice}"), "cookie b", "baggage c", "request id d"];
    for (gone, found) in found.into_iter().enumerate() {
        let decision = decide(&policy(&sources), &Lines::parse(&request[gone..].join("\n")));
        assert!(describe(&decision).ends_with(found), "{}", describe(&decision));
    }
    check(&sources, &[("", "stable: no identity")]);
    check(
        &json!({"identity": [{"baggage": "k"}, {"header": "x-user-id"}]}),
        &[(
            "x-user-id: bob\nbaggage: k=user@example.com",
            "canary: bucket the promotion; baggage user@example.com",
        )],
    );
}

#[test]
fn what_is_no_id_is_passed_over_for_the_next() {
    type Case<'c> = (&'c [(&'c str, &'c [u8])], &'c str);
    let policy = policy(&json!({
        "identity": [{"header": "x-user-id"}, {"cookie": "serin"}, {"baggage": "serin"}],
        "cookie": {"name": "serin", "maxAgeSeconds": 60},
    }));
    let too_long = [b'x'; 4097];
    let long = [b'x'; 129];
    let long_cookie = [b"serin=", &long[..], b"; serin=bob"].concat();
    let cases: &[Case] = &[
        (&[("x-user-id", b""), ("cookie", b"serin=bob")], "cookie"),
        (&[("x-user-id", b"  "), ("cookie", b"serin=bob")], "cookie"),
        (&[("x-user-id", &too_long), ("cookie", b"serin=bob")], "cookie"),
        (&[("cookie", &long_cookie)], "cookie"),
        (&[("cookie", b"serin=; serin=\xff\xfe; serin=bob")], "cookie"),
        (&[("cookie", b"serin=\"bob\"")], "cookie"),
        (&[("cookie", b"serin=\"b o b\"; serin=bob")], "cookie"),
        (&[("cookie", b"serin=bob; serin=alice")], "cookie"),
        (&[("cookie", b"theirs=1"), ("cookie", b"serin=bob; serin=alice")], "cookie"),
        (&[("cookie", b"serin=\xff"), ("cookie", b"other=1, serin=bob")], "cookie"),
        (&[("baggage", b"serin=%00,serin=b%6Fb;p=1")], "baggage"),
        (&[("baggage", b"a=b"), ("baggage", b"serin=%zz , serin = bob ")], "baggage"),
    ];
    for (lines, origin) in cases {
        let decision = decide(&policy, &Lines::of(lines));
        let identity = decision.identity.unwrap_or_else(|| panic!("nobody in {lines:?}"));
        assert_eq!(identity.origin.to_string(), *origin, "{lines:?}");
        assert_eq!(identity.id.to_string(), "bob", "{lines:?}");
    }
}

#[test]
fn whatever_others_call_a_caller_is_an_id() {
    let ids = |sources: &Value, values: &[&[u8]]| {
        let policy = policy(&json!({"identity": [sources]}));
        let header = if sources.get("cookie").is_some() { "cookie" } else { "x-user-id" };
        let of = |value: &&[u8]| {
            let value = if header == "cookie" { [b"a=b; sid=", *value].concat() } else { value.to_vec() };
            let identity = decide(&policy, &Lines::of(&[(header, &value)])).identity;
            identity
                .unwrap_or_else(|| panic!("{:?} is nobody", String::from_utf8_lossy(&value)))
                .id
                .to_string()
        };
        values.iter().map(of).collect::<std::collections::BTreeSet<_>>().len()
    };
    let values: [&[u8]; 6] =
        [b"two words", "José".as_bytes(), b"CN=alice,O=corp", b"CN=alice,O=home", b"a\"b", &[b'x'; 4096]];
    assert_eq!(ids(&json!({"header": "x-user-id"}), &values), values.len());
    assert_eq!(ids(&json!({"cookie": "sid"}), &values), values.len());
    // Whatever is around it.
    assert_eq!(ids(&json!({"cookie": "sid"}), &[b"v1,8f3e", b"\"v1,8f3e\"", b"v1,8f3e ; c=d"]), 1);
}

#[test]
fn an_id_is_issued_to_navigations_and_to_clients_that_are_no_browsers() {
    let issuing = json!({
        "identity": [{"cookie": "serin"}, "requestId"],
        "cookie": {"name": "serin", "maxAgeSeconds": 60},
    });
    // minted stands at 293480.
    let (new, none) = ("canary: bucket the promotion; new minted", "stable: no identity");
    let traced = "canary: bucket the promotion; request id user@example.com";
    check(
        &issuing,
        &[
            ("", new),
            ("sec-fetch-mode: navigate", new),
            ("x-request-id: bob", new),
            ("cookie: serin=\"two words\"", new),
            // A page's parts have no id of their own: the request id must do.
            ("sec-fetch-mode: no-cors\nx-request-id: user@example.com", traced),
            ("sec-fetch-mode: cors\nx-request-id: user@example.com", traced),
            ("sec-fetch-mode: cors", "stable: no identity"),
            ("sec-fetch-mode: cors\nx-request-id: two words", "stable: no identity"),
            ("sec-fetch-mode: cors\ncookie: serin=bob", "stable: bucket the promotion; cookie bob"),
            // Browsers that do not tell what they ask for.
            ("user-agent: Mozilla/5.0\naccept: text/html,*/*;q=0.8", new),
            ("user-agent: Mozilla/5.0\naccept: image/avif,*/*", none),
            ("user-agent: Mozilla/5.0", none),
            ("user-agent: curl/8.0\naccept: */*", new),
            // What a shared cache fetches is for everybody.
            ("cdn-loop: cdn", none),
            // From another site a browser sends no cookie with a form, though it has one.
            ("sec-fetch-mode: navigate\nsec-fetch-site: cross-site\n:method: POST", none),
            ("sec-fetch-mode: navigate\nsec-fetch-site: cross-site\n:method: GET", new),
            ("sec-fetch-mode: navigate\nsec-fetch-site: same-site\n:method: POST", new),
        ],
    );
    let set = |field: &str, value: &str| {
        with(
            issuing.clone(),
            &json!({"cookie": {"name": "serin", "maxAgeSeconds": 60, "secure": "always", field: value}}),
        )
    };
    check(
        &set("sameSite", "Strict"),
        &[("sec-fetch-mode: navigate\nsec-fetch-site: cross-site\n:method: GET", none)],
    );
    check(
        &set("sameSite", "None"),
        &[("sec-fetch-mode: navigate\nsec-fetch-site: cross-site\n:method: POST", new)],
    );
    check(&set("start", "Any"), &[("sec-fetch-mode: cors", new), ("cdn-loop: cdn", none)]);
    check(&with(issuing, &json!({"cookie": null})), &[("x-request-id: user@example.com", traced)]);
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
