/*!
Metrics that Releases share: who may use them, and from when on they count.
*/
use anyhow::{Context, Result, ensure};
use serin_release::status::ReleasePhase;
use serin_tests::mesh::Mesh;
use serin_tests::site::eventually;

use crate::fixture::{Fixture, check_none_failed, condition, is_at, told};
use crate::tenants::{Listener, refused};

const STEPS: &str = "{setWeight: 50, pause: {}}";

/// The fixture's Release, judged by a template.
fn judged_by(template: &str) -> impl Fn(String) -> String {
    let metrics = format!("analysis: {{metrics: [{{name: depth, templateRef: {template}}}], ");
    move |yaml| yaml.replace("analysis: {", &metrics)
}

/// A template with this query, and what else its spec has.
fn template(query: &str, more: &str) -> String {
    format!(
        "{{apiVersion: serin.dev/v1alpha1, kind: MetricTemplate, metadata: {{name: depth}}, \
         spec: {{query: '{query}', interval: 1s, thresholdRange: {{max: 1}}{more}}}}}"
    )
}

pub(crate) async fn a_template_counts_from_the_next_look_on(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "templates", 1).await?;
    let (prometheus, address) = Listener::begin().await?;
    let config = format!("prometheus: {{sources: {{default: {{access: {{address: '{address}'}}}}}}}}");
    let agent = fixture.agent_with_config("one", &config).await?;
    let own = fixture.namespace.name();
    let asked = async |query: &str| {
        eventually("Prometheus to be asked", async || {
            ensure!(prometheus.heard().contains(query), "{query}: {}", prometheus.heard());
            Ok(())
        })
        .await
    };
    fixture.release(STEPS, judged_by("{name: depth, namespace: elsewhere}")).await?;
    let unseen = format!(
        "\"elsewhere/depth\": this agent sees the MetricTemplates of namespace {own} and of no other"
    );
    refused(&fixture, &unseen).await.with_context(|| agent.log())?;
    fixture.release(STEPS, judged_by("{name: depth}")).await?;
    let missing =
        format!("spec.analysis.metrics[0].templateRef: \"{own}/depth\": there is no MetricTemplate");
    refused(&fixture, &missing).await.with_context(|| agent.log())?;
    fixture.namespace.apply(&template("first_depth", "")).await?;
    fixture.idle().await.with_context(|| agent.log())?;
    let traffic = fixture.traffic(50).await?;
    fixture.set_image("shop:v2").await?;
    fixture.status_that("50%", |status| is_at(status, 50)).await.with_context(|| agent.log())?;
    asked("first_depth").await.with_context(|| agent.log())?;
    fixture.namespace.apply(&template("second_depth", "")).await?;
    asked("second_depth").await.with_context(|| agent.log())?;
    // What was right before goes on to count, in the next life of the agent as well.
    fixture.namespace.apply(&template("depth{{ target }}", "")).await?;
    refused(&fixture, "spec.query: \"depth{{ target }}\": {{ target }} is not a variable").await?;
    fixture.kubectl(&["delete", "metrictemplate", "depth"]).await?;
    refused(&fixture, &missing).await.with_context(|| agent.log())?;
    agent.kill().await?;
    let before = prometheus.heard().matches("second_depth").count();
    let agent = fixture.agent_with_config("two", &config).await?;
    eventually("the template as it was to be asked for", async || {
        ensure!(prometheus.heard().matches("second_depth").count() > before, "not yet");
        Ok(())
    })
    .await
    .with_context(|| agent.log())?;
    refused(&fixture, &missing).await.with_context(|| agent.log())?;
    let status = fixture.status().await?;
    ensure!(status.phase == ReleasePhase::Progressing && is_at(&status, 50), "{}", told(&status));
    fixture.namespace.apply(&template("third_depth", "")).await?;
    fixture
        .status_that("acceptance", |status| {
            condition(status, "Accepted").is_ok_and(|found| found.status == "True")
        })
        .await
        .with_context(|| agent.log())?;
    asked("third_depth").await.with_context(|| agent.log())?;
    check_none_failed(&traffic.stop().await?)
}

/// Only an agent for all namespaces sees another one's.
pub(crate) async fn a_template_is_its_namespaces_to_share(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "sharing", 1).await?;
    let platform = mesh.namespace("platform").await?;
    let agent = fixture.agent_for_all("all").await?;
    let own = fixture.namespace.name();
    // One that is not shared is to others as one that is not there.
    platform.apply(&template("depth{{ target }}", ", sharedWith: [elsewhere]")).await?;
    fixture.release(STEPS, judged_by(&format!("{{name: depth, namespace: {}}}", platform.name()))).await?;
    let unshared = format!("in namespace {} that is shared with {own}", platform.name());
    refused(&fixture, &unshared).await.with_context(|| agent.log())?;
    platform.apply(&template("depth{{ target }}", ", sharedWith: ['*']")).await?;
    refused(&fixture, "is not a variable").await.with_context(|| agent.log())?;
    // The manifests' agent has no source, which is the next thing that is missed.
    platform.apply(&template("depth", &format!(", sharedWith: [{own}]"))).await?;
    refused(&fixture, "spec.analysis.prometheus.source").await.with_context(|| agent.log())?;
    let refusal = platform
        .apply(&template("depth", ", sharedWith: ['a.b']"))
        .await
        .err()
        .context("a namespace has no dot")?;
    ensure!(format!("{refusal:?}").contains("write a namespace, or"), "{refusal:?}");
    Ok(())
}
