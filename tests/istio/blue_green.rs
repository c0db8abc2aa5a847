/*!
Blue-green releases: what the guides do with scripts and edited routes, by resources alone.
*/
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serin_release::status::{ReleasePhase, ReleaseStatus, RunOutcome};
use serin_tests::client::Client;
use serin_tests::mesh::traffic::{Outcome, Report, Traffic};
use serin_tests::mesh::{Controller, Mesh};
use serin_tests::site::{PREVIEW_HOST, eventually};

use crate::fixture::{Fixture, all_from, check_none_failed, condition, is_at, told, weights};
use crate::leaders::Moment;

/// How many pods each version has when it has all of them.
const ALL: i32 = 2;

/// A shop of two pods with users, and a blue-green Release that has nothing to do yet.
pub(crate) async fn blue_green<'m>(
    mesh: &'m Mesh,
    name: &str,
    gateways: u32,
    fields: &str,
) -> Result<(Fixture<'m>, Controller, Traffic)> {
    let fixture = Fixture::set(mesh, name, gateways).await?;
    fixture.namespace.deploy("shop", "stable", "shop:v1", u32::try_from(ALL)?).await?;
    fixture.namespace.rolled_out("shop-stable").await?;
    let agent = fixture.agent("one").await?;
    let strategy = format!("blueGreen: {{{fields}, scaleDownDelay: 2s}}");
    let edit = |yaml: String| {
        yaml.replace("canary: {steps: [], scaleDownDelay: 2s}", &strategy)
            .replace("bake: 0s", "bake: 3s")
            .replace("gateways:", &format!("previewHosts: [{PREVIEW_HOST}], gateways:"))
    };
    fixture.release("", edit).await?;
    fixture.idle().await.with_context(|| agent.log())?;
    let traffic = fixture.traffic(100).await?;
    Ok((fixture, agent, traffic))
}

/// Green is brought to blue's size and looked at by its own host, a tenth of the users goes first, a person says when
/// everybody goes; they are switched back by a word, switched over again, and blue is let go when a person says so.
pub(crate) async fn a_service_is_switched_over_and_back(mesh: &Mesh) -> Result<()> {
    let fields =
        "preSplit: [{setWeight: 10, pause: {duration: 1s}}], cutover: Manual, keep: 4s, cleanup: Manual";
    let (fixture, agent, traffic) = blue_green(mesh, "blue-green", 2, fields).await?;
    let began = Instant::now();
    served_at_preview(&fixture, "shop-stable").await.context("no run is under way")?;
    fixture.set_image("shop:v2").await?;

    fixture.phase(ReleasePhase::Starting).await.with_context(|| agent.log())?;
    let sizes = (fixture.replicas("shop-stable").await?, fixture.replicas("shop-canary").await?);
    ensure!(sizes == (ALL, ALL), "{sizes:?} pods before anybody gets the new version");
    served_at_preview(&fixture, "shop-canary").await.with_context(|| agent.log())?;
    let early = fixture.check_exposure(&traffic, 10).await.with_context(|| agent.log())?;

    cut_over(&fixture).await.with_context(|| agent.log())?;
    let over = began.elapsed();
    fixture.check_exposure(&traffic, 100).await.with_context(|| agent.log())?;
    let kept = fixture.phase(ReleasePhase::Keeping).await.with_context(|| agent.log())?;
    let ready = condition(&kept, "Ready")?;
    ensure!(ready.status == "True" && ready.reason == "Keeping", "{ready:?}");
    // Whoever was on blue has its cookie still, and gets green.
    all_from(&traffic, "shop-canary").await?;

    fixture.command("abort").await?;
    let back = began.elapsed();
    fixture.outcome(RunOutcome::Aborted).await.with_context(|| agent.log())?;
    all_from(&traffic, "shop-stable").await?;
    served_at_preview(&fixture, "shop-stable").await.context("nobody gets what was taken back")?;

    fixture.phase(ReleasePhase::Aborted).await.with_context(|| agent.log())?;
    fixture.command("retry").await?;
    let again = began.elapsed();
    cut_over(&fixture).await.with_context(|| agent.log())?;
    fixture.phase(ReleasePhase::Keeping).await.with_context(|| agent.log())?;
    fixture.command("resume").await?;
    eventually("a word to be refused that comes too early", async || {
        let refused = fixture.times_told("CommandRefused", "strategy.blueGreen.keep").await?;
        ensure!(refused > 0, "{}", agent.log());
        Ok(())
    })
    .await?;
    let let_go = |status: &ReleaseStatus| status.message.contains("resume to let it go");
    fixture.status_that("its end to be a person's word", let_go).await.with_context(|| agent.log())?;
    ensure!(fixture.replicas("shop-stable").await? == ALL, "blue has lost pods before its time");
    fixture.command("resume").await?;
    let status = fixture.outcome(RunOutcome::Promoted).await.with_context(|| agent.log())?;
    all_from(&traffic, "shop-canary").await?;
    let swapped = status.stable_deployment.as_deref();
    ensure!(
        swapped == Some("shop-canary") && fixture.replicas("shop-stable").await? == 0,
        "{}",
        told(&status)
    );
    let report = traffic.stop().await?;
    check_none_failed(&report)?;
    let within = |words, to| switched_within(&report, words, to).as_secs_f64();
    eprintln!(
        "{} requests, none failed; {early} users went first; from the word to the last request elsewhere: over {:.2} s, \
         back {:.2} s",
        report.0.len(),
        within((over, back), "shop-canary"),
        within((back, again), "shop-stable")
    );
    Ok(())
}

