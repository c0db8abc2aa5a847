/*!
How the judgement stands, for people: every number that goes into it, and what it is worth.
*/
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serin_policy::evidence::{Allowance, Interval, Tally, ratio};
use serin_policy::{Cohort, Weight};

use super::contrast::Contrast;
use super::evidence::Evidence;
use super::forecast::{Traffic, seconds_to_catch};
use super::requests::Tests;
use super::signal::Signal;
use super::verdict::{Judged, Promise};
use crate::observation::MetricValue;
use serin_release::{Analysis, Criterion, CustomMetric, Metric, Percent, Release};

/// How one metric stands, for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What is judged.
    pub metric: Metric,
    /// The canary's judged requests in this run.
    pub canary: Tally,
    /// Stable's in the same moments.
    pub stable: Tally,
    /// How many times stable's share of bad requests the canary's is, with bounds that hold at every look; none while
    /// either version has no bad request.
    pub ratio: Option<Interval>,
    /// Evidence (ln E) that the canary breaks its limit, for the metrics that have one; none as well while stable breaks it
    /// likewise.
    pub over: Option<f64>,
    /// Evidence (ln E) that it is worse than stable by more than is allowed.
    pub worse: f64,
    /// Evidence (ln E) that it is not; none for the metrics of which only the worse is looked for.
    pub no_worse: Option<f64>,
    /// The evidence (ln E) of the comparison that takes the canary back without any of other tests.
    pub needed: f64,
    /// The largest share of the canary's requests that may be bad at present, what stable has and its users had before
    /// included; none for the metrics without a limit.
    pub limit: Option<Percent>,
    /// How much worse than stable the canary may be at present, what its users had before included.
    pub allowance: Allowance,
    /// How many bad requests come at a time.
    pub dispersion: f64,
    /// What the comparison is worth.
    pub promise: Promise,
}

/// How the users of a run fared who met a failure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsersFinding {
    /// Users who failed for the first time in the run while they were compared: on the canary.
    pub canary: u64,
    /// And on stable.
    pub stable: u64,
    /// Evidence (ln E) that more of the canary's do than may.
    pub evidence: f64,
    /// The evidence that takes the canary back without any of other tests.
    pub needed: f64,
}

/// How long a fault would take to be caught at a step, at the traffic of the run's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// The step, from 1.
    pub step: usize,
    /// Its weight.
    pub weight: Weight,
    /// About how long it takes until a canary that fails three times as often as stable is caught; none for never.
    pub threefold: Option<Duration>,
    /// The same of one that fails ten times as often.
    pub tenfold: Option<Duration>,
}

/// How one of people's own metrics stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadingFinding {
    /// Its name.
    pub name: String,
    /// The latest reading of the canary.
    pub canary: MetricValue,
    /// The latest reading of stable, where the two are compared.
    pub stable: Option<MetricValue>,
    /// Readings that were numbers, and those of them that were out of range.
    pub seen: Tally,
    /// Evidence (ln E) against the canary.
    pub evidence: f64,
    /// The evidence at which the canary is taken back.
    pub needed: f64,
    /// Whether it is only shown.
    pub dry_run: bool,
}

impl Evidence {
    /// How each metric of requests stands.
    pub fn findings(&self, release: &Release, weight: Weight) -> Vec<Finding> {
        let analysis = &release.analysis;
        let shares_are_another_matter = |metric: &Metric| *metric != Metric::TrafficShare;
        let judged = Metric::ALL.into_iter().filter(shares_are_another_matter);
        judged
            .filter_map(|metric| Some(self.finding(metric, analysis.criterion(metric)?, analysis, weight)))
            .collect()
    }

    fn finding(&self, metric: Metric, criterion: Criterion, analysis: &Analysis, weight: Weight) -> Finding {
        let contrast = self.contrast(metric);
        let has_limit = matches!(metric, Metric::RequestSuccessRate | Metric::RequestDuration);
        let tests = has_limit.then(|| self.tests(metric));
        let dispersion =
            contrast.map_or(analysis.dispersion, |contrast| contrast.dispersion(analysis.dispersion));
        // Before the first step: as it will be there.
        let first =
            Signal::of(metric).first().map_or(1.0, |signal| self.baseline.ratio(*signal, Cohort::Step(0), 1));
        let before = criterion.compare.relaxed_by(if has_limit { first } else { 1.0 });
        let (canary, stable) =
            contrast.map(|contrast| (contrast.canary, contrast.stable)).unwrap_or_default();
        let worse = contrast.map_or(0.0, |contrast| contrast.worse.ln_e());
        Finding {
            metric,
            canary,
            stable,
            ratio: ratio(canary, stable, dispersion, Self::BOUNDS),
            over: tests.map(Tests::over_limit).filter(|ln_e| ln_e.is_finite()),
            worse: tests.map_or(worse, Tests::against_stable),
            no_worse: tests.map(|tests| tests.no_worse.ln_e()),
            needed: self.needed(&Judged::Requests(metric), analysis),
            limit: tests.and_then(|tests| tests.limit.or(criterion.limit)),
            allowance: contrast.and_then(|contrast| contrast.allowance).unwrap_or(before),
            dispersion: dispersion.get(),
            promise: self.promise(metric, weight),
        }
    }

