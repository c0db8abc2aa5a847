/*!
The agent, which serves the module, is away while a proxy wants it.
*/
use std::net::Ipv4Addr;
use std::num::NonZeroU32;

use anyhow::{Context, Result, ensure};
use serin_tests::mesh::Mesh;
use serin_tests::mesh::traffic::{Plan, Traffic, User};
use serin_tests::site::eventually;

use super::{Case, RATE, UnderLoad, said};
use crate::SEED;
use crate::fixture::{Fixture, is_at};

pub(crate) async fn a_proxy_starts_without_the_agent(mesh: &Mesh) -> Result<()> {
    let under_load = UnderLoad::set(mesh, "module", 2).await?;
    under_load.release("v2").await?;
    let UnderLoad { traffic, agent, mut fixture } = under_load;
    drop(traffic);
    let [stays, goes] = fixture.gateway.pods.clone().try_into().ok().context("there are two")?;
    // The second is about to go: its users have gone elsewhere.
    let traffic = through(&fixture, &stays)?;
    let case = Case::begin("gateway pod starts while the agent is down, at 30%", &traffic);
    let address = agent.address().to_owned();
    agent.kill().await?;
    // What is read there from now on, another agent has written.
    let unsaid = r#"{"status": {"message": ""}}"#;
    fixture
        .kubectl(&["patch", "release", "shop", "--subresource=status", "--type=merge", "-p", unsaid])
        .await?;
    fixture.kubectl(&["delete", "pod", &goes.0, "--wait=false"]).await?;
    fixture.gateway = eventually("another gateway pod", async || {
        let gateway = fixture.namespace.gateway_pods().await?;
        ensure!(gateway.pods.len() == 2 && !gateway.pods.contains(&goes), "{gateway:?}");
        Ok(gateway)
    })
    .await?;
    fixture.namespace.rolled_out("gateway").await?;
    let new = fixture.gateway.pods.iter().find(|pod| **pod != stays).context("there is a new one")?.clone();
    let through_new = through(&fixture, &new)?;
    let bypassed = Case::begin("… and users of that pod", &through_new);
    // Istio's agent tries for a while; after that, only another push makes it try again.
    given_up(&new).await?;
    bypassed.after(200).await?;
    bypassed.check_all_on("shop-stable", "v1")?;
    bypassed.end("(no agent)", "no filter: everybody on stable", 0)?;
    fixture.check_served(&traffic, 30).await?;

    // It comes back where proxies look for it.
    let agent = fixture.agent_at("one", &address).await?;
    let bypassed = Case::begin("… and the agent back", &through_new);
    // It is told, unless Istio's agent has tried once more in this very moment.
    let is_seen = |status: &serin_release::status::ReleaseStatus| {
        let is_told = status.message.contains(&format!("{} does not run the filter", new.0));
        is_told && status.proxies.bypassed == 1 || status.proxies.current == 2 && !status.message.is_empty()
    };
    let status = fixture.status_that("who is without it", is_seen).await.with_context(|| agent.log())?;
    ensure!(is_at(&status, 30), "{}", said(&status));
    case.end(&said(&status), "held at 30%", 0)?;
    fixture.approve().await.with_context(|| agent.log())?;
    // Each worker of a proxy that has just got the filter makes a machine for it, one sooner than the other.
    eventually("everybody to be where they belong", async || fixture.check_exposure(&through_new, 60).await)
        .await
        .with_context(|| agent.log())?;
    bypassed.end(&said(&fixture.status().await?), "told to fetch again; goes on to 60%", 0)?;
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
fn through(fixture: &Fixture<'_>, (_, ip): &(String, Ipv4Addr)) -> Result<Traffic> {
    let users = fixture.users.iter().map(|id| User::returning(id)).collect();
    let rate = NonZeroU32::new(RATE).context("a rate above 0")?;
    Ok(Traffic::start(Plan::at(&[(*ip, 80).into()], users, rate, *SEED)))
}
