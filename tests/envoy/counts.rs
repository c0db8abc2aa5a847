//! What becomes of requests, as the filter counts it in a real Envoy of two workers.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serin_agent::mesh::bootstrap::Protocol;
use serin_policy::series::{Metric, Tag};
use serin_policy::users::{Maps, Met, RunMark, Word, WordTag};
use serin_policy::{Arm, Id, Point, Weight, route};
use serin_release::Release;
use serin_rollout::EDGES_MS;
use serin_tests::faulty::Faulty;
use serin_tests::site::{Plan, Site, eventually, release, run};
use tokio::task::JoinHandle;

use crate::{percent, users};

/// An objective that a busy machine keeps for answers that take no time, and that is soon over.
const OBJECTIVE: &str = "analysis: {metrics: [{name: request-duration, objective: 2s}]}";

async fn site(upstream: SocketAddr, envoys: usize) -> Result<Site> {
    let upstreams = Some((upstream, upstream, Protocol::Http1));
    Site::at(percent(50), Plan { envoys, release: release(OBJECTIVE), upstreams, ..Plan::default() }).await
}

/// A request for `path` that goes on in the background. Its caller leaves when it is aborted.
fn ask(site: &Site, path: &'static str, id: &str) -> JoinHandle<Result<u16>> {
    let (client, cookie) = (site.client(0), format!("serin={id}"));
    tokio::spawn(async move { Ok(client.get(path, &[("cookie", &cookie)]).await?.status) })
}

/// What is counted at Envoy number `index` of requests whose version was drawn, in sum, by the metric's name; `serin_rq` by
/// class. Times are left out: Envoy shows a histogram some seconds after what it is of.
async fn counted(site: &Site, index: usize) -> Result<BTreeMap<String, u64>> {
    let mut counted = BTreeMap::new();
    for (series, total) in site.sample(index).await?.totals {
        if Tag::parse(&series.tag).is_some_and(|tag| tag.group.is_random()) {
            if series.metric.starts_with(Metric::Time.prometheus_name()) {
                continue;
            }
            let name = series.metric.trim_start_matches("serin_");
            let name = if series.class.is_empty() { name.to_owned() } else { series.class };
            *counted.entry(name).or_default() += total;
        }
    }
    Ok(counted)
}

async fn wait_until_counted(site: &Site, expected: &[(&str, u64)]) -> Result<()> {
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    eventually("the counts", async || {
        let found = counted(site, 0).await?;
        ensure!(found == expected, "{found:?}, not {expected:?}");
        Ok(())
    })
    .await
}

/// The name under which failures for `path` are counted, and how many there are.
fn failed(path: &str, count: u64) -> (String, u64) {
    (format!("failed_route_{}", route::group(path.as_bytes())), count)
}

#[test]
fn answers_that_fail_break_off_or_never_come_are_told_apart() -> Result<()> {
    run(async {
        let faulty = Faulty::start().await?;
        let site = site(faulty.address(), 1).await?;
        for (path, status) in
            [("/", Some(200)), ("/missing", Some(404)), ("/reset", Some(503)), ("/broken", None)]
        {
            let answer = ask(&site, path, "bob").await?;
            ensure!(answer.as_ref().ok() == status.as_ref(), "{path}: {answer:?}");
        }
        let (reset, broken) = (failed("/reset", 1), failed("/broken", 1));
        let mut expected = vec![("2xx", 2), ("4xx", 1), ("5xx", 1), ("broken", 1)];
        expected.extend([(reset.0.as_str(), reset.1), (broken.0.as_str(), broken.1)]);
        wait_until_counted(&site, &expected).await
    })
}

