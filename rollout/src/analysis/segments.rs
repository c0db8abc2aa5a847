/*!
Members of the segments that have the canary as a whole, whatever its weight: beta users, often the first to meet it.

Nobody has drawn them, so they are compared with nobody: they are held against the limits, which rise with what stable
has at present. Nor are their users told apart, and a client that fails on any version may be a large part of a small
segment. So what is beyond the limit holds the run for a person to look, and only what is beyond [`OF_FEW`] as well takes the
canary back. Bad answers count as if each user had had [`ANSWERS_OF_ONE`] of them at least, and nothing is made of fewer
than [`ENOUGH`] of their requests or [`WITNESSES`] looks that saw bad ones.

Testers are not judged. They try what may fail, some of it on purpose.
*/
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serin_policy::evidence::{Ceiling, Dispersion, Spread, Tally};

use super::limit::{Allowed, Limit};
use super::recent::Recent;
use super::requests::Tests;
use super::signal::Signal;
use crate::observation::ArmCounts;
use serin_release::{Analysis, Criterion, Metric, Percent};

/// What the members of one segment got.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Segment {
    /// When they met the canary first, in this run.
    since: Option<Timestamp>,
    pub(super) failed: Members,
    pub(super) slow: Members,
}

/// The members of a segment, in one sense of "bad".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Members {
    /// Are more of their requests bad than may be?
    pub(super) over: Ceiling,
    /// Are they so by more than a few users could make of it?
    pub(super) far_over: Ceiling,
    /// How unevenly bad ones come in time.
    spread: Spread,
    /// What they got of the canary, and everybody of stable in the same moments.
    pub(super) canary: Tally,
    pub(super) stable: Tally,
    /// Looks that saw bad ones.
    witnesses: u32,
    /// The limit of the latest look, and the share beyond which the canary goes back.
    pub(super) limit: Option<Limit>,
    pub(super) far_limit: Option<Percent>,
    /// Since when the evidence leans against the canary.
    pub(super) suspect_since: Option<Timestamp>,
}

/// A few users who fail on any version may make such a share of a segment's requests bad. With users who differ in activity as
/// in `serin simulate`, 1 % of whom always fail, in segments of 20 to 300 users, 4 to 6 % of good versions were beyond a
/// limit of 1 %, and 1 to 2 % of them beyond this.
const OF_FEW: f64 = 0.1;

/// So many bad answers count as one at least, since one user may have had them all.
const ANSWERS_OF_ONE: f64 = 3.0;

/// Nothing is made of fewer of their requests, unless a verdict takes fewer anyway.
const ENOUGH: u64 = 100;

/// Nor on fewer looks that saw bad ones: one page can make many requests at once.
const WITNESSES: u32 = 3;

impl Default for Members {
    fn default() -> Self {
        Self {
            over: Ceiling::watchful(),
            far_over: Ceiling::watchful(),
            spread: Spread::default(),
            canary: Tally::default(),
            stable: Tally::default(),
            witnesses: 0,
            limit: None,
            far_limit: None,
            suspect_since: None,
        }
    }
}

/// What everybody else has in the interval that ends now.
pub(super) struct Around<'a> {
    pub(super) stable: &'a ArmCounts,
    pub(super) failed: &'a Tests,
    pub(super) slow: &'a Tests,
    /// Whether the canary may have cold pods, whoever calls.
    pub(super) is_warming_up: bool,
    pub(super) now: Timestamp,
}

impl Segment {
    /// The metrics by which members are judged: those that have a limit.
    pub(super) const METRICS: [Metric; 2] = [Metric::RequestSuccessRate, Metric::RequestDuration];

    /// What they got in the sense of one of [`METRICS`](Self::METRICS).
    pub(super) const fn of(&self, metric: Metric) -> Option<&Members> {
        match metric {
            Metric::RequestSuccessRate => Some(&self.failed),
            Metric::RequestDuration => Some(&self.slow),
            _ => None,
        }
    }

