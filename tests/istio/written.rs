/*!
Routes that people write beside Serin's, in front of a release that is under way.
*/
use anyhow::{Context, Result, ensure};
use serin_tests::client::Client;
use serin_tests::mesh::{Answer, Mesh};
use serin_tests::site::eventually;

use crate::fixture::Fixture;

/// Everything is below `/shop`, and the versions do not know of that.
const ROUTING: &str = "
    pathPrefix: /shop
    rewrite: {uri: /}
    http:
    - {match: [{uri: {exact: /health}}], directResponse: {status: 200, body: {string: fine}}}
    - {match: [{uri: {prefix: /old/}}], redirect: {uri: /shop/}}
    - match: [{uri: {prefix: /shop/upload/}}]
      timeout: 60s
      rewrite: {uri: /uploads/}
    - {match: [{uri: {prefix: /other/}}], route: [{destination: {host: other}}]}
    tcp:
    - {match: [{port: 9000}], route: [{destination: {host: other, port: {number: 80}}}]}
    exportTo: ['*']
";

/// Which path the pods were asked for before it was rewritten, which Envoy tells them.
const ORIGINAL: &str = "x-envoy-original-path";

pub(crate) async fn what_people_write_beside_serins_routes_is_kept(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "written", 1).await?;
    fixture.namespace.application("other", "other:v1").await?;
    let agent = fixture.agent("one").await?;
    let edit = |yaml: String| {
        let headers = "{targetRef: {name: shop-canary}, headers: {response: {set: {x-version: new}}}}";
        yaml.replace("{targetRef: {name: shop-canary}}", headers)
            .replace(
                "routing: {gateways: [gateway], hosts: [shop.example.com]}",
                "routing:\n    gateways: [gateway, mesh]\n    hosts: [shop.example.com]",
            )
            .replace("  strategy:", &format!("{ROUTING}  strategy:"))
    };
    fixture.release("{setWeight: 50, pause: {}}", edit).await?;
    fixture.idle().await.with_context(|| agent.log())?;
    fixture.set_image("shop:v2").await?;
    let run = fixture
        .status_that("50%", |status| crate::fixture::is_at(status, 50) && status.proxies.all_current());
    let run = run.await.with_context(|| agent.log())?.run.context("a run has a name")?;

    let (moved, other) = fixture.one_on_each(&run, 50)?;
    let client = Client::new(fixture.gateway.address());
    for (id, deployment, header) in [(moved, "shop-canary", Some("new")), (other, "shop-stable", None)] {
        let cookie = format!("serin={id}");
        for (path, original) in
            [("/shop/a", "/shop/a"), ("/shop", "/shop"), ("/shop/upload/b", "/shop/upload/b")]
        {
            eventually(path, async || {
                let answer = client.get(path, &[("cookie", &cookie)]).await?;
                let said: Answer = serde_json::from_str(&answer.body).with_context(|| answer.body.clone())?;
                ensure!(said.deployment == deployment && answer.header("x-version") == header, "{answer:?}");
                ensure!(said.headers.get(ORIGINAL).is_some_and(|path| path == original), "{answer:?}");
                Ok(())
            })
            .await?;
        }
        // What is not below the prefix is everybody's.
        let answer = client.get("/else", &[("cookie", &cookie)]).await?;
        let said: Answer = serde_json::from_str(&answer.body)?;
        ensure!(said.deployment == "shop-stable" && !said.headers.contains_key(ORIGINAL), "{answer:?}");
        let answer = client.get("/other/a", &[("cookie", &cookie)]).await?;
        ensure!(serde_json::from_str::<Answer>(&answer.body)?.deployment == "other", "{answer:?}");
        let answer = client.get("/health", &[("cookie", &cookie)]).await?;
        ensure!(answer.body == "fine", "{answer:?}");
        let answer = client.get("/old/a", &[("cookie", &cookie)]).await?;
        ensure!(
            (answer.status, answer.header("location")) == (301, Some("http://shop.example.com/shop/")),
            "{answer:?}"
        );
    }
    // istiod's own checks find nothing wrong with it. (No webhook puts proxies into pods here.)
    let analyze = ["analyze", "-n", fixture.namespace.name(), "--suppress", "IST0147=Pod *"];
    mesh.istioctl(&analyze).await?;
    Ok(())
}
