/*!
The canary against a share that is fixed beforehand.
*/
use serde::{Deserialize, Serialize};

use super::{Dispersion, Mixture, Tally, as_f64};

/// Evidence that more than a given share of requests is bad.
///
/// For each alternative r > 1 the bet is on odds r times the highest allowed, p:
/// L += (y·ln r − n·ln(1 + p·(r−1))) / φ. A request that is bad with a chance of at most p multiplies the stake by
/// r/(1+p·(r−1)) if it is bad and by 1/(1+p·(r−1)) otherwise, at most 1 on average.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ceiling(Mixture);

impl Ceiling {
    /// No evidence yet, of an excess that may begin at any time.
    pub fn watchful() -> Self {
        Self(Mixture::watchful())
    }

    /// The canary is given more to do: an excess may begin here.
    pub fn onset(&mut self) {
        self.0.onset();
    }

    /// Takes in one interval. Without requests it says nothing. `allowed` is the highest share of bad requests that is all
    /// right, 0 to 1.
    pub fn take_in(&mut self, tally: Tally, allowed: f64, dispersion: Dispersion) {
        if tally.requests == 0 {
            return;
        }
        let (requests, bad) = (as_f64(tally.requests), as_f64(tally.bad.min(tally.requests)));
        let allowed = allowed.clamp(0.0, 1.0);
        self.0.add(|r| (bad * r.ln() - requests * (allowed * (r - 1.0)).ln_1p()) / dispersion.get());
    }

    /// The evidence: ln E. At ln(1/α) and above, more is bad than allowed but for a chance of α.
    pub fn ln_e(&self) -> f64 {
        self.0.ln_e()
    }
}
