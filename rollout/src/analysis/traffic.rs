/*!
The canary's share of the requests, against the one that its users had while they were on stable.

It sees what no answer tells: requests that never come to a version, or clients who give up after a first one. A version
that needs fewer requests for the same is good, so it holds the run for a person to look, and takes nothing back.
*/
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serin_policy::Arm;
use serin_policy::evidence::{Allowance, Claim, Comparison, Dispersion, as_f64};

use super::signal::Signal;
use super::stratum::cohorts_on_stable;
use crate::observation::Cell;

/// What the shares of requests have shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Traffic {
    /// Has the canary fewer requests than its users had on stable?
    fewer: Comparison,
    /// Requests at weight 0 by cohort, those whom only the promotion moves first.
    at_rest: Vec<u64>,
    /// The present window at weight 0.
    window: Vec<u64>,
    lasted: Duration,
    windows: u32,
    /// Σ Σ(n − N·π)² and Σ N·(1 − Σπ²), over windows at weight 0.
    squares: f64,
    expected: f64,
}

/// How long a window is: users come and go within minutes.
const WINDOW: Duration = Duration::from_secs(16);

/// How many windows it takes to know how much shares vary.
const KNOWN: u32 = 8;

impl Default for Traffic {
    fn default() -> Self {
        Self {
            fewer: Comparison::watchful(Claim::Worse),
            at_rest: Vec::new(),
            window: Vec::new(),
            lasted: Duration::ZERO,
            windows: 0,
            squares: 0.0,
            expected: 0.0,
        }
    }
}

impl Traffic {
    /// Takes in an interval of this length at weight 0.
    pub(super) fn learn(&mut self, cells: &[Cell], length: Duration) {
        let cohorts = cohorts_on_stable(cells, Signal::Failed);
        self.window.resize(self.window.len().max(cohorts.len()), 0);
        for (sum, counts) in self.window.iter_mut().zip(&cohorts) {
            *sum += counts.requests;
        }
        self.lasted += length;
        if self.lasted >= WINDOW {
            self.close();
        }
    }

    fn close(&mut self) {
        self.at_rest.resize(self.at_rest.len().max(self.window.len()), 0);
        let (all, before) = (as_f64(self.window.iter().sum()), as_f64(self.at_rest.iter().sum()));
        if all > 0.0 && before > 0.0 {
            let shares = || self.at_rest.iter().map(|count| as_f64(*count) / before);
            let even: f64 = shares().map(|share| share * share).sum();
            let squares = self.window.iter().zip(shares()).map(|(count, share)| {
                let off = as_f64(*count) - all * share;
                off * off
            });
            self.windows += 1;
            self.squares += squares.sum::<f64>();
            self.expected += all * (1.0 - even);
        }
        for (sum, count) in self.at_rest.iter_mut().zip(&self.window) {
            *sum += count;
        }
        self.window.clear();
        self.lasted = Duration::ZERO;
    }

    /// Takes in an interval in which the cohorts of the first `steps` steps have the canary.
    pub(super) fn take_in(&mut self, cells: &[Cell], steps: usize, allowance: Allowance) {
        let Some((share, dispersion)) = self.known(steps) else { return };
        let of = |arm| cells.iter().filter(|cell| cell.is_of(arm)).map(|cell| cell.counts.requests).sum();
        // Fewer to the canary are more to stable, whose odds may grow by the ratio.
        let (exposure, requests) = ((1.0 - share, share), (of(Arm::Stable), of(Arm::Canary)));
        self.fewer.take_in_of(exposure, requests, 0, allowance, dispersion);
    }

    /// Whether enough was seen at weight 0 to judge by.
    pub(super) fn is_known(&self) -> bool {
        self.windows >= KNOWN && self.expected > 0.0
    }

    /// The share of requests that the cohorts of the first `steps` steps had at weight 0, and how much more it varies than
    /// if every request were drawn by itself.
    fn known(&self, steps: usize) -> Option<(f64, Dispersion)> {
        if !self.is_known() {
            return None;
        }
        let all = as_f64(self.at_rest.iter().sum());
        let share = as_f64(self.at_rest.iter().skip(1).take(steps).sum()) / all;
        Some((share, Dispersion::new(self.squares / self.expected)))
    }

    /// The canary is given more users.
    pub(super) fn onset(&mut self) {
        self.fewer.onset();
    }

    /// The evidence (ln E) that the canary has fewer requests than its users had on stable.
    pub(super) fn ln_e(&self) -> f64 {
        self.fewer.ln_e()
    }
}
