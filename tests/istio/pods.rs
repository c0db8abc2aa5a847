/*!
The pods of the mesh are like those of a cluster, as far as anybody can tell who only asks the API server.
*/
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use serin_tests::mesh::{Answer, MANNERS, Mesh};
use serin_tests::site::eventually;

fn only_container(pod: &Pod) -> Result<&ContainerStatus> {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses.and_then(|statuses| statuses.first()).context("no container has a status")
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

pub(crate) async fn bad_ones_say_what_is_wrong(mesh: &Mesh) -> Result<()> {
    let namespace = mesh.namespace("bad").await?;
    for (version, image) in [("crash", "shop:v2?crash"), ("never", "never-ready"), ("missing", "missing:v3")]
    {
        namespace.deploy("shop", version, image, 1).await?;
    }
    for (version, wanted) in [("crash", "CrashLoopBackOff"), ("never", ""), ("missing", "ImagePullBackOff")] {
        eventually(&format!("the pod of {version}"), async || {
            let pods = namespace.pods(&format!("version={version}")).await?;
            let pod = pods.first().context("there is no pod")?;
            let status = only_container(pod)?;
            let state = status.state.as_ref().context("a container has a state")?;
            let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.as_deref());
            ensure!(waiting.unwrap_or_default() == wanted && !is_ready(pod), "{status:?}");
            ensure!((status.restart_count > 1) == (version == "crash"), "{status:?}");
            ensure!(state.running.is_some() == (version == "never"), "{status:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

pub(crate) async fn manners_change_while_they_run(mesh: &Mesh) -> Result<()> {
    let namespace = mesh.namespace("manners").await?;
    namespace.shop("shop", "shop:v1", "shop:v2?start=1s").await?;
    let pods = namespace.pods("app=shop,version=canary").await?;
    let pod = pods.first().context("there is a pod")?;
    let address =
        pod.status.as_ref().and_then(|status| status.pod_ip.as_ref()).context("it has an address")?;
    let client = serin_agent::http::plain().build()?;
    let url = format!("http://{address}:8080/");
    let answer: Answer = client.get(&url).send().await?.error_for_status()?.json().await?;
    ensure!((answer.deployment.as_str(), answer.version.as_str()) == ("shop-canary", "v2"), "{answer:?}");
    let bad = json!({"metadata": {"annotations": {MANNERS: "errors=100%"}}});
    namespace.api::<Pod>().patch(&pod.name_any(), &PatchParams::default(), &Patch::Merge(bad)).await?;
    eventually("an error", async || {
        let status = client.get(&url).send().await?.status();
        ensure!(status == 500, "{status}");
        Ok(())
    })
    .await
}

pub(crate) async fn accounts(mesh: &Mesh) -> Result<()> {
    let namespace = mesh.namespace("accounts").await?;
    namespace
        .apply(
            r#"
{apiVersion: v1, kind: ServiceAccount, metadata: {name: reader}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [pods], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader}]
"#,
        )
        .await?;
    let client = mesh.client_of(namespace.name(), "reader").await?;
    let own: Api<Pod> = Api::namespaced(client.clone(), namespace.name());
    eventually("the role to be bound", async || Ok(own.list(&ListParams::default()).await?)).await?;
    let refused = Api::<Pod>::all(client).list(&ListParams::default()).await;
    ensure!(matches!(&refused, Err(kube::Error::Api(status)) if status.code == 403), "{refused:?}");
    Ok(())
}
