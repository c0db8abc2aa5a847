/*!
A mesh serves its users while parts of the control plane are gone, and takes changes again when they are back.
*/
use std::num::NonZeroU32;

use anyhow::{Context, Result, ensure};
use serin_tests::client::Client;
use serin_tests::mesh::traffic::{Plan, Traffic, User};
use serin_tests::mesh::{Gateway, Mesh, Namespace};
use serin_tests::site::eventually;

use crate::SEED;
use crate::serving::{asked, routes};

/// A shop behind a gateway, in use.
async fn busy_shop(namespace: &Namespace) -> Result<(Gateway, Traffic)> {
    let (gateway, ()) = tokio::try_join!(namespace.gateway(1), namespace.shop("shop", "shop:v1", "shop:v2"))?;
    namespace.apply(&routes(namespace)).await?;
    let client = Client::new(gateway.address());
    eventually("the route", async || asked(&client, &[]).await).await?;
    let users = (0..10).map(|number| User::with_header("x-user", &number.to_string())).collect();
    let rate = NonZeroU32::new(100).context("not 0")?;
    Ok((gateway.clone(), Traffic::start(Plan::at(&[gateway.address()], users, rate, *SEED))))
}

/// Waits until users have asked some more.
async fn go_on(traffic: &Traffic) -> Result<()> {
    let before = traffic.requests();
    eventually("requests", async || {
        let (requests, report) = (traffic.requests(), traffic.so_far());
        ensure!(requests > before + 100, "{requests} after {before}, the last {:?}", report.0.last());
        Ok(())
    })
    .await
}

pub(crate) async fn without_istiod(mesh: &Mesh) -> Result<()> {
    let namespace = mesh.namespace("no-istiod").await?;
    let (gateway, traffic) = busy_shop(&namespace).await?;
    mesh.control_plane.istiod.kill().await?;
    go_on(&traffic).await?;
    mesh.control_plane.istiod.start().await?;
    eventually("the gateway to be back", async || {
        let proxies = mesh.istioctl(&["proxy-status"]).await?;
        let wanted = format!("{}.{}", gateway.pods[0].0, namespace.name());
        ensure!(proxies.contains(&wanted), "{proxies}");
        Ok(())
    })
    .await?;
    let report = traffic.stop().await?;
    ensure!(report.failures().is_empty(), "{:?}", report.failures());
    // It takes changes again.
    namespace.apply(&routes(&namespace).replace("subset: stable", "subset: canary")).await?;
    let client = Client::new(gateway.address());
    eventually("the new route", async || {
        let found = asked(&client, &[]).await?;
        ensure!(found == "shop-canary", "{found}");
        Ok(())
    })
    .await
}

pub(crate) async fn without_api_server(mesh: &Mesh) -> Result<()> {
    let namespace = mesh.namespace("no-api").await?;
    let (_, traffic) = busy_shop(&namespace).await?;
    mesh.control_plane.api_server.kill().await?;
    ensure!(namespace.pods("").await.is_err());
    go_on(&traffic).await?;
    mesh.control_plane.api_server.start().await?;
    mesh.control_plane.api_server.freeze().await?;
    go_on(&traffic).await?;
    mesh.control_plane.api_server.thaw().await?;
    // istiod may not hear of changes for a while yet.
    let report = traffic.stop().await?;
    ensure!(report.failures().is_empty(), "{:?}", report.failures());
    // Controllers and the node are at work again. Those controllers wait longer and longer before they look again, so
    // that they are started anew here.
    mesh.control_plane.controllers.kill().await?;
    mesh.control_plane.controllers.start().await?;
    eventually("a change to be taken", async || namespace.deploy("shop", "stable", "shop:v3", 2).await)
        .await?;
    namespace.rolled_out("shop-stable").await
}
