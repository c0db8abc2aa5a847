/*!
Stable's Deployment belongs to somebody else: what its owner gives it is neither fought nor overwritten.
*/
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serin_release::status::ReleasePhase;
use serin_tests::mesh::Mesh;
use serin_tests::site::eventually;

use super::{UnderLoad, said};
use crate::fixture::{Fixture, is_at};

impl UnderLoad<'_> {
    async fn stable(&self) -> Result<Deployment> {
        Ok(self.fixture.namespace.api::<Deployment>().get("shop-stable").await?)
    }

    /// Waits until stable has this image.
    async fn stable_has(&self, image: &str) -> Result<()> {
        eventually(image, async || {
            let found = image_of(&self.stable().await?)?;
            ensure!(found == image, "{found}");
            Ok(())
        })
        .await
        .with_context(|| self.agent.log())
    }

    /// Deletes it and creates it with this image, as its owner has it.
    async fn make_stable_again(&self, image: &str) -> Result<()> {
        let kubectl = async |args: &[&str]| self.fixture.kubectl(args).await;
        let json = kubectl(&["get", "deployment", "shop-stable", "-o", "json"]).await?;
        let mut stable: Deployment = serde_json::from_str(&json)?;
        let (labels, name) = (stable.metadata.labels, stable.metadata.name);
        stable.metadata = ObjectMeta { labels, name, ..ObjectMeta::default() };
        stable.status = None;
        let pod =
            stable.spec.as_mut().and_then(|spec| spec.template.spec.as_mut()).context("a pod template")?;
        pod.containers[0].image = Some(image.to_owned());
        kubectl(&["delete", "deployment", "shop-stable"]).await?;
        self.fixture.namespace.apply(&serde_json::to_string(&stable)?).await
    }

    /// As whoever owns stable does it.
    async fn give_stable(&self, image: &str, manager: &str) -> Result<()> {
        let (image, manager) = (format!("shop={image}"), format!("--field-manager={manager}"));
        self.fixture.kubectl(&["set", "image", "deployment/shop-stable", &image, &manager]).await.map(drop)
    }
}

fn image_of(deployment: &Deployment) -> Result<String> {
    let spec = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    spec.and_then(|spec| spec.containers.first()?.image.clone()).context("an image")
}

pub(crate) async fn stable_is_put_back(mesh: &Mesh) -> Result<()> {
    let under_load = UnderLoad::set(mesh, "put-back", 1).await?;
    under_load.release("v2").await?;
    under_load.approve().await?;
    under_load.check_exposure(60).await?;
    under_load.approve().await?;

    let case = under_load.case("stable's template put back by Argo CD while it is handed over");
    under_load.stable_has("shop:v2").await?;
    under_load.give_stable("shop:v1", "argocd-controller").await?;
    let status = under_load.said("argocd-controller has given stable's Deployment").await?;
    ensure!(is_at(&status, 100) && status.phase == ReleasePhase::Promoting, "{}", said(&status));
    let put_back = under_load.stable().await?.metadata.generation;
    case.after(400).await?;
    let after = under_load.stable().await?;
    ensure!(after.metadata.generation == put_back, "it was written again: {}", under_load.agent.log());
    ensure!(image_of(&after)? == "shop:v1", "it is theirs");
    case.end(&said(&status), "not written again; everybody stays on the new version", 0)?;

    let case = under_load.case("and it is made again as it was, once a person has had it given");
    under_load.command("resume").await?;
    under_load.stable_has("shop:v2").await?;
    under_load.said("proxies get").await?;
    under_load.make_stable_again("shop:v1").await?;
    let status = under_load.said("has given stable's Deployment v1-").await?;
    let made_again = under_load.stable().await?.metadata.generation;
    case.after(400).await?;
    let after = under_load.stable().await?;
    ensure!(after.metadata.generation == made_again, "it was written again: {}", under_load.agent.log());
    ensure!(image_of(&after)? == "shop:v1", "it is theirs");
    case.end(&said(&status), "not written again; everybody stays on the new version", 0)?;

    let case = under_load.case("and a person has it given once more");
    under_load.command("resume").await?;
    let status = under_load.phase(ReleasePhase::Promoted).await?;
    ensure!(image_of(&under_load.stable().await?)? == "shop:v2", "{}", under_load.agent.log());
    case.after(200).await?;
    case.end(&said(&status), "promoted", 0)
}

