/*!
Agents of another version, in mid-run: a newer one with another module, and an older one that cannot read what was saved.
*/
use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use serin_release::status::{ReleasePhase, ReleaseStatus};
use serin_tests::client::Client;
use serin_tests::mesh::traffic::User;
use serin_tests::mesh::{Controller, Mesh};
use serin_tests::site::eventually;

use crate::fixture::{AGENT, Fixture, check_none_failed, is_at};

const STEPS: &str = "{setWeight: 30, pause: {}}, {setWeight: 60, pause: {}}";

/// An agent whose module is another, of the same kind: a letter of its compiler's version differs.
fn with_another_module(fixture: &Fixture<'_>) -> Result<String> {
    let module = serin_agent::MODULE;
    let mut agent = fs::read(AGENT)?;
    let begins = agent.windows(module.len()).position(|found| found == module);
    let last = begins.context("its module")? + module.len() - 1;
    ensure!(agent[last].is_ascii_graphic(), "the module ends with {:#x}, which is no text", agent[last]);
    agent[last] ^= 1;
    let path = fixture.mesh.inside().folder.join("another-agent");
    fs::write(&path, agent)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    path.into_os_string().into_string().ok().context("a path of text")
}

async fn modules(fixture: &Fixture<'_>) -> Result<String> {
    fixture.kubectl(&["get", "wasmplugins", "--output", "jsonpath={.items[*].spec.sha256}"]).await
}

pub(crate) async fn an_agent_with_another_module_comes_in_mid_run(mesh: &Mesh) -> Result<()> {
    let mut fixture = Fixture::set(mesh, "upgraded", 1).await?;
    let front = mesh.front().await?;
    let binary = with_another_module(&fixture)?;
    let old = Controller::start_behind(&binary, mesh, &fixture.namespace, "old", front.address()).await?;
    front.lead_to(old.address());
    fixture.release(STEPS, |yaml| yaml).await?;
    fixture.idle().await.with_context(|| old.log())?;
    let traffic = fixture.traffic(60).await?;
    fixture.set_image("shop:v2").await?;
    fixture.check_exposure(&traffic, 30).await.with_context(|| old.log())?;
    let olds = modules(&fixture).await?;

    // As a Deployment is rolled: the new one is there, and takes over when the old one is gone.
    let new = Controller::start_behind(AGENT, mesh, &fixture.namespace, "new", front.address()).await?;
    front.lead_to(new.address());
    old.kill().await?;
    // A proxy that starts now has the module that it is told to fetch, of the one that is gone.
    fixture.kubectl(&["scale", "deployment/gateway", "--replicas=2"]).await?;
    fixture.namespace.rolled_out("gateway").await?;
    let before = fixture.gateway.pods.clone();
    fixture.gateway = fixture.namespace.gateway_pods().await?;
    let added: Vec<_> = fixture.gateway.pods.iter().filter(|pod| !before.contains(pod)).collect();
    ensure!(added.len() == 1, "{added:?}");
    let entrances = vec![Client::new((added[0].1, 80).into())];
    let through_added = fixture.traffic_by(entrances, |_, id| User::returning(id), 60)?;
    eventually("those who come by the new proxy to be where they belong", async || {
        fixture.check_exposure(&through_added, 30).await
    })
    .await
    .with_context(|| new.log())?;
    fixture.check_served(&traffic, 30).await?;
    ensure!(modules(&fixture).await? == olds, "another module in mid-run: {}", new.log());

    fixture.approve().await.with_context(|| new.log())?;
    fixture.check_exposure(&traffic, 60).await.with_context(|| new.log())?;
    fixture.approve().await?;
    fixture.phase(ReleasePhase::Promoted).await.with_context(|| new.log())?;
    eventually("the new one's module", async || {
        let found = modules(&fixture).await?;
        ensure!(found != olds && !found.is_empty(), "{found}");
        Ok(())
    })
    .await
    .with_context(|| new.log())?;
    through_added.stop().await?;
    check_none_failed(&traffic.stop().await?)
}

pub(crate) async fn an_older_agent_leaves_a_newer_state_alone(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "downgraded", 1).await?;
    let newer = fixture.agent("newer").await?;
    fixture.release(STEPS, |yaml| yaml).await?;
    fixture.idle().await?;
    let traffic = fixture.traffic(60).await?;
    fixture.set_image("shop:v2").await?;
    fixture.check_exposure(&traffic, 30).await.with_context(|| newer.log())?;
    newer.kill().await?;
    let before = fixture.status().await?;
    let run = before.run.context("a run has a name")?;
    let mut state: Value = serde_json::from_str(&before.state.context("a state")?)?;
    let version = state["status"]["version"].as_u64().context("a version")?;
    state["status"]["version"] = json!(version + 1);
    let patch = json!({"status": {"state": state.to_string()}}).to_string();
    fixture
        .kubectl(&["patch", "release", "shop", "--subresource=status", "--type=merge", "--patch", &patch])
        .await?;

    let older = fixture.agent("older").await?;
    let unread =
        "this agent cannot read the run's saved state, so nothing is moved: it was written in version";
    let is_told = |status: &ReleaseStatus| status.message.contains(unread);
    let status = fixture.status_that("what cannot be read", is_told).await.with_context(|| older.log())?;
    ensure!(status.state == Some(state.to_string()), "{:?}", status.state);
    // What is there stays, whatever else happens, and there is a way back.
    fixture.command("promote").await?;
    eventually("the refusal", async || {
        let events = fixture.events().await?;
        ensure!(events.iter().any(|(reason, _)| reason == "CommandRefused"), "{events:?}");
        Ok(())
    })
    .await
    .with_context(|| older.log())?;
    fixture.check_served_of(&run, &traffic, 30).await.with_context(|| older.log())?;
    let status = fixture.status().await?;
    ensure!(is_at(&status, 30) && status.state == Some(state.to_string()), "{status:?}");
    fixture.command("abort").await?;
    fixture.phase(ReleasePhase::Aborted).await.with_context(|| older.log())?;
    check_none_failed(&traffic.stop().await?)
}