    /// Takes in what the canary did for them in an interval.
    pub(super) fn take_in(&mut self, counts: &ArmCounts, around: &Around<'_>, analysis: &Analysis) {
        let since = *self.since.get_or_insert(around.now);
        let is_first = around.now.duration_since(since).unsigned_abs() < analysis.warm_up;
        let is_cold = is_first || around.is_warming_up;
        for (metric, signal, tests, members) in [
            (Metric::RequestSuccessRate, Signal::Failed, around.failed, &mut self.failed),
            (Metric::RequestDuration, Signal::Slow, around.slow, &mut self.slow),
        ] {
            if let Some(criterion) = analysis.criterion(metric)
                && !(is_cold && signal.is_of_time())
            {
                let (canary, stable) = (counts.of(signal), around.stable.of(signal));
                let dispersion = tests.contrast.dispersion(analysis.dispersion);
                members.take_in((canary, stable), &tests.recent, criterion, dispersion, around.now);
            }
        }
    }

    /// The canary is given more to do.
    pub(super) fn onset(&mut self) {
        for members in [&mut self.failed, &mut self.slow] {
            if members.canary.requests > 0 {
                members.over.onset();
                members.far_over.onset();
            }
        }
    }
}

impl Members {
    fn take_in(
        &mut self,
        (canary, stable): (Tally, Tally),
        recent: &Recent,
        criterion: Criterion,
        of_others: Dispersion,
        now: Timestamp,
    ) {
        let allowed = Allowed::at_present(criterion, recent.stable_now(stable));
        let far = allowed.share.max(OF_FEW);
        (self.limit, self.far_limit) = (allowed.rounded(), Percent::at_least(far));
        let dispersion = self.dispersion(of_others);
        self.over.take_in(canary, allowed.share, dispersion);
        self.far_over.take_in(canary, far, dispersion);
        self.canary.add(canary);
        self.stable.add(stable);
        self.witnesses += u32::from(canary.bad > 0);
        // It comes last: an interval must not choose its own odds.
        self.spread.take_in(canary);
        self.suspect_since = (self.far_over.ln_e() > 0.0).then(|| self.suspect_since.unwrap_or(now));
    }

    /// How many bad answers count as one, where they come `of_others` at a time to everybody else.
    pub(super) fn dispersion(&self, of_others: Dispersion) -> Dispersion {
        self.spread.dispersion(Dispersion::new(of_others.get().max(ANSWERS_OF_ONE)))
    }

    /// Whether what they say is enough to go by.
    pub(super) fn are_enough(&self, analysis: &Analysis) -> bool {
        self.canary.requests >= Self::least_requests(analysis) && self.witnesses >= WITNESSES
    }

