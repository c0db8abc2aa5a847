/*!
Traffic that may be compared with one another: what is alike but for the version.
*/
use std::collections::BTreeMap;

use serin_policy::Arm;
use serin_policy::evidence::{Allowance, Tally, as_f64};

use super::contrast::Against;
use super::signal::Signal;
use crate::observation::{ArmCounts, Cell, Drawn};

/// Traffic that may be compared with one another, in one interval.
#[derive(Debug, Default)]
pub(super) struct Stratum {
    stable: ArmCounts,
    /// The canary's, by those who were drawn.
    canary: Vec<(Drawn, ArmCounts)>,
}

impl Stratum {
    /// Stable's requests.
    pub(super) fn stable(&self, signal: Signal) -> Tally {
        self.stable.of(signal)
    }

    /// The canary's requests, and how much worse than stable they may be. The allowance is the mean of those of
    /// the cohorts, weighted by their requests: so the comparison's proof asks for it.
    pub(super) fn canary(&self, signal: Signal, against: &Against<'_>) -> (Tally, Allowance) {
        let (mut tally, mut weighted) = (Tally::default(), 0.0);
        for (drawn, counts) in &self.canary {
            let factor = match drawn {
                Drawn::Cohort(cohort) => against.baseline.ratio(signal, *cohort, against.step_index),
                // Members of a segment are split from the beginning: they were never all on stable.
                Drawn::Split(_) => 1.0,
            };
            let counts = counts.of(signal);
            tally.add(counts);
            weighted += as_f64(counts.requests) * factor;
        }
        let factor = if tally.requests > 0 { weighted / as_f64(tally.requests) } else { 1.0 };
        (tally, against.compare.relaxed_by(factor))
    }
}

/// The strata of an interval: by attach point, and by segment where one is split.
pub(super) fn strata(cells: &[Cell]) -> BTreeMap<(&str, Option<&str>), Stratum> {
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
