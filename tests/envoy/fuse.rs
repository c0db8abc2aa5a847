//! Proxies close a canary by themselves, in real Envoys.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serin_local::shop::{Build, Version};
use serin_policy::Weight;
use serin_policy::fuse::blown_in;
use serin_release::Release;
use serin_tests::agent::Agent;
use serin_tests::client::Client;
use serin_tests::load::Load;
use serin_tests::site::{Plan, Site, eventually, release, run};

use crate::agent::{QUICK, start};
use crate::{AGENT, percent, users};

const DEAD: Build = Build { version: Version(3), error_share: 1.0, delay: Duration::ZERO };

/// Visits of one user after the other, round and round; returns how many met the canary, and how many of these a failure.
async fn visits(client: &Client, users: &[String], count: usize) -> Result<[usize; 2]> {
    let (mut canary, mut failed) = (0, 0);
    for user in users.iter().cycle().take(count) {
        let answer = client.get("/", &[("cookie", &format!("serin={user}"))]).await?;
        canary += usize::from(answer.header("x-served-by") == Some("canary"));
        failed += usize::from(answer.status == 500);
    }
    Ok([canary, failed])
}

async fn is_blown(site: &Site, index: usize) -> Result<bool> {
    Ok(site.sample(index).await?.fuses.get("shop/shop") == Some(&blown_in("shop/shop/v2")))
}

#[test]
fn without_an_agent_a_proxy_closes_a_dead_canary_after_few_bad_answers() -> Result<()> {
    run(async {
        let plan = Plan { envoys: 2, ..Plan::default() };
        let spec = Release::from_yaml(&plan.release)?;
        let mut site = Site::at(percent(10), plan).await?;
        let (client, users) = (site.client(0), users(400));
        let [canary, failed] = visits(&client, &users, 1_000).await?;
        ensure!(canary > 60 && failed == 0, "{canary}, {failed}");
        ensure!(!is_blown(&site, 0).await?);
        site.canary.deploy(DEAD);
        let [_, failed] = visits(&client, &users, 2_000).await?;
        println!("{failed} bad answers");
        // 13, and one by each of two workers.
        ensure!((1..=15).contains(&failed), "{failed}");
        ensure!(is_blown(&site, 0).await? && !is_blown(&site, 1).await?);
        // A good version makes no difference, nor does more weight, until a policy gives the canary to nobody.
        site.canary.deploy(Build { error_share: 0.0, ..DEAD });
        site.push(&spec, percent(50), false).await?;
        let [canary, _] = visits(&client, &users, 400).await?;
        ensure!(canary == 0 && is_blown(&site, 0).await?, "{canary}");
        let [canary, _] = visits(&site.client(1), &users, 400).await?;
        ensure!(canary > 100, "{canary}");
        site.push(&spec, Weight::ZERO, true).await?;
        eventually("the fuse to be whole", async || {
            ensure!(!is_blown(&site, 0).await?);
            Ok(())
        })
        .await?;
        site.push(&spec, percent(50), false).await?;
        eventually("the canary to be open", async || {
            let [canary, failed] = visits(&client, &users, 400).await?;
            ensure!(canary > 100 && failed == 0, "{canary}, {failed}");
            Ok(())
        })
        .await
    })
}

#[test]
fn an_outage_of_both_versions_closes_nothing() -> Result<()> {
    run(async {
        let site = Site::at(percent(50), Plan::default()).await?;
        let (client, users) = (site.client(0), users(400));
        site.stable.deploy(DEAD);
        site.canary.deploy(DEAD);
        let [canary, failed] = visits(&client, &users, 2_000).await?;
        ensure!(canary > 800 && failed == 2_000, "{canary}, {failed}");
        ensure!(!is_blown(&site, 0).await?);
        Ok(())
    })
}

#[test]
fn an_agent_that_comes_back_takes_everybody_off_a_canary_that_one_proxy_has_closed() -> Result<()> {
    run(async {
        // It looks so seldom that the proxy is first, and there would be far too few requests for it by then.
        let calm = QUICK.replace("minRequests: 50", "minRequests: 100000");
        let plan = Plan { envoys: 2, release: release(&calm), ..Plan::default() };
        let (site, agent) = start(&plan).await?;
        let good = [0, 1].map(|index| Load::start(site.address(index), &users(100), |status| status == 200));
        let view = agent.wait_until("10 %", |view| view.status.weight() == percent(10)).await?;
        site.wait_for_revision(view.status.revision).await?;
        for load in good {
            load.stop().await?;
        }
        agent.kill().await?;
        site.canary.deploy(DEAD);
        let [_, failed] = visits(&site.client(0), &users(400), 2_000).await?;
        ensure!((1..=15).contains(&failed) && is_blown(&site, 0).await?, "{failed}");
        let agent = Agent::start(AGENT, &site, &plan.release, &site.admins()).await?;
        let view = agent.wait_until("the rollback", |view| view.status.phase.code() == "rolled-back").await?;
        ensure!(view.status.weight() == Weight::ZERO);
        eventually("the other proxy to follow", async || {
            let [canary, _] = visits(&site.client(1), &users(400), 400).await?;
            ensure!(canary == 0, "{canary}");
            Ok(())
        })
        .await?;
        // The judge may have seen as much in the counts; whichever is first, the reason is told.
        let told = agent.audit()?.pop().context("no record")?;
        let cause = &told["reason"]["cause"];
        let fuse = cause["name"] == "fuse" && cause["proxies"].to_string().contains("edge-1");
        ensure!(fuse || told.to_string().contains("request-success-rate"), "{told}");
        Ok(())
    })
}
