/*!
How much bad requests come in company.
*/
use serde::{Deserialize, Serialize};

use super::{Tally, as_f64};

/// How many bad requests come at a time, at least 1. Evidence is divided by it: five that share one cause are one
/// piece of evidence, not five.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Dispersion(f64);

impl Dispersion {
    /// Every request by itself.
    pub const NONE: Self = Self(1.0);

    /// What is below 1 or no number counts as 1.
    pub const fn new(dispersion: f64) -> Self {
        Self(dispersion.max(1.0))
    }

    /// As a number, at least 1.
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// The dispersion of a version's bad requests, estimated from its own past intervals: Pearson's χ² over its degrees
/// of freedom (Nelder and Wedderburn's quasi-likelihood; Agresti, "Categorical Data Analysis", 2013, 4.7), with the variance of a Poisson
/// count.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Spread {
    intervals: u64,
    total: Tally,
    /// Σ y²/n
    squares: f64,
}

impl Spread {
    /// Takes in one interval.
    pub fn take_in(&mut self, tally: Tally) {
        if tally.requests > 0 {
            self.intervals += 1;
            self.total.add(tally);
            self.squares += as_f64(tally.bad) * as_f64(tally.bad) / as_f64(tally.requests);
        }
    }

    /// The estimate so far, never less than `least`.
    pub fn dispersion(&self, least: Dispersion) -> Dispersion {
        if self.intervals < 2 || self.total.bad == 0 {
            return least;
        }
        let (requests, bad) = (as_f64(self.total.requests), as_f64(self.total.bad));
        // With p = Y/N: Σ (y−n·p)²/(n·p) = (Σ y²/n)/p − Y.
        let chi_squared = self.squares * requests / bad - bad;
        Dispersion::new((chi_squared / as_f64(self.intervals - 1)).max(least.get()))
    }
}
