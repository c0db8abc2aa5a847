/*!
The tests of a metric of requests that has a limit: failures, and slow answers.
*/
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serin_policy::evidence::{Ceiling, Claim, Comparison, Dispersion, Tally, as_f64};
use serin_policy::{Arm, Weight};

use super::baseline::Baseline;
use super::contrast::{Against, Contrast};
use super::evidence::Moment;
use super::recent::Recent;
use super::signal::Signal;
use super::stratum::all_of;
use crate::observation::{Cell, Drawn};
use serin_release::{Criterion, Percent};

/// The tests of one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tests {
    /// The canary against its limit.
    pub(super) over: Ceiling,
    /// The canary against stable: worse?
    pub(super) contrast: Contrast,
    /// The canary against stable: shown to be no worse?
    pub(super) no_worse: Comparison,
    /// The canary against stable's past, where nobody is on stable.
    pub(super) worse_than_past: Ceiling,
    /// What both versions do at present.
    pub(super) recent: Recent,
    /// The canary's bad answers, judged or not.
    pub(super) met: u64,
    /// The limit of the latest interval.
    pub(super) limit: Option<Percent>,
    /// Since when the evidence leans against the canary.
    pub(super) suspect_since: Option<Timestamp>,
}

impl Default for Tests {
    fn default() -> Self {
        Self {
            over: Ceiling::watchful(),
            contrast: Contrast::default(),
            no_worse: Comparison::new(Claim::NoWorse),
            worse_than_past: Ceiling::watchful(),
            recent: Recent::default(),
            met: 0,
            limit: None,
            suspect_since: None,
        }
    }
}

impl Tests {
    /// Takes in what was counted in an interval of this length.
    pub(super) fn take_in(
        &mut self,
        cells: &[Cell],
        signal: Signal,
        (moment, length): (Moment, Duration),
        criterion: Criterion,
        against: &Against<'_>,
    ) {
        let (canary, stable) = (all_of(cells, Arm::Canary, signal), all_of(cells, Arm::Stable, signal));
        self.recent.take_in(canary, stable, length);
        let dispersion = self.contrast.dispersion(against.least_dispersion);
        if canary.requests > 0 {
            let limit = limit(cells, signal, criterion, self.recent.stable_now(stable), against.baseline);
            self.limit = Percent::at_least(limit);
            self.over.take_in(canary, limit, dispersion);
        }
        for (canary, stable, allowance) in self.contrast.take_in(cells, signal, against, dispersion) {
            self.no_worse.take_in(canary, stable, allowance, dispersion);
            if stable.requests == 0 && moment.settled == Some(Weight::FULL) {
                self.against_past(canary, allowance.ratio(), allowance.slack(), signal, against, dispersion);
            }
        }
        self.contrast.learn(cells, signal, length);
        self.suspect_since = self.lean_against().then(|| self.suspect_since.unwrap_or(moment.now));
    }

    fn against_past(
        &mut self,
        canary: Tally,
        ratio: f64,
        slack: f64,
        signal: Signal,
        against: &Against<'_>,
        dispersion: Dispersion,
    ) {
        let past = against.baseline.past(signal);
        if past.requests > 0 {
            self.worse_than_past.take_in(canary, ratio * past.cautious_share() + slack, dispersion);
        }
    }

    /// The canary is given more to do.
    pub(super) fn onset(&mut self) {
        if self.contrast.canary.requests > 0 {
            self.over.onset();
            self.worse_than_past.onset();
        }
        self.contrast.onset();
    }

    /// The evidence (ln E) against the canary by its limit: only while the comparison leans the same way, where there is
    /// one.
    pub(super) fn over_limit(&self) -> f64 {
        let alone = self.contrast.stable.requests == 0;
        if alone || self.is_worse() { self.over.ln_e() } else { f64::NEG_INFINITY }
    }

    /// The evidence (ln E) against the canary by the comparison: with stable's past, where nobody is there.
    pub(super) fn against_stable(&self) -> f64 {
        let (now, past) = (self.contrast.worse.ln_e(), self.worse_than_past.ln_e());
        if past.abs() < 1e-12 { now } else { now.max(past) }
    }

    /// Whether a comparison leans against the canary.
    fn is_worse(&self) -> bool {
        self.contrast.worse.ln_e() > 0.0 || self.worse_than_past.ln_e() > 0.0
    }

    /// Whether there is more evidence against the canary than for it.
    fn lean_against(&self) -> bool {
        let alone = self.contrast.stable.requests == 0;
        self.is_worse() || alone && self.over.ln_e() > 0.0
    }
}

/// The largest share of the canary's requests in `cells` that may be bad: the limit, or as much more as the comparison
/// allows than stable has at present, or than its users had there before, whichever is most. A database that
/// blinks, or one user whose requests often fail and who is drawn, must not make a good canary break the limit. The
/// test's proof allows for the mean of several limits, weighted by requests, since the logarithm is concave.
fn limit(
    cells: &[Cell],
    signal: Signal,
    criterion: Criterion,
    stable: Option<f64>,
    baseline: &Baseline,
) -> f64 {
    let allowed = |share: f64| criterion.compare.ratio() * share + criterion.compare.slack();
    let fixed = criterion.limit.map_or(1.0, Percent::share);
    let least = stable.map_or(fixed, |now| fixed.max(allowed(now))).min(1.0);
    let (mut requests, mut weighted) = (0.0, 0.0);
    for cell in cells.iter().filter(|cell| cell.arm == Arm::Canary) {
        let before = match cell.drawn {
            Drawn::Cohort(cohort) => baseline.own(signal, cohort),
            // Members of a segment are split from the beginning: they were never all on stable.
            Drawn::Split(_) => None,
        };
        let count = as_f64(cell.counts.requests);
        requests += count;
        weighted += count * before.map_or(0.0, allowed).clamp(least, 1.0);
    }
    if requests > 0.0 { weighted / requests } else { least }
}
