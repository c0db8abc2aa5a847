/*!
The verdict: what the tests of a run come to together.

Each test that can take the canary back has a part of the chance that a good one is taken back. What they have won is
added up in these parts, so that no test pays for the others more than its own part is small, and faults that show in
several are caught sooner.
*/
use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use serin_policy::Weight;
use serin_policy::evidence::{Allowance, Tally, ln_mean};

use super::contrast::Contrast;
use super::custom::Readings;
use super::evidence::Evidence;
use super::requests::Tests;
use super::segments::{Members, Segment};
use super::signal::Signal;
use super::verdict::{Failure, Judged, Promise, Test, Verdict, Wait};
use crate::observation::{ArmUsers, EDGES_MS};
use serin_release::{Analysis, Criterion, CustomMetric, Metric};

/// A test, and its part.
pub(super) struct Stake {
    pub(super) judged: Judged,
    pub(super) test: Test,
    /// What a request may take, in milliseconds, where an edge of the times is what is judged.
    pub(super) edge: Option<u32>,
    /// The canary's and stable's, in the whole run and in this step.
    pub(super) run: (Tally, Tally),
    pub(super) step: (Tally, Tally),
    pub(super) since: Option<Timestamp>,
    /// Its part of α, before it is divided by the sum of all.
    pub(super) weight: f64,
    /// The evidence against the canary.
    pub(super) ln_e: f64,
    /// Whether it is enough by itself: not if it is the word of a few users.
    pub(super) stands: bool,
}

impl Stake {
    /// A test that has seen nothing. Its part is kept for it, or the others' would shrink when it begins.
    pub(super) fn idle(judged: Judged, test: Test, weight: f64) -> Self {
        let nothing = (Tally::default(), Tally::default());
        Self {
            judged,
            test,
            edge: None,
            run: nothing,
            step: nothing,
            since: None,
            weight,
            ln_e: 0.0,
            stands: true,
        }
    }
}

/// The test against stable in the same moments.
pub(super) const fn compared(allowance: Allowance) -> Test {
    Test::Comparison { allowance, promise: Promise::Guaranteed }
}

/// The parts of the tests. Failures have the most: they are what users mind most, and what comes first.
pub(super) mod part {
    pub(in crate::analysis) const USERS: f64 = 0.3;
    pub(in crate::analysis) const FAILED: f64 = 0.25;
    pub(in crate::analysis) const FAILED_LIMIT: f64 = 0.05;
    pub(in crate::analysis) const SLOW: f64 = 0.05;
    pub(in crate::analysis) const SLOW_LIMIT: f64 = 0.05;
    pub(in crate::analysis) const PAST: f64 = 0.05;
    pub(in crate::analysis) const TAIL: f64 = 0.12;
    pub(in crate::analysis) const ROUTES: f64 = 0.08;
    pub(in crate::analysis) const CLIENT: f64 = 0.04;
    pub(in crate::analysis) const SEGMENTS: f64 = 0.06;
    pub(in crate::analysis) const CUSTOM: f64 = 0.1;
    pub(in crate::analysis) const MIRRORED: f64 = 0.1;
}

/// The evidence (ln E) of a single test from which the canary is not given to everybody. A test that has seen nothing is at
/// 0, but for what rounding makes of it.
pub(super) const DOUBT: f64 = 0.1;

impl Evidence {
    /// The verdict on everything that was taken in.
    pub fn verdict(&self, analysis: &Analysis, now: Timestamp) -> Verdict {
        let stakes = self.stakes(analysis);
        let evidence = combined(stakes.iter().map(|stake| (stake, stake.stands)));
        if evidence >= analysis.needed()
            && let Some(told) = told(&stakes, analysis.needed())
        {
            return Verdict::Fail(self.failure(told, evidence, analysis, now));
        }
        if let Some(metric) = self.shared_trouble(analysis) {
            return Verdict::NotYet(Wait::SharedTrouble { metric });
        }
        if self.lacks_traffic(analysis) {
            return Verdict::NotYet(Wait::TrafficShare);
        }
        let (have, need) = (self.judged, analysis.min_requests);
        if have < need {
            return Verdict::NotYet(Wait::Requests { have, need });
        }
        // On the way a good canary often looks worse for a while, and waiting costs as many bad answers as going on; what
        // everybody is to get must not look worse by any test.
        let in_doubt = |stake: &&Stake| stake.ln_e > DOUBT && self.is_worse_in_step(stake);
        if self.is_last_step
            && let Some(Stake { judged, .. }) = strongest(stakes.iter().filter(in_doubt))
        {
            return Verdict::NotYet(Wait::Doubt { metric: judged.clone() });
        }
        if let Some(metric) = self.doubtful_segment(analysis) {
            return Verdict::NotYet(Wait::Doubt { metric });
        }
        for (metric, readings) in self.judged_readings(analysis) {
            if let Some(why) = readings.gap() {
                return Verdict::NotYet(Wait::Reading { metric: metric.name.clone(), why });
            }
            if readings.is_bad_now() {
                return Verdict::NotYet(Wait::Doubt { metric: Judged::Readings(metric.name.clone()) });
            }
            if let Some((value, limit)) = readings.between_limits(metric) {
                return Verdict::NotYet(Wait::Success { metric: metric.name.clone(), value, limit });
            }
        }
        if self.split.ln_e() >= analysis.needed() {
            return Verdict::NotYet(Wait::SampleRatio);
        }
        Verdict::Pass
    }

