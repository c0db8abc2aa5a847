//! What a real Envoy tells of single requests: its access log, and the spans that it sends to a collector.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use serde_json::Value;
use serin_agent::mesh::telemetry::SPAN_TAG;
use serin_policy::{Id, Point};
use serin_tests::site::{HOST, Plan, Site, eventually, release, run};
use tokio::net::TcpListener;

use crate::{expected, percent, users};

/// The line of the request to this path in the log of the only Envoy, which writes every ten seconds.
async fn logged(site: &Site, path: &str) -> Result<Value> {
    eventually("the line in the access log", async || {
        let log = std::fs::read_to_string(site.envoys[0].log())?;
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["path"] == path).with_context(|| format!("no line of {path}"))
    })
    .await
}

#[test]
fn the_access_log_says_which_version_answered_and_why() -> Result<()> {
    run(async {
        let asked = release(
            "accessLog: true
overrides: [{header: x-canary}]
segments: [{name: beta, weight: 100, matches: [{headers: [{name: x-user-type, value: beta}]}]}]
strategy: {canary: {steps: [{setWeight: 50}]}}",
        );
        let site = Site::at(percent(50), Plan { release: asked, ..Plan::default() }).await?;
        let client = site.client(0);
        let mut wanted = Vec::new();
        for id in users(10) {
            let version = expected("v2", &id, percent(50));
            let cohort = if version == "canary" { "step-1" } else { "rest" };
            let point = Point::of("shop/shop/v2", &Id::try_from(id.as_bytes())?).get();
            let line = format!("version={version} reason=bucket cohort={cohort} user={point}");
            let path = format!("/of/{point}");
            client.get(&path, &[("cookie", &format!("serin={id}"))]).await?;
            wanted.push((path, line));
        }
        for (path, header, line) in [
            ("/tester", ("x-canary", "canary"), "version=canary reason=override"),
            ("/beta", ("x-user-type", "beta"), "version=canary reason=segment segment=beta"),
        ] {
            client.get(path, &[header]).await?;
            wanted.push((path.to_owned(), line.to_owned()));
        }
        for (path, line) in wanted {
            let found = logged(&site, &path).await?;
            let told = found["serin"].as_str().with_context(|| found.to_string())?;
            // Those who were given an id just then are told of with it.
            let told =
                if line.contains("user=") { told } else { told.split(" user=").next().unwrap_or_default() };
            ensure!(told == format!("release=shop/shop run=v2 {line}"), "{path}: {found}");
            ensure!(found["response_code"] == 200 && found["authority"] == HOST, "{found}");
            let version = if line.contains("version=canary") { "canary" } else { "stable" };
            ensure!(found["upstream_cluster"] == version, "{found}");
        }
        // A host of the routes for which there is no policy.
        let elsewhere = [("host", "elsewhere.shop.svc.cluster.local"), ("x-serin-version", "canary")];
        client.get("/elsewhere", &elsewhere).await?;
        let found = logged(&site, "/elsewhere").await?;
        ensure!(found["serin"].is_null() && found["upstream_cluster"] == "stable", "{found}");
        Ok(())
    })
}

#[test]
fn a_release_that_asks_for_none_has_no_access_log() -> Result<()> {
    run(async {
        let site = Site::at(percent(50), Plan::default()).await?;
        let dump = serin_tests::client::Client::new(site.envoys[0].admin()).get("/config_dump", &[]).await?;
        ensure!(dump.body.contains("http_connection_manager") && !dump.body.contains("FILTER_STATE"));
        Ok(())
    })
}

#[test]
fn a_span_has_the_version_that_the_filter_chose() -> Result<()> {
    run(async {
        let spans: Arc<Mutex<Vec<u8>>> = Arc::default();
        let collector = TcpListener::bind(("127.0.0.1", 0)).await?;
        let traces = Some(collector.local_addr()?);
        let heard = Arc::clone(&spans);
        let router = Router::new().fallback(async move |body: Bytes| {
            heard.lock().expect("nobody panics").extend_from_slice(&body);
        });
        tokio::spawn(async move { axum::serve(collector, router).await });
        let site = Site::at(percent(50), Plan { traces, ..Plan::default() }).await?;
        let client = site.client(0);
        for id in users(20) {
            let headers = [("cookie", &*format!("serin={id}")), ("x-serin-version", "a-clients-own")];
            client.get("/", &headers).await?;
        }
        // The strings of a protobuf message stand in it as they are, each after its length.
        let tagged = |version: &str| {
            let value = u8::try_from(version.len()).expect("a short name");
            [SPAN_TAG.as_bytes(), &[0x12, value + 2, 0x0a, value], version.as_bytes()].concat()
        };
        for version in ["stable", "canary"] {
            eventually("a span of each version", async || {
                let spans = spans.lock().expect("nobody panics");
                let found = spans.windows(tagged(version).len()).any(|part| part == tagged(version));
                ensure!(found, "no {version} in {} bytes", spans.len());
                Ok(())
            })
            .await?;
        }
        let spans = spans.lock().expect("nobody panics");
        ensure!(!spans.windows(13).any(|part| part == b"a-clients-own"), "a client's own word");
        Ok(())
    })
}
