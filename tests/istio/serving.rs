/*!
Requests through a gateway: to what is deployed, and to the version that Serin's filter chose.
*/
use std::num::NonZeroU32;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use serin_policy::{Document, Id, Point, Weight};
use serin_release::Release;
use serin_tests::client::Client;
use serin_tests::mesh::traffic::{Outcome, Plan, Traffic, User};
use serin_tests::mesh::{Answer, Mesh, Namespace, Served};
use serin_tests::site::{self, HOST, eventually};

use crate::SEED;

/// Sends everybody to the subset that the version header names, and others to stable.
pub(crate) fn routes(namespace: &Namespace) -> String {
    let host = format!("shop.{}.svc.cluster.local", namespace.name());
    format!(
        "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: shop}}
spec:
  host: {host}
  subsets: [{{name: stable, labels: {{version: stable}}}}, {{name: canary, labels: {{version: canary}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop}}
spec:
  hosts: [{HOST}]
  gateways: [gateway]
  http:
  - match: [{{headers: {{x-serin-version: {{exact: canary}}}}}}]
    route: [{{destination: {{host: {host}, subset: canary}}}}]
  - route: [{{destination: {{host: {host}, subset: stable}}}}]
"
    )
}

/// Which deployment answers a request with these headers.
pub(crate) async fn asked(client: &Client, headers: &[(&str, &str)]) -> Result<String> {
    let answer = client.get("/", headers).await?;
    ensure!(answer.status == 200, "{answer:?}");
    let answer: Answer = serde_json::from_str(&answer.body)?;
    Ok(answer.deployment)
}

pub(crate) async fn a_gateway_serves(mesh: &Mesh) -> Result<()> {
    let namespace = mesh.namespace("serves").await?;
    let (gateway, ()) = tokio::try_join!(namespace.gateway(1), namespace.shop("shop", "shop:v1", "shop:v2"))?;
    namespace.apply(&routes(&namespace)).await?;
    let client = Client::new(gateway.address());
    for (version, wanted) in [("stable", "shop-stable"), ("canary", "shop-canary"), ("other", "shop-stable")]
    {
        eventually("the route", async || {
            let found = asked(&client, &[("x-serin-version", version)]).await?;
            ensure!(found == wanted, "{version} leads to {found}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

pub(crate) async fn pods_are_replaced(mesh: &Mesh) -> Result<()> {
    let namespace = mesh.namespace("replaced").await?;
    let (gateway, ()) = tokio::try_join!(namespace.gateway(1), namespace.shop("shop", "shop:v1", "shop:v2"))?;
    namespace.apply(&routes(&namespace)).await?;
    let client = Client::new(gateway.address());
    eventually("the route", async || asked(&client, &[]).await).await?;
    let users = (0..20).map(|number| User::with_header("x-user", &number.to_string())).collect();
    let rate = NonZeroU32::new(200).context("not 0")?;
    let traffic = Traffic::start(Plan::at(&[gateway.address()], users, rate, *SEED));
    for version in ["v3", "v4"] {
        namespace.deploy("shop", "stable", &format!("shop:{version}"), 2).await?;
        namespace.rolled_out("shop-stable").await?;
        // They go on serving for a while, and what matters is what becomes of requests when they do not any more.
        eventually("the old ones to be gone", async || {
            let pods = namespace.api::<Pod>().list(&ListParams::default().labels("version=stable")).await?;
            ensure!(pods.items.len() == 2, "{} are left", pods.items.len());
            Ok(())
        })
        .await?;
    }
    let report = traffic.stop().await?;
    ensure!(report.failures().is_empty(), "{:?}", report.failures());
    let last = report.0.last().map(|record| &record.outcome);
    ensure!(matches!(last, Some(Outcome::Served { version, .. }) if version == "v4"), "{last:?}");
    eprintln!("{} requests while pods were replaced, none failed", report.0.len());
    Ok(())
}

pub(crate) async fn sidecars_assign_too(mesh: &Mesh) -> Result<()> {
    let namespace = mesh.namespace("sidecar").await?;
    let (proxy, ()) = tokio::try_join!(
        namespace.application("front", "front:v1"),
        namespace.shop("shop", "shop:v1", "shop:v2")
    )?;
    let host = format!("shop.{}.svc.cluster.local", namespace.name());
    namespace.apply(&routes(&namespace).replace(HOST, &host).replace("[gateway]", "[mesh]")).await?;
    let release = Release::from_yaml(&site::release("").replace(HOST, &host))?;
    let module = mesh.serve(serin_agent::MODULE).await?;
    let weight = Weight::from_ppm(400_000)?;
    namespace.apply(&plugin(&json!({"app": "front"}), &module, &release, 1, weight)?).await?;
    let client = Client::through(proxy, &host)?;
    eventually("everybody to be where they belong", async || {
        check_everybody(&client, "cookie", |id| format!("serin={id}"), weight).await
    })
    .await?;
    let stats = format!("http://{}:15090/stats/prometheus", proxy.ip());
    let stats = serin_agent::http::plain().build()?.get(stats).send().await?.text().await?;
    ensure!(stats.contains("serin_revision"), "{stats}");
    Ok(())
}

pub(crate) async fn users_are_assigned(mesh: &Mesh) -> Result<()> {
    let namespace = mesh.namespace("assigned").await?;
    let (gateway, ()) = tokio::try_join!(namespace.gateway(2), namespace.shop("shop", "shop:v1", "shop:v2"))?;
    namespace.apply(&routes(&namespace)).await?;
    let release = Release::from_yaml(&site::release(""))?;
    let module = mesh.serve(serin_agent::MODULE).await?;
    for (revision, percent) in [(1, 30), (2, 70), (3, 0)] {
        let weight = Weight::from_ppm(percent * 10_000)?;
        let pushed = Instant::now();
        namespace
            .apply(&plugin(
                &json!({"istio": format!("gateway-{}", namespace.name())}),
                &module,
                &release,
                revision,
                weight,
            )?)
            .await?;
        for (_, address) in &gateway.pods {
            let client = Client::new((*address, 80).into());
            eventually("everybody to be where they belong", async || {
                check_everybody(&client, "cookie", |id| format!("serin={id}"), weight).await
            })
            .await?;
        }
        eprintln!("{weight} on both gateways after {:?}", pushed.elapsed());
    }
    Ok(())
}

pub(crate) async fn new_visitors_stay(mesh: &Mesh) -> Result<()> {
    let namespace = mesh.namespace("visitors").await?;
    let (gateway, ()) = tokio::try_join!(namespace.gateway(1), namespace.shop("shop", "shop:v1", "shop:v2"))?;
    namespace.apply(&routes(&namespace)).await?;
    let release = Release::from_yaml(&site::release(""))?;
    let module = mesh.serve(serin_agent::MODULE).await?;
    let weight = Weight::from_ppm(500_000)?;
    let labels = json!({"istio": format!("gateway-{}", namespace.name())});
    namespace.apply(&plugin(&labels, &module, &release, 1, weight)?).await?;
    let client = Client::new(gateway.address());
    eventually("users to be assigned", async || {
        check_everybody(&client, "cookie", |id| format!("serin={id}"), weight).await
    })
    .await?;
    let users = vec![User::new_visitor(); 40];
    let rate = NonZeroU32::new(200).context("not 0")?;
    let traffic = Traffic::start(Plan::at(&[gateway.address()], users, rate, *SEED));
    eventually("everybody to have come several times", async || {
        ensure!(traffic.requests() > 400);
        Ok(())
    })
    .await?;
    let report = traffic.stop().await?;
    ensure!(report.failures().is_empty(), "{:?}", report.failures());
    let moved: Vec<_> = report.journeys().into_iter().filter(|(_, journey)| journey.len() > 1).collect();
    ensure!(moved.is_empty(), "{moved:?}");
    let on_canary = report.journeys().values().filter(|journey| journey == &&["shop-canary"]).count();
    ensure!((5..=35).contains(&on_canary), "{on_canary} of 40 are on the canary");
    Ok(())
}

/// Whether each of some users is on the version that the hash says.
async fn check_everybody(
    client: &Client,
    header: &str,
    value: impl Fn(&str) -> String,
    weight: Weight,
) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(*SEED);
    let users: Vec<String> = (0..300).map(|_| Id::from_random(rng.random()).to_string()).collect();
    let value = &value;
    let asked = users.iter().map(async |id| {
        let found = asked(client, &[(header, &value(id))]).await?;
        let point = Point::of("shop/shop/v2", &Id::try_from(id.as_bytes())?);
        let wanted = if point.is_covered_by(weight) { "shop-canary" } else { "shop-stable" };
        ensure!(found == wanted, "{id} is on {found} at {weight}");
        Ok(())
    });
    stream::iter(asked).buffer_unordered(8).try_collect::<Vec<()>>().await?;
    Ok(())
}

fn plugin(
    labels: &Value,
    module: &Served,
    release: &Release,
    revision: u64,
    weight: Weight,
) -> Result<String> {
    let plugin = json!({
        "apiVersion": "extensions.istio.io/v1alpha1",
        "kind": "WasmPlugin",
        "metadata": {"name": "serin"},
        "spec": {
            "selector": {"matchLabels": labels},
            "url": module.url,
            "sha256": module.sha256,
            "phase": "STATS",
            "match": [{"mode": "CLIENT"}],
            "failStrategy": "FAIL_OPEN",
            "pluginConfig": serde_json::to_value(Document::new(vec![release.policy(revision, weight, false, false)]))?,
        },
    });
    Ok(plugin.to_string())
}
