/*!
Metrics of people's own: numbers without counts behind them.

A number says nothing of how sure it is. What can be promised is about readings: of a good canary at most one in ten is
out of its range, and evidence that more of them are is gathered as it is for requests.
*/
use serde::{Deserialize, Serialize};
use serin_policy::evidence::{Ceiling, Dispersion, Tally};

use super::verdict::Test;
use crate::observation::{MetricReading, MetricValue};
use serin_release::{CustomMetric, Excess};

/// What a metric has shown in this run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Readings {
    out_of_range: Ceiling,
    too_large: Ceiling,
    /// Readings of the canary that were numbers, and those of them that were out of range.
    pub(super) seen: Tally,
    /// Whether the latest number was out of range, or larger than is allowed.
    bad_now: bool,
    /// The latest reading; none before the first.
    pub(super) canary: Option<MetricValue>,
    /// The latest reading of stable, where the two are compared.
    pub(super) stable: Option<MetricValue>,
}

impl Default for Readings {
    fn default() -> Self {
        Self {
            out_of_range: Ceiling::watchful(),
            too_large: Ceiling::watchful(),
            seen: Tally::default(),
            bad_now: false,
            canary: None,
            stable: None,
        }
    }
}

impl Readings {
    /// Takes in a reading. Only numbers are evidence.
    pub(super) fn take_in(&mut self, metric: &CustomMetric, reading: &MetricReading) {
        self.canary = Some(reading.canary.clone());
        self.stable.clone_from(&reading.stable);
        let MetricValue::Number(canary) = reading.canary else { return };
        let one = |bad| Tally { requests: 1, bad: u64::from(bad) };
        let (min, max) = metric.range;
        let out = min.is_some_and(|min| canary < min) || max.is_some_and(|max| canary > max);
        self.bad_now = out;
        self.seen.add(one(out));
        self.out_of_range.take_in(one(out), CustomMetric::TOLERANCE, Dispersion::NONE);
        if let (Some(Excess { ratio, slack }), Some(MetricValue::Number(stable))) =
            (metric.compare, &reading.stable)
        {
            let large = canary > ratio * stable + slack;
            self.bad_now |= large;
            self.too_large.take_in(one(large), CustomMetric::TOLERANCE, Dispersion::NONE);
        }
    }

    /// The test with the most evidence, ln E, against the canary.
    pub(super) fn strongest(&self) -> (f64, Test) {
        let (out, large) = (self.out_of_range.ln_e(), self.too_large.ln_e());
        if out >= large { (out, Test::Range) } else { (large, Test::Excess) }
    }

    /// Whether the metric speaks against the canary, by its latest reading or by all of them.
    pub(super) fn lean_against(&self) -> bool {
        self.bad_now || self.strongest().0 > 0.0
    }

    /// Why there is nothing to go by, if there is not.
    pub(super) fn gap(&self) -> Option<String> {
        let Some(canary) = &self.canary else { return Some("it was not read yet".to_owned()) };
        [Some(canary), self.stable.as_ref()].into_iter().flatten().find_map(|value| match value {
            MetricValue::Number(_) => None,
            MetricValue::NotANumber => Some("the query gives NaN: there was nothing to measure".to_owned()),
            MetricValue::Empty => Some("no series matches the query".to_owned()),
            MetricValue::Failed(why) => Some(why.clone()),
        })
    }
}
