/*!
The part of a Release that says what the canary is judged by.
*/
pub(super) mod custom;

use std::collections::BTreeMap;
use std::time::Duration;

use serin_policy::evidence::{Allowance, Dispersion};

use super::{few, percent, quoted, span, templates};
use crate::problem::Problems;
use crate::prometheus::{Access, AccessError, DEFAULT_VERSION_LABEL, Istio, Settings};
use crate::resource::{self, AnalysisSource, Scalar};
use crate::{Analysis, CountSource, Criterion, Metric, NoData, Pause, Percent, Step, rule};

pub(super) const PATH: &str = "spec.analysis";

pub(super) fn check(
    resource: resource::Analysis,
    whose: &Whose<'_>,
    steps: &[Step],
    problems: &mut Problems,
) -> Analysis {
    if resource.min_requests == 0 {
        problems.add(format!("{PATH}.minRequests"), 0, rule::MIN_REQUESTS);
    }
    let mut analysis = Analysis {
        judged: 1,
        interval: span(&format!("{PATH}.interval"), &resource.interval, &rule::INTERVAL, problems),
        baseline: up_to_a_day("baseline", &resource.baseline, problems),
        warm_up: resource
            .warm_up
            .map_or_else(|| default_warm_up(steps), |found| up_to_a_day("warmUp", &found, problems)),
        bake: up_to_a_day("bake", &resource.bake, problems),
        min_requests: resource.min_requests,
        false_rollback: false_rollback(&resource.confidence.false_rollback, problems),
        dispersion: dispersion(&resource.dispersion, problems),
        has_fuse: resource.fuse,
        criteria: BTreeMap::new(),
        objective_ms: 500,
        custom: Vec::new(),
        workloads: None,
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
            (_, Some(query)) => analysis.custom.push(custom::check(&path, metric, query, problems)),
            (_, None) if metric.template_ref.is_some() => templates::not_filled_in(&path, metric, problems),
            (Some(built_in), None) => {
                let criterion = criterion(&path, built_in, metric, problems);
                analysis.criteria.insert(built_in, criterion);
                if let Some(objective) = &metric.objective {
                    analysis.objective_ms = milliseconds(&format!("{path}.objective"), objective, problems);
                }
            }
            (None, None) => {
                problems.add(format!("{path}.name"), quoted(Some(&metric.name)), rule::BUILT_IN);
            }
        }
    }
    analysis.source = match resource.source {
        AnalysisSource::Proxies => CountSource::Proxies,
        AnalysisSource::Prometheus => CountSource::Prometheus,
        AnalysisSource::Istio => {
            CountSource::Istio(istio(resource.istio, whose, analysis.objective_ms, problems))
        }
    };
    analysis
}

/// The Prometheus of a Release outside a cluster, where whoever writes it runs the agent too.
pub(super) fn prometheus(
    found: Option<Settings>,
    analysis: &Analysis,
    problems: &mut Problems,
) -> Option<Access> {
    if found.is_none() && analysis.needs_prometheus() {
        problems.add(format!("{PATH}.prometheus"), "missing", rule::PROMETHEUS);
    }
    Access::try_from(found?)
        .map_err(|AccessError { field, value, hint }| {
            problems.add(format!("{PATH}.prometheus.{field}"), value, hint);
        })
        .ok()
}

/// Whose requests are looked for among Istio's.
pub(super) struct Whose<'w> {
    pub(super) namespace: &'w str,
    pub(super) stable_service: &'w str,
    pub(super) canary_service: &'w str,
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
        service: whose.stable_service.to_owned(),
        canary_service: whose.canary_service.to_owned(),
        version_label: version_label.unwrap_or_else(|| DEFAULT_VERSION_LABEL.to_owned()),
        stable: stable.unwrap_or_else(|| whose.stable.to_owned()),
        canary: canary.unwrap_or_else(|| whose.canary.to_owned()),
        objective_ms,
    }
}

fn up_to_a_day(field: &str, found: &Scalar, problems: &mut Problems) -> Duration {
    span(&format!("{PATH}.{field}"), found, &rule::UP_TO_A_DAY, problems)
}

/// Half a minute, and never so much of a step that little is left to judge.
fn default_warm_up(steps: &[Step]) -> Duration {
    let shortest = steps.iter().filter_map(|step| match step.pause {
        Pause::For(pause) => Some(pause),
        Pause::None | Pause::UntilApproved => None,
    });
    shortest.min().map_or(WARM_UP, |shortest| WARM_UP.min(shortest / 4))
}

const WARM_UP: Duration = Duration::from_secs(30);

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

/// Where "bad" begins for a metric that is built in.
fn criterion(path: &str, built_in: Metric, metric: &resource::Metric, problems: &mut Problems) -> Criterion {
    if let Some(objective) = metric.objective.as_ref().filter(|_| built_in != Metric::RequestDuration) {
        problems.add(format!("{path}.objective"), &objective.0, rule::NO_OBJECTIVE);
    }
    let resource::SuccessRange { min, max } = &metric.success_range;
    for (end, given) in [("min", min), ("max", max)] {
        if let Some(given) = given {
            problems.add(format!("{path}.successRange.{end}"), &given.0, rule::NO_SUCCESS_RANGE);
        }
    }
    let limit = match built_in {
        Metric::RequestSuccessRate => Some(largest_error_share(path, metric, problems)),
        Metric::RequestDuration => Some(largest_slow_share(path, metric, problems)),
        _ => {
            let resource::ThresholdRange { min, max } = &metric.threshold_range;
            for (end, given) in [("min", min), ("max", max)] {
                if let Some(given) = given {
                    problems.add(format!("{path}.thresholdRange.{end}"), &given.0, rule::NO_LIMIT);
                }
            }
            None
        }
    };
    let (ratio, slack) = built_in.default_allowance();
    Criterion { limit, compare: compare(path, metric, (ratio, slack), problems) }
}

/// How much worse than stable the canary may be; the ratio and the slack are the defaults.
fn compare(
    path: &str,
    metric: &resource::Metric,
    (ratio, slack): (&str, &str),
    problems: &mut Problems,
) -> Allowance {
    let slack_given = metric.compare.as_ref().and_then(|compare| compare.slack.as_ref());
    let slack = slack_given.map_or(slack, |slack| &slack.0);
    let slack = percent(&format!("{path}.compare.slack"), &Scalar::from(slack), problems);
    Allowance::new(max_ratio(path, metric, ratio, problems), slack.share())
}

fn max_ratio(path: &str, metric: &resource::Metric, default: &str, problems: &mut Problems) -> f64 {
    let ratio = metric.compare.as_ref().and_then(|compare| compare.max_ratio.as_ref());
    let ratio = ratio.map_or(default, |ratio| &ratio.0);
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
