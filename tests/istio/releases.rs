/*!
Whole releases, as users do them: `kubectl set image`, and the rest happens.
*/
use anyhow::{Context, Result, ensure};
use serin_tests::mesh::Mesh;
use serin_tests::mesh::traffic::Outcome;

use crate::stage::{Stage, check_none_failed, told};

/// The canary of the guides that Serin takes the place of: 10 → 25 → 50 → 75 → 100 %.
pub(crate) async fn a_good_version_is_promoted(mesh: &Mesh) -> Result<()> {
    let stage = Stage::set(mesh, "good", 2).await?;
    let agent = stage.agent("one").await?;
    let steps = [10, 25, 50, 75];
    // A person approves each, so that the test knows when it is at which.
    stage
        .release(&steps.map(|weight| format!("{{setWeight: {weight}, pause: {{}}}}")).join(", "), |yaml| yaml)
        .await?;
    stage
        .status_that("nothing to release", |status| status.phase == "Promoted" && status.proxies.current == 2)
        .await?;
    let traffic = stage.traffic(150)?;
    stage.set_image("shop:v2").await?;
    for percent in steps {
        let exposed = stage.check_exposure(&traffic, percent).await.with_context(|| agent.log())?;
        eprintln!("{percent} %: {exposed} of {} users, each as the hash says", stage.users.len());
        stage.kubectl(&["annotate", "release", "shop", "serin.dev/command=resume"]).await?;
    }
    stage.outcome("Promoted").await.with_context(|| agent.log())?;
    let status = stage.status().await?;
    ensure!(status.weight == "0%" && status.phase == "Promoted", "{}", told(&status));
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
    ensure!(stage.replicas("shop-canary").await? == 0, "the canary still has pods");
    let weights: Vec<_> = status.history[0].changes.iter().map(|change| change.to.as_str()).collect();
    ensure!(weights == ["10%", "25%", "50%", "75%", "100%", "0%"], "{weights:?}");
    let events = stage.events().await?;
    for reason in ["Prepared", "StepBegun", "WeightChanged", "Promoting", "HandedOver", "Settled"] {
        ensure!(events.iter().any(|(found, _)| found == reason), "{reason} is not among {events:?}");
    }
    eprintln!("{} requests over the whole release, none failed", report.0.len());
    Ok(())
}