    /// Whether requests stay away from the canary: beside stable, or, where everybody is on it, beside what came before.
    fn lacks_traffic(&self, analysis: &Analysis) -> bool {
        analysis.criterion(Metric::TrafficShare).is_some_and(|criterion| {
            if self.weight == Weight::FULL {
                self.volume.has_fallen(criterion.compare)
            } else {
                self.traffic.ln_e() >= analysis.needed()
            }
        })
    }

    /// Every test that can take the canary back.
    pub(super) fn stakes(&self, analysis: &Analysis) -> Vec<Stake> {
        let mut stakes = Vec::new();
        let share = self.weight.share();
        let several_failed = self.users.are_enough(share, |users: &ArmUsers| users.failed);
        let failures_stand = several_failed && (self.weight == Weight::FULL || self.users.bear_out());
        if let Some(criterion) = analysis.criterion(Metric::RequestSuccessRate) {
            let parts = (part::FAILED, part::FAILED_LIMIT);
            let tests = (Signal::Failed, &self.failed);
            stakes.extend(self.of_requests(
                Metric::RequestSuccessRate,
                tests,
                criterion,
                parts,
                failures_stand,
            ));
            let (canary, stable) = self.users.first;
            let test = Test::FirstFailures { share: self.weight, allowance: criterion.compare };
            stakes.extend(self.users.seen.map(|_| Stake {
                run: (Tally { requests: canary + stable, bad: canary }, Tally::default()),
                since: self.failed.suspect_since,
                ln_e: self.users.worse.ln_e(),
                stands: several_failed,
                ..Stake::idle(Judged::Users, test, part::USERS)
            }));
        }
        if let Some(criterion) = analysis.criterion(Metric::RequestDuration) {
            let stands = self.users.are_enough(share, |users: &ArmUsers| users.slow);
            let parts = (part::SLOW, part::SLOW_LIMIT);
            let tests = (Signal::Slow, &self.slow);
            stakes.extend(self.of_requests(Metric::RequestDuration, tests, criterion, parts, stands));
        }
        let seen = self.users.are_enough(share, |users: &ArmUsers| users.seen);
        if let Some(criterion) = analysis.criterion(Metric::LatencyTail) {
            let tests = self.tail.iter().map(|(&edge, contrast)| (Signal::SlowerThan(edge), contrast));
            stakes.extend(self.of_contrasts(Metric::LatencyTail, criterion, tests, part::TAIL, seen));
            stakes.extend(self.tail.is_empty().then(|| {
                Stake::idle(Judged::Requests(Metric::LatencyTail), compared(criterion.compare), part::TAIL)
            }));
        }
        if let Some(criterion) = analysis.criterion(Metric::RouteErrors) {
            let tests = self.routes.iter().map(|(&group, contrast)| (Signal::FailedRoute(group), contrast));
            let known = part::ROUTES * count(self.routes.len()) / count(crate::ROUTE_GROUPS);
            stakes.extend(self.of_contrasts(Metric::RouteErrors, criterion, tests, known, failures_stand));
            let (judged, test) = (Judged::Requests(Metric::RouteErrors), compared(criterion.compare));
            stakes.push(Stake::idle(judged, test, part::ROUTES - known));
        }
        for (metric, signal, contrast) in [
            (Metric::ClientErrors, Signal::ClientError, &self.client_errors),
            (Metric::ClientAborts, Signal::Left, &self.left),
        ] {
            if let Some(criterion) = analysis.criterion(metric) {
                let tests = std::iter::once((signal, contrast));
                stakes.extend(self.of_contrasts(metric, criterion, tests, part::CLIENT, seen));
            }
        }
        stakes.extend(self.of_copies(analysis));
        stakes.extend(self.of_segments(analysis));
        for (metric, readings) in self.judged_readings(analysis) {
            for (ln_e, test) in readings.tests(metric) {
                stakes.push(Stake {
                    run: (readings.seen, Tally::default()),
                    ln_e,
                    ..Stake::idle(Judged::Readings(metric.name.clone()), test, part::CUSTOM)
                });
            }
        }
        stakes
    }

