/*!
How the judgement stands, for people: every number that goes into it, and what it is worth.
*/
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serin_policy::evidence::{Allowance, Tally, as_f64};
use serin_policy::{Cohort, Weight};

use super::evidence::Evidence;
use super::forecast::{Traffic, seconds_to_catch};
use super::verdict::Promise;
use crate::observation::MetricValue;
use serin_release::{Analysis, CustomMetric, Metric, Percent, Release};

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
    /// Evidence (ln E) that the canary breaks its limit.
    pub over: f64,
    /// Evidence (ln E) that it is worse than stable by more than is allowed.
    pub worse: f64,
    /// Evidence (ln E) that it is not.
    pub no_worse: f64,
    /// The evidence at which either of the first two takes the canary back.
    pub needed: f64,
    /// The largest share of the canary's requests that may be bad at present, what its users had before included.
    pub limit: Percent,
    /// How much worse than stable the canary may be at present, what its users had before included.
    pub allowance: Allowance,
    /// How many bad requests come at a time.
    pub dispersion: f64,
    /// What the comparison is worth.
    pub promise: Promise,
    /// About how long it takes until a canary three times as bad as stable is caught; none for never.
    pub catches_threefold_after: Option<Duration>,
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
    /// How each metric stands.
    pub fn findings(&self, release: &Release, weight: Weight, now: Timestamp) -> Vec<Finding> {
        let analysis = &release.analysis;
        let finding = |metric| {
            let criterion = analysis.criterion(metric)?;
            let tests = self.tests(metric);
            let dispersion = tests.spread.dispersion(analysis.dispersion);
            // Before the first step: as it will be there.
            let first = self.baseline.ratio(metric, Cohort::Step(0), 1);
            let allowance = tests.allowance.unwrap_or(criterion.compare.relaxed_by(first));
            let needed = analysis.needed();
            let threefold = self.traffic(metric, release, now).and_then(|traffic| {
                seconds_to_catch(traffic, 3.0, &criterion, allowance, dispersion, needed)
            });
            Some(Finding {
                metric,
                canary: tests.canary,
                stable: tests.stable,
                over: tests.over.ln_e(),
                worse: tests.worse.ln_e().max(tests.worse_than_past.ln_e()),
                no_worse: tests.no_worse.ln_e(),
                needed,
                limit: tests.limit.unwrap_or(criterion.limit),
                allowance,
                dispersion: dispersion.get(),
                promise: self.promise(metric, weight),
                catches_threefold_after: threefold,
            })
        };
        Metric::ALL.into_iter().filter_map(finding).collect()
    }

    /// The traffic that the first step will have, by what was seen at weight 0.
    fn traffic(&self, metric: Metric, release: &Release, now: Timestamp) -> Option<Traffic> {
        let until = self.exposed.unwrap_or(now);
        let seconds = until.duration_since(self.began?).as_secs_f64();
        let (_, all) = self.baseline.at_rest();
        let first = release.steps.first()?.weight.share();
        let rps = (seconds > 0.0).then(|| as_f64(all.requests) / seconds)?;
        let base = all.tally(metric).cautious_share();
        Some(Traffic { canary_rps: rps * first, stable_rps: rps * (1.0 - first), base })
    }

    fn promise(&self, metric: Metric, weight: Weight) -> Promise {
        if weight < Weight::FULL {
            let known = self.baseline.at_rest().0.requests > 0;
            if known { Promise::Guaranteed } else { Promise::WithoutBaseline }
        } else if self.baseline.past(metric).requests > 0 {
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
                evidence: readings.strongest().0,
                needed: analysis.needed(),
                dry_run: metric.dry_run,
            })
        };
        analysis.custom.iter().filter_map(finding).collect()
    }
}
