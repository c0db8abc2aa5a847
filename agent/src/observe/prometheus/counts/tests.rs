//! Which series count, and for whom.

use serin_policy::series::Group;
use serin_policy::{Arm, Cohort};
use serin_rollout::ArmCounts;

use super::super::Count;
use super::*;
use crate::observe::counter_deltas::CounterDeltas;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// An answer with these series: name and labels as in Prometheus' text format, and the value.
fn answer(series: &[(&str, u64)]) -> String {
    let element = |(series, value): &(&str, u64)| {
        let (name, labels) = series.split_once('{').unwrap();
        let labels = labels.trim_end_matches('}').replace("=\"", "\":\"").replace(',', ",\"");
        let labels = if labels.is_empty() { labels } else { format!(",\"{labels}") };
        format!(r#"{{"metric":{{"__name__":"{name}"{labels}}},"value":[1700000000,"{value}"]}}"#)
    };
    let elements = series.iter().map(element).collect::<Vec<_>>().join(",");
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{elements}]}}}}"#)
}

fn filter() -> Subject {
    Subject { release: "shop/shop".to_owned(), counters: Counters::Filter }
}

fn istio() -> Istio {
    Istio {
        reporter: Reporter::Source,
        namespace: "shop".to_owned(),
        service: "shop".to_owned(),
        canary_service: "shop".to_owned(),
        version_label: serin_release::prometheus::DEFAULT_VERSION_LABEL.to_owned(),
        stable: "v1".to_owned(),
        canary: "v2".to_owned(),
        objective_ms: 500,
    }
}

/// Samples one release once a second from 100 on, and says what the last sample shows to be new: place, tag,
/// requests, errors and slow.
fn check(subject: Subject, answers: &[&[(&str, u64)]], expected: &[(&str, &str, [u64; 3])]) {
    let subjects = [subject];
    let mut deltas = CounterDeltas::default();
    let mut last = Vec::new();
    for (second, series) in (100..).zip(answers) {
        let mut found = super::samples(&subjects, answer(series).as_bytes()).unwrap();
        found[0].leave_out_untold();
        let news = found[0].record(&mut deltas, at(second)).unwrap();
        last = news
            .iter()
            .map(|Count { place, tag, counts }| {
                ((*place).to_owned(), tag.to_string(), [counts.requests, counts.errors, counts.slow])
            })
            .collect();
    }
    let expected: Vec<_> = expected
        .iter()
        .map(|(place, tag, counts)| ((*place).to_owned(), (*tag).to_owned(), *counts))
        .collect();
    assert_eq!(last, expected);
}

const REVISION_OF_A: &str = r#"serin_revision{instance="a",tag="shop/shop"}"#;
const UP_A: &str = r#"envoy_server_uptime{instance="a"}"#;
const GOOD: &str = r#"serin_rq{instance="a",response_code_class="2xx",tag="shop/shop/canary/step-1"}"#;
const BAD: &str = r#"serin_rq{instance="a",response_code_class="5xx",tag="shop/shop/canary/step-1"}"#;
const SLOW: &str = r#"serin_slow{instance="a",tag="shop/shop/canary/step-1"}"#;

#[test]
fn a_proxy_that_was_up_before_us_leaves_its_past_out() {
    let first: &[_] = &[(REVISION_OF_A, 1), (UP_A, 900), (GOOD, 50)];
    check(filter(), &[first], &[]);
    let second: &[_] = &[(REVISION_OF_A, 1), (UP_A, 901), (GOOD, 53), (BAD, 2), (SLOW, 1)];
    check(filter(), &[first, second], &[("a", "shop/shop/canary/step-1", [5, 2, 1])]);
}

#[test]
fn a_proxy_without_requests_is_known_by_its_revision() {
    let first: &[_] = &[(REVISION_OF_A, 1), (UP_A, 900)];
    let second: &[_] = &[(REVISION_OF_A, 1), (UP_A, 901), (BAD, 2)];
    check(filter(), &[first, second], &[("a", "shop/shop/canary/step-1", [2, 2, 0])]);
}

