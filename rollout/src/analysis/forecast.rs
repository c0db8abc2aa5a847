/*!
How long a fault would take to be caught.
*/
use std::time::Duration;

use serin_policy::evidence::{Allowance, Claim, Comparison, Dispersion, Tally};

/// The traffic that a fault is looked for in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Traffic {
    /// Requests a second to the canary.
    pub(super) canary_rps: f64,
    /// Requests a second to stable.
    pub(super) stable_rps: f64,
    /// Stable's share of bad requests.
    pub(super) base: f64,
}

/// About how long it takes until a canary whose share of bad requests is `factor` × stable's is caught; none when that
/// is still allowed, or takes longer than a week.
///
/// The evidence of the comparison is followed along its expectation until it has what it needs. Along it each stake's logarithm
/// is a straight line, so the evidence is convex in time: once it is enough it stays so, and the moment can be bisected.
pub(super) fn seconds_to_catch(
    traffic: Traffic,
    factor: f64,
    allowance: Allowance,
    dispersion: Dispersion,
    needed: f64,
) -> Option<Duration> {
    let bad = (traffic.base * factor).min(1.0);
    let is_enough = |seconds: f64| {
        let tally = |rps: f64, share: f64| expected(rps * seconds, share);
        let (canary, stable) = (tally(traffic.canary_rps, bad), tally(traffic.stable_rps, traffic.base));
        let mut worse = Comparison::watchful(Claim::Worse);
        worse.take_in(canary, stable, allowance, dispersion);
        worse.ln_e() >= needed
    };
    // Moments that grow by a tenth, from a second to a week.
    let moment = |n: i32| 1.1_f64.powi(n);
    let (mut low, mut high) = (0, MOMENTS);
    while low < high {
        let middle = i32::midpoint(low, high);
        if is_enough(moment(middle)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    (low < MOMENTS).then(|| Duration::from_secs_f64(moment(low)))
}

/// 1.1 to this power is the first beyond a week of seconds.
const MOMENTS: i32 = 140;

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of a week at most")]
fn expected(requests: f64, share: f64) -> Tally {
    Tally { requests: requests.round() as u64, bad: (requests * share).round() as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(canary_rps: f64, factor: f64, expected: std::ops::Range<u64>) {
        let traffic = Traffic { canary_rps, stable_rps: 100.0 - canary_rps, base: 0.005 };
        let compare = Allowance::new(1.5, 0.001);
        let found = seconds_to_catch(traffic, factor, compare, Dispersion::NONE, 100_f64.ln());
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
        assert_eq!(seconds_to_catch(traffic, 1.4, compare, Dispersion::NONE, 4.6), None);
    }
}
