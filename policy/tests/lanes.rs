/*!
Versions beside stable and canary: each has its share, and a change of one moves callers between that version and stable.
*/
#![cfg(not(target_family = "wasm"))]
mod support;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use serin_policy::lanes::{beside_stable, first_without_room};
use serin_policy::{Arm, Extra, Id, Lease, Point, Policy, Reason, Weight};

use support::{Lines, check, decide, describe, policy, with};

fn ppm(ppm: u32) -> Weight {
    Weight::from_ppm(ppm).unwrap()
}

/// A policy whose canary and versions beside it have these shares, in ppm.
fn versions(canary: u32, others: &[u32]) -> Value {
    let others = others.iter().zip(3..).map(|(share, i)| json!({"name": format!("v{i}"), "weight": share}));
    let both = [json!({"name": "stable"}), json!({"name": "canary", "weight": canary})];
    json!({
        "versions": both.into_iter().chain(others).collect::<Vec<_>>(),
        "salt": "shop/shop",
        "run": "v2",
        "identity": ["requestId"],
    })
}

fn crowd(count: usize) -> Vec<Id> {
    let mut random = StdRng::seed_from_u64(20_261_121);
    (0..count).map(|_| Id::from_random(random.random())).collect()
}

fn arms(policy: &Policy, crowd: &[Id]) -> Vec<Arm> {
    crowd.iter().map(|id| decide(policy, &Lines::of(&[("x-request-id", id.as_bytes())])).arm).collect()
}

/// Changes the shares of a canary and `others` versions at random, so often, and sees who is moved by each.
fn only_stable_gives_and_takes(others: usize, changes: usize) {
    let (crowd, mut random) = (crowd(100), StdRng::seed_from_u64(7));
    let mut shares = vec![0_u32; 1 + others];
    let mut before = arms(&policy(&versions(0, &vec![0; others])), &crowd);
    let mut moved = 0;
    for _ in 0..changes {
        let which = random.random_range(0..shares.len());
        let share = match random.random_range(0..8) {
            0 => 0,
            1 if which == 0 => 1_000_000,
            _ => random.random_range(0..=500_000),
        };
        let earlier = std::mem::replace(&mut shares[which], share);
        let of_others: Vec<_> = shares[1..].iter().copied().map(ppm).collect();
        if first_without_room(ppm(shares[0]), &of_others).is_some() {
            shares[which] = earlier;
            continue;
        }
        let after = arms(&policy(&versions(shares[0], &shares[1..])), &crowd);
        // Where everybody is on the canary, that stands in stable's place.
        let rest = if which > 0 && shares[0] == 1_000_000 { Arm::Canary } else { Arm::Stable };
        let own = Arm::all().filter(|arm| *arm != Arm::Stable).nth(which).unwrap();
        for (before, after) in before.iter().zip(&after).filter(|(before, after)| before != after) {
            let wanted = if share > earlier { (rest, own) } else { (own, rest) };
            assert_eq!((*before, *after), wanted, "{shares:?}, of which {which} was {earlier}");
            moved += 1;
        }
        before = after;
    }
    assert!(moved > changes, "somebody is moved: {moved}");
}

#[test]
fn ten_thousand_changes_of_three_arms_move_nobody_but_between_one_of_them_and_stable() {
    only_stable_gives_and_takes(1, 10_000);
}

#[test]
fn the_same_holds_of_as_many_as_there_can_be() {
    only_stable_gives_and_takes(Extra::MOST, 2_000);
}

#[test]
fn eighty_fifteen_five_is_exact_for_each_caller() {
    let (policy, crowd) = (policy(&versions(150_000, &[50_000])), crowd(100_000));
    let mut counts = [0_u32; 3];
    for id in &crowd {
        let arm = decide(&policy, &Lines::of(&[("x-request-id", id.as_bytes())])).arm;
        let expected = match Point::of("shop/shop", id).get() {
            0..150_000 => Arm::Canary,
            950_000.. => Arm::Extra(Extra::ALL[0]),
            _ => Arm::Stable,
        };
        assert_eq!(arm, expected);
        counts[arm.index()] += 1;
    }
    for (count, share) in counts.into_iter().zip([0.8, 0.15, 0.05]) {
        let sigma = (1e5_f64 * share * (1.0 - share)).sqrt();
        assert!((f64::from(count) - 1e5 * share).abs() < 4.0 * sigma, "{counts:?}");
    }
}

#[test]
fn callers_keep_their_points_from_run_to_run_and_runs_are_told_apart() {
    let [one, other] = ["v2", "v3"].map(|run| {
        let changes = with(versions(150_000, &[50_000]), &json!({"run": run}));
        policy(&changes)
    });
    assert_eq!((one.run(), other.run()), ("v2", "v3"));
    assert_ne!(one.run_key(), other.run_key());
    let crowd = crowd(1_000);
    assert_eq!(arms(&one, &crowd), arms(&other, &crowd));
}

#[test]
fn a_version_that_takes_no_traffic_has_its_callers_on_stable_and_counts_them_apart() {
    let mut closed = versions(0, &[1_000_000]);
    check(&closed, &[("x-request-id: a", "extra-1: bucket the share of extra-1; request id a")]);
    closed["versions"][2]["closed"] = json!(true);
    check(&closed, &[("x-request-id: a", "stable: bucket the share of extra-1; request id a")]);
    let closed = with(
        closed,
        &json!({"overrides": [{"header": "x-canary"}], "segments": [
            {"name": "beta", "version": "v3", "weight": 1_000_000, "matches": [{"method": "PUT"}]},
            {"name": "half", "version": "v3", "weight": 500_000, "matches": [{"method": "POST"}]},
        ]}),
    );
    check(
        &closed,
        &[
            ("x-canary: v3", "stable: closed"),
            (":method: PUT", "stable: closed"),
            (":method: POST", "stable: closed"),
        ],
    );
}

