/*!
Somebody edits or deletes by hand what Serin wrote, once or over and over.
*/
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use serin_release::status::{ReleasePhase, RunOutcome};
use serin_tests::mesh::Mesh;
use serin_tests::site::eventually;

use super::{UnderLoad, said};
use crate::fixture::Fixture;

/// What is done to an object, and what the event on the Release has to say of it.
struct Deed {
    what: &'static str,
    kind: &'static str,
    patch: Option<Value>,
    reason: &'static str,
    note: &'static str,
}

fn deeds() -> [Deed; 9] {
    let deed = |what, kind, patch, reason, note| Deed { what, kind, patch, reason, note };
    let route =
        json!({"spec": {"http": [{"route": [{"destination": {"host": "shop", "subset": "canary"}}]}]}});
    let policy = json!([{"op": "replace", "path": "/spec/pluginConfig/policies/0/versions/1/weight", "value": 900_000}]);
    let secret = json!({"spec": {"imagePullSecret": "theirs"}});
    let connections = json!({"spec": {"trafficPolicy": {"connectionPool": {"http": {"maxRetries": 1}}}}});
    let sha = json!({"spec": {"sha256": "0".repeat(64)}});
    [
        deed(
            "VirtualService deleted",
            "virtualservice",
            None,
            "RoutesWritten",
            "VirtualService shop-serin was not there",
        ),
        deed("VirtualService edited", "virtualservice", Some(route), "RoutesWritten", "spec.http"),
        deed(
            "DestinationRule deleted",
            "destinationrule",
            None,
            "RoutesWritten",
            "DestinationRule shop-serin was not there",
        ),
        deed(
            "DestinationRule: a field put in",
            "destinationrule",
            Some(connections),
            "RoutesWritten",
            "spec.trafficPolicy",
        ),
        deed("WasmPlugin: weight edited", "wasmplugin", Some(policy), "PolicyEdited", "90%"),
        deed(
            "WasmPlugin: failStrategy edited",
            "wasmplugin",
            Some(json!({"spec": {"failStrategy": "FAIL_CLOSE"}})),
            "PluginWritten",
            "spec.failStrategy",
        ),
        deed(
            "WasmPlugin: a field put in",
            "wasmplugin",
            Some(secret),
            "PluginWritten",
            "spec.imagePullSecret",
        ),
        deed("WasmPlugin: wrong sha256", "wasmplugin", Some(sha), "PluginWritten", "spec.sha256"),
        deed("WasmPlugin deleted", "wasmplugin", None, "PolicyGone", ""),
    ]
}

pub(crate) async fn objects_are_edited_by_hand(mesh: &Mesh) -> Result<()> {
    let under_load = UnderLoad::set(mesh, "by-hand", 1).await?;
    under_load.release("v2").await?;
    for Deed { what, kind, patch, reason, note } in deeds() {
        let case = under_load.case(&format!("{what} at 30%"));
        let name = under_load.fixture.kubectl(&["get", kind, "-o", "name"]).await?;
        let name = name.trim();
        let before = spec(&under_load, name).await?;
        let told = under_load.fixture.times_told(reason, note).await?;
        match patch {
            None => under_load.fixture.kubectl(&["delete", name]).await?,
            Some(patch) => {
                let how = if patch.is_array() { "--type=json" } else { "--type=merge" };
                under_load.fixture.kubectl(&["patch", name, how, "-p", &patch.to_string()]).await?
            }
        };
        eventually(&format!("what was before: {what}"), async || {
            let now = spec(&under_load, name).await?;
            ensure!(without_revisions(now.clone()) == without_revisions(before.clone()), "{now}");
            Ok(())
        })
        .await?;
        eventually(&format!("an event {reason}: {note}"), async || {
            ensure!(
                under_load.fixture.times_told(reason, note).await? > told,
                "{:?}",
                under_load.fixture.events().await?
            );
            Ok(())
        })
        .await?;
        let note = under_load.event(reason, note).await?;
        // Proxies may have taken it, and take what is right a moment later than the object has it.
        eventually("everybody to be where they belong", async || under_load.check_exposure(30).await).await?;
        // Without routes of their own, requests for the host have none.
        let at_most = if kind == "wasmplugin" { 0 } else { 40 };
        case.end(&format!("{reason}: {note}"), "set right; the run stays at 30%", at_most)?;
    }
    Ok(())
}

/// An object that somebody changes whenever Serin has set it right, and how often they had to.
struct Contested {
    told: &'static str,
    kind: ApiResource,
    name: Option<&'static str>,
    /// What it is to be, from what it is.
    patch: fn(&Value) -> Value,
    changes: u32,
}