#[test]
fn a_proxy_that_prometheus_only_now_finds_does_not_bring_its_past() {
    let other: &[_] = &[(r#"serin_revision{instance="b",tag="shop/shop"}"#, 1)];
    let old: &[_] = &[(REVISION_OF_A, 1), (UP_A, 900), (BAD, 1000)];
    let new: &[_] = &[(REVISION_OF_A, 1), (UP_A, 0), (BAD, 3)];
    check(filter(), &[other, old], &[]);
    check(filter(), &[other, new], &[("a", "shop/shop/canary/step-1", [3, 3, 0])]);
}

#[test]
fn a_proxy_that_two_jobs_scrape_counts_once() {
    let twice = |good, of_second| {
        [
            (
                r#"serin_rq{instance="10.0.0.1:15020",job="pods",namespace="shop",pod="edge",response_code_class="2xx",tag="shop/shop/stable/rest"}"#,
                good,
            ),
            (
                r#"serin_rq{instance="10.0.0.1:15090",job="envoys",namespace="shop",pod="edge",response_code_class="2xx",tag="shop/shop/stable/rest"}"#,
                of_second,
            ),
        ]
    };
    let expected = [("shop/edge", "shop/shop/stable/rest", [4, 0, 0])];
    check(filter(), &[&twice(10, 8), &twice(13, 14)], &expected);
}

#[test]
fn other_releases_and_closed_canaries_do_not_count() {
    let series: &[_] = &[
        (r#"serin_rq{instance="a",response_code_class="5xx",tag="shop/cart/canary/rest"}"#, 9),
        (r#"serin_rq{instance="a",response_code_class="5xx",tag="shop/shop/stable/closed"}"#, 9),
        (r#"serin_retried{instance="a",tag="shop/shop/canary/rest"}"#, 9),
    ];
    check(filter(), &[&[(REVISION_OF_A, 1)], series], &[]);
}

const ISTIO: &str =
    r#"reporter="source",destination_service_namespace="shop",destination_service_name="shop""#;

/// A series of Istio's: its name, the pod that reports it, the version, and more labels.
fn of_istio(name: &str, pod: &str, version: &str, more: &str) -> String {
    format!(r#"{name}{{{ISTIO},namespace="shop",pod="{pod}",destination_version="{version}",{more}}}"#)
}

fn check_istio(answers: &[&[(String, u64)]], expected: &[(&str, &str, [u64; 3])]) {
    check_istio_of(istio(), answers, expected);
}

fn check_istio_of(istio: Istio, answers: &[&[(String, u64)]], expected: &[(&str, &str, [u64; 3])]) {
    let answers: Vec<Vec<(&str, u64)>> = answers
        .iter()
        .map(|answer| answer.iter().map(|(series, value)| (series.as_str(), *value)).collect())
        .collect();
    let answers: Vec<&[(&str, u64)]> = answers.iter().map(Vec::as_slice).collect();
    let counters = Counters::Istio(istio);
    check(Subject { release: "shop/shop".to_owned(), counters }, &answers, expected);
}

#[test]
fn istios_answers_from_500_on_and_grpc_codes_that_blame_the_server_are_errors() {
    let requests = |more: &str| of_istio(REQUESTS, "gw", "v2", more);
    let base = [(of_istio(REQUESTS, "gw", "v1", r#"response_code="200""#), 7)];
    let next = [
        (requests(r#"response_code="200""#), 10),
        (requests(r#"response_code="404""#), 1),
        (requests(r#"response_code="503",response_flags="UH""#), 2),
        (requests(r#"grpc_response_status="0",response_code="200""#), 3),
        (requests(r#"grpc_response_status="5",response_code="200""#), 4),
        (requests(r#"grpc_response_status="14",response_code="200""#), 5),
    ];
    check_istio(&[&base, &next], &[("shop/gw", "shop/shop/canary/rest", [25, 7, 0])]);
}

#[test]
fn a_canary_with_a_service_of_its_own_is_counted_there() {
    let istio = Istio { canary_service: "shop-canary".to_owned(), ..istio() };
    let requests = |version: &str| of_istio(REQUESTS, "gw", version, r#"response_code="200""#);
    let own = |version: &str| requests(version).replace("name=\"shop\"", "name=\"shop-canary\"");
    let base = [(requests("v1"), 7), (requests("v2"), 7), (own("v1"), 7), (own("v2"), 7)];
    let next = base.clone().map(|(series, total)| (series, total * 2));
    let expected =
        [("shop/gw", "shop/shop/stable/rest", [7, 0, 0]), ("shop/gw", "shop/shop/canary/rest", [7, 0, 0])];
    check_istio_of(istio, &[&base, &next], &expected);
}

#[test]
fn istio_tells_clients_errors_callers_who_left_and_answers_that_broke_off() {
    let one = |labels: &str| {
        let series = of_istio(REQUESTS, "gw", "v2", labels);
        let subjects = [Subject { release: "shop/shop".to_owned(), counters: Counters::Istio(istio()) }];
        let mut deltas = CounterDeltas::default();
        let mut look = |second, total| {
            let found = super::samples(&subjects, answer(&[(&series, total)]).as_bytes()).unwrap().remove(0);
            found.record(&mut deltas, at(second)).unwrap().first().map(|one| one.counts)
        };
        look(100, 5);
        look(101, 6).unwrap()
    };
    let request = ArmCounts { requests: 1, ..ArmCounts::default() };
    let (failed, left) = (ArmCounts { errors: 1, ..request }, ArmCounts { left: 1, ..request });
    let client_error = ArmCounts { client_errors: 1, ..request };
    for (labels, expected) in [
        (r#"response_code="200",response_flags="-""#, request),
        (r#"response_code="302",response_flags="-""#, request),
        (r#"response_code="404",response_flags="-""#, client_error),
        (r#"response_code="200",grpc_response_status="5""#, client_error),
        (r#"response_code="200",grpc_response_status="14""#, failed),
        (r#"response_code="504",response_flags="UT""#, failed),
        (r#"response_code="0",response_flags="DC""#, left),
        (r#"response_code="200",response_flags="UC""#, failed),
        (r#"response_code="200",response_flags="UR""#, failed),
        (r#"response_code="200",response_flags="DC""#, request),
        (r#"response_code="101",response_flags="UC""#, request),
    ] {
        assert_eq!(one(labels), expected, "{labels}");
    }
}

#[test]
fn what_istio_says_of_faults_on_purpose_is_no_versions() {
    let flagged = |flags: &str, code: u16| {
        of_istio(REQUESTS, "gw", "v2", &format!(r#"response_code="{code}",response_flags="{flags}""#))
    };
    let slow = of_istio(DURATION, "gw", "v2", r#"le="+Inf",response_code="200",response_flags="DI""#);
    let base = [(flagged("-", 200), 7)];
    let next = [(flagged("-", 200), 9), (flagged("DI", 200), 5), (flagged("FI", 500), 5), (slow, 5)];
    check_istio(&[&base, &next], &[("shop/gw", "shop/shop/canary/rest", [2, 0, 0])]);
}

#[test]
fn istios_slow_requests_are_those_above_the_edge_at_the_objective() {
    let bucket = |le: &str| of_istio(DURATION, "gw", "v2", &format!(r#"le="{le}",response_code="200""#));
    let answer = |in_time, all| [(bucket("500.0"), in_time), (bucket("+Inf"), all)];
    check_istio(&[&answer(10, 12), &answer(13, 20)], &[("shop/gw", "shop/shop/canary/rest", [0, 0, 5])]);
}

#[test]
fn without_an_edge_at_the_objective_nothing_is_slow() {
    let bucket = |le: &str| of_istio(DURATION, "gw", "v2", &format!(r#"le="{le}",response_code="200""#));
    let answer = |all| [(bucket("250.0"), 1), (bucket("+Inf"), all)];
    check_istio(&[&answer(12), &answer(20)], &[]);
}

#[test]
fn another_services_v2_and_another_reporters_are_not_counted() {
    let labels = [
        r#"reporter="source",destination_service_namespace="shop",destination_service_name="cart""#,
        r#"reporter="source",destination_service_namespace="other",destination_service_name="shop""#,
        r#"reporter="destination",destination_service_namespace="shop",destination_service_name="shop""#,
    ];
    let more = r#"namespace="shop",pod="gw",destination_version="v2",response_code="500""#;
    let series = |labels: &&str| (format!("{REQUESTS}{{{labels},{more}}}"), 9);
    let base = [(of_istio(REQUESTS, "gw", "v1", r#"response_code="200""#), 7)];
    let third = (of_istio(REQUESTS, "gw", "v3", r#"response_code="500""#), 9);
    let next: Vec<_> = labels.iter().map(series).chain([third]).collect();
    check_istio(&[&base, &next], &[]);
}

#[test]
fn samples_of_an_earlier_time_are_not_recorded() {
    let subjects = [filter()];
    let text = answer(&[(REVISION_OF_A, 1), (UP_A, 900), (GOOD, 50)]);
    let sample = super::samples(&subjects, text.as_bytes()).unwrap().remove(0);
    let mut deltas = CounterDeltas::default();
    sample.record(&mut deltas, at(100)).unwrap();
    sample.record(&mut deltas, at(90)).unwrap_err();
}

#[test]
fn a_thousand_releases_take_one_query_in_which_none_is_named() {
    let many: Vec<Subject> = (0..1000)
        .map(|i| Subject { release: format!("shop/shop-{i}"), counters: Counters::Filter })
        .collect();
    assert!(query(&many).unwrap().len() < 1000);
    assert!(query(&many[..2]).unwrap().contains("shop/shop-0|shop/shop-1"));
    assert_eq!(query(&[]), None);
}

#[test]
fn a_complaint_names_the_edges_on_both_sides() {
    let complaint =
        |nearest: &[f64]| Complaint::NoEdge { objective_ms: 300, nearest: nearest.to_vec() }.to_string();
    assert!(
        complaint(&[250.0, 500.0]).contains("300 ms")
            && complaint(&[250.0, 500.0]).contains("250 and 500 ms")
    );
    assert!(complaint(&[250.0]).contains("the nearest is 250 ms"));
    assert!(complaint(&[]).contains("it has none"));
}

#[test]
fn istios_counts_are_of_the_cohort_rest() {
    assert_eq!(istio::tag("shop/shop", Arm::Canary).group, Group::Cohort(Cohort::Rest));
}
