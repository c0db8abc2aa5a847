//! HTTP/2, gRPC and WebSockets.

use anyhow::{Result, ensure};
use serin_agent::mesh::bootstrap::Protocol;
use serin_policy::series::Metric;
use serin_tests::protocols::{grpc_call, grpc_server, websocket_server, websocket_talk};
use serin_tests::site::{Plan, Site, eventually, run};

use crate::{expected, percent, users};

#[test]
fn grpc_calls_go_to_the_callers_version_and_their_status_is_counted() -> Result<()> {
    run(async {
        // NOT_FOUND is the client's mistake, INTERNAL the server's.
        let (stable, canary) = (grpc_server("stable", 5).await?, grpc_server("canary", 13).await?);
        let plan = Plan { upstreams: Some((stable, canary, Protocol::Http2)), ..Plan::default() };
        let site = Site::at(percent(50), plan).await?;
        let mut calls = [0, 0];
        for id in users(40) {
            let expected = expected("v2", &id, percent(50));
            let reply = grpc_call(site.address(0), &id).await?;
            ensure!(
                (reply.message.as_str(), reply.served_by.as_deref()) == (expected, Some(expected)),
                "{reply:?}"
            );
            let status = if expected == "stable" { "5" } else { "13" };
            ensure!(reply.status.as_deref() == Some(status), "{reply:?}");
            calls[usize::from(expected == "canary")] += 1;
        }
        eventually("the calls to be counted", async || {
            let sample = site.sample(0).await?;
            let total = |metric: Metric, version: &str| -> u64 {
                let of_version = format!("shop/shop/{version}/");
                let series = sample.totals.iter();
                series
                    .filter(|(key, _)| {
                        key.metric == metric.prometheus_name() && key.tag.starts_with(&of_version)
                    })
                    .map(|(_, total)| total)
                    .sum()
            };
            let counted = [
                total(Metric::GrpcClientErrors, "stable"),
                total(Metric::GrpcServerErrors, "stable"),
                total(Metric::GrpcClientErrors, "canary"),
                total(Metric::GrpcServerErrors, "canary"),
            ];
            ensure!(counted == [calls[0], 0, 0, calls[1]], "{counted:?} of {calls:?}");
            Ok(())
        })
        .await
    })
}

#[test]
fn a_websocket_is_upgraded_and_stays_with_its_version() -> Result<()> {
    run(async {
        let (stable, canary) = (websocket_server("stable").await?, websocket_server("canary").await?);
        let plan = Plan { upstreams: Some((stable, canary, Protocol::Http1)), ..Plan::default() };
        let site = Site::at(percent(50), plan).await?;
        for id in users(10) {
            let name = expected("v2", &id, percent(50));
            let heard = websocket_talk(site.address(0), &id).await?;
            ensure!(heard == [format!("{name}: hello"), format!("{name}: again")], "{heard:?}");
        }
        Ok(())
    })
}

#[test]
fn http2_clients_are_served_like_others() -> Result<()> {
    run(async {
        let site = Site::at(percent(50), Plan::default()).await?;
        for id in users(20) {
            let reply = grpc_call(site.address(0), &id).await?;
            let expected = expected("v2", &id, percent(50));
            ensure!(reply.served_by.as_deref() == Some(expected), "{reply:?}");
            ensure!(reply.message.contains(expected), "{reply:?}");
        }
        Ok(())
    })
}