    /// How often the bounds of a ratio may be wrong.
    const BOUNDS: f64 = 0.05;

    /// The comparison that stands for a metric: of several the one with the most evidence.
    fn contrast(&self, metric: Metric) -> Option<&Contrast> {
        let strongest = |one: &&Contrast, other: &&Contrast| one.worse.ln_e().total_cmp(&other.worse.ln_e());
        match metric {
            Metric::RequestSuccessRate | Metric::RequestDuration => Some(&self.tests(metric).contrast),
            Metric::LatencyTail => self.tail.values().max_by(strongest),
            Metric::RouteErrors => self.routes.values().max_by(strongest),
            Metric::ClientErrors => Some(&self.client_errors),
            Metric::ClientAborts => Some(&self.left),
            Metric::TrafficShare => None,
        }
    }

    /// The evidence (ln E) of the strongest test of this kind that takes the canary back without any of other tests.
    fn needed(&self, judged: &Judged, analysis: &Analysis) -> f64 {
        let stakes = self.stakes(analysis);
        let all: f64 = stakes.iter().map(|stake| stake.weight).sum();
        let own = || stakes.iter().filter(|stake| stake.judged == *judged);
        let begun = own().filter(|stake| stake.run.0.requests > 0).map(|stake| stake.weight);
        let part = begun.reduce(f64::max).or_else(|| own().map(|stake| stake.weight).reduce(f64::max));
        part.map_or(analysis.needed(), |part| analysis.needed() + (all / part).ln())
    }

    /// How users fared; none where no proxy tells.
    pub fn users(&self, analysis: &Analysis) -> Option<UsersFinding> {
        self.users.seen.map(|_| UsersFinding {
            canary: self.users.first.0,
            stable: self.users.first.1,
            evidence: self.users.worse.ln_e(),
            needed: self.needed(&Judged::Users, analysis),
        })
    }

    /// How long faults would take to be caught at each step, by the traffic at weight 0; nothing before there was any, or
    /// where failures are not judged.
    pub fn forecasts(&self, release: &Release) -> Vec<Forecast> {
        let analysis = &release.analysis;
        let (Some(criterion), Some(rps)) =
            (analysis.criterion(Metric::RequestSuccessRate), self.requests_per_second())
        else {
            return Vec::new();
        };
        let base = self.baseline.at_rest().1.of(Signal::Failed).cautious_share();
        let dispersion = self.failed.contrast.dispersion(analysis.dispersion);
        let needed = self.needed(&Judged::Requests(Metric::RequestSuccessRate), analysis);
        let forecast = |(i, weight): (usize, Weight)| {
            let share = weight.share();
            let traffic = Traffic { canary_rps: rps * share, stable_rps: rps * (1.0 - share), base };
            let allowance =
                criterion.compare.relaxed_by(self.baseline.ratio(Signal::Failed, Cohort::Step(i), i + 1));
            let after = |factor| seconds_to_catch(traffic, factor, allowance, dispersion, needed);
            Forecast { step: i + 1, weight, threefold: after(3.0), tenfold: after(10.0) }
        };
        release.steps.iter().map(|step| step.weight).enumerate().map(forecast).collect()
    }

    fn promise(&self, metric: Metric, weight: Weight) -> Promise {
        if weight < Weight::FULL {
            let known = self.baseline.at_rest().0.requests > 0;
            if known { Promise::Guaranteed } else { Promise::WithoutBaseline }
        } else if Signal::of(metric).iter().any(|signal| self.baseline.past(*signal).requests > 0) {
            Promise::AgainstPast
        } else {
            Promise::NoControl
        }
    }

    /// What people's own metrics have shown: the latest readings, and the evidence (ln E) against the canary.
    pub fn readings(&self, analysis: &Analysis) -> Vec<ReadingFinding> {
        let finding = |metric: &CustomMetric| {
            let readings = self.custom.get(&metric.name)?;
            Some(ReadingFinding {
                name: metric.name.clone(),
                canary: readings.canary.clone()?,
                stable: readings.stable.clone(),
                seen: readings.seen,
                evidence: readings.tests(metric).iter().map(|(ln_e, _)| *ln_e).fold(0.0, f64::max),
                needed: self.needed(&Judged::Readings(metric.name.clone()), analysis),
                dry_run: metric.dry_run,
            })
        };
        analysis.custom.iter().filter_map(finding).collect()
    }
}
