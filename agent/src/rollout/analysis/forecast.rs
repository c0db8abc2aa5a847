/*!
How long a fault would take to be caught.
*/
use std::time::Duration;

use serin_policy::evidence::{Allowance, Ceiling, Claim, Comparison, Dispersion, Tally};

use crate::release::Criterion;

/// The traffic that a fault is looked for in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Traffic {
    /// Requests a second to the canary.
    pub canary_rps: f64,
    /// Requests a second to stable.
    pub stable_rps: f64,
    /// Stable's share of bad requests.
    pub base: f64,
}

/// About how long it takes until a canary whose share of bad requests is `factor` × stable's is caught; none when that
/// is still allowed, or takes longer than a week.
///
/// The evidence is followed along its expectation, in looks that grow, until either test has what it needs.
pub fn seconds_to_catch(
    traffic: Traffic,
    factor: f64,
    criterion: &Criterion,
    allowance: Allowance,
    dispersion: Dispersion,
    needed: f64,
) -> Option<Duration> {
    const LONGEST: f64 = 7.0 * 24.0 * 3600.0;
    let bad = (traffic.base * factor).min(1.0);
    let mut seconds = 1.0;
    while seconds < LONGEST {
        let tally = |rps: f64, share: f64| expected(rps * seconds, share);
        let (canary, stable) = (tally(traffic.canary_rps, bad), tally(traffic.stable_rps, traffic.base));
        let mut worse = Comparison::watchful(Claim::Worse);
        worse.take_in(canary, stable, allowance, dispersion);
        let mut over = Ceiling::watchful();
        over.take_in(canary, criterion.limit.share(), dispersion);
        if worse.ln_e().max(over.ln_e()) >= needed {
            return Some(Duration::from_secs_f64(seconds));
        }
        seconds *= 1.1;
    }
    None
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of a week at most")]
fn expected(requests: f64, share: f64) -> Tally {
    Tally { requests: requests.round() as u64, bad: (requests * share).round() as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::Percent;

    #[track_caller]
    fn check(canary_rps: f64, factor: f64, expected: std::ops::Range<u64>) {
        let traffic = Traffic { canary_rps, stable_rps: 100.0 - canary_rps, base: 0.005 };
        let compare = Allowance::new(1.5, 0.001);
        let criterion = Criterion { limit: Percent::parse("100").unwrap(), compare };
        let found = seconds_to_catch(traffic, factor, &criterion, compare, Dispersion::NONE, 100_f64.ln());
        assert!(found.is_some_and(|found| expected.contains(&found.as_secs())), "{found:?}");
    }

    #[test]
    fn worse_faults_and_more_traffic_are_caught_sooner() {
        check(5.0, 3.0, 600..1200);
        check(5.0, 5.0, 100..250);
        check(5.0, 10.0, 20..70);
        check(50.0, 10.0, 2..15);
    }

    #[test]
    fn what_is_allowed_is_never_caught() {
        let traffic = Traffic { canary_rps: 50.0, stable_rps: 50.0, base: 0.005 };
        let compare = Allowance::new(1.5, 0.001);
        let criterion = Criterion { limit: Percent::parse("1").unwrap(), compare };
        assert_eq!(seconds_to_catch(traffic, 1.4, &criterion, compare, Dispersion::NONE, 4.6), None);
    }
}
