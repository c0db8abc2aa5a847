/*!
What becomes of the two Deployments in the end.
*/
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use serin_release::status::{ReleasePhase, ReleaseStatus, RunOutcome};
use serin_tests::mesh::traffic::Traffic;
use serin_tests::mesh::{Controller, Mesh};

use crate::fixture::{Fixture, all_from, check_nobody_went_back, check_none_failed, condition, is_at, told};

const STEPS: &str = "{setWeight: 50, pause: {duration: 1s}}";

/// A shop with users, whose Release has nothing to do yet and ends in promotions of this `mode`.
async fn promoted_by<'m>(mesh: &'m Mesh, mode: &str) -> Result<(Fixture<'m>, Controller, Traffic)> {
    let fixture = Fixture::set(mesh, &mode.to_lowercase(), 1).await?;
    let agent = fixture.agent("one").await?;
    let promotion = format!("promotion: {{mode: {mode}}}, scaleDownDelay: 2s");
    fixture.release(STEPS, |yaml| yaml.replace("scaleDownDelay: 2s", &promotion)).await?;
    fixture.idle().await?;
    let traffic = fixture.traffic(60).await?;
    Ok((fixture, agent, traffic))
}

/// Blue and green: the Deployments change places, twice.
pub(crate) async fn versions_change_places(mesh: &Mesh) -> Result<()> {
    let (fixture, agent, traffic) = promoted_by(mesh, "Swap").await?;
    for (number, (image, deployment, other)) in
        [("shop:v2", "shop-canary", "shop-stable"), ("shop:v3", "shop-stable", "shop-canary")]
            .iter()
            .enumerate()
    {
        fixture
            .kubectl(&["set", "image", &format!("deployment/{deployment}"), &format!("shop={image}")])
            .await?;
        fixture
            .status_that(image, |status| {
                let done = |run: &serin_release::status::RunRecord| run.outcome == Some(RunOutcome::Promoted);
                status.history.iter().filter(|run| done(run)).count() == number + 1
                    && status.history.len() == number + 1
            })
            .await
            .with_context(|| agent.log())?;
        ensure!(fixture.replicas(other).await? == 0, "{other} still has pods");
        all_from(&traffic, deployment).await?;
    }
    let report = traffic.stop().await?;
    check_none_failed(&report)
}

/// After versions have changed places the status is lost, as a backup that is restored does it; then the Release is made
/// again, as Git does it. Everybody stays on the Deployment that is live, and nothing is taken for a new version.
pub(crate) async fn roles_outlive_the_status(mesh: &Mesh) -> Result<()> {
    let (fixture, agent, traffic) = promoted_by(mesh, "Swap").await?;
    fixture.set_image("shop:v2").await?;
    fixture.outcome(RunOutcome::Promoted).await.with_context(|| agent.log())?;
    all_from(&traffic, "shop-canary").await?;
    agent.kill().await?;
    let live = r"jsonpath={.items[0].metadata.labels.serin\.dev/stable}";
    let label = fixture.kubectl(&["get", "destinationrules", "-o", live]).await?;
    ensure!(label == "shop-canary", "the routes' label says {label}");
    fixture
        .kubectl(&[
            "patch",
            "release",
            "shop",
            "--subresource=status",
            "--type=json",
            "-p",
            r#"[{"op": "remove", "path": "/status"}]"#,
        ])
        .await?;

    let agent = fixture.agent("two").await?;
    let is_known = |status: &serin_release::status::ReleaseStatus| {
        status.stable_deployment.as_deref() == Some("shop-canary") && status.proxies.current == 1
    };
    let status = fixture.status_that("the live Deployment to be known", is_known).await;
    let status = status.with_context(|| agent.log())?;
    ensure!(is_at(&status, 0) && status.history.is_empty(), "{}", told(&status));
    all_from(&traffic, "shop-canary").await?;
    check_none_failed(&traffic.stop().await?)?;

    // Its routes go with it: only pods say then who is live.
    let release = fixture.kubectl(&["get", "release", "shop", "-o", "yaml"]).await?;
    let spec: serde_json::Value = serde_saphyr::from_str(&release)?;
    fixture.kubectl(&["delete", "release", "shop", "--timeout=60s"]).await?;
    let again = serde_json::json!({
        "apiVersion": "serin.dev/v1alpha1", "kind": "Release", "metadata": {"name": "shop"}, "spec": spec["spec"],
    });
    fixture.namespace.apply(&again.to_string()).await?;
    let status = fixture.status_that("the live Deployment to be known again", is_known).await;
    let status = status.with_context(|| agent.log())?;
    ensure!(is_at(&status, 0) && status.history.is_empty(), "{}", told(&status));
    let traffic = fixture.traffic(60).await?;
    all_from(&traffic, "shop-canary").await?;
    check_none_failed(&traffic.stop().await?)
}

