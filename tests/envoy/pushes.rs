//! Many pushes in a row, and pushes that are wrong.

use std::fs;

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use serin_agent::observe::scrape::Scraper;
use serin_policy::{Document, Weight};
use serin_release::Release;
use serin_tests::load::Load;
use serin_tests::site::{Plan, Site, eventually, replace, run};

use crate::{percent, users};

const PUSHES: u32 = 1_000;

#[test]
fn a_thousand_pushes_under_load_fail_no_request() -> Result<()> {
    run(async {
        let plan = Plan::default();
        let release = Release::from_yaml(&plan.release)?;
        let mut site = Site::at(Weight::ZERO, plan).await?;
        let load = Load::start(site.address(0), &users(8), |status| status == 200);
        let mut scraper = Scraper::new(&site.admins()[0])?;
        for push in 1..=PUSHES {
            site.write(&release, Weight::from_ppm(push * 1_000)?, false)?;
            // Every push has to arrive, or a thousand of them would be a few.
            eventually("the push to arrive", async || {
                let runs = scraper.scrape().await?.revisions.get("shop/shop").copied();
                if runs == Some(u64::from(push) + 1) { Ok(()) } else { bail!("runs {runs:?}") }
            })
            .await?;
        }
        let answered = load.stop().await?;
        eprintln!("{answered} requests, none failed, over {PUSHES} pushes");
        ensure!(answered > u64::from(PUSHES), "there was hardly any load: {answered} requests");
        Ok(())
    })
}

/// The document in a site's ECDS file, to be spoilt.
fn document_in(file: &Value) -> Result<Value> {
    let text = file.pointer("/resources/0/typed_config/config/configuration/value").and_then(Value::as_str);
    Ok(serde_json::from_str(text.unwrap_or_default())?)
}

#[test]
fn a_bad_document_leaves_the_last_good_policies_in_force_and_shows_in_the_metrics() -> Result<()> {
    run(async {
        let plan = Plan::default();
        let release = Release::from_yaml(&plan.release)?;
        let mut site = Site::at(percent(100), plan).await?;
        let path = site.ecds_dir().join("serin.json");
        let good: Value = serde_json::from_slice(&fs::read(&path)?)?;
        for (kind, spoil) in [
            ("malformed", (|_| Value::from("no document")) as fn(Value) -> Value),
            ("unsupported", |mut document| {
                document["version"] = 99.into();
                document
            }),
            ("invalid", |mut document| {
                document["policies"][0]["salt"] = "".into();
                document
            }),
        ] {
            let mut bad = good.clone();
            let configuration = &mut bad["resources"][0]["typed_config"]["config"]["configuration"];
            configuration["value"] = spoil(document_in(&good)?).to_string().into();
            replace(&path, bad.to_string().as_bytes())?;
            eventually("the refusal to show", async || {
                let sample = site.sample(0).await?;
                let shown = sample.refused == 1 && sample.kinds_refused.iter().any(|one| one == kind);
                ensure!(shown && sample.revisions.get("shop/shop") == Some(&1), "{sample:?}");
                Ok(())
            })
            .await?;
            ensure!(site.client(0).deployment_of("anybody").await? == "canary", "after {kind}");
        }
        site.push(&release, Weight::ZERO, false).await?;
        ensure!(site.sample(0).await?.refused == 0);
        Ok(())
    })
}

#[test]
fn a_bad_first_document_lets_every_request_pass_to_stable() -> Result<()> {
    run(async {
        let plan = Plan::default();
        let mut site = Site::unconfigured().await?;
        let release = Release::from_yaml(&plan.release)?;
        let mut bad = release.policy(1, Weight::FULL, false, false);
        bad.salt = String::new();
        site.ecds()?.write(&Document::new(vec![bad]))?;
        site.start_envoys(&plan).await?;
        let answer = site.client(0).get("/", &[]).await?;
        ensure!(answer.status == 200 && answer.shop()?.deployment == "stable", "{answer:?}");
        ensure!(site.sample(0).await?.refused == 1);
        Ok(())
    })
}
