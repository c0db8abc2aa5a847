/*!
More policies than one object can hold: they are divided over several plugins, and one proxy runs them all.
*/
use anyhow::{Context, Result, ensure};
use serin_release::status::ReleaseStatus;
use serin_tests::mesh::Mesh;
use serin_tests::site::eventually;

use crate::fixture::{Fixture, check_none_failed, is_idle, told};

/// Releases beside the shop's. Three of them fill a plugin.
const OTHERS: [&str; 5] = ["one", "two", "three", "four", "five"];

pub(crate) async fn one_proxy_runs_two_plugins(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "shards", 1).await?;
    let agent = fixture.agent("one").await?;
    for name in OTHERS {
        for version in ["stable", "canary"] {
            fixture.namespace.deploy(name, version, "shop:v1", 0).await?;
        }
        let service = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{selector: {{app: {name}}}, ports: [{{name: http, port: 80}}]}}\n"
        );
        fixture.namespace.apply(&service).await?;
        let other = |yaml: String| large(&yaml).replace("shop", name);
        fixture.release("{setWeight: 30, pause: {}}", other).await?;
    }
    fixture.release("{setWeight: 30, pause: {}}", |yaml| large(&yaml)).await?;
    for name in OTHERS.into_iter().chain(["shop"]) {
        in_force(&fixture, name).await.with_context(|| agent.log())?;
    }
    let plugins = fixture.kubectl(&["get", "wasmplugins", "-o", "name"]).await?;
    ensure!(plugins.lines().count() == 2, "{plugins}");

    let traffic = fixture.traffic(80).await?;
    fixture.set_image("shop:v2").await?;
    fixture.check_exposure(&traffic, 30).await.with_context(|| agent.log())?;
    // Of so many the share is off by a tenth once in many thousand draws.
    let enough = |status: &ReleaseStatus| {
        let served = status.served.is_some_and(|served| served.requests >= 400);
        served && status.message.contains("waits for approval")
    };
    let status = fixture.status_that("a verdict", enough).await.with_context(|| agent.log())?;
    let served = status.served.context("served")?.percent;
    ensure!((200_000..400_000).contains(&served.ppm()), "{served}: {}", told(&status));
    check_none_failed(&traffic.stop().await?)
}

/// A Release with a policy of a quarter of a megabyte: segments for what nobody asks.
fn large(release: &str) -> String {
    let value = "v".repeat(1_000);
    let segments: Vec<_> = (0..32)
        .map(|segment| {
            let header = |number| format!("{{name: x-{segment}-{number}, value: {value}}}");
            let headers: Vec<_> = (0..8).map(header).collect();
            let headers = headers.join(", ");
            format!("{{name: s{segment}, weight: 100, matches: [{{headers: [{headers}]}}]}}")
        })
        .collect();
    format!("{release}  segments: [{}]\n", segments.join(", "))
}

/// Waits until the proxy reports the policy of a Release that has nothing to release.
async fn in_force(fixture: &Fixture<'_>, release: &str) -> Result<()> {
    eventually(&format!("{release}'s policy in the proxy"), async || {
        let status = fixture.status_of(release).await?;
        ensure!(is_idle(&status) && status.proxies.current == 1, "{}", told(&status));
        Ok(())
    })
    .await
}