#[test]
fn a_caller_who_leaves_is_counted_and_a_request_that_hangs_is_slow_while_it_does() -> Result<()> {
    run(async {
        let faulty = Faulty::start().await?;
        let site = site(faulty.address(), 1).await?;
        let left = ask(&site, "/hang", "bob");
        faulty.holds(1).await?;
        left.abort();
        wait_until_counted(&site, &[("left", 1)]).await?;
        let hangs = ask(&site, "/hang", "bob");
        faulty.holds(2).await?;
        wait_until_counted(&site, &[("left", 1), ("waiting", 1), ("slow", 1)]).await?;
        hangs.abort();
        wait_until_counted(&site, &[("left", 2), ("waiting", 1), ("waited", 1), ("slow", 1)]).await
    })
}

#[test]
fn a_stream_that_goes_on_is_not_slow() -> Result<()> {
    run(async {
        let faulty = Faulty::start().await?;
        let site = site(faulty.address(), 1).await?;
        let stream = ask(&site, "/stream", "bob");
        faulty.holds(1).await?;
        // Whoever asks after it and waits for longer than the objective shows that it has, too.
        let hangs = ask(&site, "/hang", "bob");
        faulty.holds(2).await?;
        wait_until_counted(&site, &[("waiting", 1), ("slow", 1)]).await?;
        faulty.release();
        ensure!(stream.await?? == 200);
        wait_until_counted(&site, &[("2xx", 1), ("waiting", 1), ("slow", 1)]).await?;
        hangs.abort();
        Ok(())
    })
}

#[test]
fn failures_are_sorted_by_route() -> Result<()> {
    run(async {
        let faulty = Faulty::start().await?;
        let site = site(faulty.address(), 1).await?;
        // On one connection, so at one worker.
        let client = site.client(0);
        for path in ["/fail/17?secret=1", "/fail/18", "/fail/19/items", "/fine/17"] {
            client.get(path, &[("cookie", "serin=bob")]).await?;
        }
        let (route, count) = failed("/fail/1", 3);
        wait_until_counted(&site, &[("2xx", 1), ("5xx", 3), (&route, count)]).await?;
        let stats = format!("http://{}/stats", site.envoys[0].admin());
        let stats = serin_agent::http::plain().build()?.get(stats).send().await?.text().await?;
        ensure!(
            stats.contains("serin_failed_route_") && !stats.contains("fail/1") && !stats.contains("secret")
        );
        Ok(())
    })
}

#[test]
fn what_is_left_of_a_run_is_counted_nowhere() -> Result<()> {
    run(async {
        let faulty = Faulty::start().await?;
        let mut site = site(faulty.address(), 1).await?;
        let old = ask(&site, "/hang", "bob");
        faulty.holds(1).await?;
        let next = release(OBJECTIVE).replace("version: v2", "version: v3");
        site.push(&Release::from_yaml(&next)?, Weight::FULL, false).await?;
        // Whoever is on the canary by then came to a worker that has heard of the next run.
        eventually("the next run in all workers", async || {
            for _ in 0..20 {
                let answer = site.client(0).get("/", &[("cookie", "serin=bob")]).await?;
                ensure!(answer.header("x-served-by") == Some("canary"), "{answer:?}");
            }
            Ok(())
        })
        .await?;
        old.abort();
        eventually("the old request's end", async || {
            let stats = format!("http://{}/stats?filter=downstream_rq_active", site.envoys[0].admin());
            let stats = serin_agent::http::plain().build()?.get(stats).send().await?.text().await?;
            ensure!(stats.contains("http.ingress.downstream_rq_active: 0"), "{stats}");
            Ok(())
        })
        .await?;
        let counted = counted(&site, 0).await?;
        for never in ["left", "waiting", "waited", "slow"] {
            ensure!(!counted.contains_key(never), "{counted:?}");
        }
        Ok(())
    })
}

/// What the gauges of Envoy number `index` say of users in a run.
async fn shown(site: &Site, index: usize, run: &str) -> Result<Maps> {
    let mut maps = Maps::default();
    for (tag, value) in site.sample(index).await?.users {
        let tag = WordTag::parse(&tag).with_context(|| tag.clone())?;
        let word = Word::from_value(value);
        if word.run == RunMark::of(&format!("shop/shop/{run}")) {
            maps.of_mut(tag.arm, tag.met).add_word(tag.word, word.cells);
        }
    }
    Ok(maps)
}

