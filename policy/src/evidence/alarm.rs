/*!
The canary against stable, for a watch that nobody ends.
*/
use super::comparison::gain;
use super::{ALTERNATIVES, Allowance, Tally, as_f64, factors, ln_sum};
use crate::weight::Weight;

/// Evidence that the canary is worse than allowed *by now*, whenever that began.
///
/// The bets are those of a [`Comparison`](super::Comparison), each begun anew whenever it has lost all: the sums of Page's
/// CUSUM. What was good for hours is forgotten, so a fault is found as soon after it begins late as early. What that costs:
/// there is no chance of α for ever, but a mean time between false alarms. The mean of such sums is an *e-detector*: as long
/// as the canary is no worse than allowed, an alarm at ln E = ln A comes after A intervals on average, at the least (Shin,
/// Ramdas and Rinaldo, "E-detectors: a nonparametric framework for sequential change detection", 2024, theorem 2.4).
///
/// How requests divide between the versions is taken from the interval and from what came before at the same share, so that
/// an interval may end with a failure: one failed request says little about how many each version gets. That is an estimate,
/// and the theorem holds as far as it does.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Alarm {
    stakes: [f64; ALTERNATIVES],
    /// Requests to the canary and to stable since the canary's share was last changed.
    seen: (u64, u64),
    /// That share.
    share: Weight,
}

impl Alarm {
    /// For how many requests what is known of the exposure counts in an interval.
    const KNOWN: f64 = 20.0;

    /// Takes in one interval, in which the canary was to get this `share` of the requests.
    pub fn take_in(&mut self, canary: Tally, stable: Tally, share: Weight, allowance: Allowance) {
        if self.share != share {
            (self.share, self.seen) = (share, (0, 0));
        }
        let share = share.share();
        self.seen.0 = self.seen.0.saturating_add(canary.requests);
        self.seen.1 = self.seen.1.saturating_add(stable.requests);
        let (exposed, control) =
            (as_f64(self.seen.0) + Self::KNOWN * share, as_f64(self.seen.1) + Self::KNOWN * (1.0 - share));
        let known = Self::KNOWN / (exposed + control);
        let exposure = (as_f64(canary.requests) + known * exposed, as_f64(stable.requests) + known * control);
        if !(exposure.0 > 0.0 && exposure.1 > 0.0) {
            return;
        }
        let bad = (as_f64(canary.bad.min(canary.requests)), as_f64(stable.bad.min(stable.requests)));
        for (stake, r) in self.stakes.iter_mut().zip(factors()) {
            let gain = gain(r, exposure, bad, allowance, as_f64(canary.requests));
            if gain.is_finite() {
                *stake = (*stake + gain).max(0.0);
            }
        }
    }

    /// The evidence: ln E.
    pub fn ln_e(&self) -> f64 {
        ln_sum(self.stakes.iter().copied()) - as_f64(ALTERNATIVES as u64).ln()
    }

    /// All of it, as numbers of 8 bytes each.
    pub fn to_bytes(self) -> Vec<u8> {
        let counts = [self.seen.0, self.seen.1, u64::from(self.share.ppm())];
        let stakes = self.stakes.iter().map(|stake| stake.to_bits());
        stakes.chain(counts).flat_map(u64::to_le_bytes).collect()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) gives; none from anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks();
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        let mut alarm = Self::default();
        for stake in &mut alarm.stakes {
            *stake = f64::from_bits(words.next()?);
        }
        alarm.seen = (words.next()?, words.next()?);
        alarm.share = Weight::from_ppm(u32::try_from(words.next()?).ok()?).ok()?;
        (words.next().is_none() && rest.is_empty() && alarm.ln_e().is_finite()).then_some(alarm)
    }
}