/// A person suspends the Release while everybody is on the canary: versions change places when they may.
pub(crate) async fn a_swap_is_suspended(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "suspended", 1).await?;
    let agent = fixture.agent("one").await?;
    let steps = "{setWeight: 50, pause: {}}";
    let release = async |suspend: &str| {
        let promotion = "promotion: {mode: Swap}, scaleDownDelay: 2s";
        fixture
            .release(steps, |yaml| {
                yaml.replace("scaleDownDelay: 2s", promotion)
                    .replace("spec:", &format!("spec:\n  suspend: {suspend}"))
            })
            .await
    };
    release("false").await?;
    fixture.idle().await?;
    let traffic = fixture.traffic(60).await?;
    fixture.set_image("shop:v2").await?;
    fixture.check_exposure(&traffic, 50).await.with_context(|| agent.log())?;
    release("true").await?;
    fixture.status_that("the hold", |status| status.message.contains("suspend")).await?;
    fixture.check_exposure(&traffic, 50).await?;
    let subsets = "jsonpath={.items[0].spec.subsets[*].labels}";
    let apart = fixture.kubectl(&["get", "destinationrules", "-o", subsets]).await?;
    release("false").await?;
    fixture.approve().await?;
    fixture.outcome(RunOutcome::Promoted).await.with_context(|| agent.log())?;
    all_from(&traffic, "shop-canary").await?;
    let after = fixture.kubectl(&["get", "destinationrules", "-o", subsets]).await?;
    ensure!(apart != after, "the subsets have changed places: {after}");
    check_none_failed(&traffic.stop().await?)
}

/// Git owns stable: Serin waits for it.
pub(crate) async fn a_pipeline_updates_stable(mesh: &Mesh) -> Result<()> {
    let (fixture, agent, traffic) = promoted_by(mesh, "Wait").await?;
    fixture.set_image("shop:v2").await?;
    let waits =
        |message: &str| message.contains("waits until stable's Deployment has the canary's pod template");
    fixture.status_that("Git's turn", |status| waits(&status.message)).await.with_context(|| agent.log())?;
    all_from(&traffic, "shop-canary").await?;
    fixture.kubectl(&["set", "image", "deployment/shop-stable", "shop=shop:v2"]).await?;
    fixture.outcome(RunOutcome::Promoted).await.with_context(|| agent.log())?;
    all_from(&traffic, "shop-stable").await?;
    let report = traffic.stop().await?;
    check_nobody_went_back(&report)?;
    check_none_failed(&report)
}

