/*!
Tools from the Python package index.
*/
use std::path::Path;

use anyhow::Result;
use tokio::process::Command;

use super::Recipe;
use super::cache::Kept;
use super::needs::PIP;
use super::progress::Progress;

/// Packages for Python, in a folder of their own.
pub(super) trait Packages {
    const KEPT: Kept;
    /// What is asked of pip.
    const REQUIREMENTS: &[&str];
}

/// Installs packages once.
pub(super) const fn recipe<P: Packages>() -> Recipe {
    Recipe {
        tool: P::KEPT.tool(),
        needs: &[PIP],
        at_hand: || P::KEPT.at_hand(),
        bring: |progress| P::KEPT.or_made(|folder| install::<P>(folder, progress)),
    }
}

fn install<P: Packages>(folder: &Path, progress: &Progress) -> Result<()> {
    let mut install = Command::new("python3");
    install.args(["-m", "pip", "install", "--disable-pip-version-check", "--root-user-action=ignore"]);
    install.arg("--target").arg(folder).args(P::REQUIREMENTS);
    progress.run(install)
}

/// A client that speaks HTTP/3.
pub(super) struct Aioquic;

impl Packages for Aioquic {
    const KEPT: Kept = Kept { name: "aioquic", version: "1.7.2", file: "aioquic/__init__.py" };
    const REQUIREMENTS: &[&str] = &["aioquic==1.7.2"];
}

/// What knows Groovy's grammar.
pub(super) struct Groovy;

impl Packages for Groovy {
    const KEPT: Kept = Kept { name: "groovy", version: "0.1.2", file: "tree_sitter_groovy/__init__.py" };
    const REQUIREMENTS: &[&str] = &["tree-sitter==0.26.1", "tree-sitter-groovy==0.1.2"];
}
