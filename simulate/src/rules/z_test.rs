/*!
What a statistician in a hurry would do: a test of two shares made for one look, looked at all the time.
*/
use std::time::Duration;

use serin_policy::Weight;
use serin_policy::evidence::Tally;

use super::{Rule, Stand, bad};
use serin_release::{Metric, Pause, Release};
use serin_rollout::{Cell, Counts};

/// A one-sided two-proportion z-test on all that was counted since the canary's first request. The release's chance of
/// a false rollback is divided among the metrics, not among the looks. Steps last as long as their pauses say.
pub(crate) struct ZTest {
    metrics: Vec<Metric>,
    /// The z from which the canary is taken back.
    critical: f64,
    /// When each step ends, and its weight.
    steps: Vec<(Duration, Weight)>,
    seen: Counts,
    stand: Stand,
}

impl ZTest {
    /// At the first step of `release`.
    pub(crate) fn new(release: &Release) -> Self {
        let judged = |metric: &Metric| {
            release.analysis.criterion(*metric).is_some_and(|criterion| criterion.limit.is_some())
        };
        let metrics: Vec<_> = Metric::ALL.into_iter().filter(judged).collect();
        let mut ends = Duration::ZERO;
        let steps = release.steps.iter().map(|step| {
            if let Pause::For(pause) = step.pause {
                ends += pause;
            }
            (ends, step.weight)
        });
        #[expect(clippy::cast_precision_loss, reason = "two metrics")]
        let alone = release.analysis.false_rollback.share() / metrics.len().max(1) as f64;
        let mut rule = Self {
            steps: steps.collect(),
            metrics,
            critical: upper_normal_quantile(alone),
            seen: Counts::default(),
            stand: Stand::Promoted,
        };
        rule.go_on(Duration::ZERO);
        rule
    }

    fn go_on(&mut self, now: Duration) {
        let step = self.steps.iter().find(|(ends, _)| now < *ends);
        self.stand = step.map_or(Stand::Promoted, |(_, weight)| Stand::At(*weight));
    }
}

impl Rule for ZTest {
    fn stand(&self) -> Stand {
        self.stand
    }

    fn look(&mut self, counted: &[Cell], now: Duration) {
        self.seen.add(&Counts::of(counted));
        let z = |metric: &Metric| z(bad(&self.seen.canary, *metric), bad(&self.seen.stable, *metric));
        if self.metrics.iter().any(|metric| z(metric) > self.critical) {
            self.stand = Stand::TakenBack;
        } else {
            self.go_on(now);
        }
    }
}

/// By how many standard errors the canary's share of bad requests is above stable's; 0 where there are none.
#[expect(clippy::cast_precision_loss, reason = "beyond 2^53 requests a share does not change by one of them")]
fn z(canary: Tally, stable: Tally) -> f64 {
    let (Some(exposed), Some(control)) = (canary.share(), stable.share()) else { return 0.0 };
    let (n_c, n_s) = (canary.requests as f64, stable.requests as f64);
    let pooled = (canary.bad + stable.bad) as f64 / (n_c + n_s);
    let error = (pooled * (1.0 - pooled) * (1.0 / n_c + 1.0 / n_s)).sqrt();
    if error > 0.0 { (exposed - control) / error } else { 0.0 }
}

/// The z above which a standard normal variable is with a chance of `tail`, above 0 and at most ½, to within 0.00045
/// (Abramowitz and Stegun, 26.2.23).
fn upper_normal_quantile(tail: f64) -> f64 {
    let t = (-2.0 * tail.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    t - above / below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn z_is_what_the_tables_say() {
        for (tail, expected) in [(0.5, 0.0), (0.05, 1.6449), (0.01, 2.3263), (0.0005, 3.2905)] {
            assert!((upper_normal_quantile(tail) - expected).abs() < 0.0005, "{tail}");
        }
        let tally = |requests, bad| Tally { requests, bad };
        // 20 of 200 against 10 of 200: 0.05 / √(0.075 · 0.925 · 2/200).
        assert!((z(tally(200, 20), tally(200, 10)) - 1.8983).abs() < 0.0001);
        assert!(z(tally(0, 0), tally(200, 10)).abs() < f64::EPSILON);
        assert!(z(tally(10, 0), tally(200, 0)).abs() < f64::EPSILON);
    }
}
