/*!
Evidence against what others have computed, and the promise it makes.
*/
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serin_policy::Weight;
use serin_policy::evidence::{
    Alarm, Allowance, Ceiling, Claim, Comparison, Dispersion, Split, Spread, Tally,
};

fn tally(requests: u64, bad: u64) -> Tally {
    Tally { requests, bad }
}

#[track_caller]
fn check_near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() < tolerance, "{found}, expected {expected}");
}

/// Takes in intervals `(n_c, y_c, n_s, y_s)` one by one; `expected` is ln E after each.
#[track_caller]
fn check(claim: Claim, allowance: Allowance, intervals: &[(u64, u64, u64, u64)], expected: &[f64]) {
    let mut comparison = Comparison::new(claim);
    for (&(n_c, y_c, n_s, y_s), &expected) in intervals.iter().zip(expected) {
        comparison.take_in(tally(n_c, y_c), tally(n_s, y_s), allowance, Dispersion::NONE);
        check_near(comparison.ln_e(), expected, 5e-10);
    }
}

const WORSENING: [(u64, u64, u64, u64); 4] =
    [(100, 1, 900, 9), (100, 5, 900, 9), (250, 12, 750, 8), (250, 15, 750, 7)];

#[test]
fn a_canary_that_gets_worse_gathers_the_evidence_of_the_reference() {
    let strict = [-1.415_370_164, 0.811_699_520, 5.706_447_424, 14.017_332_643];
    check(Claim::Worse, Allowance::new(1.0, 0.0), &WORSENING, &strict);
    let lenient = [-1.808_113_934, -0.677_542_817, 1.571_706_995, 6.109_909_554];
    check(Claim::Worse, Allowance::new(1.5, 0.001), &WORSENING, &lenient);
}

#[test]
fn a_good_canary_is_shown_to_be_no_worse() {
    let mut comparison = Comparison::new(Claim::NoWorse);
    for _ in 0..10 {
        let (canary, stable) = (tally(500, 2), tally(500, 3));
        comparison.take_in(canary, stable, Allowance::new(1.5, 0.005), Dispersion::NONE);
    }
    check_near(comparison.ln_e(), 14.001_619_407, 5e-10);
}

#[test]
fn an_interval_without_one_of_the_versions_says_nothing() {
    let silent = [(0, 0, 900, 9), (100, 100, 0, 0), (0, 0, 0, 0)];
    check(Claim::Worse, Allowance::new(1.0, 0.0), &silent, &[0.0, 0.0, 0.0]);
}

#[test]
fn what_makes_no_sense_is_no_evidence() {
    let allowance = Allowance::new(f64::NAN, f64::NAN);
    check(Claim::Worse, allowance, &[(100, 500, 900, u64::MAX)], &[0.0]);
    let mut ceiling = Ceiling::default();
    ceiling.take_in(tally(10, 10), f64::NAN, Dispersion::new(f64::NAN));
    check_near(ceiling.ln_e(), 0.0, 1e-12);
}

#[test]
fn errors_in_clusters_are_one_piece_of_evidence_each() {
    let (mut clustered, mut single) = (Comparison::new(Claim::Worse), Comparison::new(Claim::Worse));
    let allowance = Allowance::new(1.5, 0.001);
    clustered.take_in(tally(500, 50), tally(4500, 45), allowance, Dispersion::new(5.0));
    single.take_in(tally(100, 10), tally(900, 9), allowance, Dispersion::NONE);
    check_near(clustered.ln_e(), single.ln_e(), 1e-9);
}

/// Looks until the evidence reaches ln(100) in a canary that is good for `good` looks and then fails 30 %.
fn looks_until_caught(mut comparison: Comparison, good: u32) -> Option<u32> {
    let mut look = |bad| {
        let allowance = Allowance::new(1.5, 0.001);
        comparison.take_in(tally(10, bad), tally(90, 0), allowance, Dispersion::NONE);
        comparison.ln_e() >= 100_f64.ln()
    };
    assert!((0..good).all(|_| !look(0)), "caught while it was good");
    (1..10_000).find(|_| look(3))
}

#[test]
fn a_canary_that_turns_bad_after_an_hour_is_caught_soon_all_the_same() {
    let looks = [
        looks_until_caught(Comparison::new(Claim::Worse), 0),
        looks_until_caught(Comparison::new(Claim::Worse), 3600),
        looks_until_caught(Comparison::watchful(Claim::Worse), 0),
        looks_until_caught(Comparison::watchful(Claim::Worse), 3600),
    ];
    assert_eq!(looks, [Some(1), Some(21), Some(2), Some(4)]);
}

#[test]
fn splits_agree_with_savvi() {
    for (canary, stable, share, expected) in [
        (10, 10, 0.9, 9.099_298_698_120_647_f64),
        (80, 20, 0.9, 6.825_898_646_155_29),
        (5, 15, 0.5, 1.389_684_294_970_183_3),
    ] {
        let mut split = Split::default();
        for _ in 0..5 {
            split.take_in(canary / 5, stable / 5, share);
        }
        check_near(split.ln_e().exp() / expected, 1.0, 1e-10);
    }
}

#[test]
fn a_split_keeps_what_it_has_won_when_the_share_changes() {
    let mut split = Split::default();
    split.take_in(10, 10, 0.9);
    split.take_in(10, 10, 0.0);
    split.take_in(5, 15, 0.5);
    check_near(split.ln_e(), 9.099_298_698_120_647_f64.ln() + 1.389_684_294_970_183_3_f64.ln(), 1e-9);
    assert_eq!(split.seen(), (20, 5));
}

