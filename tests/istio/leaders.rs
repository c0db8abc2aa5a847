/*!
Agents that die, stand still, and take each other's place: the weight never rises by accident, nothing starts over, and
nothing is lost.
*/
use anyhow::{Context, Result, ensure};
use serin_release::status::{ReleasePhase, ReleaseStatus, RunOutcome};
use serin_tests::mesh::{Controller, Mesh};
use serin_tests::site::eventually;

use crate::autoscalers::scaled;
use crate::fixture::{Fixture, check_none_failed, is_at, told, weights};

/// Where a run stands when the agent is killed.
pub(crate) type Moment = (&'static str, fn(&ReleaseStatus) -> bool);

const MOMENTS: [Moment; 7] = [
    ("waiting for the canary's pods", |status| status.phase == ReleasePhase::Preparing),
    ("comparing those who will be moved", |status| status.phase == ReleasePhase::Starting),
    ("at the first step", |status| is_at(status, 10)),
    ("at the second step", |status| is_at(status, 50)),
    ("handing over", |status| is_at(status, 100)),
    ("watching the few who have returned", |status| is_at(status, 95)),
    ("returning to stable", |status| status.phase == ReleasePhase::Promoting && is_at(status, 0)),
];

pub(crate) async fn an_agent_is_killed_at_every_phase(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "killed", 1).await?;
    let mut agent = fixture.agent("agent-0").await?;
    let steps = "{setWeight: 10, pause: {duration: 3s}}, {setWeight: 50, pause: {duration: 3s}}";
    fixture.release(steps, |yaml| yaml).await?;
    fixture.idle().await?;
    let traffic = fixture.traffic(60).await?;
    fixture.set_image("shop:v2?start=2s").await?;
    for (number, (what, is_now)) in MOMENTS.iter().enumerate() {
        fixture.status_that(what, is_now).await.with_context(|| agent.log())?;
        agent.kill().await?;
        agent = fixture.agent(&format!("agent-{}", number + 1)).await?;
    }
    let status = fixture.outcome(RunOutcome::Promoted).await.with_context(|| agent.log())?;
    let report = traffic.stop().await?;
    check_none_failed(&report)?;
    ensure!(status.history.len() == 1, "something started over: {:?}", status.history);
    let weights = weights(&status);
    ensure!(weights == ["10%", "50%", "100%", "95%", "0%"], "{weights:?}");
    eprintln!("killed at {} moments: {} requests, none failed", MOMENTS.len(), report.0.len());
    Ok(())
}

pub(crate) async fn a_standby_takes_over(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "standby", 1).await?;
    let (first, second) = (fixture.agent("first").await?, fixture.agent("second").await?);
    fixture.release("{setWeight: 10, pause: {}}, {setWeight: 50, pause: {}}", |yaml| yaml).await?;
    fixture.idle().await?;
    let traffic = fixture.traffic(60).await?;
    fixture.set_image("shop:v2").await?;
    fixture.check_exposure(&traffic, 10).await?;
    ensure!(leads(&first) && !leads(&second), "the first to come leads: {}", second.log());
    let firsts = first.address().to_owned();
    first.kill().await?;
    fixture.approve().await?;
    fixture.check_exposure(&traffic, 50).await.with_context(|| second.log())?;
    let status = fixture.status().await?;
    ensure!(status.history.len() == 1 && status.history[0].changes.len() == 2, "{:?}", status.history);
    // Another agent may have another module: proxies are not given that in mid-run.
    ensure!(module(&fixture).await?.contains(&firsts), "{}", module(&fixture).await?);
    fixture.approve().await?;
    fixture.outcome(RunOutcome::Promoted).await.with_context(|| second.log())?;
    eventually("the second's module", async || {
        let module = module(&fixture).await?;
        ensure!(module.contains(second.address()), "{module}");
        Ok(())
    })
    .await?;
    check_none_failed(&traffic.stop().await?)
}

/// Where proxies are told to fetch the module.
async fn module(fixture: &Fixture<'_>) -> Result<String> {
    fixture.kubectl(&["get", "wasmplugins", "--output", "jsonpath={.items[*].spec.url}"]).await
}

/// One that stood still for a while does not know that another has taken everybody back.
pub(crate) async fn a_leader_of_the_past_changes_nothing(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "past", 1).await?;
    fixture.namespace.deploy("shop", "stable", "shop:v1", 3).await?;
    fixture.namespace.rolled_out("shop-stable").await?;
    fixture.autoscalers().await?;
    let first = fixture.agent("first").await?;
    // More pods are due soon after: the canary's, and its autoscaler's floor.
    let steps = "{setWeight: 10, pause: {duration: 5s}}, {setWeight: 50, pause: {}}";
    fixture.release(steps, scaled("HorizontalPodAutoscaler")).await?;
    fixture.idle().await?;
    let traffic = fixture.traffic(60).await?;
    fixture.set_image("shop:v2").await?;
    fixture.status_that("10 %", |status| is_at(status, 10)).await?;
    first.freeze()?;
    let second = fixture.agent("second").await?;
    fixture.command("abort").await?;
    let aborted = fixture.outcome(RunOutcome::Aborted).await.with_context(|| second.log())?;
    eventually("the canary's pods and the floors to be given back", async || {
        let found = (fixture.replicas("shop-canary").await?, fixture.floors().await?);
        ensure!(found == (0, (1, 1)), "{found:?}: {}", second.log());
        Ok(())
    })
    .await?;
    let written = written(&fixture).await?;
    first.thaw()?;
    eventually("the first to notice", async || {
        let log = first.log();
        ensure!(log.contains("another agent leads") || log.contains("another agent has changed"), "{log}");
        Ok(())
    })
    .await?;
    let status = fixture.phase(ReleasePhase::Aborted).await?;
    ensure!(is_at(&status, 0), "{}", told(&status));
    let after = self::written(&fixture).await?;
    ensure!(after == written, "{after} instead of {written}: {}", first.log());
    ensure!(status.history[0].changes == aborted.history[0].changes, "{:?}", status.history[0].changes);
    check_none_failed(&traffic.stop().await?)
}

/// How often the specs of Deployments, and whatever autoscalers say, have been written.
async fn written(fixture: &Fixture<'_>) -> Result<String> {
    let specs = "jsonpath={.items[*].metadata.generation}";
    let deployments = fixture.kubectl(&["get", "deployments", "-o", specs]).await?;
    let versions = "jsonpath={.items[*].metadata.resourceVersion}";
    let autoscalers = fixture.kubectl(&["get", "hpa", "-o", versions]).await?;
    Ok(format!("{deployments}, {autoscalers}"))
}

fn leads(agent: &Controller) -> bool {
    agent.log().contains("this agent leads")
}

/// One that comes back while the Lease is still its own leads at once, before it knows what the cluster has.
pub(crate) async fn an_agent_leads_before_it_knows_everything(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "at-once", 1).await?;
    fixture.release("{setWeight: 30, pause: {}}", |yaml| yaml).await?;
    for number in 2..12 {
        let agent = fixture.agent("one").await?;
        fixture.set_image(&format!("shop:v{number}")).await?;
        let run = format!("v{number}-");
        let is_driven = |status: &ReleaseStatus| status.run.as_ref().is_some_and(|it| it.starts_with(&run));
        fixture.status_that(&run, is_driven).await.with_context(|| agent.log())?;
        agent.kill().await?;
    }
    Ok(())
}
