/*!
All of it, one after the other, as people meet it who have nothing yet: the chart by Helm into a cluster without Serin, the
example application, users, a dashboard, alerts, and Argo CD's word for how the Release is.

Three things are not as people have them. The steps are shorter than the example's. A minute of the alerts is a second here,
in `for` and in ranges. And there is no Prometheus Operator: what its monitors select is found as the operator finds it.
(The pipelines, which do the same by GitHub's and GitLab's scripts, are in [`super::pipelines`].)
*/
mod watched;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, ResourceExt};
use serde_json::{Value, json};
use serin_release::status::{ReleasePhase, ReleaseStatus};
use serin_tests::argocd;
use serin_tests::client::Client;
use serin_tests::mesh::Mesh;
use serin_tests::mesh::traffic::{Traffic, User};
use serin_tests::prometheus::{Prometheus, filled_in};
use serin_tests::site::eventually;
use serin_tests::tools::Tool;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use crate::fixture::{AGENT, Fixture, all_from, check_none_failed, is_at, told};

const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests");
const SYSTEM: &str = "serin-system";
const HOST: &str = "myapp.example.com";

/// A gateway, as Istio's chart installs it.
const GATEWAY: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: istio-ingressgateway}
---
apiVersion: v1
kind: Service
metadata: {name: istio-ingressgateway}
spec: {selector: {istio: ingressgateway}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: istio-ingressgateway}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  template:
    metadata:
      labels: {istio: ingressgateway}
      annotations: {inject.istio.io/templates: gateway}
    spec:
      serviceAccountName: istio-ingressgateway
      containers:
      - name: istio-proxy
        image: auto
        ports: [{containerPort: 80}, {name: http-envoy-prom, containerPort: 15090}]
";

/// The agent is the one that was built with the tests. The mesh has no DNS, so its address is not that of its Service.
fn values() -> String {
    let variables = json!([
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "SERIN_MODULE_BASE", "value": "http://$(POD_IP):8080"},
    ]);
    json!({"image": {"repository": AGENT, "tag": "built"}, "extraEnv": variables}).to_string()
}

/// The example with steps and looks that do not take hours.
fn overlay(folder: &Path) -> Result<String> {
    let spec = json!({
        "strategy": {"canary": {
            "steps": [{"setWeight": 10, "pause": {"duration": "3s"}}, {"setWeight": 50, "pause": {}}],
            "scaleDownDelay": "2s",
        }},
        "analysis": {"interval": "500ms", "baseline": "2s", "warmUp": "0s", "bake": "0s", "minRequests": 20},
    });
    let patch = json!({
        "apiVersion": "serin.dev/v1alpha1",
        "kind": "Release",
        "metadata": {"name": "myapp", "namespace": "canary-demo"},
        "spec": spec,
    });
    // Kustomize takes no absolute paths.
    let example = Path::new(MANIFESTS).join("examples/canary-demo").canonicalize()?;
    let up = "../".repeat(folder.components().count() - 1);
    let example = format!("{up}{}", example.strip_prefix("/")?.display());
    let kustomization = json!({"resources": [example], "patches": [{"patch": patch.to_string()}]});
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("kustomization.yaml"), kustomization.to_string())?;
    Ok(folder.to_string_lossy().into_owned())
}

pub(crate) async fn from_an_empty_cluster_to_a_version_that_is_taken_back(mesh: &Mesh) -> Result<()> {
    mesh.kubectl(&["delete", "-k", MANIFESTS, "--ignore-not-found"]).await?;
    let chart = Path::new(MANIFESTS).join("helm/serin").display().to_string();
    let install = ["install", "serin", &chart, "--namespace", SYSTEM, "--create-namespace"];
    let how = ["--set-json", &values(), "--wait", "--timeout=120s"];
    if let Err(error) = mesh.run(&Tool::Helm.path()?, &[&install[..], &how].concat()).await {
        return Err(error.context(agents_logs(mesh).await));
    }

    mesh.kubectl(&["create", "namespace", "istio-ingress"]).await?;
    let ingress = mesh.namespace_there_is("istio-ingress");
    ingress.apply(GATEWAY).await?;
    ingress.rolled_out("istio-ingressgateway").await?;
    let prometheus = Prometheus::start(watched::options(mesh).await?).await?;

    mesh.kubectl(&["apply", "-k", &overlay(&mesh.inside().folder.join("overlay"))?]).await?;
    let gateway = ingress.gateway_called("istio=ingressgateway").await?;
    let fixture = Fixture::of(mesh, mesh.namespace_there_is("canary-demo"), gateway);
    let chain = Chain { fixture, prometheus };
    let watch = Watch::begin(mesh);
    let played = chain.plays_out(&watch).await;
    let story = watch.end();
    eprintln!("for Argo CD it was {}", story.join(", then "));
    if let Err(error) = played {
        return Err(error.context(agents_logs(mesh).await));
    }
    let expected = ["Progressing", "Suspended", "Progressing", "Healthy", "Progressing", "Degraded"];
    ensure!(story == expected, "for Argo CD it was {story:?}");

    // As the other tests want it.
    chain.fixture.kubectl(&["delete", "release", "myapp", "--timeout=40s"]).await?;
    mesh.run(&Tool::Helm.path()?, &["uninstall", "serin", "--namespace", SYSTEM, "--wait"]).await?;
    mesh.kubectl(&["delete", "crd", "releases.serin.dev", "metrictemplates.serin.dev"]).await?;
    mesh.install_serin().await
}

/// Keeps asking how the Release is for Argo CD.
struct Watch {
    story: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<Result<()>>,
}