#[test]
fn a_ceiling_is_the_likelihood_ratio_of_higher_odds() {
    // Against one factor it would be (r/(1+p(r−1)))^y · (1/(1+p(r−1)))^(n−y); the mixture is the mean of sixteen.
    let mean: f64 = (0..16)
        .map(|i| {
            let r = 1.1 * 1.35_f64.powi(i);
            let norm = 1.0 + 0.01 * (r - 1.0);
            (r / norm).powi(7) * norm.recip().powi(93) / 16.0
        })
        .sum();
    let mut ceiling = Ceiling::default();
    ceiling.take_in(tally(60, 3), 0.01, Dispersion::NONE);
    ceiling.take_in(tally(40, 4), 0.01, Dispersion::NONE);
    check_near(ceiling.ln_e(), mean.ln(), 1e-9);
}

#[test]
fn a_spread_finds_the_size_of_clusters() {
    let seed = 20_261_121;
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for size in [1, 5] {
        let mut spread = Spread::default();
        for _ in 0..5_000 {
            let clusters = (0..1000 / size).filter(|_| rng.random_bool(0.01)).count() as u64;
            spread.take_in(tally(1000, clusters * size));
        }
        let found = spread.dispersion(Dispersion::NONE).get();
        #[expect(clippy::cast_precision_loss, reason = "1 and 5")]
        let expected = size as f64;
        check_near(found / expected, 1.0, 0.07);
    }
    assert_eq!(Spread::default().dispersion(Dispersion::new(2.0)), Dispersion::new(2.0));
}

/// How many of `runs` reach the evidence that α asks for within 240 looks; `look` takes one interval in.
fn alarms(
    runs: u32,
    alpha: f64,
    mut look: impl FnMut(&mut StdRng) -> Box<dyn FnMut(&mut StdRng) -> f64>,
) -> u32 {
    let mut rng = StdRng::seed_from_u64(20_261_121);
    let mut alarms = 0;
    for _ in 0..runs {
        let mut one = look(&mut rng);
        alarms += u32::from((0..240).any(|_| one(&mut rng) >= (1.0 / alpha).ln()));
    }
    alarms
}

/// How many intervals there are for each alarm at ln E = ln `threshold`, of a canary with this share that fails `canary` of its
/// requests where stable fails 2 %. As in a proxy an interval ends with the canary's failure, or after 40 requests.
fn intervals_for_an_alarm(share: u32, canary: f64, threshold: f64) -> f64 {
    const INTERVALS: u32 = 40_000;
    let mut rng = StdRng::seed_from_u64(20_261_127);
    let (weight, allowance) = (Weight::from_ppm(share * 10_000).unwrap(), Allowance::new(2.0, 0.05));
    let (mut alarm, mut alarms) = (Alarm::default(), 0_u32);
    for _ in 0..INTERVALS {
        let mut seen = [tally(0, 0); 2];
        for _ in 0..40 {
            let is_canary = rng.random_ratio(share, 100);
            let fails = rng.random_bool(if is_canary { canary } else { 0.02 });
            seen[usize::from(is_canary)].add(tally(1, fails.into()));
            if is_canary && fails {
                break;
            }
        }
        let [of_stable, of_canary] = seen;
        alarm.take_in(of_canary, of_stable, weight, allowance);
        if alarm.ln_e() >= threshold.ln() {
            (alarm, alarms) = (Alarm::default(), alarms + 1);
        }
    }
    f64::from(INTERVALS) / f64::from(alarms.max(1))
}

#[test]
fn an_alarm_is_as_seldom_false_as_is_said_though_intervals_end_with_failures() {
    for share in [1, 10, 50] {
        for threshold in [30.0, 300.0] {
            let found = intervals_for_an_alarm(share, 2.0 * 0.02 + 0.05, threshold);
            println!("{share} %, {threshold}: one in {found:.0} intervals");
            assert!(found >= threshold, "at {share} %: one in {found} intervals, not in {threshold}");
        }
        // A canary that is as good as stable is far away from it.
        assert!(intervals_for_an_alarm(share, 0.02, 300.0) >= 40_000.0);
    }
}

fn draw(rng: &mut StdRng, requests: u64, share: f64) -> Tally {
    tally(requests, (0..requests).filter(|_| rng.random_bool(share)).count() as u64)
}

#[test]
fn looking_all_the_time_gives_no_more_false_alarms_than_promised() {
    let comparison = |_: &mut StdRng| -> Box<dyn FnMut(&mut StdRng) -> f64> {
        let mut comparison = Comparison::watchful(Claim::Worse);
        Box::new(move |rng| {
            let (canary, stable) = (draw(rng, 50, 0.02), draw(rng, 150, 0.02));
            comparison.take_in(canary, stable, Allowance::new(1.0, 0.0), Dispersion::NONE);
            comparison.ln_e()
        })
    };
    let ceiling = |_: &mut StdRng| -> Box<dyn FnMut(&mut StdRng) -> f64> {
        let mut ceiling = Ceiling::default();
        Box::new(move |rng| {
            ceiling.take_in(draw(rng, 50, 0.02), 0.02, Dispersion::NONE);
            ceiling.ln_e()
        })
    };
    let split = |_: &mut StdRng| -> Box<dyn FnMut(&mut StdRng) -> f64> {
        let mut split = Split::default();
        Box::new(move |rng| {
            let canary = draw(rng, 50, 0.1).bad;
            split.take_in(canary, 50 - canary, 0.1);
            split.ln_e()
        })
    };
    // α = 5 % of 400 is 20; more than 33 would come about once in a thousand times if it were exactly so.
    for (name, found) in [
        ("comparison", alarms(400, 0.05, comparison)),
        ("ceiling", alarms(400, 0.05, ceiling)),
        ("split", alarms(400, 0.05, split)),
    ] {
        println!("{name}: {found} of 400");
        assert!(found <= 33, "{name}: {found} of 400");
    }
}
