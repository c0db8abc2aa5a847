/*!
The part of a Release that says what the canary is judged by.
*/
mod custom;

use std::time::Duration;

use serin_policy::evidence::{Allowance, Dispersion};

use super::{few, percent, quoted, span};
use crate::problem::Problems;
use crate::prometheus::{Access, AccessError, DEFAULT_VERSION_LABEL, Istio, Settings};
use crate::resource::{self, AnalysisSource, Scalar};
use crate::{Analysis, CountSource, Criterion, Metric, NoData, Percent, rule};

const PATH: &str = "spec.analysis";

pub(super) fn check(resource: resource::Analysis, whose: &Whose<'_>, problems: &mut Problems) -> Analysis {
    let has_prometheus = resource.prometheus.is_some();
    if resource.min_requests == 0 {
        problems.add(format!("{PATH}.minRequests"), 0, rule::MIN_REQUESTS);
    }
    let mut analysis = Analysis {
        interval: span(&format!("{PATH}.interval"), &resource.interval, &rule::INTERVAL, problems),
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
    few(&format!("{PATH}.metrics"), metrics.len(), rule::MAX_METRICS, problems);
    for (i, metric) in metrics.iter().enumerate() {
        let path = format!("{PATH}.metrics[{i}]");
        if metrics.iter().take(i).any(|earlier| earlier.name == metric.name) {
            problems.add(
                format!("{path}.name"),
                quoted(Some(&metric.name)),
                "list every metric once: another one has this name",
            );
        }
        match (Metric::named(&metric.name), &metric.query) {
            (Some(Metric::RequestSuccessRate), None) => {
                let limit = largest_error_share(&path, metric, problems);
                let compare = compare(&path, metric, "0.1%", problems);
                analysis.errors = Some(Criterion { limit, compare });
            }
            (Some(Metric::RequestDuration), None) => {
                let limit = largest_slow_share(&path, metric, problems);
                let compare = compare(&path, metric, "1%", problems);
                analysis.slow = Some(Criterion { limit, compare });
                if let Some(objective) = &metric.objective {
                    analysis.objective_ms = milliseconds(&format!("{path}.objective"), objective, problems);
                }
            }
            (_, Some(query)) => analysis.custom.push(custom::check(&path, metric, query, problems)),
            (None, None) => {
                problems.add(format!("{path}.name"), quoted(Some(&metric.name)), rule::BUILT_IN);
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
        problems.add(format!("{PATH}.prometheus"), "missing", rule::PROMETHEUS);
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
    if let Some(label) = version_label.as_ref().filter(|label| !rule::METRIC_LABEL.accepts(label)) {
        let path = format!("{PATH}.istio.versionLabel");
        problems.add(path, quoted(Some(label)), rule::METRIC_LABEL.hint());
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

fn up_to_a_day(field: &str, found: &Scalar, problems: &mut Problems) -> Duration {
    span(&format!("{PATH}.{field}"), found, &rule::UP_TO_A_DAY, problems)
}

fn false_rollback(found: &Scalar, problems: &mut Problems) -> Percent {
    let path = format!("{PATH}.confidence.falseRollback");
    let share = percent(&path, found, problems);
    if !rule::FALSE_ROLLBACK_PPM.contains(&share.ppm()) {
        problems.add(path, share, rule::FALSE_ROLLBACK);
    }
    share
}

fn dispersion(found: &Scalar, problems: &mut Problems) -> Dispersion {
    let what = "how many bad requests belong together";
    Dispersion::new(factor(&format!("{PATH}.dispersion"), &found.0, what, problems))
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
    let what = "how many times stable's value the canary's may be";
    factor(&format!("{path}.compare.maxRatio"), ratio, what, problems)
}

/// Reads how many times as much of `what` there may be.
fn factor(path: &str, found: &str, what: &str, problems: &mut Problems) -> f64 {
    let (least, most) = (*rule::FACTOR.start(), *rule::FACTOR.end());
    found.parse().ok().filter(|number| rule::FACTOR.contains(number)).unwrap_or_else(|| {
        problems.add(path, quoted(Some(found)), format!("give {least} to {most}: {what}"));
        least
    })
}

fn largest_error_share(path: &str, metric: &resource::Metric, problems: &mut Problems) -> Percent {
    let range = &metric.threshold_range;
    if let Some(max) = &range.max {
        let hint = "a success rate has a smallest value: write min, such as {min: 99}";
        problems.add(format!("{path}.thresholdRange.max"), &max.0, hint);
    }
    if let Some(objective) = &metric.objective {
        problems.add(format!("{path}.objective"), &objective.0, rule::NO_OBJECTIVE);
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
    let objective = span(path, found, &rule::OBJECTIVE, problems);
    if !objective.subsec_nanos().is_multiple_of(1_000_000) {
        problems.add(path, &found.0, "give whole milliseconds");
    }
    u32::try_from(objective.as_millis()).unwrap_or(u32::MAX)
}
