//! Many releases at once, each Prometheus asked in the background.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use serin_agent::observe::beat::Beat;
use serin_agent::observe::counter_deltas::CounterDeltas;
use serin_agent::observe::prometheus::MOST_SERIES;
use serin_agent::observe::prometheus::collector::{Collected, Collectors};
use serin_agent::observe::prometheus::counts::{Counters, Subject};
use serin_release::prometheus::{Access, DEFAULT_VERSION_LABEL, Istio, Reporter};
use serin_tests::exporter::{Exporter, serve};
use serin_tests::prometheus::{Options, Prometheus};
use serin_tests::site::{eventually, run};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::{check, client, said, settings};

const RELEASES: u64 = 1_000;

/// How often a release under way is looked at here.
const INTERVAL: Duration = Duration::from_millis(500);

/// Half of the releases are counted by the filter, the others by Istio.
fn subject(number: u64) -> Subject {
    if number.is_multiple_of(2) {
        return of_filter(&format!("shop-{number}"));
    }
    let counters = Counters::Istio(Istio {
        reporter: Reporter::Destination,
        namespace: "shop".to_owned(),
        service: format!("shop-{number}"),
        canary_service: format!("shop-{number}"),
        version_label: DEFAULT_VERSION_LABEL.to_owned(),
        stable: "v1".to_owned(),
        canary: "v2".to_owned(),
        objective_ms: 500,
    });
    Subject { release: format!("shop/shop-{number}"), counters }
}

