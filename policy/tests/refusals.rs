/*!
What a refused policy says about itself: the field, its value, and what to write instead, word for word.
*/
mod support;

use serde_json::{Value, json};
use serin_policy::Table;

use support::{document, spec};

#[track_caller]
fn check(changes: &Value, expected: &str) {
    let (table, refusals) = Table::read(&document(&[spec(changes)]), None, &Table::default());
    assert_eq!(table.policies().count(), 0, "{changes} was taken");
    assert_eq!(refusals.len(), 1, "{changes}");
    assert_eq!(refusals[0].to_string(), expected, "{changes}");
    let name = spec(changes)["name"].as_str().map(str::to_owned);
    assert_eq!(refusals[0].policy, name, "the policy is named");
}

fn segment(one: &Value) -> Value {
    json!({"segments": [{"name": "s", "weight": 0, "matches": [one]}]})
}

fn cookie(changes: Value) -> Value {
    let mut cookie = json!({"name": "c", "maxAgeSeconds": 60});
    cookie.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    json!({"identity": [{"cookie": "c"}], "cookie": cookie})
}

fn versions(list: Value) -> Value {
    json!({"versions": list})
}

#[test]
fn every_field_that_makes_no_sense_is_named_with_its_mend() {
    let long = "x".repeat(64);
    for (changes, expected) in [
        (
            json!({"name": "shop"}),
            r#"policies[0].name: "shop": write namespace/release, each of lower-case letters, digits and -"#,
        ),
        (
            json!({"name": "a/B"}),
            r#"policies[0].name: "a/B": write namespace/release, each of lower-case letters, digits and -"#,
        ),
        (
            json!({"name": "a/b/c"}),
            r#"policies[0].name: "a/b/c": write namespace/release, each of lower-case letters, digits and -"#,
        ),
        (
            json!({"name": format!("a/{long}")}),
            r#"policies[0].name: "a/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx": write namespace/release, each of lower-case letters, digits and -"#,
        ),
        (
            json!({"salt": ""}),
            r#"policies[0].salt: "": give a text without zero bytes, such as namespace/release/run"#,
        ),
        (
            json!({"salt": "a\0b"}),
            r#"policies[0].salt: "a\0b": give a text without zero bytes, such as namespace/release/run"#,
        ),
        (json!({"hosts": []}), r#"policies[0].hosts: []: give at least one host, * for all"#),
        (
            json!({"hosts": ["a", "http://a"]}),
            r#"policies[0].hosts[1]: "http://a": write a host (shop.example.com, with :port or without), a wildcard (*.example.com) or *"#,
        ),
        (json!({"pathPrefix": "shop"}), r#"policies[0].pathPrefix: "shop": start with /"#),
        (json!({"pathPrefix": ""}), r#"policies[0].pathPrefix: "": start with /"#),
        (
            json!({"steps": [1, 2, 2]}),
            r#"policies[0].steps[2]: 2: list weights in rising order, each above the one before"#,
        ),
        (
            json!({"steps": [2, 1]}),
            r#"policies[0].steps[1]: 1: list weights in rising order, each above the one before"#,
        ),
        (
            json!({"steps": (1..=101).collect::<Vec<_>>()}),
            r#"policies[0].steps: 101 steps: give at most 100 steps"#,
        ),
        (
            json!({"identity": [{"header": "x-a"}, {"header": "X-B"}]}),
            r#"policies[0].identity[1]: {"header":"X-B"}: use letters, digits, - and _, headers in lower case"#,
        ),
        (
            json!({"identity": [{"cookie": "a b"}]}),
            r#"policies[0].identity[0]: {"cookie":"a b"}: use letters, digits, - and _, headers in lower case"#,
        ),
        (
            json!({"identity": [{"baggage": ""}]}),
            r#"policies[0].identity[0]: {"baggage":""}: use letters, digits, - and _, headers in lower case"#,
        ),
        (
            json!({"baggage": "a=b"}),
            r#"policies[0].baggage: "a=b": use letters, digits, - and _ for the baggage key"#,
        ),
        (
            json!({"requestHeader": "Host"}),
            r#"policies[0].requestHeader: "Host": use a header of its own in lower-case letters, digits, - and _, such as x-serin-version"#,
        ),
        (
            json!({"requestHeader": "cookie"}),
            r#"policies[0].requestHeader: "cookie": use a header of its own in lower-case letters, digits, - and _, such as x-serin-version"#,
        ),
        (
            json!({"responseHeader": ":status"}),
            r#"policies[0].responseHeader: ":status": use a header of its own in lower-case letters, digits, - and _, such as x-serin-version"#,
        ),
        (
            versions(json!([{"name": "stable"}])),
            r#"policies[0].versions: 1 of them: this filter serves exactly two versions: stable first, then the canary"#,
        ),
        (
            versions(json!([{"name": "a"}, {"name": "b", "weight": 1}, {"name": "c", "weight": 1}])),
            r#"policies[0].versions: 3 of them: this filter serves exactly two versions: stable first, then the canary"#,
        ),
        (
            versions(json!([{"name": "a"}, {"name": "B", "weight": 1}])),
            r#"policies[0].versions[1].name: "B": use lower-case letters, digits and -, at most 63 of them"#,
        ),
        (
            versions(json!([{"name": "a"}, {"name": "a", "weight": 1}])),
            r#"policies[0].versions[1].name: "a": give the canary a name of its own"#,
        ),
        (
            versions(json!([{"name": "a", "weight": 1}, {"name": "b", "weight": 1}])),
            r#"policies[0].versions[0].weight: 1: leave it out: the first version gets what the others leave"#,
        ),
        (
            versions(json!([{"name": "a"}, {"name": "b"}])),
            r#"policies[0].versions[1].weight: none: give its share in ppm, 0 to 1000000"#,
        ),
        (
            json!({"overrides": [{"header": "X-Canary"}]}),
            r#"policies[0].overrides[0].header: "X-Canary": use letters, digits, - and _, headers in lower case"#,
        ),
        (
            json!({"overrides": [{"header": "x-a"}, {"header": "x-b", "tokenSha256": "open sesame"}]}),
            r#"policies[0].overrides[1].tokenSha256: 11 characters: give the token's SHA-256 as 64 hexadecimal digits, never the token itself"#,
        ),
        (
            json!({"overrides": [{"header": "x-a", "tokenSha256": "+f".repeat(32)}]}),
            r#"policies[0].overrides[0].tokenSha256: 64 characters: give the token's SHA-256 as 64 hexadecimal digits, never the token itself"#,
        ),
        (cookie(json!({"name": "a b"})), r#"policies[0].cookie.name: "a b": use letters, digits, - and _"#),
        (
            cookie(json!({"name": "d"})),
            r#"policies[0].identity: [{"cookie":"c"}]: add {"cookie": "d"}, or nobody is recognised by the cookie"#,
        ),
        (
            cookie(json!({"maxAgeSeconds": 0})),
            r#"policies[0].cookie.maxAgeSeconds: 0: give 1 to 34560000 (400 days)"#,
        ),
        (
            cookie(json!({"maxAgeSeconds": 34_560_001})),
            r#"policies[0].cookie.maxAgeSeconds: 34560001: give 1 to 34560000 (400 days)"#,
        ),
        (
            cookie(json!({"path": "a"})),
            r#"policies[0].cookie.path: "a": start with / and use no ; or control characters"#,
        ),
        (
            cookie(json!({"path": "/; Domain=evil.example"})),
            r#"policies[0].cookie.path: "/; Domain=evil.example": start with / and use no ; or control characters"#,
        ),
        (
            cookie(json!({"domain": ""})),
            r#"policies[0].cookie.domain: "": give a host name, or leave it out"#,
        ),
        (
            cookie(json!({"domain": "a\r\nset-cookie: b"})),
            r#"policies[0].cookie.domain: "a\r\nset-cookie: b": give a host name, or leave it out"#,
        ),
        (
            cookie(json!({"sameSite": "None"})),
            r#"policies[0].cookie.secure: "auto": browsers drop SameSite=None without Secure: write always"#,
        ),
        (
            json!({"segments": [{"name": "S", "weight": 0, "matches": [{"method": "GET"}]}]}),
            r#"policies[0].segments[0].name: "S": use lower-case letters, digits and -"#,
        ),
        (
            json!({"segments": [{"name": "s", "weight": 0, "matches": []}]}),
            r#"policies[0].segments[0].matches: []: give at least one match; a segment of all is the steps' business"#,
        ),
        (
            json!({"segments": [{"name": "s", "weight": 0, "matches": [{"method": "GET"}]}, {"name": "s", "weight": 1, "matches": [{"method": "PUT"}]}]}),
            r#"policies[0].segments[1].name: "s": give every segment a name of its own"#,
        ),
        (
            segment(&json!({})),
            r#"policies[0].segments[0].matches[0]: {}: give headers, cookies, path or method; an empty match would take everybody"#,
        ),
        (
            segment(&json!({"headers": [{"name": "X-A", "value": "1"}]})),
            r#"policies[0].segments[0].matches[0].headers[0].name: "X-A": use letters, digits, - and _, headers in lower case"#,
        ),
        (
            segment(&json!({"headers": [{"name": "x-a"}]})),
            r#"policies[0].segments[0].matches[0].headers[0].value: empty: give a value to compare with, or use type Present"#,
        ),
        (
            segment(&json!({"headers": [{"name": "x-a", "value": ""}]})),
            r#"policies[0].segments[0].matches[0].headers[0].value: empty: give a value to compare with, or use type Present"#,
        ),
        (
            segment(&json!({"cookies": [{"name": "c", "type": "Present", "value": "1"}]})),
            r#"policies[0].segments[0].matches[0].cookies[0].value: "1": leave it out: Present compares nothing"#,
        ),
        (
            segment(&json!({"cookies": [{"name": "c;d", "value": "1"}]})),
            r#"policies[0].segments[0].matches[0].cookies[0].name: "c;d": use letters, digits, - and _, headers in lower case"#,
        ),
        (
            segment(&json!({"path": {"type": "Present", "value": "/"}})),
            r#"policies[0].segments[0].matches[0].path.type: "Present": use Exact, Prefix or Contains: every request has a path"#,
        ),
        (
            segment(&json!({"path": {"type": "Prefix", "value": ""}})),
            r#"policies[0].segments[0].matches[0].path.value: "": give a path to compare with"#,
        ),
        (
            segment(&json!({"method": "get"})),
            r#"policies[0].segments[0].matches[0].method: "get": write the method in capitals, like GET"#,
        ),
        (
            segment(&json!({"method": ""})),
            r#"policies[0].segments[0].matches[0].method: "": write the method in capitals, like GET"#,
        ),
    ] {
        check(&changes, expected);
    }
}

#[test]
fn what_has_the_wrong_shape_is_shown_with_what_was_expected() {
    let (_, refusals) = Table::read(&document(&[json!({"name": "a/a"})]), None, &Table::default());
    let expected = r#"policies[0]: {"name":"a/a"}: missing field `revision` at line 1 column 14"#;
    assert_eq!(refusals[0].to_string(), expected);
    for (changes, expected) in [
        (json!({"revision": -1}), "invalid type: integer `-1`, expected a whole number of 0 or more"),
        (
            versions(json!([{"name": "a"}, {"name": "b", "weight": 1_000_001}])),
            "1000001 ppm is more than everybody: give 0 to 1000000",
        ),
        (json!({"counts": {"objectiveMs": 4_294_967_296_u64}}), "expected at most 4294967295"),
        (
            json!({"counts": {"objectiveMs": 0.5}}),
            "invalid value: floating point `0.5`, expected a whole number of 0 or more",
        ),
        (
            json!({"identity": ["session"]}),
            "unknown variant `session`, expected one of `header`, `cookie`, `baggage`, `requestId`",
        ),
        (
            segment(&json!({"header": []})),
            "unknown field `header`, expected one of `headers`, `cookies`, `path`, `method`",
        ),
    ] {
        let (_, refusals) = Table::read(&document(&[spec(&changes)]), None, &Table::default());
        assert!(refusals[0].to_string().contains(expected), "{changes}: {}", refusals[0]);
    }
}

#[test]
fn junk_of_any_size_is_refused_in_few_words() {
    for junk in ["x".repeat(1_000_000), "ü".repeat(500_000), "[".repeat(1_000_000)] {
        let (_, refusals) = Table::read(junk.as_bytes(), None, &Table::default());
        let words = refusals[0].to_string();
        assert!(words.len() < 500 && words.contains(r#"want {"version": 1, "policies": […]}"#), "{words}");
    }
    let (_, refusals) =
        Table::read(&document(&[spec(&json!({"salt": vec![0; 10_000]}))]), None, &Table::default());
    assert!(refusals[0].to_string().chars().count() < 300, "{}", refusals[0]);
}
