/*!
Whether callers were assigned in the shares that were asked for.
*/
use serde::{Deserialize, Serialize};

use super::as_f64;

/// How sure the bet is of the shares: as if so many callers had been seen before. The value is that of savvi
/// (Lindon and Malek, "Anytime-Valid Inference for Multinomial Count Data", 2022).
const CONCENTRATION: f64 = 100.0;

/// Evidence that new callers are not assigned to the canary in a given share: a path that loses or repeats some of
/// them. It is the multinomial e-process with a Dirichlet prior around that share; where the share changes, a new
/// bet begins with what the one before it has won.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Split {
    /// ln E of the bets that are over.
    won: f64,
    /// The share that the present bet is about.
    share: f64,
    canary: u64,
    stable: u64,
}

impl Split {
    /// Takes in new callers, of whom a `share` (0 to 1) should have got the canary. At 0 and 1 nothing is drawn.
    pub fn take_in(&mut self, canary: u64, stable: u64, share: f64) {
        if !(share > 0.0 && share < 1.0) {
            return;
        }
        if share.to_bits() != self.share.to_bits() {
            *self = Self { won: self.ln_e(), share, canary: 0, stable: 0 };
        }
        self.canary = self.canary.saturating_add(canary);
        self.stable = self.stable.saturating_add(stable);
    }

    /// The evidence: ln E. At ln(1/α) and above, the shares are others but for a chance of α.
    pub fn ln_e(&self) -> f64 {
        let Self { won, share, canary, stable } = *self;
        if canary + stable == 0 {
            return won;
        }
        let side = |count: u64, share: f64| {
            let prior = CONCENTRATION * share;
            rising(prior, count) - as_f64(count) * share.ln()
        };
        won + side(canary, share) + side(stable, 1.0 - share) - rising(CONCENTRATION, canary + stable)
    }

    /// Callers seen in the present bet, and how many of them got the canary.
    pub const fn seen(&self) -> (u64, u64) {
        (self.canary + self.stable, self.canary)
    }
}

/// ln of x·(x+1)·…·(x+n−1), that is ln Γ(x+n) − ln Γ(x).
fn rising(x: f64, n: u64) -> f64 {
    if n < 32 {
        return (0..n).map(|i| (x + as_f64(i)).ln()).sum();
    }
    ln_gamma(x + as_f64(n)) - ln_gamma(x)
}

/// ln Γ(x) for x > 0: Stirling's series, reached by Γ(x+1) = x·Γ(x) (Abramowitz and Stegun, 6.1.15 and 6.1.41).
fn ln_gamma(x: f64) -> f64 {
    const ENOUGH: f64 = 10.0;
    let (mut x, mut below) = (x, 0.0);
    while x < ENOUGH {
        below += x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / x;
    let square = inverse * inverse;
    let series = inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0)));
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - below
}
