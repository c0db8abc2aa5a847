/*!
Numbers that chance draws.

Most counts of a tick are of things that are rare. So they are drawn by inversion, where one uniform number mostly says
"none" before anything is reckoned; the few large ones are left to `rand_distr`.
*/
use rand::RngExt;
use rand::rngs::StdRng;
use rand_distr::{Binomial, Distribution, Poisson};
use serin_policy::evidence::as_f64;

/// How many requests come within some time, where their rate is constant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrivals(Option<Poisson<f64>>);

impl Arrivals {
    /// As many as `mean` on average: none, where that is no positive number.
    pub(super) fn new(mean: f64) -> Self {
        Self(Poisson::new(mean).ok())
    }

    pub(super) fn count(self, chance: &mut StdRng) -> u64 {
        self.0.map_or(0, |distribution| whole(distribution.sample(chance)))
    }
}

/// Up to this mean a binomial count is drawn by inversion.
const FEW: f64 = 10.0;

/// How many of `n` there are of which each is with the chance `share`.
pub(super) fn binomial(n: u64, share: f64, chance: &mut StdRng) -> u64 {
    if n == 0 || share <= 0.0 {
        return 0;
    }
    if share >= 1.0 {
        return n;
    }
    if share > 0.5 {
        return n - binomial(n, 1.0 - share, chance);
    }
    let mean = as_f64(n) * share;
    if mean > FEW {
        return Binomial::new(n, share).map_or(0, |distribution| distribution.sample(chance));
    }
    let at = chance.random_range(0.0..1.0);
    // The chance of none, (1−share)ⁿ, is at least 1 − n·share.
    if at < 1.0 - mean { 0 } else { inverse(n, share, at) }
}

/// The count up to which the chances of a binomial distribution come to `at`, each from the one before it.
fn inverse(n: u64, share: f64, at: f64) -> u64 {
    /// What rounding leaves of a sum that should be 1.
    const NOTHING: f64 = 1e-18;
    let odds = share / (1.0 - share);
    let mut of_count = (as_f64(n) * (-share).ln_1p()).exp();
    let (mut below, mut count) = (of_count, 0);
    while at >= below && count < n && of_count > NOTHING {
        of_count *= odds * as_f64(n - count) / as_f64(count + 1);
        below += of_count;
        count += 1;
    }
    count
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of one interval")]
pub(super) const fn whole(count: f64) -> u64 {
    count as u64
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// The mean and the variance of many counts are those of the distribution, within five standard errors.
    #[track_caller]
    fn check(n: u64, share: f64) {
        const DRAWS: u32 = 20_000;
        let mut chance = StdRng::seed_from_u64(7);
        let counts: Vec<_> = (0..DRAWS).map(|_| as_f64(binomial(n, share, &mut chance))).collect();
        let mean = counts.iter().sum::<f64>() / f64::from(DRAWS);
        let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / f64::from(DRAWS);
        let (expected, spread) = (as_f64(n) * share, as_f64(n) * share * (1.0 - share));
        let error = (spread / f64::from(DRAWS)).sqrt();
        assert!((mean - expected).abs() < 5.0 * error, "{n} × {share}: {mean}");
        // Var(s²) ≈ (μ₄ − σ⁴)/N, and μ₄ = 3σ⁴ + σ²·(1 − 6·p·(1−p)) ≤ 3σ⁴ + σ².
        let error = ((2.0 * spread * spread + spread) / f64::from(DRAWS)).sqrt();
        assert!((variance - spread).abs() < 5.0 * error, "{n} × {share}: {variance} for {spread}");
    }

    #[test]
    fn counts_are_spread_as_they_should_be() {
        for (n, share) in
            [(1, 0.3), (40, 0.002), (500, 0.005), (500, 0.019), (60, 0.9), (500, 0.5), (9, 0.999)]
        {
            check(n, share);
        }
    }

    #[test]
    fn what_cannot_be_or_must_be_needs_no_chance() {
        let mut chance = StdRng::seed_from_u64(7);
        let counts = [(0, 0.5), (9, 0.0), (9, -1.0), (9, 1.0), (9, 7.0)]
            .map(|(n, share)| binomial(n, share, &mut chance));
        assert_eq!(counts, [0, 0, 0, 9, 9]);
        assert_eq!(inverse(9, 0.3, 1.0), 9);
    }
}
