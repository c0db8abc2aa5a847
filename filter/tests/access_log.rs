/*!
What the access log is told of a request.
*/
mod support;

use serde_json::{Value, json};

use support::{FakeProxy, visit};

/// Stable and on the canary, by policy/tests/points.tsv.
const BOB: &str = "cookie: serin=bob";
const USER: &str = "cookie: serin=user@example.com";

fn told(proxy: &FakeProxy) -> Option<String> {
    proxy.properties.borrow().get("serin").cloned()
}

/// The line without the user's point, and whether there is one.
fn without_user(line: &str) -> (&str, bool) {
    line.split_once(" user=").map_or((line, false), |(line, _)| (line, true))
}

#[test]
fn a_line_says_which_version_a_request_got_and_why() {
    let with = |changes: Value| {
        let mut all = json!({"accessLog": true, "steps": [400_000], "baggage": null});
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        all
    };
    let beta = json!({"segments": [{"name": "beta", "weight": 1_000_000,
        "matches": [{"headers": [{"name": "x-user-type", "value": "beta"}]}]}]});
    let fault = json!({"marks": [{"name": "late", "version": "canary", "weight": 1_000_000, "apart": true}]});
    for (changes, request, wanted, is_known) in [
        (json!({}), BOB, "version=stable reason=bucket cohort=rest", true),
        (json!({"steps": [500_000]}), USER, "version=canary reason=bucket cohort=step-1", true),
        (
            json!({"overrides": [{"header": "x-canary"}]}),
            "x-canary: canary",
            "version=canary reason=override",
            false,
        ),
        (beta, "x-user-type: beta", "version=canary reason=segment segment=beta", false),
        // Whoever is known is told, though no draw took place.
        (json!({"closed": true, "baggage": "serin"}), USER, "version=stable reason=closed", true),
        (json!({"cookie": null}), "", "version=stable reason=no-id", false),
        (fault, USER, "version=canary reason=fault", true),
    ] {
        let line = told(&visit(&with(changes.clone()), request, ":status: 200")).expect("a line");
        let (line, found) = without_user(&line);
        assert_eq!(line, format!("release=shop/shop run=1 {wanted}"), "{changes} {request}");
        assert_eq!(found, is_known, "{changes} {request}");
    }
}

#[test]
fn nothing_is_told_where_nobody_asked_or_no_policy_answers() {
    assert_eq!(told(&visit(&json!({}), BOB, ":status: 200")), None);
    let elsewhere = json!({"accessLog": true, "hosts": ["elsewhere.example.com"]});
    assert_eq!(told(&visit(&elsewhere, BOB, ":status: 200")), None);
}