pub(crate) async fn stable_is_mended_in_mid_run(mesh: &Mesh) -> Result<()> {
    let under_load = UnderLoad::set(mesh, "mended", 1).await?;
    under_load.release("v2").await?;

    let case = under_load.case("a hotfix on stable at 30%");
    under_load.give_stable("shop:v1.1", "kubectl-edit").await?;
    let status = under_load.said("kubectl-edit has given stable's Deployment v1.1-").await?;
    under_load.command("promote").await?;
    under_load.event("CommandRefused", "stable was given another version since the run began").await?;
    under_load.check_exposure(30).await?;
    case.end(&said(&status), "held at 30%; nobody promotes over it unawares", 0)?;

    let case = under_load.case("and the run aborted");
    under_load.command("abort").await?;
    let aborted = under_load.phase(ReleasePhase::Aborted).await?;
    case.after(200).await?;
    ensure!(image_of(&under_load.stable().await?)? == "shop:v1.1", "it is theirs");
    case.end(&said(&aborted), "everybody on stable with its hotfix", 0)?;

    let case = under_load.case("a run over the hotfix, which a person wants");
    under_load.release("v3").await?;
    under_load.give_stable("shop:v1.2", "kubectl-edit").await?;
    under_load.said("has given stable's Deployment v1.2-").await?;
    under_load.command("resume").await?;
    under_load.finish().await?;
    ensure!(image_of(&under_load.stable().await?)? == "shop:v3", "{}", under_load.agent.log());
    case.end(&said(&under_load.fixture.status().await?), "held until resume, then released", 0)
}

impl<'m> UnderLoad<'m> {
    /// Both versions' pods are made with a `ConfigMap`, by a Release that `edit` makes of the usual one.
    async fn configured(mesh: &'m Mesh, name: &str, edit: impl Fn(String) -> String) -> Result<Self> {
        let fixture = Fixture::set(mesh, name, 1).await?;
        fixture.kubectl(&["create", "configmap", "settings", "--from-literal=colour=blue"]).await?;
        for name in ["shop-stable", "shop-canary"] {
            let deployment = format!("deployment/{name}");
            fixture.kubectl(&["set", "env", &deployment, "--from=configmap/settings"]).await?;
            fixture.namespace.rolled_out(name).await?;
        }
        Self::on(fixture, edit).await
    }

    async fn paint(&self, colour: &str) -> Result<()> {
        let edit = format!(r#"{{"data": {{"colour": "{colour}"}}}}"#);
        self.fixture.kubectl(&["patch", "configmap", "settings", "--patch", &edit]).await.map(drop)
    }

    /// A change of labels alone is no other configuration.
    async fn label_settings(&self, label: &str) -> Result<()> {
        self.fixture.kubectl(&["label", "--overwrite", "configmap", "settings", label]).await.map(drop)
    }
}

/// No pod template changes when a `ConfigMap` does, and the pods that start from then on are others.
pub(crate) async fn a_configuration_changes_in_mid_run(mesh: &Mesh) -> Result<()> {
    let under_load = UnderLoad::configured(mesh, "configured", |yaml| yaml).await?;
    under_load.release("v2").await?;

    let case = under_load.case("a ConfigMap that both versions use is labelled at 30%, and then edited");
    under_load.label_settings("team=shop").await?;
    case.after(160).await?;
    let events = under_load.fixture.events().await?;
    ensure!(!events.iter().any(|(reason, _)| reason == "Warned"), "{events:?}");
    under_load.paint("red").await?;
    let told = under_load.event("Warned", "ConfigMap settings has changed since run v2-").await?;
    under_load.check_exposure(30).await?;
    case.end(&told, "the edit is told, and the label is not; the run stays at 30%", 0)
}

/// With `configTracking` it starts a run, which ends with stable's pods made with it too.
pub(crate) async fn a_configuration_is_released(mesh: &Mesh) -> Result<()> {
    let tracked = |yaml: String| yaml.replace("spec:", "spec:\n  podTemplate: {configTracking: true}");
    let under_load = UnderLoad::configured(mesh, "tracked", tracked).await?;
    let before = under_load.stable().await?.metadata.generation;

    let case = under_load.case("with configTracking, a ConfigMap is labelled, and then edited");
    under_load.label_settings("team=shop").await?;
    case.after(240).await?;
    let status = under_load.fixture.idle().await?;
    ensure!(status.history.is_empty(), "a label started a run: {}", under_load.agent.log());
    under_load.paint("red").await?;
    under_load.event("Warned", "its pods are of the one before").await?;
    under_load.fixture.kubectl(&["scale", "deployment/shop-canary", "--replicas=0"]).await?;
    under_load.first_step("v1").await?;
    let first = under_load.fixture.status().await?;
    case.end(&said(&first), "a run begins, to 30%", 0)?;

    let case = under_load.case("it is edited again in mid-run, and the run ends");
    under_load.paint("green").await?;
    under_load.event("Warned", "a run begins with it when this one is over").await?;
    under_load.finish().await?;
    ensure!(under_load.stable().await?.metadata.generation > before, "{}", under_load.agent.log());
    // The other one has its own run then.
    let status = under_load
        .status_that("a run of the other edit", |status| status.run != first.run && is_at(status, 30))
        .await?;
    case.end(&said(&status), "stable's pods start anew with it; then a run with the second edit, to 30%", 0)?;

    let case = under_load.case("and the second edit is undone once its run is aborted");
    under_load.command("abort").await?;
    under_load.phase(ReleasePhase::Aborted).await?;
    under_load.paint("red").await?;
    let status = under_load.fixture.idle().await?;
    case.end(&said(&status), "stable has that configuration: no run", 0)
}
