/*!
Many Releases on one agent: what it asks of the API server when nothing happens, its memory, and how soon it notices.
*/
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use serin_tests::mesh::{Controller, Mesh, Namespace};
use serin_tests::site::eventually;

/// Over how long calls are counted.
const MINUTE: Duration = Duration::from_mins(1);

/// How many new images are timed.
const IMAGES: u32 = 10;

/// Measures `count` Releases at rest.
pub(crate) async fn measure(mesh: &Mesh, agent: &str, count: u32) -> Result<()> {
    let namespace = mesh.namespace("crowd").await?;
    namespace.gateway(1).await?;
    let made = (0..count).map(|number| make(&namespace, number));
    stream::iter(made).buffer_unordered(8).try_collect::<Vec<()>>().await?;
    let began = Instant::now();
    let agent = Controller::start(agent, mesh, &namespace, "bench").await?;
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("serin.dev", "v1alpha1", "Release"));
    let releases: Api<DynamicObject> = Api::namespaced_with(mesh.client(), namespace.name(), &kind);
    while at_rest(&releases).await? < count as usize {
        ensure!(began.elapsed() < Duration::from_mins(10), "not all are at rest: {}", agent.log());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    println!(
        "{count} Releases are known, routed and in front of a proxy after {:.1} s",
        began.elapsed().as_secs_f64()
    );
    // Others are at work for a while because of what the agent has written.
    calls(mesh).await?;
    let with_agent = calls(mesh).await?;
    println!("memory: {} MB resident", resident_mb(agent.pid())?);
    let mut noticed = Vec::new();
    for number in 0..IMAGES {
        let name = format!("shop-{number}");
        let began = Instant::now();
        mesh.kubectl(&[
            "-n",
            namespace.name(),
            "set",
            "image",
            &format!("deployment/{name}-canary"),
            &format!("{name}=shop:v2"),
        ])
        .await?;
        let typed = began.elapsed();
        eventually("a new image to be noticed", async || {
            let release = releases.get(&name).await?;
            let phase = release.data.pointer("/status/phase").and_then(|phase| phase.as_str());
            ensure!(phase != Some("Idle"), "{phase:?}");
            Ok(())
        })
        .await?;
        noticed.push(began.elapsed().saturating_sub(typed));
    }
    noticed.sort_unstable();
    println!(
        "a new image is noticed after {:?} (median, looked for every so often), {:?} at most",
        noticed[noticed.len() / 2],
        noticed[noticed.len() - 1]
    );
    agent.kill().await?;
    calls(mesh).await?;
    let without = calls(mesh).await?;
    println!(
        "at rest: {:.0} calls to the API server a minute ({with_agent:.0}, and {without:.0} without the agent)",
        with_agent - without
    );
    Ok(())
}

async fn make(namespace: &Namespace, number: u32) -> Result<()> {
    let name = format!("shop-{number}");
    namespace.deploy(&name, "stable", "shop:v1", 0).await?;
    namespace.deploy(&name, "canary", "shop:v1", 0).await?;
    namespace
        .apply(&format!(
            "
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: 80, targetPort: 8080}}], clusterIP: None}}
---
apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {{name: {name}}}
spec:
  service: {{name: {name}}}
  stable: {{targetRef: {{name: {name}-stable}}}}
  canary: {{targetRef: {{name: {name}-canary}}}}
  routing: {{gateways: [gateway], hosts: [{name}.example.com]}}
"
        ))
        .await
}

async fn at_rest(releases: &Api<DynamicObject>) -> Result<usize> {
    let releases = releases.list(&ListParams::default()).await?;
    let is_at_rest = |release: &&DynamicObject| {
        let status = &release.data["status"];
        status["phase"] == "Idle" && status["proxies"]["current"] == 1
    };
    Ok(releases.items.iter().filter(is_at_rest).count())
}

/// Requests that the API server gets in a minute, watches that go on left out.
async fn calls(mesh: &Mesh) -> Result<f64> {
    let before = total(mesh).await?;
    tokio::time::sleep(MINUTE).await;
    Ok(total(mesh).await? - before)
}

async fn total(mesh: &Mesh) -> Result<f64> {
    let metrics = mesh.kubectl(&["get", "--raw", "/metrics"]).await?;
    let lines = metrics.lines().filter(|line| line.starts_with("apiserver_request_total{"));
    lines.map(|line| Ok(line.rsplit(' ').next().context("a value")?.parse::<f64>()?)).sum()
}

fn resident_mb(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? / 1024)
}
