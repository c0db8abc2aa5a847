//! The dead man's switch, in real Envoys: what becomes of a canary's users when the agent is gone.

use std::fs;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::Value;
use serin_policy::series::{Group, Tag};
use serin_rollout::CommandKind;
use serin_tests::agent::Agent;
use serin_tests::load::Load;
use serin_tests::site::{Plan, Site, eventually, release, replace, run};

use crate::agent::start;
use crate::{AGENT, expected, percent, users};

/// One step, at which the release stays.
const AT_HALF: &str = "strategy: {canary: {steps: [{setWeight: 50, pause: {}}]}}
analysis: {interval: 100ms, minRequests: 1, baseline: 0s, warmUp: 0s, bake: 0s}";

/// The document that the Envoys are given.
fn document(site: &Site) -> Result<Value> {
    let file: Value = serde_json::from_str(&fs::read_to_string(site.ecds_dir().join("serin.json"))?)?;
    let value = file.pointer(DOCUMENT).and_then(Value::as_str).context("a file of the agent's")?;
    Ok(serde_json::from_str(value)?)
}

const DOCUMENT: &str = "/resources/0/typed_config/config/configuration/value";

fn lease(site: &Site) -> Result<Option<i64>> {
    Ok(document(site)?.pointer("/leases/shop~1shop").and_then(Value::as_i64))
}

/// Has the lease end in so many seconds, as though the rest of its time had gone by.
fn end_lease_in(site: &Site, seconds: i64) -> Result<()> {
    let path = site.ecds_dir().join("serin.json");
    let mut document = document(site)?;
    document["leases"]["shop/shop"] = (Timestamp::now().as_second() + seconds).into();
    let mut file: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
    *file.pointer_mut(DOCUMENT).context("a file of the agent's")? = document.to_string().into();
    replace(&path, file.to_string().as_bytes())
}

/// Waits until everybody is where they belong at this weight.
async fn all_are_at(site: &Site, weight: u32) -> Result<()> {
    let client = site.client(0);
    eventually("everybody to be where they belong", async || {
        for id in users(100) {
            let (found, wanted) = (client.deployment_of(&id).await?, expected("v2", &id, percent(weight)));
            ensure!(found == wanted, "{id} is on {found}");
        }
        Ok(())
    })
    .await
}

#[test]
fn users_of_a_canary_whose_agent_died_are_on_stable_from_the_end_of_the_lease_until_it_is_back() -> Result<()>
{
    run(async {
        let plan = Plan { envoys: 2, release: release(AT_HALF), ..Plan::default() };
        let (site, agent) = start(&plan).await?;
        let loads = [0, 1].map(|index| Load::start(site.address(index), &users(50), |status| status == 200));
        let at_half = |view: &serin_agent::standalone::View| view.status.weight() == percent(50);
        agent.wait_until("the step", at_half).await?;
        all_are_at(&site, 50).await?;
        agent.kill().await?;
        let left = lease(&site)?.context("a lease")? - Timestamp::now().as_second();
        ensure!((600..=900).contains(&left), "15 minutes from the last look: {left}");
        // Nothing moves while it lasts.
        end_lease_in(&site, 120)?;
        let revision = document(&site)?["policies"][0]["revision"].as_u64().context("a revision")?;
        site.wait_for_revision(revision).await?;
        all_are_at(&site, 50).await?;
        end_lease_in(&site, 1)?;
        all_are_at(&site, 0).await?;
        for index in 0..2 {
            eventually("the proxy to say so", async || {
                let sample = site.sample(index).await?;
                ensure!(sample.lapsed.contains("shop/shop"), "{sample:?}");
                let is_lapsed = |tag: &str| Tag::parse(tag).is_some_and(|tag| tag.group == Group::Lapsed);
                ensure!(sample.totals.keys().any(|key| is_lapsed(&key.tag)), "{:?}", sample.totals);
                Ok(())
            })
            .await?;
        }
        let agent = Agent::start(AGENT, &site, &plan.release, &site.admins()).await?;
        all_are_at(&site, 50).await?;
        let told = |view: &serin_agent::standalone::View| {
            view.journal.iter().any(|one| one.news.to_string().contains("no agent has renewed the lease"))
        };
        agent.wait_until("the lease to be told of", told).await?;
        ensure!(
            document(&site)?["policies"][0]["revision"].as_u64() > Some(revision),
            "every proxy reports it anew"
        );
        agent.wait_until("the step again", at_half).await?;
        for load in loads {
            load.stop().await?;
        }
        Ok(())
    })
}

#[test]
fn a_live_agent_renews_the_lease_and_changes_nothing_else_until_there_is_no_way_back() -> Result<()> {
    run(async {
        let plan = Plan { release: release(AT_HALF), ..Plan::default() };
        let (site, agent) = start(&plan).await?;
        let load = Load::start(site.address(0), &users(50), |status| status == 200);
        let approval = |view: &serin_agent::standalone::View| {
            view.standing.iter().any(|reason| reason.code() == "awaits-approval")
        };
        agent.wait_until("the step to wait", approval).await?;
        let before = document(&site)?;
        end_lease_in(&site, 300)?;
        eventually("the renewal", async || {
            let left = lease(&site)?.context("a lease")? - Timestamp::now().as_second();
            ensure!(left > 600, "{left}");
            Ok(())
        })
        .await?;
        ensure!(document(&site)?["policies"] == before["policies"], "{before}");
        ensure!(approval(&agent.view().await?), "no step begins anew");
        agent.command(CommandKind::Promote).await?;
        agent.wait_until("the promotion", |view| view.status.phase.code() == "promoted").await?;
        ensure!(lease(&site)?.is_none(), "{}", document(&site)?);
        load.stop().await?;
        Ok(())
    })
}

#[test]
fn whoever_wants_users_to_stay_where_they_are_gets_no_lease() -> Result<()> {
    run(async {
        let plan = Plan { release: release(&format!("{AT_HALF}\nonAgentLost: Hold")), ..Plan::default() };
        let (site, agent) = start(&plan).await?;
        agent.wait_until("the step", |view| view.status.weight() == percent(50)).await?;
        ensure!(lease(&site)?.is_none(), "{}", document(&site)?);
        Ok(())
    })
}
