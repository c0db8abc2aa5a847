//! What the judge makes of counts.

use jiff::{SignedDuration, Timestamp};
use serin_policy::{Arm, Cohort, Weight};

use super::{Evidence, Moment, Promise, Test, Verdict, Wait};
use crate::observation::{ArmCounts, ArmUsers, Cell, Drawn, Users};
use serin_release::Release;

/// Steps of 10 % and 50 %, at least `min` % without error, and no other metric.
fn release(min: u32) -> Release {
    judged_by(&format!(
        "warmUp: 0s, metrics: [{{name: request-success-rate, thresholdRange: {{min: {min}}}}}]"
    ))
}

/// Steps of 10 % and 50 %, which take 100 requests each, with more of the analysis.
fn judged_by(analysis: &str) -> Release {
    Release::from_yaml(&format!(
        "apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {{name: shop}}
spec:
  service: {{name: shop}}
  canary: {{version: v2}}
  strategy: {{canary: {{steps: [{{setWeight: 10}}, {{setWeight: 50}}]}}}}
  analysis: {{minRequests: 100, {analysis}}}
"
    ))
    .unwrap()
}

/// Requests and errors of a cohort on a version, at the gateway.
fn cell(arm: Arm, cohort: Cohort, requests: u64, errors: u64) -> Cell {
    let counts = ArmCounts { requests, errors, ..ArmCounts::default() };
    Cell { place: "gateway".to_owned(), drawn: Drawn::Cohort(cohort), arm, counts }
}

fn stable(cohort: Cohort, requests: u64, errors: u64) -> Cell {
    cell(Arm::Stable, cohort, requests, errors)
}

fn canary(requests: u64, errors: u64) -> Cell {
    cell(Arm::Canary, Cohort::Step(0), requests, errors)
}

/// A run that is watched a second at a time.
struct Run {
    release: Release,
    evidence: Evidence,
    now: Timestamp,
}

impl Run {
    /// A run in which the limit is far away, so that it is the comparison that decides.
    fn new() -> Self {
        Self { release: release(50), evidence: Evidence::default(), now: Timestamp::UNIX_EPOCH }
    }

    /// Takes in `cells` in each of `seconds`, at weight 0.
    fn rest(mut self, seconds: u32, cells: &[Cell]) -> Self {
        self.go_on(seconds, cells, 0, None);
        self
    }

    /// Takes in `cells` in each of `seconds`, at the first step.
    fn step(mut self, seconds: u32, cells: &[Cell]) -> Self {
        self.go_on(seconds, cells, 1, Weight::from_ppm(100_000).ok());
        self
    }

    /// Takes in `cells` in each of `seconds`, at the last step.
    fn last_step(mut self, seconds: u32, cells: &[Cell]) -> Self {
        self.go_on(seconds, cells, 2, Weight::from_ppm(500_000).ok());
        self
    }

    fn go_on(&mut self, seconds: u32, cells: &[Cell], step_index: usize, settled: Option<Weight>) {
        for _ in 0..seconds {
            self.now += SignedDuration::from_secs(1);
            let moment = Moment { step_index, settled, now: self.now };
            self.evidence.take_in(cells, None, moment, &self.release);
        }
    }

    fn verdict(&self) -> Verdict {
        self.evidence.verdict(&self.release.analysis, self.now)
    }

    #[track_caller]
    fn check(&self, expected: &str) {
        let found = match self.verdict() {
            Verdict::Pass => "pass".to_owned(),
            Verdict::Fail(failure) => format!("fail: {failure}"),
            Verdict::NotYet(Wait::Requests { have, need }) => format!("{have} of {need}"),
            Verdict::NotYet(Wait::Doubt { metric }) => format!("doubt: {metric}"),
            Verdict::NotYet(Wait::SharedTrouble { metric }) => format!("shared trouble: {metric}"),
            Verdict::NotYet(Wait::SampleRatio) => "sample ratio".to_owned(),
            Verdict::NotYet(Wait::TrafficShare) => "traffic share".to_owned(),
            Verdict::NotYet(Wait::Reading { metric, why }) => format!("{metric}: {why}"),
            Verdict::NotYet(Wait::Success { metric, value, .. }) => format!("{metric}: {value}"),
        };
        assert!(found.starts_with(expected), "{found}, expected {expected}");
    }
}

/// The others on stable, of whom 2 in 1000 fail.
fn others() -> Cell {
    stable(Cohort::Rest, 1000, 2)
}

#[test]
fn a_canary_as_good_as_stable_passes_once_it_has_had_enough_requests() {
    Run::new().step(9, &[others(), canary(11, 0)]).check("99 of 100");
    Run::new().step(10, &[others(), canary(11, 0)]).check("pass");
}

