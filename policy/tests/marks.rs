/*!
Marks: which requests have one.
*/
mod support;

use serde_json::{Value, json};
use serin_policy::{Arm, Policy};

use support::{Lines, policy};

fn marked(marks: &Value) -> Policy {
    policy(&json!({"marks": marks}))
}

/// A request that `arm` gets and for which this number is drawn, at second 100, has this mark.
#[track_caller]
fn check(policy: &Policy, arm: Arm, request: &str, drawn: u32, expected: Option<&str>) {
    let found = policy.mark(&Lines::parse(request), arm, 100, || Some(drawn));
    assert_eq!(found.map(|mark| mark.name.as_str()), expected, "{request:?} on {arm:?} by {drawn}");
}

#[test]
fn each_mark_has_its_share_of_one_versions_requests_and_no_request_has_two() {
    let policy = marked(&json!([
        {"name": "late", "version": "canary", "weight": 100_000},
        {"name": "broken", "version": "canary", "weight": 50_000},
        {"name": "copied", "version": "stable", "weight": 1_000_000},
    ]));
    for (drawn, expected) in [
        (0, Some("late")),
        (99_999, Some("late")),
        (100_000, Some("broken")),
        (149_999, Some("broken")),
        (150_000, None),
        (999_999, None),
    ] {
        check(&policy, Arm::Canary, "", drawn, expected);
        check(&policy, Arm::Stable, "", drawn, Some("copied"));
    }
    let greedy = marked(&json!([
        {"name": "first", "version": "canary", "weight": 900_000},
        {"name": "second", "version": "canary", "weight": 900_000},
    ]));
    check(&greedy, Arm::Canary, "", 899_999, Some("first"));
    check(&greedy, Arm::Canary, "", 900_000, Some("second"));
}

#[test]
fn a_mark_is_for_those_it_matches_and_ends_by_itself() {
    let until = |second: u64| {
        let matches = json!([{"method": "GET"}, {"headers": [{"name": "x-user-type", "value": "beta"}]}]);
        marked(&json!([
            {"name": "m", "version": "canary", "weight": 500_000, "untilSeconds": second, "matches": matches},
        ]))
    };
    for (request, expected) in [
        (":method: GET", Some("m")),
        (":method: POST", None),
        (":method: POST\nx-user-type: beta", Some("m")),
        // What a client says of itself chooses nothing.
        (":method: POST\nx-serin-mark: m", None),
    ] {
        check(&until(101), Arm::Canary, request, 0, expected);
        check(&until(100), Arm::Canary, request, 0, None);
    }
}

#[test]
fn nothing_is_drawn_where_there_is_nothing_to_draw_for() {
    let never = || -> Option<u32> { panic!("drawn") };
    for marks in [
        json!([]),
        json!([{"name": "m", "version": "stable", "weight": 1}]),
        json!([{"name": "m", "version": "canary", "weight": 0}]),
        json!([{"name": "m", "version": "canary", "weight": 1, "untilSeconds": 1}]),
        json!([{"name": "m", "version": "canary", "weight": 1, "matches": [{"method": "PUT"}]}]),
    ] {
        let policy = marked(&marks);
        assert_eq!(policy.has_marks(), marks != json!([]));
        assert_eq!(policy.mark(&Lines::parse(":method: GET"), Arm::Canary, 1, never), None, "{marks}");
    }
    // A proxy without random numbers marks nobody.
    let policy = marked(&json!([{"name": "m", "version": "canary", "weight": 1_000_000}]));
    assert_eq!(policy.mark(&Lines::default(), Arm::Canary, 1, || None), None);
}
