/*!
What counts of requests say about a canary, as evidence that may be looked at as often as one likes.

Everything here is an *e-process*: a bet against a null hypothesis whose stake, on average, never grows while the
null is true. By Ville's inequality the chance that it ever reaches 1/α is at most α, however often and for however
long one looks. (Ramdas, Grünwald, Vovk and Shafer, "Game-Theoretic Statistics and Safe Anytime-Valid Inference",
2023.) Evidence is kept and shown as its natural logarithm.

[`Comparison`] holds the canary against stable in the same moments, [`Ceiling`] against a fixed share, and [`Split`]
holds the shares in which new callers were assigned against the shares that were asked for.
*/
mod ceiling;
mod comparison;
mod dispersion;
mod split;

pub use ceiling::Ceiling;
pub use comparison::{Allowance, Claim, Comparison};
pub use dispersion::{Dispersion, Spread};
pub use split::Split;

use serde::{Deserialize, Serialize};

/// Requests, and how many of them were bad in the sense of one metric: failed, or slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// All requests.
    pub requests: u64,
    /// The bad ones.
    pub bad: u64,
}

impl Tally {
    /// Adds `other` to these.
    pub const fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.bad = self.bad.saturating_add(other.bad);
    }

    /// The share of bad requests; none without requests.
    pub fn share(self) -> Option<f64> {
        (self.requests > 0).then(|| as_f64(self.bad) / as_f64(self.requests))
    }

    /// The share of bad requests after one more of them (Laplace's rule with the benefit of the doubt to nobody):
    /// never 0, and near 1 where there is little to go by.
    pub fn cautious_share(self) -> f64 {
        (as_f64(self.bad) + 1.0) / (as_f64(self.requests) + 1.0)
    }
}

/// How many alternatives a mixture bets on.
const ALTERNATIVES: usize = 16;

/// The alternatives of a mixture, as factors above 1: "so many times worse than allowed".
fn factors() -> impl Iterator<Item = f64> {
    std::iter::successors(Some(1.1), |factor| Some(factor * 1.35)).take(ALTERNATIVES)
}

/// The stakes of a mixture: one logarithm for each of [`factors`], all with the same weight.
///
/// A bet that is lost for an hour takes hours to win back. Where what is bet on may become true at any time (a canary
/// that leaks memory), the mixture is [`watchful`](Self::watchful): it keeps half of its capital and stakes the s-th
/// share of that, 1/(s·(s+1)), at the s-th look. That is a mixture over the moments at which the bets begin, so all
/// that holds for e-processes holds for it, for the price of a factor of 2.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Mixture {
    stakes: [f64; ALTERNATIVES],
    /// The looks so far, where capital is kept back.
    looks: Option<u32>,
}

impl Mixture {
    fn watchful() -> Self {
        Self { stakes: [HALF.ln(); ALTERNATIVES], looks: Some(0) }
    }

    /// Adds to each stake what `gain` makes of its factor. What is no number is no evidence.
    fn add(&mut self, gain: impl Fn(f64) -> f64) {
        let more = self.looks.as_mut().map(|looks| {
            *looks = looks.saturating_add(1);
            let s = f64::from(*looks);
            (HALF / (s * (s + 1.0))).ln()
        });
        for (stake, factor) in self.stakes.iter_mut().zip(factors()) {
            if let Some(more) = more {
                *stake = ln_sum([*stake, more].into_iter());
            }
            let gain = gain(factor);
            if gain.is_finite() {
                *stake += gain;
            }
        }
    }

    /// ln of the mean of the stakes and what is kept back.
    fn ln_e(&self) -> f64 {
        let staked = ln_sum(self.stakes.iter().copied()) - as_f64(ALTERNATIVES as u64).ln();
        // After s looks, the shares from s + 1 on are left: 1/(s+1) in all.
        let kept = self.looks.map(|looks| (HALF / (f64::from(looks) + 1.0)).ln());
        kept.map_or(staked, |kept| ln_sum([staked, kept].into_iter()))
    }
}

const HALF: f64 = 0.5;

/// ln of the sum of what `logs` are the logarithms of.
fn ln_sum(logs: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = logs.clone().fold(f64::NEG_INFINITY, f64::max);
    largest + logs.map(|log| (log - largest).exp()).sum::<f64>().ln()
}

/// A count as a number to reckon with.
#[expect(clippy::cast_precision_loss, reason = "beyond 2^53 requests a share does not change by one of them")]
pub const fn as_f64(count: u64) -> f64 {
    count as f64
}
