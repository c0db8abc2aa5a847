/*!
The targets of WebAssembly in the Rust toolchain that is in use: who compiles for one adds it here first.

Otherwise rustup would, for `rust-toolchain.toml` names them, but only where it may install by itself.
*/
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why the toolchain cannot compile for a target, and what to type.
#[derive(Debug)]
pub enum Error {
    /// There is no compiler to ask.
    Rustc(io::Error),
    /// The toolchain is rustup's, but rustup could not add the target.
    NotAdded {
        /// The toolchain's name.
        toolchain: String,
        /// The target.
        target: String,
        /// What rustup said.
        said: String,
    },
    /// The toolchain is not one that rustup installed.
    Custom {
        /// The toolchain's folder.
        sysroot: PathBuf,
        /// The target.
        target: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rustc(error) => write!(f, "cannot run rustc ({error}): install rustup, https://rustup.rs"),
            Self::NotAdded { toolchain, target, said } => write!(
                f,
                "the target {target} is missing and could not be added ({said}); type: \
                 rustup target add --toolchain {toolchain} {target}"
            ),
            Self::Custom { sysroot, target } => write!(
                f,
                "the target {target} is missing in {}, a toolchain that is not rustup's; to use the one of \
                 rust-toolchain.toml type: unset RUSTUP_TOOLCHAIN; rustup toolchain install",
                sysroot.display()
            ),
        }
    }
}

impl std::error::Error for Error {}

/// Makes sure that the toolchain in use can compile for `target`. If it must be added, `say` is told so before, in one
/// line.
///
/// # Errors
/// When it is not there and cannot be added. The error is one line too.
pub fn ensure(target: &str, say: impl FnOnce(&str)) -> Result<(), Error> {
    if is_there(target)? {
        return Ok(());
    }
    let sysroot = PathBuf::from(ask_rustc(&["--print", "sysroot"])?);
    let target = target.to_owned();
    let Some(toolchain) = rustups_name(&sysroot) else { return Err(Error::Custom { sysroot, target }) };
    say(&format!("adding the target {target} to the toolchain {toolchain}, by rustup"));
    match add(&toolchain, &target) {
        Ok(()) if is_there(&target)? => Ok(()),
        Ok(()) => Err(Error::Custom { sysroot, target }),
        Err(said) => Err(Error::NotAdded { toolchain, target, said }),
    }
}

/// Whether the toolchain in use can compile for `target`.
///
/// # Errors
/// When there is no compiler to ask.
pub fn is_there(target: &str) -> Result<bool, Error> {
    let libraries = ask_rustc(&["--print", "target-libdir", "--target", target])?;
    Ok(Path::new(&libraries).is_dir())
}

/// Asks the compiler that a cargo started from here would take.
fn ask_rustc(args: &[&str]) -> Result<String, Error> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let output = Command::new(rustc).args(args).stdin(Stdio::null()).output().map_err(Error::Rustc)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::Rustc(io::Error::other(said)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The name of the toolchain in this folder, if rustup keeps its toolchains there.
fn rustups_name(sysroot: &Path) -> Option<String> {
    let kept_by_rustup = sysroot.parent()?.ends_with("toolchains");
    kept_by_rustup.then(|| sysroot.file_name()).flatten().map(|name| name.to_string_lossy().into_owned())
}

/// Has rustup add the target, or tells why not.
fn add(toolchain: &str, target: &str) -> Result<(), String> {
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", "--toolchain", toolchain, target]).stdin(Stdio::null());
    let output = rustup.output().map_err(|error| format!("cannot run rustup: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let complaint = said.lines().rev().find(|line| line.starts_with("error"));
    Err(complaint.or_else(|| said.lines().last()).unwrap_or("it did not say why").to_owned())
}
