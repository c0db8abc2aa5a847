/*!
How the judgement stands, for people: every number that goes into it, and what it is worth.
*/
use serde::{Deserialize, Serialize};
use serin_policy::evidence::{Allowance, Interval, Tally, ratio};
use serin_policy::{Cohort, Weight};

use super::contrast::Contrast;
use super::evidence::Evidence;
use super::limit::Limit;
use super::requests::Tests;
use super::segments::Segment;
use super::signal::Signal;
use super::stakes::Stake;
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
    /// The largest share of the canary's requests that may be bad at present; none for the metrics without a limit.
    pub limit: Option<Limit>,
    /// How much worse than stable the canary may be at present, what its users had before included.
    pub allowance: Allowance,
    /// How many bad requests come at a time.
    pub dispersion: f64,
    /// The smallest share of bad requests that would be caught within the present step, or the first one before it, by the
    /// comparison alone and at the traffic of the run's beginning; none where nothing would, or that is not known.
    pub smallest: Option<Percent>,
    /// What the comparison is worth.
    pub promise: Promise,
}

/// How the users of a segment fare that has the canary as a whole, by one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentFinding {
    /// The segment.
    pub segment: String,
    /// What is judged.
    pub metric: Metric,
    /// Their requests in this run.
    pub canary: Tally,
    /// The largest share of them that may be bad at present: the run is held beyond it.
    pub limit: Option<Limit>,
    /// The share beyond which the canary is taken back, since a few users do not make as much; none before they have made a
    /// request.
    pub back_beyond: Option<Percent>,
    /// How many bad requests count as one.
    pub dispersion: f64,
    /// Evidence (ln E) that more are bad than `back_beyond`.
    pub evidence: f64,
    /// The evidence that takes the canary back without any of other tests.
    pub needed: f64,
}

