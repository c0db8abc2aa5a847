/*!
A whole namespace is deleted while a release is under way in it.
*/
use anyhow::{Context, Result, ensure};
use serin_tests::mesh::Mesh;
use serin_tests::mesh::traffic::Outcome;
use serin_tests::site::{HOST, eventually};

use super::UnderLoad;
use crate::fixture::Fixture;

/// Where users end up for whom there is nothing better.
const REST: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: rest}
spec:
  hosts: ['*']
  gateways: [gateway]
  http: [{route: [{destination: {host: rest}}]}]
";

pub(crate) async fn a_namespace_is_deleted(mesh: &Mesh) -> Result<()> {
    let (entrance, namespace) = tokio::try_join!(mesh.namespace("entrance"), mesh.namespace("going"))?;
    let (gateway, (), ()) = tokio::try_join!(
        entrance.gateway(1),
        namespace.shop("shop", "shop:v1", "shop:v1"),
        entrance.shop("rest", "rest:v0", "rest:v0")
    )?;
    entrance.apply(REST).await?;
    let fixture = Fixture::of(mesh, namespace, gateway);
    let agent = fixture.agent_for_all("all").await?;
    let gateways = format!("gateways: [{}/gateway]", entrance.name());
    let under_load =
        UnderLoad::with(fixture, agent, |yaml| yaml.replace("gateways: [gateway]", &gateways)).await?;
    under_load.release("v2").await?;
    let plugins =
        async || mesh.kubectl(&["--namespace", entrance.name(), "get", "wasmplugins", "-o", "yaml"]).await;
    ensure!(plugins().await?.contains(HOST), "the policy is not where the gateway is");

    let case = under_load.case("namespace deleted at 30%, gateway in another");
    // Longer than this, and nobody would wait for it.
    mesh.kubectl(&["delete", "namespace", under_load.fixture.namespace.name(), "--timeout=45s"])
        .await
        .with_context(|| under_load.agent.log())?;
    eventually("no policy of it to be left", async || {
        let left = plugins().await?;
        ensure!(!left.contains(HOST), "{left}");
        Ok(())
    })
    .await
    .with_context(|| under_load.agent.log())?;
    let from = under_load.traffic.requests() - case.from;
    case.after(from + 100).await?;
    let served = case.records().split_off(from + 50);
    ensure!(
        served
            .iter()
            .all(|record| { matches!(&record.outcome, Outcome::Served { version, .. } if version == "v0") }),
        "not everybody is where the other routes lead"
    );
    // It is not said that anybody is on stable, for nobody knows.
    let log = under_load.agent.log();
    ensure!(log.contains("on stable: its namespace goes"), "{log}");
    ensure!(!log.contains("the Release is gone: everybody is on stable"), "{log}");
    // Routes, pods and policy go in no order: that is what was asked for.
    case.end("(gone)", "Release, routes and policy gone; users on the gateway's other route", usize::MAX)
}
