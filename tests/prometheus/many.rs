//! A thousand releases at once.

use anyhow::{Result, ensure};
use jiff::Timestamp;
use serin_agent::observe::counter_deltas::CounterDeltas;
use serin_agent::observe::prometheus::counts::{Counters, Counting, Subject};
use serin_release::prometheus::{DEFAULT_VERSION_LABEL, Istio, Reporter};
use serin_tests::exporter::Exporter;
use serin_tests::prometheus::{Options, Prometheus};
use serin_tests::site::{eventually, run};

use crate::{client, said};

const RELEASES: u64 = 1_000;

/// Half of the releases are counted by the filter, the others by Istio.
fn subject(number: u64) -> Subject {
    let counters = if number.is_multiple_of(2) {
        Counters::Filter
    } else {
        Counters::Istio(Istio {
            reporter: Reporter::Destination,
            namespace: "shop".to_owned(),
            service: format!("shop-{number}"),
            version_label: DEFAULT_VERSION_LABEL.to_owned(),
            stable: "v1".to_owned(),
            canary: "v2".to_owned(),
            objective_ms: 500,
        })
    };
    Subject { release: format!("shop/shop-{number}"), counters }
}

/// One series of each release, with `more` requests than its number.
fn series(more: u64) -> impl Iterator<Item = (String, u64)> {
    (0..RELEASES).map(move |number| {
        let name = if number.is_multiple_of(2) {
            format!("serin_rq{{response_code_class=\"2xx\",tag=\"shop/shop-{number}/canary/step-1\"}}")
        } else {
            format!(
                "istio_requests_total{{reporter=\"destination\",destination_service_namespace=\"shop\",\
                 destination_service_name=\"shop-{number}\",destination_version=\"v2\",response_code=\"200\"}}"
            )
        };
        (name, number + more)
    })
}

#[test]
fn a_thousand_releases_of_both_kinds_are_told_apart_in_one_look() -> Result<()> {
    run(async {
        let exporter = Exporter::start().await?;
        let options = Options::new()?.scraping("all", "/metrics", &[exporter.address()]);
        let prometheus = Prometheus::start(options).await?;
        let client = client(&prometheus.url())?;
        let mut counting = Counting::new(client.clone());
        let subjects: Vec<Subject> = (0..RELEASES).map(subject).collect();
        let mut all_deltas = vec![CounterDeltas::default(); subjects.len()];
        let mut requests = Vec::new();
        for more in [1, 8] {
            exporter.say(series(more));
            let all: u64 = series(more).map(|(_, total)| total).sum();
            eventually("all series to be scraped", async || {
                let known = said(&client, "sum(serin_rq) + sum(istio_requests_total)").await;
                ensure!(known.contains(&format!("value: {all}.0")), "{known}, not {all}");
                Ok(())
            })
            .await?;
            let now = Timestamp::now();
            let looks = counting.look(&subjects, now).await?;
            requests.clear();
            for (look, deltas) in looks.iter().zip(&mut all_deltas) {
                requests
                    .push(look.record(deltas, now)?.iter().map(|count| count.counts.requests).sum::<u64>());
            }
        }
        assert_eq!(requests, vec![7; subjects.len()]);
        Ok(())
    })
}
