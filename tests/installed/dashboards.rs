/*!
The dashboards: made of one description, and asked of a Prometheus that watches a release.
*/
mod description;
mod grafana;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use serin_local::envoy::Envoy;
use serin_local::shop::Build;
use serin_policy::Weight;
use serin_rollout::CommandKind;
use serin_tests::agent::Agent;
use serin_tests::prometheus::{Options, Prometheus, filled_in};
use serin_tests::site::{Plan, Site, eventually, release, run};
use serin_tests::tools::Tool;
use tokio::task::JoinSet;

use self::description::DASHBOARDS;
use super::{check_series, file, said};

const FOLDER: &str = "manifests/grafana";
pub(super) const AGENT: &str = env!("CARGO_BIN_EXE_serin-agent");

/// Half of the users, and all the time there is.
pub(super) const RUN: &str = "strategy: {canary: {steps: [{setWeight: 50, pause: {duration: 1h}}]}}
analysis: {baseline: 1s, warmUp: 0s, interval: 500ms}";

#[test]
fn the_dashboards_are_made_of_their_description() -> Result<()> {
    for dashboard in DASHBOARDS {
        let path = file(FOLDER).join(format!("{}.json", dashboard.uid));
        let made = format!("{:#}\n", grafana::json(dashboard));
        if std::env::var_os("SERIN_BLESS").is_some() {
            std::fs::create_dir_all(file(FOLDER))?;
            std::fs::write(path, made)?;
            continue;
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        let mend = "run SERIN_BLESS=1 cargo test -p serin-tests --test installed";
        assert!(kept == made, "{} is not what its description makes: {mend}", path.display());
    }
    Ok(())
}

/// All queries, with the panels that they are of.
fn queries() -> Vec<(String, &'static str)> {
    let panels = DASHBOARDS.iter().flat_map(|board| board.panels.iter().map(move |panel| (board, panel)));
    let queries = panels.flat_map(|(board, panel)| {
        let name = format!("{}: {}", board.uid, panel.title);
        panel.queries.iter().map(move |(query, _)| (name.clone(), *query))
    });
    queries.collect()
}

#[test]
fn a_dashboard_asks_for_series_that_are_documented() -> Result<()> {
    for (panel, query) in queries() {
        check_series(query).with_context(|| panel)?;
    }
    Ok(())
}

#[test]
fn every_query_finds_something_while_a_release_is_under_way() -> Result<()> {
    run(async {
        let release = release(RUN);
        let site = Site::at(Weight::ZERO, Plan { release: release.clone(), ..Plan::default() }).await?;
        for shop in [&site.stable, &site.canary] {
            shop.deploy(Build { error_share: 0.01, ..shop.build() });
        }
        let agent = Agent::start(AGENT, &site, &release, &site.admins()).await?;
        let admins: Vec<_> = site.envoys.iter().map(Envoy::admin).collect();
        let options = Options::new()?.scraping("envoys", "/stats/prometheus", &admins);
        let prometheus =
            Prometheus::start(options.scraping("agent", "/metrics", &[agent.address()?])).await?;
        let _users = users(&site);
        agent.wait_until("the first step", |view| view.status.phase.code() == "progressing").await?;
        agent.command(CommandKind::Pause).await?;
        for (panel, query) in queries() {
            eventually(&format!("an answer for {panel}: {query}"), async || {
                let found = prometheus.values(&filled_in(query, "shop/shop")).await?;
                ensure!(found.iter().any(|value| value != "NaN"), "it is {found:?}");
                Ok(())
            })
            .await?;
        }
        Ok(())
    })
}

/// Users who come in until this is dropped.
pub(super) fn users(site: &Site) -> JoinSet<()> {
    let mut users = JoinSet::new();
    for first in 0..8_u128 {
        let client = site.client(0);
        users.spawn(async move {
            for number in (first..).step_by(8) {
                let id = serin_policy::Id::from_random(number % 400);
                // Who fails is counted by the proxy.
                let _ = client.get("/", &[("cookie", &format!("serin={id}"))]).await;
            }
        });
    }
    users
}

#[test]
fn grafana_can_read_the_dashboards() -> Result<()> {
    let mut uids = BTreeSet::new();
    for dashboard in DASHBOARDS {
        ensure!(uids.insert(dashboard.uid), "{} is there twice", dashboard.uid);
        grafana::check(&grafana::json(dashboard)).with_context(|| dashboard.uid)?;
        check_schema(&grafana::json(dashboard))?.map_err(anyhow::Error::msg)?;
    }
    // And what it cannot read is told.
    let mut wrong = grafana::json(&DASHBOARDS[0]);
    wrong["panels"][0]["gridPosition"] = json!({});
    let refusal = check_schema(&wrong)?.err().context("it is read")?;
    ensure!(refusal.contains("unexpected field 'gridPosition'"), "{refusal}");
    Ok(())
}

/// What Grafana's own schema says of a dashboard.
fn check_schema(dashboard: &Value) -> Result<Result<String, String>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("dashboard.json");
    std::fs::write(&path, dashboard.to_string())?;
    said(&Tool::GrafanaSchema.path()?, &[path.to_str().context("a path of text")?])
}
