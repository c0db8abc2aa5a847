//! Agents and Envoys that die: the weight never jumps and nothing begins again.

use anyhow::{Context, Result, ensure};
use serin_agent::standalone::View;
use serin_local::envoy::Envoy;
use serin_rollout::CommandKind;
use serin_tests::agent::{Agent, audit_in};
use serin_tests::load::Load;
use serin_tests::site::{Plan, Site, release, run};

use crate::agent::{QUICK, start};
use crate::{AGENT, users};

/// Weights in the order in which they were put in force, from the audit log.
fn weights(site: &Site) -> Result<Vec<u64>> {
    audit_in(site.folder.path())?
        .iter()
        .map(|entry| entry["weightAfter"].as_u64().context("a weight"))
        .collect()
}

/// Kills the agent, starts another, and sees that it is about the same thing at the same weight.
async fn check_restart(agent: Agent, site: &Site, plan: &Plan) -> Result<Agent> {
    let before = agent.view().await?.status;
    agent.kill().await?;
    let agent = Agent::start(AGENT, site, &plan.release, &site.admins()).await?;
    let after = agent.view().await?.status;
    let (phase, weight) = (before.phase.to_string(), before.weight());
    ensure!(after.phase.to_string() == phase && after.weight() == weight, "{before:#?}\n{after:#?}");
    ensure!(after.revision == before.revision, "revision {} became {}", before.revision, after.revision);
    Ok(agent)
}

#[test]
fn an_agent_killed_in_any_phase_is_about_the_same_thing_when_it_is_back() -> Result<()> {
    run(async {
        let more = "strategy: {canary: {steps: [{setWeight: 10, pause: {}}, {setWeight: 50, pause: {}}]}}
analysis: {interval: 100ms, minRequests: 20, baseline: 0s, warmUp: 0s, bake: 0s}";
        let plan = Plan { release: release(more), ..Plan::default() };
        let (mut site, mut agent) = start(&plan).await?;
        let load = Load::start(site.address(0), &users(100), |status| status == 200);
        let approval = |view: &View| view.standing.iter().any(|reason| reason.code() == "awaits-approval");
        let phase = |code: &'static str| move |view: &View| view.status.phase.code() == code;
        let paused = |view: &View| view.standing.iter().any(|reason| reason.code() == "paused");

        agent.wait_until("the first step to wait", approval).await?;
        agent = check_restart(agent, &site, &plan).await?;
        agent.command(CommandKind::Pause).await?;
        agent.wait_until("the pause", paused).await?;
        agent = check_restart(agent, &site, &plan).await?;
        agent.command(CommandKind::Abort).await?;
        agent.wait_until("the abort", phase("aborted")).await?;
        agent = check_restart(agent, &site, &plan).await?;
        load.stop().await?;

        // With its only proxy gone, the run that is started over cannot get beyond its start.
        let stopped = site.envoys.pop().context("there is one")?.stop().await?;
        agent.command(CommandKind::Retry).await?;
        agent.wait_until("the start", phase("starting")).await?;
        agent.kill().await?;
        site.envoys.push(Envoy::start(stopped).await?);
        agent = Agent::start(AGENT, &site, &plan.release, &site.admins()).await?;
        agent.wait_until("the first step again", |view| view.status.weight().ppm() == 100_000).await?;
        agent.command(CommandKind::Promote).await?;
        agent.wait_until("the promotion", phase("promoted")).await?;
        check_restart(agent, &site, &plan).await?;
        Ok(())
    })
}

/// An agent that is killed again and again, as soon as it is up, gets to the same end by the same steps.
#[test]
fn an_agent_killed_over_and_over_gets_to_the_end_by_the_same_steps() -> Result<()> {
    run(async {
        let plan = Plan { release: release(QUICK), ..Plan::default() };
        let (site, mut agent) = start(&plan).await?;
        let load = Load::start(site.address(0), &users(100), |status| status == 200);
        let mut killed_at = Vec::new();
        for _ in 0..60 {
            let view = agent.view().await?;
            if view.status.phase.code() == "promoted" {
                break;
            }
            let phase = format!("{}@{}", view.status.phase.code(), view.status.weight());
            agent.kill().await?;
            killed_at.push(phase);
            agent = Agent::start(AGENT, &site, &plan.release, &site.admins()).await?;
            let after = agent.view().await?.status.weight();
            ensure!(after >= view.status.weight(), "from {} to {after}", view.status.weight());
        }
        agent.wait_until("the promotion", |view| view.status.phase.code() == "promoted").await?;
        agent.kill().await?;
        let agent = Agent::start(AGENT, &site, &plan.release, &site.admins()).await?;
        ensure!(agent.view().await?.status.phase.code() == "promoted");
        load.stop().await?;
        eprintln!("killed in {killed_at:?}");
        ensure!(weights(&site)? == [0, 100_000, 500_000, 1_000_000], "{:?}", weights(&site)?);
        Ok(())
    })
}

#[test]
fn an_agent_killed_after_a_rollback_stays_there() -> Result<()> {
    run(async {
        let plan = Plan { release: release(QUICK), ..Plan::default() };
        let (site, agent) = start(&plan).await?;
        let build = site.canary.build();
        site.canary.deploy(serin_local::shop::Build { error_share: 0.5, ..build });
        let load = Load::start(site.address(0), &users(100), |status| status == 200 || status == 500);
        agent.wait_until("the rollback", |view| view.status.phase.code() == "rolled-back").await?;
        agent.kill().await?;
        site.canary.deploy(build);
        let agent = Agent::start(AGENT, &site, &plan.release, &site.admins()).await?;
        let answered = load.answered();
        serin_tests::site::eventually("more requests", async || {
            ensure!(load.answered() > answered + 500);
            Ok(())
        })
        .await?;
        let view = agent.view().await?;
        ensure!(view.status.phase.code() == "rolled-back" && view.status.weight().ppm() == 0, "{view:#?}");
        load.stop().await?;
        Ok(())
    })
}

#[test]
fn an_envoy_that_restarts_in_mid_step_comes_back_to_the_same_weight() -> Result<()> {
    run(async {
        let more = "strategy: {canary: {steps: [{setWeight: 50, pause: {}}]}}\nanalysis: {interval: 100ms, minRequests: 20, baseline: 0s, warmUp: 0s, bake: 0s}";
        let plan = Plan { release: release(more), ..Plan::default() };
        let (mut site, agent) = start(&plan).await?;
        agent.wait_until("the step", |view| view.status.weight().ppm() == 500_000).await?;
        let stopped = site.envoys.pop().context("there is one")?.stop().await?;
        agent
            .wait_until("the silence to be told", |view| {
                view.standing.iter().any(|reason| reason.to_string().contains("127.0.0.1"))
            })
            .await?;
        site.envoys.push(Envoy::start(stopped).await?);
        let client = site.client(0);
        for id in users(50) {
            let expected = crate::expected("v2", &id, crate::percent(50));
            ensure!(client.deployment_of(&id).await? == expected);
        }
        let view = agent
            .wait_until("the step to go on", |view| {
                view.standing.iter().all(|reason| !reason.code().contains("silent"))
            })
            .await?;
        ensure!(view.status.weight().ppm() == 500_000);
        ensure!(weights(&site)? == [0, 500_000]);
        Ok(())
    })
}
