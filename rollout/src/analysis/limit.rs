/*!
The largest share of requests that may be bad, and what raises it.
*/
use std::fmt;

use serde::{Deserialize, Serialize};
use serin_policy::Arm;
use serin_policy::evidence::as_f64;

use super::baseline::Baseline;
use super::signal::Signal;
use crate::observation::{Cell, Drawn};
use serin_release::{Criterion, Percent};

/// The largest share of the canary's requests that may be bad at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limit {
    /// The share.
    pub share: Percent,
    /// Why it is more than the Release says, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raised: Option<Raise>,
}

/// Why a limit is raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Raise {
    /// Stable has as many bad requests at present.
    Stable,
    /// The canary's users had as many while they were on stable.
    Users,
}

impl Limit {
    /// As the Release says it, where it says one.
    pub(super) fn written(criterion: Criterion) -> Option<Self> {
        criterion.limit.map(|share| Self { share, raised: None })
    }
}

impl fmt::Display for Raise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stable => "stable has as many at present",
            Self::Users => "its users had as many on stable",
        })
    }
}

/// What the mean of equal numbers may be beside them.
const ROUNDING: f64 = 1e-9;

/// A limit as a share, 0 to 1, and why it is more than the Release says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Allowed {
    pub(super) share: f64,
    pub(super) raised: Option<Raise>,
}

impl Allowed {
    /// The same for people.
    pub(super) fn rounded(self) -> Option<Limit> {
        Some(Limit { share: Percent::at_least((self.share - ROUNDING).max(0.0))?, raised: self.raised })
    }

    /// What is allowed of any requests, while stable has this share of bad ones: the limit, or as much more as the comparison
    /// allows.
    pub(super) fn at_present(criterion: Criterion, stable: Option<f64>) -> Self {
        let fixed = criterion.limit.map_or(1.0, Percent::share);
        let share = stable.map_or(fixed, |now| fixed.max(criterion.compare.allowed(now))).min(1.0);
        Self { share, raised: (share > fixed).then_some(Raise::Stable) }
    }

    /// What is allowed of the canary's requests in `cells`: the limit, or as much more as the comparison allows than stable
    /// has at present, or than its users had there before, whichever is most. A database that blinks, or one user
    /// whose requests often fail and who is drawn, must not make a good canary break the limit. The test's proof allows for
    /// the mean of several limits, weighted by requests, since the logarithm is concave.
    pub(super) fn of(
        cells: &[Cell],
        signal: Signal,
        criterion: Criterion,
        stable: Option<f64>,
        baseline: &Baseline,
    ) -> Self {
        let least = Self::at_present(criterion, stable);
        let (mut requests, mut weighted) = (0.0, 0.0);
        for cell in cells.iter().filter(|cell| cell.arm == Arm::Canary) {
            let before = match cell.drawn {
                Drawn::Cohort(cohort) => baseline.own(signal, cohort),
                // Members of a segment are split from the beginning: they were never all on stable.
                Drawn::Split(_) => None,
            };
            let count = as_f64(cell.counts.requests);
            requests += count;
            weighted +=
                count * before.map_or(0.0, |share| criterion.compare.allowed(share)).clamp(least.share, 1.0);
        }
        let share = if requests > 0.0 { weighted / requests } else { least.share };
        let raised = if share > least.share + ROUNDING { Some(Raise::Users) } else { least.raised };
        Self { share, raised }
    }
}

#[cfg(test)]
mod tests {
    use serin_policy::evidence::Allowance;
    use serin_policy::{Cohort, Weight};

    use super::*;
    use crate::observation::ArmCounts;

    fn criterion() -> Criterion {
        Criterion { limit: Percent::parse("1").ok(), compare: Allowance::new(1.5, 0.001) }
    }

    fn cell(arm: Arm, cohort: Cohort, requests: u64, errors: u64) -> Cell {
        let counts = ArmCounts { requests, errors, ..ArmCounts::default() };
        Cell { place: String::new(), drawn: Drawn::Cohort(cohort), arm, counts }
    }

    /// The limit of a canary whose users had `own` errors of 1,000 on stable, where the others had `rest` of 10,000, while
    /// stable has this share at present.
    #[track_caller]
    fn check(own: u64, rest: u64, stable: Option<f64>, expected: &str) {
        let mut baseline = Baseline::default();
        let steps = [Weight::from_ppm(100_000).unwrap()];
        for (cohort, requests, errors) in [(Cohort::Step(0), 1_000, own), (Cohort::Rest, 10_000, rest)] {
            let counts = ArmCounts { requests, errors, ..ArmCounts::default() };
            baseline.take_in(&steps, 0, cohort, counts);
        }
        let cells = [cell(Arm::Canary, Cohort::Step(0), 100, 0), cell(Arm::Stable, Cohort::Rest, 900, 0)];
        let limit = Allowed::of(&cells, Signal::Failed, criterion(), stable, &baseline).rounded().unwrap();
        let why = limit.raised.map_or_else(|| "the Release says so".to_owned(), |raised| raised.to_string());
        assert_eq!(format!("{}: {why}", limit.share), expected);
    }

    #[test]
    fn a_limit_says_what_raises_it() {
        check(2, 20, None, "1%: the Release says so");
        check(2, 20, Some(0.005), "1%: the Release says so");
        check(2, 20, Some(0.02), "3.1%: stable has as many at present");
        check(50, 100, None, "6.22%: its users had as many on stable");
        // Of two reasons the one that allows for more.
        check(50, 100, Some(0.02), "6.22%: its users had as many on stable");
        check(50, 100, Some(0.25), "37.6%: stable has as many at present");
    }

    #[test]
    fn a_limit_that_nothing_raises_is_the_one_that_was_written() {
        for requests in 1..1_000 {
            let cells =
                [cell(Arm::Canary, Cohort::Step(0), requests, 0), cell(Arm::Canary, Cohort::Rest, 7, 0)];
            let allowed = Allowed::of(&cells, Signal::Failed, criterion(), None, &Baseline::default());
            let written = Limit { share: Percent::parse("1").unwrap(), raised: None };
            assert_eq!(allowed.rounded(), Some(written), "{requests} requests");
        }
    }
}
