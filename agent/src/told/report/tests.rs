//! What the status says of whole runs, as the planner has them.

use jiff::SignedDuration;
use serin_policy::{Cohort, Lease};
use serin_rollout::{
    ArmCounts, Cell, Drawn, Event, HandoverState, Hold, InForce, MetricReading, Proxy, plan,
};

use serin_release::status::{RunOutcome, RunRecord};

use super::*;
use crate::journal::Journal;

const RELEASE: &str = r#"
apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {name: shop, namespace: shop}
spec:
  service: {name: shop}
  canary: {version: v2}
  strategy: {canary: {steps: [{setWeight: 12.5, pause: {duration: 5s}}, {setWeight: 50}]}}
  analysis:
    baseline: 0s
    warmUp: 0s
    prometheus: {address: "http://prometheus:9090"}
    minRequests: 20
    metrics:
    - {name: request-success-rate, thresholdRange: {min: 99}}
    - {name: depth, query: depth, thresholdRange: {max: 10}}
"#;

/// A run in front of one proxy that takes every policy at once.
struct Run {
    release: Release,
    status: Status,
    shown: ReleaseStatus,
    journal: Journal,
    in_force: InForce,
    now: Timestamp,
}

impl Run {
    fn new() -> Self {
        Self {
            release: Release::from_yaml(RELEASE).unwrap(),
            status: Status::default(),
            shown: ReleaseStatus::default(),
            journal: Journal::default(),
            in_force: InForce::Nothing,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    /// So many seconds, in each of which ten users of the canary, if there are any, meet so many errors.
    fn seconds(mut self, seconds: usize, errors: u64) -> Self {
        for _ in 0..seconds {
            self.second(errors);
        }
        self
    }

    fn second(&mut self, errors: u64) {
        self.now += SignedDuration::from_secs(1);
        let cell = |arm, requests, errors, cohort| Cell {
            place: "gateway".to_owned(),
            drawn: Drawn::Cohort(cohort),
            arm,
            counts: ArmCounts { requests, errors, ..ArmCounts::default() },
        };
        let canary = cell(Arm::Canary, 10, errors, Cohort::Step(0));
        let is_out = self.status.weight() > Weight::ZERO;
        let revision = match self.in_force {
            InForce::Policy { revision, .. } => revision,
            InForce::Nothing | InForce::Unreadable { .. } => 0,
        };
        let proxy = ProxyState::Runs { revision, refused: None, has_lapsed: false };
        let depth =
            MetricReading { name: "depth".to_owned(), canary: MetricValue::Number(7.5), stable: None };
        let observation = Observation {
            in_force: self.in_force.clone(),
            proxies: vec![Proxy { name: "edge-1".to_owned(), state: proxy }],
            counted: [cell(Arm::Stable, 70, 0, Cohort::Rest)]
                .into_iter()
                .chain(is_out.then_some(canary))
                .collect(),
            readings: vec![depth],
            ..Observation::default()
        };
        let planned = plan(&self.release, &self.status, &observation, self.now);
        let news = self.journal.news(&planned, self.now);
        let (release, now) = (&self.release, self.now);
        let tick = Tick {
            release,
            observation: &observation,
            planned: &planned,
            news: &news,
            rejection: None,
            warnings: &[],
            now,
        };
        show(&mut self.shown, Some(1), &tick);
        self.journal.tell("shop", &planned, &news, &crate::metrics::Metrics::new());
        if let Some(push) = planned.push {
            let (run, revision) = (self.release.run().to_owned(), push.revision);
            self.in_force = InForce::Policy {
                run,
                revision,
                weight: push.weight,
                closed: push.closed,
                lease: Lease::Unleased,
            };
        }
        self.status = planned.status;
    }

    /// What was shown last, as people read it.
    fn yaml(self) -> String {
        serde_saphyr::to_string(&serde_json::to_value(self.shown).unwrap()).unwrap()
    }
}

#[test]
fn a_run_at_its_first_step() {
    insta::assert_snapshot!(Run::new().seconds(5, 0).yaml());
}

#[test]
fn a_run_that_was_rolled_back() {
    insta::assert_snapshot!(Run::new().seconds(4, 0).seconds(2, 9).yaml());
}

/// The phase that is shown of a run, with and without a record of it in the history.
#[track_caller]
fn check(phase: Phase, expected: ReleasePhase, without_a_run: ReleasePhase) {
    let status = Status { run: "v2".to_owned(), phase, ..Status::default() };
    let record = RunRecord {
        run: "v2".to_owned(),
        started: Timestamp::UNIX_EPOCH,
        outcome: None,
        changes: Vec::new(),
    };
    let shown = ReleaseStatus { history: vec![record], ..ReleaseStatus::default() };
    assert_eq!(super::phase(&status, &shown), expected);
    assert_eq!(super::phase(&status, &ReleaseStatus::default()), without_a_run);
}

#[test]
fn whether_a_release_is_idle_or_was_promoted_depends_on_whether_there_was_a_run() {
    check(Phase::Settled, ReleasePhase::Promoted, ReleasePhase::Idle);
    check(Phase::CuttingBack { canary: Emptying::InUse }, ReleasePhase::Promoting, ReleasePhase::RollingBack);
    let handover = Phase::HandingOver(HandoverState::default());
    check(handover, ReleasePhase::Promoting, ReleasePhase::Promoting);
}

#[test]
fn a_rollback_is_over_when_the_canary_has_no_pods() {
    let aborted = |canary| Phase::Aborted { by: "ann".to_owned(), canary };
    let rolled_back = |canary| Phase::RolledBack { cause: Cause::FoundClosed, canary };
    for canary in [Emptying::InUse, Emptying::Draining { since: Timestamp::UNIX_EPOCH }] {
        check(aborted(canary), ReleasePhase::RollingBack, ReleasePhase::RollingBack);
        check(rolled_back(canary), ReleasePhase::RollingBack, ReleasePhase::RollingBack);
    }
    check(aborted(Emptying::Empty), ReleasePhase::Aborted, ReleasePhase::Aborted);
    check(rolled_back(Emptying::Empty), ReleasePhase::RolledBack, ReleasePhase::RolledBack);
}

/// Outcomes of the runs in `history`, and how often the weight changed in each.
fn runs(history: &[RunRecord]) -> Vec<(&str, Option<RunOutcome>, usize)> {
    history.iter().map(|run| (run.run.as_str(), run.outcome, run.changes.len())).collect()
}

#[test]
fn a_run_that_another_one_replaces_is_over() {
    let run = Run::new().seconds(5, 0);
    let mut shown = run.shown;
    assert_eq!(runs(&shown.history), [("v2", None, 1)]);
    // Somebody gives the canary stable's version: there is nothing to release, and no run.
    let back = Status {
        run: "v1".to_owned(),
        phase: Phase::CuttingBack { canary: Emptying::InUse },
        ..Status::default()
    };
    history::record(&mut shown.history, &back, &[], run.now);
    assert_eq!(runs(&shown.history), [("v2", Some(RunOutcome::Replaced), 1)]);
    let next =
        Status { run: "v3".to_owned(), phase: Phase::Preparing { reported: false }, ..Status::default() };
    history::record(&mut shown.history, &next, &[], run.now);
    assert_eq!(runs(&shown.history), [("v3", None, 0), ("v2", Some(RunOutcome::Replaced), 1)]);
}

#[test]
fn what_an_earlier_life_has_taken_down_is_not_taken_down_again() {
    let mut run = Run::new().seconds(5, 0);
    let before = run.shown.history.clone();
    let change = run.status.last_change.clone().unwrap();
    let again = Plan {
        term: serin_rollout::Term::Open,
        push: Some(serin_rollout::Push {
            revision: change.revision,
            weight: change.weight_after,
            closed: false,
            promoted: false,
            besides: serin_rollout::Besides::Nothing,
        }),
        status: run.status.clone(),
        wanted: None,
        reasons: vec![Event::PolicyBehind { found: 1, wanted: 2 }.into(), Hold::Suspended.into()],
    };
    let news = Journal::default().news(&again, run.now);
    assert!(news.iter().any(|entry| entry.change.is_some()), "{news:?}");
    history::record(&mut run.shown.history, &run.status, &news, run.now);
    assert_eq!(run.shown.history, before);
}
