/*!
The fuse: when a proxy closes the canary by itself.

Between two looks of an agent, or with none left, a canary may answer everybody with errors. So each proxy watches what it
gives to the two versions, and sends everybody to stable once the canary's failures exceed stable's beyond doubt. It never
opens again by itself: that is for whoever writes the policy. What both versions have in common, such as a database that is
gone, is nothing to close one of them for, and without a stable to compare with there is no fuse.
*/
use serde::{Deserialize, Serialize};

use crate::decision::Arm;
use crate::evidence::{Alarm, Allowance, Claim, Comparison, Dispersion, Tally};
use crate::lenient_int;
use crate::refusal::{Kind, Refusal};
use crate::users::{CELLS, Maps, Met, RunMark, Word};
use crate::weight::Weight;

/// Name in Prometheus of the gauge that says whether a proxy has closed a canary; its tag is the policy's name.
pub const FUSE: &str = "serin_fuse";

/// How much worse than stable the canary may be before a proxy closes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FuseSpec {
    /// The factor on stable's share of failures, in percent: 200 is twice as many.
    #[serde(deserialize_with = "lenient_int::u32")]
    pub ratio_percent: u32,
    /// The share of the canary's requests that may fail on top.
    pub slack: Weight,
}

impl FuseSpec {
    /// The least that is doubtful still: twice as many as stable has, and one in twenty.
    pub const LEAST: Allowance = Allowance::new(2.0, 0.05);
    /// A larger factor than this is as good as none.
    const MOST: f64 = 1000.0;

    /// The fuse of a canary that is judged by this allowance: never stricter than that, and never than [`LEAST`](Self::LEAST).
    pub fn beside(judged: Allowance) -> Self {
        let ratio = judged.ratio().max(Self::LEAST.ratio()).min(Self::MOST);
        let slack = judged.slack().max(Self::LEAST.slack());
        let slack = Weight::from_ppm(whole(slack * f64::from(Weight::FULL.ppm())));
        Self { ratio_percent: whole(ratio * 100.0), slack: slack.unwrap_or(Weight::FULL) }
    }

    pub(crate) fn check(self) -> Result<Self, Refusal> {
        if f64::from(self.ratio_percent) / 100.0 < 1.0 {
            let hint = "give 100 or more: a canary as bad as stable is nothing to close it for";
            return Err(Refusal::new(Kind::Invalid, "fuse.ratioPercent", self.ratio_percent, hint));
        }
        Ok(self)
    }

    fn allowance(self) -> Allowance {
        Allowance::new(f64::from(self.ratio_percent) / 100.0, self.slack.share())
    }
}

/// What a proxy's workers have seen together in a run.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Fuse {
    worse: Alarm,
    /// Whether it has closed the canary.
    pub is_blown: bool,
}

impl Fuse {
    /// The evidence at which it blows, as ln E: of canaries that are as bad as is allowed, one in so many intervals of a
    /// worker's tick is closed, which is some seventy hours of them. One that is as good as stable is much further away.
    pub const BLOWS_AT: f64 = 13.8;

    /// Takes in what a worker has seen of a canary with this share since it last did, and what the `users` of the run have
    /// met by now.
    pub fn take_in(&mut self, spec: FuseSpec, share: Weight, [stable, canary]: [Tally; 2], users: &Maps) {
        self.worse.take_in(canary, stable, share, spec.allowance());
        self.is_blown |= self.worse.ln_e() >= Self::BLOWS_AT && bear_out(users, share);
    }

    /// What is left for other workers.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.worse.to_bytes();
        bytes.push(u8::from(self.is_blown));
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) gives; a fuse that has seen nothing from anything else.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let parts = bytes.split_last().and_then(|(blown, worse)| Some((*blown, Alarm::from_bytes(worse)?)));
        parts.map_or_else(Self::default, |(blown, worse)| Self { worse, is_blown: blown == 1 })
    }
}

/// Whether users bear out what many failures say: those who fail on the canary, and never on stable, are more than its share
/// of the users would make, but for a chance of 5 %. So one client who tries again and again closes nothing. Where most
/// cells are taken nothing is to be seen by it.
fn bear_out(users: &Maps, share: Weight) -> bool {
    const CORROBORATION: f64 = 3.0;
    const SATURATED: u32 = CELLS / 10 * 7;
    let of = |arm| users.of(arm, Met::Failure);
    let (stable, canary) = (of(Arm::Stable), of(Arm::Canary));
    let only = (canary.without(stable).count(), stable.without(canary).count());
    let mut test = Comparison::new(Claim::Worse);
    let exposure = (share.share(), 1.0 - share.share());
    let bad = (u64::from(only.0), u64::from(only.1));
    test.take_in_of(exposure, bad, 0, Allowance::new(1.0, 0.0), Dispersion::NONE);
    canary.count().max(stable.count()) > SATURATED || test.ln_e() >= CORROBORATION
}

/// What the gauge [`FUSE`] says: that the canary is closed, in the run with this salt. It outlives the run.
pub fn blown_in(salt: &str) -> u64 {
    Word { run: RunMark::of(salt), cells: 1 }.to_value()
}

/// Raw name of the gauge [`FUSE`] of a release, called `namespace/release`.
pub fn raw_gauge(release: &str) -> String {
    format!("tag.{release};.{FUSE}")
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "neither negative nor above a million"
)]
fn whole(number: f64) -> u32 {
    number.round() as u32
}
