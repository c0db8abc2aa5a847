/*!
The wall clock beside the time that goes by: how far it was set between two looks.
*/
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// What no clock is set by on purpose.
const NEGLIGIBLE: SignedDuration = SignedDuration::from_secs(1);

/// When a release was last looked at, by both.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Clock(Option<(Timestamp, Instant)>);

impl Clock {
    /// How far the wall clock, which says `now`, was set since the last look. Before the first look of this process, that
    /// was another one's, with perhaps another clock, `saved` in its state: nobody knows how much time went by since, and
    /// none counts.
    pub(crate) fn look(&mut self, now: Timestamp, saved: Option<Timestamp>) -> SignedDuration {
        self.look_at(now, Instant::now(), saved)
    }

    fn look_at(&mut self, now: Timestamp, by: Instant, saved: Option<Timestamp>) -> SignedDuration {
        let moved = match self.0.replace((now, by)) {
            Some((then, at)) => {
                let went_by = SignedDuration::try_from(by.duration_since(at)).unwrap_or(SignedDuration::MAX);
                now.duration_since(then).saturating_sub(went_by)
            }
            None => saved.map_or(SignedDuration::ZERO, |then| now.duration_since(then)),
        };
        if moved.abs() < NEGLIGIBLE { SignedDuration::ZERO } else { moved }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn only_what_the_wall_clock_has_moved_besides_counts() {
        let began = Instant::now();
        let later = |seconds| began + Duration::from_secs(seconds);
        let mut clock = Clock::default();
        let mut check = |now, by, seconds| {
            assert_eq!(clock.look_at(now, by, None).as_secs(), seconds);
        };
        check(at(1_000), later(0), 0);
        check(at(1_005), later(5), 0);
        check(at(1_610), later(10), 600);
        check(at(1_615), later(15), 0);
        check(at(1_020), later(20), -600);
    }

    #[test]
    fn the_time_between_two_agents_counts_for_nothing() {
        for (saved, expected) in [(at(1_600), -595), (at(400), 605), (at(1_005), 0)] {
            let moved = Clock::default().look_at(at(1_005), Instant::now(), Some(saved));
            assert_eq!(moved.as_secs(), expected);
        }
        assert!(Clock::default().look_at(at(1_005), Instant::now(), None).is_zero());
    }
}
