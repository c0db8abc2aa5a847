/*!
How long a fault would take to be caught, and how small a fault would be, by the traffic of the run's beginning.
*/
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serin_policy::evidence::{Allowance, Claim, Comparison, Dispersion, Tally, as_f64};
use serin_policy::{Cohort, Weight};

use super::evidence::Evidence;
use super::findings::needed;
use super::signal::Signal;
use super::verdict::Judged;
use serin_release::{Metric, Pause, Percent, Release, Step};

/// How long a fault would take to be caught at a step, at the traffic of the run's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// The step, from 1.
    pub step: usize,
    /// Its weight.
    pub weight: Weight,
    /// About how long it takes until a canary that fails three times as often as stable is caught; none for never.
    pub threefold: Option<Duration>,
    /// The same of one that fails ten times as often.
    pub tenfold: Option<Duration>,
}

impl Evidence {
    /// How long faults would take to be caught at each step, by the traffic at weight 0; nothing before there was any, or
    /// where failures are not judged.
    pub fn forecasts(&self, release: &Release) -> Vec<Forecast> {
        let analysis = &release.analysis;
        let (Some(criterion), Some(rps)) =
            (analysis.criterion(Metric::RequestSuccessRate), self.requests_per_second())
        else {
            return Vec::new();
        };
        let base = self.baseline.at_rest().1.of(Signal::Failed).cautious_share();
        let dispersion = self.failed.contrast.dispersion(analysis.dispersion);
        let judged = Judged::Requests(Metric::RequestSuccessRate);
        let needed = needed(&self.stakes(analysis), &judged, analysis);
        let forecast = |(i, weight): (usize, Weight)| {
            let traffic = Traffic::at(weight, rps, base);
            let allowance =
                criterion.compare.relaxed_by(self.baseline.ratio(Signal::Failed, Cohort::Step(i), i + 1));
            let after = |factor| seconds_to_catch(traffic, factor, allowance, dispersion, needed);
            Forecast { step: i + 1, weight, threefold: after(3.0), tenfold: after(10.0) }
        };
        release.steps.iter().map(|step| step.weight).enumerate().map(forecast).collect()
    }

    /// The smallest share of requests, bad in the sense of `metric`, that the comparison would catch within the step of this
    /// `weight`, or the first one at weight 0; none where nothing would be, or nobody is there to compare with.
    pub(super) fn smallest(
        &self,
        metric: Metric,
        release: &Release,
        weight: Weight,
        (allowance, dispersion, needed): (Allowance, Dispersion, f64),
    ) -> Option<Percent> {
        let step = release.steps.iter().find(|step| step.weight >= weight)?;
        let base = self.stable_at_rest(metric)?.cautious_share();
        let traffic = Traffic::at(step.weight, self.requests_per_second()?, base);
        let within = traffic.lasts(step, release.analysis.min_requests);
        let share = smallest_to_catch(traffic, within, allowance, dispersion, needed)?;
        Percent::at_least(share)
    }

    /// What stable had at weight 0, in the sense of `metric`.
    fn stable_at_rest(&self, metric: Metric) -> Option<Tally> {
        let all = self.baseline.at_rest().1;
        let signal = match metric {
            Metric::RequestSuccessRate => Signal::Failed,
            Metric::RequestDuration => Signal::Slow,
            Metric::ClientErrors => Signal::ClientError,
            Metric::ClientAborts => Signal::Left,
            // Which edge of the times, or which routes, nobody knows beforehand.
            Metric::LatencyTail | Metric::RouteErrors | Metric::TrafficShare => return None,
        };
        Some(all.of(signal)).filter(|tally| tally.requests > 0)
    }
}

/// The traffic that a fault is looked for in.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Traffic {
    /// Requests a second to the canary.
    canary_rps: f64,
    /// Requests a second to stable.
    stable_rps: f64,
    /// Stable's share of bad requests.
    base: f64,
}

