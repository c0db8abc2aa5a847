/*!
Traffic that may be compared with one another: what is alike but for the version.
*/
use std::collections::BTreeMap;

use serin_policy::evidence::{Allowance, Tally, as_f64};
use serin_policy::{Arm, Cohort};

use super::contrast::Against;
use super::signal::Signal;
use crate::observation::{Cell, Drawn};

/// Traffic that may be compared with one another, in one interval. Cells are large, so they are pointed to.
#[derive(Debug, Default)]
pub(super) struct Stratum<'c> {
    stable: Vec<&'c Cell>,
    canary: Vec<&'c Cell>,
}

impl Stratum<'_> {
    /// Stable's requests.
    pub(super) fn stable(&self, signal: Signal) -> Tally {
        sum(self.stable.iter().copied(), signal)
    }

    /// The canary's requests, and how much worse than stable they may be. The allowance is the mean of those of
    /// the cohorts, weighted by their requests: so the comparison's proof asks for it.
    pub(super) fn canary(&self, signal: Signal, against: &Against<'_>) -> (Tally, Allowance) {
        let (mut tally, mut weighted) = (Tally::default(), 0.0);
        for cell in &self.canary {
            let factor = match &cell.drawn {
                Drawn::Cohort(cohort) => against.baseline.ratio(signal, *cohort, against.step_index),
                // Members of a segment are split from the beginning: they were never all on stable.
                Drawn::Split(_) => 1.0,
            };
            let counts = cell.counts.of(signal);
            tally.add(counts);
            weighted += as_f64(counts.requests) * factor;
        }
        let factor = if tally.requests > 0 { weighted / as_f64(tally.requests) } else { 1.0 };
        (tally, against.compare.relaxed_by(factor))
    }
}

/// The strata of an interval: by attach point, and by segment where one is split.
pub(super) type Strata<'c> = BTreeMap<(&'c str, Option<&'c str>), Stratum<'c>>;

/// Sorts cells into strata.
pub(super) fn strata(cells: &[Cell]) -> Strata<'_> {
    let mut strata = Strata::new();
    for cell in cells {
        let segment = match &cell.drawn {
            Drawn::Cohort(_) => None,
            Drawn::Split(name) => Some(name.as_str()),
        };
        let stratum = strata.entry((cell.place.as_str(), segment)).or_default();
        match cell.arm {
            Arm::Stable => stratum.stable.push(cell),
            Arm::Canary => stratum.canary.push(cell),
            Arm::Extra(_) => {}
        }
    }
    strata
}

/// What `arm` got, all of `cells` together.
pub(super) fn all_of(cells: &[Cell], arm: Arm, signal: Signal) -> Tally {
    sum(cells.iter().filter(|cell| cell.arm == arm), signal)
}

fn sum<'c>(cells: impl Iterator<Item = &'c Cell>, signal: Signal) -> Tally {
    cells.fold(Tally::default(), |mut sum, cell| {
        sum.add(cell.counts.of(signal));
        sum
    })
}

/// What stable's callers had whom the release's own weight assigns, by cohort: first those whom only the promotion moves,
/// then those of each step.
pub(super) fn cohorts_on_stable(cells: &[Cell], signal: Signal) -> Vec<Tally> {
    let mut cohorts = vec![Tally::default()];
    for cell in cells {
        let (Arm::Stable, Drawn::Cohort(cohort)) = (cell.arm, &cell.drawn) else { continue };
        let i = match cohort {
            Cohort::Rest | Cohort::Lane(_) => 0,
            Cohort::Step(i) => i + 1,
        };
        cohorts.resize(cohorts.len().max(i + 1), Tally::default());
        if let Some(sum) = cohorts.get_mut(i) {
            sum.add(cell.counts.of(signal));
        }
    }
    cohorts
}
