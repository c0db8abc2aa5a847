/*!
Versions that do not run, and Deployments that go away or are scaled away.
*/
use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use serin_release::status::ReleasePhase;
use serin_tests::mesh::Mesh;
use serin_tests::site::eventually;

use super::{UnderLoad, said};
use crate::fixture::{Fixture, is_at};

/// Images that never serve, and what the status has to say of each besides the pod.
const BAD: [(&str, &str); 3] = [
    ("missing:v2", "ImagePullBackOff"),
    ("never-ready:v3", "not ready"),
    ("shop:v4?crash", "CrashLoopBackOff"),
];

pub(crate) async fn bad_images_reach_nobody(mesh: &Mesh) -> Result<()> {
    let under_load = UnderLoad::set(mesh, "images", 1).await?;
    for (image, wrong) in BAD {
        let case = under_load.case(&format!("canary image {image}"));
        under_load.fixture.set_image(image).await?;
        let status = under_load
            .status_that(&format!("a word about {image}"), |status| {
                status.message.contains("pod shop-canary-") && status.message.contains(wrong)
            })
            .await?;
        ensure!(is_at(&status, 0), "{}", said(&status));
        case.check_all_on("shop-stable", "v1")?;
        case.end(&said(&status), "nobody got it; waits for another image", 0)?;
    }
    let case = under_load.case("a good image after bad ones");
    under_load.release("v5").await?;
    under_load.finish().await?;
    case.end(&said(&under_load.fixture.status().await?), "released normally", 0)
}

pub(crate) async fn a_canary_is_lost(mesh: &Mesh) -> Result<()> {
    let under_load = UnderLoad::set(mesh, "lost", 1).await?;
    under_load.release("v2").await?;

    let case = under_load.case("canary Deployment deleted at 30%");
    under_load.fixture.kubectl(&["delete", "deployment", "shop-canary"]).await?;
    let status = under_load.phase(ReleasePhase::RolledBack).await?;
    ensure!(status.message.contains("shop-canary does not exist"), "{}", said(&status));
    case.after(200).await?;
    // Its pods leave the routes a moment before the new weight is in every proxy.
    case.end(&said(&status), "everybody back on stable", 10)?;

    let case = under_load.case("canary Deployment made again");
    under_load.fixture.namespace.deploy("shop", "canary", "shop:v3?crash=20s", 1).await?;
    under_load.first_step("v3").await?;
    case.end(&said(&under_load.fixture.status().await?), "a new run, to 30%", 0)?;

    let case = under_load.case("canary's only pod crashes at 30%");
    let status = under_load.phase(ReleasePhase::RolledBack).await?;
    ensure!(status.message.contains("CrashLoopBackOff"), "{}", said(&status));
    case.after(200).await?;
    // Those that were on the pod when it fell over, and those sent there until a proxy had the new weight.
    case.end(&said(&status), "everybody back on stable", 30)
}

pub(crate) async fn stable_is_scaled_away(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "scaled", 1).await?;
    // Slow to come back, so that there is a time without it.
    fixture.kubectl(&["set", "image", "deployment/shop-stable", "shop=shop:v1?start=4s"]).await?;
    fixture.kubectl(&["set", "image", "deployment/shop-canary", "shop=shop:v1?start=4s"]).await?;
    fixture.namespace.rolled_out("shop-stable").await?;
    let under_load = UnderLoad::on(fixture, |yaml| yaml).await?;
    under_load.release("v2").await?;

    let case = under_load.case("stable scaled to 0 at 30%");
    under_load.fixture.kubectl(&["scale", "deployment", "shop-stable", "--replicas=0"]).await?;
    eventually("stable's floor", async || {
        let floor = under_load.fixture.replicas("shop-stable").await?;
        ensure!(floor == 1, "{floor}");
        Ok(())
    })
    .await?;
    let deployments = under_load.fixture.namespace.api::<Deployment>();
    eventually("stable to have no pod that serves", async || {
        let ready = deployments.get("shop-stable").await?.status.and_then(|status| status.ready_replicas);
        ensure!(ready.unwrap_or(0) == 0, "{ready:?}");
        Ok(())
    })
    .await?;
    // Whoever wants everybody back on it now is told why not.
    under_load.command("abort").await?;
    let refusal = under_load.event("CommandRefused", "stable has no ready pod").await?;
    ensure!(is_at(&under_load.fixture.status().await?, 30), "somebody was sent to an empty stable");
    under_load.fixture.namespace.rolled_out("shop-stable").await?;
    under_load.check_exposure(30).await?;
    // Its users have nobody to be served by until a pod of it is there again.
    case.end(&refusal, "floor restored; the run goes on at 30%", usize::MAX)?;

    let case = under_load.case("and aborted once stable is back");
    under_load.command("abort").await?;
    let status = under_load.phase(ReleasePhase::Aborted).await?;
    case.after(200).await?;
    case.end(&said(&status), "everybody back on stable", 0)
}
