/*!
Many Releases behind many proxies on one agent: how soon all are looked at after its start, and what it costs, at rest and
with a part of them under way.

The proxies are stand-ins, and so is the Prometheus that half of the Releases have their counts from.
*/
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use serin_tests::mesh::{Controller, Mesh, Namespace};
use serin_tests::site::eventually;

use crate::stand_ins::{Asked, StandIns};

/// Over how long calls are counted.
const MINUTE: Duration = Duration::from_mins(1);

/// How many new images are timed.
const IMAGES: u32 = 10;

/// Among so many Gateways the Releases and the proxies are shared out.
const GATEWAYS: u32 = 10;

/// How many there are of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) releases: u32,
    pub(crate) proxies: u32,
    /// How many Releases are under way in the end.
    pub(crate) under_way: u32,
}

struct Crowd<'m> {
    mesh: &'m Mesh,
    namespace: Namespace,
    stand_ins: StandIns,
    releases: Api<DynamicObject>,
    size: Size,
}

/// Measures Releases, first at rest.
pub(crate) async fn measure(mesh: &Mesh, agent: &str, size: Size) -> Result<()> {
    let namespace = mesh.namespace("crowd").await?;
    let stand_ins = StandIns::start(mesh, &namespace, GATEWAYS, size.proxies / GATEWAYS).await?;
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("serin.dev", "v1alpha1", "Release"));
    let releases = Api::namespaced_with(mesh.client(), namespace.name(), &kind);
    let crowd = Crowd { mesh, namespace, stand_ins, releases, size };
    let made = (0..size.releases).map(|number| crowd.make(number));
    stream::iter(made).buffer_unordered(8).try_collect::<Vec<()>>().await?;
    println!("{} Releases behind {} proxies at {GATEWAYS} Gateways", size.releases, size.proxies);

    let began = Instant::now();
    let sources = format!("{{default: {{access: {{address: '{}'}}}}}}", crowd.stand_ins.prometheus);
    let config = format!("prometheus: {{sources: {sources}}}");
    let first = Controller::start_with_config(agent, mesh, &crowd.namespace, "first", &config).await?;
    crowd.looked_at(&first, began, "new Releases").await?;
    crowd.at_rest(&first, began).await?;
    first.kill().await?;

    let began = Instant::now();
    let agent = Controller::start_with_config(agent, mesh, &crowd.namespace, "second", &config).await?;
    crowd.looked_at(&agent, began, "Releases that another agent has left").await?;
    // Others are at work for a while because of what the agent has written.
    tokio::time::sleep(MINUTE).await;
    let at_rest = crowd.cost("at rest", &agent).await?;
    crowd.images(IMAGES).await?;
    crowd.under_way(IMAGES).await?;
    tokio::time::sleep(MINUTE).await;
    let under_way = crowd.cost(&format!("with {} under way", size.under_way), &agent).await?;
    agent.kill().await?;
    tokio::time::sleep(MINUTE).await;
    let without = crowd.calls().await?;
    println!(
        "calls to the API server a minute: {:.0} at rest and {:.0} with {} under way, besides the {without:.0} that there \
         are without the agent",
        at_rest - without,
        under_way - without,
        size.under_way
    );
    Ok(())
}

