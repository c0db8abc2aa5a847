/*!
Packages of npm, whose scripts are not run.
*/
use std::path::Path;

use anyhow::Result;
use tokio::process::Command;

use super::progress::Progress;

/// Installs a package into `folder`.
pub(super) fn install(name: &str, version: &str, folder: &Path, progress: &Progress) -> Result<()> {
    let mut install = Command::new("npm");
    install.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]).arg(folder);
    install.arg(format!("{name}@{version}"));
    progress.run(install)
}