fn of_filter(name: &str) -> Subject {
    Subject { release: format!("shop/{name}"), counters: Counters::Filter }
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

fn access(url: &str) -> Result<Access> {
    Ok(Access::try_from(settings(url))?)
}

/// A way to the Prometheus at `behind` on which queries are counted.
async fn counted(behind: String) -> Result<(String, Arc<AtomicU64>, AbortHandle)> {
    let queries = Arc::<AtomicU64>::default();
    let count = Arc::clone(&queries);
    let pass = async move |form: Bytes| {
        count.fetch_add(1, Ordering::Relaxed);
        let http = serin_agent::http::plain().build().expect("a client without TLS can always be built");
        let request = http.post(format!("{behind}/api/v1/query")).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.send().await.expect("Prometheus answers");
        answer.bytes().await.expect("Prometheus says something")
    };
    let (address, server) = serve(Router::new().route("/api/v1/query", post(pass))).await?;
    Ok((format!("http://{address}"), queries, server))
}

/// Whoever looks at many releases.
struct Looker {
    collectors: Collectors,
    beat: Beat,
    begun: Instant,
    deltas: BTreeMap<String, CounterDeltas>,
    /// What has been counted of each release.
    requests: BTreeMap<String, u64>,
}

impl Looker {
    fn new() -> Self {
        let beat = Beat::begin();
        let (deltas, requests) = (BTreeMap::new(), BTreeMap::new());
        Self { collectors: Collectors::new(beat), beat, begun: Instant::now(), deltas, requests }
    }

    /// How many intervals have begun. A slow machine may need more than one of them for a look.
    fn intervals(&self) -> u64 {
        let intervals = self.begun.elapsed().as_nanos().div_ceil(INTERVAL.as_nanos());
        intervals.try_into().unwrap_or(u64::MAX)
    }

    /// Waits for the next look and counts what there is of `subjects`. Says of how many there is nothing yet.
    async fn look(&mut self, access: &Access, subjects: &[Subject]) -> Result<usize> {
        sleep(self.beat.until_look(INTERVAL)).await;
        let mut missing = 0;
        for subject in subjects {
            match self.collectors.latest(access, subject) {
                Collected::NotYet => missing += 1,
                Collected::Outage(why) => bail!("{}: {why}", subject.release),
                Collected::Counters { at, sample } => {
                    let deltas = self.deltas.entry(subject.release.clone()).or_default();
                    let new: u64 = sample.record(deltas, at)?.iter().map(|count| count.counts.requests).sum();
                    *self.requests.entry(subject.release.clone()).or_default() += new;
                }
            }
            self.collectors.want(access, subject, INTERVAL);
        }
        Ok(missing)
    }
}

#[test]
fn a_thousand_releases_of_both_kinds_are_told_apart_in_one_query_a_look() -> Result<()> {
    run(async {
        let exporter = Exporter::start().await?;
        let options = Options::new()?.scraping("all", "/metrics", &[exporter.address()]);
        let prometheus = Prometheus::start(options).await?;
        let client = client(&prometheus.url())?;
        let (url, queries, _server) = counted(prometheus.url()).await?;
        let (access, mut looker) = (access(&url)?, Looker::new());
        let subjects: Vec<Subject> = (0..RELEASES).map(subject).collect();
        for more in [1, 8] {
            exporter.say(series(more));
            let all: u64 = series(more).map(|(_, total)| total).sum();
            eventually("all series to be scraped", async || {
                let known = said(&client, "sum(serin_rq) + sum(istio_requests_total)").await;
                ensure!(known.contains(&format!("value: {all}.0")), "{known}, not {all}");
                Ok(())
            })
            .await?;
            // What is taken then was asked for in the meantime.
            while looker.look(&access, &subjects).await? > 0 {}
            looker.look(&access, &subjects).await?;
        }
        let wrong: Vec<_> = looker.requests.iter().filter(|(_, requests)| **requests != 7).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        let (queries, intervals) = (queries.load(Ordering::Relaxed), looker.intervals());
        ensure!(
            queries <= intervals + 1,
            "{queries} queries in {intervals} intervals for {RELEASES} releases"
        );
        Ok(())
    })
}

#[test]
fn a_prometheus_that_never_answers_holds_up_no_other() -> Result<()> {
    run(async {
        let exporter = Exporter::start().await?;
        exporter.say(series(1));
        let options = Options::new()?.scraping("all", "/metrics", &[exporter.address()]);
        let prometheus = Prometheus::start(options).await?;
        let (hole, _server) = serve(Router::new().fallback(async || pending::<()>().await)).await?;
        let (good, hole) = (access(&prometheus.url())?, access(&format!("http://{hole}"))?);
        let (subject, mut looker) = (of_filter("shop-0"), Looker::new());
        let outage = eventually("the outage to be told", async || {
            looker.look(&good, std::slice::from_ref(&subject)).await.context("the good one")?;
            match looker.collectors.latest(&hole, &subject) {
                Collected::Outage(why) => Ok(why),
                other => bail!("{other:?}"),
            }
        })
        .await?;
        check(&outage, &["no answer from http://127.0.0.1:", "/api/v1/query"]);
        eventually("the good one to count", async || {
            let missing = looker.look(&good, std::slice::from_ref(&subject)).await?;
            ensure!(missing == 0 && looker.requests.contains_key(&subject.release), "nothing yet");
            Ok(())
        })
        .await?;
        let still = looker.collectors.latest(&hole, &subject);
        ensure!(matches!(still, Collected::Outage(_)), "{still:?}");
        Ok(())
    })
}

#[test]
fn a_release_with_too_many_series_is_asked_for_by_itself_from_then_on() -> Result<()> {
    run(async {
        let exporter = Exporter::start().await?;
        let many =
            (0..=MOST_SERIES).map(|i| (format!("serin_rq{{tag=\"shop/many/canary/step-1\",i=\"{i}\"}}"), 1));
        let few = (0..5).map(|i| (format!("serin_rq{{tag=\"shop/few-{i}/canary/step-1\"}}"), 1));
        exporter.say(many.chain(few));
        let options = Options::new()?.scraping("all", "/metrics", &[exporter.address()]);
        let prometheus = Prometheus::start(options).await?;
        let client = client(&prometheus.url())?;
        eventually("the series to be scraped", async || {
            let count = said(&client, "count(serin_rq)").await;
            ensure!(count.contains(&(MOST_SERIES + 6).to_string()), "{count}");
            Ok(())
        })
        .await?;
        let (url, queries, _server) = counted(prometheus.url()).await?;
        let (access, mut looker) = (access(&url)?, Looker::new());
        let (many, few): (_, Vec<_>) =
            (of_filter("many"), (0..5).map(|i| of_filter(&format!("few-{i}"))).collect());
        looker.collectors.latest(&access, &many);
        while looker.look(&access, &few).await? > 0 {}
        let Collected::Outage(why) = looker.collectors.latest(&access, &many) else { bail!("it is counted") };
        check(&why, &[&format!("gives more than {MOST_SERIES} series")]);
        let before = (queries.load(Ordering::Relaxed), looker.intervals());
        for _ in 0..4 {
            looker.collectors.want(&access, &many, INTERVAL);
            looker.look(&access, &few).await?;
        }
        let asked = queries.load(Ordering::Relaxed) - before.0;
        let intervals = looker.intervals() - before.1;
        ensure!(asked <= 2 * (intervals + 1), "{asked} queries in {intervals} intervals");
        Ok(())
    })
}
