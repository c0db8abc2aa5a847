/*!
How long answers take: log-normal.
*/
use rand::rngs::StdRng;
use serin_policy::Arm;

use super::chance::binomial;
use super::normal;
use super::trial::Setup;
use serin_rollout::{ArmCounts, EDGES_MS};

/// How long requests take.
pub(super) struct Times {
    /// ln of the median in milliseconds.
    median: f64,
    sigma: f64,
    objective: f64,
    /// Every edge, and the objective, which need not be one of them: from the slowest to the fastest.
    bounds: Vec<Bound>,
    /// What was reckoned last, for stable and for the canary: it changes seldom.
    shares: [Shares; 2],
}

/// A time that requests are compared with.
#[derive(Clone, Copy)]
struct Bound {
    ms: f64,
    /// Its place among the edges; none for the objective.
    edge: Option<usize>,
}

/// Which share of requests takes longer than each bound, of those that are not beyond the one before.
#[derive(Default)]
struct Shares {
    /// How many times as long as usual they take.
    factor: f64,
    next: Vec<f64>,
}

impl Times {
    pub(super) fn new(setup: &Setup<'_>) -> Self {
        let objective = setup.objective.as_secs_f64() * 1000.0;
        let (median, p99) = setup.life.times_ms.unwrap_or((50.0, 0.0));
        let sigma = if p99 > 0.0 {
            (p99 / median).ln() / normal::quantile(0.99)
        } else {
            (objective / median).ln() / normal::quantile(1.0 - setup.traffic.slow.share().clamp(1e-6, 0.5))
        };
        let edges =
            EDGES_MS.iter().enumerate().map(|(i, edge)| Bound { ms: f64::from(*edge), edge: Some(i) });
        let mut bounds: Vec<_> = edges.chain([Bound { ms: objective, edge: None }]).collect();
        bounds.sort_by(|one, other| other.ms.total_cmp(&one.ms));
        Self { median: median.ln(), sigma, objective, bounds, shares: <[Shares; 2]>::default() }
    }

    /// Spread of the times, as σ of their logarithm.
    pub(super) const fn sigma(&self) -> f64 {
        self.sigma
    }

    /// Times of so many answers, where all take `factor` times as long and a share of them is slow `besides`.
    pub(super) fn of(
        &mut self,
        arm: Arm,
        answers: u64,
        (factor, besides): (f64, f64),
        chance: &mut StdRng,
    ) -> ArmCounts {
        let mut counts = ArmCounts { timed: answers, ..ArmCounts::default() };
        let slow = binomial(answers, besides, chance);
        let (mut left, mut beyond) = (answers - slow, 0);
        let Self { median, sigma, objective, bounds, shares: [stable, canary] } = self;
        let shares = match arm {
            Arm::Stable => stable,
            Arm::Canary | Arm::Extra(_) => canary,
        };
        if shares.factor.to_bits() != factor.to_bits() {
            *shares = Shares::new(factor, bounds, *median, *sigma);
        }
        for (bound, share) in bounds.iter().zip(&shares.next) {
            let more = binomial(left, *share, chance);
            (left, beyond) = (left - more, beyond + more);
            let cold = if bound.ms <= *objective { slow } else { 0 };
            let count = match bound.edge {
                Some(edge) => counts.slower_than.get_mut(edge),
                None => Some(&mut counts.slow),
            };
            if let Some(count) = count {
                *count = beyond + cold;
            }
        }
        counts
    }
}

impl Shares {
    fn new(factor: f64, bounds: &[Bound], median: f64, sigma: f64) -> Self {
        let median = median + factor.ln();
        let mut before = 0.0;
        let next = bounds.iter().map(|bound| {
            let beyond = 1.0 - normal::below((bound.ms.ln() - median) / sigma);
            let next = (beyond - before) / (1.0 - before);
            before = beyond;
            next.clamp(0.0, 1.0)
        });
        Self { factor, next: next.collect() }
    }
}