#[test]
fn a_canary_that_is_worse_than_stable_fails() {
    Run::new()
        .step(10, &[others(), canary(20, 2)])
        .check("fail: the canary failed 20 of 200 requests (10%; stable meanwhile 0.2% of 10,000)");
}

#[test]
fn a_canary_that_may_be_worse_is_held_in_doubt() {
    let doubtful = [canary(20, 3), others()];
    Run::new().step(10, &[others(), canary(20, 0)]).last_step(1, &doubtful).check("doubt");
    // On the way there it may look so for a while.
    Run::new().step(10, &[others(), canary(20, 0)]).step(1, &doubtful).check("pass");
}

#[test]
fn a_doubt_of_an_earlier_step_ends_with_good_answers_in_the_last() {
    let (good, doubtful) = ([others(), canary(20, 0)], [others(), canary(20, 5)]);
    let run = || {
        let mut run = Run::new().step(10, &good).step(1, &doubtful);
        run.evidence.begin_step(run.now);
        run
    };
    run().last_step(6, &good).check("pass");
    run().last_step(5, &good).last_step(1, &[others(), canary(20, 1)]).check("doubt");
}

#[test]
fn users_who_failed_on_stable_as_well_do_not_speak_against_the_canary() {
    let their_own = |errors| stable(Cohort::Step(0), 100, errors);
    let bad = [others(), canary(100, 5)];
    Run::new().rest(60, &[others(), their_own(0)]).step(10, &bad).check("fail");
    Run::new().rest(60, &[others(), their_own(5)]).step(10, &bad).check("pass");
    // Four times as bad as they were is bad all the same.
    Run::new().rest(60, &[others(), their_own(5)]).step(10, &[others(), canary(100, 20)]).check("fail");
}

#[test]
fn the_limit_rises_to_what_the_users_had_on_stable() {
    let with_errors = |before, after| {
        let run = Run { release: release(99), ..Run::new() };
        let rest = stable(Cohort::Rest, 1000, 10 * before);
        run.rest(60, &[rest.clone(), stable(Cohort::Step(0), 100, before)])
            .step(60, &[rest, canary(100, after)])
    };
    with_errors(3, 3).check("pass");
    with_errors(3, 9).check("fail");
    with_errors(0, 3).check("fail");
}

#[test]
fn slow_answers_do_not_count_while_the_canary_warms_up_and_failures_do() {
    let metrics = "metrics: [{name: request-success-rate}, {name: request-duration}]";
    let warming_up = || Run { release: judged_by(&format!("warmUp: 5s, {metrics}")), ..Run::new() };
    let slow = |requests, slow| {
        let counts = ArmCounts { requests, slow, ..ArmCounts::default() };
        Cell { counts, ..canary(0, 0) }
    };
    let cold = [others(), slow(20, 20)];
    warming_up().step(4, &cold).step(10, &[others(), canary(20, 0)]).check("pass");
    warming_up().step(4, &[others(), canary(20, 20)]).check("fail");
    warming_up().step(9, &cold).check("fail: the canary was slower");
    // Pods that are added later are cold as well, for as long.
    let mut run = warming_up().step(20, &[others(), canary(20, 0)]);
    run.evidence.note_pods(2, run.now);
    let run = run.step(4, &cold);
    run.check("pass");
    run.step(6, &cold).check("fail: the canary was slower");
}

#[test]
fn the_first_interval_after_a_push_is_left_out() {
    let mut run = Run::new();
    run.evidence.begin_step(run.now);
    let run = run.step(1, &[others(), canary(50, 50)]);
    run.check("0 of 100");
    run.step(1, &[others(), canary(50, 50)]).check("fail");
}

#[test]
fn each_place_is_compared_by_itself() {
    // A place where everything fails often and most are on the canary, and one where nothing fails and few are:
    // added up, the canary would fail 9 % and stable 1 %.
    let at = |place: &str, arm, requests, errors| {
        let rest =
            cell(arm, if arm == Arm::Canary { Cohort::Step(0) } else { Cohort::Rest }, requests, errors);
        Cell { place: place.to_owned(), ..rest }
    };
    let apart = [
        at("poor", Arm::Canary, 900, 90),
        at("poor", Arm::Stable, 100, 10),
        at("rich", Arm::Canary, 100, 0),
        at("rich", Arm::Stable, 900, 0),
    ];
    Run::new().step(20, &apart).check("pass");
    let sums = [(Arm::Canary, 1000, 90), (Arm::Stable, 1000, 10)];
    let summed: Vec<_> = sums.map(|(arm, requests, errors)| at("all", arm, requests, errors)).into();
    Run::new().step(20, &summed).check("fail");
}

