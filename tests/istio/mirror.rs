/*!
Copies of stable's requests, by the routes that Istio makes, to pods whose sidecars count.
*/
use anyhow::{Context, Result, ensure};
use serin_release::status::{ReleaseStatus, RunOutcome};
use serin_tests::mesh::Mesh;
use serin_tests::mesh::traffic::{Outcome, Report};

use crate::fixture::{Fixture, check_none_failed};

/// Has the pods of `deployment` be served by a container that stands in for a sidecar as well.
async fn with_sidecars(fixture: &Fixture<'_>, deployment: &str, image: &str) -> Result<()> {
    let ports = r#"[{"containerPort":8080},{"name":"http-envoy-prom","containerPort":15090}]"#;
    let container = format!(r#"{{"name":"istio-proxy","image":"{image}","ports":{ports}}}"#);
    let place = "/spec/template/spec/containers";
    let patch = format!(r#"[{{"op":"replace","path":"{place}","value":[{container}]}}]"#);
    fixture.kubectl(&["patch", "deployment", deployment, "--type=json", "-p", &patch]).await?;
    Ok(())
}

/// Answers to requests with a copy: how many of stable's, and of the canary's how many, and how many of them failed.
fn mirrored(status: &ReleaseStatus) -> Option<[u64; 3]> {
    let metric =
        status.analysis.as_ref()?.metrics.iter().find(|metric| metric.name == "mirrored-requests")?;
    let of = |name: &str| metric.versions.iter().find(|version| version.name == name);
    Some([of("stable")?.count, of("canary")?.count, of("canary")?.bad])
}

fn by_canary(report: &Report) -> usize {
    let is_canarys = |outcome: &Outcome| matches!(outcome, Outcome::Served { deployment, .. } if deployment == "shop-canary");
    report.0.iter().filter(|record| is_canarys(&record.outcome)).count()
}

/// A bad version is taken back before any user has it, a good one goes on; nobody has the canary's answer to a copy.
pub(crate) async fn a_version_answers_copies_before_it_has_users(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "mirrored", 1).await?;
    with_sidecars(&fixture, "shop-stable", "shop:v1").await?;
    let agent = fixture.agent("one").await?;
    let mirror = "{canary: {mirror: {percentage: 20, duration: 5s}, steps";
    let edit =
        |yaml: String| yaml.replace("{canary: {steps", mirror).replace("minRequests: 20", "minRequests: 100");
    fixture.release("{setWeight: 10, pause: {}}", edit).await?;
    let of_deaf = |status: &ReleaseStatus| status.message.contains("pods without a sidecar");
    fixture.status_that("that nobody would count", of_deaf).await.with_context(|| agent.log())?;

    with_sidecars(&fixture, "shop-canary", "shop:v2?errors=30%").await?;
    let traffic = fixture.traffic(100).await?;
    let status = fixture.outcome(RunOutcome::RolledBack).await.with_context(|| agent.log())?;
    let [stable, canary, failed] = mirrored(&status).context("its answers")?;
    eprintln!("rolled back by {failed} of {canary} answers to copies of {stable} requests");
    ensure!(status.message.contains("mirrored requests") && failed > 0, "{}", status.message);
    ensure!(status.message.contains("No user has met it"), "{}", status.message);
    ensure!(by_canary(&traffic.so_far()) == 0);

    let before = traffic.requests();
    fixture.kubectl(&["set", "image", "deployment/shop-canary", "istio-proxy=shop:v3"]).await?;
    let is_over = |status: &ReleaseStatus| mirrored(status).is_some() && status.weight.percent.ppm() > 0;
    let status = fixture.status_that("the first step", is_over).await.with_context(|| agent.log())?;
    let [stable, canary, failed] = mirrored(&status).context("its answers")?;
    let all = traffic.requests() - before;
    eprintln!("{canary} answers to copies of {stable} requests, of at most {all} in that time");
    ensure!(canary >= 100 && failed == 0, "{canary} {failed}");
    // What was under way at either end may be on one side only.
    ensure!(stable.abs_diff(canary) <= 10, "{stable} {canary}");
    fixture.check_exposure(&traffic, 10).await.with_context(|| agent.log())?;
    let report = traffic.stop().await?;
    check_none_failed(&report)?;
    ensure!(by_canary(&report) > 0);
    let told = fixture.events().await?;
    ensure!(!told.iter().any(|(_, note)| note.contains("past the filter")), "{told:?}");
    Ok(())
}
