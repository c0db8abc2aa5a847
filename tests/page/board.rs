//! Many Releases, and what is seen while nobody answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use axum::Router;
use jiff::Timestamp;
use serde_json::{Value, json};
use serin_agent::cluster::following;
use serin_agent::serve::site::{Access, site};
use serin_agent::view::board::Board;
use serin_release::ReleaseObject;
use serin_tests::browser::{Browser, DESKTOP};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::run;

/// What a mesh had at one moment each, by name.
pub(crate) fn found() -> Result<Vec<(String, ReleaseObject)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/src/cluster/fixtures");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name =
            path.file_stem().and_then(|stem| stem.to_str()).context("a fixture has a name")?.to_owned();
        let mut fixture: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        fixture["release"]["metadata"]["name"] = json!(name);
        found.push((name, serde_json::from_value(fixture["release"].take())?));
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    ensure!(found.len() >= 5, "{found:?}");
    Ok(found)
}

/// A board that follows these.
pub(crate) fn board(releases: impl IntoIterator<Item = ReleaseObject>) -> Arc<Board> {
    let board = Arc::new(Board::default());
    for release in releases {
        following::note(&board, &release, Timestamp::now());
    }
    board
}

/// Serves pages at an address.
pub(crate) async fn serve(pages: Router, at: SocketAddr) -> Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind(at).await?;
    let address = listener.local_addr()?;
    Ok((address, tokio::spawn(async { axum::serve(listener, pages).await.unwrap_or_default() })))
}

/// The pages of a board that anybody may see.
pub(crate) fn pages(board: &Arc<Board>) -> Router {
    site("", Arc::clone(board), Access::Anyone, None)
}

pub(crate) const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[test]
fn five_hundred_releases_are_listed_filtered_and_sorted() -> Result<()> {
    run(async {
        let found = found()?;
        let many = (0..500).map(|i| {
            let (_, release) = &found[i % found.len()];
            let mut release = release.clone();
            release.metadata.name = Some(format!("service-{i:03}"));
            release.metadata.namespace = Some(format!("team-{}", i % 20));
            release
        });
        let (address, _server) = serve(pages(&board(many)), ANYWHERE).await?;
        let browser = Browser::start().await?;
        let page = browser.open(&format!("http://{address}/"), DESKTOP, false).await?;
        let rows = "document.querySelectorAll('tbody tr').length";
        ensure!(page.eval(rows).await? == 500);
        let first = "document.querySelector('tbody tr').innerText";
        let first_of = page.eval(first).await?;
        ensure!(
            first_of.as_str().is_some_and(|text| text.contains("Awaits") || text.contains("NotAdmitted")),
            "{first_of}"
        );
        page.click("th a[href*='sort=name']").await?;
        page.until("the names in order", &format!("{first}.includes('service-000')")).await?;
        ensure!(page.eval("document.querySelector('[aria-sort]').innerText").await? == "release");
        page.click("#q").await?;
        page.type_in("team-3 rolledback").await?;
        page.press("Enter").await?;
        page.until("fewer rows", &format!("{rows} > 0 && {rows} < 25")).await?;
        ensure!(page.eval("location.search").await? == "?q=team-3+rolledback&sort=name");
        page.click("tbody tr a").await?;
        page.until("the Release", "document.querySelector('h1').innerText.startsWith('service-')").await?;
        ensure!(page.complaints().is_empty(), "{:?}", page.complaints());
        Ok(())
    })
}

#[test]
fn a_lost_connection_is_said_and_made_good() -> Result<()> {
    run(async {
        let (_, release) =
            found()?.into_iter().find(|(name, _)| name == "awaits-approval").context("a fixture")?;
        let board = board([release.clone()]);
        let (address, server) = serve(pages(&board), ANYWHERE).await?;
        let browser = Browser::start().await?;
        let page = browser.open(&format!("http://{address}/shop/awaits-approval"), DESKTOP, false).await?;
        page.says("AwaitsApproval").await?;
        page.until("nothing to be lost", "document.getElementById('connection').innerText === ''").await?;
        server.abort();
        let _ = server.await;
        page.says("The connection is lost: this is how it was").await?;
        let mut changed = release;
        changed.status.as_mut().context("a status")?.message = "something else".to_owned();
        changed.status.as_mut().context("a status")?.analysis = None;
        following::note(&board, &changed, Timestamp::now());
        let (_, _server) = serve(pages(&board), address).await?;
        page.says("something else").await?;
        page.until("the notice to go", "document.getElementById('connection').innerText === ''").await?;
        Ok(())
    })
}
