//! Counters that are shown twice, that fall, or that are not all there, by way of a real Prometheus.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serin_agent::observe::counter_deltas::CounterDeltas;
use serin_agent::observe::prometheus::counts::{Counters, Counting, Subject};
use serin_tests::exporter::Exporter;
use serin_tests::prometheus::{Options, Prometheus};
use serin_tests::site::{eventually, run};

use crate::{check, client, istio, said};

/// A series and its total.
type Series = (String, u64);

/// Lets an exporter say one of `looks` after the other, and looks at each: how many of the canary's requests are new, and
/// what is complained of in the end.
async fn look(counters: Counters, looks: &[Vec<Series>]) -> Result<(Vec<u64>, String)> {
    let exporter = Exporter::start().await?;
    let options = Options::new()?.scraping("pods", "/metrics", &[exporter.address()]);
    let prometheus = Prometheus::start(options).await?;
    let client = client(&prometheus.url())?;
    let mut counting = Counting::new(client.clone());
    let subjects = [Subject { release: "shop/shop".to_owned(), counters }];
    let mut deltas = CounterDeltas::default();
    let (mut counted, mut complaint) = (Vec::new(), String::new());
    for (number, series) in (1_u64..).zip(looks) {
        let mark = ("look".to_owned(), number);
        exporter.say(series.iter().cloned().chain([mark]));
        eventually("the exporter to be scraped", async || {
            let known = said(&client, "look").await;
            ensure!(known.contains(&format!("value: {number}.0")), "{known}, not {number}");
            Ok(())
        })
        .await?;
        let now = Timestamp::now();
        let samples = counting.sample(&subjects, now).await?;
        let sample = samples.first().context("one sample for each subject")?;
        counted.push(sample.record(&mut deltas, now)?.iter().map(|count| count.counts.requests).sum());
        complaint = sample.complaint().map(ToString::to_string).unwrap_or_default();
    }
    Ok((counted, complaint))
}

/// A counter of the canary's requests at a gateway's pod, with `more` labels.
fn requests(counters: &Counters, more: &str, total: u64) -> Series {
    let what = match counters {
        Counters::Filter => "serin_rq{response_code_class=\"2xx\",tag=\"shop/shop/canary/step-1\"",
        Counters::Istio(_) => {
            "istio_requests_total{reporter=\"source\",destination_service_namespace=\"shop\",\
             destination_service_name=\"shop\",destination_version=\"v2\",response_code=\"200\""
        }
    };
    (format!("{what},namespace=\"edge\",pod=\"gateway-0\"{more}}}"), total)
}

/// What there is to count, in both ways. Istio's counters are only complete with times.
fn both() -> [Counters; 2] {
    [Counters::Filter, Counters::Istio(istio::shop(500))]
}

/// Lets `looks` show totals of the canary's requests, each with labels of its own, and compares what is new.
fn check_looks(looks: &[&[(&str, u64)]], expected: &[u64]) -> Result<()> {
    run(async {
        for counters in both() {
            let series = |look: &&[(&str, u64)]| {
                look.iter().map(|(more, total)| requests(&counters, more, *total)).collect()
            };
            let (counted, _) = look(counters.clone(), &looks.iter().map(series).collect::<Vec<_>>()).await?;
            assert_eq!(counted, expected, "{counters:?}: {looks:?}");
        }
        Ok(())
    })
}

#[test]
fn what_two_prometheus_of_a_pair_show_counts_once_and_from_one_of_them_only() -> Result<()> {
    for label in ["replica", "receive_replica", "prometheus_replica", "prometheus", "__replica__"] {
        let [a, b] = ["a", "b"].map(|name| format!(",{label}=\"{name}\""));
        let (a, b) = (a.as_str(), b.as_str());
        check_looks(
            &[&[(a, 10), (b, 9)], &[(a, 20), (b, 23)], &[(b, 25)], &[(a, 32), (b, 31)]],
            // The second one is begun with when the first one is gone, and stayed with.
            &[0, 10, 0, 6],
        )?;
    }
    Ok(())
}

#[test]
fn pods_of_the_same_name_in_two_clusters_are_two_pods() -> Result<()> {
    let (east, west) = (",cluster=\"east\"", ",cluster=\"west\"");
    check_looks(&[&[(east, 10), (west, 500)], &[(east, 13), (west, 504)]], &[0, 7])
}

#[test]
fn a_total_that_falls_counts_for_new_only_where_an_uptime_shows_a_restart() -> Result<()> {
    // It may have been another one of two Prometheus that answered.
    check_looks(&[&[("", 100)], &[("", 40)], &[("", 45)], &[("", 103)]], &[0, 0, 0, 3])?;
    run(async {
        for counters in both() {
            let look_at = |uptime, total| {
                let of_the_pod = "namespace=\"edge\",pod=\"gateway-0\"";
                vec![
                    (format!("envoy_server_uptime{{{of_the_pod}}}"), uptime),
                    (format!("serin_revision{{tag=\"shop/shop\",{of_the_pod}}}"), 1),
                    requests(&counters, "", total),
                ]
            };
            let (counted, _) = look(counters.clone(), &[look_at(9_000, 100), look_at(1, 40)]).await?;
            assert_eq!(counted, [0, 40], "{counters:?}");
        }
        Ok(())
    })
}

#[test]
fn requests_without_buckets_are_complained_of_by_name() -> Result<()> {
    run(async {
        let counters = Counters::Istio(istio::shop(500));
        let looks = [5, 8].map(|total| vec![requests(&counters, "", total)]);
        let (counted, complaint) = look(counters, &looks).await?;
        assert_eq!(counted, [0, 3]);
        check(&complaint, &["edge/gateway-0", "no istio_request_duration_milliseconds_bucket"]);
        Ok(())
    })
}
