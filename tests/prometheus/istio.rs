//! Istio's standard metrics, in Istio's own shape, by way of a real Prometheus.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serin_agent::observe::counter_deltas::CounterDeltas;
use serin_agent::observe::prometheus::counts::{Counters, Counting, Subject};
use serin_agent::standalone::View;
use serin_policy::Weight;
use serin_release::prometheus::{DEFAULT_VERSION_LABEL, Istio, Reporter};
use serin_tests::agent::Agent;
use serin_tests::exporter::Exporter;
use serin_tests::prometheus::{Options, Prometheus};
use serin_tests::site::{Plan, Site, eventually, release, run};

use crate::{check, client, said};

const EDGES: [&str; 6] = ["100", "250", "500", "1000", "2500", "+Inf"];

/// Requests to one version of a service: how they were answered, and in which bucket of [`EDGES`] they fell.
struct Traffic {
    service: &'static str,
    version: &'static str,
    response_code: &'static str,
    grpc: &'static str,
    buckets: [u64; 6],
}

/// HTTP requests to the shop.
fn http(version: &'static str, response_code: &'static str, buckets: [u64; 6]) -> Traffic {
    Traffic { service: "shop", version, response_code, grpc: "", buckets }
}

impl Traffic {
    /// What a gateway's proxy says of it.
    fn series(&self) -> Vec<(String, u64)> {
        let Self { service, version, response_code, grpc, .. } = self;
        let protocol = if grpc.is_empty() { "http" } else { "grpc" };
        let grpc = if grpc.is_empty() { String::new() } else { format!("grpc_response_status=\"{grpc}\",") };
        let labels = format!(
            "reporter=\"source\",source_workload=\"gateway\",source_canonical_service=\"gateway\",\
             source_canonical_revision=\"latest\",source_workload_namespace=\"istio-system\",\
             source_principal=\"unknown\",source_app=\"gateway\",source_version=\"unknown\",\
             source_cluster=\"Kubernetes\",destination_workload=\"{service}-{version}\",\
             destination_workload_namespace=\"shop\",destination_principal=\"unknown\",\
             destination_app=\"{service}\",destination_version=\"{version}\",\
             destination_service=\"{service}.shop.svc.cluster.local\",\
             destination_canonical_service=\"{service}\",destination_canonical_revision=\"{version}\",\
             destination_service_name=\"{service}\",destination_service_namespace=\"shop\",\
             destination_cluster=\"Kubernetes\",request_protocol=\"{protocol}\",\
             response_code=\"{response_code}\",{grpc}response_flags=\"-\",\
             connection_security_policy=\"unknown\""
        );
        let mut series = Vec::new();
        let mut count = 0;
        for (edge, in_bucket) in EDGES.into_iter().zip(self.buckets) {
            count += in_bucket;
            let name = "istio_request_duration_milliseconds_bucket";
            series.push((format!("{name}{{{labels},le=\"{edge}\"}}"), count));
        }
        series.push((format!("istio_requests_total{{{labels}}}"), count));
        series
    }
}

/// The shop among Istio's metrics.
pub(crate) fn shop(objective_ms: u32) -> Istio {
    Istio {
        reporter: Reporter::Source,
        namespace: "shop".to_owned(),
        service: "shop".to_owned(),
        canary_service: "shop".to_owned(),
        version_label: DEFAULT_VERSION_LABEL.to_owned(),
        stable: "v1".to_owned(),
        canary: "v2".to_owned(),
        objective_ms,
    }
}

/// Lets an exporter say `first`, looks, lets it say `second`, and looks again: what is new then, by tag, and the
/// complaint.
async fn between(istio: Istio, first: &[Traffic], second: &[Traffic]) -> Result<(Vec<String>, String)> {
    let exporter = Exporter::start().await?;
    let options = Options::new()?.scraping("istio", "/stats/prometheus", &[exporter.address()]);
    let prometheus = Prometheus::start(options).await?;
    let client = client(&prometheus.url())?;
    let mut counting = Counting::new(client.clone());
    let subjects = [Subject { release: "shop/shop".to_owned(), counters: Counters::Istio(istio) }];
    let mut deltas = CounterDeltas::default();
    let mut last = (Vec::new(), String::new());
    for traffic in [first, second] {
        exporter.say(traffic.iter().flat_map(Traffic::series));
        let total: u64 = traffic.iter().flat_map(|traffic| traffic.buckets).sum();
        eventually("the exporter to be scraped", async || {
            let known = said(&client, "sum(istio_requests_total)").await;
            ensure!(known.contains(&format!("value: {total}.0")), "{known}, not {total}");
            Ok(())
        })
        .await?;
        let now = Timestamp::now();
        let samples = counting.sample(&subjects, now).await?;
        let sample = samples.first().context("one sample for each subject")?;
        let news = sample.record(&mut deltas, now)?;
        let news = news.iter().map(|count| {
            let of = &count.counts;
            format!("{}: {} requests, {} errors, {} slow", count.tag, of.requests, of.errors, of.slow)
        });
        let complaint = sample.complaint().map(ToString::to_string);
        last = (news.collect(), complaint.unwrap_or_default());
    }
    last.0.sort();
    Ok(last)
}

