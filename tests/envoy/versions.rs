//! Envoys of every version that Serin is said to work with: who gets which version, what is counted, and a push.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serin_policy::Arm;
use serin_policy::series::Tag;
use serin_release::Release;
use serin_tests::protocols::grpc_call;
use serin_tests::site::{Plan, Site, eventually, run};
use serin_tests::tools::Tool;

use crate::{expected, percent, users};

/// Requests that were answered, by version, and of them those with a 2xx.
async fn counted(site: &Site) -> Result<BTreeMap<(Arm, String), u64>> {
    let mut counted = BTreeMap::new();
    for (series, total) in site.sample(0).await?.totals {
        if let Some(tag) = Tag::parse(&series.tag).filter(|_| series.metric == "serin_rq" && total > 0) {
            *counted.entry((tag.arm, series.class)).or_default() += total;
        }
    }
    Ok(counted)
}

fn check(envoy: Tool) -> Result<()> {
    run(async move {
        let plan = Plan { envoy, ..Plan::default() };
        let release = Release::from_yaml(&plan.release)?;
        let mut site = Site::at(percent(50), plan).await?;
        let (client, users) = (site.client(0), users(100));
        let mut wanted = BTreeMap::new();
        for (i, id) in users.iter().enumerate() {
            let arm = expected("v2", id, percent(50));
            // Over HTTP/1.1 and HTTP/2.
            let found = if i % 2 == 0 {
                client.deployment_of(id).await?
            } else {
                grpc_call(site.address(0), id).await?.served_by.unwrap_or_default()
            };
            ensure!(found == arm, "{id} is on {found}, not on {arm}");
            let arm = if arm == "canary" { Arm::Canary } else { Arm::Stable };
            *wanted.entry((arm, "2".to_owned())).or_default() += 1;
        }
        eventually("the counts", async || {
            let found = counted(&site).await?;
            ensure!(found == wanted, "{found:?}, not {wanted:?}");
            Ok(())
        })
        .await?;
        site.push(&release, percent(50), true).await?;
        for id in &users {
            eventually("everybody to be on stable", async || {
                let found = client.deployment_of(id).await?;
                ensure!(found == "stable", "{id} is on {found}");
                Ok(())
            })
            .await?;
        }
        Ok(())
    })
}

#[test]
fn envoy_1_36_routes_counts_and_takes_pushes() -> Result<()> {
    check(Tool::Envoy136)
}

#[test]
fn envoy_1_37_routes_counts_and_takes_pushes() -> Result<()> {
    check(Tool::Envoy137)
}

#[test]
fn envoy_1_38_routes_counts_and_takes_pushes() -> Result<()> {
    check(Tool::Envoy138)
}

#[test]
fn envoy_1_39_routes_counts_and_takes_pushes() -> Result<()> {
    check(Tool::Envoy139)
}

#[test]
fn envoy_1_40_routes_counts_and_takes_pushes() -> Result<()> {
    check(Tool::Envoy)
}
