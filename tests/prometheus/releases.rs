//! Whole releases whose counts come from a Prometheus.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serin_local::envoy::Envoy;
use serin_local::shop::{Build, Version};
use serin_policy::Weight;
use serin_tests::agent::Agent;
use serin_tests::client::Client;
use serin_tests::prometheus::{Options, Prometheus};
use serin_tests::site::{Plan, Site, eventually, release, replace, run};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::{AGENT, percent, users};

const SEED: u64 = 20_261_121;

/// A tenth of the users, and all the time there is.
const STEPS: &str = "strategy: {canary: {steps: [{setWeight: 10, pause: {duration: 1h}}]}}";

/// A site at 0 %, a Prometheus that scrapes it each second, and the Release that has its counts from there. `analysis`
/// is added to the Release's.
async fn site(analysis: &str) -> Result<(Site, Prometheus, String)> {
    let text = |url: &str| {
        release(&format!(
            "{STEPS}\nanalysis: {{source: Prometheus, prometheus: {{address: \"{url}\"}}, {analysis}}}"
        ))
    };
    let site = Site::at(Weight::ZERO, Plan { release: text("http://prometheus"), ..Plan::default() }).await?;
    let admins: Vec<_> = site.envoys.iter().map(Envoy::admin).collect();
    let options = Options::new()?.each_second().scraping("envoys", "/stats/prometheus", &admins);
    let prometheus = Prometheus::start(options).await?;
    let text = text(&prometheus.url());
    Ok((site, prometheus, text))
}

/// What users have met.
#[derive(Debug, Default)]
struct Met {
    requests: u64,
    /// When a bad answer came, and whose it was.
    bad: Vec<(Instant, String)>,
}

