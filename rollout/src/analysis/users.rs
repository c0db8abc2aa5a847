/*!
Users who met a fault, each once.
*/
use serde::{Deserialize, Serialize};
use serin_policy::evidence::{Allowance, Claim, Comparison, Dispersion};
use serin_policy::users::CELLS;

use crate::observation;

/// What the users of this run have met.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Users {
    /// Do more of the canary's users fail for the first time than may?
    pub(super) worse: Comparison,
    /// More than of stable's, be it by ever so little?
    pub(super) any_worse: Comparison,
    /// The users so far, as proxies tell; none where they do not.
    pub(super) seen: Option<observation::Users>,
    /// Users who failed for the first time while they were compared: on the canary, and on stable.
    pub(super) first: (u64, u64),
}

impl Default for Users {
    fn default() -> Self {
        Self {
            worse: Comparison::watchful(Claim::Worse),
            any_worse: Comparison::watchful(Claim::Worse),
            seen: None,
            first: (0, 0),
        }
    }
}

/// The part of the slack that users are given. It is there for what one broken client makes of few requests; of different
/// users, fewer need it.
const SLACK: f64 = 0.1;

/// Nothing goes back on the word of fewer users, where there are as many.
const WITNESSES: f64 = 3.0;

/// The evidence that more users fail, as ln E, without which many failures are taken for those of a few users.
const CORROBORATION: f64 = 0.0;

/// The share of [`CELLS`] that may be taken, for those that are left to tell enough.
const SATURATED: f64 = 0.7;

impl Users {
    /// Takes in the users so far. They are compared while a `share` of them has the canary, which got so many `requests`.
    pub(super) fn take_in(
        &mut self,
        now: Option<observation::Users>,
        share: Option<f64>,
        requests: u64,
        allowance: Allowance,
    ) {
        let Some(now) = now else { return };
        let before = self.seen.replace(now).unwrap_or_default();
        let Some(share) = share.filter(|_| requests > 0) else { return };
        let new = |now: u32, before: u32| u64::from(now.saturating_sub(before));
        let canary = new(now.canary.first_failed, before.canary.first_failed);
        let stable = new(now.stable.first_failed, before.stable.first_failed);
        self.first.0 += canary;
        self.first.1 += stable;
        let exposure = (share, 1.0 - share);
        let allowance = Allowance::new(allowance.ratio(), allowance.slack() * SLACK);
        self.worse.take_in_of(exposure, (canary, stable), requests, allowance, Dispersion::NONE);
        let equal = Allowance::new(1.0, 0.0);
        self.any_worse.take_in_of(exposure, (canary, stable), requests, equal, Dispersion::NONE);
    }

    /// Takes note of the users so far, who are not compared: what they have met, they bear witness of.
    pub(super) fn note(&mut self, now: Option<observation::Users>) {
        self.seen = now.or(self.seen);
    }

    /// The canary is given more users.
    pub(super) fn onset(&mut self) {
        if self.first != (0, 0) {
            self.worse.onset();
            self.any_worse.onset();
        }
    }

    /// Whether what many requests say is more than the word of a few users who fail, or are slow (`of`), again and again.
    /// Where proxies tell of no users, it is.
    pub(super) fn are_enough(&self, share: f64, of: fn(&observation::ArmUsers) -> u32) -> bool {
        let Some(seen) = self.seen else { return true };
        let everybody = users_in(seen.canary.seen) + users_in(seen.stable.seen);
        let there_are = (share * everybody).max(f64::from(seen.canary.seen));
        f64::from(of(&seen.canary)) >= WITNESSES.min(there_are).floor().max(1.0)
    }

    /// Whether users bear out what many failed requests say: more of the canary's fail for the first time than of
    /// stable's. Where most have failed before, or proxies tell of none, nothing is to be seen by it.
    pub(super) fn bear_out(&self) -> bool {
        let Some(seen) = self.seen else { return true };
        let taken = f64::from(seen.canary.first_failed) + f64::from(seen.stable.first_failed);
        taken > SATURATED * f64::from(CELLS) || self.any_worse.ln_e() >= CORROBORATION
    }

    /// About how many different users the canary has had, and how many of them have met a failure; none where proxies do
    /// not tell.
    pub(super) fn of_canary(&self) -> Option<(u64, u64)> {
        let seen = self.seen?.canary;
        Some((whole(users_in(seen.seen)), whole(users_in(seen.failed))))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousand at most")]
fn whole(users: f64) -> u64 {
    users.round() as u64
}

/// About how many users are behind so many cells: n = −m·ln(1 − c/m) (Whang, Vander-Zanden and Taylor, "A linear-time
/// probabilistic counting algorithm for database applications", 1990). Of full cells, as many as would leave one empty.
fn users_in(cells: u32) -> f64 {
    let all = f64::from(CELLS);
    let taken = f64::from(cells).min(all - 1.0);
    -all * (-taken / all).ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_as_many_as_an_independent_implementation_finds() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../policy/tests/evidence.json")).unwrap();
        for case in vectors["users"].as_array().unwrap() {
            let (cells, expected) = (case[0].as_u64().unwrap(), case[1].as_f64().unwrap());
            let found = users_in(u32::try_from(cells).unwrap());
            assert!((found - expected).abs() <= 1e-9 * expected, "{found} for {cells}, expected {expected}");
        }
    }

    #[test]
    fn few_cells_are_as_many_users_and_full_ones_are_many_more() {
        for (cells, expected) in [(0, 0.0), (3, 3.0), (100, 111.0), (256, 355.0), (512, 3194.0)] {
            assert!((users_in(cells) - expected).abs() < 0.6, "{} for {cells}", users_in(cells));
        }
    }
}
