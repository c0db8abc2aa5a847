/*!
Which share comes next.
*/
use serin_policy::Weight;

use super::Tick;
use serin_release::Step;

/// However thin the traffic is, no more users than this are the first.
const MOST_AT_FIRST: Weight = match Weight::from_ppm(100_000) {
    Ok(weight) => weight,
    Err(_) => Weight::ZERO,
};

impl Tick<'_> {
    /// The weight that comes after `weight`.
    pub(super) fn next_weight(&self, weight: Weight) -> Weight {
        self.first_step_above(weight).map_or(Weight::FULL, |(_, step)| step.weight)
    }

    /// The first step above `weight`, and which it is.
    pub(super) fn first_step_above(&self, weight: Weight) -> Option<(usize, Step)> {
        let least = if weight == Weight::ZERO { self.first_weight() } else { Weight::ZERO };
        let mut steps = self.release.steps.iter().copied().enumerate();
        steps.find(|(_, step)| step.weight > weight && step.weight >= least)
    }

    /// The weight that the first step has at least, where nobody has written steps: at less, the canary would take longer
    /// than a minute for the requests of a verdict. How many bad answers a fault makes until it is caught hardly depends on
    /// the weight, so that would only take longer.
    fn first_weight(&self) -> Weight {
        let Some(rps) = self.status.evidence.requests_per_second().filter(|_| self.release.steps_by_traffic)
        else {
            return Weight::ZERO;
        };
        #[expect(clippy::cast_precision_loss, reason = "some hundred requests")]
        let share = self.release.analysis.min_requests as f64 / (rps * 60.0);
        let is_enough = |weight: &Weight| weight.share() >= share;
        let mut weights = self.release.steps.iter().map(|step| step.weight);
        weights.find(is_enough).unwrap_or(MOST_AT_FIRST).min(MOST_AT_FIRST)
    }
}
