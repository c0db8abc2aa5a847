/*!
Whom a step moves, while they are still on stable.

Requests are judged, but users are drawn: one user whose requests often fail, and who happens to be drawn, makes a good
canary look bad. The hash says beforehand who will be moved, so their requests are counted apart while they are still on
stable, an A/A run for free, and the canary is allowed as much more as they had there.
*/
use serde::{Deserialize, Serialize};
use serin_policy::evidence::{self, Dispersion, Interval, Tally, as_f64};
use serin_policy::{Cohort, Weight};

use super::signal::Signal;
use crate::observation::ArmCounts;

/// What the cohorts of a run got on stable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Baseline {
    /// The steps' weights that make the cohorts; others make what was counted worthless.
    steps: Vec<Weight>,
    /// By step, then by cohort, those whom only the promotion moves last. Entry 0 is weight 0, entry i + 1 is step i.
    #[serde(alias = "eras")]
    steps_seen: Vec<Vec<ArmCounts>>,
}

/// How a cohort fared on stable beside those who stay there longest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CohortRatio {
    /// The step that moves the cohort, from 1.
    pub step: usize,
    /// Requests of the cohort that were compared.
    pub requests: u64,
    /// How many times the others' share of bad requests the cohort's was, with some allowance for small numbers.
    pub ratio: f64,
    /// The same without that allowance, with bounds that hold at every look but for a chance of 5 %; none while either had
    /// no bad request.
    #[serde(default)]
    pub bounds: Option<Interval>,
}

impl Baseline {
    /// Takes in requests of `cohort` that stable answered at `step_index`.
    pub(super) fn take_in(&mut self, steps: &[Weight], step_index: usize, cohort: Cohort, counts: ArmCounts) {
        if self.steps != steps {
            *self = Self { steps: steps.to_vec(), steps_seen: Vec::new() };
        }
        if self.steps_seen.len() <= step_index {
            self.steps_seen.resize_with(step_index + 1, || vec![ArmCounts::default(); steps.len() + 1]);
        }
        let at = self.index(cohort);
        if let Some(sum) = self.steps_seen.get_mut(step_index).and_then(|cohorts| cohorts.get_mut(at)) {
            sum.add(counts);
        }
    }

    fn index(&self, cohort: Cohort) -> usize {
        match cohort {
            Cohort::Step(i) => i.min(self.steps.len()),
            Cohort::Rest | Cohort::Lane(_) => self.steps.len(),
        }
    }

    /// How many times as bad as those who are still on stable at `step_index` the `cohort` was, while both were there: the
    /// factor by which the canary's allowance grows, at least 1 in use.
    ///
    /// `(y_c+a) / (n_c·p_s+a)`, over the steps in which the cohort was on stable, where `p_s` is the others' share: the bad
    /// requests it had over those to be expected, with [`PRIOR`] more on either side so that a few requests say little.
    pub(super) fn ratio(&self, signal: Signal, cohort: Cohort, step_index: usize) -> f64 {
        let (cohort, others) = self.tallies(signal, self.index(cohort), step_index);
        ratio(cohort, others)
    }

    /// The share of bad requests that `cohort` had on stable, as far as it is known; none without anybody to compare with.
    pub(super) fn own(&self, signal: Signal, cohort: Cohort) -> Option<f64> {
        let (cohort, others) = self.tallies(signal, self.index(cohort), 0);
        Some(others.share()? * ratio(cohort, others))
    }

    fn tallies(&self, signal: Signal, cohort: usize, step_index: usize) -> (Tally, Tally) {
        let (mut own, mut others) = (Tally::default(), Tally::default());
        for cohorts in self.steps_seen.iter().take(cohort + 1) {
            own.add(cohorts.get(cohort).map(|counts| counts.of(signal)).unwrap_or_default());
            // At entry i + 1 the cohorts up to i are on the canary: the others are those above, and above this one.
            for counts in cohorts.iter().skip(step_index.max(cohort + 1)) {
                others.add(counts.of(signal));
            }
        }
        (own, others)
    }

