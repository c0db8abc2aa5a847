/*!
What a refused policy says about itself: the field, its value, and what to write instead, word for word.
*/
mod support;

use serde_json::{Value, json};
use serin_policy::{Proxy, Refusal, Table};

use support::{document, spec};

/// The one refusal of the smallest policy with `changes`.
#[track_caller]
fn refusal(changes: &Value) -> Refusal {
    let (table, mut refusals) =
        Table::read(&document(&[spec(changes)]), &Proxy::default(), &Table::default());
    assert_eq!((table.policies().count(), refusals.len()), (0, 1), "{changes}");
    refusals.remove(0)
}

#[test]
fn every_field_that_makes_no_sense_is_named_with_its_mend() {
    for row in include_str!("refusals.tsv").lines().filter(|line| !line.starts_with('#')) {
        let (changes, expected) = row.split_once('\t').expect("two columns");
        let changes: Value = serde_json::from_str(changes).unwrap();
        let refusal = refusal(&changes);
        assert_eq!(refusal.to_string(), format!("policies[0].{expected}"), "{changes}");
        let name = spec(&changes)["name"].as_str().map(str::to_owned);
        assert_eq!(refusal.policy, name, "the policy is named: {changes}");
    }
}

#[test]
fn what_has_the_wrong_shape_is_shown_with_what_was_expected() {
    let (_, refusals) =
        Table::read(&document(&[json!({"name": "a/a"})]), &Proxy::default(), &Table::default());
    let expected = r#"policies[0]: {"name":"a/a"}: missing field `revision` at line 1 column 14"#;
    assert_eq!(refusals[0].to_string(), expected);
    for (changes, expected) in [
        (json!({"revision": -1}), "invalid type: integer `-1`, expected a whole number of 0 or more"),
        (
            json!({"versions": [{"name": "a"}, {"name": "b", "weight": 1_000_001}]}),
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
            json!({"segments": [{"name": "s", "weight": 0, "matches": [{"header": []}]}]}),
            "unknown field `header`, expected one of `headers`, `cookies`, `path`, `method`",
        ),
    ] {
        let said = refusal(&changes).to_string();
        assert!(said.contains(expected), "{changes}: {said}");
    }
}

#[test]
fn junk_of_any_size_is_refused_in_few_words() {
    for junk in ["x".repeat(1_000_000), "ü".repeat(500_000), "[".repeat(1_000_000)] {
        let (_, refusals) = Table::read(junk.as_bytes(), &Proxy::default(), &Table::default());
        let words = refusals[0].to_string();
        assert!(words.len() < 500 && words.contains(r#"want {"version": 1, "policies": […]}"#), "{words}");
    }
    let words = refusal(&json!({"salt": vec![0; 10_000]})).to_string();
    assert!(words.len() < 500, "{words}");
}
