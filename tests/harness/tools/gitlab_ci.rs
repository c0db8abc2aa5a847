/*!
A reader of GitLab's pipelines that has GitLab's own schema in it, from npm.
*/
use std::path::Path;

use anyhow::Result;
use tokio::process::Command;

use super::Recipe;
use super::cache::Kept;
use super::needs::NODE;
use super::progress::Progress;

/// The last one that Node.js 20 runs.
const KEPT: Kept =
    Kept { name: "gitlab-ci-local", version: "4.65.0", file: "node_modules/gitlab-ci-local/src/index.js" };

pub(super) const fn recipe() -> Recipe {
    Recipe {
        tool: KEPT.tool(),
        needs: &[NODE],
        at_hand: || KEPT.at_hand(),
        bring: |progress| KEPT.or_made(|folder| install(folder, progress)),
    }
}

fn install(folder: &Path, progress: &Progress) -> Result<()> {
    let mut install = Command::new("npm");
    install.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]).arg(folder);
    install.arg(format!("{}@{}", KEPT.name, KEPT.version));
    progress.run(install)
}
