/*!
Metrics of people's own: PromQL, and what of it is good.
*/
use std::time::Duration;

use super::super::{quoted, span};
use super::max_ratio;
use crate::problem::Problems;
use crate::prometheus::Template;
use crate::resource::{Metric, Scalar};
use crate::{CustomMetric, Excess};

pub(super) fn check(path: &str, metric: &Metric, query: &str, problems: &mut Problems) -> CustomMetric {
    if metric.name.is_empty() || matches!(metric.name.as_str(), "request-success-rate" | "request-duration") {
        let hint = "give a metric with a query a name of its own";
        problems.add(format!("{path}.name"), quoted(Some(&metric.name)), hint);
    }
    if let Some(objective) = &metric.objective {
        let hint = "leave it out: an objective belongs to request-duration";
        problems.add(format!("{path}.objective"), &objective.0, hint);
    }
    let query = Template::parse(query).unwrap_or_else(|error| {
        problems.add(format!("{path}.query"), quoted(Some(query)), error.to_string());
        Template::default()
    });
    let interval = metric.interval.as_ref().unwrap_or(&Scalar::from("15s")).0.clone();
    let bounds = Duration::from_secs(1)..=Duration::from_hours(1);
    let interval = span(&format!("{path}.interval"), &Scalar(interval), bounds, "give 1s to 1h", problems);
    let bound = |name: &str, found: Option<&Scalar>, problems: &mut Problems| {
        found.and_then(|found| number(&format!("{path}.{name}"), found, problems))
    };
    let min = bound("thresholdRange.min", metric.threshold_range.min.as_ref(), problems);
    let max = bound("thresholdRange.max", metric.threshold_range.max.as_ref(), problems);
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        let hint = format!("min ({min}) is above max ({max}): no value is good");
        problems.add(format!("{path}.thresholdRange"), format!("{min} to {max}"), hint);
    }
    let compare = metric.compare.as_ref().map(|compare| {
        let slack = bound("compare.slack", compare.slack.as_ref(), problems).unwrap_or_default();
        Excess { ratio: max_ratio(path, metric, problems), slack }
    });
    if min.is_none() && max.is_none() && compare.is_none() {
        let hint = "say what is good: thresholdRange: {min, max}, or compare: {maxRatio: 1.5}";
        problems.add(format!("{path}.thresholdRange"), "missing", hint);
    }
    CustomMetric {
        name: metric.name.clone(),
        query,
        interval,
        range: (min, max),
        compare,
        dry_run: metric.dry_run,
    }
}

fn number(path: &str, found: &Scalar, problems: &mut Problems) -> Option<f64> {
    let number = found.0.parse().ok().filter(|number: &f64| number.is_finite());
    if number.is_none() {
        problems.add(path, quoted(Some(&found.0)), "give a number");
    }
    number
}