/// How the users of a run fared who met a failure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsersFinding {
    /// Users who failed for the first time in the run while they were compared: on the canary.
    pub canary: u64,
    /// And on stable.
    pub stable: u64,
    /// About how many different users the canary has had.
    pub seen: u64,
    /// About how many of them have met a failure.
    pub failed: u64,
    /// Evidence (ln E) that more of the canary's do than may.
    pub evidence: f64,
    /// The evidence that takes the canary back without any of other tests.
    pub needed: f64,
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
    /// How many users have met a failure of the canary's, at most.
    pub(super) fn failures_met(&self) -> u64 {
        self.users.of_canary().map_or(self.failed.met, |(_, failed)| failed.min(self.failed.met))
    }

    /// How each metric of requests stands.
    pub fn findings(&self, release: &Release, weight: Weight) -> Vec<Finding> {
        let analysis = &release.analysis;
        let stakes = self.stakes(analysis);
        let shares_are_another_matter = |metric: &Metric| *metric != Metric::TrafficShare;
        let judged = Metric::ALL.into_iter().filter(shares_are_another_matter);
        judged
            .filter_map(|metric| {
                let needed = needed(&stakes, &Judged::Requests(metric), analysis);
                Some(self.finding(metric, analysis.criterion(metric)?, release, (weight, needed)))
            })
            .collect()
    }

    /// How the users of each segment fare that has the canary as a whole.
    pub fn segments(&self, analysis: &Analysis) -> Vec<SegmentFinding> {
        let stakes = self.stakes(analysis);
        let of_segment = |(name, segment): (&String, &Segment)| {
            Segment::METRICS.map(|metric| {
                let (members, criterion) = (segment.of(metric)?, analysis.criterion(metric)?);
                let of_others = self.contrast(metric)?.dispersion(analysis.dispersion);
                Some(SegmentFinding {
                    segment: name.clone(),
                    metric,
                    canary: members.canary,
                    limit: members.limit.or_else(|| Limit::written(criterion)),
                    back_beyond: members.far_limit,
                    dispersion: members.dispersion(of_others).get(),
                    evidence: members.far_over.ln_e(),
                    needed: needed(&stakes, &Judged::Segment { name: name.clone(), metric }, analysis),
                })
            })
        };
        self.segments.iter().flat_map(of_segment).flatten().collect()
    }

    fn finding(
        &self,
        metric: Metric,
        criterion: Criterion,
        release: &Release,
        (weight, needed): (Weight, f64),
    ) -> Finding {
        let analysis = &release.analysis;
        let contrast = self.contrast(metric);
        let limited = self.limited(metric);
        let tests = limited.map(|(_, tests)| tests);
        let dispersion =
            contrast.map_or(analysis.dispersion, |contrast| contrast.dispersion(analysis.dispersion));
        // Before the first step: as it will be there.
        let first = limited.map_or(1.0, |(signal, _)| self.baseline.ratio(signal, Cohort::Step(0), 1));
        let before = criterion.compare.relaxed_by(first);
        let (canary, stable) = contrast.map(Contrast::compared).unwrap_or_default();
        let allowance = contrast.and_then(|contrast| contrast.allowance).unwrap_or(before);
        let worse = contrast.map_or(0.0, |contrast| contrast.worse.ln_e());
        Finding {
            metric,
            canary,
            stable,
            ratio: ratio(canary, stable, dispersion, Self::BOUNDS),
            over: tests.map(Tests::over_limit).filter(|ln_e| ln_e.is_finite()),
            worse: tests.map_or(worse, Tests::against_stable),
            no_worse: tests.map(|tests| tests.no_worse.ln_e()),
            needed,
            limit: tests.and_then(|tests| tests.limit.or_else(|| Limit::written(criterion))),
            allowance,
            dispersion: dispersion.get(),
            smallest: self.smallest(metric, release, weight, (allowance, dispersion, needed)),
            promise: self.promise(metric, weight),
        }
    }

    /// How often the bounds of a ratio may be wrong.
    const BOUNDS: f64 = 0.05;

    /// The comparison that stands for a metric: of several the one with the most evidence.
    pub(super) fn contrast(&self, metric: Metric) -> Option<&Contrast> {
        let strongest = |one: &&Contrast, other: &&Contrast| one.worse.ln_e().total_cmp(&other.worse.ln_e());
        match metric {
            Metric::RequestSuccessRate | Metric::RequestDuration => {
                self.limited(metric).map(|(_, tests)| &tests.contrast)
            }
            Metric::LatencyTail => self.tail.values().max_by(strongest),
            Metric::RouteErrors => self.routes.values().max_by(strongest),
            Metric::ClientErrors => Some(&self.client_errors),
            Metric::ClientAborts => Some(&self.left),
            Metric::TrafficShare => None,
        }
    }

    /// How users fared; none where no proxy tells.
    pub fn users(&self, analysis: &Analysis) -> Option<UsersFinding> {
        self.users.of_canary().map(|(seen, failed)| UsersFinding {
            canary: self.users.first.0,
            stable: self.users.first.1,
            seen,
            failed,
            evidence: self.users.worse.ln_e(),
            needed: needed(&self.stakes(analysis), &Judged::Users, analysis),
        })
    }

    fn promise(&self, metric: Metric, weight: Weight) -> Promise {
        // Of the times, those that were taken; of all else, every request.
        let signal = if metric == Metric::LatencyTail { Signal::SlowerThan(0) } else { Signal::Failed };
        if weight < Weight::FULL {
            let known = self.baseline.at_rest().0.requests > 0;
            if known { Promise::Guaranteed } else { Promise::WithoutBaseline }
        } else if self.baseline.past(signal).requests > 0 {
            Promise::AgainstPast
        } else {
            Promise::NoControl
        }
    }

    /// What people's own metrics have shown: the latest readings, and the evidence (ln E) against the canary.
    pub fn readings(&self, analysis: &Analysis) -> Vec<ReadingFinding> {
        let stakes = self.stakes(analysis);
        let finding = |metric: &CustomMetric| {
            let readings = self.custom.get(&metric.name)?;
            Some(ReadingFinding {
                name: metric.name.clone(),
                canary: readings.canary.clone()?,
                stable: readings.stable.clone(),
                seen: readings.seen,
                evidence: readings.tests(metric).iter().map(|(ln_e, _)| *ln_e).fold(0.0, f64::max),
                needed: needed(&stakes, &Judged::Readings(metric.name.clone()), analysis),
                dry_run: metric.dry_run,
            })
        };
        analysis.custom.iter().filter_map(finding).collect()
    }
}

/// The evidence (ln E) at which the strongest test of this kind takes the canary back without any of the others.
pub(super) fn needed(stakes: &[Stake], judged: &Judged, analysis: &Analysis) -> f64 {
    let all: f64 = stakes.iter().map(|stake| stake.weight).sum();
    let own = || stakes.iter().filter(|stake| stake.judged == *judged);
    let begun = own().filter(|stake| stake.run.0.requests > 0).map(|stake| stake.weight);
    let part = begun.reduce(f64::max).or_else(|| own().map(|stake| stake.weight).reduce(f64::max));
    part.map_or(analysis.needed(), |part| analysis.needed() + (all / part).ln())
}
