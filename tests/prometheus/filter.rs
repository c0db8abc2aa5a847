//! The filter's own counters by way of a Prometheus that scrapes real Envoys.

use anyhow::{Result, ensure};
use jiff::Timestamp;
use serin_agent::observe::counter_deltas::CounterDeltas;
use serin_agent::observe::prometheus::counts::{Counters, Counting, Subject};
use serin_local::envoy::Envoy;
use serin_local::shop::Build;
use serin_policy::{Arm, Weight};
use serin_rollout::{ArmCounts, Counts};
use serin_tests::prometheus::{Options, Prometheus};
use serin_tests::site::{Plan, Site, eventually, release, run};

use crate::client;

/// Looks by way of a Prometheus, and what that has come to.
struct Watch {
    counting: Counting,
    deltas: CounterDeltas,
    sum: Counts,
}

impl Watch {
    /// Begins when Prometheus knows all of the site's proxies.
    async fn begin(url: &str, site: &Site) -> Result<Self> {
        let counting = Counting::new(client(url)?);
        let mut watch = Self { counting, deltas: CounterDeltas::default(), sum: Counts::default() };
        let client = client(url)?;
        eventually("all proxies to be scraped", async || {
            let known = crate::said(&client, "count(serin_revision)").await;
            ensure!(known.contains(&format!("value: {}.0", site.envoys.len())), "{known}");
            Ok(())
        })
        .await?;
        watch.look().await?;
        Ok(watch)
    }

    /// Asks another Prometheus from now on.
    fn turn_to(&mut self, url: &str) -> Result<()> {
        self.counting = Counting::new(client(url)?);
        Ok(())
    }

    async fn look(&mut self) -> Result<()> {
        let subjects = [Subject { release: "shop/shop".to_owned(), counters: Counters::Filter }];
        let now = Timestamp::now();
        for sample in self.counting.sample(&subjects, now).await? {
            for count in sample.record(&mut self.deltas, now)? {
                let sum = match count.tag.arm {
                    Arm::Stable => &mut self.sum.stable,
                    Arm::Canary | Arm::Extra(_) => &mut self.sum.canary,
                };
                sum.requests += count.counts.requests;
                sum.errors += count.counts.errors;
                sum.slow += count.counts.slow;
            }
        }
        Ok(())
    }

    /// Looks until as much was counted as the clients have seen. Counting more is no success either.
    async fn comes_to(&mut self, seen: Counts) -> Result<()> {
        eventually("all requests to be counted", async || {
            self.look().await?;
            ensure!(self.sum == seen, "counted {:?}, seen {seen:?}", self.sum);
            Ok(())
        })
        .await?;
        // What would be counted twice would be in the next look.
        self.look().await?;
        ensure!(self.sum == seen, "then counted {:?}, seen {seen:?}", self.sum);
        Ok(())
    }
}

/// Sends one request for each of `users` to each Envoy and adds what became of them to `seen`.
async fn ask(site: &Site, users: &[String], seen: &mut Counts) -> Result<()> {
    for index in 0..site.envoys.len() {
        let client = site.client(index);
        for id in users {
            let answer = client.get("/", &[("cookie", &format!("serin={id}"))]).await?;
            let sum: &mut ArmCounts = match answer.shop()?.deployment.as_str() {
                "canary" => &mut seen.canary,
                _ => &mut seen.stable,
            };
            sum.requests += 1;
            sum.errors += u64::from(answer.status >= 500);
        }
    }
    Ok(())
}

fn half() -> Weight {
    crate::percent(50)
}

/// A site with two Envoys at 50 %, whose canary fails for some and is never closed for it, and a Prometheus that scrapes them.
async fn site() -> Result<(Site, Prometheus)> {
    let release = release("analysis: {fuse: false}");
    let site = Site::at(half(), Plan { envoys: 2, release, ..Plan::default() }).await?;
    site.canary.deploy(Build { error_share: 0.3, ..site.canary.build() });
    let admins: Vec<_> = site.envoys.iter().map(Envoy::admin).collect();
    let options = Options::new()?.scraping("envoys", "/stats/prometheus", &admins);
    Ok((site, Prometheus::start(options).await?))
}

#[test]
fn every_request_is_counted_once_and_for_its_version_though_a_proxy_starts_again() -> Result<()> {
    run(async {
        let (mut site, prometheus) = site().await?;
        let users = crate::users(100);
        let mut seen = Counts::default();
        // Whatever was before the first look is nobody's.
        for _ in 0..3 {
            ask(&site, &users, &mut Counts::default()).await?;
        }
        let mut watch = settled(&site, &prometheus).await?;
        ask(&site, &users, &mut seen).await?;
        ensure!(seen.canary.errors > 0 && seen.stable.requests > 0, "{seen:?}");
        watch.comes_to(seen).await?;
        let stopped = site.envoys.remove(0).stop().await?;
        watch.look().await?;
        site.envoys.insert(0, Envoy::start(stopped).await?);
        site.wait_for_revision(1).await?;
        ask(&site, &users, &mut seen).await?;
        watch.comes_to(seen).await
    })
}

/// A watch that begins after Prometheus has seen all requests so far.
async fn settled(site: &Site, prometheus: &Prometheus) -> Result<Watch> {
    let client = client(&prometheus.url())?;
    let mut total = 0;
    for index in 0..site.envoys.len() {
        total += site
            .sample(index)
            .await?
            .totals
            .iter()
            .filter(|(key, _)| key.metric == "serin_rq")
            .map(|(_, n)| n)
            .sum::<u64>();
    }
    eventually("requests so far to be scraped", async || {
        let known = crate::said(&client, "sum(serin_rq)").await;
        ensure!(known.contains(&format!("value: {total}.0")), "{known}, not {total}");
        Ok(())
    })
    .await?;
    Watch::begin(&prometheus.url(), site).await
}

#[test]
fn while_prometheus_is_down_nothing_is_lost_and_nothing_counts_twice() -> Result<()> {
    run(async {
        let (site, prometheus) = site().await?;
        let users = crate::users(50);
        let mut seen = Counts::default();
        let mut watch = Watch::begin(&prometheus.url(), &site).await?;
        ask(&site, &users, &mut seen).await?;
        watch.comes_to(seen).await?;
        let options = prometheus.stop().await?;
        let error = watch.look().await.unwrap_err().to_string();
        crate::check(&error, &["no answer from http://127.0.0.1:"]);
        ask(&site, &users, &mut seen).await?;
        let prometheus = Prometheus::start(options).await?;
        watch.turn_to(&prometheus.url())?;
        watch.comes_to(seen).await
    })
}
