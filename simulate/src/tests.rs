//! What must hold of the judge under thousands of looks, in short. `serin simulate --runs 5000` with the same figures
//! is the long version.

mod life;

use rand::RngExt;

use super::rules::{Counted, Stand};
use super::*;
use serin_release::Percent;
use serin_rollout::{Cell, Drawn, MetricReading, MetricValue};

const SEED: u64 = 20_261_121;

/// Four steps of 60 looks, after a baseline of as many.
const STEPS: &str = "{setWeight: 5, pause: {duration: 15m}}, {setWeight: 10, pause: {duration: 15m}},
    {setWeight: 25, pause: {duration: 15m}}, {setWeight: 50, pause: {duration: 15m}}";

fn release(steps: &str, limit: &str) -> Release {
    Release::from_yaml(&yaml(steps, limit)).unwrap()
}

fn yaml(steps: &str, limit: &str) -> String {
    format!(
        "apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {{name: shop}}
spec:
  service: {{name: shop}}
  canary: {{version: '2'}}
  strategy: {{canary: {{steps: [{steps}]}}}}
  analysis:
    interval: 15s
    baseline: 15m
    metrics:
    - {{name: request-success-rate, thresholdRange: {{min: {limit}}}}}
    - {{name: request-duration}}
"
    )
}

fn scenario(release: Release, users: u32, spread: Spread, runs: u32) -> Scenario {
    let percent = |text| Percent::parse(text).unwrap();
    let (errors, slow) = (percent("0.5"), percent("1"));
    println!("seed {SEED}");
    Scenario {
        release,
        traffic: Traffic { rps: 100.0, users, activity: 2.0, errors, slow, spread },
        life: Life::default(),
        fault: Fault::NONE,
        runs: NonZeroU32::new(runs).unwrap(),
        seed: SEED,
        interval: None,
        threshold: 5,
    }
}

/// How many good canaries of `runs` may be thrown away at most: more are thrown away by a rule that keeps its promise
/// with a chance of 0.1 % at most.
fn most(scenario: &Scenario) -> usize {
    most_of(scenario.runs.get(), scenario.release.analysis.false_rollback.share())
}

/// The same of so many `runs`, of which a share `alpha` may be.
fn most_of(runs: u32, alpha: f64) -> usize {
    // Each count's chance follows from the one before it.
    let mut chance = (1.0 - alpha).powf(f64::from(runs));
    let (mut below, mut count) = (chance, 0);
    while below < 0.999 {
        chance *= f64::from(runs - count) / f64::from(count + 1) * alpha / (1.0 - alpha);
        below += chance;
        count += 1;
    }
    count as usize
}

/// Good canaries are thrown away no more often than was asked for, and all others come out.
#[track_caller]
fn check_good(users: u32, spread: Spread, runs: u32) {
    let scenario = scenario(release(STEPS, "99"), users, spread, runs);
    let good = Good::of(&scenario.plays(Kind::Serin, Fault::NONE));
    let most = most(&scenario);
    println!("{} of {runs} thrown away, at most {most}", good.thrown_away.count);
    assert!(good.thrown_away.count <= most, "{good:?}, at most {most}");
    assert_eq!(good.held.count, 0, "{good:?}");
}

/// Half of bad canaries are gone after so many looks.
#[track_caller]
fn check_bad(steps: &str, limit: &str, factor: f64, looks: f64) {
    let mut scenario = scenario(release(steps, limit), 2_000, Spread::Independent, 100);
    scenario.traffic.activity = 0.0;
    let fault = Fault { errors: Change::Times(factor), ..Fault::NONE };
    let bad = Bad::of(&scenario.plays(Kind::Serin, fault));
    println!("×{factor} at a limit of {limit}: {:?}", bad.looks);
    assert_eq!(bad.caught.count, bad.caught.of, "{bad:?}");
    assert!(bad.looks.is_some_and(|range| range.median <= looks), "{bad:?}");
}

#[test]
fn a_good_canary_stays_where_every_request_fails_by_itself() {
    check_good(2_000, Spread::Independent, 200);
}

#[test]
fn a_good_canary_stays_where_few_users_have_most_of_the_failures() {
    check_good(2_000, Spread::Sticky, 300);
    check_good(20_000, Spread::Sticky, 200);
}

#[test]
fn a_good_canary_stays_where_five_failures_come_at_a_time() {
    check_good(2_000, Spread::Clusters(5), 200);
}

/// Serin with two of people's own metrics, each of whose readings is out of range with a chance of one in twenty.
struct WithOwnMetrics(Serin, StdRng);

impl Rule for WithOwnMetrics {
    fn stand(&self) -> Stand {
        self.0.stand()
    }

    fn look(&mut self, counted: &Counted, now: Duration) {
        let mut reading = |name: &str| {
            let canary = MetricValue::Number(if self.1.random_bool(0.05) { 2.0 } else { 0.0 });
            MetricReading { name: name.to_owned(), canary, stable: None }
        };
        let readings = ["depth", "age"].map(&mut reading).into();
        self.0.look(&Counted { readings, ..counted.clone() }, now);
    }
}

