//! The agent walks releases over real Envoys.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serin_agent::mesh::bootstrap::Protocol;
use serin_local::shop::{Build, Version};
use serin_rollout::CommandKind;
use serin_tests::agent::Agent;
use serin_tests::load::Load;
use serin_tests::site::{Plan, Site, eventually, release, replace, run};

use crate::{AGENT, users};

/// Steps that go on as soon as there is enough evidence.
pub(crate) const QUICK: &str = "strategy: {canary: {steps: [{setWeight: 10}, {setWeight: 50}]}}
analysis: {interval: 100ms, minRequests: 50, baseline: 0s, warmUp: 0s, bake: 0s}";

/// Starts an agent for a site and the site's Envoys after it; the agent waits for them.
pub(crate) async fn start(plan: &Plan) -> Result<(Site, Agent)> {
    let mut site = Site::unconfigured().await?;
    // Nobody listens there yet, nor ever will: it only makes the agent write the first policy.
    let first = Agent::start(AGENT, &site, &plan.release, &["http://127.0.0.1:1".to_owned()]).await?;
    first.kill().await?;
    site.start_envoys(plan).await?;
    let agent = Agent::start(AGENT, &site, &plan.release, &site.admins()).await?;
    Ok((site, agent))
}

fn bad(error_share: f64, delay_ms: u64) -> Build {
    Build { version: Version(3), error_share, delay: Duration::from_millis(delay_ms) }
}

#[test]
fn a_good_release_goes_up_step_by_step_and_is_promoted() -> Result<()> {
    run(async {
        let plan = Plan { envoys: 2, release: release(QUICK), ..Plan::default() };
        let (site, agent) = start(&plan).await?;
        let loads = [0, 1].map(|index| Load::start(site.address(index), &users(100), |status| status == 200));
        agent.wait_until("the promotion", |view| view.status.phase.code() == "promoted").await?;
        for load in loads {
            load.stop().await?;
        }
        let weights: Vec<_> = agent.audit()?.iter().map(|entry| entry["weightAfter"].clone()).collect();
        ensure!(weights == [0, 100_000, 500_000, 1_000_000], "{weights:?}");
        ensure!(site.client(0).deployment_of("anybody").await? == "canary");
        Ok(())
    })
}

/// Runs a release whose canary is bad and returns what the audit log says of the end.
async fn check_rollback(
    plan: Plan,
    build: Option<Build>,
    accept: fn(u16) -> bool,
    expected: &str,
) -> Result<()> {
    let (site, agent) = start(&plan).await?;
    site.canary.deploy(build.unwrap_or(site.canary.build()));
    let load = Load::start(site.address(0), &users(100), accept);
    agent.wait_until("the rollback", |view| view.status.phase.code() == "rolled-back").await?;
    load.stop().await?;
    let audit = agent.audit()?;
    let last = audit.last().context("a rollback is audited")?;
    ensure!(last["weightAfter"] == 0 && last["weightBefore"] == 100_000, "{last}");
    ensure!(last.to_string().contains(expected), "{last}");
    let client = site.client(0);
    eventually("everybody to be on stable", async || {
        for id in users(100) {
            ensure!(client.deployment_of(&id).await? == "stable");
        }
        Ok(())
    })
    .await
}

#[test]
fn a_canary_that_fails_is_taken_back() -> Result<()> {
    let plan = Plan { release: release(QUICK), ..Plan::default() };
    run(check_rollback(plan, Some(bad(0.3, 0)), |status| status == 200 || status == 500, "success"))
}

#[test]
fn a_canary_that_is_slow_is_taken_back() -> Result<()> {
    // So long that a busy machine does not make stable slow, too: what is slow on both versions is not the canary's.
    let slow = format!("{QUICK}\n")
        .replace("minRequests: 50", "minRequests: 50, metrics: [{name: request-duration, objective: 1s}]");
    let plan = Plan { release: release(&slow), ..Plan::default() };
    run(check_rollback(plan, Some(bad(0.0, 2_000)), |status| status == 200, "duration"))
}

#[test]
fn a_canary_that_is_slow_goes_back_in_steps_where_that_is_asked_for() -> Result<()> {
    run(async {
        let steps = "[{setWeight: 10}, {setWeight: 50}]";
        let gently = "rollback: {mode: Gradual, steps: [5, 1], stepDuration: 1s, graveAbove: 100}";
        let slow = format!("{QUICK}\n")
            .replace("minRequests: 50", "minRequests: 50, metrics: [{name: request-duration, objective: 1s}]")
            .replace(steps, &format!("{steps}, {gently}"));
        let (site, agent) = start(&Plan { release: release(&slow), ..Plan::default() }).await?;
        site.canary.deploy(bad(0.0, 2_000));
        let load = Load::start(site.address(0), &users(100), |status| status == 200);
        agent.wait_until("the end", |view| view.status.phase.code() == "rolled-back").await?;
        load.stop().await?;
        let audit = agent.audit()?;
        let weights: Vec<_> = audit.iter().map(|entry| entry["weightAfter"].clone()).collect();
        ensure!(weights == [0, 100_000, 50_000, 10_000, 0], "{weights:?}");
        let codes: Vec<_> = audit[2..].iter().map(|entry| entry["reason"]["code"].clone()).collect();
        ensure!(codes == ["step-back", "step-back", "rolled-back"], "{codes:?}");
        Ok(())
    })
}

