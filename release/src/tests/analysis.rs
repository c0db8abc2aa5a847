//! What is refused of an analysis, and what to write instead.

use super::{check, with};

#[test]
fn metrics_have_the_bound_that_makes_sense() {
    check(
        &with(
            "analysis:
  minRequests: 0
  metrics:
  - {name: request-success-rate, thresholdRange: {max: 1}, objective: 1s}
  - {name: request-success-rate, thresholdRange: {min: 0.99}}
  - {name: request-duration, thresholdRange: {min: 1}, objective: 1.5ms, successRange: {max: 1}}
  - {name: latency}",
        ),
        &[
            "spec.analysis.minRequests: 0: give at least 1: without requests there is no evidence",
            "spec.analysis.metrics[0].objective: 1s: leave it out: an objective belongs to request-duration",
            "spec.analysis.metrics[0].thresholdRange.max: 1: a success rate has a smallest value: write min, such \
             as {min: 99}",
            "spec.analysis.metrics[1].name: \"request-success-rate\": list every metric once: another one has this name",
            "spec.analysis.metrics[1].thresholdRange.min: 0.99%: a success rate is in percent: write 99 for 99%, \
             not 0.99",
            "spec.analysis.metrics[2].successRange.max: 1: leave it out: only a metric with a query has one, those built in go \
             on when their tests allow it",
            "spec.analysis.metrics[2].thresholdRange.min: 1: the share of slow requests has a largest value: write \
             max, such as {max: 5}",
            "spec.analysis.metrics[2].objective: 1.5ms: give whole milliseconds",
            "spec.analysis.metrics[3].name: \"latency\": write one that is built in (request-success-rate, request-duration, latency-tail, route-errors, \
             client-errors, client-aborts, traffic-share), or give the \
             metric a query",
        ],
    );
}

#[test]
fn what_is_asked_of_the_judge_must_make_sense() {
    check(
        &with(
            "analysis:
  baseline: 2d
  confidence: {falseRollback: 0}
  dispersion: 0.5
  noDataAfter: soon
  metrics:
  - {name: request-success-rate, compare: {maxRatio: 0.5, slack: lots}}
  - {name: depth, query: 'x{{ target }}'}
  - {name: depth, query: x, interval: 1ms, thresholdRange: {min: 3, max: 2}, objective: 1s}
  - {name: load, query: x, thresholdRange: {min: 1, max: 5}, successRange: {min: 0, max: 6}}
  - {name: jobs, query: x, thresholdRange: {max: 5}, successRange: {min: 3, max: 2}}
  - {name: request-duration, query: x, thresholdRange: {max: high}}
  istio: {versionLabel: 'v\"} or up{x'}
  source: Istio",
        ),
        &[
            "spec.analysis.baseline: 2d: give 0s to 24h",
            "spec.analysis.confidence.falseRollback: 0%: give more than 0% and at most 50%, such as 1%",
            "spec.analysis.dispersion: \"0.5\": give 1 to 1000: how many bad requests belong together",
            "spec.analysis.noDataAfter: \"soon\": write a duration such as 500ms, 2m, 1h30m or 7d",
            "spec.analysis.metrics[0].compare.slack: \"lots\": write a percentage such as 25, 0.1 or \"0.1%\"",
            "spec.analysis.metrics[0].compare.maxRatio: \"0.5\": give 1 to 1000: how many times stable's value the \
             canary's may be",
            "spec.analysis.metrics[1].query: \"x{{ target }}\": {{ target }} is not a variable: use one of namespace, name, \
             service, arm, version, interval, deployment, pods, labels.NAME",
            "spec.analysis.metrics[1].thresholdRange: missing: say what is good: thresholdRange: {min, max}, or \
             compare: {maxRatio: 1.5}",
            "spec.analysis.metrics[2].name: \"depth\": list every metric once: another one has this name",
            "spec.analysis.metrics[2].objective: 1s: leave it out: an objective belongs to request-duration",
            "spec.analysis.metrics[2].interval: 1ms: give 1s to 1h",
            "spec.analysis.metrics[2].thresholdRange: 3 to 2: give a min that is not above max",
            "spec.analysis.metrics[3].successRange.min: 0: give a value within thresholdRange.min, 1: beyond, the canary is \
             taken back",
            "spec.analysis.metrics[3].successRange.max: 6: give a value within thresholdRange.max, 5: beyond, the canary is \
             taken back",
            "spec.analysis.metrics[4].successRange: 3 to 2: give a min that is not above max",
            "spec.analysis.metrics[5].name: \"request-duration\": give a metric with a query a name of its own",
            "spec.analysis.metrics[5].thresholdRange.max: \"high\": give a number",
            "spec.analysis.istio.versionLabel: \"v\\\"} or up{x\": name a label of istio_requests_total, such as \
             destination_version",
            "spec.analysis.prometheus: missing: write where it is, such as {address: \"http://prometheus:9090\"}: the \
             source or a metric needs it",
        ],
    );
    check(
        &with("analysis: {prometheus: {address: prometheus}, source: Prometheus}"),
        &["spec.analysis.prometheus.address: \"prometheus\": write an address like \
            http://prometheus.monitoring:9090"],
    );
}

#[test]
fn what_only_a_cluster_knows_is_refused_in_front_of_plain_envoys() {
    check(
        &with(
            "analysis:
  prometheus: {address: \"http://prometheus\"}
  metrics: [{name: restarts, query: 'x{pod=~\"{{ pods }}\"}', thresholdRange: {max: 1}}]",
        ),
        &[
            "spec.analysis.metrics[0].query: \"x{pod=~\\\"{{ pods }}\\\"}\": use another variable, such as {{ version }}: {{ \
             deployment }}, {{ pods }} and {{ labels.NAME }} are only known in a cluster",
        ],
    );
}
