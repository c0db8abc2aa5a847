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

/// The dispersion of a version's bad requests over time, where callers are not told apart: estimated from its own past intervals: Pearson's χ² over its degrees
/// of freedom (Nelder and Wedderburn's quasi-likelihood; Agresti, "Categorical Data Analysis", 2013, 4.7), with the variance of a Poisson
/// count.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Spread {
    intervals: u64,
    total: Tally,
    /// Σ y²/n
    squares: f64,
}

/// The dispersion of stable's bad requests over its callers: how much less evenly the cohorts have them than if each fell
/// to any request by itself.
///
/// In a window with `Y` bad requests, of which a cohort that gets the share `π` of them has `y`, on average Σ(y − Y·π)² is
/// φ·Y·(1 − Σπ²) (the variance of a multinomial count, φ times over). What both versions have in common, a database
/// that blinks, changes Y and not how it is divided; what one client does in half a minute is seen in windows that are long
/// enough. So windows of several lengths are kept, and the largest φ counts. Each is drawn towards 1 as if
/// [`PRIOR`](Self::PRIOR) windows more had been seen: of a few, chance makes too much. π is a cohort's share of the
/// bad requests B before the window, once there are some: users who always fail make cohorts differ, and not their
/// windows. So the variance is that of a prediction, 1 + Y/B times over.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Homogeneity {
    lags: [Lag; Homogeneity::LAGS_S.len()],
}

/// Windows of one length.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Lag {
    /// Windows with bad requests.
    windows: u32,
    /// Σ Σ(y − Y·π)²
    squares: f64,
    /// Σ Y·(1 − Σπ²)·(1 + Y/B)
    expected: f64,
    /// How long the present window has lasted.
    seconds: f64,
    /// What it has, by cohort.
    cohorts: Vec<Tally>,
    /// The bad requests of all windows before, by cohort.
    before: Vec<u64>,
}

impl Homogeneity {
    /// How long windows last, in seconds.
    pub const LAGS_S: [f64; 4] = [1.0, 4.0, 16.0, 64.0];
    /// How many even windows are taken for granted.
    pub const PRIOR: f64 = 4.0;
    /// From so many bad requests on it is known how cohorts share in them.
    const KNOWN: f64 = 10.0;

    /// Takes in what each cohort had on stable in an interval of so many seconds.
    pub fn take_in(&mut self, cohorts: &[Tally], seconds: f64) {
        for (lag, length) in self.lags.iter_mut().zip(Self::LAGS_S) {
            lag.take_in(cohorts, seconds, length);
        }
    }

    /// The estimate so far, never less than `least`; none where there were never two cohorts with a bad request between.
    pub fn dispersion(&self, least: Dispersion) -> Option<Dispersion> {
        let estimates = self.lags.iter().filter(|lag| lag.expected > 0.0).map(|lag| {
            let windows = f64::from(lag.windows);
            (windows * lag.squares / lag.expected + Self::PRIOR) / (windows + Self::PRIOR)
        });
        estimates.reduce(f64::max).map(|estimate| Dispersion::new(estimate.max(least.get())))
    }
}

impl Lag {
    fn take_in(&mut self, cohorts: &[Tally], seconds: f64, length: f64) {
        if self.cohorts.len() < cohorts.len() {
            self.cohorts.resize(cohorts.len(), Tally::default());
        }
        for (sum, tally) in self.cohorts.iter_mut().zip(cohorts) {
            sum.add(*tally);
        }
        self.seconds += seconds;
        if self.seconds >= length {
            self.close();
        }
    }

    fn close(&mut self) {
        let mut all = Tally::default();
        for tally in &self.cohorts {
            all.add(*tally);
        }
        let (requests, bad) = (as_f64(all.requests), as_f64(all.bad));
        self.before.resize(self.before.len().max(self.cohorts.len()), 0);
        // Those whom a step has moved since are not on stable any more.
        let present = || self.cohorts.iter().zip(&self.before).filter(|(tally, _)| tally.requests > 0);
        let bad_before = as_f64(present().map(|(_, before)| before).sum());
        let (mut squares, mut even) = (0.0, 1.0);
        for (tally, before) in present() {
            let of_requests = if requests > 0.0 { as_f64(tally.requests) / requests } else { 0.0 };
            let share = (as_f64(*before) + of_requests) / (bad_before + 1.0);
            squares += (as_f64(tally.bad) - bad * share).powi(2);
            even -= share * share;
        }
        // Of one cohort alone nothing is seen, but for what rounding makes of it.
        if all.bad > 0 && bad_before >= Homogeneity::KNOWN && even > 1e-9 {
            self.windows = self.windows.saturating_add(1);
            self.squares += squares;
            // π is itself known from so many only.
            self.expected += bad * even * (1.0 + bad / (bad_before + 1.0));
        }
        for (sum, tally) in self.before.iter_mut().zip(&self.cohorts) {
            *sum += tally.bad;
        }
        self.seconds = 0.0;
        self.cohorts.clear();
    }
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