#[test]
fn a_dead_canarys_503s_count_against_it() -> Result<()> {
    run(async {
        // A port that was free a moment ago and that nobody listens on: connections are refused.
        let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let site = Site::unconfigured().await?;
        let upstreams = Some((site.stable.address(), nobody, Protocol::Http1));
        let plan = Plan { release: release(QUICK), upstreams, ..Plan::default() };
        check_rollback(plan, None, |status| status == 200 || status == 503, "success").await
    })
}

#[test]
fn a_silent_proxy_holds_the_release_and_its_return_lets_it_go_on() -> Result<()> {
    run(async {
        let plan = Plan { envoys: 2, release: release(QUICK), ..Plan::default() };
        let (mut site, agent) = start(&plan).await?;
        let stopped = site.envoys.pop().context("there are two")?.stop().await?;
        let load = Load::start(site.address(0), &users(100), |status| status == 200);
        let held = agent
            .wait_until("the hold", |view| view.standing.iter().any(|reason| reason.code().contains("prox")));
        let held = held.await?;
        let step = held.status.weight();
        let answered = load.answered();
        eventually("far more requests than a step takes", async || {
            ensure!(load.answered() > answered + 2_000);
            Ok(())
        })
        .await?;
        ensure!(agent.view().await?.status.weight() == step, "the weight moved although a proxy was silent");
        site.envoys.push(serin_local::envoy::Envoy::start(stopped).await?);
        agent.wait_until("the promotion", |view| view.status.phase.code() == "promoted").await?;
        load.stop().await?;
        Ok(())
    })
}

#[test]
fn commands_are_obeyed_and_written_down() -> Result<()> {
    run(async {
        let plan = Plan {
            release: release(
                "strategy: {canary: {steps: [{setWeight: 10, pause: {}}, {setWeight: 50, pause: {}}]}}
analysis: {interval: 100ms, minRequests: 1, baseline: 0s, warmUp: 0s, bake: 0s}",
            ),
            ..Plan::default()
        };
        let (site, agent) = start(&plan).await?;
        let load = Load::start(site.address(0), &users(100), |status| status == 200);
        let at = |ppm: u32| move |view: &serin_agent::standalone::View| view.status.weight().ppm() == ppm;
        let approval = |view: &serin_agent::standalone::View| {
            view.standing.iter().any(|reason| reason.code().contains("approv"))
        };
        agent.wait_until("the first step to wait", |view| at(100_000)(view) && approval(view)).await?;
        agent.command(CommandKind::Resume).await?;
        agent.wait_until("the second step to wait", |view| at(500_000)(view) && approval(view)).await?;
        agent.command(CommandKind::Abort).await?;
        agent.wait_until("the abort", at(0)).await?;
        agent.command(CommandKind::Retry).await?;
        agent.wait_until("the first step again", at(100_000)).await?;
        agent.command(CommandKind::Promote).await?;
        agent.wait_until("the promotion", |view| view.status.phase.code() == "promoted").await?;
        load.stop().await?;
        let by_tester = agent.audit()?.iter().filter(|entry| entry.to_string().contains("tester")).count();
        ensure!(by_tester >= 4, "{:#?}", agent.audit()?);
        Ok(())
    })
}

#[test]
fn a_refusing_proxy_is_named_with_the_reason_and_the_agent_puts_things_right() -> Result<()> {
    run(async {
        let plan = Plan {
            release: release(
                "strategy: {canary: {steps: [{setWeight: 10, pause: {}}]}}\nanalysis: {interval: 100ms, baseline: 0s, warmUp: 0s, bake: 0s}",
            ),
            ..Plan::default()
        };
        let (site, agent) = start(&plan).await?;
        agent.wait_until("the first step", |view| view.status.weight().ppm() == 100_000).await?;
        let path = site.ecds_dir().join("serin.json");
        let spoilt = fs::read_to_string(&path)?.replace("shop/shop/v2", "");
        replace(&path, spoilt.as_bytes())?;
        let view = agent
            .wait_until("the refusal to be told", |view| {
                view.journal.iter().any(|one| one.news.to_string().contains("salt"))
            })
            .await?;
        ensure!(view.journal.iter().any(|one| one.news.to_string().contains("edge-1")), "{view:#?}");
        agent
            .wait_until("the good policy to be back", |view| {
                view.standing.iter().all(|reason| !reason.to_string().contains("salt"))
                    && view.status.weight().ppm() == 100_000
            })
            .await?;
        eventually("the proxy to be content", async || {
            ensure!(site.sample(0).await?.refused == 0);
            Ok(())
        })
        .await
    })
}
