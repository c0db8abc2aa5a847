/*!
The tests of a metric of requests that has a limit: failures, and slow answers.
*/
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serin_policy::evidence::{Allowance, Ceiling, Claim, Comparison, Dispersion, Tally};
use serin_policy::{Arm, Weight};

use super::contrast::{Against, Contrast};
use super::evidence::Moment;
use super::limit::{Allowed, Limit};
use super::recent::Recent;
use super::signal::Signal;
use super::stratum::all_of;
use crate::observation::Cell;
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
    pub(super) limit: Option<Limit>,
    /// The largest share that may be bad by what stable did in this run, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit_by_past: Option<Percent>,
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
            limit_by_past: None,
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
            let stable_now = self.recent.stable_now(stable);
            let allowed = Allowed::of(cells, signal, criterion, stable_now, against.baseline);
            self.limit = allowed.rounded();
            self.over.take_in(canary, allowed.share, dispersion);
        }
        for (canary, stable, allowance) in self.contrast.take_in(cells, signal, against, dispersion) {
            self.no_worse.take_in(canary, stable, allowance, dispersion);
            if stable.requests == 0 && moment.settled == Some(Weight::FULL) {
                self.compare_with_past(canary, allowance, signal, against, dispersion);
            }
        }
        self.contrast.learn(cells, signal, length);
        self.suspect_since = self.lean_against().then(|| self.suspect_since.unwrap_or(moment.now));
    }

    fn compare_with_past(
        &mut self,
        canary: Tally,
        allowance: Allowance,
        signal: Signal,
        against: &Against<'_>,
        dispersion: Dispersion,
    ) {
        let past = against.baseline.past(signal);
        if past.requests > 0 {
            let share = allowance.allowed(past.cautious_share()).min(1.0);
            self.limit_by_past = Percent::at_least(share);
            self.worse_than_past.take_in(canary, share, dispersion);
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
        let now = self.contrast.worse.ln_e();
        self.against_past().map_or(now, |past| now.max(past))
    }

    /// The evidence (ln E) against the canary by what stable did in this run; none where stable was there to compare with.
    fn against_past(&self) -> Option<f64> {
        self.limit_by_past.map(|_| self.worse_than_past.ln_e())
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
