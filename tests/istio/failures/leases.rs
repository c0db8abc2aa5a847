/*!
No agent is there: a canary that fails meanwhile is closed by the fuses of proxies, and any is left when its lease runs out.
*/
use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};
use serin_tests::mesh::{MANNERS, Mesh};
use serin_tests::site::eventually;

use serin_release::status::ReleasePhase;

use super::{Case, UnderLoad, said};
use crate::fixture::{Fixture, all_from, check_none_failed, is_at};

/// The one plugin of the fixture.
async fn plugin(fixture: &Fixture<'_>) -> Result<Value> {
    let list: Value = serde_json::from_str(&fixture.kubectl(&["get", "wasmplugin", "-o", "json"]).await?)?;
    list.pointer("/items/0").cloned().context("a plugin")
}

/// How many seconds are left of the Release's lease.
fn left(fixture: &Fixture<'_>, plugin: &Value) -> Result<i64> {
    let name = format!("{}/shop", fixture.namespace.name());
    let until = plugin["spec"]["pluginConfig"]["leases"][&name].as_i64().context("a lease")?;
    Ok(until - Timestamp::now().as_second())
}

/// Has the lease end in so many seconds, as though the rest of its time had gone by.
async fn end_lease_in(fixture: &Fixture<'_>, seconds: i64) -> Result<()> {
    let name = plugin(fixture).await?["metadata"]["name"].as_str().context("a name")?.to_owned();
    let leases =
        json!({format!("{}/shop", fixture.namespace.name()): Timestamp::now().as_second() + seconds});
    let patch = json!({"spec": {"pluginConfig": {"leases": leases}}}).to_string();
    fixture.kubectl(&["patch", "wasmplugin", &name, "--type=merge", "-p", &patch]).await?;
    Ok(())
}

pub(crate) async fn the_agent_dies_and_its_lease_runs_out(mesh: &Mesh) -> Result<()> {
    let under_load = UnderLoad::set(mesh, "lease", 1).await?;
    under_load.release("v2").await?;
    let UnderLoad { traffic, agent, fixture } = under_load;

    let before = plugin(&fixture).await?;
    ensure!((590..=900).contains(&left(&fixture, &before)?), "15 minutes from the last look: {before}");
    end_lease_in(&fixture, 300).await?;
    let renewed = eventually("the renewal", async || {
        let plugin = plugin(&fixture).await?;
        ensure!(left(&fixture, &plugin)? > 600, "{plugin}");
        Ok(plugin)
    });
    let renewed = renewed.await.with_context(|| agent.log())?;
    let policies = "/spec/pluginConfig/policies";
    ensure!(renewed.pointer(policies) == before.pointer(policies), "no policy changes: {renewed}");
    let generation = |plugin: &Value| plugin["metadata"]["generation"].as_i64().unwrap_or_default();
    ensure!(generation(&renewed) == generation(&before) + 2, "this test's write and one more: {renewed}");

    let case = Case::begin("the agent dies at 30%, and its lease runs out", &traffic);
    agent.kill().await?;
    end_lease_in(&fixture, 1).await?;
    all_from(&traffic, "shop-stable").await?;
    case.end("(no agent)", "everybody on stable, by the proxies alone", 0)?;
    let case = Case::begin("… and an agent back", &traffic);
    let agent = fixture.agent("two").await?;
    let told = eventually("an event", async || {
        let events = fixture.events().await?;
        ensure!(events.iter().any(|(reason, _)| reason == "LeaseLapsed"), "{events:?}");
        Ok(())
    });
    told.await.with_context(|| agent.log())?;
    eventually("everybody to be where they belong", async || fixture.check_exposure(&traffic, 30).await)
        .await
        .with_context(|| agent.log())?;
    let status = fixture.status_that("the step", |status| is_at(status, 30)).await?;
    case.end(&said(&status), "goes on at 30%", 0)?;
    check_none_failed(&traffic.stop().await?)
}

pub(crate) async fn the_agent_dies_and_the_canary_fails(mesh: &Mesh) -> Result<()> {
    /// What a proxy gives out at 30 % before its fuse blows, and by each worker until it hears of it.
    const AT_MOST: usize = 32;
    let under_load = UnderLoad::set(mesh, "fuse", 1).await?;
    under_load.release("v2").await?;
    let UnderLoad { traffic, agent, fixture } = under_load;
    agent.kill().await?;
    let case = Case::begin("the agent dies at 30%, and then the canary", &traffic);
    let bad = format!("{MANNERS}=errors=100%");
    fixture.kubectl(&["annotate", "pods", "--selector", "version=canary", &bad]).await?;
    all_from(&traffic, "shop-stable").await?;
    let met = traffic.so_far().errors().len();
    ensure!((1..=AT_MOST).contains(&met), "{met} bad answers");
    case.end("(no agent)", &format!("everybody on stable after {met} bad answers, by the proxy's fuse"), 0)?;
    let case = Case::begin("… and an agent back after that", &traffic);
    let agent = fixture.agent("two").await?;
    let status = fixture.phase(ReleasePhase::RolledBack).await.with_context(|| agent.log())?;
    case.end(&said(&status), "rolled back, at every proxy", 0)
}
