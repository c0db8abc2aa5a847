/*!
Metrics of people's own: numbers without counts behind them.

A number says nothing of how sure it is. What can be promised is about readings: of a good canary at most one in ten is
out of its range, in excursions of three readings on average at most. Evidence that there is more is gathered as it is for
requests (`serin_policy::evidence::Excursions`).
*/
use serde::{Deserialize, Serialize};
use serin_policy::evidence::{Excursions, Tally};

use super::verdict::Test;
use crate::observation::{MetricReading, MetricValue};
use serin_release::{CustomMetric, Excess};

/// Why an empty answer is no reading, and what to do where it means that nothing has happened.
const EMPTY: &str = "no series matches the query: if that means 0, add `or vector(0)` to it";

/// What a metric has shown in this run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Readings {
    out_of_range: Excursions,
    too_large: Excursions,
    /// Readings of the canary that were numbers, and those of them that were out of range.
    pub(super) seen: Tally,
    /// Whether the latest number was out of range, or larger than is allowed.
    bad_now: bool,
    /// The latest reading; none before the first.
    pub(super) canary: Option<MetricValue>,
    /// The latest reading of stable, where the two are compared.
    pub(super) stable: Option<MetricValue>,
}

impl Readings {
    /// Takes in a reading. Only numbers are evidence.
    pub(super) fn take_in(&mut self, metric: &CustomMetric, reading: &MetricReading) {
        self.canary = Some(reading.canary.clone());
        self.stable.clone_from(&reading.stable);
        let MetricValue::Number(canary) = reading.canary else { return };
        let out = beyond(canary, metric.range).is_some();
        self.bad_now = out;
        self.seen.add(Tally { requests: 1, bad: u64::from(out) });
        self.out_of_range.take_in(out, CustomMetric::TOLERANCE);
        if let (Some(Excess { ratio, slack }), Some(MetricValue::Number(stable))) =
            (metric.compare, &reading.stable)
        {
            let large = canary > ratio * stable + slack;
            self.bad_now |= large;
            self.too_large.take_in(large, CustomMetric::TOLERANCE);
        }
    }

    /// The tests that the metric takes part in, each with its evidence (ln E) against the canary.
    pub(super) fn tests(&self, metric: &CustomMetric) -> Vec<(f64, Test)> {
        let range = (metric.range != (None, None)).then(|| (self.out_of_range.ln_e(), Test::Range));
        let excess = metric.compare.map(|_| (self.too_large.ln_e(), Test::Excess));
        range.into_iter().chain(excess).collect()
    }

    /// Whether the latest reading speaks against the canary.
    pub(super) const fn is_bad_now(&self) -> bool {
        self.bad_now
    }

    /// Where the canary's latest reading is no reason to go on, though it is none to go back either: the reading, and the
    /// limit that it is beyond, for people.
    pub(super) fn between_limits(&self, metric: &CustomMetric) -> Option<(String, String)> {
        let Some(MetricValue::Number(canary)) = self.canary else { return None };
        let limit = match beyond(canary, metric.success)? {
            Beyond::Min(min) => format!("{min} or more"),
            Beyond::Max(max) => format!("{max} or less"),
        };
        // What changes a little is no news.
        Some((format!("about {}", two_digits(canary)), limit))
    }

    /// Why there is nothing to go by, if there is not.
    pub(super) fn gap(&self) -> Option<String> {
        let Some(canary) = &self.canary else { return Some("it was not read yet".to_owned()) };
        [Some(canary), self.stable.as_ref()].into_iter().flatten().find_map(|value| match value {
            MetricValue::Number(_) => None,
            MetricValue::NotANumber => Some("the query gives NaN: there was nothing to measure".to_owned()),
            MetricValue::Empty => Some(EMPTY.to_owned()),
            MetricValue::Failed(why) => Some(why.clone()),
        })
    }
}

/// The end of a range that a value is beyond.
enum Beyond {
    Min(f64),
    Max(f64),
}

fn beyond(value: f64, (min, max): (Option<f64>, Option<f64>)) -> Option<Beyond> {
    let below = min.filter(|min| value < *min).map(Beyond::Min);
    below.or_else(|| max.filter(|max| value > *max).map(Beyond::Max))
}

/// `value` with the two digits of it that count.
fn two_digits(value: f64) -> f64 {
    format!("{value:.1e}").parse().unwrap_or(value)
}
