/*!
Others have routes for the same host: people's own VirtualService, or another Release.
*/
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use serin_tests::mesh::Mesh;
use serin_tests::site::{HOST, eventually};

use super::{STEPS, UnderLoad, said};
use crate::fixture::{Fixture, condition, is_at, told};

/// A VirtualService and a DestinationRule of the people's own, as they had them before any release.
const THEIRS: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: theirs}
spec:
  hosts: [HOST]
  gateways: [gateway]
  http: [{route: [{destination: {host: shop, subset: stable}}]}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: theirs}
spec:
  host: shop
  subsets: [{name: stable, labels: {version: stable}}, {name: canary, labels: {version: canary}}]
";

fn theirs() -> String {
    THEIRS.replace("HOST", HOST)
}

pub(crate) async fn a_foreign_route_comes(mesh: &Mesh) -> Result<()> {
    let under_load = UnderLoad::set(mesh, "foreign", 1).await?;
    under_load.release("v2").await?;
    let case = under_load.case("foreign VirtualService at 30%");
    let route = theirs();
    let route = route.split("---").next().context("the route is first")?;
    under_load.fixture.namespace.apply(route).await?;
    let name = format!("VirtualService {}/theirs", under_load.fixture.namespace.name());
    let status = under_load.said(&name).await?;
    ensure!(status.message.contains("spec.routing.mode to Verify"), "{}", said(&status));
    ensure!(condition(&status, "Routed")?.status == "False", "{}", said(&status));
    // Approval is noted, and does not help it yet.
    under_load.command("resume").await?;
    case.after(200).await?;
    ensure!(is_at(&under_load.fixture.status().await?, 30), "it has moved");
    under_load.check_exposure(30).await?;
    case.end(&said(&status), "nobody is moved", 0)?;

    let case = under_load.case("and deleted");
    under_load.fixture.kubectl(&["delete", "virtualservice", "theirs"]).await?;
    under_load.check_exposure(60).await?;
    case.end(&said(&under_load.fixture.status().await?), "goes on to 60%", 0)
}

pub(crate) async fn two_releases_want_a_host(mesh: &Mesh) -> Result<()> {
    let under_load = UnderLoad::set(mesh, "two", 1).await?;
    under_load.fixture.namespace.shop("other", "shop:v1", "shop:v1").await?;
    under_load.release("v2").await?;
    let case = under_load.case("a younger Release for the same host at 30%");
    let younger = |yaml: String| {
        let yaml = yaml.replace("name: shop-", "name: other-").replace("{name: shop}", "{name: other}");
        yaml.replace("minRequests: 20", "minRequests: 10")
    };
    under_load.fixture.release(STEPS, younger).await?;
    let older = format!("Release {}/shop is older", under_load.fixture.namespace.name());
    let younger_says = async |what: &str| {
        eventually(&format!("the younger to say {what}"), async || {
            let status = under_load.fixture.status_of("other").await?;
            let ready = condition(&status, "Accepted")?.clone();
            ensure!(ready.message.contains(what), "{} {}", told(&status), ready.message);
            Ok((status, ready.message))
        })
        .await
    };
    let (_, said_so) = younger_says(&older).await?;
    ensure!(said_so.contains("spec.routing.hosts"), "{said_so}");
    under_load.check_exposure(30).await?;
    case.end(&said_so, "the older goes on", 0)?;

    let case = under_load.case("and the older deleted");
    under_load.fixture.kubectl(&["delete", "release", "shop", "--timeout=40s"]).await?;
    let (status, _) = younger_says("the spec is in order").await?;
    eventually("the younger's route", async || {
        under_load.fixture.kubectl(&["get", "virtualservice", "other-serin"]).await
    })
    .await?;
    // The one's route may go a moment before the other's is there.
    case.end(&said(&status), "the younger has the host", 20)
}

pub(crate) async fn own_routes_are_checked(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "verify", 1).await?;
    fixture.namespace.apply(&theirs()).await?;
    let under_load =
        UnderLoad::on(fixture, |yaml| yaml.replace("routing: {", "routing: {mode: Verify, ")).await?;
    let case = under_load.case("Verify: no route for the header");
    under_load.fixture.set_image("shop:v2").await?;
    let status = under_load.said("Paste into").await?;
    let wrong = condition(&status, "Routed")?.message.clone();
    let (_, paste) = wrong.split_once(":\n").with_context(|| format!("no YAML in {wrong}"))?;
    let paste: Value = serde_saphyr::from_str(paste)?;
    case.after(200).await?;
    case.check_all_on("shop-stable", "v1")?;
    ensure!(is_at(&under_load.fixture.status().await?, 0), "it has moved");
    case.end(&wrong, "nobody is moved", 0)?;

    let case = under_load.case("and exactly that pasted");
    ensure!(wrong.contains("before entry 0"), "{wrong}");
    let route = under_load.fixture.kubectl(&["get", "virtualservice", "theirs", "-o", "json"]).await?;
    let mut routes = paste.as_array().cloned().with_context(|| format!("no list: {paste}"))?;
    let mut route: Value = serde_json::from_str(&route)?;
    routes.extend(route["spec"]["http"].take().as_array().cloned().into_iter().flatten());
    let patch = json!({"spec": {"http": routes}}).to_string();
    under_load.fixture.kubectl(&["patch", "virtualservice", "theirs", "--type=merge", "-p", &patch]).await?;
    under_load.first_step("v2").await?;
    case.end(&said(&under_load.fixture.status().await?), "goes on to 30%", 0)
}