/// The agent dies while a person is waited for, while everybody goes over, in the bake, while blue is kept, and while the
/// two change places: nobody notices.
pub(crate) async fn an_agent_is_killed_at_every_phase(mesh: &Mesh) -> Result<()> {
    let (fixture, mut agent, traffic) =
        blue_green(mesh, "blue-green-killed", 1, "cutover: Manual, keep: 6s").await?;
    fixture.set_image("shop:v2?start=2s").await?;
    let moments: [Moment; 7] = [
        ("waiting for green's pods", |status| status.phase == ReleasePhase::Preparing),
        ("waiting for a person", |status| status.message.contains("resume to begin the cutover")),
        ("switching over", |status| is_at(status, 100)),
        ("baking", |status| status.phase == ReleasePhase::Baking),
        ("keeping blue", |status| status.phase == ReleasePhase::Keeping),
        ("changing places", |status| status.phase == ReleasePhase::Promoting && is_at(status, 100)),
        ("letting blue go", |status| status.phase == ReleasePhase::Promoting && is_at(status, 0)),
    ];
    for (number, (what, is_now)) in moments.iter().enumerate() {
        fixture.status_that(what, is_now).await.with_context(|| agent.log())?;
        agent.kill().await?;
        agent = fixture.agent(&format!("agent-{number}")).await?;
        if number == 1 {
            fixture.command("resume").await?;
        }
    }
    let status = fixture.outcome(RunOutcome::Promoted).await.with_context(|| agent.log())?;
    all_from(&traffic, "shop-canary").await?;
    let report = traffic.stop().await?;
    check_none_failed(&report)?;
    eprintln!("killed at {} moments: {} requests, none failed", moments.len(), report.0.len());
    ensure!(status.history.len() == 1, "something started over: {:?}", status.history);
    let weights = weights(&status);
    ensure!(weights == ["100%", "95%", "0%"], "{weights:?}");
    Ok(())
}

/// Green fails when everybody is on it: they are back on blue, which has all its pods, without anybody's word.
pub(crate) async fn a_bad_version_is_switched_back(mesh: &Mesh) -> Result<()> {
    let (fixture, agent, traffic) = blue_green(mesh, "blue-green-bad", 1, "keep: 1h").await?;
    fixture.set_image("shop:v2?errors=10%").await?;
    let status = fixture.outcome(RunOutcome::RolledBack).await.with_context(|| agent.log())?;
    ensure!(weights(&status) == ["100%", "0%"], "{:?}", status.history);
    ensure!(fixture.replicas("shop-stable").await? == ALL, "blue had lost pods");
    all_from(&traffic, "shop-stable").await?;
    let report = traffic.stop().await?;
    check_none_failed(&report)?;
    let (met, users) = (report.errors().len(), report.users_with_errors().len());
    let requests = report.0.len();
    eprintln!(
        "10 % errors from the cutover on: {requests} requests, {users} users met {met}: {}",
        told(&status)
    );
    Ok(())
}

/// Waits until the new version is ready for everybody, and says that they may go.
async fn cut_over(fixture: &Fixture<'_>) -> Result<()> {
    let is_ready = |status: &ReleaseStatus| status.message.contains("resume to begin the cutover");
    fixture.status_that("a person to be waited for", is_ready).await?;
    fixture.command("resume").await
}

/// Waits until testers who come by the preview host get this Deployment, at every gateway.
async fn served_at_preview(fixture: &Fixture<'_>, deployment: &str) -> Result<()> {
    for (_, ip) in &fixture.gateway.pods {
        let tester = Client::new((*ip, 80).into());
        eventually("the preview", async || {
            for _ in 0..10 {
                let answer = tester.get("/", &[("host", PREVIEW_HOST)]).await?;
                let found = answer.shop()?.deployment;
                ensure!(found == deployment, "{PREVIEW_HOST} leads to {found} instead of {deployment}");
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// How long it took from a person's word to the last request that went elsewhere than to this Deployment, of those before
/// the next word. Both are so long after the first request.
fn switched_within(report: &Report, (word, next): (Duration, Duration), to: &str) -> Duration {
    let after = report.0.iter().filter(|record| {
        let elsewhere = matches!(&record.outcome, Outcome::Served { deployment, .. } if deployment != to);
        elsewhere && record.sent > word && record.sent < next
    });
    after.map(|record| record.sent).max().map_or(Duration::ZERO, |last| last.saturating_sub(word))
}
