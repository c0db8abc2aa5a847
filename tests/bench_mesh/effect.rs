/*!
From a write to its effect at a gateway: an abort by annotation, and a WasmPlugin written by hand.
*/
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use serin_policy::{Id, Point, Weight};
use serin_tests::client::Client;
use serin_tests::mesh::{Answer, Controller, Mesh, Namespace};
use serin_tests::site::{HOST, eventually};

const RELEASE: &str = "
apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {name: shop}
spec:
  service: {name: shop}
  stable: {targetRef: {name: shop-stable}}
  canary: {targetRef: {name: shop-canary}}
  routing: {gateways: [gateway], hosts: [HOST]}
  strategy: {canary: {steps: [{setWeight: 50, pause: {}}], scaleDownDelay: 1h}}
  analysis: {interval: 500ms, baseline: 0s}
";

/// Measures `times` aborts, then as many bare writes.
pub(crate) async fn measure(mesh: &Mesh, agent: &str, times: u32) -> Result<()> {
    let namespace = mesh.namespace("effect").await?;
    let (gateway, ()) = tokio::try_join!(namespace.gateway(1), namespace.shop("shop", "shop:v1", "shop:v2"))?;
    let agent = Controller::start(agent, mesh, &namespace, "bench").await?;
    namespace.apply(&RELEASE.replace("HOST", HOST)).await?;
    let client = Client::new(gateway.address());
    let releases: Api<DynamicObject> =
        Api::namespaced_with(mesh.client(), namespace.name(), &kind("serin.dev", "Release"));
    let mut aborts = Vec::new();
    let mut run = String::new();
    for _ in 0..times {
        run = at_half(&releases).await?;
        let user = user_of(&namespace, &run)?;
        wait_for(&client, &user, "shop-canary").await?;
        let began = Instant::now();
        command(&releases, "abort").await?;
        aborts.push(until(&client, &user, "shop-stable", began).await?);
        command(&releases, "retry").await?;
    }
    at_half(&releases).await?;
    agent.kill().await?;
    let user = user_of(&namespace, &run)?;
    let plugins: Api<DynamicObject> =
        Api::namespaced_with(mesh.client(), namespace.name(), &kind("extensions.istio.io", "WasmPlugin"));
    let mut bare = Vec::new();
    for revision in 0..times {
        for (closed, wanted) in [(false, "shop-canary"), (true, "shop-stable")] {
            let began = Instant::now();
            close(&plugins, 1_000 + revision, closed).await?;
            let took = until(&client, &user, wanted, began).await?;
            if closed {
                bare.push(took);
            }
        }
    }
    let (abort, write) = (told("an abort by annotation, to its effect", aborts), told("a bare write", bare));
    println!("the agent in between costs {:.2} times the bare write", abort / write);
    Ok(())
}

fn kind(group: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1alpha1", kind))
}

async fn command(releases: &Api<DynamicObject>, command: &str) -> Result<()> {
    let patch = json!({"metadata": {"annotations": {"serin.dev/command": command}}});
    releases.patch("shop", &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}

/// Waits until half of all users are on the canary everywhere, and returns the run.
async fn at_half(releases: &Api<DynamicObject>) -> Result<String> {
    eventually("the canary at 50 %", async || {
        let release = releases.get("shop").await?;
        let status = release.data.get("status").cloned().unwrap_or_default();
        let current = status.pointer("/proxies/current").and_then(Value::as_u64);
        ensure!(status["weight"]["percent"] == 50 && current == Some(1), "{status}");
        Ok(status["run"].as_str().unwrap_or_default().to_owned())
    })
    .await
}

/// Somebody who is on the canary at 50 %.
fn user_of(namespace: &Namespace, run: &str) -> Result<String> {
    let salt = format!("{}/shop/{run}", namespace.name());
    for number in 0..1_000_u64 {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        let id = Id::from_random(u128::from_le_bytes(bytes));
        if Point::of(&salt, &id).is_covered_by(Weight::from_ppm(500_000)?) {
            return Ok(id.to_string());
        }
    }
    bail!("nobody of a thousand is below 50 %")
}

async fn deployment_of(client: &Client, user: &str) -> Result<String> {
    let answer = client.get("/", &[("cookie", &format!("serin={user}"))]).await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(serde_json::from_str::<Answer>(&answer.body)?.deployment)
}

async fn wait_for(client: &Client, user: &str, wanted: &str) -> Result<()> {
    eventually(wanted, async || {
        let found = deployment_of(client, user).await?;
        ensure!(found == wanted, "{found}");
        Ok(())
    })
    .await
}

/// Asks without a pause until the answer comes from `wanted`.
async fn until(client: &Client, user: &str, wanted: &str, began: Instant) -> Result<Duration> {
    while deployment_of(client, user).await? != wanted {
        ensure!(began.elapsed() < Duration::from_secs(30), "{wanted} never answers");
    }
    Ok(began.elapsed())
}

async fn close(plugins: &Api<DynamicObject>, revision: u32, closed: bool) -> Result<()> {
    let mut plugin = plugins.list(&ListParams::default()).await?.items.remove(0);
    if let Some(policy) = plugin.data.pointer_mut("/spec/pluginConfig/policies/0") {
        policy["closed"] = closed.into();
        policy["revision"] = revision.into();
    }
    let patch = json!({"spec": {"pluginConfig": plugin.data["spec"]["pluginConfig"]}});
    plugins.patch(&plugin.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}

/// Prints a distribution and returns its median in milliseconds.
fn told(what: &str, mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
    println!(
        "{what}: {:.0} / {:.0} / {:.0} / {:.0} ms (min, median, p90, max of {})",
        at(0),
        at(50),
        at(90),
        at(100),
        times.len()
    );
    at(50)
}
