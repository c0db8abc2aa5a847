/*!
A release whose Release and Deployments are in Git, and somebody who applies them again and again, as Argo CD does with
`selfHeal`: by its field manager, on the server's side, with what its Application leaves alone.
*/
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};
use serin_release::status::{ReleasePhase, ReleaseStatus, RunOutcome};
use serin_tests::mesh::traffic::Traffic;
use serin_tests::mesh::{Controller, Mesh};
use serin_tests::site::eventually;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::fixture::{Fixture, all_from, check_nobody_went_back, check_none_failed, is_at, told};

const MANAGER: &str = "argocd-controller";

/// How often everything is applied.
const EVERY: Duration = Duration::from_secs(2);

/// What is in Git, and whoever applies it. It ends with this value.
struct Syncer {
    git: Arc<Mutex<Vec<Value>>>,
    task: JoinHandle<Result<()>>,
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the Application in `manifests/argocd` leaves alone: the fields of Deployments.
fn ignored() -> Result<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/argocd/application.yaml");
    let application: Value = serde_saphyr::from_str(&std::fs::read_to_string(path)?)?;
    let options = application.pointer("/spec/syncPolicy/syncOptions").context("options")?;
    // Otherwise what is ignored is still written.
    ensure!(options.as_array().is_some_and(|all| all.contains(&json!("RespectIgnoreDifferences=true"))));
    let of_deployments = |rule: &&Value| rule["group"] == "apps" && rule["kind"] == "Deployment";
    let rules = application["spec"]["ignoreDifferences"].as_array().context("differences")?;
    let fields = rules.iter().filter(of_deployments).filter_map(|rule| rule["jsonPointers"].as_array());
    Ok(fields.flatten().filter_map(|field| field.as_str().map(str::to_owned)).collect())
}

impl Syncer {
    /// Takes what is there as what is in Git, and begins.
    async fn begin(fixture: &Fixture<'_>) -> Result<Self> {
        let mut git = Vec::new();
        for object in ["release/shop", "deployment/shop-stable", "deployment/shop-canary"] {
            let found: Value = serde_json::from_str(&fixture.kubectl(&["get", object, "-o", "json"]).await?)?;
            let (name, labels) = (&found["metadata"]["name"], &found["metadata"]["labels"]);
            git.push(json!({
                "apiVersion": found["apiVersion"],
                "kind": found["kind"],
                "metadata": {"name": name, "labels": labels},
                "spec": found["spec"],
            }));
        }
        let git = Arc::new(Mutex::new(git));
        let apply = {
            let (git, client) = (Arc::clone(&git), fixture.mesh.client());
            let (namespace, ignored) = (fixture.namespace.name().to_owned(), ignored()?);
            async move {
                let mut ticks = interval(EVERY);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    ticks.tick().await;
                    let all = git.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    for object in all {
                        sync(&client, &namespace, object, &ignored).await?;
                    }
                }
            }
        };
        Ok(Self { git, task: tokio::spawn(apply) })
    }

    /// Commits another state of a Deployment.
    fn commit(&self, deployment: &str, edit: impl FnOnce(&mut Value) -> Result<()>) -> Result<()> {
        let mut git = self.git.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |object: &&mut Value| object["metadata"]["name"] == deployment;
        edit(git.iter_mut().find(is_it).context("it is in Git")?)
    }

    /// Commits another image.
    fn commit_image(&self, deployment: &str, image: &str) -> Result<()> {
        self.commit(deployment, |object| {
            object["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
            Ok(())
        })
    }

    /// It has never stopped, and has applied all that is in Git by now.
    async fn has_applied(&self, fixture: &Fixture<'_>, deployment: &str, image: &str) -> Result<()> {
        ensure!(!self.task.is_finished(), "whoever applies has given up");
        eventually(image, async || {
            let found = fixture.namespace.api::<Deployment>().get(deployment).await?;
            let found = json!(found)["spec"]["template"]["spec"]["containers"][0]["image"].clone();
            ensure!(found == image, "{found}");
            Ok(())
        })
        .await
    }
}

/// Applies one object as Argo CD does: fields that it is to leave alone are sent as they are in the cluster.
async fn sync(client: &kube::Client, namespace: &str, mut object: Value, ignored: &[String]) -> Result<()> {
    let (group, kind) =
        if object["kind"] == "Deployment" { ("apps", "v1") } else { ("serin.dev", "v1alpha1") };
    let kind = GroupVersionKind::gvk(group, kind, object["kind"].as_str().context("a kind")?);
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind));
    let name = object["metadata"]["name"].as_str().context("a name")?.to_owned();
    if kind.kind == "Deployment" {
        let live = json!(api.get(&name).await?);
        for field in ignored {
            if let (Some(wanted), Some(live)) = (object.pointer_mut(field), live.pointer(field)) {
                *wanted = live.clone();
            }
        }
    }
    api.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&object)).await?;
    Ok(())
}