/// Git puts the old version back after the promotion: Serin says so, names who, and leaves it alone.
pub(crate) async fn the_old_version_is_put_back(mesh: &Mesh) -> Result<()> {
    let (fixture, agent, traffic) = promoted_by(mesh, "Copy").await?;
    fixture.set_image("shop:v2").await?;
    fixture.outcome(RunOutcome::Promoted).await.with_context(|| agent.log())?;
    fixture.phase(ReleasePhase::Promoted).await?;
    let manager = "--field-manager=argocd-controller";
    fixture.kubectl(&["set", "image", "deployment/shop-stable", "shop=shop:v1", manager]).await?;
    let is_told = |status: &ReleaseStatus| status.message.contains("argocd-controller has given v1-");
    let status = fixture.status_that("who put it back", is_told).await.with_context(|| agent.log())?;
    ensure!(status.phase == ReleasePhase::Idle, "{}", told(&status));
    for (kind, expected) in [("Ready", "False"), ("Stalled", "True"), ("Healthy", "Unknown")] {
        let found = condition(&status, kind)?;
        let (is, why) = (found.status.as_str(), found.reason.as_str());
        ensure!((is, why) == (expected, "StableReplaced"), "{kind}: {found:?}");
    }
    fixture.namespace.rolled_out("shop-stable").await?;
    let image = "jsonpath={.spec.template.spec.containers[0].image}";
    let found = fixture.kubectl(&["get", "deployment", "shop-stable", "-o", image]).await?;
    ensure!(found == "shop:v1", "it is theirs: {found}");
    fixture.command("retry").await?;
    let is_again = |status: &ReleaseStatus| is_at(status, 50);
    fixture.status_that("the same version, released again", is_again).await.with_context(|| agent.log())?;
    check_none_failed(&traffic.stop().await?)
}

/// What tells a Deployment from the other, what says which version it runs, and what neither does.
const TELLING_APART: &str = r#"{"spec": {"template": {
  "metadata": {
    "labels": {"track": "NAME", "app.kubernetes.io/version": "v1"},
    "annotations": {"kubectl.kubernetes.io/restartedAt": "NAME"}
  },
  "spec": {"topologySpreadConstraints": [{
    "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
    "labelSelector": {"matchLabels": {"app": "shop", "version": "NAME"}}
  }]}
}}}"#;

/// Stable takes the canary's version, and stays what tells it from the canary.
pub(crate) async fn stable_keeps_what_is_its_own(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "own", 1).await?;
    for name in ["stable", "canary"] {
        let deployment = format!("shop-{name}");
        let patch = TELLING_APART.replace("NAME", name);
        fixture.kubectl(&["patch", "deployment", &deployment, "--patch", &patch]).await?;
        fixture.namespace.rolled_out(&deployment).await?;
    }
    let agent = fixture.agent("one").await?;
    fixture.release(STEPS, |yaml| yaml).await?;
    fixture.idle().await.with_context(|| agent.log())?;
    let traffic = fixture.traffic(60).await?;
    let version = r#"{"spec": {"template": {
      "metadata": {"labels": {"app.kubernetes.io/version": "v2"}},
      "spec": {"containers": [{"name": "shop", "image": "shop:v2"}]}
    }}}"#;
    fixture.kubectl(&["patch", "deployment", "shop-canary", "--patch", version]).await?;
    fixture.outcome(RunOutcome::Promoted).await.with_context(|| agent.log())?;
    fixture.phase(ReleasePhase::Promoted).await.with_context(|| agent.log())?;
    all_from(&traffic, "shop-stable").await?;
    check_none_failed(&traffic.stop().await?)?;

    let stable = fixture.namespace.api::<Deployment>().get("shop-stable").await?;
    let template = serde_json::to_value(stable.spec.context("a spec")?.template)?;
    for (pointer, expected) in [
        ("/spec/containers/0/image", "shop:v2"),
        ("/metadata/labels/app.kubernetes.io~1version", "v2"),
        ("/metadata/labels/version", "stable"),
        ("/metadata/labels/track", "stable"),
        ("/metadata/annotations/kubectl.kubernetes.io~1restartedAt", "stable"),
        ("/spec/topologySpreadConstraints/0/labelSelector/matchLabels/version", "stable"),
    ] {
        let found = template.pointer(pointer).and_then(serde_json::Value::as_str);
        ensure!(found == Some(expected), "{pointer}: {found:?} instead of {expected}");
    }
    Ok(())
}
