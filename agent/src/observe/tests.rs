//! What a look makes of samples, wherever they come from.

use prometheus::counts::{Counters, Subject, samples};

use super::*;
use scrape::SeriesKey;

const GOOD: &str = "shop/shop/canary/step-1";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn release(source: &str) -> Release {
    let prometheus = "prometheus: {address: \"http://prometheus\"}";
    Release::from_yaml(&format!(
        "apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {{name: shop, namespace: shop}}
spec:
  service: {{name: shop}}
  canary: {{version: v2}}
  analysis: {{source: {source}, {prometheus}}}
"
    ))
    .unwrap()
}

/// What a pod's proxy says at `second`, when it has counted so many requests.
fn sample(pod: &str, attach_point: &str, second: i64, requests: u64) -> ProxySample {
    let key = SeriesKey { tag: GOOD.to_owned(), metric: "serin_rq".to_owned(), class: "2xx".to_owned() };
    let sample = Sample {
        uptime_s: 1_000,
        revisions: [("shop/shop".to_owned(), 7)].into(),
        totals: [(key, requests)].into(),
        ..Sample::default()
    };
    ProxySample {
        name: pod.to_owned(),
        address: pod.to_owned(),
        attach_point: attach_point.into(),
        at: at(second),
        sample: Ok(Arc::new(sample)),
    }
}

