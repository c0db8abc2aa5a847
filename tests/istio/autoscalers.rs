/*!
Autoscalers, Kubernetes' own and KEDA's: a release raises their floors, their owners have the last word, and in the end
everything is as it was.

Neither autoscaler is at work here: pods come when somebody gives them.
*/
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use serde_json::Value;
use serin_release::status::{ReleasePhase, ReleaseStatus, RunOutcome};
use serin_tests::mesh::Mesh;
use serin_tests::site::eventually;

use crate::fixture::{Fixture, check_none_failed};

/// What of KEDA's own definition matters here.
const KEDA: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: scaledobjects.keda.sh}
spec:
  group: keda.sh
  names: {kind: ScaledObject, listKind: ScaledObjectList, plural: scaledobjects, singular: scaledobject, shortNames: [so]}
  scope: Namespaced
  versions:
  - name: v1alpha1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, x-kubernetes-preserve-unknown-fields: true}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
";

const SCALED_OBJECT: &str = "
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: NAME}
spec: {scaleTargetRef: {name: NAME}, maxReplicaCount: 30, triggers: [{type: cron}]}
";

/// A Release whose Deployments are scaled by autoscalers of this kind and of their names.
pub(crate) fn scaled(kind: &str) -> impl Fn(String) -> String {
    move |yaml: String| {
        let mut yaml = yaml;
        for name in ["shop-stable", "shop-canary"] {
            let target = format!("{{targetRef: {{name: {name}}}}}");
            let scaled =
                format!("{{targetRef: {{name: {name}}}, autoscalerRef: {{kind: {kind}, name: {name}}}}}");
            yaml = yaml.replace(&target, &scaled);
        }
        yaml
    }
}

impl Fixture<'_> {
    /// Autoscalers of Kubernetes' own. Where their owner leaves the floor out, the API server puts 1 in.
    pub(crate) async fn autoscalers(&self) -> Result<()> {
        for (version, min) in [("stable", "minReplicas: 1, "), ("canary", "")] {
            self.namespace.apply(&format!(
                "{{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {{name: shop-{version}}}, spec: {{{min}maxReplicas: 30, \
                 scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: shop-{version}}}, \
                 metrics: [{{type: Resource, resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 80}}}}}}]}}}}"
            ))
            .await?;
        }
        Ok(())
    }

    /// The floors of stable's and of the canary's.
    pub(crate) async fn floors(&self) -> Result<(i32, i32)> {
        let autoscalers = self.namespace.api::<HorizontalPodAutoscaler>();
        let floor = async |name: &str| {
            let autoscaler = autoscalers.get(name).await?;
            autoscaler.spec.and_then(|spec| spec.min_replicas).context("a floor")
        };
        Ok((floor("shop-stable").await?, floor("shop-canary").await?))
    }

    /// One of KEDA's: its floor and the pods that it is paused at.
    async fn scaled_object(&self, name: &str) -> Result<(Value, Value)> {
        let json = self.kubectl(&["get", "scaledobject", name, "-o", "json"]).await?;
        let found: Value = serde_json::from_str(&json)?;
        let at = |pointer: &str| found.pointer(pointer).cloned().unwrap_or_default();
        Ok((at("/spec/minReplicaCount"), at("/metadata/annotations/autoscaling.keda.sh~1paused-replicas")))
    }

    async fn scaled_object_is(&self, name: &str, floor: Option<i32>, paused_at: Option<&str>) -> Result<()> {
        eventually(name, async || {
            let found = self.scaled_object(name).await?;
            ensure!(found == (floor.into(), paused_at.into()), "{found:?}");
            Ok(())
        })
        .await
    }
}

