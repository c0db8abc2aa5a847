/*!
What statisticians do: one in a hurry looks all the time at a test of two shares that was made for one look; another
spends the chance of an error over the looks.
*/
use std::time::Duration;

use serin_policy::Weight;
use serin_policy::evidence::Tally;

use super::{Counted, Rule, Stand, bad};
use crate::normal;
use serin_release::{Metric, Pause, Release};
use serin_rollout::Counts;

/// A one-sided two-proportion z-test on all that was counted since the canary's first request. The release's chance of
/// a false rollback is divided among the metrics. Steps last as long as their pauses say.
///
/// In a hurry it is not divided among the looks. Otherwise the boundary is O'Brien and Fleming's for looks at any time:
/// the test takes the canary back where B(t) = z·√t reaches c, with t the part of the planned time that is over and c
/// such that Brownian motion reaches it before t = 1 with the chance of 2·(1 − Φ(c)) (Lan and `DeMets`, "Discrete
/// sequential boundaries for clinical trials", 1983).
pub(crate) struct ZTest {
    metrics: Vec<Metric>,
    /// The z from which the canary is taken back, at the end of the plan.
    critical: f64,
    /// Whether it takes more before the end.
    spends: bool,
    /// When each step ends, and its weight.
    steps: Vec<(Duration, Weight)>,
    seen: Counts,
    stand: Stand,
}

impl ZTest {
    /// In a hurry, at the first step of `release`.
    pub(crate) fn peeking(release: &Release) -> Self {
        Self::new(release, false)
    }

    /// With a boundary for every look, at the first step of `release`.
    pub(crate) fn sequential(release: &Release) -> Self {
        Self::new(release, true)
    }

    fn new(release: &Release, spends: bool) -> Self {
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
            critical: normal::quantile(1.0 - if spends { alone / 2.0 } else { alone }),
            spends,
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

    fn look(&mut self, counted: &Counted, now: Duration) {
        self.seen.add(&Counts::of(&counted.cells));
        let z = |metric: &Metric| z(bad(&self.seen.canary, *metric), bad(&self.seen.stable, *metric));
        let planned = self.steps.last().map_or(0.0, |(ends, _)| ends.as_secs_f64());
        let over = if self.spends && planned > 0.0 { (now.as_secs_f64() / planned).min(1.0) } else { 1.0 };
        if self.metrics.iter().any(|metric| z(metric) * over.sqrt() > self.critical) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn z_is_what_the_tables_say() {
        let tally = |requests, bad| Tally { requests, bad };
        // 20 of 200 against 10 of 200: 0.05 / √(0.075 · 0.925 · 2/200).
        assert!((z(tally(200, 20), tally(200, 10)) - 1.8983).abs() < 0.0001);
        assert!(z(tally(0, 0), tally(200, 10)).abs() < f64::EPSILON);
        assert!(z(tally(10, 0), tally(200, 0)).abs() < f64::EPSILON);
    }
}
