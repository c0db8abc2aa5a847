/*!
How long a canary may have users without a look of the agent: nobody else would take back a bad version.

The plan says how long; whoever writes it in front of the proxies adds the time. From the promotion on stable may have
no pods for everybody any more, so nothing runs out there.
*/
use std::time::Duration;

use jiff::Timestamp;
use serin_policy::Lease;

use super::phase::Phase;
use super::{InForce, Tick, Write};

/// How long what is in front of the proxies may stay without another look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// Until something else is written.
    Open,
    /// So long from this look on.
    For(Duration),
    /// As long as it was to before this look.
    AsItIs,
}

impl Term {
    /// The lease, in seconds since 1970, where the present one runs `until`.
    pub fn lease(self, until: Option<u64>, now: Timestamp) -> Option<u64> {
        match self {
            Self::Open => None,
            Self::For(term) => Some(seconds(now).saturating_add(term.as_secs())),
            Self::AsItIs => until,
        }
    }

    /// Whether the lease is to be written, where the present one runs `until`. A third of it is used up first, so that there
    /// are few writes and much time for another try.
    pub fn is_due(self, until: Option<u64>, now: Timestamp) -> bool {
        // It is longer than it is to be if the Release was edited, or a clock was set.
        const LONGER_S: u64 = 60;
        match (self, until) {
            (Self::Open, until) => until.is_some(),
            (Self::AsItIs, _) => false,
            (Self::For(_), None) => true,
            (Self::For(term), Some(until)) => {
                let (left, term) = (until.saturating_sub(seconds(now)), term.as_secs());
                left < term - term / 3 || left > term.saturating_add(LONGER_S)
            }
        }
    }
}

fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_second()).unwrap_or_default()
}

impl Tick<'_> {
    /// How long what is in front of the proxies after this tick may stay.
    pub(super) fn term(&self) -> Term {
        let present = match self.observation.in_force {
            InForce::Policy { lease, .. } => lease,
            InForce::Nothing | InForce::Unreadable { .. } => Lease::Unleased,
        };
        let lease = self.release.lease.map_or(Term::Open, Term::For);
        match &self.status.phase {
            Phase::Starting { .. } | Phase::Progressing(_) | Phase::OffPlan { .. } | Phase::Receding(_) => {
                // Nobody goes back to the canary but by a push, whatever the Release says by now.
                let stays_lapsed = present == Lease::Lapsed && self.write <= Write::NotYet;
                if stays_lapsed { Term::AsItIs } else { lease }
            }
            // The agent is there and hears people, though it cannot say where the run stands.
            Phase::Unreadable { .. } if present == Lease::Held => lease,
            Phase::Unreadable { .. } if self.release.lease.is_some() => Term::AsItIs,
            // Stable is there for them, and whoever is on them would stay there.
            _ if self.versions_need_lease() => {
                let stays_lapsed = present == Lease::Lapsed && self.write <= Write::NotYet;
                if stays_lapsed { Term::AsItIs } else { lease }
            }
            _ => Term::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    fn now() -> Timestamp {
        Timestamp::from_second(1_000_000).unwrap()
    }

    #[test]
    fn a_lease_is_renewed_when_a_third_of_it_is_used_up() {
        let term = Term::For(Duration::from_mins(15));
        for (until, is_due) in [
            (None, true),
            (Some(NOW - 1), true),
            (Some(NOW + 599), true),
            (Some(NOW + 600), false),
            (Some(NOW + 900), false),
            (Some(NOW + 960), false),
            (Some(NOW + 961), true),
        ] {
            assert_eq!(term.is_due(until, now()), is_due, "{until:?}");
            assert_eq!(term.lease(until, now()), Some(NOW + 900));
        }
    }

    #[test]
    fn what_has_no_end_has_its_lease_taken_away_and_what_stays_as_it_is_is_not_touched() {
        for (until, is_due) in [(None, false), (Some(NOW + 1), true)] {
            assert_eq!((Term::Open.is_due(until, now()), Term::Open.lease(until, now())), (is_due, None));
            assert_eq!((Term::AsItIs.is_due(until, now()), Term::AsItIs.lease(until, now())), (false, until));
        }
    }
}
