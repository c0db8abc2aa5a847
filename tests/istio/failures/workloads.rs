/*!
Versions that do not run, and Deployments that go away or are scaled away.
*/
use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use serin_tests::mesh::Mesh;
use serin_tests::site::eventually;

use super::{Play, said};
use crate::stage::Stage;

/// Images that never serve, and what the status has to say of each besides the pod.
const BAD: [(&str, &str); 3] = [
    ("missing:v2", "ImagePullBackOff"),
    ("never-ready:v3", "not ready"),
    ("shop:v4?crash", "CrashLoopBackOff"),
];

pub(crate) async fn bad_images_reach_nobody(mesh: &Mesh) -> Result<()> {
    let play = Play::set(mesh, "images", 1).await?;
    for (image, wrong) in BAD {
        let case = play.case(&format!("canary image {image}"));
        play.stage.set_image(image).await?;
        let status = play
            .status_that(&format!("a word about {image}"), |status| {
                status.message.contains("pod shop-canary-") && status.message.contains(wrong)
            })
            .await?;
        ensure!(status.weight == "0%", "{}", said(&status));
        case.check_all_on("shop-stable", "v1")?;
        case.end(&said(&status), "nobody got it; waits for another image", 0)?;
    }
    let case = play.case("a good image after bad ones");
    play.release("v5").await?;
    play.finish().await?;
    case.end(&said(&play.stage.status().await?), "released normally", 0)
}

pub(crate) async fn a_canary_is_lost(mesh: &Mesh) -> Result<()> {
    let play = Play::set(mesh, "lost", 1).await?;
    play.release("v2").await?;

    let case = play.case("canary Deployment deleted at 30%");
    play.stage.kubectl(&["delete", "deployment", "shop-canary"]).await?;
    let status = play.phase("RolledBack").await?;
    ensure!(status.message.contains("shop-canary does not exist"), "{}", said(&status));
    case.after(200).await?;
    // Its pods leave the routes a moment before the new weight is in every proxy.
    case.end(&said(&status), "everybody back on stable", 10)?;

    let case = play.case("canary Deployment made again");
    play.stage.namespace.deploy("shop", "canary", "shop:v3?crash=20s", 1).await?;
    play.first_step("v3").await?;
    case.end(&said(&play.stage.status().await?), "a new run, to 30%", 0)?;

    let case = play.case("canary's only pod crashes at 30%");
    let status = play.phase("RolledBack").await?;
    ensure!(status.message.contains("CrashLoopBackOff"), "{}", said(&status));
    case.after(200).await?;
    // Those that were on the pod when it fell over, and those sent there until a proxy had the new weight.
    case.end(&said(&status), "everybody back on stable", 30)
}

pub(crate) async fn stable_is_scaled_away(mesh: &Mesh) -> Result<()> {
    let stage = Stage::set(mesh, "scaled", 1).await?;
    // Slow to come back, so that there is a time without it.
    stage.kubectl(&["set", "image", "deployment/shop-stable", "shop=shop:v1?start=4s"]).await?;
    stage.kubectl(&["set", "image", "deployment/shop-canary", "shop=shop:v1?start=4s"]).await?;
    stage.namespace.rolled_out("shop-stable").await?;
    let play = Play::on(stage, |yaml| yaml).await?;
    play.release("v2").await?;

    let case = play.case("stable scaled to 0 at 30%");
    play.stage.kubectl(&["scale", "deployment", "shop-stable", "--replicas=0"]).await?;
    eventually("stable's floor", async || {
        let floor = play.stage.replicas("shop-stable").await?;
        ensure!(floor == 1, "{floor}");
        Ok(())
    })
    .await?;
    let deployments = play.stage.namespace.api::<Deployment>();
    eventually("stable to have no pod that serves", async || {
        let ready = deployments.get("shop-stable").await?.status.and_then(|status| status.ready_replicas);
        ensure!(ready.unwrap_or(0) == 0, "{ready:?}");
        Ok(())
    })
    .await?;
    // Whoever wants everybody back on it now is told why not.
    play.command("abort").await?;
    let refusal = play.event("CommandRefused", "no pod of stable is ready").await?;
    ensure!(play.stage.status().await?.weight == "30%", "somebody was sent to an empty stable");
    play.stage.namespace.rolled_out("shop-stable").await?;
    play.check_exposure(30).await?;
    // Its users have nobody to be served by until a pod of it is there again.
    case.end(&refusal, "floor restored; the run goes on at 30%", usize::MAX)?;

    let case = play.case("and aborted once stable is back");
    play.command("abort").await?;
    let status = play.phase("Aborted").await?;
    case.after(200).await?;
    case.end(&said(&status), "everybody back on stable", 0)
}
