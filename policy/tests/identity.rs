/*!
Who is asking: where an id is looked for, what is one, and who is given a new one.
*/
mod support;

use serde_json::{Value, json};

use support::{Lines, check, decide, describe, policy, with};

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
    let preflight = "sec-fetch-mode: cors\n:method: OPTIONS\naccess-control-request-method: PUT";
    check(&set("start", "Any"), &[("sec-fetch-mode: cors", new), ("cdn-loop: cdn", none), (preflight, none)]);
    check(&with(issuing, &json!({"cookie": null})), &[("x-request-id: user@example.com", traced)]);
}
