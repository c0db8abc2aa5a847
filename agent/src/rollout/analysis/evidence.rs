/*!
Everything a run has shown so far, and the verdict on it.
*/
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serin_policy::evidence::{Allowance, Ceiling, Claim, Comparison, Split, Spread, Tally};
use serin_policy::{Arm, Weight};

use super::baseline::Baseline;
use super::custom::Readings;
use super::forecast::{Traffic, seconds_to_catch};
use super::verdict::{Failure, Judged, Promise, Test, Verdict, Wait};
use crate::release::{Analysis, Criterion, CustomMetric, Metric, Release};
use crate::rollout::observation::{ArmCounts, Cell, Counts, Drawn, MetricReading, MetricValue};
use crate::rollout::status::Draw;

/// What a run has shown so far. It is kept from step to step; another run begins with none.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// When the first requests of the run were counted.
    began: Option<Timestamp>,
    /// When the canary's first request was.
    exposed: Option<Timestamp>,
    baseline: Baseline,
    errors: Tests,
    slow: Tests,
    split: Split,
    /// People's own metrics, by name.
    custom: BTreeMap<String, Readings>,
    /// Requests at weight 0 whose caller could not be assigned.
    unassignable: u64,
    /// What this step has shown since every proxy reports it.
    step: Counts,
    /// The next interval has requests in it that began before the step.
    mixed: bool,
}

/// The tests of one metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tests {
    /// The canary against its limit.
    over: Ceiling,
    /// The canary against stable: worse?
    worse: Comparison,
    /// The canary against stable: shown to be no worse?
    no_worse: Comparison,
    /// The canary against stable's past, where nobody is on stable.
    worse_than_past: Ceiling,
    spread: Spread,
    /// What was judged.
    canary: Tally,
    stable: Tally,
    /// The allowance of the latest comparison.
    allowance: Option<Allowance>,
    /// Since when the evidence leans against the canary.
    suspect_since: Option<Timestamp>,
}

impl Default for Tests {
    fn default() -> Self {
        Self {
            over: Ceiling::watchful(),
            worse: Comparison::watchful(Claim::Worse),
            no_worse: Comparison::new(Claim::NoWorse),
            worse_than_past: Ceiling::watchful(),
            spread: Spread::default(),
            canary: Tally::default(),
            stable: Tally::default(),
            allowance: None,
            suspect_since: None,
        }
    }
}

/// The moment in which something was counted.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// 0 at weight 0, i + 1 at step i.
    pub era: usize,
    /// The canary's share, if every proxy reports it.
    pub settled: Option<Weight>,
    /// When the counting ended.
    pub now: Timestamp,
}

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

/// Traffic that may be compared with one another, in one interval.
#[derive(Debug, Default)]
struct Stratum {
    stable: ArmCounts,
    /// The canary's, by those who were drawn.
    canary: Vec<(Drawn, ArmCounts)>,
}

impl Evidence {
    /// A step begins to be observed: what it shows is counted from here on.
    pub(in crate::rollout) fn begin_step(&mut self) {
        self.step = Counts::default();
        self.mixed = true;
    }

