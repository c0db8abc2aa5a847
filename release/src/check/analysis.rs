/*!
The part of a Release that says what the canary is judged by.
*/
mod custom;

use std::time::Duration;

use serin_policy::evidence::{Allowance, Dispersion};

use super::{percent, quoted, span};
use crate::problem::Problems;
use crate::prometheus::{Access, AccessError, DEFAULT_VERSION_LABEL, Istio, Settings};
use crate::resource::{self, AnalysisSource, Scalar};
use crate::{Analysis, CountSource, Criterion, NoData, Percent};

const PATH: &str = "spec.analysis";

pub(super) fn check(resource: resource::Analysis, whose: &Whose<'_>, problems: &mut Problems) -> Analysis {
    let has_prometheus = resource.prometheus.is_some();
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
        custom: Vec::new(),
        source: CountSource::Proxies,
        prometheus: None,
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
        match (metric.name.as_str(), &metric.query) {
            ("request-success-rate", None) => {
                let limit = largest_error_share(&path, metric, problems);
                let compare = compare(&path, metric, "0.1%", problems);
                analysis.errors = Some(Criterion { limit, compare });
            }
            ("request-duration", None) => {
                let limit = largest_slow_share(&path, metric, problems);
                let compare = compare(&path, metric, "1%", problems);
                analysis.slow = Some(Criterion { limit, compare });
                if let Some(objective) = &metric.objective {
                    analysis.objective_ms = milliseconds(&format!("{path}.objective"), objective, problems);
                }
            }
            (_, Some(query)) => analysis.custom.push(custom::check(&path, metric, query, problems)),
            (other, None) => {
                let hint = "write request-success-rate or request-duration, or give the metric a query";
                problems.add(format!("{path}.name"), quoted(Some(other)), hint);
            }
        }
    }
    analysis.prometheus = resource.prometheus.and_then(|settings| access(settings, problems));
    analysis.source = match resource.source {
        AnalysisSource::Proxies => CountSource::Proxies,
        AnalysisSource::Prometheus => CountSource::Prometheus,
        AnalysisSource::Istio => {
            CountSource::Istio(istio(resource.istio, whose, analysis.objective_ms, problems))
        }
    };
    let needs_prometheus = analysis.source != CountSource::Proxies || !analysis.custom.is_empty();
    if needs_prometheus && !has_prometheus {
        let hint = "write where it is, such as {address: \"http://prometheus:9090\"}: the source or a metric needs it";
        problems.add(format!("{PATH}.prometheus"), "missing", hint);
    }
    analysis
}

fn access(settings: Settings, problems: &mut Problems) -> Option<Access> {
    Access::try_from(settings)
        .map_err(|AccessError { field, value, hint }| {
            problems.add(format!("{PATH}.prometheus.{field}"), value, hint);
        })
        .ok()
}

/// Whose requests are looked for among Istio's.
pub(super) struct Whose<'w> {
    pub(super) namespace: &'w str,
    pub(super) service: &'w str,
    pub(super) stable: &'w str,
    pub(super) canary: &'w str,
}

fn istio(resource: resource::Istio, whose: &Whose<'_>, objective_ms: u32, problems: &mut Problems) -> Istio {
    let resource::Istio { reporter, version_label, stable, canary } = resource;
    // It stands in PromQL as it is.
    if let Some(label) = version_label.as_ref().filter(|label| !is_label_name(label)) {
        let hint = format!("name a label of istio_requests_total, such as {DEFAULT_VERSION_LABEL}");
        problems.add(format!("{PATH}.istio.versionLabel"), quoted(Some(label)), hint);
    }
    Istio {
        reporter,
        namespace: whose.namespace.to_owned(),
        service: whose.service.to_owned(),
        version_label: version_label.unwrap_or_else(|| DEFAULT_VERSION_LABEL.to_owned()),
        stable: stable.unwrap_or_else(|| whose.stable.to_owned()),
        canary: canary.unwrap_or_else(|| whose.canary.to_owned()),
        objective_ms,
    }
}

/// Prometheus' own rule for names of labels.
fn is_label_name(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.bytes().all(word) && text.bytes().next().is_some_and(|first| !first.is_ascii_digit())
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
            let hint = "give 1 to 1000: how many bad requests come at a time at least";
            problems.add(format!("{PATH}.dispersion"), quoted(Some(&found.0)), hint);
            Dispersion::NONE
        }
    }
}

/// How much worse than stable the canary may be; `slack` is the default of that.
fn compare(path: &str, metric: &resource::Metric, slack: &str, problems: &mut Problems) -> Allowance {
    let slack_given = metric.compare.as_ref().and_then(|compare| compare.slack.as_ref());
    let slack = slack_given.map_or(slack, |slack| &slack.0);
    let slack = percent(&format!("{path}.compare.slack"), &Scalar::from(slack), problems);
    Allowance::new(max_ratio(path, metric, problems), slack.share())
}

fn max_ratio(path: &str, metric: &resource::Metric, problems: &mut Problems) -> f64 {
    let ratio = metric.compare.as_ref().and_then(|compare| compare.max_ratio.as_ref());
    let ratio = ratio.map_or("1.5", |ratio| &ratio.0);
    match ratio.parse() {
        Ok(number) if (1.0..=1000.0).contains(&number) => number,
        _ => {
            let hint = "give 1 to 1000: how many times stable's value the canary's may be";
            problems.add(format!("{path}.compare.maxRatio"), quoted(Some(ratio)), hint);
            1.0
        }
    }
}

fn largest_error_share(path: &str, metric: &resource::Metric, problems: &mut Problems) -> Percent {
    let range = &metric.threshold_range;
    if let Some(max) = &range.max {
        let hint = "a success rate has a smallest value: write min, such as {min: 99}";
        problems.add(format!("{path}.thresholdRange.max"), &max.0, hint);
    }
    if let Some(objective) = &metric.objective {
        let hint = "leave it out: an objective belongs to request-duration";
        problems.add(format!("{path}.objective"), &objective.0, hint);
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
        let hint = "the share of slow requests has a largest value: write max, such as {max: 5}";
        problems.add(format!("{path}.thresholdRange.min"), &min.0, hint);
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
