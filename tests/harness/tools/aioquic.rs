/*!
A client that speaks HTTP/3, from the Python package index.
*/
use std::path::Path;

use anyhow::Result;
use tokio::process::Command;

use super::Recipe;
use super::cache::Kept;
use super::needs::PIP;
use super::progress::Progress;

const KEPT: Kept = Kept { name: "aioquic", version: "1.7.2", file: "aioquic/__init__.py" };

pub(super) const fn recipe() -> Recipe {
    Recipe {
        tool: KEPT.tool(),
        needs: &[PIP],
        at_hand: || KEPT.at_hand(),
        bring: |progress| KEPT.or_made(|folder| install(folder, progress)),
    }
}

fn install(folder: &Path, progress: &Progress) -> Result<()> {
    let mut install = Command::new("python3");
    install.args(["-m", "pip", "install", "--disable-pip-version-check", "--root-user-action=ignore"]);
    install.arg("--target").arg(folder).arg(format!("{}=={}", KEPT.name, KEPT.version));
    progress.run(install)
}