impl Watch {
    fn begin(mesh: &Mesh) -> Self {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("serin.dev", "v1alpha1", "Release"));
        let releases: Api<DynamicObject> = Api::namespaced_with(mesh.client(), "canary-demo", &kind);
        let story = Arc::<Mutex<Vec<String>>>::default();
        let told = Arc::clone(&story);
        let task = tokio::spawn(async move {
            let mut looks = interval(Duration::from_millis(200));
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                looks.tick().await;
                let release = json!(releases.get("myapp").await?);
                let (health, _) = spawn_blocking(move || argocd::health(&release)).await??;
                let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                if told.last() != Some(&health) {
                    told.push(health);
                }
            }
        });
        Self { story, task }
    }

    /// Waits until it is so: whoever goes on at once would be too quick for a look.
    async fn sees(&self, health: &str) -> Result<()> {
        eventually(health, async || {
            let last = self.story.lock().unwrap_or_else(PoisonError::into_inner).last().cloned();
            ensure!(last.as_deref() == Some(health), "{last:?}");
            Ok(())
        })
        .await
    }

    /// What it was, each as long as it was so.
    fn end(self) -> Vec<String> {
        self.task.abort();
        self.story.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Chain<'m> {
    fixture: Fixture<'m>,
    prometheus: Prometheus,
}

impl Chain<'_> {
    /// The example's second version goes out, and the third is taken back.
    async fn plays_out(&self, watch: &Watch) -> Result<()> {
        let traffic = self.users().await?;
        let approval = |status: &ReleaseStatus| status.message.contains("waits for approval");
        self.status_that("half of the users on v2", |status| is_at(status, 50) && approval(status)).await?;
        self.dashboards_show_it().await?;
        watch.sees("Suspended").await?;
        self.fixture.command_line(&["resume", "myapp", "--namespace", "canary-demo"]).await?;
        self.status_that("v2 to be promoted", |status| status.phase == ReleasePhase::Promoted).await?;
        watch.sees("Healthy").await?;
        all_from(&traffic, "myapp-stable").await?;
        let good = traffic.so_far();
        ensure!(good.errors().is_empty(), "v2 has failed");
        let fired =
            self.prometheus.values(&format!("count({}) or vector(0)", alerts("severity='critical'"))).await?;
        ensure!(fired == ["0"], "{fired:?} alerts while a good version went out");

        self.set_image("myapp:v3.0.0?errors=50%").await?;
        self.status_that("v3 to be taken back", |status| status.phase == ReleasePhase::RolledBack).await?;
        watch.sees("Degraded").await?;
        for alert in ["SerinRolledBack", "SerinCanaryErrors"] {
            eventually(alert, async || {
                self.prometheus.values(&alerts(&format!("alertname='{alert}'"))).await.map(drop)
            })
            .await?;
        }
        all_from(&traffic, "myapp-stable").await?;
        let report = traffic.stop().await?;
        check_none_failed(&report)?;
        let (met, users) = (report.users_with_errors().len(), self.fixture.users.len());
        ensure!(met > 0 && met < users / 10, "{met} of {users} users met v3's errors");
        eprintln!("{met} of {users} users met v3's errors");
        Ok(())
    }

    async fn users(&self) -> Result<Traffic> {
        let entrance = Client::of(self.fixture.gateway.address(), HOST);
        eventually("the example to answer", async || {
            for _ in 0..10 {
                let answer = entrance.get("/", &[]).await?;
                ensure!(answer.status == 200, "{answer:?}");
            }
            Ok(())
        })
        .await?;
        self.fixture.traffic_by(vec![entrance], |_, id| User::returning(id), 100)
    }

    /// Every panel of the Release's dashboard has something to show.
    async fn dashboards_show_it(&self) -> Result<()> {
        let dashboard = std::fs::read_to_string(Path::new(MANIFESTS).join("grafana/serin-release.json"))?;
        let dashboard: Value = serde_json::from_str(&dashboard)?;
        let panels = dashboard["panels"].as_array().context("panels")?;
        ensure!(panels.len() > 5, "{} panels", panels.len());
        for panel in panels {
            for target in panel["targets"].as_array().context("targets")? {
                let query = filled_in(target["expr"].as_str().context("a query")?, "canary-demo/myapp");
                eventually(&format!("something in {}: {query}", panel["title"]), async || {
                    let found = self.prometheus.values(&query).await?;
                    ensure!(found.iter().any(|value| value != "NaN"), "it is {found:?}");
                    Ok(())
                })
                .await?;
            }
        }
        Ok(())
    }

    async fn set_image(&self, image: &str) -> Result<()> {
        let image = format!("myapp={image}");
        self.fixture.kubectl(&["set", "image", "deployment/myapp-canary", &image]).await.map(drop)
    }

    async fn status_that(&self, what: &str, is_so: impl Fn(&ReleaseStatus) -> bool) -> Result<()> {
        eventually(what, async || {
            let status = self.fixture.status_of("myapp").await?;
            ensure!(is_so(&status), "{}", told(&status));
            Ok(())
        })
        .await
    }
}

/// What both agents have logged.
async fn agents_logs(mesh: &Mesh) -> String {
    let pods = Api::<Pod>::namespaced(mesh.client(), SYSTEM).list(&ListParams::default()).await;
    let logs = pods.into_iter().flatten().map(|pod| mesh.program_log(SYSTEM, &pod.name_any()));
    logs.map(Result::unwrap_or_default).collect::<Vec<_>>().join("\n")
}

/// The alerts with these labels that have fired on the example by now.
fn alerts(labels: &str) -> String {
    format!("count_over_time(ALERTS{{alertstate='firing', release='canary-demo/myapp', {labels}}}[10m])")
}