    fn of_requests(
        &self,
        metric: Metric,
        (signal, tests): (Signal, &Tests),
        criterion: Criterion,
        (by_comparison, by_limit): (f64, f64),
        stands: bool,
    ) -> [Stake; 3] {
        let allowance = tests.contrast.allowance.unwrap_or(criterion.compare);
        let limit = tests.limit.map(|limit| limit.share).or(criterion.limit).unwrap_or_default();
        let stake = |test, weight, ln_e| Stake {
            run: tests.contrast.compared(),
            step: (self.step.canary.of(signal), self.step.stable.of(signal)),
            since: tests.suspect_since,
            ln_e,
            stands,
            ..Stake::idle(Judged::Requests(metric), test, weight)
        };
        let against_past = Test::Comparison { allowance, promise: Promise::AgainstPast };
        [
            stake(Test::Limit { allowed: limit }, by_limit, tests.over_limit()),
            stake(compared(allowance), by_comparison, tests.contrast.worse.ln_e()),
            stake(against_past, part::PAST, tests.worse_than_past.ln_e()),
        ]
    }

    fn of_contrasts<'c>(
        &'c self,
        metric: Metric,
        criterion: Criterion,
        tests: impl ExactSizeIterator<Item = (Signal, &'c Contrast)>,
        weight: f64,
        stands: bool,
    ) -> impl Iterator<Item = Stake> {
        let each = weight / count(tests.len().max(1));
        tests.map(move |(signal, contrast)| {
            let test = compared(contrast.allowance.unwrap_or(criterion.compare));
            Stake {
                edge: match signal {
                    Signal::SlowerThan(edge) => EDGES_MS.get(edge).copied(),
                    _ => None,
                },
                run: contrast.compared(),
                step: (self.step.canary.of(signal), self.step.stable.of(signal)),
                ln_e: contrast.worse.ln_e(),
                stands,
                ..Stake::idle(Judged::Requests(metric), test, each)
            }
        })
    }

    fn of_segments(&self, analysis: &Analysis) -> impl Iterator<Item = Stake> {
        let judged = move |metric: &Metric| analysis.criterion(*metric).is_some();
        let metrics = Segment::METRICS.into_iter().filter(judged);
        let each = part::SEGMENTS / count((self.segments.len() * metrics.clone().count()).max(1));
        self.segments.iter().flat_map(move |(name, segment)| {
            metrics.clone().filter_map(move |metric| {
                let members: &Members = segment.of(metric)?;
                let judged = Judged::Segment { name: name.clone(), metric };
                Some(Stake {
                    run: (members.canary, members.stable),
                    since: members.suspect_since,
                    ln_e: members.far_over.ln_e(),
                    stands: members.are_enough(analysis),
                    ..Stake::idle(
                        judged,
                        Test::Limit { allowed: members.far_limit.unwrap_or_default() },
                        each,
                    )
                })
            })
        })
    }

    /// What the users of a segment have more of than may be, if there is such a one and not everybody is on the canary by
    /// now. It takes nothing back, so it has no part.
    fn doubtful_segment(&self, analysis: &Analysis) -> Option<Judged> {
        if self.weight == Weight::FULL {
            return None;
        }
        self.segments.iter().find_map(|(name, segment)| {
            let is_doubtful = |metric: &Metric| {
                analysis.criterion(*metric).is_some()
                    && segment.of(*metric).is_some_and(|members| {
                        members.are_enough(analysis) && members.over.ln_e() >= analysis.needed()
                    })
            };
            let metric = Segment::METRICS.into_iter().find(is_doubtful)?;
            Some(Judged::Segment { name: name.clone(), metric })
        })
    }

