/*!
How many requests come since everybody is on the canary, beside how many came just before.

Nobody is left on stable then to compare with, so it is a comparison with the past, and no proof: it holds the end of the
bake for a person to look, and takes nothing back. Callers of a version that is off the air in a way that no answer tells
are gone within minutes.
*/
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serin_policy::evidence::{Allowance, as_f64};

use super::recent::fade;

/// Requests a second, lately.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Volume {
    before: Rate,
    since: Rate,
}

/// Requests and seconds, of which those of a while ago count ever less.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Rate {
    requests: f64,
    seconds: f64,
}

/// After this time, a request counts a third.
const TIME_CONSTANT: Duration = Duration::from_mins(1);

/// So many requests must have been expected: how many come of fewer callers is a matter of chance.
const SOME: f64 = 100.0;

impl Volume {
    /// Takes in an interval of this `length` with so many requests, in which everybody was on the canary or not.
    pub(super) fn take_in(&mut self, requests: u64, length: Duration, everybody: bool) {
        let rate = if everybody { &mut self.since } else { &mut self.before };
        let fade = fade(length, TIME_CONSTANT);
        rate.requests = rate.requests * fade + as_f64(requests);
        rate.seconds = rate.seconds * fade + length.as_secs_f64();
    }

    /// Whether so few come since everybody is on the canary that there were more than allowed before, and the difference is
    /// no matter of chance.
    pub(super) fn has_fallen(&self, allowance: Allowance) -> bool {
        let Self { before, since } = self;
        if before.seconds <= 0.0 {
            return false;
        }
        let expected = before.requests / before.seconds * since.seconds;
        expected >= SOME && expected > allowance.ratio() * since.requests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether requests have fallen that were `before` a second for two minutes, and are `since` a second for so many seconds.
    #[track_caller]
    fn check(before: u64, (seconds, since): (u32, u64), expected: bool) {
        let mut volume = Volume::default();
        for _ in 0..120 {
            volume.take_in(before, Duration::from_secs(1), false);
        }
        for _ in 0..seconds {
            volume.take_in(since, Duration::from_secs(1), true);
        }
        assert_eq!(
            volume.has_fallen(Allowance::new(2.0, 0.0)),
            expected,
            "{before}, then {since} for {seconds} s"
        );
    }

    #[test]
    fn requests_that_stay_away_are_seen_and_fewer_of_them_are_not() {
        check(10, (60, 4), true);
        check(10, (60, 0), true);
        check(10, (60, 6), false);
        check(10, (60, 20), false);
        // Nobody knows yet, or nobody ever will.
        check(10, (5, 0), false);
        check(1, (600, 0), false);
        check(0, (60, 10), false);
    }

    #[test]
    fn what_was_not_counted_for_a_while_and_comes_at_once_is_no_fall() {
        let mut volume = Volume::default();
        (0..120).for_each(|_| volume.take_in(10, Duration::from_secs(1), false));
        (0..20).for_each(|_| volume.take_in(0, Duration::from_secs(1), true));
        volume.take_in(210, Duration::from_secs(1), true);
        assert!(!volume.has_fallen(Allowance::new(2.0, 0.0)));
    }
}
