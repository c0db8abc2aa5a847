/*!
Tools that tests need and that no dependency brings along: built or unpacked once, and kept in Serin's cache.
*/
mod control_plane;
mod crane;
mod go;
mod iptables;
mod prometheus;

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serin_local::envoy::cache_dir;

pub use control_plane::{ControlPlane, ISTIO_BOOTSTRAP, ISTIO_CRDS, control_plane};
pub use crane::crane;
pub use iptables::iptables;
pub use prometheus::prometheus;

/// A cargo beside the one that runs the tests, without what that one was told about its own compiler.
///
/// It must be given a target folder of its own: in the outer one's, both would wait for the same lock.
pub fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let compiler = ["RUSTFLAGS", "RUSTDOCFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CLIPPY_ARGS"];
    let coverage = ["LLVM_PROFILE_FILE"];
    let outer = ["CARGO_ENCODED_", "CARGO_BUILD_", "CARGO_MAKEFLAGS", "CARGO_TARGET_", "CARGO_PROFILE_"];
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if compiler.contains(&&*text)
            || coverage.contains(&&*text)
            || outer.iter().any(|prefix| text.starts_with(prefix))
        {
            cargo.env_remove(&name);
        }
    }
    cargo
}

/// The runner for tests in `wasm32-unknown-unknown` on Node. It must be of the very version of wasm-bindgen that
/// the tests link, so it is built from the registry when it is not in the cache yet.
pub fn wasm_bindgen_test_runner() -> Result<PathBuf> {
    runs("node", "--version", "install Node.js 18 or later")?;
    let version = locked_version("wasm-bindgen").context("wasm-bindgen is not in Cargo.lock")?;
    kept("wasm-bindgen", version, "bin/wasm-bindgen-test-runner", |folder| {
        install("wasm-bindgen-cli", version, folder)
    })
}

/// The path to `file` of `tool` in the cache. If it is not there, `make` makes it in the folder it is given, and the
/// folder is kept.
fn kept(tool: &str, version: &str, file: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache =
        cache_dir().with_context(|| format!("no place to keep {tool}: set SERIN_CACHE to a folder"))?;
    let kept = cache.join(format!("{tool}-{version}"));
    let wanted = kept.join(file);
    if wanted.is_file() {
        return Ok(wanted);
    }
    let cannot_write = || format!("cannot write to {}", cache.display());
    fs::create_dir_all(&cache).with_context(cannot_write)?;
    let lock = File::create(cache.join(format!("{tool}-{version}.lock"))).with_context(cannot_write)?;
    lock.lock().with_context(cannot_write)?;
    // Another process may have built it while this one waited for the lock.
    if wanted.is_file() {
        return Ok(wanted);
    }
    let partial = cache.join(format!("{tool}-{version}.partial"));
    for leftover in [&partial, &kept] {
        remove(leftover).with_context(cannot_write)?;
    }
    fs::create_dir_all(&partial).with_context(cannot_write)?;
    // Straight to stderr, because this takes minutes and the test harness keeps what tests print to itself.
    writeln!(io::stderr(), "bringing {tool} {version} (once, up to some minutes) into {}", cache.display())?;
    make(&partial)?;
    fs::rename(&partial, &kept).with_context(cannot_write)?;
    Ok(wanted)
}

fn install(package: &str, version: &str, root: &Path) -> Result<()> {
    let target = root.join("target");
    let mut install = cargo();
    // Not `--locked`: the lock file that wasm-bindgen-cli is published with does not build with this toolchain.
    install.args(["install", package, "--version", version, "--root"]).arg(root);
    install.arg("--target-dir").arg(&target).stdin(Stdio::null()).stdout(Stdio::from(io::stderr()));
    let status = install.status().context("cannot run cargo")?;
    ensure!(status.success(), "cargo could not install {package} {version} (see above)");
    remove(&target).with_context(|| format!("cannot remove {}", target.display()))
}

/// Whether `tool` is there: it can say which version it is.
pub(crate) fn runs(tool: &str, version: &str, mend: &str) -> Result<()> {
    let output = Command::new(tool).arg(version).stdin(Stdio::null()).output();
    ensure!(output.is_ok_and(|output| output.status.success()), "{tool} is missing: {mend}");
    Ok(())
}

/// The program of this name on `PATH`.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The version of `package` that the workspace is locked to.
fn locked_version(package: &str) -> Option<&'static str> {
    let lock = include_str!("../../Cargo.lock");
    let (_, entry) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    entry.split('"').next()
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