#[test]
fn a_version_is_reached_by_its_name_and_by_segments_whatever_becomes_of_the_canary() {
    let rules = json!({"overrides": [{"header": "x-canary"}], "segments": [
        {"name": "beta", "version": "v3", "weight": 1_000_000, "matches": [{"method": "PUT"}]},
        {"name": "ours", "weight": 1_000_000, "matches": [{"method": "POST"}]},
        {"name": "half", "version": "v3", "weight": 999_999, "matches": [{"method": "PATCH"}]},
    ]});
    let open = with(versions(0, &[0]), &rules);
    check(
        &open,
        &[
            ("x-canary: v3", "extra-1: override"),
            ("x-canary: canary", "canary: override"),
            (":method: PUT", "extra-1: segment 1"),
            (":method: POST", "canary: segment 2"),
            (":method: PATCH\nx-request-id: a", "extra-1: split segment 3; request id a"),
            ("x-request-id: a", "stable: bucket the promotion; request id a"),
        ],
    );
    check(
        &with(open, &json!({"closed": true})),
        &[
            ("x-canary: v3", "extra-1: override"),
            ("x-canary: canary", "stable: closed"),
            (":method: PUT", "extra-1: segment 1"),
            (":method: POST", "stable: closed"),
            (":method: PATCH\nx-request-id: a", "extra-1: split segment 3; request id a"),
            ("x-request-id: a", "stable: closed; request id a"),
        ],
    );
}

#[test]
fn a_lease_that_runs_out_and_a_fuse_leave_what_they_are_about() {
    let policy = policy(&versions(500_000, &[500_000]));
    let of =
        |lease| crowd(50).into_iter().map(move |id| (Lines::of(&[("x-request-id", id.as_bytes())]), lease));
    for (request, lease) in of(Lease::Lapsed) {
        let decided = policy.decide(&request, lease, || None);
        assert_eq!((decided.arm, decided.reason), (Arm::Stable, Reason::Lapsed));
    }
    // A fuse is the canary's: who is on another version stays there.
    for (request, lease) in of(Lease::Held) {
        let (open, fused) =
            (policy.decide(&request, lease, || None), policy.decide_closed(&request, || None));
        match open.arm {
            Arm::Canary => assert_eq!((fused.arm, fused.reason), (Arm::Stable, Reason::Closed)),
            arm => assert_eq!((fused.arm, describe(&fused)), (arm, describe(&open))),
        }
    }
}

#[test]
fn the_canarys_odds_beside_stable_leave_out_who_is_on_neither() {
    assert_eq!(policy(&versions(150_000, &[50_000])).weight_beside_stable(), ppm(157_894));
    assert_eq!(policy(&versions(150_000, &[])).weight_beside_stable(), ppm(150_000));
    assert_eq!(beside_stable(ppm(1_000_000), ppm(50_000)), Weight::FULL);
    assert_eq!(beside_stable(ppm(0), Weight::FULL), Weight::FULL);
}

#[test]
fn each_pair_of_version_and_reason_has_a_slot_of_its_own() {
    let policy = policy(&with(
        versions(150_000, &[50_000, 0]),
        &json!({"steps": [1, 2], "segments": [{"name": "a", "weight": 1, "matches": [{"method": "PUT"}]}]}),
    ));
    let steps = [0, 1].map(serin_policy::Cohort::Step);
    let lanes = [0, 1].map(|i| serin_policy::Cohort::Lane(Extra::ALL[i]));
    let cohorts = steps.into_iter().chain(lanes).chain([serin_policy::Cohort::Rest]).map(Reason::Bucket);
    let others =
        [Reason::Closed, Reason::Lapsed, Reason::Override, Reason::NoIdentity, Reason::Fault, Reason::Copied];
    let reasons: Vec<_> = cohorts.chain(others).chain([Reason::Segment(0), Reason::Split(0)]).collect();
    let arms = Arm::all().take(4);
    let slots: std::collections::BTreeSet<_> = arms
        .flat_map(|arm| reasons.iter().map(move |reason| (arm, *reason)))
        .map(|(arm, reason)| policy.slot(arm, reason))
        .collect();
    assert_eq!((slots.len(), slots.last().copied()), (4 * reasons.len(), Some(policy.slots() - 1)));
}

#[test]
fn shares_that_have_no_room_and_names_that_are_taken_are_refused() {
    #[track_caller]
    fn check(changes: &Value, field: &str) {
        let document = support::document(&[support::spec(changes)]);
        let (_, refusals) = serin_policy::Table::read(
            &document,
            &serin_policy::Proxy::default(),
            &serin_policy::Table::default(),
        );
        assert!(refusals.iter().any(|refusal| refusal.field.ends_with(field)), "{refusals:?}");
    }
    check(&versions(0, &[100_000, 450_000]), "versions[3].weight");
    check(&versions(0, &[0, 0, 0, 0, 0]), "versions");
    let mut named = versions(0, &[0, 0]);
    named["versions"][3]["name"] = json!("v3");
    check(&named, "versions[3].name");
    check(&json!({"versions": [{"name": "stable"}]}), "versions");
    let segment = json!({"name": "a", "version": "v9", "weight": 1, "matches": [{"method": "PUT"}]});
    check(&with(versions(0, &[0]), &json!({"segments": [segment]})), "segments[0].version");
}
