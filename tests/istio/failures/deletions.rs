/*!
The Release is deleted while it is under way: everybody is on stable, and stays there.
*/
use anyhow::{Context, Result, ensure};
use serin_tests::mesh::Mesh;
use serin_tests::mesh::traffic::{Outcome, Record};
use serin_tests::site::eventually;

use super::{Case, STEPS, UnderLoad};
use crate::fixture::Fixture;

/// Everybody who is not taken care of by a route of their own, as many meshes have it.
const REST: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: rest}
spec:
  hosts: ['*']
  gateways: [gateway]
  http: [{route: [{destination: {host: shop}}]}]
";

/// What Serin has written, by kinds.
const OBJECTS: [&str; 3] = ["wasmplugin", "virtualservice", "destinationrule"];

pub(crate) async fn a_release_is_deleted(mesh: &Mesh) -> Result<()> {
    let under_load = UnderLoad::set(mesh, "deleted", 1).await?;
    under_load.release("v2").await?;
    let case = under_load.case("Release deleted at 30%");
    under_load.delete(&["--timeout=40s"]).await?;
    under_load.leaves(&["virtualservice", "destinationrule"]).await?;
    under_load.check_all_on_stable(&case).await?;
    case.end("(gone)", "everybody on stable, by a route that stays; the policy gone", 0)?;

    let case = under_load.case("and made again");
    under_load.fixture.release(STEPS, |yaml| yaml).await?;
    under_load.first_step("v2").await?;
    case.end("(as before)", "takes the route over; to 30%", 0)?;

    let case = under_load.case("deleted in the foreground at 30%, with a scaleDownDelay of 24h");
    under_load
        .fixture
        .release(STEPS, |yaml| yaml.replace("scaleDownDelay: 2s", "scaleDownDelay: 24h"))
        .await?;
    under_load.delete(&["--timeout=55s", "--cascade=foreground"]).await?;
    under_load.leaves(&["virtualservice", "destinationrule"]).await?;
    ensure!(under_load.fixture.replicas("shop-canary").await? == 0, "the canary has pods");
    under_load.check_all_on_stable(&case).await?;
    case.end("(gone)", "the same, after 30 s for requests under way; the canary has no pods", 0)?;

    let case = under_load.case("Release with deletionPolicy Delete deleted at 30%, another route there");
    under_load.fixture.namespace.apply(REST).await?;
    let goes = |yaml: String| yaml.replace("routing: {", "routing: {deletionPolicy: Delete, ");
    under_load.fixture.release(STEPS, goes).await?;
    under_load.first_step("v2").await?;
    under_load.delete(&["--timeout=40s"]).await?;
    under_load.leaves(&[]).await?;
    under_load.check_all_on_stable(&case).await?;
    case.end("(gone)", "everybody on stable; policy, VirtualService and DestinationRule gone", 0)
}

/// Deleted while the agent cannot see what it would need: the finalizer comes off all the same.
pub(crate) async fn a_release_is_deleted_blindly(mesh: &Mesh) -> Result<()> {
    let UnderLoad { traffic, agent, fixture } = UnderLoad::set(mesh, "blindly", 1).await?;
    let case = Case::begin("Release deleted, and the agent cannot see Istio's kinds", &traffic);
    agent.kill().await?;
    let namespace = fixture.namespace.name();
    // A kind that is gone and one that may not be seen are the same to a watch.
    fixture.namespace.apply(&WITHOUT_ISTIO.replace("NAMESPACE", namespace)).await?;
    fixture.kubectl(&["delete", "rolebinding", "serin"]).await?;
    let blind = fixture.blind_agent("one").await?;
    let deleted = fixture.kubectl(&["delete", "release", "shop", "--timeout=100s"]).await;
    deleted.with_context(|| blind.log())?;
    let log = blind.log();
    ensure!(log.contains("60 s have not been enough"), "{log}");
    case.end("(gone)", "gone after 60 s; proxies and routes stay as they are, and the log says so", 0)
}

