/*!
What rules bring to the canary besides its weight: members of segments, and testers. They are there at 0 % too, and pods that
are reckoned from the weight alone would not do for them.

How many they are is measured. Of a run that nobody has met yet nothing can be; what the one before it brought is the best
guess then.
*/
use serde::{Deserialize, Serialize};
use serin_policy::{Arm, Weight};

use super::Tick;
use super::observation::{Cell, Drawn, Observation};
use super::phase::Phase;

/// So many requests are remembered: later ones take the place of earlier ones.
const MEMORY: u64 = 2_000;

/// Of fewer nothing is concluded.
const ENOUGH: u64 = 100;

/// The share of all requests that rules bring to the canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Brought {
    /// Requests that rules gave to the canary, of those remembered.
    canary: u64,
    /// All requests that are remembered.
    all: u64,
    /// The share that pods are reckoned by: it follows what is measured, and not every chance.
    share: Weight,
    /// The fingerprint of the rules under which it was measured; none of what an older agent saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<u64>,
}

impl Brought {
    /// Forgets what other rules than these have brought: nothing could be measured against it before the canary is open, and
    /// it would wait for pods for them until then.
    fn is_under(&mut self, rules: Option<u64>) {
        if rules.is_none() || self.rules.is_some() && self.rules != rules {
            *self = Self::default();
        }
        self.rules = rules;
    }

    fn take_in(&mut self, canary: u64, all: u64) {
        let (canary, all) = (self.canary + canary, self.all + all);
        let kept = all.min(MEMORY);
        self.canary = (canary * kept).checked_div(all).unwrap_or_default();
        self.all = kept;
        if self.all < ENOUGH {
            return;
        }
        let measured =
            u32::try_from(self.canary * u64::from(Weight::FULL.ppm()) / self.all).unwrap_or_default();
        let measured = Weight::from_ppm(measured).unwrap_or(Weight::FULL);
        let (share, present) = (u64::from(measured.ppm()), u64::from(self.share.ppm()));
        if share * 10 > present * 11 || share * 2 < present {
            self.share = measured;
        }
    }

    /// The canary's share of all requests where its weight is `weight`, in ppm.
    pub(super) fn with(self, weight: Weight) -> u64 {
        let (brought, full) = (u64::from(self.share.ppm()), u64::from(Weight::FULL.ppm()));
        brought + (full - brought) * u64::from(weight.ppm()) / full
    }
}

impl Tick<'_> {
    /// Takes in what rules brought to the canary since the last look, where it is open to them.
    pub(super) fn take_in_brought(&mut self) {
        self.status.pods.brought.is_under(self.release.rules_fingerprint());
        if !matches!(
            self.status.phase,
            Phase::Starting { since: Some(_), .. }
                | Phase::Progressing(_)
                | Phase::OffPlan { .. }
                | Phase::Receding(_)
        ) {
            return;
        }
        let Observation { counted, chosen, unassignable, .. } = self.observation;
        let is_split = |cell: &&Cell| cell.arm == Arm::Canary && matches!(cell.drawn, Drawn::Split(_));
        let requests = |cell: &Cell| cell.counts.requests;
        let by_rule: u64 = chosen.iter().map(|chosen| chosen.counts.requests).sum();
        let all = by_rule + counted.iter().map(requests).sum::<u64>() + unassignable;
        let chosen = chosen.iter().filter(|chosen| chosen.arm == Arm::Canary);
        let canary = chosen.map(|chosen| chosen.counts.requests).sum::<u64>()
            + counted.iter().filter(is_split).map(requests).sum::<u64>();
        self.status.pods.brought.take_in(canary, all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes looks in, each of so many requests by a rule to the canary, and of all; expects the share in percent.
    #[track_caller]
    fn check(looks: &[(u64, u64)], expected: u32) {
        let mut brought = Brought::default();
        for &(canary, all) in looks {
            brought.take_in(canary, all);
        }
        assert_eq!(brought.share.ppm() / 10_000, expected, "{looks:?}: {brought:?}");
    }

    #[test]
    fn the_share_is_that_of_the_latest_requests() {
        check(&[], 0);
        check(&[(40, 99)], 0);
        check(&[(40, 100)], 40);
        check(&[(10, 100), (50, 100)], 30);
        check(&[(0, 2_000), (2_000, 2_000)], 50);
        check(&[(4_000, 10_000)], 40);
    }

    #[test]
    fn chance_moves_it_not() {
        check(&[(400, 1_000), (410, 1_000)], 40);
        // Fewer at one time come back; half as many have gone.
        check(&[(800, 2_000), (500, 2_000)], 40);
        check(&[(800, 2_000), (0, 8_000)], 8);
    }

    #[test]
    fn what_other_rules_have_brought_is_forgotten() {
        let measured = |rules| {
            let mut brought = Brought { rules, ..Brought::default() };
            brought.take_in(400, 1_000);
            brought
        };
        for (before, now, is_kept) in [
            (Some(1), Some(1), true),
            (Some(1), Some(2), false),
            (Some(1), None, false),
            // Who saved it did not say what it was under.
            (None, Some(1), true),
            (None, None, false),
        ] {
            let mut brought = measured(before);
            brought.is_under(now);
            let share = if is_kept { measured(None).share } else { Weight::ZERO };
            assert_eq!((brought.share, brought.rules), (share, now), "{before:?}, {now:?}");
        }
    }

    #[test]
    fn a_weight_is_of_those_whom_no_rule_brings() {
        let brought = Brought { share: Weight::from_ppm(400_000).unwrap(), ..Brought::default() };
        for (weight, expected) in [(0, 400_000), (500_000, 700_000), (1_000_000, 1_000_000)] {
            assert_eq!(brought.with(Weight::from_ppm(weight).unwrap()), expected);
        }
    }
}
