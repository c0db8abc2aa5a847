/*!
A release that is driven from a browser, by `serin dashboard` with the rights of somebody who drives releases and may do nothing
else.
*/
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serin_release::status::ReleasePhase;
use serin_tests::browser::{Browser, DESKTOP, Page};
use serin_tests::mesh::Mesh;
use serin_tests::site::eventually;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::command_line::DRIVER;
use crate::fixture::{AGENT, Fixture};

pub(crate) async fn a_release_is_driven_from_a_browser(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "dashboard", 1).await?;
    let namespace = fixture.namespace.name();
    let agent = fixture.agent("one").await?;
    fixture.release("{setWeight: 10, pause: {}}, {setWeight: 50, pause: {}}", |yaml| yaml).await?;
    fixture.idle().await?;
    fixture.namespace.apply(DRIVER).await?;
    let kubeconfig = mesh.kubeconfig_of(namespace, "driver").await?;
    let serin = |words: &[&str]| {
        let mut command = Command::new(AGENT);
        command.args(words).args(["--namespace", namespace]).env("KUBECONFIG", &kubeconfig);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    };
    // The role is made of others, in a moment.
    eventually("the driver's rights", async || {
        ensure!(serin(&["get"]).output().await?.status.success(), "none yet");
        Ok(())
    })
    .await?;
    let mut dashboard = serin(&["dashboard"]).stdout(Stdio::piped()).spawn()?;
    let mut said = BufReader::new(dashboard.stdout.take().context("its output")?).lines();
    let address = said.next_line().await?.context("an address")?;
    let browser = Browser::start().await?;
    let page = browser.open(&address, DESKTOP, false).await?;
    page.until("no key in the address", "location.search === ''").await?;
    page.says("Idle").await?;
    page.click("tbody a").await?;
    page.says("starts the next run").await?;
    let traffic = fixture.traffic(100).await?;
    fixture.set_image("shop:v2").await?;
    up_and_back(&page).await.with_context(|| agent.log())?;
    fixture.phase(ReleasePhase::Aborted).await?;
    let heard = fixture.status().await?.command.context("a command was heard")?.message;
    ensure!(heard.contains(&format!("{namespace}:driver")) && heard.contains("complaints"), "{heard}");
    page.says("give the canary's Deployment another version, or release this one again").await?;
    ensure!(page.complaints().is_empty(), "{:?}", page.complaints());
    dashboard.kill().await?;
    page.says("The connection is lost").await?;
    drop(traffic.stop().await?);
    Ok(())
}

/// A step that is approved, and everybody taken back.
async fn up_and_back(page: &Page) -> Result<()> {
    let labelled =
        |id: &str, text: &str| format!("document.getElementById('do-{id}')?.innerText === '{text}'");
    page.until("an approval to be asked for", &labelled("resume", "Approve the step")).await?;
    page.until("the evidence over time", "document.querySelectorAll('svg.plot').length === 2").await?;
    page.says("1 of 1").await?;
    let violations = page.violations().await?;
    ensure!(violations.is_empty(), "{}", violations.join("\n"));
    page.click("#do-resume").await?;
    page.until("the second step", "document.title.startsWith('50% ')").await?;
    page.until("a way back", &labelled("abort", "Abort…")).await?;
    page.click("#do-abort").await?;
    page.says("everybody gets stable, nobody v2").await?;
    let violations = page.violations().await?;
    ensure!(violations.is_empty(), "{}", violations.join("\n"));
    page.click("#reason").await?;
    page.type_in("complaints").await?;
    page.click("button").await?;
    page.until(
        "the way back",
        "['Aborted', 'RollingBack'].includes(document.querySelector('.badge')?.innerText)",
    )
    .await
}
