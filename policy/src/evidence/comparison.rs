/*!
The canary against stable, in the same moments.
*/
use serde::{Deserialize, Serialize};

use super::{Dispersion, Mixture, Tally, as_f64};

/// How much worse than stable a canary may be: its share of bad requests may be `ratio` × stable's + `slack`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Allowance {
    ratio: f64,
    slack: f64,
}

impl Allowance {
    /// A ratio below 1 counts as 1, a slack out of 0 to 1 as the nearest of the two.
    pub const fn new(ratio: f64, slack: f64) -> Self {
        Self { ratio: ratio.max(1.0), slack: slack.clamp(0.0, 1.0) }
    }

    /// The factor on stable's share.
    pub const fn ratio(self) -> f64 {
        self.ratio
    }

    /// What is allowed on top, as a share of requests.
    pub const fn slack(self) -> f64 {
        self.slack
    }

    /// The largest share of bad requests (0 to 1, or more) that is allowed where stable has `share`.
    pub const fn allowed(self, share: f64) -> f64 {
        self.ratio * share + self.slack
    }

    /// The same with a ratio `factor` times as large.
    #[must_use]
    pub const fn relaxed_by(self, factor: f64) -> Self {
        Self::new(self.ratio * factor.max(1.0), self.slack)
    }
}

/// What a comparison gathers evidence for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// The canary is worse than allowed.
    Worse,
    /// The canary is no worse than allowed.
    NoWorse,
}

/// Evidence for a [`Claim`], from the canary's share in the bad requests of both versions.
///
/// In an interval with `n_c`, `n_s` requests and `y_c`, `y_s` bad ones, for each alternative r > 1:
/// ```text
/// ρ  = k·n_c / (k·n_c + n_s)        q = k·r·n_c / (k·r·n_c + n_s)
/// a  = q/ρ                          b = (1−q)/(1−ρ)
/// L += (y_c·ln a + y_s·ln b − n_c·δ·(a−1)) / φ
/// ```
/// Under the null, `p_c ≤ k·p_s + δ` in every interval, the expectation of exp(L) never grows. It rises with `p_c`, so
/// let the two sides be equal; by 1 + x ≤ eˣ it is at most
/// ```text
/// exp(p_s·[k·n_c·(a−1) + n_s·(b−1)] + δ·n_c·(a−1) − δ·n_c·(a−1))
/// ```
/// and the bracket is `(k·n_c + n_s)·[ρ·(a−1) + (1−ρ)·(b−1)] = 0`, whatever stable's own share does. For
/// [`Claim::NoWorse`] all r become 1/r. Where callers of several kinds have each a ratio of their own, the same proof
/// holds with the mean of their ratios, weighted by their requests to the canary in this interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    claim: Claim,
    stakes: Mixture,
}

impl Comparison {
    /// No evidence yet.
    pub fn new(claim: Claim) -> Self {
        Self { claim, stakes: Mixture::default() }
    }

    /// No evidence yet, for a claim that may become true at any time.
    pub fn watchful(claim: Claim) -> Self {
        Self { claim, stakes: Mixture::watchful() }
    }

    /// The canary is given more to do: the claim may become true here.
    pub fn onset(&mut self) {
        self.stakes.onset();
    }

    /// Takes in one interval. Without requests to both versions it says nothing.
    pub fn take_in(&mut self, canary: Tally, stable: Tally, allowance: Allowance, dispersion: Dispersion) {
        let bad = |tally: Tally| tally.bad.min(tally.requests);
        let exposure = (as_f64(canary.requests), as_f64(stable.requests));
        self.take_in_of(exposure, (bad(canary), bad(stable)), canary.requests, allowance, dispersion);
    }

    /// Takes in one interval in which what is bad falls to the canary and to stable as they share in an `exposure`, in any
    /// unit. The slack is per request to the canary, of which there were `requests`. Where either has no exposure it says
    /// nothing.
    ///
    /// With shares of the users as exposure, and users who failed for the first time in the run as what is bad, this needs
    /// no independence of requests: users are what is drawn, and under the null the next of them to fail is on the canary
    /// with odds of at most k·w : (1−w), whatever their requests have to do with each other. The proof is the same: given
    /// the total, the canary's are binomial, and those of the slack at most Poisson.
    pub fn take_in_of(
        &mut self,
        exposure: (f64, f64),
        bad: (u64, u64),
        requests: u64,
        allowance: Allowance,
        dispersion: Dispersion,
    ) {
        if !(exposure.0 > 0.0 && exposure.1 > 0.0) {
            return;
        }
        let bad = (as_f64(bad.0), as_f64(bad.1));
        let claim = self.claim;
        self.stakes.add(|factor| {
            let r = match claim {
                Claim::Worse => factor,
                Claim::NoWorse => 1.0 / factor,
            };
            gain(r, exposure, bad, allowance, as_f64(requests)) / dispersion.get()
        });
    }

    /// The evidence: ln E. At ln(1/α) and above, the claim holds but for a chance of α.
    pub fn ln_e(&self) -> f64 {
        self.stakes.ln_e()
    }
}

/// What the bet on `r` wins in an interval, before the dispersion: of `exposure`, in any unit, and of what was bad, to
/// the canary and to stable; the slack is per request to the canary.
pub(super) fn gain(
    r: f64,
    exposure: (f64, f64),
    bad: (f64, f64),
    Allowance { ratio, slack }: Allowance,
    requests: f64,
) -> f64 {
    let (exposed, control) = (ratio * exposure.0, exposure.1);
    // With N = k·n_c + n_s and M = k·r·n_c + n_s: a = r·N/M and b = N/M.
    let b = (exposed + control) / (r * exposed + control);
    let a = r * b;
    // Most intervals have nothing bad, and a logarithm costs more than all the rest.
    let won = |bad: f64, odds: f64| if bad > 0.0 { bad * odds.ln() } else { 0.0 };
    won(bad.0, a) + won(bad.1, b) - requests * slack * (a - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_bet_wins_what_the_formula_says() {
        for (ratio, slack, expected) in
            [(1.0, 0.0, 7.660_545_579_813_223), (1.5, 0.001, 4.005_886_937_005_709)]
        {
            let e = gain(2.0, (100.0, 900.0), (5.0, 10.0), Allowance::new(ratio, slack), 100.0).exp();
            assert!((e - expected).abs() < 1e-12 * expected, "{e} at {ratio}, {slack}");
        }
    }
}
