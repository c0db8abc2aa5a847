/*!
Whole releases, as users do them: `kubectl set image`, and the rest happens.
*/
use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serin_policy::Weight;
use serin_tests::mesh::Mesh;
use serin_tests::mesh::traffic::Outcome;

use crate::stage::{Stage, check_none_failed};

/// The canary of the guides that Serin takes the place of: 10 → 25 → 50 → 75 → 100 %.
pub(crate) async fn a_good_version_is_promoted(mesh: &Mesh) -> Result<()> {
    let stage = Stage::set(mesh, "good", 2).await?;
    let agent = stage.agent("one").await?;
    let steps = [10, 25, 50, 75];
    let list = steps.map(|weight| format!("{{setWeight: {weight}, pause: {{duration: 4s}}}}")).join(", ");
    stage.release(&list, |yaml| yaml).await?;
    stage
        .status_that("nothing to release", |status| status.phase == "Promoted" && status.proxies.current == 2)
        .await?;
    let traffic = stage.traffic(100)?;
    stage.set_image("shop:v2").await?;
    let mut ends = Vec::new();
    for percent in steps {
        let weight = format!("{percent}%");
        let status = stage
            .status_that(&weight, |status| status.weight == weight)
            .await
            .with_context(|| agent.log())?;
        ends.push((percent, status.run.context("a run has a name")?, traffic.requests()));
    }
    stage.outcome("Promoted").await.with_context(|| agent.log())?;
    stage.status_that("canary gone", |status| status.phase == "Promoted" && status.weight == "0%").await?;
    let report = traffic.stop().await?;
    check_none_failed(&report)?;
    // Everybody goes from v1 to v2, once, and nobody back.
    let mut versions = vec!["v1"; stage.users.len()];
    for record in &report.0 {
        let Outcome::Served { version, .. } = &record.outcome else { continue };
        ensure!(versions[record.user] == "v1" || version == "v2", "user {} went back", record.user);
        if version == "v2" {
            versions[record.user] = "v2";
        }
    }
    for (percent, run, _) in &ends {
        let exposed = stage.exposed(run, Weight::from_ppm(percent * 10_000)?)?;
        let share = exposed.len() * 100 / stage.users.len();
        eprintln!("{percent} % of users by the hash: {} of {} ({share} %)", exposed.len(), stage.users.len());
    }
    let (percent, run, from) = &ends[0];
    let until = ends[1].2;
    let exposed: BTreeSet<_> = stage.exposed(run, Weight::from_ppm(percent * 10_000)?)?.into_iter().collect();
    for record in &report.0[*from..until.saturating_sub(200)] {
        let Outcome::Served { deployment, .. } = &record.outcome else { continue };
        let wanted = if exposed.contains(&record.user) { "shop-canary" } else { "shop-stable" };
        ensure!(deployment == wanted, "user {} is on {deployment} at {percent} %", record.user);
    }
    ensure!(stage.replicas("shop-canary").await? == 0, "the canary still has pods");
    Ok(())
}
