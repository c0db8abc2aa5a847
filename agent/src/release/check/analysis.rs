/*!
The part of a Release that says what the canary is judged by.
*/
use std::time::Duration;

use serin_policy::evidence::{Allowance, Dispersion};

use super::{percent, quoted, span};
use crate::release::problem::Problems;
use crate::release::resource::{self, Scalar};
use crate::release::{Analysis, Criterion, NoData, Percent};

const PATH: &str = "spec.analysis";

pub(super) fn check(resource: resource::Analysis, problems: &mut Problems) -> Analysis {
    if resource.min_requests == 0 {
        problems.add(format!("{PATH}.minRequests"), 0, "give at least 1: no evidence is no good evidence");
    }
    let bounds = Duration::from_millis(100)..=Duration::from_mins(5);
    let mut analysis = Analysis {
        interval: span(&format!("{PATH}.interval"), &resource.interval, bounds, "give 100ms to 5m", problems),
        baseline: up_to_a_day("baseline", &resource.baseline, problems),
        warm_up: up_to_a_day("warmUp", &resource.warm_up, problems),
        min_requests: resource.min_requests,
        false_rollback: false_rollback(&resource.confidence.false_rollback, problems),
        dispersion: dispersion(&resource.dispersion, problems),
        errors: None,
        slow: None,
        objective_ms: 500,
        no_data: NoData {
            then: resource.on_no_data,
            after: up_to_a_day("noDataAfter", &resource.no_data_after, problems),
        },
    };
    let metrics = resource.metrics.unwrap_or_else(resource::Metric::defaults);
    for (i, metric) in metrics.iter().enumerate() {
        let path = format!("{PATH}.metrics[{i}]");
        if metrics.iter().take(i).any(|earlier| earlier.name == metric.name) {
            problems.add(format!("{path}.name"), quoted(Some(&metric.name)), "list every metric once");
        }
        match metric.name.as_str() {
            "request-success-rate" => {
                let limit = largest_error_share(&path, metric, problems);
                let compare = compare(&path, metric, "0.1%", problems);
                analysis.errors = Some(Criterion { limit, compare });
            }
            "request-duration" => {
                let limit = largest_slow_share(&path, metric, problems);
                let compare = compare(&path, metric, "1%", problems);
                analysis.slow = Some(Criterion { limit, compare });
                if let Some(objective) = &metric.objective {
                    analysis.objective_ms = milliseconds(&format!("{path}.objective"), objective, problems);
                }
            }
            other => {
                let mend = "write request-success-rate or request-duration";
                problems.add(format!("{path}.name"), quoted(Some(other)), mend);
            }
        }
    }
    analysis
}

fn up_to_a_day(field: &str, found: &Scalar, problems: &mut Problems) -> Duration {
    let bounds = Duration::ZERO..=Duration::from_hours(24);
    span(&format!("{PATH}.{field}"), found, bounds, "give 0s to 24h", problems)
}

fn false_rollback(found: &Scalar, problems: &mut Problems) -> Percent {
    let path = format!("{PATH}.confidence.falseRollback");
    let share = percent(&path, found, problems);
    if !(1..=500_000).contains(&share.ppm()) {
        problems.add(path, share, "give more than 0% and at most 50%, such as 1%");
    }
    share
}

fn dispersion(found: &Scalar, problems: &mut Problems) -> Dispersion {
    match found.0.parse() {
        Ok(number) if (1.0..=1000.0).contains(&number) => Dispersion::new(number),
        _ => {
            let mend = "give 1 to 1000: how many bad requests come at a time at least";
            problems.add(format!("{PATH}.dispersion"), quoted(Some(&found.0)), mend);
            Dispersion::NONE
        }
    }
}

fn compare(path: &str, metric: &resource::Metric, slack: &str, problems: &mut Problems) -> Allowance {
    let path = format!("{path}.compare");
    let ratio = metric.compare.max_ratio.as_ref().map_or("1.5", |ratio| &ratio.0);
    let ratio = match ratio.parse() {
        Ok(number) if (1.0..=1000.0).contains(&number) => number,
        _ => {
            let mend = "give 1 to 1000: how many times stable's share of bad requests the canary's may be";
            problems.add(format!("{path}.maxRatio"), quoted(Some(ratio)), mend);
            1.0
        }
    };
    let slack = metric.compare.slack.as_ref().map_or(slack, |slack| &slack.0);
    let slack = percent(&format!("{path}.slack"), &Scalar::from(slack), problems);
    Allowance::new(ratio, slack.share())
}

fn largest_error_share(path: &str, metric: &resource::Metric, problems: &mut Problems) -> Percent {
    let range = &metric.threshold_range;
    if let Some(max) = &range.max {
        let mend = "a success rate has a smallest value: write min, such as {min: 99}";
        problems.add(format!("{path}.thresholdRange.max"), &max.0, mend);
    }
    if let Some(objective) = &metric.objective {
        let mend = "leave it out: an objective belongs to request-duration";
        problems.add(format!("{path}.objective"), &objective.0, mend);
    }
    let path = format!("{path}.thresholdRange.min");
    let min = percent(&path, range.min.as_ref().unwrap_or(&Scalar::from("99")), problems);
    if Percent::ZERO < min && min.ppm() <= ONE_PERCENT_PPM {
        problems.add(path, min, "a success rate is in percent: write 99 for 99%, not 0.99");
    }
    min.rest()
}

/// A success rate up to here was meant as a fraction.
const ONE_PERCENT_PPM: u32 = 10_000;

fn largest_slow_share(path: &str, metric: &resource::Metric, problems: &mut Problems) -> Percent {
    let range = &metric.threshold_range;
    if let Some(min) = &range.min {
        let mend = "the share of slow requests has a largest value: write max, such as {max: 5}";
        problems.add(format!("{path}.thresholdRange.min"), &min.0, mend);
    }
    let max = range.max.as_ref();
    percent(&format!("{path}.thresholdRange.max"), max.unwrap_or(&Scalar::from("5")), problems)
}

fn milliseconds(path: &str, found: &Scalar, problems: &mut Problems) -> u32 {
    let bounds = Duration::from_millis(1)..=Duration::from_hours(24);
    let objective = span(path, found, bounds, "give 1ms to 24h", problems);
    if !objective.subsec_nanos().is_multiple_of(1_000_000) {
        problems.add(path, &found.0, "give whole milliseconds");
    }
    u32::try_from(objective.as_millis()).unwrap_or(u32::MAX)
}
