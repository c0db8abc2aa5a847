/*!
Everything a run has shown so far, and the verdict on it.
*/
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serin_policy::evidence::{Split, Tally, as_f64};
use serin_policy::{Arm, Weight};

use super::baseline::Baseline;
use super::custom::Readings;
use super::requests::{Against, Tests};
use super::verdict::{Failure, Judged, Verdict, Wait};
use crate::observation::{Cell, Counts, Drawn, MetricReading};
use crate::status::Draw;
use serin_release::{Analysis, CustomMetric, Metric, Release};

/// What a run has shown so far. It is kept from step to step; another run begins with none.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// When the first requests of the run were counted.
    pub(super) began: Option<Timestamp>,
    /// When the last interval ended.
    looked: Option<Timestamp>,
    /// When the interval of the canary's first request began.
    pub(super) exposed: Option<Timestamp>,
    pub(super) baseline: Baseline,
    errors: Tests,
    slow: Tests,
    split: Split,
    /// People's own metrics, by name.
    pub(super) custom: BTreeMap<String, Readings>,
    /// Requests at weight 0 whose caller could not be assigned.
    unassignable: u64,
    /// What this step has shown since every proxy reports it.
    step: Counts,
    /// The next interval has requests in it that began before the step.
    mixed: bool,
}

/// The moment in which something was counted.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// 0 at weight 0, i + 1 at step i.
    pub step_index: usize,
    /// The canary's share, if every proxy reports it.
    pub settled: Option<Weight>,
    /// When the counting ended.
    pub now: Timestamp,
}

impl Evidence {
    /// A step begins to be observed: what it shows is counted from here on.
    pub(crate) fn begin_step(&mut self) {
        self.step = Counts::default();
        self.mixed = true;
    }

    /// Takes in what was counted in the interval that ends at `moment`.
    pub fn take_in(&mut self, cells: &[Cell], moment: Moment, release: &Release) {
        let since = self.looked.replace(moment.now).unwrap_or(moment.now);
        if cells.is_empty() {
            return;
        }
        let mixed = moment.settled.is_some() && std::mem::take(&mut self.mixed);
        self.began.get_or_insert(moment.now);
        // What the canary gets by the release's weight at weight 0 are late answers of another run.
        let cells: Vec<_> =
            cells.iter().filter(|cell| moment.step_index > 0 || !cell.is_of(Arm::Canary)).cloned().collect();
        if cells.iter().any(|cell| cell.is_of(Arm::Canary)) {
            self.exposed.get_or_insert(since);
        }
        let sum = Counts::of(&cells);
        self.errors.met += sum.canary.errors;
        self.slow.met += sum.canary.slow;
        if mixed || self.is_warming_up(moment.now, release.analysis.warm_up) {
            return;
        }
        if let Some(weight) = moment.settled {
            self.step.add(&sum);
            let issued =
                |arm| cells.iter().filter(|cell| cell.is_of(arm)).map(|cell| cell.counts.issued).sum();
            self.split.take_in(issued(Arm::Canary), issued(Arm::Stable), weight.share());
        }
        for metric in Metric::ALL {
            self.test(metric, &cells, moment, &release.analysis);
        }
        // Only now: an interval must not choose its own odds.
        let steps: Vec<_> = release.steps.iter().map(|step| step.weight).collect();
        for cell in &cells {
            if let (Arm::Stable, Drawn::Cohort(cohort)) = (cell.arm, &cell.drawn) {
                self.baseline.take_in(&steps, moment.step_index, *cohort, cell.counts);
            }
        }
    }

    /// Takes in what people's own metrics say while the canary has users.
    pub fn take_in_readings(&mut self, readings: &[MetricReading], release: &Release) {
        for reading in readings {
            if let Some(metric) = release.analysis.custom.iter().find(|metric| metric.name == reading.name) {
                self.custom.entry(reading.name.clone()).or_default().take_in(metric, reading);
            }
        }
    }

    /// Takes in requests at weight 0 whose caller has no id and can be given none.
    pub(crate) const fn take_in_unassignable(&mut self, requests: u64) {
        self.unassignable = self.unassignable.saturating_add(requests);
    }

