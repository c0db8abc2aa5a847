//! Who gets which version: sticky, exact, monotonic, and back at once.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use serin_policy::Weight;
use serin_release::Release;
use serin_tests::client::Client;
use serin_tests::site::{Plan, Site, eventually, run};

use crate::{expected, percent, users};

const COUNT: u16 = 2_000;

/// The users whom `client` finds on the canary.
async fn on_canary(client: &Client, users: &[String]) -> Result<BTreeSet<String>> {
    let asked =
        users.iter().map(|id| async move { anyhow::Ok((client.deployment_of(id).await?, id.clone())) });
    let answers: Vec<(String, String)> = stream::iter(asked).buffer_unordered(16).try_collect().await?;
    Ok(answers.into_iter().filter(|(deployment, _)| deployment == "canary").map(|(_, id)| id).collect())
}

#[test]
fn every_step_exposes_exactly_its_share_on_every_envoy_and_moves_nobody_back() -> Result<()> {
    run(async {
        let plan = Plan { envoys: 2, ..Plan::default() };
        let release = Release::from_yaml(&plan.release)?;
        let mut site = Site::at(Weight::ZERO, plan).await?;
        let users = users(COUNT.into());
        let mut before = BTreeSet::new();
        for weight in [percent(0), percent(1), percent(10), percent(25), percent(50), percent(100)] {
            site.push(&release, weight, false).await?;
            let wanted: BTreeSet<String> =
                users.iter().filter(|id| expected("v2", id, weight) == "canary").cloned().collect();
            for index in 0..2 {
                let client = site.client(index);
                eventually("the share to be exact", async || {
                    let found = on_canary(&client, &users).await?;
                    ensure!(found == wanted, "at {weight} on Envoy {index}: {} on canary", found.len());
                    Ok(())
                })
                .await?;
            }
            ensure!(before.is_subset(&wanted), "at {weight} somebody went back");
            // Exact means: the share of users, to what chance allows in drawing this many.
            let (share, spread) = share_and_spread(weight);
            let off = (f64::from(u32::try_from(wanted.len())?) - share).abs();
            ensure!(off <= 4.0 * spread, "at {weight} {} of {COUNT} users are on the canary", wanted.len());
            before = wanted;
        }
        Ok(())
    })
}

/// Expected number of users on the canary, and its standard deviation.
fn share_and_spread(weight: Weight) -> (f64, f64) {
    let share = f64::from(weight.ppm()) / 1e6;
    let count = f64::from(COUNT);
    (count * share, (count * share * (1.0 - share)).sqrt())
}

#[test]
fn a_rollback_moves_everybody_at_once_although_they_hold_cookies() -> Result<()> {
    run(async {
        let plan = Plan::default();
        let release = Release::from_yaml(&plan.release)?;
        let mut site = Site::at(percent(50), plan).await?;
        let users = users(COUNT.into());
        let exposed = on_canary(&site.client(0), &users).await?;
        ensure!(!exposed.is_empty());
        site.push(&release, Weight::ZERO, true).await?;
        eventually("everybody to be back", async || {
            let left = on_canary(&site.client(0), &users).await?;
            ensure!(left.is_empty(), "{} of {} are still on the canary", left.len(), exposed.len());
            Ok(())
        })
        .await
    })
}

#[test]
fn a_new_visitor_is_given_a_cookie_and_stays_where_they_were_put() -> Result<()> {
    run(async {
        let site = Site::at(percent(50), Plan::default()).await?;
        let client = site.client(0);
        for _ in 0..50 {
            let first = client.get("/", &[("sec-fetch-mode", "navigate")]).await?;
            let cookie = first.header("set-cookie").expect("a new visitor gets a cookie").to_owned();
            let id = cookie.split(['=', ';']).nth(1).expect("a cookie has a value");
            ensure!(cookie.ends_with("; Max-Age=604800; Path=/; SameSite=Lax; HttpOnly"), "{cookie}");
            for _ in 0..3 {
                ensure!(client.deployment_of(id).await? == first.shop()?.deployment);
            }
        }
        Ok(())
    })
}