/// Kubernetes' own are told the floor, and have their owner's back in the end, with what the owner wrote meanwhile.
pub(crate) async fn a_floor_is_kept(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "scaled", 1).await?;
    fixture.namespace.deploy("shop", "stable", "shop:v1", 3).await?;
    fixture.namespace.rolled_out("shop-stable").await?;
    fixture.autoscalers().await?;
    let agent = fixture.agent("one").await?;
    fixture.release("{setWeight: 50, pause: {}}", scaled("HorizontalPodAutoscaler")).await?;
    fixture.idle().await?;
    let traffic = fixture.traffic(40).await?;
    fixture.set_image("shop:v2").await?;
    eventually("the floors", async || {
        let found = fixture.floors().await?;
        ensure!(found == (3, 2), "{found:?}: {}", agent.log());
        Ok(())
    })
    .await?;
    fixture.kubectl(&["scale", "deployment/shop-canary", "--replicas=2"]).await?;
    fixture.check_exposure(&traffic, 50).await.with_context(|| agent.log())?;
    // In an incident, somebody wants more.
    fixture.kubectl(&["patch", "hpa", "shop-stable", "--patch", r#"{"spec": {"minReplicas": 20}}"#]).await?;
    let noted = r"jsonpath={.metadata.annotations.serin\.dev/min-replicas}";
    eventually("their edit to be noticed", async || {
        let noted = fixture.kubectl(&["get", "hpa", "shop-stable", "-o", noted]).await?;
        ensure!(noted.is_empty(), "{noted}");
        Ok(())
    })
    .await?;
    ensure!(fixture.floors().await? == (20, 2), "what they gave is taken away: {}", agent.log());
    fixture.command("abort").await?;
    fixture.outcome(RunOutcome::Aborted).await.with_context(|| agent.log())?;
    eventually("their own floors", async || {
        let found = fixture.floors().await?;
        ensure!(found == (20, 1), "{found:?}");
        ensure!(fixture.replicas("shop-canary").await? == 0, "the canary still has pods");
        Ok(())
    })
    .await?;
    check_none_failed(&traffic.stop().await?)?;
    let stable = fixture.namespace.api::<Deployment>().get("shop-stable").await?;
    ensure!(stable.spec.and_then(|spec| spec.replicas) == Some(3), "stable's pods are its own business");
    Ok(())
}

/// KEDA's: the same, and they keep no pods for a canary that nobody is sent to. One that cannot be seen may be there: until
/// it is known, nothing is scaled.
pub(crate) async fn keda_is_understood(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "keda", 1).await?;
    fixture.namespace.deploy("shop", "stable", "shop:v1", 3).await?;
    fixture.namespace.rolled_out("shop-stable").await?;
    let agent = fixture.agent("one").await?;
    fixture.release("{setWeight: 50, pause: {}}", scaled("ScaledObject")).await?;
    let says = async |text: &str| {
        let is_so = |status: &ReleaseStatus| status.message.contains(text);
        fixture.status_that(text, is_so).await.with_context(|| agent.log())
    };
    says("the cluster does not know ScaledObjects: install KEDA").await?;
    ensure!(fixture.replicas("shop-stable").await? == 3, "{}", agent.log());
    fixture.namespace.apply(KEDA).await?;
    says("there is no ScaledObject shop-stable").await?;
    ensure!(agent.log().matches("scaledobjects is interrupted").count() == 1, "{}", agent.log());
    for name in ["shop-stable", "shop-canary"] {
        let scaled_object = SCALED_OBJECT.replace("NAME", name);
        eventually("the definition", async || fixture.namespace.apply(&scaled_object).await).await?;
    }
    fixture.idle().await.with_context(|| agent.log())?;
    let traffic = fixture.traffic(40).await?;
    fixture.set_image("shop:v2").await?;
    fixture.scaled_object_is("shop-stable", Some(3), None).await.with_context(|| agent.log())?;
    fixture.scaled_object_is("shop-canary", Some(2), None).await.with_context(|| agent.log())?;
    fixture.kubectl(&["scale", "deployment/shop-canary", "--replicas=2"]).await?;
    fixture.check_exposure(&traffic, 50).await.with_context(|| agent.log())?;
    // In an incident, somebody wants more.
    let more = r#"{"spec": {"minReplicaCount": 20}}"#;
    fixture.kubectl(&["patch", "scaledobject", "shop-stable", "--type=merge", "--patch", more]).await?;
    fixture.command("abort").await?;
    fixture.outcome(RunOutcome::Aborted).await.with_context(|| agent.log())?;
    fixture.scaled_object_is("shop-canary", None, Some("0")).await.with_context(|| agent.log())?;
    fixture.scaled_object_is("shop-stable", Some(20), None).await.with_context(|| agent.log())?;
    // A run that begins has its pods scaled again.
    fixture.set_image("shop:v3").await?;
    fixture.scaled_object_is("shop-canary", Some(2), None).await.with_context(|| agent.log())?;
    fixture.kubectl(&["scale", "deployment/shop-canary", "--replicas=2"]).await?;
    fixture.check_exposure(&traffic, 50).await.with_context(|| agent.log())?;
    // One that is gone in mid-run holds it; everybody is taken back all the same, and pods are taken away when it is known.
    fixture.kubectl(&["delete", "scaledobject", "shop-canary"]).await?;
    says("nobody is moved: there is no ScaledObject shop-canary").await?;
    fixture.command("abort").await?;
    fixture.phase(ReleasePhase::RollingBack).await.with_context(|| agent.log())?;
    says("there is no ScaledObject shop-canary").await?;
    ensure!(fixture.replicas("shop-canary").await? == 2, "{}", agent.log());
    fixture.namespace.apply(&SCALED_OBJECT.replace("NAME", "shop-canary")).await?;
    fixture.phase(ReleasePhase::Aborted).await.with_context(|| agent.log())?;
    fixture.scaled_object_is("shop-canary", None, Some("0")).await.with_context(|| agent.log())?;
    ensure!(fixture.replicas("shop-canary").await? == 0, "{}", agent.log());
    // A Release that is gone has it keep what its owner wants.
    fixture.kubectl(&["delete", "release", "shop", "--wait=true"]).await?;
    fixture.scaled_object_is("shop-canary", None, None).await.with_context(|| agent.log())?;
    fixture.scaled_object_is("shop-stable", Some(20), None).await.with_context(|| agent.log())?;
    check_none_failed(&traffic.stop().await?)
}