/// All at once, as people do it: the agent and its rights are gone before the Releases, which nobody lets go of then.
pub(crate) async fn serin_is_uninstalled(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "uninstalled", 1).await?;
    let agent = fixture.agent_for_all("all").await?;
    let UnderLoad { traffic, agent, fixture } = UnderLoad::with(fixture, agent, |yaml| yaml).await?;
    fixture.set_image("shop:v2").await?;
    fixture.check_exposure(&traffic, 30).await?;
    let case =
        Case::begin("kubectl delete -k of the whole installation at 30%, then serin uninstall", &traffic);
    mesh.uninstall_serin().await?;
    agent.kill().await?;
    let told = fixture.command_line(&["uninstall", "--timeout", "3s"]).await?;
    ensure!(told.contains("no agent has let go of it"), "{told}");
    eventually("the kind to be gone", async || {
        let found =
            mesh.kubectl(&["get", "crd", "releases.serin.dev", "--ignore-not-found", "-o", "name"]).await?;
        ensure!(found.is_empty(), "{found}");
        Ok(())
    })
    .await?;
    let left = fixture.kubectl(&["get", "wasmplugin,virtualservice", "-o", "yaml"]).await?;
    ensure!(
        left.contains("serin-stable") && !left.contains("serin-canary") && !left.contains("WasmPlugin"),
        "{left}"
    );
    let from = traffic.requests();
    case.after(from - case.from + 300).await?;
    // A new proxy configuration takes a moment.
    let served = traffic.so_far().0.split_off(from + 100);
    ensure!(!served.iter().any(is_on_canary), "somebody is still on the canary");
    case.end("(gone)", "policy, finalizers and CRD gone; everybody on stable, by a route that stays", 0)?;
    eventually("Serin to be installed again", async || mesh.install_serin().await).await
}

fn is_on_canary(record: &Record) -> bool {
    matches!(&record.outcome, Outcome::Served { version, .. } if version != "v1")
}

/// What an agent may do where Istio is gone.
const WITHOUT_ISTIO: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: serin-without-istio}
rules:
- {apiGroups: [serin.dev], resources: [releases, releases/status], verbs: [get, list, watch, patch]}
- {apiGroups: [apps], resources: [deployments], verbs: [get, list, watch]}
- {apiGroups: [autoscaling], resources: [horizontalpodautoscalers], verbs: [get, list, watch]}
- {apiGroups: ['', events.k8s.io], resources: [pods, services, events], verbs: [get, list, watch, create, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: serin-without-istio}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: serin-without-istio}
subjects: [{kind: ServiceAccount, name: serin, namespace: NAMESPACE}]
";

impl UnderLoad<'_> {
    async fn delete(&self, more: &[&str]) -> Result<String> {
        self.fixture.kubectl(&[&["delete", "release", "shop"], more].concat()).await
    }

    /// Waits until Serin has left objects of these kinds alone, each of them without a way to the canary.
    async fn leaves(&self, kinds: &[&str]) -> Result<()> {
        for kind in OBJECTS {
            eventually(&format!("what is left of {kind}s"), async || {
                let left = self.fixture.kubectl(&["get", kind, "-o", "yaml"]).await?;
                ensure!(left.contains("serin.dev/release") == kinds.contains(&kind), "{left}");
                ensure!(!left.contains("canary") && !left.contains("ownerReferences"), "{left}");
                Ok(())
            })
            .await
            .with_context(|| self.agent.log())?;
        }
        let log = self.agent.log();
        ensure!(log.contains("the Release is gone: everybody is on stable"), "{log}");
        Ok(())
    }

    /// Checks that from now on everybody gets stable.
    async fn check_all_on_stable(&self, case: &Case<'_>) -> Result<()> {
        let from = self.traffic.requests();
        case.after(from - case.from + 300).await?;
        let records = self.traffic.so_far().0.split_off(from);
        let on_canary =
            |outcome: &Outcome| matches!(outcome, Outcome::Served { version, .. } if version != "v1");
        ensure!(!records.iter().any(|record| on_canary(&record.outcome)), "somebody is still on the canary");
        Ok(())
    }
}