    fn is_warming_up(&self, now: Timestamp, warm_up: Duration) -> bool {
        self.exposed.is_some_and(|exposed| now.duration_since(exposed).unsigned_abs() < warm_up)
    }

    fn test(&mut self, metric: Metric, cells: &[Cell], moment: Moment, analysis: &Analysis) {
        let Some(criterion) = analysis.criterion(metric) else { return };
        let least_dispersion = analysis.dispersion;
        let (baseline, tests) = match metric {
            Metric::RequestSuccessRate => (&self.baseline, &mut self.errors),
            Metric::RequestDuration => (&self.baseline, &mut self.slow),
        };
        tests.take_in(cells, moment, &Against { metric, criterion, baseline, least_dispersion });
    }

    /// The verdict on everything that was taken in.
    pub fn verdict(&self, analysis: &Analysis, now: Timestamp) -> Verdict {
        let judged =
            || Metric::ALL.into_iter().filter_map(|metric| Some((metric, analysis.criterion(metric)?)));
        let failures = judged().filter_map(|(metric, criterion)| {
            self.tests(metric).failure(metric, criterion, analysis, &self.step, now)
        });
        let failures = failures.chain(self.custom(analysis).filter_map(|(metric, readings)| {
            let (evidence, test) = readings.strongest();
            let (canary, needed) = (readings.seen, analysis.needed());
            let metric = Judged::Readings(metric.name.clone());
            let stable = Tally::default();
            (evidence >= needed).then_some(Failure {
                metric,
                test,
                objective: None,
                canary,
                stable,
                met: 0,
                evidence,
                needed,
                after_s: None,
            })
        }));
        // Of several failures the one with the most evidence is told.
        if let Some(failure) = failures.max_by(|one, other| one.evidence.total_cmp(&other.evidence)) {
            return Verdict::Fail(failure);
        }
        let (have, need) = (self.step.canary.requests, analysis.min_requests);
        if have < need {
            return Verdict::NotYet(Wait::Requests { have, need });
        }
        if let Some((metric, _)) = judged().find(|(metric, _)| self.tests(*metric).lean_against()) {
            return Verdict::NotYet(Wait::Doubt { metric: Judged::Requests(metric) });
        }
        for (metric, readings) in self.custom(analysis) {
            if let Some(why) = readings.gap() {
                return Verdict::NotYet(Wait::Reading { metric: metric.name.clone(), why });
            }
            if readings.lean_against() {
                return Verdict::NotYet(Wait::Doubt { metric: Judged::Readings(metric.name.clone()) });
            }
        }
        if self.split.ln_e() >= analysis.needed_alone() {
            return Verdict::NotYet(Wait::SampleRatio);
        }
        Verdict::Pass
    }

    /// People's own metrics that are judged, with what they have shown.
    fn custom<'e>(
        &'e self,
        analysis: &'e Analysis,
    ) -> impl Iterator<Item = (&'e CustomMetric, &'e Readings)> {
        static NONE: LazyLock<Readings> = LazyLock::new(Readings::default);
        let judged = analysis.custom.iter().filter(|metric| !metric.dry_run);
        judged.map(|metric| (metric, self.custom.get(&metric.name).unwrap_or(&NONE)))
    }

    /// What the present step has shown since every proxy reports it.
    pub const fn step(&self) -> &Counts {
        &self.step
    }

    /// Requests to the canary that the present step's verdict goes by.
    pub const fn requests(&self) -> u64 {
        self.step.canary.requests
    }

    /// What the run has shown at weight 0.
    pub const fn baseline(&self) -> &Baseline {
        &self.baseline
    }

    /// How new callers were drawn.
    pub fn draw(&self) -> Draw {
        let (seen, canary) = self.split.seen();
        Draw { evidence: self.split.ln_e(), seen, canary }
    }

    /// The share of requests at weight 0 whose caller has an id or can be given one.
    pub fn assignable(&self) -> Option<f64> {
        let (_, all) = self.baseline.at_rest();
        let requests = all.requests + self.unassignable;
        (requests > 0).then(|| as_f64(all.requests) / as_f64(requests))
    }

    pub(super) const fn tests(&self, metric: Metric) -> &Tests {
        match metric {
            Metric::RequestSuccessRate => &self.errors,
            Metric::RequestDuration => &self.slow,
        }
    }
}