/// The maps of a run in which these `users` were answered, and those that `fails` says met a failure, at 50 %.
fn expected<'u>(
    run: &str,
    users: impl IntoIterator<Item = &'u String>,
    fails: impl Fn(&str) -> bool,
) -> Maps {
    let mut maps = Maps::default();
    for user in users {
        let id = Id::try_from(user.as_bytes()).expect("users have valid ids");
        let (point, of_run) = Point::with_user(&format!("shop/shop/{run}"), &id);
        let arm = if point.is_covered_by(percent(50)) { Arm::Canary } else { Arm::Stable };
        maps.of_mut(arm, Met::Answer).insert(of_run.cell());
        if fails(user) {
            maps.of_mut(arm, Met::Failure).insert(of_run.cell());
        }
    }
    maps
}

/// How many of Envoy's workers have had connections.
async fn busy_workers(site: &Site) -> Result<usize> {
    let stats = format!("http://{}/stats?filter=worker_.*downstream_cx_total", site.envoys[0].admin());
    let stats = serin_agent::http::plain().build()?.get(stats).send().await?.text().await?;
    let lines =
        stats.lines().filter(|line| line.starts_with("listener.") && !line.starts_with("listener.admin"));
    Ok(lines.filter(|line| !line.ends_with(": 0")).count())
}

#[test]
fn users_are_told_apart_over_all_workers_and_every_run_has_its_own() -> Result<()> {
    run(async {
        let faulty = Faulty::start().await?;
        let mut site = site(faulty.address(), 1).await?;
        let users = users(200);
        let fails = |user: &str| user.ends_with(['0', '1']);
        let visit = async |site: &Site, users: &[String]| -> Result<()> {
            // Each request has a connection of its own, so that most users come to both workers, and several at a time.
            for some in users.chunks(8) {
                let visits = some.iter().flat_map(|user| [user; 3]).map(|user| {
                    let path = if fails(user) { "/fail" } else { "/" };
                    ask(site, path, user)
                });
                for visit in visits.collect::<Vec<_>>() {
                    visit.await??;
                }
            }
            Ok(())
        };
        let wait_until_shown = async |site: &Site, run: &str, wanted: &Maps| {
            eventually("the users", async || {
                let found = shown(site, 0, run).await?;
                let count = |maps: &Maps| Met::ALL.map(|met| Arm::BOTH.map(|arm| maps.of(arm, met).count()));
                ensure!(found == *wanted, "{:?}, not {:?}", count(&found), count(wanted));
                Ok(())
            })
            .await
        };
        visit(&site, &users).await?;
        wait_until_shown(&site, "v2", &expected("v2", &users, fails)).await?;
        ensure!(busy_workers(&site).await? == 2);

        let next = Release::from_yaml(&release(OBJECTIVE).replace("version: v2", "version: v3"))?;
        site.push(&next, percent(50), false).await?;
        ensure!(shown(&site, 0, "v3").await? == Maps::default());
        let few = &users[..5];
        eventually("the next run in all workers", async || {
            visit(&site, few).await?;
            ensure!(shown(&site, 0, "v3").await? == expected("v3", few, fails));
            Ok(())
        })
        .await
    })
}

#[test]
fn times_are_told_at_every_edge() -> Result<()> {
    run(async {
        let faulty = Faulty::start().await?;
        let site = site(faulty.address(), 1).await?;
        ask(&site, "/", "bob").await??;
        eventually("the times", async || {
            let sample = site.sample(0).await?;
            let (_, buckets) = sample.times.first().context("no times")?;
            for edge in EDGES_MS {
                ensure!(buckets.up_to(edge.into()).is_some(), "no edge at {edge} ms: {buckets:?}");
            }
            Ok(())
        })
        .await
    })
}
