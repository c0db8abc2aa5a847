/*!
What the point promises: sticky, exact, monotonic, independent between releases.
*/
#![cfg(not(target_family = "wasm"))]
mod support;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use serin_policy::{Arm, Cohort, Decision, Id, Point, Reason, Weight, baggage};

use support::{Lines, decide, policy};

/// The same at every run, so that a failure is one for everybody; `SERIN_SEED` looks elsewhere.
fn seed() -> u64 {
    let seed =
        std::env::var("SERIN_SEED").map_or(20_261_121, |seed| seed.parse().expect("SERIN_SEED is a number"));
    println!("SERIN_SEED={seed}");
    seed
}

/// Runs `property` on cases drawn from `strategy`.
fn check<S: Strategy>(strategy: &S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed().to_le_bytes());
    let config = Config { cases: 512, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    if let Err(error) = runner.run(strategy, property) {
        panic!("{error}");
    }
}

fn any_id() -> impl Strategy<Value = Id> {
    let byte = (0x21_u8..0x7F).prop_filter("ids hold none of these", |byte| !b"\",;\\".contains(byte));
    prop::collection::vec(byte, 1..=Id::MAX_LEN).prop_map(|bytes| Id::try_from(&bytes[..]).unwrap())
}

fn any_salt() -> impl Strategy<Value = String> {
    prop::string::string_regex("[^\0]{1,40}").unwrap()
}

fn any_ppm() -> impl Strategy<Value = u32> {
    // The ends are where off-by-one lives.
    prop_oneof![Just(0), Just(1), Just(999_999), Just(1_000_000), 0..=1_000_000_u32]
}

/// What a policy of this salt, weight and steps decides for `id`.
fn decision(salt: &str, ppm: u32, steps: &[u32], id: &Id) -> Decision {
    let policy = policy(&json!({
        "salt": salt,
        "versions": [{"name": "stable"}, {"name": "canary", "weight": ppm}],
        "steps": steps,
        "identity": ["requestId"],
    }));
    decide(&policy, &Lines::of(&[("x-request-id", id.as_bytes())]))
}

#[test]
fn raising_the_weight_moves_nobody_back_to_stable() {
    check(&(any_salt(), any_id(), any_ppm(), any_ppm()), |(salt, id, one, other)| {
        let (low, high) = (one.min(other), one.max(other));
        let (before, after) = (decision(&salt, low, &[], &id), decision(&salt, high, &[], &id));
        prop_assert_eq!(before.point, after.point);
        prop_assert!(before.arm <= after.arm, "{:?} at {low}, {:?} at {high}", before.arm, after.arm);
        Ok(())
    });
}

#[test]
fn nobody_is_on_the_canary_at_zero_and_everybody_at_full_weight() {
    check(&(any_salt(), any_id()), |(salt, id)| {
        prop_assert_eq!(decision(&salt, 0, &[], &id).arm, Arm::Stable);
        prop_assert_eq!(decision(&salt, 1_000_000, &[], &id).arm, Arm::Canary);
        Ok(())
    });
}

#[test]
fn a_cohort_is_the_first_step_that_covers_the_point() {
    let steps = prop::collection::btree_set(any_ppm(), 0..8).prop_map(Vec::from_iter);
    check(&(any_salt(), any_id(), any_ppm(), steps), |(salt, id, ppm, steps)| {
        let decided = decision(&salt, ppm, &steps, &id);
        let point = Point::of(&salt, &id).get();
        let first = steps.iter().position(|&step| point < step);
        prop_assert_eq!(decided.reason, Reason::Bucket(first.map_or(Cohort::Rest, Cohort::Step)));
        Ok(())
    });
}

#[test]
fn an_id_stands_at_the_same_point_by_whichever_way_it_comes() {
    let policy = policy(&json!({
        "identity": [{"cookie": "serin"}, {"baggage": "serin"}, "requestId"],
        "cookie": {"name": "serin", "maxAgeSeconds": 60, "issue": false},
    }));
    check(&any_id(), |id| {
        let cookie = [b"a=b; serin=", id.as_bytes(), b"; c=d"].concat();
        let member = baggage::with_member(b"a=b;p=q", "serin", id.as_bytes());
        let ways = [("cookie", &cookie[..]), ("baggage", &member), ("x-request-id", id.as_bytes())];
        for (name, value) in ways {
            let decided = decide(&policy, &Lines::of(&[(name, value)]));
            prop_assert_eq!(decided.point, Some(Point::of("shop/shop/1", &id)), "by {}", name);
            prop_assert_eq!(&decided.identity.unwrap().id, &id, "by {}", name);
        }
        Ok(())
    });
}

const MANY: u32 = 1_000_000;

/// A million callers' ids.
fn crowd() -> impl Iterator<Item = Id> {
    let mut random = StdRng::seed_from_u64(seed());
    (0..MANY).map(move |_| Id::from_random(random.random()))
}

#[test]
fn the_share_exposed_is_the_share_asked_for() {
    let points: Vec<_> = crowd().map(|id| Point::of("shop/shop/1", &id)).collect();
    for ppm in [1_000, 10_000, 100_000, 500_000, 999_000] {
        let weight = Weight::from_ppm(ppm).unwrap();
        let exposed = points.iter().filter(|point| point.is_covered_by(weight)).count();
        let (share, many) = (f64::from(ppm) / 1e6, f64::from(MANY));
        let sigma = (many * share * (1.0 - share)).sqrt();
        let off = (f64::from(u32::try_from(exposed).unwrap()) - many * share) / sigma;
        assert!(off.abs() < 4.0, "{weight}: {exposed} of {MANY}, {off:.1} sigma off");
    }
}

#[test]
fn one_release_says_nothing_about_the_next() {
    // Salts as like each other as two runs of one release.
    let mut same_half = 0_u32;
    let mut cells = [[0_u32; 10]; 10];
    for id in crowd() {
        let [one, other] = ["shop/shop/1", "shop/shop/2"].map(|salt| Point::of(salt, &id).get());
        same_half += u32::from((one < 500_000) == (other < 500_000));
        cells[one as usize / 100_000][other as usize / 100_000] += 1;
    }
    let many = f64::from(MANY);
    let off = (f64::from(same_half) - many / 2.0) / (many.sqrt() / 2.0);
    assert!(off.abs() < 4.0, "{same_half} of {MANY} are in the same half twice, {off:.1} sigma off");

    // Chi-square over 100 cells: 99 degrees of freedom, so mean 99 and variance 198.
    let expected = many / 100.0;
    let chi_square: f64 =
        cells.iter().flatten().map(|&cell| (f64::from(cell) - expected).powi(2) / expected).sum();
    let off = (chi_square - 99.0) / 198.0_f64.sqrt();
    assert!(off.abs() < 4.0, "chi-square {chi_square:.1}, {off:.1} sigma off");
}
