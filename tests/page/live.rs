//! A release as it goes, on a real Envoy.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serin_agent::serve::PAGE;
use serin_local::shop::{Build, Version};
use serin_policy::Id;
use serin_rollout::CommandKind;
use serin_tests::agent::Agent;
use serin_tests::browser::{Browser, DESKTOP, Page};
use serin_tests::load::Load;
use serin_tests::site::{Plan, Site, release};

use crate::{AGENT, run};

/// Steps that wait for somebody.
const HELD: &str = "strategy: {canary: {steps: [{setWeight: 10, pause: {}}, {setWeight: 50, pause: {}}]}}
analysis: {interval: 200ms, minRequests: 50, baseline: 1s, warmUp: 0s, bake: 0s}";

/// Steps that last long enough to be seen, for the picture.
const SEEN: &str = "strategy: {canary: {steps: [{setWeight: 1, pause: {duration: 4s}}, {setWeight: 10, pause: {duration: 4s}},
    {setWeight: 25, pause: {duration: 30s}}, {setWeight: 50, pause: {}}]}}
analysis: {interval: 200ms, minRequests: 50, baseline: 3s, warmUp: 0s, bake: 0s, metrics: [
    {name: request-success-rate, thresholdRange: {min: 99}},
    {name: request-duration, objective: 300ms, thresholdRange: {max: 5}}]}";

/// A site with an agent, and callers.
struct Stage {
    site: Site,
    agent: Agent,
    load: Load,
}

async fn set(more: &str, users: usize) -> Result<Stage> {
    let plan = Plan { release: release(more), ..Plan::default() };
    let mut site = Site::unconfigured().await?;
    // Nobody listens there yet, nor ever will: it only makes the agent write the first policy.
    let first = Agent::start(AGENT, &site, &plan.release, &["http://127.0.0.1:1".to_owned()]).await?;
    first.kill().await?;
    site.start_envoys(&plan).await?;
    let agent = Agent::start(AGENT, &site, &plan.release, &site.admins()).await?;
    let mut rng = StdRng::seed_from_u64(20_261_127);
    let users: Vec<_> = (0..users).map(|_| Id::from_random(rng.random()).to_string()).collect();
    let load = Load::start(site.address(0), &users, |_| true);
    Ok(Stage { site, agent, load })
}

async fn open(browser: &Browser, agent: &Agent) -> Result<Page> {
    browser.open(&format!("http://{}{PAGE}/shop/shop", agent.address()?), DESKTOP, false).await
}

/// What stands in a part of the page.
async fn part(page: &Page, id: &str) -> Result<String> {
    let text = page.eval(&format!("document.getElementById('{id}')?.innerText ?? ''")).await?;
    Ok(text.as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_step_an_approval_and_the_promotion_are_seen_as_they_happen() -> Result<()> {
    run(async {
        let stage = set(HELD, 60).await?;
        let browser = Browser::start().await?;
        let page = open(&browser, &stage.agent).await?;
        page.says("AwaitsApproval").await?;
        page.until(
            "the first step",
            "document.querySelector('.steps [aria-current=step] b').innerText === '10%'",
        )
        .await?;
        ensure!(page.eval("document.title").await? == "10% shop Progressing – Serin");
        page.until("both curves", "document.querySelectorAll('svg.plot').length === 2").await?;
        page.until("latencies", "document.querySelectorAll('svg.strip').length === 2").await?;
        ensure!(
            part(&page, "proxies").await?.contains("1 of 1 report this weight"),
            "{}",
            page.text().await?
        );
        ensure!(part(&page, "news").await?.contains("10% to the canary"), "{}", page.text().await?);
        // Nobody loads the page anew.
        page.eval("window.same = true").await?;
        stage.agent.command(CommandKind::Resume).await?;
        page.until("the second step", "document.title.startsWith('50% ')").await?;
        stage.agent.command(CommandKind::Promote).await?;
        page.until("the promotion", "document.querySelector('.badge').innerText === 'Promoted'").await?;
        page.eval("document.querySelector('#run-0').open = true").await?;
        page.says("tester").await?;
        ensure!(page.eval("window.same").await? == true, "the page was loaded anew");
        ensure!(page.complaints().is_empty(), "{:?}", page.complaints());
        stage.load.stop().await.map(drop)
    })
}

#[test]
fn a_rollback_is_seen_with_its_reason() -> Result<()> {
    run(async {
        let stage = set(HELD, 60).await?;
        let browser = Browser::start().await?;
        let page = open(&browser, &stage.agent).await?;
        page.says("AwaitsApproval").await?;
        let bad = Build { version: Version(3), error_share: 0.5, delay: Duration::ZERO };
        stage.site.canary.deploy(bad);
        page.until("the rollback", "document.querySelector('.badge').innerText === 'RolledBack'").await?;
        let head = part(&page, "head").await?;
        ensure!(head.contains("rolled back at 10%: the canary failed"), "{head}");
        ensure!(page.eval("document.querySelector('.steps .back b').innerText").await? == "10%");
        ensure!(page.eval("document.querySelectorAll('.bar .won.bad').length > 0").await? == true);
        ensure!(page.eval("document.querySelectorAll('line.mark.back').length").await? == 1);
        let violations = page.violations().await?;
        ensure!(violations.is_empty(), "{}", violations.join("\n"));
        stage.load.stop().await.map(drop)
    })
}

#[test]
fn the_readme_has_a_small_picture_of_a_page() -> Result<()> {
    /// In bytes.
    const LARGEST: u64 = 150_000;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let picture = root.join("docs/page.png");
    if std::env::var_os("SERIN_BLESS").is_some() {
        run(draw(&picture))?;
    }
    let size = std::fs::metadata(&picture)?.len();
    ensure!(size < LARGEST, "{} has {size} bytes", picture.display());
    ensure!(
        std::fs::read_to_string(root.join("README.md"))?.contains("](docs/page.png)"),
        "the README does not show it"
    );
    Ok(())
}

/// Draws the page of a release at its third step.
async fn draw(picture: &Path) -> Result<()> {
    let stage = set(SEEN, 300).await?;
    let browser = Browser::start().await?;
    let page = open(&browser, &stage.agent).await?;
    page.until("the third step", "document.title.startsWith('25% ')").await?;
    page.until("some of it", "parseFloat(document.querySelector('.steps .now .quiet').innerText) > 5")
        .await?;
    page.picture(picture, 900).await?;
    stage.load.stop().await.map(drop)
}
