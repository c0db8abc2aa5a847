/*!
The runner for tests in `wasm32-unknown-unknown` on Node, and that target.
*/
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;

use super::cache::{Kept, remove};
use super::needs::RUSTUP;
use super::progress::Progress;
use super::{Recipe, cargo};

/// What these tests are compiled for.
const TARGET: &str = "wasm32-unknown-unknown";

const RUNNER: &str = "wasm-bindgen-test-runner";

pub(super) fn recipe() -> Recipe {
    let has_target = serin_wasm_target::is_there(TARGET).unwrap_or(false);
    Recipe { tool: kept().tool(), needs: if has_target { &[] } else { &[RUSTUP] }, at_hand, bring }
}

fn at_hand() -> Result<Option<PathBuf>> {
    if serin_wasm_target::is_there(TARGET)? { kept().at_hand() } else { Ok(None) }
}

fn bring(progress: &Progress) -> Result<PathBuf> {
    serin_wasm_target::ensure(TARGET, |line| progress.say(line))?;
    kept().or_made(|folder| install(folder, progress))
}

/// The runner must be of the very version of wasm-bindgen that the tests link.
fn kept() -> Kept {
    let lock = include_str!("../../../Cargo.lock");
    let (_, entry) = lock.split_once("name = \"wasm-bindgen\"\nversion = \"").expect("it is locked");
    let version = entry.split('"').next().expect("a version ends with a quote");
    Kept { name: "wasm-bindgen", version, file: "bin/wasm-bindgen-test-runner" }
}

fn install(folder: &Path, progress: &Progress) -> Result<()> {
    let target = folder.join("target");
    let mut install = cargo();
    // Not `--locked`: the lock file that wasm-bindgen-cli is published with does not build with this toolchain.
    install.args(["install", "wasm-bindgen-cli", "--version", kept().version, "--bin", RUNNER]);
    // It runs for a second: made well, it would take minutes more to make.
    install.args(["--debug", "--config", "profile.dev.debug=false"]);
    install.arg("--root").arg(folder).arg("--target-dir").arg(&target);
    progress.run(Command::from(install))?;
    remove(&target).with_context(|| format!("cannot remove {}", target.display()))
}