#[test]
fn errors_that_one_cohort_has_at_a_time_are_less_evidence_and_those_of_all_are_not() {
    let at_rest = |rest, own| [stable(Cohort::Rest, 1000, rest), stable(Cohort::Step(0), 1000, own)];
    let seen = |errors: fn(u32) -> (u64, u64)| {
        let mut run = Run::new();
        for second in 0..200 {
            let (rest, own) = errors(second);
            run.go_on(1, &at_rest(rest, own), 0, None);
        }
        let run = run.step(3, &[others(), canary(20, 2)]);
        run.evidence.findings(&run.release, Weight::ZERO).remove(0)
    };
    // Twenty at a time, of one cohort or the other, once in ten seconds.
    let clustered = seen(|second| match second % 20 {
        0 => (20, 0),
        10 => (0, 20),
        _ => (0, 0),
    });
    assert!(clustered.dispersion > 8.0, "{clustered:?}");
    // As many, every one by itself; and all at once, on both, as when a database blinks.
    let single = seen(|second| (u64::from(second % 2 == 0), u64::from(second % 2 == 1)));
    let blinks = seen(|second| if second % 20 == 0 { (20, 20) } else { (0, 0) });
    for finding in [single, blinks] {
        assert!(finding.dispersion < 1.3, "{finding:?}");
        assert!(finding.worse > 2.0 * clustered.worse, "{finding:?}, {clustered:?}");
    }
}

#[test]
fn where_nobody_is_left_on_stable_its_own_past_is_compared_with() {
    let mut run = Run::new().rest(30, &[others()]);
    let everybody = [cell(Arm::Canary, Cohort::Rest, 100, 10)];
    run.go_on(10, &everybody, 3, Some(Weight::FULL));
    let Verdict::Fail(failure) = run.verdict() else { panic!("{:?}", run.verdict()) };
    assert!(matches!(failure.test, Test::Comparison { promise: Promise::AgainstPast, .. }), "{failure:?}");
    let findings = run.evidence.findings(&run.release, Weight::FULL);
    assert_eq!(findings[0].promise, Promise::AgainstPast);
    // Without a past there is nothing to compare with.
    let mut alone = Run::new();
    alone.go_on(10, &everybody, 3, Some(Weight::FULL));
    alone.check("pass");
    let findings = alone.evidence.findings(&alone.release, Weight::FULL);
    assert_eq!(findings[0].promise, Promise::NoControl);
}

#[test]
fn new_callers_in_another_share_than_asked_for_hold_the_release() {
    let new = |cell: Cell, issued| Cell { counts: ArmCounts { issued, ..cell.counts }, ..cell };
    let as_asked = [new(others(), 90), new(canary(20, 0), 10)];
    Run::new().step(20, &as_asked).check("pass");
    let lost = [new(others(), 90), new(canary(20, 0), 3)];
    Run::new().step(20, &lost).check("sample ratio");
}

#[test]
fn testers_and_the_late_answers_of_another_run_are_nobodys() {
    // At weight 0 nobody is on the canary by its weight.
    Run::new().rest(10, &[others(), canary(50, 50)]).check("0 of 100");
    // Members of a split segment are, and they are judged.
    let split = Cell { drawn: Drawn::Split("beta".to_owned()), ..canary(50, 50) };
    let others_in_it = Cell { drawn: Drawn::Split("beta".to_owned()), ..stable(Cohort::Rest, 50, 0) };
    Run::new().rest(10, &[others(), split, others_in_it]).check("fail");
}

/// The users of a run: those seen, who failed, and who failed for the first time, on the canary and on stable.
fn users(canary: (u32, u32, u32), stable: (u32, u32, u32)) -> Users {
    let arm = |(seen, failed, first_failed)| ArmUsers { seen, failed, slow: failed, first_failed };
    Users { canary: arm(canary), stable: arm(stable) }
}

impl Run {
    /// Takes in a second at the first step, by whose end there have been these users.
    fn with_users(mut self, cells: &[Cell], users: Users) -> Self {
        self.now += SignedDuration::from_secs(1);
        let settled = Weight::from_ppm(100_000).ok();
        let moment = Moment { step_index: 1, settled, now: self.now };
        self.evidence.take_in(cells, Some(users), moment, &self.release);
        self
    }
}

#[test]
fn nothing_goes_back_on_the_word_of_one_user() {
    let bad = [others(), canary(20, 15)];
    let run = |failed| {
        (1..10).fold(Run::new(), |run, second| {
            run.with_users(&bad, users((40, failed, failed), (200, 2 * second, 2 * second)))
        })
    };
    run(1).check("pass");
    run(2).check("pass");
    run(12).check("fail");
    // Where there are no more than two users, their word is all there is.
    let few = |run: Run, _| run.with_users(&bad, users((2, 2, 2), (9, 0, 0)));
    (1..10).fold(Run::new(), few).check("fail");
}