impl Traffic {
    /// So many requests a second in all, of which stable would have this share of bad ones.
    fn at(weight: Weight, rps: f64, base: f64) -> Self {
        let share = weight.share();
        Self { canary_rps: rps * share, stable_rps: rps * (1.0 - share), base }
    }

    /// How long a step lasts in seconds: at least until the canary has had the requests of a verdict.
    fn lasts(&self, step: &Step, min_requests: u64) -> f64 {
        let requests = as_f64(min_requests) / self.canary_rps;
        match step.pause {
            Pause::For(duration) => requests.max(duration.as_secs_f64()),
            Pause::None | Pause::UntilApproved => requests,
        }
    }

    /// Whether the comparison has the evidence that is `needed` after so many `seconds`, on average, if so large a share of the
    /// canary's requests is `bad`.
    fn is_caught(
        &self,
        bad: f64,
        seconds: f64,
        allowance: Allowance,
        dispersion: Dispersion,
        needed: f64,
    ) -> bool {
        let tally = |rps: f64, share: f64| expected(rps * seconds, share);
        let (canary, stable) = (tally(self.canary_rps, bad), tally(self.stable_rps, self.base));
        let mut worse = Comparison::watchful(Claim::Worse);
        worse.take_in(canary, stable, allowance, dispersion);
        worse.ln_e() >= needed
    }
}

/// About how long it takes until a canary whose share of bad requests is `factor` × stable's is caught; none when that
/// is still allowed, or takes longer than a week.
///
/// The evidence of the comparison is followed along its expectation until it has what it needs. Along it each stake's logarithm
/// is a straight line, so the evidence is convex in time: once it is enough it stays so, and the moment can be bisected.
fn seconds_to_catch(
    traffic: Traffic,
    factor: f64,
    allowance: Allowance,
    dispersion: Dispersion,
    needed: f64,
) -> Option<Duration> {
    let bad = (traffic.base * factor).min(1.0);
    let is_enough = |seconds| traffic.is_caught(bad, seconds, allowance, dispersion, needed);
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

/// About the smallest share of bad requests by which a canary is caught within so many seconds; none when even one that fails
/// always is not. The evidence grows with the share once that is more than is allowed, so it can be bisected.
fn smallest_to_catch(
    traffic: Traffic,
    seconds: f64,
    allowance: Allowance,
    dispersion: Dispersion,
    needed: f64,
) -> Option<f64> {
    let is_enough = |bad| traffic.is_caught(bad, seconds, allowance, dispersion, needed);
    let (mut low, mut high) = (allowance.allowed(traffic.base), 1.0);
    if low >= 1.0 || !is_enough(high) {
        return None;
    }
    // To a hundredth of a percent.
    while high - low > 1e-4 {
        let middle = f64::midpoint(low, high);
        if is_enough(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
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

    #[test]
    fn smaller_faults_are_caught_in_longer_steps_and_by_more_traffic() {
        let smallest = |weight: u32, seconds, base| {
            let traffic = Traffic::at(Weight::from_ppm(weight).unwrap(), 100.0, base);
            smallest_to_catch(traffic, seconds, Allowance::new(1.5, 0.001), Dispersion::NONE, 100_f64.ln())
        };
        let (short, long, wide) =
            (smallest(10_000, 60.0, 0.005), smallest(10_000, 600.0, 0.005), smallest(500_000, 60.0, 0.005));
        assert!(short > long && long > wide, "{short:?}, {long:?}, {wide:?}");
        // What is found is what would be caught in that time.
        let factor = long.unwrap() / 0.005;
        let traffic = Traffic::at(Weight::from_ppm(10_000).unwrap(), 100.0, 0.005);
        let compare = Allowance::new(1.5, 0.001);
        let after = seconds_to_catch(traffic, factor, compare, Dispersion::NONE, 100_f64.ln()).unwrap();
        assert!((500..=660).contains(&after.as_secs()), "{after:?}");
        // Of one request nothing is to be learned, and nobody may have more than all.
        assert_eq!(smallest(10_000, 1.0, 0.005), None);
        assert_eq!(smallest(10_000, 600.0, 0.9), None);
    }
}
