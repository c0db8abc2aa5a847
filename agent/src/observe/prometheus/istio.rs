/*!
Istio's standard metrics of one service, for meshes where the filter's own counts are not scraped.

They know no cohorts, so what they count is taken as [`Cohort::Rest`]: it can be compared between the versions, but
no cohort with its own past. Nor do they know who was put on a version by hand: testers count as everybody does.
*/
use std::collections::BTreeSet;

use serin_policy::series::{Group, Metric, Tag};
use serin_policy::{Arm, Cohort};
use serin_release::prometheus::Istio;

use super::answer::Labels;
use super::promql;
use crate::observe::counter_deltas::Number;

/// Counter of requests.
pub(super) const REQUESTS: &str = "istio_requests_total";
/// Histogram of their duration.
pub(super) const DURATION: &str = "istio_request_duration_milliseconds_bucket";

/// Whose requests these are, and which number they add to; `None` for another service, another version, or
/// another edge of the histogram.
pub(super) fn sort(service: &Istio, labels: &Labels<'_>) -> Option<(Arm, Number)> {
    if labels.get("reporter") != service.reporter.as_str()
        || labels.get("destination_service_namespace") != service.namespace
    {
        return None;
    }
    let found = (labels.get(&service.version_label), labels.get("destination_service_name"));
    let arm = if found == (&service.canary, &service.canary_service) {
        Arm::Canary
    } else if found == (&service.stable, &service.service) {
        Arm::Stable
    } else {
        return None;
    };
    // What was injected on purpose is not the version's doing.
    if has_flag(labels, &["DI", "FI"]) {
        return None;
    }
    let number = match labels.get("__name__") {
        REQUESTS => outcome(labels),
        DURATION if labels.get("le") == "+Inf" => Number::Timed,
        DURATION if is_edge(labels.get("le"), service.objective_ms) => Number::InTime,
        _ => return None,
    };
    Some((arm, number))
}

/// Selects what there is of a metric for any of some releases, which have the same kind of reporter and versions.
pub(super) fn selector(metric: &str, releases: &[&Istio], le: &str) -> String {
    let Some(first) = releases.first() else { return String::new() };
    let any = |value: fn(&Istio) -> Vec<&str>| promql::any_of(releases.iter().flat_map(|one| value(one)));
    format!(
        "{metric}{{reporter={},destination_service_namespace=~{},destination_service_name=~{},{}=~{}{le}}}",
        promql::quoted(first.reporter.as_str()),
        any(|one| vec![&one.namespace]),
        any(|one| vec![&one.service, &one.canary_service]),
        first.version_label,
        any(|one| vec![&one.stable, &one.canary]),
    )
}

/// Selects the two edges that tell how many requests were slow, for the objectives of `releases`.
pub(super) fn edges_of(releases: &[&Istio]) -> String {
    let objectives: BTreeSet<u32> = releases.iter().map(|one| one.objective_ms).collect();
    let edges = objectives.into_iter().map(edge_pattern).collect::<Vec<_>>().join("|");
    format!(",le=~{}", promql::quoted(&format!(r"{edges}|\+Inf")))
}

/// The tag of what Istio counts for `release`.
pub(super) const fn tag(release: &str, arm: Arm) -> Tag<'_> {
    Tag { release, arm, group: Group::Cohort(Cohort::Rest) }
}

/// What requests with these labels came to. Istio's code for those whose caller left is 0, and flags tell of an answer
/// that broke off in the middle.
fn outcome(labels: &Labels<'_>) -> Number {
    let code = labels.get("response_code");
    let grpc = labels.get("grpc_response_status").parse().ok().and_then(Metric::of_grpc_status);
    let is_broken =
        || has_flag(labels, &["UT", "LR", "UR", "UF", "UC", "UPE"]) && !has_flag(labels, &["DC", "DR"]);
    match code {
        _ if code.starts_with('5') || grpc == Some(Metric::GrpcServerErrors) => Number::RequestsAndErrors,
        "0" => Number::RequestsAndLeft,
        // A connection that became something else ends when either side hangs up.
        "101" => Number::Requests,
        _ if is_broken() => Number::RequestsAndErrors,
        _ if code.starts_with('4') || grpc.is_some() => Number::RequestsAndClientErrors,
        _ => Number::Requests,
    }
}

/// Whether Envoy says one of these of how the answer came about.
fn has_flag(labels: &Labels<'_>, any: &[&str]) -> bool {
    labels.get("response_flags").split(',').any(|flag| any.contains(&flag))
}

fn is_edge(le: &str, objective_ms: u32) -> bool {
    le.parse().is_ok_and(|edge: f64| edge.total_cmp(&f64::from(objective_ms)).is_eq())
}

/// All that Prometheus may have made of a histogram's edge at `objective_ms`, as a pattern. Up to version 2 it kept
/// what the proxy wrote, from 3 on it writes edges as Go does.
fn edge_pattern(objective_ms: u32) -> String {
    let mut pattern = format!(r"{objective_ms}|{objective_ms}\.0");
    if let Some((digits, exponent)) = format!("{objective_ms:e}").split_once('e')
        && objective_ms >= 1_000_000
    {
        pattern = format!(r"{pattern}|{}e\+{exponent:0>2}", digits.replace('.', r"\."));
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_found_however_it_is_written() {
        assert_eq!(edge_pattern(500), r"500|500\.0");
        assert_eq!(edge_pattern(1_500_000), r"1500000|1500000\.0|1\.5e\+06");
        assert!(is_edge("500", 500) && is_edge("500.0", 500) && is_edge("1.5e+06", 1_500_000));
        assert!(!is_edge("501", 500) && !is_edge("+Inf", 500) && !is_edge("", 500));
    }
}
