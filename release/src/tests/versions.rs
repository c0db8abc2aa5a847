//! Versions beside stable and canary.

use super::*;
use crate::rule::versions as rule;

fn versions(list: &str) -> String {
    with(&format!("versions: {list}"))
}

#[test]
fn names_and_shares_that_make_no_sense_are_refused() {
    check(
        &versions("[{name: canary, share: 5}, {name: v3, share: 5}, {name: v3, share: 101}, {share: 1}]"),
        &[
            &format!("spec.versions[0].name: \"canary\": {}", rule::OTHER_NAME),
            &format!("spec.versions[2].name: \"v3\": {}", rule::OTHER_NAME),
            "spec.versions[2].share: \"101\": give at most 100%",
            "spec.versions[3].name: missing: give a name of 1 to 63 lower-case letters, digits and -, with no - at its ends",
        ],
    );
    check(
        &versions(
            "[{name: a, share: 1}, {name: b, share: 1}, {name: c, share: 1}, {name: d, share: 1}, {name: e, share: 1}]",
        ),
        &["spec.versions: 5 of them: give at most 4"],
    );
    check(
        &with("strategy: {blueGreen: {}}\nversions: [{name: v3, share: 5}]"),
        &[&format!("spec.versions: beside blueGreen: {}", rule::NOT_BESIDE_BLUE_GREEN)],
    );
    check(
        &with("segments: [{name: beta, matches: [{method: GET}], weight: 1, version: v3}]"),
        &[
            "spec.segments[0].version: \"v3\": give the name of a version that is not stable, or leave it out for the canary",
        ],
    );
}

#[test]
fn shares_that_have_no_room_are_refused_by_name() {
    check(
        &versions("[{name: v3, share: 25}, {name: v4, share: 20}, {name: v5, share: 10}]"),
        &[&format!("spec.versions[2].share: 10%: give less, or give v4 less: {}", rule::ROOM)],
    );
    check(
        &versions("[{name: v3, share: 51}]"),
        &[&format!(
            "spec.strategy.canary.steps[4].setWeight: 50%: give less, or 100 for all who are on no other version, or give v3 \
             less: {}",
            rule::ROOM
        )],
    );
    for fine in ["[{name: v3, share: 50}]", "[{name: v3, share: 25}, {name: v4, share: 25}]"] {
        assert_eq!(Release::from_yaml(&versions(fine)).unwrap().versions[0].name, "v3");
    }
    let all =
        "strategy: {canary: {steps: [{setWeight: 5}, {setWeight: 100}]}}\nversions: [{name: v3, share: 90}]";
    assert!(Release::from_yaml(&with(all)).is_ok(), "everybody are all who are in no lane");
}

#[test]
fn a_promotion_keeps_the_members_of_another_versions_segment() {
    let yaml = with(
        "versions: [{name: v3, share: 5}]
segments: [{name: beta, matches: [{method: PUT}], weight: 100, version: v3}, {name: ours, matches: [{method: GET}], weight: 100}]",
    );
    let release = Release::from_yaml(&yaml).unwrap();
    let promoted = release.policy(1, Weight::FULL, false, true);
    assert_eq!(promoted.segments.iter().map(|segment| &*segment.name).collect::<Vec<_>>(), ["beta"]);
    assert!(Policy::compile(promoted, Place::Edge).is_ok());
}
