/*!
What counts of requests say about a canary, as evidence that may be looked at as often as one likes.

Everything here is an *e-process*: a bet against a null hypothesis whose stake, on average, never grows while the
null is true. By Ville's inequality the chance that it ever reaches 1/α is at most α, however often and for however
long one looks. (Ramdas, Grünwald, Vovk and Shafer, "Game-Theoretic Statistics and Safe Anytime-Valid Inference",
2023.) Evidence is kept and shown as its natural logarithm.

[`Comparison`] holds the canary against stable in the same moments, by requests or by users, [`Alarm`] does so for as long
as the proxy runs, [`Ceiling`] against a fixed
share, [`Excursions`] readings of a metric against a range, and [`Split`] the shares in which new callers were assigned
against the shares that were asked for. [`ln_mean`] makes one evidence of several.
*/
mod alarm;
mod ceiling;
mod comparison;
mod confidence;
mod dispersion;
mod excursions;
mod split;

pub use alarm::Alarm;
pub use ceiling::Ceiling;
pub use comparison::{Allowance, Claim, Comparison};
pub use confidence::{Interval, ratio};
pub use dispersion::{Dispersion, Homogeneity, Spread};
pub use excursions::Excursions;
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
/// that cannot bear more than a tenth of the traffic, or that leaks memory), the mixture is
/// [`watchful`](Self::watchful): it stakes [`AT_ONCE`] of its capital at first, and keeps the rest for later: a third
/// of what is kept for that at each [`onset`](Self::onset), and in between, after the m-th [`BLOCK`] of looks, the share
/// 1/(m·(m+1)) of [`MEANWHILE`]. That is a mixture over the moments at which the bets begin, so all that holds for
/// e-processes holds for it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Mixture {
    stakes: [f64; ALTERNATIVES],
    /// Capital that is kept back, where some is.
    kept: Option<Kept>,
}

/// Capital that is kept back for bets that begin later, as a share of all there was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Kept {
    /// For onsets.
    onsets: f64,
    /// The looks so far, by which the rest is staked.
    looks: u32,
}

/// What a watchful mixture stakes at first.
const AT_ONCE: f64 = 0.4;
/// What it keeps for moments in which something begins to be expected of the canary: its steps.
const AT_ONSETS: f64 = 0.45;
/// What it keeps for all other moments.
const MEANWHILE: f64 = 0.15;
/// After so many looks a part of [`MEANWHILE`] is staked.
const BLOCK: u32 = 30;

impl Kept {
    /// What is kept for moments in which nothing begins: after m blocks, the shares from m + 1 on are left, 1/(m+1) in all.
    fn for_meanwhile(self) -> f64 {
        MEANWHILE / f64::from(self.looks / BLOCK + 1)
    }
}

impl Mixture {
    fn watchful() -> Self {
        let kept = Kept { onsets: AT_ONSETS, looks: 0 };
        Self { stakes: [AT_ONCE.ln(); ALTERNATIVES], kept: Some(kept) }
    }

    /// Something begins with which a canary may turn bad: some of what is kept is staked anew.
    fn onset(&mut self) {
        let Some(kept) = &mut self.kept else { return };
        let more = kept.onsets / 3.0;
        kept.onsets -= more;
        self.stake(more);
    }

    fn stake(&mut self, more: f64) {
        for stake in &mut self.stakes {
            *stake = ln_sum([*stake, more.ln()].into_iter());
        }
    }

    /// Adds to each stake what `gain` makes of its factor. What is no number is no evidence.
    fn add(&mut self, gain: impl Fn(f64) -> f64) {
        if let Some(kept) = &mut self.kept {
            let before = kept.for_meanwhile();
            kept.looks = kept.looks.saturating_add(1);
            let more = before - kept.for_meanwhile();
            if more > 0.0 {
                self.stake(more);
            }
        }
        for (stake, factor) in self.stakes.iter_mut().zip(factors()) {
            let gain = gain(factor);
            if gain.is_finite() {
                *stake += gain;
            }
        }
    }

    /// ln of the mean of the stakes and what is kept back.
    fn ln_e(&self) -> f64 {
        if self.kept.is_some_and(|kept| kept.looks == 0) {
            return 0.0;
        }
        let staked = ln_sum(self.stakes.iter().copied()) - as_f64(ALTERNATIVES as u64).ln();
        let kept = self.kept.map(|kept| (kept.onsets + kept.for_meanwhile()).ln());
        let ln_e = kept.map_or(staked, |kept| ln_sum([staked, kept].into_iter()));
        // What rounding makes of no evidence.
        if ln_e.abs() < 1e-12 { 0.0 } else { ln_e }
    }
}

/// The evidence (ln E) of several tests together, each given as its weight and its ln E: the weighted mean of what they
/// have won. It is an e-process for what all their nulls have in common, whatever the tests have to do with each other
/// (Vovk and Wang, "E-values: Calibration, combination and applications", 2021, 3). Without any it is 0, no evidence.
pub fn ln_mean(tests: impl IntoIterator<Item = (f64, f64)> + Clone) -> f64 {
    let weights: f64 = tests.clone().into_iter().map(|(weight, _)| weight).sum();
    if weights <= 0.0 {
        return 0.0;
    }
    let won: Vec<_> = tests.into_iter().map(|(weight, ln_e)| weight.ln() + ln_e).collect();
    ln_sum(won.into_iter()) - weights.ln()
}

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
