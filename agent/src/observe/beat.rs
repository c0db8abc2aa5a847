/*!
The clock that an agent with many releases keeps to.

Releases under way are looked at together, at multiples of their interval, and what they go by is asked for just before:
so each source is asked once for all of them, and nobody waits for an answer.
*/
use std::time::Duration;

use tokio::time::Instant;

/// The moments at which releases are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Beat(Instant);

impl Beat {
    /// A clock that begins now.
    pub fn begin() -> Self {
        Self(Instant::now())
    }

    /// How long until the next look at what is looked at `every` so often. One that is out of step, because something
    /// has happened in between, skips a look that would follow at once.
    pub fn until_look(self, every: Duration) -> Duration {
        let now = Instant::now();
        self.first_after(now + every / 2, every) - now
    }

    /// The first moment after `after` that lies `lead` before a look.
    pub(super) fn before_look(self, every: Duration, lead: Duration, after: Instant) -> Instant {
        self.first_after(after + lead, every) - lead
    }

    /// The first multiple of `every` after `after`.
    fn first_after(self, after: Instant, every: Duration) -> Instant {
        let nanos = every.as_nanos().max(1);
        let passed = after.saturating_duration_since(self.0).as_nanos();
        let rest = nanos - passed % nanos;
        after + Duration::from_nanos(u64::try_from(rest).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[tokio::test(start_paused = true)]
    async fn looks_are_at_multiples_of_their_interval_and_never_follow_at_once() {
        let beat = Beat::begin();
        for (passed, expected) in [(0, 1000), (3, 997), (499, 501), (500, 1500), (990, 1010)] {
            tokio::time::sleep_until(beat.0 + 7 * SECOND + ms(passed)).await;
            assert_eq!(beat.until_look(SECOND), ms(expected), "{passed} ms after a look");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_for_before_a_look_is_asked_for_before_each() {
        let beat = Beat::begin();
        let (begun, mut at) = (beat.0, beat.0);
        for look in 1..=3 {
            at = beat.before_look(SECOND, ms(50), at);
            assert_eq!(at + ms(50) - begun, look * SECOND);
        }
    }
}
