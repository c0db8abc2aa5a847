//! What people read of a release.

use jiff::{SignedDuration, Timestamp};
use serin_policy::{Arm, Cohort, Weight};

use super::*;
use serin_release::Release;
use serin_rollout::{ArmCounts, ArmUsers, Cell, Chooser, Chosen, Drawn, Evidence, Moment, Users};

const RELEASE: &str = "apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {name: shop}
spec:
  service: {name: shop}
  canary: {version: v2}
  segments: [{name: beta, matches: [{headers: [{name: x-user-type, value: beta}]}], weight: 100}]
  strategy: {canary: {steps: [{setWeight: 5, pause: {duration: 5m}}, {setWeight: 50, pause: {duration: 10m}}]}}
  analysis: {minRequests: 500, baseline: 3m, warmUp: 30s, metrics: [
    {name: request-success-rate}, {name: request-duration}, {name: latency-tail}, {name: client-aborts},
    {name: traffic-share}]}
";

/// A canary of which every so many requests in a hundred fail, after three minutes at weight 0 and so many seconds of its
/// first step. Stable fails one in two hundred.
fn report(failed_of_hundred: u64, seconds: u32) -> Report {
    let release = Release::from_yaml(RELEASE).unwrap();
    let counts = |requests: u64, errors: u64, slow: u64| ArmCounts {
        requests,
        errors,
        slow,
        timed: requests,
        slower_than: [
            requests,
            requests,
            requests / 2,
            requests / 10,
            requests / 30,
            slow,
            slow,
            0,
            0,
            0,
            0,
            0,
        ],
        ..ArmCounts::default()
    };
    let cell =
        |arm, cohort, counts| Cell { place: "gateway".to_owned(), drawn: Drawn::Cohort(cohort), arm, counts };
    let mut evidence = Evidence::default();
    let (mut counted, mut now) = (Counts::default(), Timestamp::UNIX_EPOCH);
    for second in 0..180 + seconds {
        let is_at_step = second >= 180;
        let own = if is_at_step { Arm::Canary } else { Arm::Stable };
        let own_errors =
            if is_at_step && failed_of_hundred > 0 { failed_of_hundred } else { u64::from(second % 2) };
        let cells = [
            cell(Arm::Stable, Cohort::Rest, counts(1_900, 9 + u64::from(second % 2), 19)),
            cell(own, Cohort::Step(0), counts(100, own_errors, 1)),
        ];
        let beta = Chosen {
            by: Chooser::Segment("beta".to_owned()),
            arm: Arm::Canary,
            counts: counts(10, failed_of_hundred / 10, 0),
        };
        let users = |seen, failed| ArmUsers { seen, failed, slow: failed, first_failed: failed };
        let second_of_step = second.saturating_sub(179);
        let failed = if failed_of_hundred > 0 { 5 * second_of_step } else { second_of_step / 20 };
        let canary = users((30 * second_of_step).min(90), failed);
        let users = Users { stable: users(400, second / 3), canary };
        now += SignedDuration::from_secs(1);
        let settled = Weight::from_ppm(50_000).ok().filter(|_| is_at_step);
        let moment = Moment { step_index: usize::from(is_at_step), settled, now };
        evidence.take_in(&cells, Some(users), moment, &release);
        evidence.take_in_chosen(&[beta], &cells, now, &release);
        counted.add(&Counts::of(&cells));
    }
    let verdict = evidence.verdict(&release.analysis, now);
    let weight = Weight::from_ppm(if seconds > 0 { 50_000 } else { 0 }).unwrap();
    let latency = Percentiles { p50: 12.4, p90: 88.0, p99: 310.0 };
    Report {
        release: release.name().to_owned(),
        because: verdict.to_string(),
        verdict,
        counted,
        stable_latency: Some(latency),
        canary_latency: (seconds > 0).then_some(latency),
        findings: evidence.findings(&release, weight),
        users: evidence.users(&release.analysis),
        segments: evidence.segments(&release.analysis),
        unjudged: evidence.unjudged(&release, now),
        injected: evidence.injected(),
        forecasts: evidence.forecasts(&release),
        readings: evidence.readings(&release.analysis),
        cohorts: evidence.cohorts(&release.analysis),
        assignable: evidence.assignable(),
        draw: evidence.draw(),
        versions: Vec::new(),
    }
}

#[test]
fn a_report_says_what_is_known_and_what_it_is_worth() {
    for (name, report) in [
        ("before_the_first_step", report(0, 0)),
        ("a_good_canary", report(0, 60)),
        ("a_bad_canary_that_is_still_cold", report(10, 3)),
    ] {
        let text = format!("{}\n\n{}", report.tables(), report.because);
        insta::assert_snapshot!(name, text);
        for line in report.tables().lines() {
            assert!(line.chars().count() <= usize::from(WIDTH), "{name}: {line}");
        }
    }
}
