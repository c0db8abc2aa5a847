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
use serin_policy::evidence::{Tally, ln_mean};

use super::contrast::Contrast;
use super::custom::Readings;
use super::evidence::Evidence;
use super::requests::Tests;
use super::signal::Signal;
use super::verdict::{Failure, Judged, Promise, Test, Verdict, Wait};
use crate::observation::{ArmUsers, EDGES_MS};
use serin_release::{Analysis, Criterion, CustomMetric, Metric};

/// A test, and its part.
pub(super) struct Stake {
    pub(super) judged: Judged,
    pub(super) test: Test,
    /// What a request may take, where that is what is judged.
    objective: Option<Duration>,
    /// The canary's and stable's, in the whole run and in this step.
    pub(super) run: (Tally, Tally),
    step: (Tally, Tally),
    since: Option<Timestamp>,
    /// Its part of α, before it is divided by the sum of all.
    pub(super) weight: f64,
    /// The evidence against the canary.
    pub(super) ln_e: f64,
    /// Whether it is enough by itself: not if it is the word of a few users.
    stands: bool,
}

/// The parts of the tests. Failures have the most: they are what users mind most, and what comes first.
mod part {
    pub(super) const USERS: f64 = 0.3;
    pub(super) const FAILED: f64 = 0.25;
    pub(super) const FAILED_LIMIT: f64 = 0.05;
    pub(super) const SLOW: f64 = 0.05;
    pub(super) const SLOW_LIMIT: f64 = 0.05;
    pub(super) const PAST: f64 = 0.05;
    pub(super) const TAIL: f64 = 0.12;
    pub(super) const ROUTES: f64 = 0.08;
    pub(super) const CLIENT: f64 = 0.04;
    pub(super) const CUSTOM: f64 = 0.1;
}

