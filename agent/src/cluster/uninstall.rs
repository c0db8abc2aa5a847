/*!
Takes Serin out of a cluster, in an order in which nobody is without an answer: Releases first, which the agent lets go of
when everybody is on stable. What it does not let go of, because it is gone already, is let go of here: policies out of
the proxies, then the routes to the canary, then the finalizer.
*/
use std::time::{Duration, Instant};

use anyhow::Context;
use kube::api::{Api, DeleteParams, ListParams, Patch};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::{Client, ResourceExt};
use serde_json::json;
use serin_release::ReleaseObject;
use tokio::time::sleep;

use super::client::Clients;
use super::{FINALIZER, api_resources, as_serin};
use crate::mesh::object::{MANAGED_BY, full_name};
use crate::mesh::routing::left_behind;
use crate::metrics::Requests;

/// How often is looked whether a Release is gone.
const EVERY: Duration = Duration::from_secs(1);

/// How long proxies are given to go without the filter.
const WITHOUT_FILTER: Duration = Duration::from_secs(2);

/// Deletes all Releases, and what Serin has written for them but for routes to stable. The agent has `timeout` to let go
/// of them. Returns what was done and what is left to do, line by line.
///
/// # Errors
/// When the cluster cannot be reached, or something may not be deleted.
pub async fn uninstall(timeout: Duration) -> anyhow::Result<Vec<String>> {
    crate::http::install_crypto();
    let client =
        Clients::infer(&Requests::default()).await.context("no way to the cluster's API server")?.requests;
    let mut told = Vec::new();
    let kind = ApiResource::erase::<ReleaseObject>(&());
    for release in all(&client, &kind, None).await? {
        namespaced(&client, &kind, &release).delete(&release.name_any(), &DeleteParams::default()).await?;
        told.push(format!("Release {} is deleted", name(&release)));
    }
    let began = Instant::now();
    let mut left = all(&client, &kind, None).await?;
    while !left.is_empty() && began.elapsed() < timeout {
        sleep(EVERY).await;
        left = all(&client, &kind, None).await?;
    }
    let plugin = api_resources::wasm_plugin();
    for object in all(&client, &plugin, Some(MANAGED_BY)).await? {
        namespaced(&client, &plugin, &object).delete(&object.name_any(), &DeleteParams::default()).await?;
        told.push(format!("WasmPlugin {} is deleted", name(&object)));
    }
    if !left.is_empty() {
        sleep(WITHOUT_FILTER).await;
    }
    let routes = all(&client, &api_resources::virtual_service(), Some(MANAGED_BY)).await?;
    for object in &routes {
        lead_to_stable(&client, object).await?;
    }
    for service in all(&client, &api_resources::service(), Some(MANAGED_BY)).await? {
        let services = namespaced(&client, &api_resources::service(), &service);
        services.delete(&service.name_any(), &DeleteParams::default()).await?;
        told.push(format!("Service {} of a canary is deleted", name(&service)));
    }
    for release in &left {
        let finalizers: Vec<_> = release.finalizers().iter().filter(|one| *one != FINALIZER).collect();
        let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
        namespaced(&client, &kind, release).patch(&release.name_any(), &as_serin(), &patch).await?;
        told.push(format!("Release {}: no agent has let go of it, so it was let go of here", name(release)));
    }
    told.extend(routes.iter().map(|route| {
        format!("VirtualService {} stays, with its DestinationRule, and leads to stable", name(route))
    }));
    told.push("now: kubectl delete -k manifests".to_owned());
    Ok(told)
}

/// All objects of a kind with a label; none where the cluster does not know the kind.
async fn all(
    client: &Client,
    kind: &ApiResource,
    label: Option<(&str, &str)>,
) -> anyhow::Result<Vec<DynamicObject>> {
    let mut params = ListParams::default();
    if let Some((name, value)) = label {
        params = params.labels(&format!("{name}={value}"));
    }
    match Api::<DynamicObject>::all_with(client.clone(), kind).list(&params).await {
        Ok(found) => Ok(found.items),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("cannot list {}", kind.plural)),
    }
}

/// Takes the way to the canary out of a VirtualService of Serin's.
async fn lead_to_stable(client: &Client, object: &DynamicObject) -> anyhow::Result<()> {
    let json = api_resources::json(object);
    let left = left_behind(json.clone());
    if left["spec"] == json["spec"] && object.owner_references().is_empty() {
        return Ok(());
    }
    let version = object.resource_version();
    let metadata = json!({"resourceVersion": version, "ownerReferences": null, "annotations": left["metadata"]["annotations"]});
    let patch = Patch::Merge(json!({"metadata": metadata, "spec": {"http": left["spec"]["http"]}}));
    let kind = api_resources::virtual_service();
    let patched = namespaced(client, &kind, object).patch(&object.name_any(), &as_serin(), &patch).await;
    patched.map(drop).with_context(|| format!("VirtualService {}", name(object)))
}

fn namespaced(client: &Client, kind: &ApiResource, object: &DynamicObject) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), &object.namespace().unwrap_or_default(), kind)
}

fn name(object: &DynamicObject) -> String {
    full_name(&api_resources::json(object))
}
