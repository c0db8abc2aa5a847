/*!
The Release itself is edited, deleted, or given another version, while it is under way.
*/
use anyhow::{Context, Result, ensure};
use serin_release::status::ReleasePhase;
use serin_tests::mesh::traffic::Outcome;
use serin_tests::mesh::{MANNERS, Mesh};

use super::{STEPS, UnderLoad, said};
use crate::fixture::{condition, is_at};

pub(crate) async fn a_release_is_edited(mesh: &Mesh) -> Result<()> {
    let under_load = UnderLoad::set(mesh, "edited", 1).await?;
    under_load.release("v2").await?;
    let edits: [(&str, &str, &str); 2] = [
        ("a step's pause", "{setWeight: 30, pause: {}}", "{setWeight: 30, pause: {duration: 1h}}"),
        ("the analysis", "minRequests: 20", "minRequests: 10"),
    ];
    for (what, from, to) in edits {
        let case = under_load.case(&format!("{what} edited at 30%"));
        under_load.fixture.release(STEPS, |yaml| yaml.replace(from, to)).await?;
        let generation = generation(&under_load).await?;
        let status = under_load
            .status_that("the edit to be seen", |status| status.observed_generation == Some(generation))
            .await?;
        ensure!(is_at(&status, 30), "{}", said(&status));
        under_load.check_exposure(30).await?;
        case.end(&said(&under_load.fixture.status().await?), "the run stays at 30%", 0)?;
    }

    // What the schema cannot let through never gets there.
    let case = under_load.case("an edit that is no duration, at 30%");
    let refused =
        under_load.fixture.release(STEPS, |yaml| yaml.replace("interval: 500ms", "interval: soon")).await;
    let refused = format!("{:#}", refused.err().context("it was let through")?);
    ensure!(refused.contains("spec.analysis.interval") && refused.contains("500ms, 2m"), "{refused}");
    case.end("(refused by the API server: field and hint)", "nothing changes", 0)?;

    let case = under_load.case("an edit out of bounds at 30%");
    under_load.fixture.release(STEPS, |yaml| yaml.replace("interval: 500ms", "interval: 1ms")).await?;
    let status = under_load
        .status_that("the edit to be refused", |status| {
            condition(status, "Accepted").is_ok_and(|ready| ready.status == "False")
        })
        .await?;
    let ready = condition(&status, "Accepted")?.message.clone();
    ensure!(ready.contains("spec.analysis.interval") && ready.contains("give 100ms to 5m"), "{ready}");
    under_load.check_exposure(30).await?;
    case.end(&ready, "the run stays at 30%", 0)?;

    let case = under_load.case("the edit repaired");
    under_load.fixture.release(STEPS, |yaml| yaml).await?;
    under_load
        .status_that("the spec to be in order", |status| {
            condition(status, "Accepted").is_ok_and(|ready| ready.status == "True")
        })
        .await?;
    under_load.approve().await?;
    under_load.check_exposure(60).await?;
    case.end(&said(&under_load.fixture.status().await?), "goes on to 60%", 0)
}

/// Whoever edits a Release in mid-run, and wrongly, is not left without protection.
pub(crate) async fn a_bad_version_is_taken_back_under_a_wrong_spec(mesh: &Mesh) -> Result<()> {
    let under_load = UnderLoad::set(mesh, "wrong", 1).await?;
    under_load.release("v2").await?;
    let case = under_load.case("an edit out of bounds at 30%, and then 30% errors");
    under_load.fixture.release(STEPS, |yaml| yaml.replace("interval: 500ms", "interval: 1ms")).await?;
    under_load
        .status_that("the edit to be refused", |status| {
            condition(status, "Accepted").is_ok_and(|ready| ready.status == "False")
        })
        .await?;
    let bad = format!("{MANNERS}=errors=30%");
    under_load.fixture.kubectl(&["annotate", "pods", "--selector", "version=canary", &bad]).await?;
    let status = under_load.phase(ReleasePhase::RolledBack).await?;
    case.end(&said(&status), "everybody back on stable", 0)
}

async fn generation(under_load: &UnderLoad<'_>) -> Result<i64> {
    let found =
        under_load.fixture.kubectl(&["get", "release", "shop", "-o", "jsonpath={.metadata.generation}"]);
    Ok(found.await?.trim().parse()?)
}

pub(crate) async fn another_version_comes(mesh: &Mesh) -> Result<()> {
    let under_load = UnderLoad::set(mesh, "another", 1).await?;
    under_load.release("v2").await?;
    let case = under_load.case("another image at 30%");
    // Pods take a moment; the proxies must know before that.
    under_load.fixture.set_image("shop:v3?start=2s").await?;
    let status = under_load
        .status_that("everybody to be on stable", |status| {
            status.run.as_ref().is_some_and(|run| run.starts_with("v3-")) && status.proxies.current == 1
        })
        .await?;
    ensure!(is_at(&status, 0), "{}", said(&status));
    under_load.first_step("v3").await?;
    let records = case.records();
    let got = |record: &serin_tests::mesh::traffic::Record, wanted: &str| matches!(&record.outcome, Outcome::Served { version, .. } if version == wanted);
    // v2, then stable alone, then v3 for those whom its own hash says.
    let last_old = records.iter().rposition(|record| got(record, "v2")).unwrap_or_default();
    let first_new = records.iter().position(|record| got(record, "v3")).context("nobody got v3")?;
    ensure!(first_new > last_old, "v3 was let in beside v2");
    let pause = records[first_new].sent.saturating_sub(records[last_old].sent);
    ensure!(pause.as_secs() >= 2, "v3 began {pause:?} after v2: it has not started over");
    case.end(&said(&status), "0% at once; v3 starts over, to 30%", 0)
}
