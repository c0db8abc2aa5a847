/*!
Access logs and spans, as istiod has proxies make them of the files in `manifests/telemetry`.
*/
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use serde_json::Value;
use serin_agent::mesh::telemetry::SPAN_TAG;
use serin_policy::{Id, Point};
use serin_tests::client::Client;
use serin_tests::mesh::{COLLECTOR, HOST as MACHINE, Mesh};
use serin_tests::site::eventually;
use tokio::net::TcpListener;

use crate::fixture::Fixture;

const TELEMETRY: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/telemetry/telemetry.yaml"));

/// Has the mesh know the collector, which listens on `port`, and this namespace's proxies send it all of their spans.
fn collected(port: u16) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: collector}}
spec:
  hosts: [{COLLECTOR}]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{{number: 4318, name: http, protocol: HTTP}}]
  endpoints: [{{address: {MACHINE}, ports: {{http: {port}}}}}]
"
    )
}

/// A Telemetry with the part that makes spans: in a namespace there is one without a selector.
fn telemetry() -> String {
    TELEMETRY.replace(
        "  - customTags:",
        "  - providers: [{name: collector}]\n    randomSamplingPercentage: 100\n    customTags:",
    )
}

pub(crate) async fn logs_and_spans_have_the_version(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "telemetry", 1).await?;
    let spans: Arc<Mutex<Vec<u8>>> = Arc::default();
    let listener = TcpListener::bind((MACHINE, 0)).await?;
    let port = listener.local_addr()?.port();
    let heard = Arc::clone(&spans);
    let router = Router::new().fallback(async move |body: Bytes| {
        heard.lock().expect("nobody panics").extend_from_slice(&body);
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    fixture.namespace.apply(&collected(port)).await?;
    fixture.namespace.apply(&telemetry()).await?;

    let agent = fixture.agent("one").await?;
    fixture.release("{setWeight: 50, pause: {}}", |yaml| yaml + "  accessLog: true\n").await?;
    fixture.idle().await.with_context(|| agent.log())?;
    let traffic = fixture.traffic(100).await?;
    fixture.set_image("shop:v2").await?;
    fixture.check_exposure(&traffic, 50).await.with_context(|| agent.log())?;
    traffic.stop().await?;

    let run = fixture.status().await?.run.context("a run has a name")?;
    let (moved, other) = fixture.one_on_each(&run, 50)?;
    let (pod, _) = fixture.gateway.pods.first().context("a gateway")?;
    let name = fixture.namespace.name();
    for (id, version, cohort) in [(moved, "canary", "step-1"), (other, "stable", "rest")] {
        let point = Point::of(&format!("{name}/shop/{run}"), &Id::try_from(id.as_bytes())?).get();
        let path = format!("/told/{version}");
        Client::new(fixture.gateway.address()).get(&path, &[("cookie", &format!("serin={id}"))]).await?;
        let line = eventually("the line in the access log", async || {
            let log = mesh.proxy_log(name, pod)?;
            let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find(|line| line["path"] == path).with_context(|| format!("no line of {path}"))
        })
        .await?;
        let told = format!(
            "release={name}/shop run={run} version={version} reason=bucket cohort={cohort} user={point}"
        );
        ensure!(line["serin"] == told && line["response_code"] == 200, "{line}, not {told}");
        ensure!(line["trace_id"].as_str().is_some_and(|id| id.len() == 32), "{line}");
        // A string of protobuf after the length of its message and its own.
        let length = u8::try_from(version.len())?;
        let tag = [SPAN_TAG.as_bytes(), &[0x12, length + 2, 0x0a, length], version.as_bytes()].concat();
        eventually("a span of each version", async || {
            let spans = spans.lock().expect("nobody panics");
            ensure!(spans.windows(tag.len()).any(|part| part == tag), "none in {} bytes", spans.len());
            Ok(())
        })
        .await?;
    }
    Ok(())
}