/// A shop with users whose Release has this `promotion`, and all of it in Git.
async fn in_git<'m>(
    mesh: &'m Mesh,
    name: &str,
    mode: &str,
) -> Result<(Fixture<'m>, Controller, Syncer, Traffic)> {
    let fixture = Fixture::set(mesh, name, 1).await?;
    fixture.namespace.deploy("shop", "stable", "shop:v1", 2).await?;
    fixture.namespace.rolled_out("shop-stable").await?;
    let agent = fixture.agent("one").await?;
    let promotion = format!("promotion: {{mode: {mode}}}, scaleDownDelay: 2s");
    let steps = "{setWeight: 30, pause: {duration: 3s}}, {setWeight: 80, pause: {duration: 3s}}";
    fixture.release(steps, |yaml| yaml.replace("scaleDownDelay: 2s", &promotion)).await?;
    fixture.idle().await.with_context(|| agent.log())?;
    let syncer = Syncer::begin(&fixture).await?;
    let traffic = fixture.traffic(60).await?;
    Ok((fixture, agent, syncer, traffic))
}

/// Two commits make a release: the canary's image, and in the end stable's, by the patch that `serin promote --print-patch` says.
/// All the while everything is applied again and again, and nobody fights.
pub(crate) async fn a_release_goes_through_while_git_is_applied(mesh: &Mesh) -> Result<()> {
    let (fixture, agent, syncer, traffic) = in_git(mesh, "git", "Wait").await?;
    syncer.commit_image("shop-canary", "shop:v2")?;
    let namespace = fixture.namespace.name();
    let wait = [
        "wait",
        "shop",
        "--for",
        "approval",
        "--image",
        "shop:v2",
        "--timeout",
        "3m",
        "--namespace",
        namespace,
    ];
    let told = fixture.command_line(&wait).await.with_context(|| agent.log())?;
    ensure!(told.contains("waits until stable's Deployment has the canary's pod template"), "{told}");
    all_from(&traffic, "shop-canary").await?;

    let print = ["promote", "shop", "--print-patch", "--namespace", namespace];
    let patch = fixture.command_line(&print).await?;
    ensure!(patch.contains("shop:v2") && patch.matches("op: ").count() == 1, "{patch}");
    let folder = tempfile::tempdir()?;
    let [manifest, patch_file] = ["stable.json", "patch.yaml"].map(|name| folder.path().join(name));
    std::fs::write(&patch_file, &patch)?;
    let mut stable = Value::Null;
    syncer.commit("shop-stable", |object| {
        stable = object.clone();
        Ok(())
    })?;
    std::fs::write(&manifest, stable.to_string())?;
    let named = |path: &Path| path.to_str().map(str::to_owned).context("a path of text");
    let (manifest, patch_file) = (named(&manifest)?, named(&patch_file)?);
    let args =
        ["patch", "--local", "--type=json", "--patch-file", &patch_file, "-f", &manifest, "-o", "json"];
    let patched: Value = serde_json::from_str(&fixture.kubectl(&args).await?)?;
    syncer.commit("shop-stable", |object| {
        object["spec"] = patched["spec"].clone();
        Ok(())
    })?;
    let status = fixture.outcome(RunOutcome::Promoted).await.with_context(|| agent.log())?;
    all_from(&traffic, "shop-stable").await?;
    fixture.phase(ReleasePhase::Promoted).await.with_context(|| agent.log())?;
    syncer.has_applied(&fixture, "shop-stable", "shop:v2").await?;
    ensure!(status.history.len() == 1, "something started over: {:?}", status.history);
    let nothing = fixture.command_line(&print).await.err().context("there is nothing to change")?;
    ensure!(format!("{nothing:#}").contains("has the new version already"), "{nothing:#}");

    let fights =
        ["Contested", "StablePutBack", "StableChanged", "StableReplaced", "PolicyEdited", "RoutesWritten"];
    let fought: Vec<_> =
        fixture.events().await?.into_iter().filter(|(reason, _)| fights.contains(&&**reason)).collect();
    ensure!(fought.is_empty(), "{fought:?}");
    let report = traffic.stop().await?;
    check_nobody_went_back(&report)?;
    check_none_failed(&report)
}

/// With `Copy` Serin would have to write what is in Git, and Git is applied over it: that is said, with who it is, and written
/// once. Users stay where they are, and the commit that was missing ends it.
pub(crate) async fn a_fight_is_told_and_not_fought(mesh: &Mesh) -> Result<()> {
    let (fixture, agent, syncer, traffic) = in_git(mesh, "fight", "Copy").await?;
    syncer.commit_image("shop-canary", "shop:v2")?;
    let is_told =
        |status: &ReleaseStatus| status.message.contains("argocd-controller has given stable's Deployment");
    let status = fixture.status_that("who puts it back", is_told).await.with_context(|| agent.log())?;
    ensure!(is_at(&status, 100), "everybody stays on the new version: {}", told(&status));
    let generation = async || {
        let stable = fixture.namespace.api::<Deployment>().get("shop-stable").await?;
        stable.metadata.generation.context("a generation")
    };
    let put_back = generation().await?;
    let applied = traffic.requests() + 600;
    eventually("several more syncs", async || {
        ensure!(traffic.requests() > applied, "not yet");
        Ok(())
    })
    .await?;
    ensure!(generation().await? == put_back, "somebody goes on writing: {}", agent.log());
    all_from(&traffic, "shop-canary").await?;

    syncer.commit_image("shop-stable", "shop:v2")?;
    fixture.outcome(RunOutcome::Promoted).await.with_context(|| agent.log())?;
    all_from(&traffic, "shop-stable").await?;
    syncer.has_applied(&fixture, "shop-stable", "shop:v2").await?;
    let report = traffic.stop().await?;
    check_nobody_went_back(&report)?;
    check_none_failed(&report)
}
