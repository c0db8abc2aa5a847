/*!
The canary's requests against stable's in the same moments, in one sense of "bad".
*/
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serin_policy::Arm;
use serin_policy::evidence::{Allowance, Claim, Comparison, Dispersion, Homogeneity, Spread, Tally};

use super::baseline::Baseline;
use super::signal::Signal;
use super::stratum::{Strata, all_of, cohorts_on_stable};
use crate::observation::Cell;

/// What one signal has shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Contrast {
    /// Is the canary worse?
    pub(super) worse: Comparison,
    /// How unevenly stable's cohorts have what is bad.
    homogeneity: Homogeneity,
    /// How unevenly it comes in time, where there are no cohorts.
    spread: Spread,
    /// What each version had in this run.
    pub(super) canary: Tally,
    pub(super) stable: Tally,
    /// Stable's in the moments in which the canary had some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    beside: Option<Tally>,
    /// The allowance of the latest comparison.
    pub(super) allowance: Option<Allowance>,
}

/// What requests are held against.
pub(super) struct Against<'a> {
    /// What may be compared with one another.
    pub(super) strata: &'a Strata<'a>,
    pub(super) compare: Allowance,
    pub(super) baseline: &'a Baseline,
    /// 0 at weight 0, i + 1 at step i.
    pub(super) step_index: usize,
    pub(super) least_dispersion: Dispersion,
}

impl Default for Contrast {
    fn default() -> Self {
        Self {
            worse: Comparison::watchful(Claim::Worse),
            homogeneity: Homogeneity::default(),
            spread: Spread::default(),
            canary: Tally::default(),
            stable: Tally::default(),
            beside: None,
            allowance: None,
        }
    }
}

impl Contrast {
    /// How many bad requests come at a time, by what is known so far.
    pub(super) fn dispersion(&self, least: Dispersion) -> Dispersion {
        self.homogeneity.dispersion(least).unwrap_or_else(|| self.spread.dispersion(least))
    }

    /// Takes in an interval of this length; `dispersion` is as it was before it. Returns what each stratum was compared
    /// with, and how.
    pub(super) fn take_in(
        &mut self,
        cells: &[Cell],
        signal: Signal,
        against: &Against<'_>,
        dispersion: Dispersion,
    ) -> Vec<(Tally, Tally, Allowance)> {
        let (canary, stable) = (all_of(cells, Arm::Canary, signal), all_of(cells, Arm::Stable, signal));
        self.canary.add(canary);
        self.stable.add(stable);
        if canary.requests > 0 {
            self.beside.get_or_insert_default().add(stable);
        }
        let mut compared = Vec::new();
        for stratum in against.strata.values() {
            let (canary, allowance) = stratum.canary(signal, against);
            let stable = stratum.stable(signal);
            if canary.requests == 0 {
                continue;
            }
            self.allowance = Some(allowance);
            self.worse.take_in(canary, stable, allowance, dispersion);
            compared.push((canary, stable, allowance));
        }
        compared
    }

    /// What was compared: the canary's, and stable's in the same moments.
    pub(super) fn compared(&self) -> (Tally, Tally) {
        (self.canary, self.beside.unwrap_or_default())
    }

    /// Learns from what stable's cohorts had in an interval of this length. It comes last: an interval must not choose its
    /// own odds.
    pub(super) fn learn(&mut self, cells: &[Cell], signal: Signal, length: Duration) {
        self.homogeneity.take_in(&cohorts_on_stable(cells, signal), length.as_secs_f64());
        self.spread.take_in(all_of(cells, Arm::Stable, signal));
    }

    /// The canary is given more to do.
    pub(super) fn onset(&mut self) {
        if self.canary.requests > 0 {
            self.worse.onset();
        }
    }
}
