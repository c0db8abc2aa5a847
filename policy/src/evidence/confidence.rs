/*!
How much worse than stable the canary is, and between which bounds that is for certain.
*/
use serde::{Deserialize, Serialize};

use super::{Dispersion, Tally, as_f64};

/// A number, and the bounds it keeps but for a chance of α, however often one looks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Interval {
    /// The number.
    pub estimate: f64,
    /// It is at least this.
    pub low: f64,
    /// And at most this.
    pub high: f64,
}

/// How many times stable's share of bad requests the canary's is, with bounds that hold at every look but for a chance
/// of `alpha` (0 to 1); none while either version has no bad request.
///
/// The logarithm of the ratio is about normal, with the variance `v = φ·(1/y_c − 1/n_c + 1/y_s − 1/n_s)` (Katz et al.,
/// "Obtaining Confidence Intervals for the Risk Ratio in Cohort Studies", 1978). With v as the intrinsic time, t = 1/v,
/// the bounds are an asymptotic confidence sequence (Waudby-Smith et al., "Time-uniform central limit theory and
/// asymptotic confidence sequences", 2024, theorem 2.2): ± √(v·(1 + v/ρ²)·ln((1 + ρ²/v)/α²)). ρ² is such that they are
/// tightest at about ten bad requests on either side.
pub fn ratio(canary: Tally, stable: Tally, dispersion: Dispersion, alpha: f64) -> Option<Interval> {
    const RHO_SQUARED: f64 = 1.6;
    let (control, exposed) = (stable.share()?, canary.share()?);
    if canary.bad == 0 || stable.bad == 0 {
        return None;
    }
    let part = |tally: Tally| 1.0 / as_f64(tally.bad) - 1.0 / as_f64(tally.requests);
    let variance = dispersion.get() * (part(canary) + part(stable)).max(f64::MIN_POSITIVE);
    let relative = variance / RHO_SQUARED;
    let reach = (variance * (1.0 + relative) * ((1.0 + 1.0 / relative) / (alpha * alpha)).ln()).sqrt();
    let estimate = exposed / control;
    Some(Interval { estimate, low: estimate * (-reach).exp(), high: estimate * reach.exp() })
}
