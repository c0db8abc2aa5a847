/*!
What both versions do at present.
*/
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serin_policy::evidence::{Tally, as_f64};

/// Requests and bad ones of both versions, of which those of a while ago count ever less.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Recent {
    canary: Fading,
    stable: Fading,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Fading {
    requests: f64,
    bad: f64,
}

/// After this time, a request counts a third.
const TIME_CONSTANT: Duration = Duration::from_secs(15);

/// Fewer bad requests than this are nobody's trouble.
const SOME: f64 = 3.0;

impl Recent {
    pub(super) fn take_in(&mut self, canary: Tally, stable: Tally, length: Duration) {
        let fade = fade(length, TIME_CONSTANT);
        self.canary.take_in(canary, fade);
        self.stable.take_in(stable, fade);
    }

    /// Whether both versions have more bad requests at present than the canary may have at most.
    pub(super) fn is_shared_trouble(&self, limit: f64) -> bool {
        self.canary.is_above(limit) && self.stable.is_above(limit)
    }
}

impl Recent {
    /// Stable's share of bad requests at present: of the latest `interval` alone where that has enough of them to say
    /// something, as when a database goes away from one moment to the next. None without requests.
    pub(super) fn stable_now(&self, interval: Tally) -> Option<f64> {
        let Fading { requests, bad } = self.stable;
        let lately = (requests > 0.0).then(|| bad / requests)?;
        let now = interval.share().filter(|_| as_f64(interval.bad) >= SOME);
        Some(now.map_or(lately, |now| now.max(lately)))
    }
}

/// What something counts after an interval of this `length`, if it counts a third after `time_constant`.
pub(super) fn fade(length: Duration, time_constant: Duration) -> f64 {
    (-length.as_secs_f64() / time_constant.as_secs_f64()).exp()
}

impl Fading {
    fn take_in(&mut self, tally: Tally, fade: f64) {
        self.requests = self.requests * fade + as_f64(tally.requests);
        self.bad = self.bad * fade + as_f64(tally.bad);
    }

    fn is_above(self, limit: f64) -> bool {
        self.bad >= SOME && self.bad > limit * self.requests
    }
}
