/*!
Requests through a gateway: to what is deployed, and to the version that Serin's filter chose.
*/
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use serin::release::Release;
use serin_policy::{Document, Id, Point, Weight};
use serin_tests::client::Client;
use serin_tests::mesh::{Answer, Mesh, Namespace};
use serin_tests::site::{self, HOST, eventually};
use sha2::{Digest, Sha256};

use crate::SEED;

/// Sends everybody to the subset that the version header names, and others to stable.
fn routes(namespace: &Namespace) -> String {
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
async fn asked(client: &Client, headers: &[(&str, &str)]) -> Result<String> {
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
    // Another pod answers from now on, and nobody notices.
    let ids = ["a", "b", "c"].map(ToOwned::to_owned);
    let load = serin_tests::load::Load::start(gateway.address(), &ids, |status| status == 200);
    for version in ["v3", "v4"] {
        namespace.deploy("shop", "stable", &format!("shop:{version}"), 2).await?;
        namespace.rolled_out("shop-stable").await?;
    }
    let seen = load.answered();
    eventually("requests after that", async || {
        ensure!(load.answered() > seen + 100);
        Ok(())
    })
    .await?;
    eprintln!("{} requests while pods were replaced", load.stop().await?);
    Ok(())
}

pub(crate) async fn users_are_assigned(mesh: &Mesh) -> Result<()> {
    let namespace = mesh.namespace("assigned").await?;
    let (gateway, ()) = tokio::try_join!(namespace.gateway(2), namespace.shop("shop", "shop:v1", "shop:v2"))?;
    namespace.apply(&routes(&namespace)).await?;
    let release = Release::from_yaml(&site::release(""))?;
    let url = mesh.serve(serin::MODULE).await?;
    let mut rng = StdRng::seed_from_u64(*SEED);
    let users: Vec<String> = (0..300).map(|_| Id::from_random(rng.random()).to_string()).collect();
    for (revision, percent) in [(1, 30), (2, 70), (3, 0)] {
        let weight = Weight::from_ppm(percent * 10_000)?;
        let pushed = Instant::now();
        namespace.apply(&plugin(&namespace, &url, &release, revision, weight)?).await?;
        for (name, address) in &gateway.pods {
            let client = Client::new((*address, 80).into());
            eventually("everybody to be where they belong", async || {
                let asked = users.iter().map(async |id| {
                    let found = asked(&client, &[("cookie", &format!("serin={id}"))]).await?;
                    let point = Point::of("shop/shop/v2", &Id::try_from(id.as_bytes())?);
                    let wanted = if point.is_covered_by(weight) { "shop-canary" } else { "shop-stable" };
                    ensure!(found == wanted, "{id} is on {found} of {name} at {weight}");
                    Ok(())
                });
                stream::iter(asked).buffer_unordered(8).try_collect::<Vec<()>>().await?;
                Ok(())
            })
            .await?;
        }
        eprintln!("{weight} on both gateways after {:?}", pushed.elapsed().max(Duration::from_millis(1)));
    }
    Ok(())
}

fn plugin(
    namespace: &Namespace,
    url: &str,
    release: &Release,
    revision: u64,
    weight: Weight,
) -> Result<String> {
    let digest = Sha256::digest(serin::MODULE);
    let plugin = json!({
        "apiVersion": "extensions.istio.io/v1alpha1",
        "kind": "WasmPlugin",
        "metadata": {"name": "serin"},
        "spec": {
            "selector": {"matchLabels": {"istio": format!("gateway-{}", namespace.name())}},
            "url": url,
            "sha256": digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            "phase": "STATS",
            "match": [{"mode": "CLIENT"}],
            "failStrategy": "FAIL_OPEN",
            "pluginConfig": serde_json::to_value(Document::new(vec![release.policy(revision, weight, false, false)]))?,
        },
    });
    Ok(plugin.to_string())
}