    /// Whether the canary has more bad requests in this step than it may. What came before is no reason to wait: without
    /// a bad answer there is nothing more to be learnt of it.
    fn is_worse_in_step(&self, stake: &Stake) -> bool {
        let (canary, stable) = match stake.judged {
            Judged::Users => (self.step.canary.of(Signal::Failed), self.step.stable.of(Signal::Failed)),
            // They are of no step.
            Judged::Copies => return false,
            // Its members are like everybody then.
            Judged::Segment { .. } if self.weight == Weight::FULL => return false,
            _ => stake.step,
        };
        let allowed = |share: f64| match stake.test {
            Test::Comparison { allowance, .. } | Test::FirstFailures { allowance, .. } => {
                allowance.allowed(share)
            }
            Test::Limit { allowed } => allowed.share(),
            // Readings are of no step.
            Test::Range | Test::Excess => 0.0,
        };
        canary.share().is_none_or(|share| share > allowed(stable.share().unwrap_or_default()))
    }

    pub(super) fn failure(
        &self,
        stake: &Stake,
        evidence: f64,
        analysis: &Analysis,
        now: Timestamp,
    ) -> Failure {
        // What the step has shown says more than what led up to it.
        let (canary, stable) = if stake.step.0.requests > 0 { stake.step } else { stake.run };
        let answers = match stake.judged {
            Judged::Requests(Metric::RequestDuration) => self.slow.met,
            Judged::Requests(Metric::RequestSuccessRate | Metric::RouteErrors)
            | Judged::Users
            | Judged::Copies => self.failures_met(),
            Judged::Requests(_) | Judged::Segment { .. } => stake.run.0.bad,
            Judged::Readings(_) => 0,
        };
        let is_of_objective = matches!(
            stake.judged,
            Judged::Requests(Metric::RequestDuration)
                | Judged::Segment { metric: Metric::RequestDuration, .. }
        );
        let within_ms = stake.edge.or(is_of_objective.then_some(analysis.objective_ms));
        Failure {
            metric: stake.judged.clone(),
            test: stake.test,
            objective: within_ms.map(|ms| Duration::from_millis(ms.into())),
            canary,
            stable,
            met: answers,
            evidence,
            needed: analysis.needed(),
            after_s: stake.since.map(|since| now.duration_since(since).as_secs_f64()),
        }
    }

    /// The metric of which both versions have more at present than the canary may have, if there is one.
    fn shared_trouble(&self, analysis: &Analysis) -> Option<Metric> {
        Metric::ALL.into_iter().find(|metric| {
            let (Some((signal, tests)), Some(Criterion { limit: Some(limit), compare })) =
                (self.limited(*metric), analysis.criterion(*metric))
            else {
                return false;
            };
            // What stable has always had is no trouble of this moment.
            let usual = compare.ratio() * self.baseline.past(signal).share().unwrap_or_default();
            tests.recent.is_shared_trouble(limit.share().max(usual))
        })
    }

    /// The tests of a metric that has a limit, and what is bad in its sense.
    pub(super) const fn limited(&self, metric: Metric) -> Option<(Signal, &Tests)> {
        match metric {
            Metric::RequestSuccessRate => Some((Signal::Failed, &self.failed)),
            Metric::RequestDuration => Some((Signal::Slow, &self.slow)),
            _ => None,
        }
    }

    /// People's own metrics that are judged, with what they have shown.
    fn judged_readings<'e>(
        &'e self,
        analysis: &'e Analysis,
    ) -> impl Iterator<Item = (&'e CustomMetric, &'e Readings)> {
        static NONE: LazyLock<Readings> = LazyLock::new(Readings::default);
        let judged = analysis.custom.iter().filter(|metric| !metric.dry_run);
        judged.map(|metric| (metric, self.custom.get(&metric.name).unwrap_or(&NONE)))
    }
}

/// The evidence (ln E) of all tests together. One that does not stand has its part, and adds nothing.
pub(super) fn combined<'s>(stakes: impl Iterator<Item = (&'s Stake, bool)> + Clone) -> f64 {
    ln_mean(stakes.map(|(stake, stands)| (stake.weight, if stands { stake.ln_e } else { f64::NEG_INFINITY })))
}

/// The test that says best why the canary is taken back: the first of those that are clear, since failures come before
/// the route on which they are, or the one that has won the most.
pub(super) fn told(stakes: &[Stake], needed: f64) -> Option<&Stake> {
    let stands = || stakes.iter().filter(|stake| stake.stands);
    stands().find(|stake| stake.ln_e >= needed / 2.0).or_else(|| strongest(stands()))
}

/// The test that has won the most.
fn strongest<'s>(stakes: impl Iterator<Item = &'s Stake>) -> Option<&'s Stake> {
    let won = |stake: &Stake| stake.weight.ln() + stake.ln_e;
    stakes.max_by(|one, other| won(one).total_cmp(&won(other)))
}

#[expect(clippy::cast_precision_loss, reason = "a few tests")]
const fn count(tests: usize) -> f64 {
    tests as f64
}
