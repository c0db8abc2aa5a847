/*!
Windows: nobody is moved in one that denies it, whoever asks, and everybody goes back all the same; a person's word with a
reason has one run go on; and what the operator does not let be overridden is not.
*/
use anyhow::{Context, Result, ensure};
use serin_release::status::{CommandOutcome, RunOutcome};
use serin_tests::mesh::Mesh;
use serin_tests::site::eventually;

use crate::fixture::{Fixture, check_none_failed, is_at, told};

/// One that is always open.
const ALWAYS: &str = r#"kind: deny, schedule: "* * * * *", duration: 1h"#;

/// Waits until the run is held by the window of this name.
async fn frozen_by(fixture: &Fixture<'_>, whose: &str) -> Result<()> {
    let held = format!("nobody is moved while {whose} denies it");
    fixture.status_that(&held, |status| status.message.contains(&held)).await?;
    Ok(())
}

/// Gives the Release these windows instead of its own.
async fn set_windows(fixture: &Fixture<'_>, windows: &str) -> Result<()> {
    let patch = format!("spec: {{windows: [{windows}]}}");
    fixture.kubectl(&["patch", "release", "shop", "--type=merge", "-p", &patch]).await?;
    Ok(())
}

pub(crate) async fn a_frozen_release_waits_and_goes_back_all_the_same(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "windows", 1).await?;
    let namespace = fixture.namespace.name().to_owned();
    fixture.kubectl(&["scale", "deployment/shop-canary", "--replicas=0"]).await?;
    let first = fixture.agent("one").await?;
    fixture.release("{setWeight: 10, pause: {}}, {setWeight: 50, pause: {}}", |yaml| yaml).await?;
    fixture.idle().await?;
    let traffic = fixture.traffic(60).await?;
    fixture.set_image("shop:v2").await?;
    fixture.status_that("10 %", |status| is_at(status, 10)).await.with_context(|| first.log())?;
    set_windows(&fixture, &format!("{{name: always, {ALWAYS}}}")).await?;
    // The approval is kept, and nobody is moved by it.
    fixture.approve().await?;
    frozen_by(&fixture, "window always").await.with_context(|| first.log())?;
    fixture.command("promote").await?;
    let status = fixture
        .status_that("the promotion to be refused", |status| {
            status.command.as_ref().is_some_and(|command| command.message.contains("nobody is moved"))
        })
        .await?;
    ensure!(is_at(&status, 10), "{}", told(&status));
    fixture.command("abort").await?;
    let status = fixture.outcome(RunOutcome::Aborted).await.with_context(|| first.log())?;
    ensure!(is_at(&status, 0), "{}", told(&status));

    // The run that is started again gets no pods. Without a reason it stays so.
    fixture.status_that("no pods", |status| status.message.contains("aborted")).await?;
    eventually("the canary to have no pods", async || {
        let pods = fixture.replicas("shop-canary").await?;
        ensure!(pods == 0, "{pods}");
        Ok(())
    })
    .await?;
    fixture.command("retry").await?;
    frozen_by(&fixture, "window always").await.with_context(|| first.log())?;
    ensure!(fixture.replicas("shop-canary").await? == 0, "it has pods at a time at which nothing begins");
    fixture.command("override-freeze").await?;
    fixture
        .status_that("a freeze that is not overridden without a reason", |status| {
            status.command.as_ref().is_some_and(|command| {
                command.outcome == CommandOutcome::Refused
                    && command.message.contains("command-reason]: missing")
            })
        })
        .await?;
    let why = "the login is broken";
    let said = fixture
        .command_line(&["override-freeze", "shop", "--namespace", &namespace, "--reason", why])
        .await?;
    ensure!(said.contains("taken: override-freeze by ") && said.contains(why), "{said}");
    fixture.status_that("10 % again", |status| is_at(status, 10)).await.with_context(|| first.log())?;
    eventually("the override to be told", async || {
        ensure!(fixture.times_told("FreezeOverridden", why).await? == 1, "{:?}", fixture.events().await?);
        Ok(())
    })
    .await?;

    // The next leader knows that it is overridden, and an operator's window that may not be.
    first.kill().await?;
    let config = format!("windows: [{{window: {{name: holidays, {ALWAYS}}}, mayBeOverridden: false}}]");
    let second = fixture.agent_with_config("two", &config).await?;
    fixture.approve().await?;
    frozen_by(&fixture, "the operator's window holidays").await.with_context(|| second.log())?;
    set_windows(&fixture, "").await?;
    eventually("the override to be refused", async || {
        let args = ["override-freeze", "shop", "--namespace", &namespace, "--reason", why];
        let Err(refused) = fixture.command_line(&args).await else { anyhow::bail!("it was taken") };
        let refused = refused.to_string();
        ensure!(
            refused.contains("there is no window that freezes this Release and may be overridden"),
            "{refused}"
        );
        Ok(())
    })
    .await?;
    second.kill().await?;
    let third = fixture.agent("three").await?;
    fixture.status_that("50 %", |status| is_at(status, 50)).await.with_context(|| third.log())?;
    check_none_failed(&traffic.stop().await?)
}
