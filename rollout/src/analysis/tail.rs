/*!
Which edges stand for how long the slowest of stable's requests take.
*/
use crate::observation::{ArmCounts, EDGES_MS};

/// The shares of requests that are slowest: beyond p95 and p99.
const BEYOND: [f64; 2] = [0.05, 0.01];

/// Too few requests to know a percentile by.
const FEW: u64 = 200;

/// Beyond this share an edge says nothing of the slowest.
const MOST: f64 = 0.5;

/// The places in [`EDGES_MS`] between which the p95 of `stable` is, and the first beyond its p99; none where too few
/// requests were timed.
///
/// Of a bucket only its edges are known. What makes the slowest half as slow again moves many requests over one of the
/// two.
pub(super) fn edges(stable: &ArmCounts) -> Vec<usize> {
    if stable.timed < FEW {
        return Vec::new();
    }
    #[expect(clippy::cast_precision_loss, reason = "shares")]
    let shares: Vec<f64> = stable.slower_than.iter().map(|n| *n as f64 / stable.timed as f64).collect();
    let mut edges = Vec::new();
    for beyond in BEYOND {
        let upper = shares.iter().position(|share| *share < beyond);
        let lower = upper.unwrap_or(EDGES_MS.len()).checked_sub(1);
        let lower = lower.filter(|lower| shares.get(*lower).is_some_and(|share| *share <= MOST));
        edges.extend(lower.into_iter().chain(upper));
    }
    edges.sort_unstable();
    edges.dedup();
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(slower_than: [u64; EDGES_MS.len()], expected_ms: &[u32]) {
        let stable = ArmCounts { timed: 1000, slower_than, ..ArmCounts::default() };
        let found: Vec<_> = edges(&stable).into_iter().map(|edge| EDGES_MS[edge]).collect();
        assert_eq!(found, expected_ms);
    }

    #[test]
    fn the_edges_around_the_percentiles_are_taken() {
        // p95 is between 100 and 250 ms, p99 between 250 and 500.
        check([990, 980, 900, 700, 120, 20, 5, 0, 0, 0, 0, 0], &[100, 250, 500]);
        // Both are between 25 and 50; nine in ten are slower than 25, which says nothing.
        check([1000, 990, 900, 3, 0, 0, 0, 0, 0, 0, 0, 0], &[50]);
        // All are slower than every edge.
        check([1000; EDGES_MS.len()], &[]);
        assert_eq!(edges(&ArmCounts::default()), [0; 0]);
    }
}