#[test]
fn a_good_canary_stays_with_two_metrics_of_peoples_own_on_top() {
    let own = |name: &str| format!("    - {{name: {name}, query: x, thresholdRange: {{max: 1}}}}\n");
    let metrics = format!("    - {{name: request-duration}}\n{}{}", own("depth"), own("age"));
    let yaml = yaml(STEPS, "99").replace("    - {name: request-duration}\n", &metrics);
    let yaml = format!("{yaml}    prometheus: {{address: 'http://prometheus'}}\n");
    let scenario = scenario(Release::from_yaml(&yaml).unwrap(), 2_000, Spread::Sticky, 200);
    let interval = scenario.interval(Kind::Serin);
    let rule = || WithOwnMetrics(Serin::new(&scenario.release), StdRng::seed_from_u64(SEED));
    let good = Good::of(&scenario.plays_under(Fault::NONE, interval, rule));
    println!("{} of 200 thrown away", good.thrown_away.count);
    assert!(good.thrown_away.count <= most(&scenario), "{good:?}");
}

#[test]
fn a_good_canary_stays_with_nothing_but_the_defaults() {
    let minimal = "apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {name: shop}
spec:
  service: {name: shop}
  canary: {version: '2'}
";
    let mut scenario = scenario(Release::from_yaml(minimal).unwrap(), 2_000, Spread::Sticky, 300);
    scenario.interval = Some(Duration::from_secs(15));
    let good = Good::of(&scenario.plays(Kind::Serin, Fault::NONE));
    println!("{} of 300 thrown away", good.thrown_away.count);
    assert!(good.thrown_away.count <= most(&scenario), "{good:?}");
}

/// Serin without knowing who will be moved.
struct Blind(Serin);

impl Rule for Blind {
    fn stand(&self) -> Stand {
        self.0.stand()
    }

    fn look(&mut self, counted: &Counted, now: Duration) {
        let all_alike =
            |cell: &Cell| Cell { drawn: Drawn::Cohort(serin_policy::Cohort::Rest), ..cell.clone() };
        let cells = counted.cells.iter().map(all_alike).collect();
        self.0.look(&Counted { cells, ..counted.clone() }, now);
    }
}

#[test]
fn without_comparing_those_whom_a_step_moves_beforehand_too_many_good_canaries_are_thrown_away() {
    let scenario = scenario(release(STEPS, "95"), 2_000, Spread::Sticky, 300);
    let interval = scenario.interval(Kind::Serin);
    let plays = scenario.plays_under(Fault::NONE, interval, || Blind(Serin::new(&scenario.release)));
    let thrown_away = Good::of(&plays).thrown_away.count;
    println!("{thrown_away} of 300 thrown away");
    assert!(thrown_away > 2 * most(&scenario), "{thrown_away}");
}

#[test]
fn a_canary_that_fails_ten_times_as_often_is_gone_after_five_looks() {
    check_bad(STEPS, "99", 10.0, 5.0);
    // By comparison with stable alone, the limit being far away.
    let (_, from_ten) = STEPS.split_once("}}, ").unwrap();
    check_bad(from_ten, "95", 10.0, 5.0);
}

#[test]
fn a_canary_that_fails_five_times_as_often_is_gone_after_ten_looks_at_a_tenth_of_users() {
    let (_, from_ten) = STEPS.split_once("}}, ").unwrap();
    check_bad(from_ten, "99", 5.0, 10.0);
    check_bad(from_ten, "95", 5.0, 10.0);
}

#[test]
fn requests_are_slow_by_any_objective() {
    for objective in ["300ms", "500ms"] {
        let yaml = yaml(STEPS, "99")
            .replace("request-duration", &format!("request-duration, objective: {objective}"));
        let mut scenario = scenario(Release::from_yaml(&yaml).unwrap(), 2_000, Spread::Independent, 4);
        scenario.fault.slow = Change::Times(20.0);
        let bad = Bad::of(&scenario.plays(Kind::Serin, scenario.fault));
        assert_eq!(bad.caught.count, 4, "{objective}: {bad:?}");
        assert!(bad.users > 0.0, "{objective}: {bad:?}");
    }
}

#[test]
fn users_who_get_no_good_answer_are_counted() {
    let scenarios = ["unauthorized", "silent"].map(|name| Named::find(name).unwrap());
    let report = LifeReport::play(&scenarios, NonZeroU32::new(2).unwrap(), SEED, |_| ()).unwrap();
    for row in report.bad {
        assert!(row.rules.iter().all(|bad| bad.users >= 1.0), "{row:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_report() {
    let mut scenario = scenario(release(STEPS, "99"), 200, Spread::Clusters(3), 6);
    scenario.interval = Some(Duration::from_mins(1));
    scenario.fault.errors = Change::Times(20.0);
    let report = scenario.simulate();
    assert_eq!(report, scenario.simulate());
    assert!(report.to_string().lines().all(|line| line.chars().count() <= 80), "{report}");
    let another = Scenario { seed: SEED + 1, ..scenario.clone() };
    assert_ne!(scenario.simulate().rules, another.simulate().rules);
}
