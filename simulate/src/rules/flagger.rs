/*!
Flagger's rule: each interval's requests by themselves against fixed limits, and so many failed checks are too many.
*/
use std::time::Duration;

use serin_policy::Weight;

use super::{Counted, Rule, Stand, bad};
use serin_release::{Metric, Release};
use serin_rollout::Counts;

/// Checks are counted and never forgotten; a check without traffic fails; a failed check holds the weight, a good one
/// raises it by a step; the interval after the last failure that was allowed takes the canary back. Its users are
/// taken to be those whom Serin would move, which is kind to it: it draws them anew at every step.
pub(crate) struct Flagger {
    /// What is judged, and the largest share of it that may be bad.
    limits: Vec<(Metric, f64)>,
    /// Those that are still to come, the next one last.
    steps: Vec<Weight>,
    threshold: u32,
    failed: u32,
    stand: Stand,
}

impl Flagger {
    /// At the first step of `release`, with its limits.
    pub(crate) fn new(release: &Release, threshold: u32) -> Self {
        let limit = |metric| Some((metric, release.analysis.criterion(metric)?.limit?.share()));
        let mut steps: Vec<_> = release.steps.iter().rev().map(|step| step.weight).collect();
        let stand = steps.pop().map_or(Stand::Promoted, Stand::At);
        Self {
            limits: Metric::ALL.into_iter().filter_map(limit).collect(),
            steps,
            threshold,
            failed: 0,
            stand,
        }
    }
}

impl Rule for Flagger {
    fn stand(&self) -> Stand {
        self.stand
    }

    fn look(&mut self, counted: &Counted, _: Duration) {
        if self.failed >= self.threshold {
            self.stand = Stand::TakenBack;
            return;
        }
        let canary = Counts::of(&counted.cells).canary;
        let is_good = |(metric, limit): &(Metric, f64)| {
            bad(&canary, *metric).share().is_some_and(|share| share <= *limit)
        };
        if self.limits.iter().all(is_good) {
            self.stand = self.steps.pop().map_or(Stand::Promoted, Stand::At);
        } else {
            self.failed += 1;
        }
    }
}
