/*!
Ways to the canary besides its weight: past the filter, by another VirtualService or from a sidecar that does not run it; and by
a segment.
*/
use anyhow::{Context, Result, ensure};
use serin_release::status::{ReleasePhase, RunOutcome};
use serin_tests::client::Client;
use serin_tests::mesh::Mesh;
use serin_tests::mesh::traffic::{Outcome, Traffic, User};
use serin_tests::site::eventually;

use crate::fixture::{Fixture, check_none_failed, is_at, told};

/// Somebody else's way to the Service.
const OTHER: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: other}
spec:
  hosts: [other.example.com]
  gateways: [gateway]
  http: [{route: [{destination: {host: shop}}]}]
";

/// The fixture's Service, narrowed to stable.
const NARROW: &str = r#"{"spec":{"selector":{"version":"stable"}}}"#;

/// The same with both versions' pods again.
const WIDE: &str = r#"[{"op":"remove","path":"/spec/selector/version"}]"#;

/// In mid-run the canary gets a Service of its own and the plain one is narrowed to stable. From then on nobody meets the canary
/// who was not given it: neither at 1 % nor at 0 %, neither in a promotion, an abort nor when the Release goes.
pub(crate) async fn a_canary_has_a_service_of_its_own(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "own", 1).await?;
    fixture.namespace.deploy("shop", "stable", "shop:v1", 4).await?;
    fixture.namespace.rolled_out("shop-stable").await?;
    fixture.namespace.apply(OTHER).await?;
    let proxy = fixture.namespace.application("front", "front:v1").await?;
    let without_filter =
        Client::through(proxy, &format!("shop.{}.svc.cluster.local", fixture.namespace.name()))?;
    let agent = fixture.agent("one").await?;
    let steps = "{setWeight: 1, pause: {}}, {setWeight: 50, pause: {}}";
    fixture.release(steps, |yaml| yaml).await?;
    fixture.idle().await?;
    let users = fixture.traffic(60).await?;
    let by_another_route = fixture.traffic_by(
        vec![Client::new(fixture.gateway.address())],
        |_, _| User::with_header("host", "other.example.com"),
        30,
    )?;
    let past = fixture.traffic_by(vec![without_filter], |_, id| User::with_header("x-user", id), 30)?;
    let ways = [&by_another_route, &past];
    fixture.set_image("shop:v2").await?;
    fixture.check_exposure(&users, 1).await.with_context(|| agent.log())?;
    for way in ways {
        let share = eventually("enough requests", async || {
            let (requests, on_canary) = on_canary(way, 0);
            ensure!(requests >= 200, "{requests} yet");
            Ok(on_canary)
        })
        .await?;
        ensure!(share > 0, "with subsets they meet the canary");
    }

    let with_service = |yaml: String| {
        yaml.replace("{name: shop-canary}", "{name: shop-canary}, service: {name: shop-canary}")
    };
    fixture.release(steps, with_service).await?;
    let wide = "Service shop: also selects the pods of Deployment shop-canary";
    let status = fixture.status_that(wide, |status| status.message.contains(wide)).await;
    let status = status.with_context(|| agent.log())?;
    ensure!(status.message.contains("add version=stable to its spec.selector"), "{}", told(&status));
    leads_to(&fixture, "shop-canary").await.with_context(|| agent.log())?;
    fixture.check_served(&users, 1).await?;
    fixture.kubectl(&["patch", "service", "shop", "--type=merge", "-p", NARROW]).await?;
    fixture.status_that("the end of that", |status| !status.message.contains(wide)).await?;
    fixture.check_exposure(&users, 1).await?;
    let from = ways.map(Traffic::requests);
    // Requests that were under way are over among the first of these.
    for (way, from) in ways.iter().zip(from) {
        none_on_canary(way, from + 40, 400).await?;
    }

    fixture.approve().await.with_context(|| agent.log())?;
    fixture.check_exposure(&users, 50).await.with_context(|| agent.log())?;
    fixture.approve().await?;
    fixture.outcome(RunOutcome::Promoted).await.with_context(|| agent.log())?;
    fixture.phase(ReleasePhase::Promoted).await?;
    // A version that is ready and has nobody yet, and then 1 %.
    fixture.set_image("shop:v3").await?;
    fixture.check_exposure(&users, 1).await.with_context(|| agent.log())?;
    fixture.command("abort").await?;
    fixture.outcome(RunOutcome::Aborted).await.with_context(|| agent.log())?;
    let patch = r#"{"spec":{"selector":{"track":"x"},"ports":[{"name":"http","port":80,"targetPort":8080},{"name":"more","port":81}]}}"#;
    fixture.kubectl(&["patch", "service", "shop-canary", "--type=merge", "-p", patch]).await?;
    let spec = "jsonpath={.spec.selector} {.spec.ports[*].port}";
    eventually("the canary's Service as it was", async || {
        let found = fixture.kubectl(&["get", "service", "shop-canary", "-o", spec]).await?;
        ensure!(found == r#"{"app":"shop","version":"canary"} 80"#, "{found}");
        Ok(())
    })
    .await
    .with_context(|| agent.log())?;
    // An owner would take it away under its users.
    let owned = "jsonpath={.metadata.labels.serin\\.dev/release}{.metadata.ownerReferences}";
    let owned = fixture.kubectl(&["get", "service", "shop-canary", "-o", owned]).await?;
    ensure!(owned == "shop", "{owned:?}");

    // Between releases there is a way back to subsets, and nothing of this way is left.
    eventually("the canary's pods to go", async || {
        let pods = fixture.namespace.pods("app=shop,version=canary").await?.len();
        ensure!(pods == 0, "{pods} pods");
        Ok(())
    })
    .await?;
    fixture.kubectl(&["patch", "service", "shop", "--type=json", "-p", WIDE]).await?;
    fixture.release(steps, |yaml| yaml).await?;
    eventually("what is needed no more to go", async || {
        let left = fixture.kubectl(&["get", "services,destinationrules", "-o", "name"]).await?;
        ensure!(!left.contains("canary"), "{left}");
        Ok(())
    })
    .await
    .with_context(|| agent.log())?;
    fixture.check_served(&users, 0).await?;
    check_none_failed(&users.stop().await?)?;
    fixture.kubectl(&["delete", "release", "shop", "--timeout=60s"]).await?;
    for (way, from) in ways.iter().zip(from) {
        let (requests, on_canary) = on_canary(way, from + 40);
        ensure!(on_canary == 0, "{on_canary} of {requests} on the canary");
    }
    for way in [by_another_route, past] {
        check_none_failed(&way.stop().await?)?;
    }
    Ok(())
}

