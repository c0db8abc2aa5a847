/*!
Metrics of people's own: PromQL, and what of it is good.
*/
use super::super::{quoted, span};
use super::max_ratio;
use crate::problem::Problems;
use crate::prometheus::{MissingValue, Template};
use crate::resource::{Metric, Scalar};
use crate::{CustomMetric, Excess, Metric as BuiltIn, rule};

pub(in super::super) fn check(
    path: &str,
    metric: &Metric,
    query: &str,
    problems: &mut Problems,
) -> CustomMetric {
    if BuiltIn::named(&metric.name).is_some() {
        problems.add(format!("{path}.name"), quoted(Some(&metric.name)), rule::OWN_NAME);
    } else if !rule::METRIC_NAME.accepts(&metric.name) {
        problems.add(format!("{path}.name"), quoted(Some(&metric.name)), rule::METRIC_NAME.hint());
    }
    if let Some(objective) = &metric.objective {
        problems.add(format!("{path}.objective"), &objective.0, rule::NO_OBJECTIVE);
    }
    if metric.template_ref.is_some() {
        problems.add(format!("{path}.query"), quoted(Some(query)), rule::ONE_QUERY);
    }
    let query = match Template::parse(query) {
        Ok(template) => {
            if !rule::QUERY.accepts(query) {
                let value = format!("{} characters", query.chars().count());
                problems.add(format!("{path}.query"), value, rule::QUERY.hint());
            }
            template
        }
        Err(error) => {
            problems.add(format!("{path}.query"), quoted(Some(query)), error.to_string());
            Template::default()
        }
    };
    let interval = metric.interval.clone().unwrap_or_else(|| Scalar::from("15s"));
    let interval = span(&format!("{path}.interval"), &interval, &rule::READING, problems);
    let bound = |name: &str, found: Option<&Scalar>, problems: &mut Problems| {
        found.and_then(|found| number(&format!("{path}.{name}"), found, problems))
    };
    let min = bound("thresholdRange.min", metric.threshold_range.min.as_ref(), problems);
    let max = bound("thresholdRange.max", metric.threshold_range.max.as_ref(), problems);
    in_order(&format!("{path}.thresholdRange"), (min, max), problems);
    let success = success(path, metric, (min, max), problems);
    let compare = metric.compare.as_ref().map(|compare| {
        let slack = bound("compare.slack", compare.slack.as_ref(), problems).unwrap_or_default();
        Excess { ratio: max_ratio(path, metric, "1.5", problems), slack }
    });
    let range = &metric.threshold_range;
    if range.min.is_none() && range.max.is_none() && compare.is_none() {
        problems.add(format!("{path}.thresholdRange"), "missing", rule::WHAT_IS_GOOD);
    }
    CustomMetric {
        name: metric.name.clone(),
        query,
        interval,
        range: (min, max),
        success,
        compare,
        dry_run: metric.dry_run,
    }
}

/// Refuses what only a cluster knows, for a metric in front of plain Envoys.
pub(in super::super) fn outside_of_clusters(path: &str, metric: &Metric, problems: &mut Problems) {
    let query = metric.query.as_deref().unwrap_or_default();
    if Template::parse(query).is_ok_and(|template| template.needs_a_cluster()) {
        let hint = format!("use another variable, such as {{{{ version }}}}: {}", MissingValue::Workload);
        problems.add(format!("{path}.query"), quoted(Some(query)), hint);
    }
}

/// The values at which the release goes on, which are within those at which it does not go back.
fn success(
    path: &str,
    metric: &Metric,
    (least, most): (Option<f64>, Option<f64>),
    problems: &mut Problems,
) -> (Option<f64>, Option<f64>) {
    let path = format!("{path}.successRange");
    let mut end =
        |name: &str, given: Option<&Scalar>, default: Option<f64>, is_within: fn(f64, f64) -> bool| {
            let given = given.and_then(|given| number(&format!("{path}.{name}"), given, problems));
            if let (Some(given), Some(limit)) = (given, default)
                && !is_within(given, limit)
            {
                let hint = format!(
                    "give a value within thresholdRange.{name}, {limit}: beyond, the canary is taken back"
                );
                problems.add(format!("{path}.{name}"), given, hint);
            }
            given.or(default)
        };
    let min = end("min", metric.success_range.min.as_ref(), least, |given, least| given >= least);
    let max = end("max", metric.success_range.max.as_ref(), most, |given, most| given <= most);
    if metric.success_range.min.is_some() || metric.success_range.max.is_some() {
        in_order(&path, (min, max), problems);
    }
    (min, max)
}

fn in_order(path: &str, range: (Option<f64>, Option<f64>), problems: &mut Problems) {
    if let (Some(min), Some(max)) = range
        && min > max
    {
        problems.add(path, format!("{min} to {max}"), "give a min that is not above max");
    }
}

fn number(path: &str, found: &Scalar, problems: &mut Problems) -> Option<f64> {
    let number = found.0.parse().ok().filter(|number: &f64| number.is_finite());
    if number.is_none() {
        problems.add(path, quoted(Some(&found.0)), "give a number");
    }
    number
}
