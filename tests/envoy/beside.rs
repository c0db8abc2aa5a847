//! Versions beside stable and canary, by a real Envoy and a real agent.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serin_local::shop::{Build, Shop, Version};
use serin_policy::series::Tag;
use serin_policy::{Arm, Extra, Id, Point};
use serin_release::Release;
use serin_rollout::CommandKind;
use serin_tests::load::Load;
use serin_tests::site::{Plan, Site, eventually, release, run};

use crate::{percent, users};

/// The traffic guide's three versions: v1 is stable, v2 the canary.
const GUIDE: &str = "strategy: {canary: {steps: [{setWeight: 15, pause: {}}]}}
versions: [{name: v3, share: 5}]
overrides: [{header: x-canary}]
analysis: {interval: 100ms, minRequests: 50, baseline: 1s, warmUp: 0s, bake: 0s}";

const V3: Arm = Arm::Extra(Extra::ALL[0]);

async fn third() -> Result<Shop> {
    let build = Build { version: Version(3), error_share: 0.0, delay: Duration::ZERO };
    Ok(Shop::start(V3, build, 3).await?)
}

fn plan(third: &Shop) -> Plan {
    Plan { release: release(GUIDE), others: vec![("v3".to_owned(), third.address())], ..Plan::default() }
}

/// The arm of a user, by the rule alone.
fn arm_of(id: &str) -> Arm {
    let id = Id::try_from(id.as_bytes()).expect("users have valid ids");
    match Point::of("shop/shop", &id).get() {
        0..150_000 => Arm::Canary,
        950_000.. => V3,
        _ => Arm::Stable,
    }
}

/// What the filter has counted, by version.
async fn counted(site: &Site) -> Result<BTreeMap<Arm, u64>> {
    let mut counted = BTreeMap::new();
    for (series, total) in site.sample(0).await?.totals {
        if series.metric == "serin_rq"
            && let Some(tag) = Tag::parse(&series.tag)
        {
            *counted.entry(tag.arm).or_default() += total;
        }
    }
    Ok(counted)
}

#[test]
fn eighty_fifteen_five_is_exact_and_each_version_counts_for_itself() -> Result<()> {
    run(async {
        let third = third().await?;
        let site = Site::at(percent(15), plan(&third)).await?;
        let client = site.client(0);
        let mut expected = BTreeMap::new();
        for id in users(1_000).iter().chain(&users(1_000)) {
            let arm = arm_of(id);
            let answer = client.get("/", &[("cookie", &format!("serin={id}"))]).await?;
            let (told, deployment) = (answer.header("x-served-by"), answer.shop()?.deployment);
            let name = if arm == V3 { "v3" } else { arm.as_str() };
            ensure!(told == Some(name) && deployment == arm.as_str(), "{id}: {arm:?}, {answer:?}");
            *expected.entry(arm).or_default() += 1;
        }
        ensure!(expected.len() == 3, "somebody is on each: {expected:?}");
        let asked = client.get("/", &[("cookie", "serin=tester"), ("x-canary", "v3")]).await?;
        ensure!(asked.shop()?.deployment == V3.as_str(), "{asked:?}");
        *expected.entry(V3).or_default() += 1;
        eventually("the counts", async || {
            let counted = counted(&site).await?;
            ensure!(counted == expected, "{counted:?}, not {expected:?}");
            Ok(())
        })
        .await
    })
}

#[test]
fn callers_of_a_version_that_has_no_route_are_on_stable() -> Result<()> {
    run(async {
        let plan = Plan { release: release(GUIDE), ..Plan::default() };
        let site = Site::at(percent(15), plan).await?;
        let users = users(200);
        let id = users.iter().find(|id| arm_of(id) == V3).context("one in twenty")?;
        let answer = site.client(0).get("/", &[("cookie", &format!("serin={id}"))]).await?;
        ensure!(answer.status == 200 && answer.shop()?.deployment == "stable", "{answer:?}");
        Ok(())
    })
}

#[test]
fn a_bad_version_goes_back_alone_and_comes_again_at_a_word() -> Result<()> {
    run(async {
        let third = third().await?;
        let (site, agent) = crate::agent::start(&plan(&third)).await?;
        let (client, everybody) = (site.client(0), users(400));
        let load = Load::start(site.address(0), &everybody, |status| status == 200 || status == 500);
        let stands = |view: &serin_agent::standalone::View, share: u32| {
            let third = view.progress.versions.first();
            view.status.weight() == percent(15) && third.is_some_and(|third| third.weight == percent(share))
        };
        agent.wait_until("all three to have users", |view| stands(view, 5)).await?;
        eventually("each user to be on their version", async || {
            for id in &everybody {
                ensure!(client.deployment_by(id).await? == arm_of(id).as_str(), "{id}");
            }
            Ok(())
        })
        .await?;
        third.deploy(Build { error_share: 0.5, ..third.build() });
        let view = agent.wait_until("v3 to be taken back, and nothing else", |view| stands(view, 0)).await?;
        let told = view.progress.versions[0].because();
        ensure!(told.starts_with("taken back: ") && told.contains("v3"), "{told}");
        eventually("its users to be on stable, and nobody else to be moved", async || {
            for id in &everybody {
                let expected = if arm_of(id) == V3 { Arm::Stable } else { arm_of(id) };
                ensure!(client.deployment_by(id).await? == expected.as_str(), "{id}");
            }
            Ok(())
        })
        .await?;
        third.deploy(Build { error_share: 0.0, ..third.build() });
        agent.command(CommandKind::Retry).await?;
        agent.wait_until("v3 to have its users again", |view| stands(view, 5)).await?;
        load.stop().await?;
        Ok(())
    })
}

#[test]
fn a_policy_with_more_versions_is_of_its_own_run_though_callers_keep_their_points() -> Result<()> {
    let release = Release::from_yaml(&release(GUIDE))?;
    let policy = release.policy(1, percent(15), false, false);
    ensure!((policy.salt.as_str(), policy.run.as_deref()) == ("shop/shop", Some("v2")), "{policy:?}");
    Ok(())
}