/// Half of the users are members of a segment that has the canary as a whole, at 0 % already: it gets pods for them, and when the
/// last one dies they go to stable.
pub(crate) async fn a_segment_has_pods_and_a_way_back(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "segment", 1).await?;
    fixture.namespace.deploy("shop", "stable", "shop:v1", 4).await?;
    fixture.namespace.rolled_out("shop-stable").await?;
    let agent = fixture.agent("one").await?;
    fixture
        .release("{setWeight: 1, pause: {}}", |yaml| {
            yaml.replace("baseline: 2s", "baseline: 1h")
                + "  segments: [{name: beta, weight: 100, matches: [{headers: [{name: x-beta, value: member}]}]}]\n"
        })
        .await?;
    fixture.idle().await?;
    let at_gateway = || vec![Client::new(fixture.gateway.address())];
    let users = fixture.traffic(40).await?;
    let members = fixture.traffic_by(at_gateway(), |_, _| User::with_header("x-beta", "member"), 40)?;
    // Slow to come back, so that there is a time without it.
    fixture.set_image("shop:v2?start=4s").await?;
    let from = members.requests();
    eventually("pods for the segment", async || {
        let pods = fixture.replicas("shop-canary").await?;
        ensure!(pods == 2, "{pods} pods at 0%");
        Ok(())
    })
    .await
    .with_context(|| agent.log())?;
    let status = fixture.status().await?;
    ensure!(is_at(&status, 0) && status.phase == ReleasePhase::Starting, "{}", told(&status));
    let (_, had_canary) = on_canary(&members, from);
    ensure!(had_canary > 0, "the segment has the canary");

    fixture.namespace.rolled_out("shop-canary").await?;
    fixture.kubectl(&["scale", "deployment", "shop-canary", "--replicas=0"]).await?;
    let status = fixture.outcome(RunOutcome::RolledBack).await.with_context(|| agent.log())?;
    ensure!(status.message.contains("the canary cannot serve"), "{}", told(&status));
    fixture.status_that("all proxies to know", |status| status.proxies.all_current()).await?;
    let from = members.requests();
    none_on_canary(&members, from + 20, 200).await?;
    let served = members.stop().await?;
    let failed = served.failures().iter().filter(|record| record.sent > served.0[from].sent).count();
    ensure!(failed == 0, "{failed} failed after the last proxy knew");
    check_none_failed(&users.stop().await?)
}

/// Waits until the first route leads to this Service.
async fn leads_to(fixture: &Fixture<'_>, service: &str) -> Result<()> {
    let host = "jsonpath={.spec.http[0].route[0].destination.host}";
    eventually(service, async || {
        let found = fixture.kubectl(&["get", "virtualservice", "shop-serin", "-o", host]).await?;
        ensure!(found.split('.').next() == Some(service), "{found}");
        Ok(())
    })
    .await
}

/// Requests from the one of this number on, and how many of them the canary answered.
fn on_canary(traffic: &Traffic, from: usize) -> (usize, usize) {
    let report = traffic.so_far();
    let records = report.0.get(from..).unwrap_or_default();
    let is_canarys = |outcome: &Outcome| matches!(outcome, Outcome::Served { deployment, .. } if deployment == "shop-canary");
    (records.len(), records.iter().filter(|record| is_canarys(&record.outcome)).count())
}

/// Waits for so many requests, and checks that the canary has answered none of them.
async fn none_on_canary(traffic: &Traffic, from: usize, requests: usize) -> Result<()> {
    let found = eventually("enough requests", async || {
        let (seen, on_canary) = on_canary(traffic, from);
        ensure!(seen >= requests, "{seen} yet");
        Ok(on_canary)
    })
    .await?;
    ensure!(found == 0, "{found} of {requests} on the canary");
    Ok(())
}
