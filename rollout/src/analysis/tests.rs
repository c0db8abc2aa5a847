//! What the judge makes of counts.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serin_policy::{Arm, Cohort, Weight};

use super::{Evidence, Moment, Promise, Test, Verdict, Wait};
use crate::observation::{ArmCounts, Cell, Drawn};
use serin_release::Release;

/// Steps of 10 % and 50 %, and at least `min` % without error.
fn release(min: u32) -> Release {
    Release::from_yaml(&format!(
        "apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {{name: shop}}
spec:
  service: {{name: shop}}
  canary: {{version: v2}}
  strategy: {{canary: {{steps: [{{setWeight: 10}}, {{setWeight: 50}}]}}}}
  analysis:
    minRequests: 100
    warmUp: 0s
    metrics: [{{name: request-success-rate, thresholdRange: {{min: {min}}}}}]
"
    ))
    .unwrap()
}

/// Requests and errors of a cohort on a version, at the gateway.
fn cell(arm: Arm, cohort: Cohort, requests: u64, errors: u64) -> Cell {
    let counts = ArmCounts { requests, errors, afresh: errors, ..ArmCounts::default() };
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
        .check("fail: the canary failed 20 of 200 requests (10%; stable 0.2%)");
}

#[test]
fn a_canary_that_may_be_worse_is_held_in_doubt() {
    Run::new().step(10, &[others(), canary(20, 0)]).step(1, &[canary(20, 3), others()]).check("doubt");
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
fn what_the_canary_does_while_it_warms_up_is_not_judged() {
    let warming_up = || {
        let mut run = Run::new();
        run.release.analysis.warm_up = Duration::from_secs(5);
        run
    };
    let cold = [others(), canary(20, 20)];
    warming_up().step(5, &cold).step(10, &[others(), canary(20, 0)]).check("pass");
    warming_up().step(6, &cold).check("fail");
}

#[test]
fn the_first_interval_after_a_push_is_left_out() {
    let mut run = Run::new();
    run.evidence.begin_step();
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
fn errors_that_come_in_clusters_are_less_evidence() {
    // Stable's errors come twenty at a time, once in ten seconds.
    let mut run = Run::new();
    for second in 0..100 {
        let errors = if second % 10 == 0 { 20 } else { 0 };
        let at_rest = [stable(Cohort::Rest, 1000, errors), stable(Cohort::Step(0), 1000, errors)];
        run.go_on(1, &at_rest, 0, None);
    }
    let bad = [others(), canary(20, 2)];
    let clustered = run.step(3, &bad);
    let finding = &clustered.evidence.findings(&clustered.release, Weight::ZERO)[0];
    assert!(finding.dispersion > 10.0, "{finding:?}");
    let single = Run::new().rest(100, &[others(), stable(Cohort::Step(0), 1000, 2)]).step(3, &bad);
    let alone = &single.evidence.findings(&single.release, Weight::ZERO)[0];
    assert!(alone.worse > 2.0 * finding.worse, "{alone:?}, {finding:?}");
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