#[test]
fn users_bear_witness_whatever_is_judged() {
    let slow = ArmCounts { requests: 20, slow: 20, ..ArmCounts::default() };
    let cells = [others(), Cell { counts: slow, ..canary(0, 0) }];
    let release = judged_by("warmUp: 0s, metrics: [{name: request-duration}]");
    let mut run = Run { release, ..Run::new() };
    // As the step begins, hardly any of the canary's users has met it.
    run.evidence.begin_step(run.now);
    let with_more_users = |run: Run, met| run.with_users(&cells, users((met, met, 0), (100, 0, 0)));
    (1..12).fold(run, with_more_users).check("fail: the canary was slower");
}

#[test]
fn users_who_fail_for_the_first_time_speak_for_themselves() {
    // One in ten users is on the canary, and so is every other one who fails for the first time. By requests it looks good.
    let cells = [others(), canary(100, 0)];
    let run = (1..60).fold(Run::new(), |run, second| {
        run.with_users(&cells, users((90, second / 2, second / 2), (400, second / 2, second / 2)))
    });
    run.check("fail: 29 of the 58 users who failed for the first time were on the canary");
    // And so is one in ten of those.
    let run = (1..60).fold(Run::new(), |run, second| {
        run.with_users(&cells, users((90, second / 10, second / 10), (400, second, second)))
    });
    run.check("pass");
}

#[test]
fn a_trouble_of_both_versions_holds_the_canary_and_ends_by_itself() {
    let failing = [stable(Cohort::Rest, 1000, 200), canary(100, 20)];
    let good = [others(), canary(100, 0)];
    let run = Run { release: release(99), ..Run::new() };
    let run = run.rest(60, &[others(), stable(Cohort::Step(0), 100, 0)]).step(30, &good).step(10, &failing);
    run.check("shared trouble: request-success-rate");
    run.step(90, &good).check("pass");
    // What stable has always had is no trouble of this moment.
    let run = Run { release: release(99), ..Run::new() };
    run.rest(60, &[stable(Cohort::Rest, 1000, 50)])
        .step(60, &[stable(Cohort::Rest, 1000, 50), canary(100, 5)])
        .check("pass");
}

/// A run that is judged by everything, after a minute at rest with `at_rest`, then `seconds` of `at_step`.
fn judged_by_all(at_rest: &[Cell], at_step: &[Cell], seconds: u32) -> Run {
    let run = Run { release: judged_by("warmUp: 0s"), ..Run::new() };
    run.rest(200, at_rest).step(seconds, at_step)
}

#[test]
fn every_kind_of_fault_is_somebodys_business() {
    let of = |arm, cohort, counts: ArmCounts| Cell { counts, ..cell(arm, cohort, 0, 0) };
    let usual = |requests: u64| ArmCounts {
        requests,
        timed: requests,
        // p95 is between 100 and 250 ms.
        slower_than: [
            requests,
            requests,
            requests,
            requests,
            requests * 3 / 10,
            requests / 50,
            0,
            0,
            0,
            0,
            0,
            0,
        ],
        ..ArmCounts::default()
    };
    let at_rest = [of(Arm::Stable, Cohort::Rest, usual(900)), of(Arm::Stable, Cohort::Step(0), usual(100))];
    let check = |canary: ArmCounts, expected: &str| {
        let at_step = [of(Arm::Stable, Cohort::Rest, usual(900)), of(Arm::Canary, Cohort::Step(0), canary)];
        judged_by_all(&at_rest, &at_step, 60).check(expected);
    };
    check(usual(100), "pass");
    let slower = [100, 100, 100, 100, 60, 12, 0, 0, 0, 0, 0, 0];
    check(ArmCounts { slower_than: slower, ..usual(100) }, "fail: the canary was slower than ");
    check(
        ArmCounts { client_errors: 100, ..usual(100) },
        "fail: the canary answered 6,000 of 6,000 requests with a client",
    );
    check(
        ArmCounts { left: 50, ..usual(100) },
        "fail: callers left before there was an answer in 3,000 of 6,000",
    );
    check(usual(30), "traffic share");
    // A route that fails, which is one in two hundred requests, where one in a hundred fails anyway.
    let failing = |own: u64, on_route: u64| {
        let mut counts = ArmCounts { requests: 200, errors: own + on_route, ..usual(200) };
        counts.failed_by_route[7] = own;
        counts.failed_by_route[3] = on_route;
        counts
    };
    let rest =
        |requests| [of(Arm::Stable, Cohort::Rest, requests), of(Arm::Stable, Cohort::Step(0), failing(2, 0))];
    let at_step =
        [of(Arm::Stable, Cohort::Rest, failing(2, 0)), of(Arm::Canary, Cohort::Step(0), failing(2, 1))];
    judged_by_all(&rest(failing(2, 0)), &at_step, 60)
        .check("fail: on one group of routes, the canary failed 60 of 12,000");
}