/// What a Prometheus says at `second` of the same pods.
fn collected(second: i64, pods: &[(&str, u64)]) -> Collected {
    let series = pods.iter().flat_map(|(pod, requests)| {
        let (namespace, pod) = pod.split_once('/').unwrap();
        let place = format!(r#""namespace":"{namespace}","pod":"{pod}""#);
        let rq = format!(r#""__name__":"serin_rq","response_code_class":"2xx","tag":"{GOOD}",{place}"#);
        let up = format!(r#""__name__":"envoy_server_uptime",{place}"#);
        [(rq, *requests), (up, 1_000)]
    });
    let series: Vec<_> =
        series.map(|(labels, value)| format!(r#"{{"metric":{{{labels}}},"value":[0,"{value}"]}}"#)).collect();
    let answer =
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#, series.join(","));
    let subject = Subject { release: "shop/shop".to_owned(), counters: Counters::Filter };
    let sample = samples(&[subject], answer.as_bytes()).unwrap().remove(0);
    Collected::Counters { at: at(second), sample: Arc::new(sample) }
}

/// One release that is looked at.
struct Look {
    release: Release,
    observer: Observer,
    deltas: CounterDeltas,
}

impl Look {
    fn at(source: &str) -> Self {
        let (observer, deltas) = (Observer::default(), CounterDeltas::default());
        Self { release: release(source), observer, deltas }
    }

    fn report(&mut self, second: i64, samples: &[ProxySample], collected: Option<Collected>) -> ProxyReport {
        self.observer.report(&self.release, &mut self.deltas, samples, collected, None, at(second))
    }
}

/// Where something was counted, and how many requests.
fn counted(report: &ProxyReport) -> Vec<(&str, u64)> {
    report.counted.iter().map(|cell| (&*cell.place, cell.counts.requests)).collect()
}

#[test]
fn a_sample_counts_once_however_often_it_is_looked_at_and_again_when_the_save_has_failed() {
    let mut look = Look::at("Proxies");
    look.report(100, &[sample("edge/a", "edge", 100, 50)], None);
    let recorded = look.deltas.clone();
    let next = [sample("edge/a", "edge", 100, 53)];
    assert_eq!(counted(&look.report(101, &next, None)), [("edge", 3)]);
    assert_eq!(counted(&look.report(102, &next, None)), []);
    look.deltas = recorded;
    assert_eq!(counted(&look.report(103, &[sample("edge/a", "edge", 103, 60)], None)), [("edge", 10)]);
}

#[test]
fn a_place_is_an_attach_point_whoever_counts() {
    let proxies = |requests| {
        [("edge/a", "edge"), ("shop/b", "mesh")].map(|(pod, point)| sample(pod, point, 100, requests))
    };
    let mut look = Look::at("Proxies");
    look.report(100, &proxies(50), None);
    assert_eq!(counted(&look.report(101, &proxies(52), None)), [("edge", 2), ("mesh", 2)]);
    let mut look = Look::at("Prometheus");
    // One that Prometheus knows, and nobody else, may be gone.
    let pods = |requests| [("edge/a", requests), ("shop/b", requests), ("edge/gone", requests)];
    look.report(100, &proxies(50), Some(collected(100, &pods(50))));
    look.observer.saved();
    let report = look.report(101, &proxies(59), Some(collected(101, &pods(57))));
    assert_eq!(counted(&report), [("edge", 7), ("", 7), ("mesh", 7)]);
    assert_eq!(report.at_proxies.canary.requests, 18);
}

#[test]
fn what_the_proxies_say_beside_a_prometheus_counts_again_when_the_save_has_failed() {
    let mut look = Look::at("Prometheus");
    let mut at_proxies = |second, requests, is_saved| {
        let proxies = [sample("edge/a", "edge", second, requests)];
        let report = look.report(second, &proxies, Some(collected(second, &[("edge/a", requests)])));
        if is_saved {
            look.observer.saved();
        }
        report.at_proxies.canary.requests
    };
    at_proxies(100, 50, true);
    assert_eq!(at_proxies(101, 53, false), 3);
    assert_eq!(at_proxies(102, 60, true), 10);
    assert_eq!(at_proxies(103, 61, true), 1);
}

#[test]
fn before_the_first_answer_nothing_is_counted_and_nothing_is_wrong() {
    let mut look = Look::at("Prometheus");
    for (collected, expected) in [
        (Collected::NotYet, None),
        (Collected::Outage("no answer".to_owned()), Some("no answer")),
        (
            collected(100, &[]),
            Some(
                "Prometheus answers, and knows no series of shop/shop: does it scrape the proxies, and do the clocks agree?",
            ),
        ),
        (collected(101, &[("edge/a", 5)]), None),
    ] {
        let report = look.report(100, &[], Some(collected));
        assert_eq!((report.outage.as_deref(), counted(&report)), (expected, vec![]));
    }
}

#[test]
fn what_rules_chose_is_told_apart_by_rule_and_version() {
    let look_at = |second, totals: &[(&str, u64)]| {
        let key = |tag: &str| SeriesKey {
            tag: format!("shop/shop/{tag}"),
            metric: "serin_rq".to_owned(),
            class: "5xx".to_owned(),
        };
        let totals = totals.iter().map(|(tag, total)| (key(tag), *total)).collect();
        let said = Sample { uptime_s: 1_000, totals, ..Sample::default() };
        ProxySample { sample: Ok(Arc::new(said)), ..sample("edge/a", "edge", second, 0) }
    };
    let mut look = Look::at("Proxies");
    let tags = [
        "canary/override",
        "stable/override",
        "canary/fault",
        "canary/segment:beta",
        "canary/segment:override",
        "canary/split:half",
        "canary/rest",
    ];
    let totals = |total| tags.map(|tag| (tag, total));
    look.report(100, &[look_at(100, &totals(5))], None);
    let report = look.report(101, &[look_at(101, &totals(8))], None);
    let chosen: Vec<_> =
        report.chosen.into_iter().map(|Chosen { by, arm, counts }| (by, arm, counts.errors)).collect();
    let segment = |name: &str| Chooser::Segment(name.to_owned());
    let expected = [
        (Chooser::Fault, Arm::Canary, 3),
        (Chooser::Override, Arm::Canary, 3),
        (segment("beta"), Arm::Canary, 3),
        (segment("override"), Arm::Canary, 3),
        (Chooser::Override, Arm::Stable, 3),
    ];
    assert_eq!(chosen, expected);
    assert_eq!(report.counted.len(), 2);
    assert_eq!(report.at_proxies.canary.errors, 6);
}

#[test]
fn answers_to_copies_are_the_proxies_own_counts_whoever_else_counts() {
    let look_at = |second, canary: u64| {
        let key = |tag: &str, metric: &str, class: &str| SeriesKey {
            tag: format!("shop/shop/{tag}"),
            metric: metric.to_owned(),
            class: class.to_owned(),
        };
        let totals = [
            (key("stable/copied", "serin_rq", "2xx"), 2 * canary),
            (key("stable/copied", "serin_rq", "5xx"), 1),
            (key("canary/copied", "envoy_cluster_upstream_rq", "2xx"), canary),
            (key("canary/copied", "envoy_cluster_upstream_rq", "5xx"), canary),
            (key("canary/copied", "envoy_cluster_upstream_rq_200", ""), canary),
        ];
        let said = Sample { uptime_s: 1_000, totals: totals.into(), ..Sample::default() };
        ProxySample { sample: Ok(Arc::new(said)), ..sample("edge/a", "edge", second, 0) }
    };
    for source in ["Proxies", "Prometheus"] {
        let mut look = Look::at(source);
        let collected = |second| (source == "Prometheus").then(|| collected(second, &[("edge/a", 5)]));
        look.report(100, &[look_at(100, 5)], collected(100));
        look.observer.saved();
        let report = look.report(101, &[look_at(101, 8)], collected(101));
        let tally = |requests, bad| Tally { requests, bad };
        assert_eq!(report.mirrored, Mirrored { stable: tally(6, 0), canary: tally(6, 3) }, "{source}");
        assert_eq!(report.given_to_canary, Tally::default(), "{source}");
    }
}
