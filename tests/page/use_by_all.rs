//! Whoever uses the pages, and by whatever.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serin_agent::cluster::following;
use serin_tests::browser::{Browser, DESKTOP, PHONE};

use crate::board::{ANYWHERE, board, found, pages, serve};
use crate::run;

#[test]
fn nothing_keeps_people_from_using_any_page() -> Result<()> {
    run(async {
        let found = found()?;
        let names: Vec<_> = found.iter().map(|(name, _)| format!("shop/{name}")).collect();
        let (address, _server) =
            serve(pages(&board(found.into_iter().map(|(_, release)| release))), ANYWHERE).await?;
        let browser = Browser::start().await?;
        let pictures = std::env::var_os("SERIN_PICTURES").map(PathBuf::from);
        for path in names.iter().map(String::as_str).chain(["", "shop/none"]) {
            for (size, is_dark) in [(DESKTOP, false), (PHONE, true)] {
                let page = browser.open(&format!("http://{address}/{path}"), size, is_dark).await?;
                if let Some(folder) = &pictures {
                    let name = format!(
                        "{}-{}.png",
                        path.replace('/', "-"),
                        if is_dark { "phone" } else { "desktop" }
                    );
                    page.picture(&folder.join(name), 4_000).await?;
                }
                let violations = page.violations().await?;
                ensure!(violations.is_empty(), "/{path}: {}", violations.join("\n"));
                let beyond = page
                    .eval("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                    .await?;
                ensure!(beyond == 0, "/{path} is {beyond} wider than a window of {size:?}");
                let complaints: Vec<_> = page
                    .complaints()
                    .into_iter()
                    .filter(|it| !(path == "shop/none" && it.contains("404")))
                    .collect();
                ensure!(complaints.is_empty(), "/{path}: {complaints:?}");
                // Each has a connection that stays, and a browser has no more than six of them.
                page.close().await?;
            }
        }
        Ok(())
    })
}

#[test]
fn a_keyboard_is_enough_and_stays_where_it_is_while_the_page_changes() -> Result<()> {
    run(async {
        let (_, mut release) =
            found()?.into_iter().find(|(name, _)| name == "rolled-back").context("a fixture")?;
        let board = board([release.clone()]);
        let (address, _server) = serve(pages(&board), ANYWHERE).await?;
        let browser = Browser::start().await?;
        let page = browser.open(&format!("http://{address}/shop/rolled-back"), DESKTOP, false).await?;
        page.press("Tab").await?;
        ensure!(page.eval("document.activeElement.innerText").await? == "To the content");
        page.press("Enter").await?;
        page.until("the content to have the keyboard", "document.activeElement.id === 'main'").await?;
        page.eval("document.querySelector('#run-0 > summary').focus()").await?;
        page.press("Enter").await?;
        page.until("the run to be open", "document.getElementById('run-0').open").await?;
        let status = release.status.as_mut().context("a status")?;
        status.history.first_mut().context("a run")?.changes.last_mut().context("a change")?.by =
            "nobody else".to_owned();
        following::note(&board, &release, Timestamp::now());
        page.says("nobody else").await?;
        ensure!(page.eval("document.getElementById('run-0').open").await? == true);
        ensure!(page.eval("document.activeElement.parentElement.id").await? == "run-0");
        Ok(())
    })
}
