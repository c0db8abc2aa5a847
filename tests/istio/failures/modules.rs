/*!
The agent, which serves the module, is away while a proxy wants it.
*/
use std::net::Ipv4Addr;
use std::num::NonZeroU32;

use anyhow::{Context, Result, ensure};
use serin_tests::mesh::Mesh;
use serin_tests::mesh::traffic::{Plan, Traffic, User};
use serin_tests::site::eventually;

use super::{Case, Play, RATE, said};
use crate::SEED;
use crate::stage::Stage;

pub(crate) async fn a_proxy_starts_without_the_agent(mesh: &Mesh) -> Result<()> {
    let play = Play::set(mesh, "module", 2).await?;
    play.release("v2").await?;
    let Play { traffic, agent, mut stage } = play;
    drop(traffic);
    let [stays, goes] = stage.gateway.pods.clone().try_into().ok().context("there are two")?;
    // The second is about to go: its users have gone elsewhere.
    let traffic = through(&stage, &stays)?;
    let case = Case::begin("gateway pod starts while the agent is down, at 30%", &traffic);
    let address = agent.address().to_owned();
    agent.kill().await?;
    // What is read there from now on, another agent has written.
    let unsaid = r#"{"status": {"message": ""}}"#;
    stage
        .kubectl(&["patch", "release", "shop", "--subresource=status", "--type=merge", "-p", unsaid])
        .await?;
    stage.kubectl(&["delete", "pod", &goes.0, "--wait=false"]).await?;
    stage.gateway = eventually("another gateway pod", async || {
        let gateway = stage.namespace.gateway_pods().await?;
        ensure!(gateway.pods.len() == 2 && !gateway.pods.contains(&goes), "{gateway:?}");
        Ok(gateway)
    })
    .await?;
    stage.namespace.rolled_out("gateway").await?;
    let new = stage.gateway.pods.iter().find(|pod| **pod != stays).context("there is a new one")?.clone();
    let through_new = through(&stage, &new)?;
    let bypassed = Case::begin("… and users of that pod", &through_new);
    // Istio's agent tries for a while; after that, only another push makes it try again.
    given_up(&new).await?;
    bypassed.after(200).await?;
    bypassed.check_all_on("shop-stable", "v1")?;
    bypassed.end("(no agent)", "no filter: everybody on stable", 0)?;
    stage.check_served(&traffic, 30).await?;

    // It comes back where proxies look for it.
    let agent = stage.agent_at("one", &address).await?;
    let bypassed = Case::begin("… and the agent back", &through_new);
    // It is told, unless Istio's agent has tried once more in this very moment.
    let is_seen = |status: &serin_release::status::ReleaseStatus| {
        let is_told = status.message.contains(&format!("{} does not run the filter", new.0));
        is_told && status.proxies.bypassed == 1 || status.proxies.current == 2 && !status.message.is_empty()
    };
    let status = stage.status_that("who is without it", is_seen).await.with_context(|| agent.log())?;
    ensure!(status.weight == "30%", "{}", said(&status));
    case.end(&said(&status), "held at 30%", 0)?;
    stage.approve().await.with_context(|| agent.log())?;
    // Each worker of a proxy that has just got the filter makes a machine for it, one sooner than the other.
    eventually("everybody to be where they belong", async || stage.check_exposure(&through_new, 60).await)
        .await
        .with_context(|| agent.log())?;
    bypassed.end(&said(&stage.status().await?), "told to fetch again; goes on to 60%", 0)?;
    ensure!(traffic.stop().await?.failures().is_empty(), "through the pod that stayed");
    Ok(())
}

/// Waits until the fetching of the module has failed for good.
async fn given_up((_, ip): &(String, Ipv4Addr)) -> Result<()> {
    let (client, url) = (serin_agent::http::plain().build()?, format!("http://{ip}:15020/stats/prometheus"));
    let failed = async || {
        let stats = client.get(&url).send().await?.error_for_status()?.text().await?;
        let counts = stats.lines().filter(|line| line.starts_with("istio_agent_wasm"));
        let counts: Vec<_> = counts.collect();
        ensure!(counts.iter().any(|count| count.contains(r#"result="fetch_failure""#)), "{counts:?}");
        Ok(())
    };
    eventually("the fetch to fail for good", failed).await
}

/// All users, by one gateway.
fn through(stage: &Stage<'_>, (_, ip): &(String, Ipv4Addr)) -> Result<Traffic> {
    let users = stage.users.iter().map(|id| User::returning(id)).collect();
    let rate = NonZeroU32::new(RATE).context("a rate above 0")?;
    Ok(Traffic::start(Plan::at(&[(*ip, 80).into()], users, rate, *SEED)))
}
