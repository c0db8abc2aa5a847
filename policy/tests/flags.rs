/*!
Feature flags: who has which.
*/
mod support;

use serde_json::{Value, json};

use support::{Lines, decide, policy};

/// Each request, as header lines, has the flags beside it by a policy with these.
#[track_caller]
fn check(flags: &Value, changes: &Value, cases: &[(&str, &str)]) {
    let mut all = json!({"identity": [{"baggage": "user"}], "flags": flags});
    all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let policy = policy(&all);
    for (request, expected) in cases {
        let found = decide(&policy, &Lines::parse(request)).flags;
        assert_eq!(found.as_deref(), Some(*expected), "{request:?} by {all}");
    }
}

#[test]
fn a_flag_goes_to_its_share_of_callers_and_to_whoever_matches() {
    let beta = json!([{"headers": [{"name": "x-user-type", "value": "beta"}]}]);
    let flags = json!([
        {"name": "for-all", "weight": 1_000_000},
        {"name": "for-none", "weight": 0, "matches": beta},
        {"name": "half", "weight": 500_000, "matches": beta},
    ]);
    let cases = [
        ("baggage: user=user-0", "for-all,half"),
        ("baggage: user=user-6", "for-all"),
        ("baggage: user=user-6\nx-user-type: beta", "for-all,for-none,half"),
        ("", "for-all"),
        ("x-serin-flags: for-none", "for-all"),
    ];
    check(&flags, &json!({}), &cases);
    // Whichever version serves them, and whatever run there is.
    check(&flags, &json!({"closed": true}), &cases);
    check(&flags, &json!({"salt": "shop/shop/2", "promoted": true}), &cases);
    check(&flags, &json!({"overrides": [{"header": "x-user-id"}]}), &cases);
}

#[test]
fn nobody_is_told_of_flags_where_there_are_none() {
    assert_eq!(decide(&policy(&json!({})), &Lines::parse("baggage: user=bob")).flags, None);
}

#[test]
fn raising_a_share_takes_a_flag_from_nobody_and_one_flag_says_nothing_of_another() {
    const CALLERS: u32 = 20_000;
    let share = |ppm: u32| {
        let flag = |name: &str, weight| json!({"name": name, "weight": weight});
        policy(&json!({"identity": [{"baggage": "user"}], "flags": [flag("a", ppm), flag("b", 500_000)]}))
    };
    let (mut both, mut a, mut b, mut lost) = (0, 0, 0, 0);
    let (low, high) = (share(200_000), share(500_000));
    for caller in 0..CALLERS {
        let request = Lines::parse(&format!("baggage: user=caller-{caller}"));
        let flags = |policy| decide(policy, &request).flags.unwrap();
        let (before, after) = (flags(&low), flags(&high));
        lost += u32::from(before.contains('a') && !after.contains('a'));
        a += u32::from(after.contains('a'));
        b += u32::from(after.contains('b'));
        both += u32::from(after == "a,b");
    }
    assert_eq!(lost, 0);
    // Five standard deviations of a draw.
    let is_about = |found: u32, share: f64| {
        let (n, found) = (f64::from(CALLERS), f64::from(found));
        (found - n * share).abs() < 5.0 * (n * share * (1.0 - share)).sqrt()
    };
    assert!(is_about(a, 0.5) && is_about(b, 0.5) && is_about(both, 0.25), "{a} {b} {both}");
}

#[test]
fn a_callers_place_is_a_hash_of_the_release_the_flag_and_their_id() {
    // By python-xxhash: xxh64(b"shop/shop/flag/half\0user-0"), scaled as everywhere.
    for (id, place) in [("user-0", 14_719), ("user-6", 546_727)] {
        let place_for = |weight: u32| {
            let flags = json!([{"name": "half", "weight": weight}]);
            let policy = policy(&json!({"identity": [{"baggage": "user"}], "flags": flags}));
            decide(&policy, &Lines::parse(&format!("baggage: user={id}"))).flags.unwrap()
        };
        assert_eq!((place_for(place).as_str(), place_for(place + 1).as_str()), ("", "half"), "{id}");
    }
}
