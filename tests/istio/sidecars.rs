/*!
Releases to callers inside the mesh, whose own sidecars assign them.
*/
use anyhow::{Context, Result, ensure};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use serin_release::status::RunOutcome;
use serin_tests::client::Client;
use serin_tests::mesh::traffic::{Traffic, User};
use serin_tests::mesh::{Gateway, Mesh};
use serin_tests::site::HOST;

use crate::fixture::{Fixture, check_nobody_went_back, check_none_failed, is_idle};

/// Users as services see them: by the baggage that a gateway has sent on, or by the cookie where a service sends that on.
fn user_inside(number: usize, id: &str) -> User {
    if number.is_multiple_of(2) {
        User::with_header("baggage", &format!("tenant=a,serin={id}"))
    } else {
        User::returning(id)
    }
}

/// Every pod has a sidecar here, the shop's own too: what those run counts as well, and they come and go.
pub(crate) async fn callers_inside(mesh: &Mesh) -> Result<()> {
    let namespace = mesh.namespace("inside").await?;
    let shop = namespace.strict_shop("shop", "shop:v1", "shop:v1");
    let (proxy, ()) = tokio::try_join!(namespace.application("front", "front:v1"), shop)?;
    let fixture = Fixture::of(mesh, namespace, Gateway { pods: Vec::new() });
    let agent = fixture.agent("one").await?;
    let routing = |yaml: String| {
        yaml.replace(
            &format!("routing: {{gateways: [gateway], hosts: [{HOST}]}}"),
            "routing: {gateways: [mesh]}",
        )
    };
    release(&fixture, routing).await.with_context(|| agent.log())?;
    let inside = Client::through(proxy, "shop")?;
    let traffic = fixture.traffic_by(vec![inside.clone()], user_inside, 150)?;
    check_nobody_is_given_an_id(&inside).await?;
    promote(&fixture, &[&traffic]).await.with_context(|| agent.log())?;
    finish(traffic).await
}

pub(crate) async fn by_every_way(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "ways", 1).await?;
    let proxy = fixture.namespace.application("front", "front:v1").await?;
    let agent = fixture.agent("one").await?;
    let inside = format!("shop.{}.svc.cluster.local", fixture.namespace.name());
    let routing = |yaml: String| {
        let outside = format!("gateways: [gateway], hosts: [{HOST}]");
        yaml.replace(&outside, &format!("gateways: [gateway, mesh], hosts: [{HOST}, {inside}]"))
    };
    release(&fixture, routing).await.with_context(|| agent.log())?;
    check_gateway_runs_one_filter(&fixture).await?;
    let outside = fixture.traffic(100).await?;
    let inside = fixture.traffic_by(vec![Client::through(proxy, &inside)?], user_inside, 100)?;
    // Both are checked against one hash, so whoever is on the canary by one way is by the other.
    promote(&fixture, &[&outside, &inside]).await.with_context(|| agent.log())?;
    check_counted_once(&fixture, &outside).await?;
    finish(outside).await?;
    finish(inside).await
}

async fn release(fixture: &Fixture<'_>, edit: impl Fn(String) -> String) -> Result<()> {
    fixture.release("{setWeight: 25, pause: {}}, {setWeight: 50, pause: {}}", edit).await?;
    fixture
        .status_that("nothing to release", |status| {
            let proxies = status.proxies;
            is_idle(status) && proxies.total > 1 && proxies.all_current()
        })
        .await?;
    Ok(())
}

/// Releases v2 in two steps, and checks who is on it at each.
async fn promote(fixture: &Fixture<'_>, ways: &[&Traffic]) -> Result<()> {
    fixture.set_image("shop:v2").await?;
    for percent in [25, 50] {
        for traffic in ways {
            let exposed = fixture.check_exposure(traffic, percent).await?;
            eprintln!("{percent} %: {exposed} of {} users, each as the hash says", fixture.users.len());
        }
        fixture.approve().await?;
    }
    fixture.outcome(RunOutcome::Promoted).await?;
    Ok(())
}

async fn finish(traffic: Traffic) -> Result<()> {
    let report = traffic.stop().await?;
    check_none_failed(&report)?;
    check_nobody_went_back(&report)?;
    eprintln!("{} requests over the whole release, none failed", report.0.len());
    Ok(())
}

/// A service keeps no cookies, so it is given none.
async fn check_nobody_is_given_an_id(inside: &Client) -> Result<()> {
    let answer = inside.get("/", &[]).await?;
    ensure!(!answer.headers.contains_key("set-cookie"), "{:?}", answer.headers);
    Ok(())
}

/// The sidecars' plugin covers a gateway in the same namespace: with one of its own it would do everything twice.
async fn check_gateway_runs_one_filter(fixture: &Fixture<'_>) -> Result<()> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("extensions.istio.io", "v1alpha1", "WasmPlugin"));
    let plugins: Api<DynamicObject> =
        Api::namespaced_with(fixture.mesh.client(), fixture.namespace.name(), &kind);
    let plugins = plugins.list(&ListParams::default()).await?.items;
    let answer = Client::new(fixture.gateway.address()).get("/", &[("sec-fetch-mode", "navigate")]).await?;
    let cookies = answer.headers.get_all("set-cookie").iter().count();
    ensure!((plugins.len(), cookies) == (1, 1), "{} plugins, {cookies} cookies", plugins.len());
    Ok(())
}

/// What the gateway has counted is what it was asked.
async fn check_counted_once(fixture: &Fixture<'_>, traffic: &Traffic) -> Result<()> {
    let asked = traffic.requests();
    let stats = format!("http://{}:15090/stats/prometheus", fixture.gateway.address().ip());
    let stats = serin_agent::http::plain().build()?.get(stats).send().await?.text().await?;
    let counted = stats.lines().filter(|line| line.starts_with("serin_rq{"));
    let counted: f64 = counted.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum();
    #[expect(clippy::cast_precision_loss, reason = "there are not that many")]
    let share = counted / asked as f64;
    ensure!((0.9..1.1).contains(&share), "{asked} requests, {counted} counted");
    Ok(())
}
