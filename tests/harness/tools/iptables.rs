/*!
iptables, with which Istio redirects a pod's connections to its sidecar: the one that is installed, or Debian's packages
unpacked.
*/
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::{kept, on_path, remove, runs};

const VERSION: &str = "1.8.9-2";

/// Debian's packages of it, and of the libraries that its programs are linked with. There are programs for either
/// interface of the kernel, and Istio takes those that work.
const PACKAGES: [(&str, &str); 6] = [
    ("iptables", VERSION),
    ("libip4tc2", VERSION),
    ("libip6tc2", VERSION),
    ("libxtables12", VERSION),
    ("libmnl0", "1.0.4-3"),
    ("libnftnl11", "1.2.4-2"),
];

const MEND: &str = "install iptables";

/// The variables by which a program finds iptables, and iptables its libraries; none if it is on `PATH`.
pub fn iptables() -> Result<Vec<(&'static str, OsString)>> {
    if on_path("iptables").is_some() {
        return Ok(Vec::new());
    }
    let program = kept("iptables", VERSION, "usr/sbin/iptables-nft", unpack)?;
    let programs = program.parent().context("a file in the cache is in a folder")?;
    let libraries = programs.with_file_name("lib").join(format!("{}-linux-gnu", env::consts::ARCH));
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(iter::once(programs.to_owned()).chain(env::split_paths(&path)))?;
    let extensions = libraries.join("xtables");
    Ok(vec![("PATH", path), ("XTABLES_LIBDIR", extensions.into()), ("LD_LIBRARY_PATH", libraries.into())])
}

fn unpack(folder: &Path) -> Result<()> {
    for tool in ["apt-get", "dpkg"] {
        runs(tool, "--version", MEND)?;
    }
    let apt = folder.join("apt");
    for package in fetch(&apt)? {
        let mut unpack = Command::new("dpkg");
        let status = unpack.arg("--extract").arg(package).arg(folder).stdin(Stdio::null()).status()?;
        ensure!(status.success(), "dpkg could not unpack iptables (see above): {MEND}");
    }
    Ok(remove(&apt)?)
}

/// Downloads the packages into `folder` and returns their files.
fn fetch(folder: &Path) -> Result<Vec<PathBuf>> {
    let (lists, cache, files) = (folder.join("lists"), folder.join("cache"), folder.join("files"));
    for folder in [&lists.join("partial"), &cache.join("archives/partial"), &files] {
        fs::create_dir_all(folder)?;
    }
    let apt_get = |options: &[String]| {
        let mut command = Command::new("apt-get");
        // Another user, as whom it would download, has no way into this folder.
        command.args(["-qq", "-o", "APT::Sandbox::User=root"]).args(options).current_dir(&files);
        command.stdin(Stdio::null()).stdout(io::stderr());
        command
    };
    let packages = PACKAGES.map(|(name, version)| format!("{name}={version}"));
    let download = |options: &[String]| {
        let mut command = apt_get(options);
        command.arg("download").args(&packages);
        command
    };
    // The machine may have no lists of what there is, and only root may fetch them there.
    if !download(&[]).stderr(Stdio::null()).status()?.success() {
        let own = [("Dir::State::Lists", lists), ("Dir::Cache", cache)];
        let own = own.map(|(name, folder)| format!("--option={name}={}", folder.display()));
        let fetched = apt_get(&own).arg("update").status()?.success() && download(&own).status()?.success();
        ensure!(fetched, "apt-get could not fetch iptables {VERSION} (see above): {MEND}");
    }
    fs::read_dir(&files)?.map(|file| Ok(file?.path())).collect()
}
