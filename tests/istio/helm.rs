/*!
The chart in a real cluster, by Helm itself.
*/
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serin_tests::mesh::Mesh;
use serin_tests::tools::Tool;

use crate::fixture::Fixture;

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/helm/serin");
const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests");
const SYSTEM: &str = "serin-system";
const WAIT: [&str; 2] = ["--wait", "--timeout=60s"];

/// The columns that `kubectl get releases` has, as an older CRD lacks them.
const WITHOUT_COLUMNS: &str = r#"[{"op": "remove", "path": "/spec/versions/0/additionalPrinterColumns"}]"#;

pub(crate) async fn a_chart_is_installed_upgraded_rolled_back_and_uninstalled(mesh: &Mesh) -> Result<()> {
    let chart = Chart { mesh, helm: &Tool::Helm.path()? };
    // What `kubectl apply -k` has installed is taken over.
    chart.helm(&["install", "serin", CHART, "--take-ownership", "--force-conflicts"], &WAIT).await?;
    chart.has_agents("2").await?;

    // What the agent may do then is enough to drive a Release.
    let fixture = Fixture::set(mesh, "helm", 1).await?;
    let agent = fixture.agent_for_all("helm").await?;
    fixture.release("{setWeight: 100}", |yaml| yaml).await?;
    fixture.status_that("the Release to be driven", |status| !status.conditions.is_empty()).await?;
    agent.kill().await?;

    mesh.kubectl(&["patch", "crd", "releases.serin.dev", "--type=json", "--patch", WITHOUT_COLUMNS]).await?;
    let more = "config.prometheus.sources.default.access.address=http://prometheus:9090";
    let upgrade = ["upgrade", "serin", CHART, "--set", "replicas=3", "--set", more, "--force-conflicts"];
    chart.helm(&upgrade, &WAIT).await?;
    chart.has_agents("3").await?;
    ensure!(chart.configuration().await?.contains("http://prometheus:9090"), "the old configuration");
    let columns = "jsonpath={.spec.versions[0].additionalPrinterColumns[*].name}";
    let columns = mesh.kubectl(&["get", "crd", "releases.serin.dev", "-o", columns]).await?;
    ensure!(columns.contains("Weight%"), "the CRD was not upgraded: {columns}");

    chart.helm(&["rollback", "serin", "1"], &WAIT).await?;
    chart.has_agents("2").await?;
    ensure!(!chart.configuration().await?.contains("http://prometheus:9090"), "the new configuration");

    // The CRDs stay, and with them the Releases; nothing else does.
    chart.uninstall().await?;
    let left = fixture.kubectl(&["get", "release", "shop", "-o", "name"]).await?;
    ensure!(left.contains("shop"), "{left}");
    // And nothing is in the way of another installation, which goes on with them.
    chart.helm(&["install", "serin", CHART], &WAIT).await?;
    let agent = fixture.agent_for_all("again").await?;
    fixture.kubectl(&["delete", "release", "shop", "--timeout=40s"]).await?;
    agent.kill().await?;
    chart.is_given_up_for_kubectl().await?;

    // As the other tests want it.
    mesh.kubectl(&["delete", "crd", "releases.serin.dev", "metrictemplates.serin.dev"]).await?;
    mesh.install_serin().await
}

struct Chart<'m> {
    mesh: &'m Mesh,
    helm: &'m Path,
}

impl Chart<'_> {
    async fn helm(&self, args: &[&str], more: &[&str]) -> Result<String> {
        self.mesh.run(self.helm, &[args, &["--namespace", SYSTEM], more].concat()).await
    }

    /// Fails unless so many agents are ready. Their pods are stand-ins here.
    async fn has_agents(&self, expected: &str) -> Result<()> {
        let ready = "jsonpath={.status.readyReplicas}";
        let ready = ["--namespace", SYSTEM, "get", "deployment", "serin", "-o", ready];
        let ready = self.mesh.kubectl(&ready).await?;
        ensure!(ready == expected, "{ready} agents are ready, not {expected}");
        Ok(())
    }

    /// The configuration file that agents have now.
    async fn configuration(&self) -> Result<String> {
        let name = "jsonpath={.spec.template.spec.volumes[0].configMap.name}";
        let name = ["--namespace", SYSTEM, "get", "deployment", "serin", "-o", name];
        let name = self.mesh.kubectl(&name).await?;
        self.mesh.kubectl(&["--namespace", SYSTEM, "get", "configmap", &name, "-o", "yaml"]).await
    }

    /// Goes back to `kubectl apply -k`, as docs/install.md says.
    async fn is_given_up_for_kubectl(&self) -> Result<()> {
        let apply = ["apply", "--server-side", "-k", MANIFESTS];
        let conflict = self.mesh.kubectl(&apply).await.err().context("nothing is Helm's")?;
        ensure!(format!("{conflict:#}").contains("conflict"), "{conflict:#}");
        self.mesh.kubectl(&[&apply[..], &["--force-conflicts"]].concat()).await?;
        let forget = ["--namespace", SYSTEM, "delete", "secret", "--selector", "owner=helm,name=serin"];
        self.mesh.kubectl(&forget).await?;
        let left = self.helm(&["list", "--short"], &[]).await?;
        ensure!(left.trim().is_empty(), "Helm knows of {left}");
        self.has_agents("2").await?;
        self.mesh.kubectl(&apply).await.context("it is Helm's still").map(drop)
    }

    /// Takes it out, and fails unless all but the CRDs is gone.
    async fn uninstall(&self) -> Result<()> {
        self.helm(&["uninstall", "serin"], &WAIT).await?;
        let all = "deployment,service,configmap,serviceaccount,networkpolicy,poddisruptionbudget,role,rolebinding,\
                   clusterrole,clusterrolebinding,crd";
        let ours = "app.kubernetes.io/managed-by=Helm,app.kubernetes.io/instance=serin";
        let left = ["--namespace", SYSTEM, "get", all, "--selector", ours, "-o", "name"];
        let left = self.mesh.kubectl(&left).await?;
        ensure!(left.is_empty(), "left behind: {left}");
        self.mesh.kubectl(&["get", "crd", "releases.serin.dev", "metrictemplates.serin.dev"]).await?;
        Ok(())
    }
}
