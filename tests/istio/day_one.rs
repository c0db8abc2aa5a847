/*!
A service that is there already is taken over by what the command line reads of it: what it prints is accepted as it is.
*/
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serin_release::status::ReleaseStatus;
use serin_tests::mesh::Mesh;
use serin_tests::site::{HOST, eventually};

use crate::adoption::weighted;
use crate::fixture::{AGENT, Fixture, condition, is_idle, told};

/// A route that a Release has no word for.
const MIRRORED: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: site}
spec:
  hosts: [site.example.com]
  gateways: [gateway]
  http: [{mirror: {host: site}, route: [{destination: {host: site}}]}]
";

/// What `serin adopt` prints for `what` here.
async fn adopted(fixture: &Fixture<'_>, what: &str) -> Result<String> {
    let namespace = fixture.namespace.name();
    let yaml = fixture.command_line(&["adopt", what, "--namespace", namespace]).await?;
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), &yaml)?;
    let path = file.path().to_str().context("a path")?;
    let said = fixture.command_line(&["lint", path]).await?;
    ensure!(said.contains("makes sense"), "{said}\n{yaml}");
    Ok(yaml)
}

/// The commands that comments of `yaml` say are to be given.
fn commands(yaml: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = yaml.lines().filter_map(|line| line.strip_prefix("#   kubectl "));
    lines.map(|line| line.split(' ').collect())
}

async fn status_that(
    fixture: &Fixture<'_>,
    release: &str,
    is_so: impl Fn(&ReleaseStatus) -> bool,
) -> Result<ReleaseStatus> {
    eventually(release, async || {
        let status = fixture.status_of(release).await?;
        ensure!(is_so(&status), "{}", told(&status));
        Ok(status)
    })
    .await
}

fn is_accepted(status: &ReleaseStatus) -> bool {
    condition(status, "Accepted").is_ok_and(|accepted| accepted.status == "True")
}

pub(crate) async fn a_service_is_adopted_as_it_is(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "adopted", 1).await?;
    fixture.namespace.shop("cart", "cart:v1", "cart:v1").await?;
    let agent = fixture.agent("one").await?;

    // Nobody has written routes for it.
    let yaml = adopted(&fixture, "deployment/cart-canary").await?;
    ensure!(yaml.contains("No VirtualService leads to the Service"), "{yaml}");
    fixture.namespace.apply(&yaml).await?;
    status_that(&fixture, "cart", is_idle).await.with_context(|| agent.log())?;

    // It has routes that do more than lead to it.
    fixture.namespace.shop("site", "site:v1", "site:v1").await?;
    fixture.namespace.apply(MIRRORED).await?;
    let yaml = adopted(&fixture, "site").await?;
    ensure!(yaml.contains("mode: Verify") && yaml.contains("has a mirror"), "{yaml}");
    fixture.namespace.apply(&yaml).await?;
    status_that(&fixture, "site", is_accepted).await.with_context(|| agent.log())?;

    // It has weights, at the gateway and inside.
    fixture.namespace.apply(&weighted(100)).await?;
    let yaml = adopted(&fixture, "shop").await?;
    eprintln!("{yaml}");
    for part in ["name: shop-stable", "- gateway\n", &format!("- {HOST}\n"), "error: VirtualService"] {
        ensure!(yaml.contains(part), "{part:?} is not in {yaml}");
    }
    fixture.namespace.apply(&yaml).await?;
    let refused = status_that(&fixture, "shop", |status| status.message.contains("/theirs")).await?;
    ensure!(!is_accepted(&refused), "{}", told(&refused));
    // What is said to be done is all there is to do.
    let todo: Vec<_> = commands(&yaml).collect();
    ensure!(todo.len() == 2, "{todo:?}");
    for command in todo {
        mesh.kubectl(&command).await?;
    }
    status_that(&fixture, "shop", is_accepted).await.with_context(|| agent.log())?;
    for kind in ["virtualservice", "destinationrule"] {
        fixture.kubectl(&["delete", kind, "theirs"]).await?;
    }
    status_that(&fixture, "shop", is_idle).await.with_context(|| agent.log())?;
    let again = fixture.command_line(&["adopt", "shop", "--namespace", fixture.namespace.name()]).await;
    ensure!(
        again.is_err_and(|error| format!("{error:#}").contains("Release shop is for Service shop already")),
        "twice"
    );
    Ok(())
}

/// Real objects of Flagger's, Argo's and Istio's, by their values, with what becomes of each.
const EXAMPLES: &str = include_str!("../../cli/src/convert/examples.tsv");

pub(crate) async fn what_is_converted_is_what_the_api_server_takes(mesh: &Mesh) -> Result<()> {
    let namespace = mesh.namespace("converted").await?;
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).to_str().map(str::to_owned).context("a path");
    let mut converted = Vec::new();
    for row in EXAMPLES.lines().filter(|row| !row.starts_with(['#', 'r'])) {
        let [.., source, objects] = row.split('\t').collect::<Vec<_>>()[..] else { anyhow::bail!("{row}") };
        let file = path("objects.yaml")?;
        std::fs::write(&file, format!("{{kind: List, items: {objects}}}"))?;
        let yaml =
            mesh.run(Path::new(AGENT), &["convert", &file]).await.with_context(|| source.to_owned())?;
        converted.push(yaml);
    }
    ensure!(converted.len() >= 30, "only {}", converted.len());
    // Their own namespaces are not here. Nothing is kept, so one may be called as another.
    let own = format!("  namespace: {}", namespace.name());
    let text = converted.join("---\n");
    let lines = text.lines().map(|line| if line.starts_with("  namespace: ") { own.as_str() } else { line });
    let file = path("converted.yaml")?;
    std::fs::write(&file, lines.collect::<Vec<_>>().join("\n"))?;
    let said = mesh.kubectl(&["create", "--dry-run=server", "-n", namespace.name(), "-f", &file]).await?;
    ensure!(said.lines().count() >= converted.len(), "{said}");
    Ok(())
}