/// Lets two thousand users send a hundred requests a second for as long as `while_` takes.
async fn with_users<T>(site: &Site, while_: impl Future<Output = Result<T>>) -> Result<(T, Met)> {
    println!("seed {SEED}");
    let (users, mut rng) = (users(2_000), StdRng::seed_from_u64(SEED));
    let (address, mut ticks) = (site.address(0), interval(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut under_way = JoinSet::new();
    let mut met = Met::default();
    let note = |answer: Result<(String, bool)>, met: &mut Met| {
        let (user, bad) = answer?;
        met.requests += 1;
        if bad {
            met.bad.push((Instant::now(), user));
        }
        anyhow::Ok(())
    };
    tokio::pin!(while_);
    let outcome = loop {
        tokio::select! {
            outcome = &mut while_ => break outcome?,
            _ = ticks.tick() => {
                let user = users.choose(&mut rng).context("there are users")?.clone();
                under_way.spawn(ask(address, user));
            }
            Some(answer) = under_way.join_next() => note(answer?, &mut met)?,
        }
    };
    while let Some(answer) = under_way.join_next().await {
        note(answer?, &mut met)?;
    }
    Ok((outcome, met))
}

/// Sends one request and says whether the answer was bad: an error, or slower than the Release's objective.
async fn ask(address: std::net::SocketAddr, user: String) -> Result<(String, bool)> {
    let sent = Instant::now();
    let answer = Client::new(address).get("/", &[("cookie", &format!("serin={user}"))]).await?;
    Ok((user, answer.status >= 500 || sent.elapsed() > Duration::from_millis(500)))
}

/// Lets the demo's bad version loose on a tenth of the users, with counts from `source`.
fn check_bad_version(source: &str) -> Result<()> {
    run(async {
        let (site, _prometheus, release) = site("baseline: 10s, warmUp: 2s").await?;
        let release = release.replace("source: Prometheus", &format!("source: {source}"));
        let delay = Duration::from_millis(600);
        site.canary.deploy(Build { version: Version(3), error_share: 0.05, delay });
        let agent = Agent::start(AGENT, &site, &release, &site.admins()).await?;
        let rolled_back = agent.wait_until("the rollback", |view| view.status.phase.code() == "rolled-back");
        let (view, met) = with_users(&site, rolled_back).await?;
        let (first, last) = met.bad.first().zip(met.bad.last()).context("somebody has met it")?;
        let took = last.0.duration_since(first.0);
        let mut unlucky: Vec<_> = met.bad.iter().map(|(_, user)| user).collect();
        unlucky.sort();
        unlucky.dedup();
        let decision = view.standing.first().map(ToString::to_string).unwrap_or_default();
        println!(
            "{:.1} s from the first bad answer to the last, {} of {} requests, {} of 2,000 users; {decision}",
            took.as_secs_f64(),
            met.bad.len(),
            met.requests,
            unlucky.len()
        );
        ensure!(took < Duration::from_secs(10), "{took:?}: {decision}");
        Ok(())
    })
}

#[test]
fn a_bad_version_is_off_the_air_ten_seconds_after_its_first_bad_answer() -> Result<()> {
    check_bad_version("Prometheus")
}

#[test]
fn so_it_is_where_the_proxies_are_asked_themselves() -> Result<()> {
    check_bad_version("Proxies")
}

#[test]
fn while_prometheus_is_down_the_release_holds_and_says_what_it_asked() -> Result<()> {
    run(async {
        let (site, prometheus, release) = site("baseline: 0s").await?;
        let agent = Agent::start(AGENT, &site, &release, &site.admins()).await?;
        let at_ten = |view: &serin_agent::standalone::View| view.status.weight() == percent(10);
        agent.wait_until("the first step", at_ten).await?;
        let url = prometheus.url();
        let options = prometheus.stop().await?;
        let awaits = |view: &serin_agent::standalone::View| {
            view.standing.iter().any(|one| one.code() == "awaits-data")
        };
        let view = agent.wait_until("the agent to say that it cannot count", awaits).await?;
        let told = view.standing.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        crate::check(&told, &["requests cannot be counted, so nobody else is moved", &url]);
        ensure!(at_ten(&view), "{view:?}");
        // It comes back at another port: the Release says so, and the same run goes on.
        let prometheus = Prometheus::start(options).await?;
        let file = site.folder.path().join("release.yaml");
        replace(&file, release.replace(&url, &prometheus.url()).as_bytes())?;
        let view = agent.wait_until("the agent to count again", |view| !awaits(view) && at_ten(view)).await?;
        ensure!(view.status.run == "v2" && view.status.phase.code() == "progressing", "{view:?}");
        Ok(())
    })
}

#[test]
fn a_metric_of_ones_own_that_stays_out_of_range_takes_the_canary_back() -> Result<()> {
    run(async {
        let depth = "{name: depth, query: 'vector(30)', interval: 1s, thresholdRange: {max: 10}}";
        let (site, _prometheus, release) = site(&format!("baseline: 0s, metrics: [{depth}]")).await?;
        let agent = Agent::start(AGENT, &site, &release, &site.admins()).await?;
        let rolled_back = |view: &serin_agent::standalone::View| view.status.phase.code() == "rolled-back";
        let view = agent.wait_until("the rollback", rolled_back).await?;
        let why = view.standing.first().map(ToString::to_string).unwrap_or_default();
        crate::check(&why, &["depth of the canary was out of range in ", "at most once in "]);
        Ok(())
    })
}

#[test]
fn a_metric_that_cannot_be_read_holds_the_release_with_prometheus_own_words() -> Result<()> {
    run(async {
        let steps = "strategy: {canary: {steps: [{setWeight: 10}]}}";
        for (query, expected) in [
            ("sum(", "parse error"),
            ("up[1m]", "range"),
            ("nobody_knows_this", "add `or vector(0)`"),
            ("vector(0) / vector(0)", "NaN"),
        ] {
            let own = format!("{{name: own, query: '{query}', interval: 1s, thresholdRange: {{max: 1}}}}");
            let (site, _prometheus, release) =
                site(&format!("baseline: 0s, warmUp: 0s, minRequests: 1, metrics: [{own}]")).await?;
            let release = release.replace(STEPS, steps);
            let agent = Agent::start(AGENT, &site, &release, &site.admins()).await?;
            let awaits = |view: &serin_agent::standalone::View| {
                view.standing
                    .iter()
                    .any(|one| one.code() == "awaits-reading" && one.to_string().contains(expected))
            };
            let told = agent.wait_until("the query to be complained of", awaits);
            with_users(&site, told).await?;
        }
        Ok(())
    })
}

/// What `serin analyze` says of a canary at 10 % that fails `error_share` of its requests, and its exit status.
async fn analyze(error_share: f64, look: &str) -> Result<(i32, String)> {
    let (site, prometheus, release) = site("baseline: 0s, warmUp: 0s, minRequests: 20").await?;
    let plan = serin_release::Release::from_yaml(&release)?;
    site.canary.deploy(Build { version: Version(3), error_share, delay: Duration::ZERO });
    let mut site = site;
    site.push(&plan, percent(10), false).await?;
    let file = site.folder.path().join("release.yaml");
    replace(&file, release.as_bytes())?;
    let mut command = Command::new(AGENT);
    command.arg("analyze").arg("--release").arg(&file).args(["--for", look]);
    let client = crate::client(&prometheus.url())?;
    let look = async {
        // Whoever looks before Prometheus does is told that there are no data, and rightly.
        eventually("the release to be scraped", async || {
            let known = crate::said(&client, "serin_revision").await;
            ensure!(known.contains("shop/shop"), "{known}");
            Ok(())
        })
        .await?;
        Ok(command.stdin(Stdio::null()).output().await?)
    };
    let (output, _) = with_users(&site, look).await?;
    let code = output.status.code().context("it was not killed")?;
    Ok((code, format!("{}{}", String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?)))
}

#[test]
fn analyze_tells_a_script_by_its_exit_status_how_the_canary_is() -> Result<()> {
    run(async {
        for (error_share, look, code, verdict) in [
            (0.0, "8s", 0, "\nhealthy: "),
            (0.6, "8s", 1, "\nunhealthy: the canary failed"),
            (0.0, "1s", 2, "\nnot enough data yet: "),
        ] {
            let (found, said) = analyze(error_share, look).await?;
            ensure!(found == code && said.contains(verdict), "exit {found} for {error_share}:\n{said}");
        }
        Ok(())
    })
}
