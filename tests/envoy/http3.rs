//! HTTP/3, which ends requests in an order of its own: all of them are counted, once.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serin_agent::mesh::bootstrap::Protocol;
use serin_policy::Arm;
use serin_policy::series::Tag;
use serin_tests::faulty::Faulty;
use serin_tests::http3::{Ask, LISTENER, ask};
use serin_tests::protocols::grpc_server;
use serin_tests::site::{Plan, Site, eventually, release, run};

use crate::{expected, percent, users};

async fn site(upstreams: (SocketAddr, SocketAddr, Protocol)) -> Result<Site> {
    // Nobody is slow, however busy the machine is.
    let release = release("analysis: {metrics: [{name: request-duration, objective: 30s}]}");
    Site::at(percent(50), Plan { upstreams: Some(upstreams), http3: true, release, ..Plan::default() }).await
}

async fn get(site: &Site, requests: &[Ask<'_>]) -> Result<Vec<BTreeMap<String, String>>> {
    let proxy = site.envoys[0].listener(LISTENER).context("a listener for HTTP/3")?;
    let heads = ask(proxy, requests).await?;
    Ok(heads.into_iter().map(|heads| heads.into_iter().flatten().collect()).collect())
}

/// What was counted of `arm` that is not 0, but for times and routes, by name and class.
async fn counted(site: &Site, arm: Arm) -> Result<BTreeMap<String, u64>> {
    let mut counted = BTreeMap::new();
    for (key, total) in site.sample(0).await?.totals {
        let is_of = Tag::parse(&key.tag).is_some_and(|tag| tag.arm == arm);
        let is_counter = !["serin_failed_route", "serin_rq_time"].iter().any(|it| key.metric.starts_with(it));
        if is_of && total > 0 && is_counter {
            let name = if key.class.is_empty() { key.metric } else { key.class };
            *counted.entry(name).or_default() += total;
        }
    }
    Ok(counted)
}

async fn wait_until_counted(site: &Site, arm: Arm, expected: &[(&str, u64)]) -> Result<()> {
    let expected: BTreeMap<String, u64> =
        expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    eventually("all to be counted", async || {
        let counted = counted(site, arm).await?;
        ensure!(counted == expected, "{counted:?}, not {expected:?}");
        Ok(())
    })
    .await
}

/// Somebody who is on this version at 50 %.
fn somebody_on(version: &str) -> String {
    users(50).into_iter().find(|id| expected("v2", id, percent(50)) == version).expect("half of them are")
}

#[test]
fn every_end_of_a_request_is_counted_once() -> Result<()> {
    run(async {
        let faulty = Faulty::start().await?;
        let site = site((faulty.address(), faulty.address(), Protocol::Http1)).await?;
        let id = &somebody_on("canary");
        let of = |path| Ask { path, id, leaves: false };
        let requests = [of("/"), of("/"), of("/missing"), of("/fail"), of("/reset"), of("/broken")];
        let answers = get(&site, &requests).await?;
        let statuses: Vec<_> = answers.iter().map(|head| head.get(":status").map(String::as_str)).collect();
        ensure!(
            statuses == [Some("200"), Some("200"), Some("404"), Some("503"), Some("503"), Some("200")],
            "{answers:?}"
        );
        ensure!(answers[0].get("x-served-by").map(String::as_str) == Some("canary"), "{answers:?}");
        let ended = [("2xx", 3), ("4xx", 1), ("5xx", 2), ("serin_broken", 1)];
        wait_until_counted(&site, Arm::Canary, &ended).await?;
        // Whoever leaves before there is an answer, and in the middle of one.
        get(&site, &[Ask { leaves: true, ..of("/hang") }, Ask { leaves: true, ..of("/stream") }]).await?;
        let left = [("2xx", 4), ("4xx", 1), ("5xx", 2), ("serin_broken", 1), ("serin_left", 1)];
        wait_until_counted(&site, Arm::Canary, &left).await
    })
}

#[test]
fn grpc_statuses_in_trailers_are_counted() -> Result<()> {
    run(async {
        // NOT_FOUND is the client's mistake, INTERNAL the server's.
        let (stable, canary) = (grpc_server("stable", 5).await?, grpc_server("canary", 13).await?);
        let site = site((stable, canary, Protocol::Http2)).await?;
        for (arm, status, metric) in
            [(Arm::Stable, "5", "serin_grpc_client_errors"), (Arm::Canary, "13", "serin_grpc_server_errors")]
        {
            let id = &somebody_on(arm.as_str());
            let answers = get(&site, &[Ask { path: "/shop.Shop/Buy", id, leaves: false }]).await?;
            ensure!(answers[0].get("grpc-status").map(String::as_str) == Some(status), "{answers:?}");
            wait_until_counted(&site, arm, &[("2xx", 1), (metric, 1)]).await?;
        }
        Ok(())
    })
}