/// The evidence (ln E) of a single test from which the canary is not given to everybody. A test that has seen nothing is at
/// 0, but for what rounding makes of it.
const DOUBT: f64 = 0.1;

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
        let (have, need) = (self.judged, analysis.min_requests);
        if have < need {
            return Verdict::NotYet(Wait::Requests { have, need });
        }
        // On the way a good canary often looks worse for a while, and waiting costs as many bad answers as going on; what
        // everybody is to get must not look worse by any test.
        if self.is_last_step
            && let Some(Stake { judged, .. }) = strongest(stakes.iter().filter(|stake| stake.ln_e > DOUBT))
        {
            return Verdict::NotYet(Wait::Doubt { metric: judged.clone() });
        }
        for (metric, readings) in self.judged_readings(analysis) {
            if let Some(why) = readings.gap() {
                return Verdict::NotYet(Wait::Reading { metric: metric.name.clone(), why });
            }
            if readings.is_bad_now() {
                return Verdict::NotYet(Wait::Doubt { metric: Judged::Readings(metric.name.clone()) });
            }
        }
        if self.split.ln_e() >= analysis.needed() {
            return Verdict::NotYet(Wait::SampleRatio);
        }
        if analysis.criterion(Metric::TrafficShare).is_some() && self.traffic.ln_e() >= analysis.needed() {
            return Verdict::NotYet(Wait::TrafficShare);
        }
        Verdict::Pass
    }

    /// Every test that can take the canary back.
    pub(super) fn stakes(&self, analysis: &Analysis) -> Vec<Stake> {
        let mut stakes = Vec::new();
        let share = self.weight.share();
        if let Some(criterion) = analysis.criterion(Metric::RequestSuccessRate) {
            let stands = self.users.are_enough(share, |users: &ArmUsers| users.failed);
            let parts = (part::FAILED, part::FAILED_LIMIT);
            let several = stands && (self.weight == Weight::FULL || self.users.bear_out());
            stakes.extend(self.of_requests(Metric::RequestSuccessRate, criterion, parts, several));
            let (canary, stable) = self.users.first;
            stakes.extend(self.users.seen.map(|_| Stake {
                judged: Judged::Users,
                test: Test::FirstFailures { share: self.weight, allowance: criterion.compare },
                run: (Tally { requests: canary + stable, bad: canary }, Tally::default()),
                step: (Tally::default(), Tally::default()),
                objective: None,
                since: self.failed.suspect_since,
                weight: part::USERS,
                ln_e: self.users.worse.ln_e(),
                stands,
            }));
        }
        if let Some(criterion) = analysis.criterion(Metric::RequestDuration) {
            let stands = self.users.are_enough(share, |users: &ArmUsers| users.slow);
            let parts = (part::SLOW, part::SLOW_LIMIT);
            stakes.extend(self.of_requests(Metric::RequestDuration, criterion, parts, stands));
        }
        let seen = self.users.are_enough(share, |users: &ArmUsers| users.seen);
        if let Some(criterion) = analysis.criterion(Metric::LatencyTail) {
            let tests = self.tail.iter().map(|(&edge, contrast)| (Signal::SlowerThan(edge), contrast));
            stakes.extend(self.of_contrasts(Metric::LatencyTail, criterion, tests, part::TAIL, seen));
            stakes.extend(self.tail.is_empty().then(|| idle(Metric::LatencyTail, criterion, part::TAIL)));
        }
        if let Some(criterion) = analysis.criterion(Metric::RouteErrors) {
            let stands = self.users.are_enough(share, |users: &ArmUsers| users.failed);
            let tests = self.routes.iter().map(|(&group, contrast)| (Signal::FailedRoute(group), contrast));
            let known = part::ROUTES * count(self.routes.len()) / count(crate::ROUTE_GROUPS);
            stakes.extend(self.of_contrasts(Metric::RouteErrors, criterion, tests, known, stands));
            stakes.push(idle(Metric::RouteErrors, criterion, part::ROUTES - known));
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
        for (metric, readings) in self.judged_readings(analysis) {
            for (ln_e, test) in readings.tests(metric) {
                stakes.push(Stake {
                    judged: Judged::Readings(metric.name.clone()),
                    test,
                    objective: None,
                    run: (readings.seen, Tally::default()),
                    step: (Tally::default(), Tally::default()),
                    since: None,
                    weight: part::CUSTOM,
                    ln_e,
                    stands: true,
                });
            }
        }
        stakes
    }

    fn of_requests(
        &self,
        metric: Metric,
        criterion: Criterion,
        (compared, limited): (f64, f64),
        stands: bool,
    ) -> [Stake; 3] {
        let tests = self.tests(metric);
        let allowance = tests.contrast.allowance.unwrap_or(criterion.compare);
        let limit = tests.limit.or(criterion.limit).unwrap_or_default();
        let (signal, objective) = match metric {
            Metric::RequestDuration => (Signal::Slow, Some(())),
            _ => (Signal::Failed, None),
        };
        let stake = |test, weight, ln_e| Stake {
            judged: Judged::Requests(metric),
            test,
            objective: objective.map(|()| Duration::ZERO),
            run: (tests.contrast.canary, tests.contrast.stable),
            step: (self.step.canary.of(signal), self.step.stable.of(signal)),
            since: tests.suspect_since,
            weight,
            ln_e,
            stands,
        };
        let comparison = |promise| Test::Comparison { allowance, promise };
        [
            stake(Test::Limit { allowed: limit }, limited, tests.over_limit()),
            stake(comparison(Promise::Guaranteed), compared, tests.contrast.worse.ln_e()),
            stake(comparison(Promise::AgainstPast), part::PAST, tests.worse_than_past.ln_e()),
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
        tests.map(move |(signal, contrast)| Stake {
            judged: Judged::Requests(metric),
            test: Test::Comparison {
                allowance: contrast.allowance.unwrap_or(criterion.compare),
                promise: Promise::Guaranteed,
            },
            objective: match signal {
                Signal::SlowerThan(edge) => EDGES_MS.get(edge).map(|ms| Duration::from_millis((*ms).into())),
                _ => None,
            },
            run: (contrast.canary, contrast.stable),
            step: (self.step.canary.of(signal), self.step.stable.of(signal)),
            since: None,
            weight: each,
            ln_e: contrast.worse.ln_e(),
            stands,
        })
    }

    fn failure(&self, stake: &Stake, evidence: f64, analysis: &Analysis, now: Timestamp) -> Failure {
        // What the step has shown says more than what led up to it.
        let (canary, stable) = if stake.step.0.requests > 0 { stake.step } else { stake.run };
        let answers = match stake.judged {
            Judged::Requests(Metric::RequestDuration) => self.slow.met,
            Judged::Requests(Metric::RequestSuccessRate | Metric::RouteErrors) | Judged::Users => {
                self.users.who_failed().map_or(self.failed.met, |users| users.min(self.failed.met))
            }
            Judged::Requests(_) => stake.run.0.bad,
            Judged::Readings(_) => 0,
        };
        let is_objective = stake.judged == Judged::Requests(Metric::RequestDuration);
        Failure {
            metric: stake.judged.clone(),
            test: stake.test,
            objective: if is_objective {
                Some(Duration::from_millis(analysis.objective_ms.into()))
            } else {
                stake.objective
            },
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
        let with_limit =
            [(Metric::RequestSuccessRate, Signal::Failed), (Metric::RequestDuration, Signal::Slow)];
        let troubled = with_limit.into_iter().find(|(metric, signal)| {
            let Some(Criterion { limit: Some(limit), compare }) = analysis.criterion(*metric) else {
                return false;
            };
            // What stable has always had is no trouble of this moment.
            let usual = compare.ratio() * self.baseline.past(*signal).share().unwrap_or_default();
            self.tests(*metric).recent.is_shared_trouble(limit.share().max(usual))
        });
        troubled.map(|(metric, _)| metric)
    }

    pub(super) const fn tests(&self, metric: Metric) -> &Tests {
        match metric {
            Metric::RequestDuration => &self.slow,
            _ => &self.failed,
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

/// The part of tests that have not begun: it is kept for them, or the others' would shrink when they do.
fn idle(metric: Metric, criterion: Criterion, weight: f64) -> Stake {
    Stake {
        judged: Judged::Requests(metric),
        test: Test::Comparison { allowance: criterion.compare, promise: Promise::Guaranteed },
        objective: None,
        run: Default::default(),
        step: Default::default(),
        since: None,
        weight,
        ln_e: 0.0,
        stands: true,
    }
}

/// The evidence (ln E) of all tests together. One that does not stand has its part, and adds nothing.
fn combined<'s>(stakes: impl Iterator<Item = (&'s Stake, bool)> + Clone) -> f64 {
    ln_mean(stakes.map(|(stake, stands)| (stake.weight, if stands { stake.ln_e } else { f64::NEG_INFINITY })))
}

/// The test that says best why the canary is taken back: the first of those that are clear, since failures come before
/// the route on which they are, or the one that has won the most.
fn told(stakes: &[Stake], needed: f64) -> Option<&Stake> {
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