    /// Takes in what was counted in the interval that ends at `moment`.
    pub fn take_in(&mut self, cells: &[Cell], moment: Moment, release: &Release) {
        let mixed = moment.settled.is_some() && std::mem::take(&mut self.mixed);
        if cells.is_empty() {
            return;
        }
        self.began.get_or_insert(moment.now);
        let steps: Vec<_> = release.steps.iter().map(|step| step.weight).collect();
        for cell in cells {
            if let (Arm::Stable, Drawn::Cohort(cohort)) = (cell.arm, &cell.drawn) {
                self.baseline.take_in(&steps, moment.era, *cohort, cell.counts);
            }
        }
        // What the canary gets by the release's weight at weight 0 are late answers of another run.
        let cells: Vec<_> =
            cells.iter().filter(|cell| moment.era > 0 || !cell.is_of(Arm::Canary)).cloned().collect();
        let sum = Counts::of(&cells);
        if sum.canary.requests > 0 {
            self.exposed.get_or_insert(moment.now);
        }
        if mixed || self.is_warming_up(moment.now, release.analysis.warm_up) {
            return;
        }
        if let Some(weight) = moment.settled {
            self.step.add(&sum);
            let issued =
                |arm| cells.iter().filter(|cell| cell.is_of(arm)).map(|cell| cell.counts.issued).sum();
            self.split.take_in(issued(Arm::Canary), issued(Arm::Stable), share(weight));
        }
        for metric in Metric::ALL {
            self.test(metric, &cells, &sum, moment, &release.analysis);
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
    pub(in crate::rollout) const fn take_in_unassignable(&mut self, requests: u64) {
        self.unassignable = self.unassignable.saturating_add(requests);
    }

    fn is_warming_up(&self, now: Timestamp, warm_up: Duration) -> bool {
        self.exposed.is_some_and(|exposed| now.duration_since(exposed).unsigned_abs() < warm_up)
    }

    fn test(&mut self, metric: Metric, cells: &[Cell], sum: &Counts, moment: Moment, analysis: &Analysis) {
        let Some(criterion) = analysis.criterion(metric) else { return };
        let (canary, stable) = (metric.tally(sum.canary), metric.tally(sum.stable));
        let Self { baseline, errors, slow, .. } = self;
        let tests = match metric {
            Metric::RequestSuccessRate => errors,
            Metric::RequestDuration => slow,
        };
        // What is known of stable before this interval; the interval itself must not choose its own odds.
        let dispersion = tests.spread.dispersion(analysis.dispersion);
        tests.spread.take_in(stable);
        tests.over.take_in(canary, criterion.limit.share(), dispersion);
        tests.canary.add(canary);
        tests.stable.add(stable);
        for stratum in strata(cells).values() {
            let (canary, allowance) = stratum.canary(metric, baseline, moment.era, criterion);
            let stable = metric.tally(stratum.stable);
            if canary.requests == 0 {
                continue;
            }
            tests.allowance = Some(allowance);
            tests.worse.take_in(canary, stable, allowance, dispersion);
            tests.no_worse.take_in(canary, stable, allowance, dispersion);
            let past = baseline.past(metric);
            if stable.requests == 0 && past.requests > 0 && moment.settled == Some(Weight::FULL) {
                let allowed = allowance.ratio() * past.cautious_share() + allowance.slack();
                tests.worse_than_past.take_in(canary, allowed, dispersion);
            }
        }
        tests.suspect_since = tests.lean_against().then(|| tests.suspect_since.unwrap_or(moment.now));
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
            let failure = Failure { metric, test, canary, stable, evidence, needed, after_s: 0.0 };
            (evidence >= needed).then_some(failure)
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

    /// What people's own metrics have shown: the latest readings, and the evidence (ln E) against the canary.
    pub fn readings(&self, analysis: &Analysis) -> Vec<ReadingFinding> {
        let finding = |metric: &CustomMetric| {
            let readings = self.custom.get(&metric.name)?;
            Some(ReadingFinding {
                name: metric.name.clone(),
                canary: readings.canary.clone(),
                stable: readings.stable.clone(),
                seen: readings.seen,
                evidence: readings.strongest().0,
                needed: analysis.needed(),
                dry_run: metric.dry_run,
            })
        };
        analysis.custom.iter().filter_map(finding).collect()
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

    /// How each metric stands.
    pub fn findings(&self, release: &Release, weight: Weight, now: Timestamp) -> Vec<Finding> {
        let analysis = &release.analysis;
        let finding = |metric| {
            let criterion = analysis.criterion(metric)?;
            let tests = self.tests(metric);
            let dispersion = tests.spread.dispersion(analysis.dispersion);
            let allowance = tests.allowance.unwrap_or(criterion.compare);
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
        let first = share(release.steps.first()?.weight);
        let rps = (seconds > 0.0).then(|| as_f64(all.requests) / seconds)?;
        let base = metric.tally(all).cautious_share();
        Some(Traffic { canary_rps: rps * first, stable_rps: rps * (1.0 - first), base })
    }

    fn promise(&self, metric: Metric, weight: Weight) -> Promise {
        if weight < Weight::FULL {
            Promise::Guaranteed
        } else if self.baseline.past(metric).requests > 0 {
            Promise::AgainstPast
        } else {
            Promise::NoControl
        }
    }

    const fn tests(&self, metric: Metric) -> &Tests {
        match metric {
            Metric::RequestSuccessRate => &self.errors,
            Metric::RequestDuration => &self.slow,
        }
    }
}

impl Tests {
    /// The test that the canary fails by the most evidence, if it fails any.
    fn failure(
        &self,
        metric: Metric,
        criterion: Criterion,
        analysis: &Analysis,
        step: &Counts,
        now: Timestamp,
    ) -> Option<Failure> {
        let needed = analysis.needed();
        let allowance = self.allowance.unwrap_or(criterion.compare);
        let comparison = |promise| Test::Comparison { allowance, promise };
        let tests = [
            (self.over.ln_e(), Test::Limit { allowed: criterion.limit }),
            (self.worse.ln_e(), comparison(Promise::Guaranteed)),
            (self.worse_than_past.ln_e(), comparison(Promise::AgainstPast)),
        ];
        let (evidence, test) = tests.into_iter().max_by(|one, other| one.0.total_cmp(&other.0))?;
        let after_s = self.suspect_since.map_or(0.0, |since| now.duration_since(since).as_secs_f64());
        // What the step has shown says more than what led up to it.
        let (canary, stable) = if step.canary.requests > 0 {
            (metric.tally(step.canary), metric.tally(step.stable))
        } else {
            (self.canary, self.stable)
        };
        let metric = Judged::Requests(metric);
        (evidence >= needed).then_some(Failure { metric, test, canary, stable, evidence, needed, after_s })
    }

    /// Whether there is more evidence against the canary than for it.
    fn lean_against(&self) -> bool {
        self.over.ln_e().max(self.worse.ln_e()).max(self.worse_than_past.ln_e()) > 0.0
    }
}

impl Stratum {
    /// The canary's requests, and how much worse than stable they may be. The allowance is the mean of those of
    /// the cohorts, weighted by their requests: so the comparison's proof asks for it.
    fn canary(
        &self,
        metric: Metric,
        baseline: &Baseline,
        era: usize,
        criterion: Criterion,
    ) -> (Tally, Allowance) {
        let (mut tally, mut weighted) = (Tally::default(), 0.0);
        for (drawn, counts) in &self.canary {
            let factor = match drawn {
                Drawn::Cohort(cohort) => baseline.ratio(metric, *cohort, era).max(1.0),
                // Members of a segment are split from the beginning: they were never all on stable.
                Drawn::Split(_) => 1.0,
            };
            tally.add(metric.tally(*counts));
            weighted += as_f64(counts.requests) * factor;
        }
        let factor = if tally.requests > 0 { weighted / as_f64(tally.requests) } else { 1.0 };
        (tally, criterion.compare.relaxed_by(factor))
    }
}

/// The strata of an interval: by attach point, and by segment where one is split.
fn strata(cells: &[Cell]) -> BTreeMap<(&str, Option<&str>), Stratum> {
    let mut strata: BTreeMap<_, Stratum> = BTreeMap::new();
    for cell in cells {
        let segment = match &cell.drawn {
            Drawn::Cohort(_) => None,
            Drawn::Split(name) => Some(name.as_str()),
        };
        let stratum = strata.entry((cell.place.as_str(), segment)).or_default();
        match cell.arm {
            Arm::Stable => stratum.stable.add(cell.counts),
            Arm::Canary => stratum.canary.push((cell.drawn.clone(), cell.counts)),
        }
    }
    strata
}

fn share(weight: Weight) -> f64 {
    f64::from(weight.ppm()) / f64::from(Weight::FULL.ppm())
}

#[expect(clippy::cast_precision_loss, reason = "beyond 2^53 requests a share does not change by one of them")]
const fn as_f64(count: u64) -> f64 {
    count as f64
}