#[test]
fn the_services_own_versions_are_counted_and_no_other_services_v2() -> Result<()> {
    run(async {
        let other = || Traffic { service: "cart", ..http("v2", "500", [0, 0, 0, 0, 0, 99]) };
        let grpc = |code| Traffic { grpc: code, ..http("v2", "200", [1, 1, 0, 0, 0, 0]) };
        let first = [http("v1", "200", [10, 10, 10, 0, 0, 1]), http("v2", "200", [5, 0, 0, 0, 0, 0])];
        let second = [
            http("v1", "200", [20, 20, 20, 0, 0, 2]),
            http("v2", "200", [6, 1, 1, 0, 0, 0]),
            // This series is born with its first errors.
            http("v2", "503", [0, 0, 0, 2, 1, 1]),
            http("v3", "500", [7, 0, 0, 0, 0, 0]),
            grpc("14"),
            grpc("5"),
            other(),
        ];
        let (news, complaint) = between(shop(500), &first, &second).await?;
        assert_eq!(
            news,
            [
                "shop/shop/canary/rest: 11 requests, 6 errors, 4 slow",
                "shop/shop/stable/rest: 31 requests, 0 errors, 1 slow",
            ]
        );
        assert_eq!(complaint, "");
        Ok(())
    })
}

#[test]
fn without_an_edge_at_the_objective_the_nearest_are_named_and_nothing_is_slow() -> Result<()> {
    run(async {
        let first = [http("v1", "200", [1, 0, 0, 0, 0, 0])];
        let second = [http("v1", "200", [2, 0, 0, 0, 0, 9])];
        let (news, complaint) = between(shop(300), &first, &second).await?;
        assert_eq!(news, ["shop/shop/stable/rest: 10 requests, 0 errors, 0 slow"]);
        check(&complaint, &["objective of 300 ms", "the nearest are 250 and 500 ms"]);
        Ok(())
    })
}

/// Istio's metrics of stable and of a canary that fails a third of its requests, after so many looks.
fn istios(look: u64) -> Vec<Traffic> {
    let fast = |count: u64| [count, 0, 0, 0, 0, 0];
    vec![
        http("v1", "200", fast(90 * look)),
        http("v2", "200", fast(10 * look)),
        http("v2", "503", fast(5 * look)),
        // Another service's v2, which is much worse.
        Traffic { service: "cart", ..http("v2", "503", fast(1000 * look)) },
    ]
}

#[test]
fn a_bad_canary_is_taken_back_by_istios_own_metrics() -> Result<()> {
    run(async {
        let exporter = Exporter::start().await?;
        let options = Options::new()?.scraping("istio", "/stats/prometheus", &[exporter.address()]);
        let prometheus = Prometheus::start(options).await?;
        let release = release(&format!(
            "stable: {{version: v1}}
strategy: {{canary: {{steps: [{{setWeight: 10, pause: {{duration: 1h}}}}]}}}}
analysis: {{source: Istio, baseline: 0s, prometheus: {{address: \"{}\"}}}}",
            prometheus.url()
        ));
        let site = Site::at(Weight::ZERO, Plan { release: release.clone(), ..Plan::default() }).await?;
        let agent = Agent::start(crate::AGENT, &site, &release, &site.admins()).await?;
        // Before Istio has counted anything, nothing can be said, and that is.
        let awaits = |view: &View| view.standing.iter().any(|one| one.code() == "awaits-data");
        agent.wait_until("the agent to say that there is nothing", awaits).await?;
        let mut look = 0;
        let end = eventually("the rollback", async || {
            look += 1;
            exporter.say(istios(look).iter().flat_map(Traffic::series));
            let view = agent.view().await?;
            ensure!(view.status.phase.code() == "rolled-back", "{:?}", view.standing);
            Ok(view)
        });
        let view = end.await?;
        let why = view.standing.first().map(ToString::to_string).unwrap_or_default();
        check(&why, &["rolled back at 10%: the canary failed ", "(33%, allowed 1%; stable meanwhile "]);
        Ok(())
    })
}
