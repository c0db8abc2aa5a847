/*!
A release where the mesh lets nobody in without a certificate.
*/
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use serde_json::Value;
use serin_tests::client::Client;
use serin_tests::mesh::{Answer, Mesh};
use serin_tests::site::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fixture::{Fixture, check_none_failed};
use crate::releases::goes_all_the_way;

pub(crate) async fn a_release_goes_through_under_strict_mtls(mesh: &Mesh) -> Result<()> {
    let namespace = mesh.namespace("strict").await?;
    let shop = namespace.strict_shop("shop", "shop:v1", "shop:v1");
    let (gateway, ()) = tokio::try_join!(namespace.gateway(2), shop)?;
    let fixture = Fixture::of(mesh, namespace, gateway);
    check_strangers_are_refused(&fixture).await?;
    goes_all_the_way(&fixture).await?;
    check_callers_show_certificates(&fixture).await?;
    a_traffic_policy_is_handed_on(&fixture).await
}

/// The servers listen at their pods' addresses, and yet whoever has no certificate gets no word out of a pod. It is the
/// sidecar that refuses them, at a port of the Service and at one of nobody's: there, only it can take a connection.
async fn check_strangers_are_refused(fixture: &Fixture<'_>) -> Result<()> {
    const LONGEST: Duration = Duration::from_secs(10);
    let pods = fixture.namespace.pods("app=shop").await?;
    for pod in &pods {
        let ip =
            pod.status.as_ref().and_then(|status| status.pod_ip.as_ref()).context("it has an address")?;
        for port in [8080, 9999] {
            let at = format!("{ip}:{port}");
            let mut stream = TcpStream::connect(&at).await.with_context(|| format!("nobody takes {at}"))?;
            stream.write_all(b"GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await?;
            let mut said = Vec::new();
            // A reset is as good an end as any.
            let ended = timeout(LONGEST, stream.read_to_end(&mut said)).await;
            ensure!(ended.is_ok() && said.is_empty(), "{at} says: {}", String::from_utf8_lossy(&said));
        }
    }
    ensure!(pods.len() == 2, "{} pods", pods.len());
    Ok(())
}

/// What the gateway says of itself to a pod, and of whom it took the pod for, is what istiod's authority has signed.
async fn check_callers_show_certificates(fixture: &Fixture<'_>) -> Result<()> {
    let answer = Client::new(fixture.gateway.address()).get("/", &[]).await?;
    let answer: Answer = serde_json::from_str(&answer.body)?;
    let shown = answer.headers.get("x-forwarded-client-cert").context("the gateway shows a certificate")?;
    let account = |name: &str| format!("spiffe://cluster.local/ns/{}/sa/{name}", fixture.namespace.name());
    let wanted = (format!("By={}", account("shop")), format!("URI={}", account("gateway")));
    ensure!(shown.contains(&wanted.0) && shown.contains(&wanted.1), "{shown}");
    Ok(())
}

/// Serin's DestinationRule leaves mTLS to Istio, unless the Release says what it is to be.
async fn a_traffic_policy_is_handed_on(fixture: &Fixture<'_>) -> Result<()> {
    let found = traffic_policy(fixture).await?;
    ensure!(found.is_null(), "nobody asked for {found}");
    let _agent = fixture.agent("two").await?;
    let traffic = fixture.traffic(50).await?;
    let policy = "gateways: [gateway], trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}";
    fixture.release("{setWeight: 10}", |yaml| yaml.replace("gateways: [gateway]", policy)).await?;
    eventually("the traffic policy", async || {
        let found = traffic_policy(fixture).await?;
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
async fn traffic_policy(fixture: &Fixture<'_>) -> Result<Value> {
    let kind = GroupVersionKind::gvk("networking.istio.io", "v1", "DestinationRule");
    let kind = ApiResource::from_gvk(&kind);
    let rules: Api<DynamicObject> =
        Api::namespaced_with(fixture.mesh.client(), fixture.namespace.name(), &kind);
    let rules = rules.list(&ListParams::default()).await?.items;
    ensure!(rules.len() == 1, "{} rules", rules.len());
    Ok(rules[0].data.pointer("/spec/trafficPolicy").cloned().unwrap_or_default())
}