    /// How many of their requests it takes.
    pub(super) fn least_requests(analysis: &Analysis) -> u64 {
        ENOUGH.min(analysis.min_requests)
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use serin_policy::{Arm, Cohort, Weight};

    use super::super::{Evidence, Moment, Verdict, Wait};
    use crate::observation::{ArmCounts, Cell, Chooser, Chosen, Drawn};
    use serin_release::Release;

    /// What the members of `beta` get of the canary in a second, what everybody else gets of stable and of the canary: requests
    /// and failures.
    struct Second {
        members: (u64, u64),
        stable: (u64, u64),
        canary: (u64, u64),
    }

    /// Members who make ten requests a second, of whom so many fail, beside the usual traffic at 1 %.
    fn members(failed: u64) -> Second {
        Second { members: (10, failed), stable: (990, 2), canary: (10, 0) }
    }

    struct Run {
        release: Release,
        evidence: Evidence,
        now: Timestamp,
    }

    impl Run {
        /// A run with a segment of this weight.
        fn new(weight: &str) -> Self {
            let release = Release::from_yaml(&format!(
                "apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {{name: shop}}
spec:
  service: {{name: shop}}
  canary: {{version: v2}}
  segments: [{{name: beta, matches: [{{headers: [{{name: x-user-type, value: beta}}]}}], weight: {weight}}}]
  strategy: {{canary: {{steps: [{{setWeight: 1}}, {{setWeight: 50}}]}}}}
  analysis: {{minRequests: 100, warmUp: 5s}}
"
            ))
            .unwrap();
            Self { release, evidence: Evidence::default(), now: Timestamp::UNIX_EPOCH }
        }

        /// Seconds at weight 0: everybody but the members is on stable.
        fn rest(self, seconds: u32, second: &Second) -> Self {
            let at_rest = Second { canary: (0, 0), ..*second };
            self.go_on(seconds, &at_rest, Chooser::Segment("beta".to_owned()), 0, Weight::ZERO)
        }

        /// Seconds at the first step.
        fn step(self, seconds: u32, second: &Second) -> Self {
            let weight = Weight::from_ppm(10_000).unwrap();
            self.go_on(seconds, second, Chooser::Segment("beta".to_owned()), 1, weight)
        }

        /// Seconds at the first step, of testers instead of members.
        fn testers(self, seconds: u32, second: &Second) -> Self {
            self.go_on(seconds, second, Chooser::Override, 1, Weight::from_ppm(10_000).unwrap())
        }

        fn go_on(mut self, seconds: u32, second: &Second, by: Chooser, index: usize, weight: Weight) -> Self {
            let counts = |(requests, errors)| ArmCounts { requests, errors, ..ArmCounts::default() };
            let chosen = [Chosen { by, arm: Arm::Canary, counts: counts(second.members) }];
            let cell = |arm, cohort, of| Cell {
                place: "gateway".to_owned(),
                drawn: Drawn::Cohort(cohort),
                arm,
                counts: counts(of),
            };
            let cells = [
                cell(Arm::Stable, Cohort::Rest, second.stable),
                cell(Arm::Canary, Cohort::Step(0), second.canary),
            ];
            for _ in 0..seconds {
                self.now += SignedDuration::from_secs(1);
                let moment = Moment { step_index: index, settled: Some(weight), now: self.now };
                self.evidence.take_in(&cells, None, moment, &self.release);
                self.evidence.take_in_chosen(&chosen, &cells, self.now, &self.release);
            }
            self
        }

        #[track_caller]
        fn check(&self, expected: &str) {
            let found = match self.evidence.verdict(&self.release.analysis, self.now) {
                Verdict::Pass => "pass".to_owned(),
                Verdict::Fail(failure) => format!("fail: {failure}"),
                Verdict::NotYet(Wait::Requests { have, .. }) => format!("{have} requests"),
                Verdict::NotYet(wait) => format!("{wait:?}"),
            };
            assert!(found.starts_with(expected), "{found}, expected {expected}");
        }
    }

    #[test]
    fn a_canary_that_fails_only_for_a_segment_goes_back() {
        let of_them = "fail: for users of segment beta, the canary failed ";
        Run::new("100").rest(40, &members(3)).check(of_them);
        Run::new("100").rest(60, &members(0)).step(60, &members(3)).check(of_them);
        // The canary may be closed to everybody else.
        let alone = Second { members: (10, 5), stable: (0, 0), canary: (0, 0) };
        Run::new("100").rest(40, &alone).check(of_them);
    }

    #[test]
    fn what_a_few_of_its_users_may_have_made_holds_the_run_and_takes_nothing_back() {
        // One in twenty fails, of five times as many as may.
        let few = Second { members: (40, 2), ..members(0) };
        let held = "Doubt { metric: Segment { name: \"beta\", metric: RequestSuccessRate } }";
        let run = Run::new("100").rest(60, &members(0)).step(300, &few);
        run.check(held);
        run.step(2_000, &Second { members: (40, 0), ..members(0) }).check("pass");
    }

    #[test]
    fn a_segment_whose_users_fail_within_the_limit_does_not_speak_against_the_canary() {
        let always = Second { members: (200, 1), ..members(0) };
        Run::new("100").rest(60, &always).step(600, &always).check("pass");
    }

    #[test]
    fn what_stable_has_at_present_is_no_fault_of_the_canary() {
        let blinks = Second { members: (10, 2), stable: (990, 198), canary: (10, 2) };
        let run = Run::new("100").rest(60, &members(0)).step(60, &members(0)).step(20, &blinks);
        run.step(120, &members(0)).check("pass");
    }

    #[test]
    fn a_few_requests_or_one_look_are_not_enough_to_go_back_on() {
        let few = Second { members: (4, 4), ..members(0) };
        Run::new("100").rest(24, &few).check("0 requests");
        Run::new("100").rest(26, &few).check("fail: for users of segment beta");
        // One page that makes a hundred requests at once.
        let page = Second { members: (100, 100), ..members(0) };
        Run::new("100").rest(60, &members(0)).step(1, &page).step(60, &members(0)).check("pass");
        Run::new("100").rest(60, &members(0)).step(5, &page).check("fail: for users of segment beta");
    }

    #[test]
    fn testers_and_members_of_other_segments_are_not_judged() {
        Run::new("100").rest(30, &members(0)).testers(60, &members(10)).check("pass");
        // Members of a segment that is drawn are compared with one another instead.
        Run::new("50").rest(30, &members(0)).step(60, &members(10)).check("pass");
        Run::new("0").rest(30, &members(0)).step(60, &members(10)).check("pass");
    }
}
