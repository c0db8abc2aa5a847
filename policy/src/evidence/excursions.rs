/*!
Readings of a metric that leave its range for a while.
*/
use serde::{Deserialize, Serialize};

use super::{Mixture, as_f64};

/// Evidence that a metric is out of its range more often than may be.
///
/// Readings that follow each other are not independent: a queue that is long now is long a moment later. So they are
/// taken for a Markov chain. Allowed is a share τ of the time out of range, in excursions of 1/(1−s) readings on average
/// at most: then a reading that follows one in range is out of it with a chance of at most τ·(1−s)/(1−τ), and one that
/// follows another out of range with a chance of at most s. Against both, the bets are those of
/// [`Ceiling`](super::Ceiling) on a single request: each wins r/(1+p·(r−1)) or 1/(1+p·(r−1)), at most 1 on average given
/// all that was before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Excursions {
    stakes: Mixture,
    was_out: bool,
    /// Times that it went out of range.
    begun: u64,
}

impl Default for Excursions {
    fn default() -> Self {
        Self { stakes: Mixture::watchful(), was_out: false, begun: 0 }
    }
}

impl Excursions {
    /// How many readings an excursion of a good metric lasts on average at most: 45 s, at a reading every 15 s.
    pub const LONGEST: f64 = 3.0;

    /// Takes in a reading, of which a share `tolerated` (0 to 1) may be out of range.
    pub fn take_in(&mut self, is_out: bool, tolerated: f64) {
        let stays = 1.0 - 1.0 / Self::LONGEST;
        let allowed = if self.was_out { stays } else { tolerated * (1.0 - stays) / (1.0 - tolerated) };
        let out = as_f64(u64::from(is_out));
        self.begun += u64::from(is_out && !self.was_out);
        self.was_out = is_out;
        self.stakes.add(|r| out * r.ln() - (allowed * (r - 1.0)).ln_1p());
    }

    /// The evidence: ln E. At ln(1/α) and above, it is out of range more often than may be, but for a chance of α.
    pub fn ln_e(&self) -> f64 {
        self.stakes.ln_e()
    }

    /// How often it went out of range.
    pub const fn begun(&self) -> u64 {
        self.begun
    }
}