fn contested() -> [Contested; 5] {
    let istio = |group: &str, version: &str, kind: &str| {
        ApiResource::from_gvk(&GroupVersionKind::gvk(&format!("{group}.istio.io"), version, kind))
    };
    let contested = |told, kind, patch| Contested { told, kind, name: None, patch, changes: 0 };
    let plugin = || istio("extensions", "v1alpha1", "WasmPlugin");
    let stable =
        contested("shop-stable", ApiResource::erase::<Deployment>(&()), |_| json!({"spec": {"replicas": 1}}));
    [
        contested(
            "VirtualService",
            istio("networking", "v1", "VirtualService"),
            |_| json!({"spec": {"exportTo": ["*"]}}),
        ),
        contested(
            "DestinationRule",
            istio("networking", "v1", "DestinationRule"),
            |_| json!({"spec": {"trafficPolicy": {"connectionPool": {"http": {"maxRetries": 1}}}}}),
        ),
        contested("WasmPlugin", plugin(), |_| json!({"spec": {"imagePullSecret": "theirs"}})),
        contested("policy of", plugin(), |found| {
            let mut config = found["spec"]["pluginConfig"].clone();
            config["policies"][0]["versions"][1]["weight"] = 0.into();
            json!({"spec": {"pluginConfig": config}})
        }),
        Contested { name: Some("shop-stable"), ..stable },
    ]
}

pub(crate) async fn objects_keep_being_changed(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "contested", 1).await?;
    fixture.namespace.deploy("shop", "stable", "shop:v1", 3).await?;
    fixture.namespace.rolled_out("shop-stable").await?;
    let under_load = UnderLoad::on(fixture, |yaml| yaml).await?;
    under_load.release("v2").await?;
    let case = under_load.case("another writer at every object, at 30%");
    let mut objects = contested();
    let began = Instant::now();
    let mut told = under_load.fixture.status().await?;
    while began.elapsed().as_secs() < 8 || !objects.iter().all(|object| names(&told.message, object.told)) {
        for object in &mut objects {
            object.change(&under_load).await?;
        }
        told = under_load.fixture.status().await?;
        let changes: Vec<_> = objects.iter().map(|it| (it.told, it.changes)).collect();
        ensure!(began.elapsed().as_secs() < 60, "{changes:?}, {}: {}", said(&told), under_load.agent.log());
    }
    // At once, and then 1, 2, 4, … seconds after the time before; and the policy's own revision is written beside the object's
    // other fields. A fight would be two or three a second.
    let at_most = 4 + (began.elapsed().as_secs() + 1).ilog2();
    for Contested { told, changes, .. } in &objects {
        ensure!(*changes <= at_most, "{told} was set right {changes} times, {at_most} are enough");
    }
    // Going back waits for nobody.
    under_load.command("abort").await?;
    let mut status = under_load.fixture.status().await?;
    while status.phase != ReleasePhase::RollingBack && status.phase != ReleasePhase::Aborted {
        for object in &mut objects {
            object.change(&under_load).await?;
        }
        status = under_load.fixture.status().await?;
    }
    under_load.fixture.outcome(RunOutcome::Aborted).await.with_context(|| under_load.agent.log())?;
    // The other writer has ended.
    let quiet = |message: &str| !message.contains("keeps being changed");
    let status = under_load.status_that("peace", |status| quiet(&status.message)).await?;
    for Contested { told, .. } in &objects {
        let times = under_load.fixture.times_told("Contested", told).await?;
        ensure!(times >= 1, "{told}: {:?}", under_load.fixture.events().await?);
    }
    case.end(&said(&told), &format!("set right ever more rarely; {} after an abort", said(&status)), 0)
}

/// Whether the status says of this object who keeps changing it.
fn names(message: &str, object: &str) -> bool {
    message.split("; ").any(|said| said.contains(object) && said.contains("keeps being changed by flux"))
}

impl Contested {
    /// Changes it, if it is not as the other writer wants it.
    async fn change(&mut self, under_load: &UnderLoad<'_>) -> Result<()> {
        let Fixture { mesh, namespace, .. } = &under_load.fixture;
        let objects: Api<DynamicObject> = Api::namespaced_with(mesh.client(), namespace.name(), &self.kind);
        let mut found = objects.list(&ListParams::default()).await?.items;
        found.retain(|object| self.name.is_none_or(|name| object.name_any() == name));
        let found = found.pop().with_context(|| format!("{} is gone", self.told))?;
        let params = PatchParams { field_manager: Some("flux".to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge((self.patch)(&found.data));
        let changed = objects.patch(&found.name_any(), &params, &patch).await?;
        self.changes += u32::from(changed.metadata.generation > found.metadata.generation);
        Ok(())
    }
}

async fn spec(under_load: &UnderLoad<'_>, name: &str) -> Result<Value> {
    let object = under_load.fixture.kubectl(&["get", name, "-o", "json"]).await?;
    Ok(serde_json::from_str::<Value>(&object)?["spec"].take())
}

/// A policy that is written again has a higher revision, and a lease from then on.
fn without_revisions(mut spec: Value) -> Value {
    if let Some(config) = spec["pluginConfig"].as_object_mut() {
        config.remove("leases");
    }
    let policies = spec.pointer_mut("/pluginConfig/policies").and_then(Value::as_array_mut);
    for policy in policies.into_iter().flatten() {
        policy["revision"] = Value::Null;
    }
    spec
}