impl Crowd<'_> {
    async fn make(&self, number: u32) -> Result<()> {
        let (name, gateway) = (format!("shop-{number}"), number % GATEWAYS);
        let source = if number.is_multiple_of(2) { "Proxies" } else { "Prometheus" };
        for version in ["stable", "canary"] {
            self.namespace.deploy(&name, version, "shop:v1", 0).await?;
        }
        self.namespace
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
  routing: {{gateways: [edge-{gateway}], hosts: [{name}.example.com]}}
  strategy: {{canary: {{steps: [{{setWeight: 50, pause: {{}}}}]}}}}
  analysis: {{source: {source}, baseline: 0s}}
"
            ))
            .await
    }

    /// Waits until the agent has looked at each: only then it has a metric of it.
    async fn looked_at(&self, agent: &Controller, began: Instant, what: &str) -> Result<()> {
        let client = serin_agent::http::plain().build()?;
        let metrics = format!("http://{}/metrics", agent.address());
        loop {
            let text = client.get(&metrics).send().await?.text().await?;
            let known = text.lines().filter(|line| line.starts_with("serin_release_revision{")).count();
            if known >= self.size.releases as usize {
                break;
            }
            ensure!(began.elapsed() < Duration::from_mins(10), "{known} are known: {}", agent.log());
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        println!("all {what} are looked at {:.1} s after the start", began.elapsed().as_secs_f64());
        Ok(())
    }

    async fn at_rest(&self, agent: &Controller, began: Instant) -> Result<()> {
        let all = self.size.releases as usize;
        let proxies = u64::from(self.size.proxies / GATEWAYS);
        let is_at_rest = |status: &serde_json::Value| {
            status["phase"] == "Idle" && status["proxies"]["current"].as_u64() == Some(proxies)
        };
        while self.count(is_at_rest).await? < all {
            ensure!(began.elapsed() < Duration::from_mins(10), "not all are at rest: {}", agent.log());
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        println!(
            "all have their routes, and every proxy knows them, after {:.1} s",
            began.elapsed().as_secs_f64()
        );
        Ok(())
    }

    async fn count(&self, is_so: impl Fn(&serde_json::Value) -> bool) -> Result<usize> {
        let releases = self.releases.list(&ListParams::default()).await?;
        Ok(releases.items.iter().filter(|release| is_so(&release.data["status"])).count())
    }

    /// Has so many canaries get a new image, one after the other, and says how soon that is noticed.
    async fn images(&self, count: u32) -> Result<()> {
        let mut noticed = Vec::new();
        for number in 0..count {
            let name = format!("shop-{number}");
            self.namespace.deploy(&name, "canary", "shop:v2", 0).await?;
            let began = Instant::now();
            eventually("a new image to be noticed", async || {
                let release = self.releases.get(&name).await?;
                let phase = release.data.pointer("/status/phase").and_then(|phase| phase.as_str());
                ensure!(phase != Some("Idle"), "{phase:?}");
                Ok(())
            })
            .await?;
            noticed.push(began.elapsed());
        }
        noticed.sort_unstable();
        println!(
            "a new image is noticed after {:?} (median, looked for every so often), {:?} at most",
            noticed[noticed.len() / 2],
            noticed[noticed.len() - 1]
        );
        Ok(())
    }

    /// Has all that shall be under way get to their step, but for the first `but`, which do so already.
    async fn under_way(&self, but: u32) -> Result<()> {
        let began = Instant::now();
        for number in but..self.size.under_way {
            self.namespace.deploy(&format!("shop-{number}"), "canary", "shop:v2", 0).await?;
        }
        while self.count(|status| status["weight"]["percent"] == 50).await? < self.size.under_way as usize {
            ensure!(began.elapsed() < Duration::from_mins(5), "not all are at 50 %");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        println!("{} are at 50 % after {:.1} s", self.size.under_way, began.elapsed().as_secs_f64());
        Ok(())
    }

    /// What the agent costs in a minute. Returns the calls to the API server, whoever makes them.
    async fn cost(&self, when: &str, agent: &Controller) -> Result<f64> {
        let before = (self.stand_ins.asked(), cpu_s(agent.pid())?);
        let calls = self.calls().await?;
        let (Asked { scrapes, queries }, cpu) = (self.stand_ins.asked(), cpu_s(agent.pid())?);
        let (scrapes, queries) = (scrapes - before.0.scrapes, queries - before.0.queries);
        println!(
            "{when}: {} MB resident, {:.0} % of a core, {scrapes} scrapes and {queries} queries a minute, {calls:.0} \
             calls to the API server",
            resident_mb(agent.pid())?,
            (cpu - before.1) / MINUTE.as_secs_f64() * 100.0,
        );
        Ok(calls)
    }

    /// Requests that the API server gets in a minute, watches that go on left out.
    async fn calls(&self) -> Result<f64> {
        let before = self.total().await?;
        tokio::time::sleep(MINUTE).await;
        Ok(self.total().await? - before)
    }

    async fn total(&self) -> Result<f64> {
        let metrics = self.mesh.kubectl(&["get", "--raw", "/metrics"]).await?;
        let lines = metrics.lines().filter(|line| line.starts_with("apiserver_request_total{"));
        lines.map(|line| Ok(line.rsplit(' ').next().context("a value")?.parse::<f64>()?)).sum()
    }
}

fn resident_mb(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? / 1024)
}

/// The processor time that it has used, in seconds.
fn cpu_s(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    // Linux counts a hundred of them a second.
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}
