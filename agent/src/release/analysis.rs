/*!
What a canary is judged by.
*/
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serin_policy::evidence::{Allowance, Dispersion};

use super::Percent;

/// What a canary is judged by, and how carefully.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// How often the proxies are read: 100 ms to 5 min.
    pub interval: Duration,
    /// How long everybody stays on stable at first, while those whom the steps will move are compared with the rest.
    pub baseline: Duration,
    /// What the canary does in this time after its first request speaks neither for nor against it.
    pub warm_up: Duration,
    /// How many requests to the canary in a step a good verdict takes, from 1.
    pub min_requests: u64,
    /// How often a good canary may be taken back, all metrics together: above 0, at most 50 %.
    pub false_rollback: Percent,
    /// How many bad requests come at a time at least; the estimate from stable's own past is used where it is higher.
    pub dispersion: Dispersion,
    /// Requests that do not fail; not judged without it.
    pub errors: Option<Criterion>,
    /// Requests that take no longer than the objective; not judged without it.
    pub slow: Option<Criterion>,
    /// A request that takes longer is counted as slow, judged or not. Whole milliseconds, from 1.
    pub objective_ms: u32,
    /// What to do when a step gets too few requests for a verdict.
    pub no_data: NoData,
}

/// Where "bad" begins, for one metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Criterion {
    /// The largest share of the canary's requests that may be bad, whatever stable does.
    pub limit: Percent,
    /// How much worse than stable the canary may be.
    pub compare: Allowance,
}

/// What to do when a step gets too few requests for a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoData {
    /// What.
    pub then: OnNoData,
    /// After how long, counted from when the step is observed. [`OnNoData::Pause`] has nothing to wait for.
    pub after: Duration,
}

/// What to do without data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OnNoData {
    /// Stay at the step until there is data.
    #[default]
    Pause,
    /// Take the canary back.
    Rollback,
    /// Go on without a verdict.
    Promote,
}

/// What is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Requests that do not fail.
    RequestSuccessRate,
    /// Requests that take no longer than the objective.
    RequestDuration,
}

impl Metric {
    /// Every metric there is.
    pub const ALL: [Self; 2] = [Self::RequestSuccessRate, Self::RequestDuration];
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RequestSuccessRate => "request-success-rate",
            Self::RequestDuration => "request-duration",
        })
    }
}

impl Analysis {
    /// Where "bad" begins for `metric`, if it is judged.
    pub const fn criterion(&self, metric: Metric) -> Option<Criterion> {
        match metric {
            Metric::RequestSuccessRate => self.errors,
            Metric::RequestDuration => self.slow,
        }
    }

    /// Tests among which the chance of a false rollback is divided.
    pub fn tests(&self) -> u32 {
        let metrics = [self.errors, self.slow].into_iter().flatten();
        // Each metric has a limit of its own and a comparison.
        metrics.fold(0, |sum, _| sum + 2)
    }

    /// The evidence, as ln E, at which a test takes the canary back: ln(m/α).
    pub fn needed(&self) -> f64 {
        f64::from(self.tests().max(1)).ln() + self.needed_alone()
    }

    /// The evidence, as ln E, that a single finding takes which takes nothing back: ln(1/α).
    pub fn needed_alone(&self) -> f64 {
        -self.false_rollback.share().ln()
    }
}