    /// How each cohort fared at weight 0 and later, beside those who stay on stable after it.
    pub(super) fn ratios(&self, signal: Signal, dispersion: Dispersion) -> Vec<CohortRatio> {
        let of_step = |i: usize| {
            let (own, others) = self.tallies(signal, i, i + 1);
            CohortRatio {
                step: i + 1,
                requests: own.requests,
                ratio: ratio(own, others),
                bounds: evidence::ratio(own, others, dispersion, BOUNDS),
            }
        };
        (0..self.steps.len()).map(of_step).collect()
    }

    /// Everything that stable has answered in this run: its own recent past.
    pub(super) fn past(&self, signal: Signal) -> Tally {
        self.steps_seen.iter().flatten().fold(Tally::default(), |mut sum, counts| {
            sum.add(counts.of(signal));
            sum
        })
    }

    /// What was counted at weight 0: of the cohort that the first step moves, and of everybody.
    pub(super) fn at_rest(&self) -> (ArmCounts, ArmCounts) {
        let cohorts = self.steps_seen.first().map(Vec::as_slice).unwrap_or_default();
        let mut all = ArmCounts::default();
        for counts in cohorts {
            all.add(*counts);
        }
        (cohorts.first().copied().unwrap_or_default(), all)
    }
}

/// How often the bounds of a cohort's ratio may be wrong.
const BOUNDS: f64 = 0.05;

/// How many bad requests as expected are taken for granted in a ratio.
const PRIOR: f64 = 3.0;

/// The bad requests of a cohort over those to be expected by what others had, with some more on either side.
fn ratio(cohort: Tally, others: Tally) -> f64 {
    let Some(share) = others.share() else { return 1.0 };
    (as_f64(cohort.bad) + PRIOR) / (as_f64(cohort.requests) * share + PRIOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights() -> Vec<Weight> {
        [10_000, 100_000].map(|ppm| Weight::from_ppm(ppm).unwrap()).to_vec()
    }

    /// Eras of cohorts' requests and errors.
    fn baseline(steps_seen: &[[(u64, u64); 3]]) -> Baseline {
        let mut baseline = Baseline::default();
        for (step_index, cohorts) in steps_seen.iter().enumerate() {
            for (i, &(requests, errors)) in cohorts.iter().enumerate() {
                let cohort = if i < 2 { Cohort::Step(i) } else { Cohort::Rest };
                let counts = ArmCounts { requests, errors, ..ArmCounts::default() };
                baseline.take_in(&weights(), step_index, cohort, counts);
            }
        }
        baseline
    }

    #[track_caller]
    fn check(steps_seen: &[[(u64, u64); 3]], cohort: usize, step_index: usize, expected: f64) {
        let found = baseline(steps_seen).ratio(Signal::Failed, Cohort::Step(cohort), step_index);
        assert!((found - expected).abs() < 1e-9, "{found}, expected {expected}");
    }

    #[test]
    fn a_cohort_is_compared_with_those_who_stay() {
        let at_rest = [(100, 9), (1000, 20), (9000, 90)];
        // At step 1, cohort 1 is among those who stay; at step 2 it is not.
        check(&[at_rest], 0, 1, 12.0 / (100.0 * 110.0 / 10_000.0 + 3.0));
        check(&[at_rest], 0, 2, 12.0 / (100.0 * 90.0 / 9000.0 + 3.0));
    }

    #[test]
    fn a_later_cohort_is_watched_until_its_own_step() {
        let steps_seen =
            [[(100, 9), (100, 1), (1000, 9)], [(0, 0), (100, 0), (1000, 11)], [(0, 0), (0, 0), (50, 50)]];
        check(&steps_seen, 1, 2, 4.0 / (200.0 * 20.0 / 2000.0 + 3.0));
    }

    #[test]
    fn where_nothing_is_known_nothing_is_allowed_for() {
        check(&[], 0, 1, 1.0);
    }

    #[test]
    fn other_steps_make_other_cohorts() {
        let mut baseline = baseline(&[[(99, 9), (900, 20), (8999, 89)]]);
        let one = ArmCounts { requests: 1, ..ArmCounts::default() };
        baseline.take_in(&weights()[..1], 1, Cohort::Rest, one);
        assert_eq!(baseline.past(Signal::Failed).requests, 1);
    }
}
