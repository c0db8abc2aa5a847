/*!
Everything a run has shown so far. [`verdict`](super::stakes) says what it comes to.
*/
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serin_policy::evidence::{Allowance, Split, as_f64};
use serin_policy::{Arm, Weight};

use super::baseline::{Baseline, CohortRatio};
use super::contrast::{Against, Contrast};
use super::custom::Readings;
use super::injected::Injected;
use super::mirrored::MirrorTest;
use super::requests::Tests;
use super::segments::{Around, Segment};
use super::signal::Signal;
use super::stratum::{all_of, strata};
use super::tail;
use super::traffic::Traffic;
use super::users::Users;
use super::volume::Volume;
use crate::clocks::move_by;
use crate::observation::{self, Cell, Chooser, Chosen, Counts, Drawn, MetricReading, ROUTE_GROUPS};
use crate::status::Draw;
use serin_release::{Analysis, Metric, Release};

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
    pub(super) failed: Tests,
    pub(super) slow: Tests,
    /// Slower than edges that stand for stable's p95 and p99, by the edge's place.
    pub(super) tail: BTreeMap<usize, Contrast>,
    /// Failures by group of routes, of those that had any.
    pub(super) routes: BTreeMap<usize, Contrast>,
    pub(super) client_errors: Contrast,
    pub(super) left: Contrast,
    pub(super) users: Users,
    pub(super) traffic: Traffic,
    #[serde(default)]
    pub(super) volume: Volume,
    pub(super) split: Split,
    /// Segments that have the canary as a whole, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) segments: BTreeMap<String, Segment>,
    /// People's own metrics, by name.
    pub(super) custom: BTreeMap<String, Readings>,
    #[serde(default, skip_serializing_if = "Injected::is_none")]
    injected: Injected,
    /// Answers to copies of stable's requests, from when there are to be any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mirrored: Option<MirrorTest>,
    /// Requests at weight 0 whose caller could not be assigned.
    unassignable: u64,
    /// What this step has shown since every proxy reports it.
    pub(super) step: Counts,
    /// Requests to the canary in this step that were judged in every respect.
    pub(super) judged: u64,
    /// The canary's share at the latest look.
    pub(super) weight: Weight,
    /// Whether nothing but the promotion comes after this step.
    pub(super) is_last_step: bool,
    /// The next interval has requests in it that began before the step.
    mixed: bool,
    /// Since when the canary's answers may be slow: when it was last given users or pods.
    warming_since: Option<Timestamp>,
    /// The most pods that the canary had ready, in a cluster.
    pods: u32,
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
    /// No evidence, in the middle of a step: what it shows counts from the next interval on.
    pub(crate) fn resumed() -> Self {
        Self { mixed: true, ..Self::default() }
    }

    /// A step begins to be observed `now`: what it shows is counted from here on, and its pods may be cold.
    pub(crate) fn begin_step(&mut self, now: Timestamp) {
        self.warming_since = Some(now);
        self.step = Counts::default();
        self.judged = 0;
        self.mixed = true;
        self.failed.onset();
        self.slow.onset();
        for contrast in self.tail.values_mut().chain(self.routes.values_mut()) {
            contrast.onset();
        }
        self.client_errors.onset();
        self.left.onset();
        self.users.onset();
        self.traffic.onset();
        self.segments.values_mut().for_each(Segment::onset);
    }

    /// Another run's users are counted from now on.
    pub(crate) const fn users_begin_anew(&mut self) {
        self.users.seen = None;
    }

    /// The wall clock has moved by `step` without that much time going by.
    pub(crate) fn clock_moved(&mut self, step: SignedDuration) {
        let times = [&mut self.began, &mut self.looked, &mut self.exposed, &mut self.warming_since];
        times.into_iter().flatten().for_each(move_by(step));
    }

    /// The canary has so many pods ready: of more than ever before, some are cold.
    pub(crate) fn note_pods(&mut self, ready: u32, now: Timestamp) {
        if ready > self.pods {
            self.pods = ready;
            self.warming_since = Some(now);
        }
    }

    /// Takes in what was counted in the interval that ends at `moment`, and the users of the run so far.
    pub fn take_in(
        &mut self,
        cells: &[Cell],
        users: Option<observation::Users>,
        moment: Moment,
        release: &Release,
    ) {
        let since = self.looked.replace(moment.now).unwrap_or(moment.now);
        let length = moment.now.duration_since(since).unsigned_abs();
        self.note_volume(cells, moment, length);
        if cells.is_empty() {
            return;
        }
        let mixed = moment.settled.is_some() && std::mem::take(&mut self.mixed);
        self.began.get_or_insert(moment.now);
        self.is_last_step = moment.step_index >= release.steps.len();
        // What the canary gets by the release's weight at weight 0 are late answers of another run.
        let of_this_run: Vec<_>;
        let cells = if moment.step_index > 0 {
            cells
        } else {
            of_this_run = cells.iter().filter(|cell| !cell.is_of(Arm::Canary)).cloned().collect();
            &of_this_run
        };
        if cells.iter().any(|cell| cell.is_of(Arm::Canary)) && self.exposed.is_none() {
            self.exposed = Some(since);
            self.warming_since = Some(since);
        }
        let sum = Counts::of(cells);
        self.failed.met += sum.canary.errors;
        self.slow.met += sum.canary.slow;
        if mixed {
            // Nobody has looked while everybody went to the canary: a step may have begun later than that.
            self.warming_since = self.warming_since.max(Some(since));
            self.users.note(users);
            return;
        }
        let is_warm = moment.settled.is_some() && !self.is_warming_up(moment.now, release.analysis.warm_up);
        if let Some(weight) = moment.settled {
            self.weight = weight;
            self.step.add(&sum);
            let issued =
                |arm| cells.iter().filter(|cell| cell.is_of(arm)).map(|cell| cell.counts.issued).sum();
            self.split.take_in(issued(Arm::Canary), issued(Arm::Stable), weight.share());
            if is_warm {
                self.judged += sum.canary.requests;
            }
        }
        self.test(cells, users, (moment, length), is_warm, release);
        // Only now: an interval must not choose its own odds.
        let steps: Vec<_> = release.steps.iter().map(|step| step.weight).collect();
        for cell in cells {
            if let (Arm::Stable, Drawn::Cohort(cohort)) = (cell.arm, &cell.drawn) {
                self.baseline.take_in(&steps, moment.step_index, *cohort, cell.counts);
            }
        }
    }

    /// Notes how many requests have come. While the canary's share is on its way they are of neither kind.
    fn note_volume(&mut self, cells: &[Cell], moment: Moment, length: Duration) {
        if let Some(weight) = moment.settled {
            let requests = cells.iter().map(|cell| cell.counts.requests).sum();
            self.volume.take_in(requests, length, weight == Weight::FULL);
        }
    }

    /// Has every metric that is judged look at an interval.
    fn test(
        &mut self,
        cells: &[Cell],
        users: Option<observation::Users>,
        interval @ (moment, length): (Moment, Duration),
        is_warm: bool,
        release: &Release,
    ) {
        let analysis = &release.analysis;
        let at_rest = moment.step_index == 0;
        if !at_rest && self.tail.is_empty() && analysis.criterion(Metric::LatencyTail).is_some() {
            let edges = tail::edges(&self.baseline.at_rest().1);
            self.tail = edges.into_iter().map(|edge| (edge, Contrast::default())).collect();
        }
        let strata = strata(cells);
        let against = |compare: Allowance| Against {
            strata: &strata,
            compare,
            baseline: &self.baseline,
            step_index: moment.step_index,
            least_dispersion: analysis.dispersion,
        };
        // At rest only stable is looked at; a canary that is cold may be slow.
        let counts = |signal: Signal| at_rest || is_warm || !signal.is_of_time();
        let of_failures = self.failed.contrast.dispersion(analysis.dispersion);
        let of_slowness = self.slow.contrast.dispersion(analysis.dispersion);
        if let Some(criterion) = analysis.criterion(Metric::RequestSuccessRate) {
            let against = against(criterion.compare);
            self.failed.take_in(cells, Signal::Failed, interval, criterion, &against);
            let share = moment.settled.filter(|_| !at_rest).map(Weight::share);
            let requests = all_of(cells, Arm::Canary, Signal::Failed).requests;
            self.users.take_in(users, share, requests, criterion.compare);
        } else {
            self.users.note(users);
        }
        if let Some(criterion) = analysis.criterion(Metric::RequestDuration)
            && counts(Signal::Slow)
        {
            let against = against(criterion.compare);
            self.slow.take_in(cells, Signal::Slow, interval, criterion, &against);
        }
        for (metric, signal, contrast) in [
            (Metric::ClientErrors, Signal::ClientError, &mut self.client_errors),
            (Metric::ClientAborts, Signal::Left, &mut self.left),
        ] {
            if let Some(criterion) = analysis.criterion(metric)
                && counts(signal)
            {
                let dispersion = contrast.dispersion(analysis.dispersion);
                contrast.take_in(cells, signal, &against(criterion.compare), dispersion);
                contrast.learn(cells, signal, length);
            }
        }
        if let Some(criterion) = analysis.criterion(Metric::LatencyTail)
            && is_warm
        {
            for (&edge, contrast) in &mut self.tail {
                let signal = Signal::SlowerThan(edge);
                let own = contrast.dispersion(analysis.dispersion);
                let dispersion = if own.get() > of_slowness.get() { own } else { of_slowness };
                contrast.take_in(cells, signal, &against(criterion.compare), dispersion);
                contrast.learn(cells, signal, length);
            }
        }
        if let Some(criterion) = analysis.criterion(Metric::RouteErrors)
            && !at_rest
        {
            for group in 0..ROUTE_GROUPS {
                let signal = Signal::FailedRoute(group);
                let has_failed = cells.iter().any(|cell| cell.counts.of(signal).bad > 0);
                // A group without any failure is a bet that nobody has made yet.
                if has_failed || self.routes.contains_key(&group) {
                    let contrast = self.routes.entry(group).or_default();
                    contrast.take_in(cells, signal, &against(criterion.compare), of_failures);
                }
            }
        }
        if let Some(criterion) = analysis.criterion(Metric::TrafficShare) {
            if at_rest {
                self.traffic.learn(cells, length);
            } else if is_warm && !release.injects_at(moment.now) {
                self.traffic.take_in(cells, moment.step_index, criterion.compare);
            }
        }
    }

    /// Takes in what rules have given to the canary in the interval that ends now, in which the draw has given out `cells`;
    /// it comes after [`take_in`](Self::take_in).
    pub fn take_in_chosen(&mut self, chosen: &[Chosen], cells: &[Cell], now: Timestamp, release: &Release) {
        self.injected.take_in(chosen);
        // The part of each is kept for it from the beginning, or the others' would shrink when it begins.
        let has_canary = |name: &str| {
            release.segments.iter().any(|segment| {
                segment.name == name && segment.weight == Weight::FULL && segment.version.is_none()
            })
        };
        self.segments.retain(|name, _| has_canary(name));
        for segment in release.segments.iter().filter(|segment| has_canary(&segment.name)) {
            self.segments.entry(segment.name.clone()).or_default();
        }
        let around = Around {
            stable: &Counts::of(cells).stable,
            failed: &self.failed,
            slow: &self.slow,
            is_warming_up: self.is_warming_up(now, release.analysis.warm_up),
            now,
        };
        for Chosen { by, counts, .. } in chosen.iter().filter(|chosen| chosen.arm == Arm::Canary) {
            if let Chooser::Segment(name) = by
                && let Some(segment) = self.segments.get_mut(name)
            {
                segment.take_in(counts, &around, &release.analysis);
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

    pub(super) fn is_warming_up(&self, now: Timestamp, warm_up: Duration) -> bool {
        self.warming_since.is_some_and(|since| now.duration_since(since).unsigned_abs() < warm_up)
    }

    /// What the present step has shown since every proxy reports it.
    pub const fn step(&self) -> &Counts {
        &self.step
    }

    /// Requests to the canary that the present step's verdict goes by.
    pub const fn requests(&self) -> u64 {
        self.judged
    }

    /// How those whom each step moves fared on stable beside the rest: their failures.
    pub fn cohorts(&self, analysis: &Analysis) -> Vec<CohortRatio> {
        self.baseline.ratios(Signal::Failed, self.failed.contrast.dispersion(analysis.dispersion))
    }

    /// Requests a second of all callers at weight 0; none before there were any.
    pub fn requests_per_second(&self) -> Option<f64> {
        let until = self.exposed.or(self.looked)?;
        let seconds = until.duration_since(self.began?).as_secs_f64();
        let (_, all) = self.baseline.at_rest();
        (seconds > 0.0).then(|| as_f64(all.requests) / seconds)
    }

    /// Requests that met a fault that was injected on purpose.
    pub const fn injected(&self) -> Injected {
        self.injected
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
}
