/*!
A release where the mesh lets nobody in without a certificate.
*/
use anyhow::{Context, Result, ensure};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use serde_json::Value;
use serin_tests::client::Client;
use serin_tests::mesh::{Answer, Mesh};
use serin_tests::site::eventually;

use crate::releases::goes_all_the_way;
use crate::stage::{Stage, check_none_failed};

pub(crate) async fn a_release_goes_through_under_strict_mtls(mesh: &Mesh) -> Result<()> {
    let namespace = mesh.namespace("strict").await?;
    let shop = namespace.strict_shop("shop", "shop:v1", "shop:v1");
    let (gateway, ()) = tokio::try_join!(namespace.gateway(2), shop)?;
    let stage = Stage::of(mesh, namespace, gateway);
    check_strangers_are_refused(&stage).await?;
    goes_all_the_way(&stage).await?;
    check_callers_show_certificates(&stage).await?;
    a_traffic_policy_is_handed_on(&stage).await
}

/// Whoever has no certificate does not get a word out of the shop's pods.
async fn check_strangers_are_refused(stage: &Stage<'_>) -> Result<()> {
    let pods = stage.namespace.pods("app=shop").await?;
    let client = serin::http::plain().build()?;
    for pod in &pods {
        let ip =
            pod.status.as_ref().and_then(|status| status.pod_ip.as_ref()).context("it has an address")?;
        let answer = client.get(format!("http://{ip}:8080/")).send().await;
        ensure!(answer.is_err(), "{ip} answers: {answer:?}");
    }
    ensure!(pods.len() == 2, "{} pods", pods.len());
    Ok(())
}

/// What the gateway says of itself to a pod, and of whom it took the pod for, is what istiod's authority has signed.
async fn check_callers_show_certificates(stage: &Stage<'_>) -> Result<()> {
    let answer = Client::new(stage.gateway.address()).get("/", &[]).await?;
    let answer: Answer = serde_json::from_str(&answer.body)?;
    let shown = answer.headers.get("x-forwarded-client-cert").context("the gateway shows a certificate")?;
    let account = |name: &str| format!("spiffe://cluster.local/ns/{}/sa/{name}", stage.namespace.name());
    let wanted = (format!("By={}", account("shop")), format!("URI={}", account("gateway")));
    ensure!(shown.contains(&wanted.0) && shown.contains(&wanted.1), "{shown}");
    Ok(())
}

/// Serin's DestinationRule leaves mTLS to Istio, unless the Release says what it is to be.
async fn a_traffic_policy_is_handed_on(stage: &Stage<'_>) -> Result<()> {
    let found = traffic_policy(stage).await?;
    ensure!(found.is_null(), "nobody asked for {found}");
    let _agent = stage.agent("two").await?;
    let traffic = stage.traffic(50).await?;
    let policy = "gateways: [gateway], trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}";
    stage.release("{setWeight: 10}", |yaml| yaml.replace("gateways: [gateway]", policy)).await?;
    eventually("the traffic policy", async || {
        let found = traffic_policy(stage).await?;
        ensure!(found.pointer("/tls/mode").is_some_and(|mode| mode == "ISTIO_MUTUAL"), "{found}");
        Ok(())
    })
    .await?;
    let from = traffic.requests();
    eventually("some requests", async || {
        ensure!(traffic.requests() > from + 100, "{} yet", traffic.requests() - from);
        Ok(())
    })
    .await?;
    check_none_failed(&traffic.stop().await?)
}

/// The traffic policy of the one DestinationRule that there is.
async fn traffic_policy(stage: &Stage<'_>) -> Result<Value> {
    let kind = GroupVersionKind::gvk("networking.istio.io", "v1", "DestinationRule");
    let kind = ApiResource::from_gvk(&kind);
    let rules: Api<DynamicObject> = Api::namespaced_with(stage.mesh.client(), stage.namespace.name(), &kind);
    let rules = rules.list(&ListParams::default()).await?.items;
    ensure!(rules.len() == 1, "{} rules", rules.len());
    Ok(rules[0].data.pointer("/spec/trafficPolicy").cloned().unwrap_or_default())
}
