/*!
iptables, with which Istio redirects a pod's connections to its sidecar: the one that is installed, or Debian's packages
unpacked.
*/
use std::env;
use std::ffi::OsString;
use std::fs;
use std::iter;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;

use super::cache::{Kept, remove};
use super::needs::{APT_GET, DPKG, on_path};
use super::progress::Progress;
use super::{Recipe, Tool};

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

const KEPT: Kept = Kept { name: "iptables", version: VERSION, file: "usr/sbin/iptables-nft" };

pub(super) const fn recipe() -> Recipe {
    Recipe {
        tool: KEPT.tool(),
        needs: &[APT_GET, DPKG],
        at_hand: || on_path("iptables").map_or_else(|| KEPT.at_hand(), |installed| Ok(Some(installed))),
        bring: |progress| KEPT.or_made(|folder| unpack(folder, progress)),
    }
}

/// The variables by which a program finds iptables, and iptables its libraries; none if it is on `PATH`.
pub fn iptables() -> Result<Vec<(&'static str, OsString)>> {
    let program = Tool::Iptables.path()?;
    if on_path("iptables").is_some() {
        return Ok(Vec::new());
    }
    let programs = program.parent().context("a file in the cache is in a folder")?;
    let libraries = programs.with_file_name("lib").join(format!("{}-linux-gnu", env::consts::ARCH));
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(iter::once(programs.to_owned()).chain(env::split_paths(&path)))?;
    let extensions = libraries.join("xtables");
    Ok(vec![("PATH", path), ("XTABLES_LIBDIR", extensions.into()), ("LD_LIBRARY_PATH", libraries.into())])
}

fn unpack(folder: &Path, progress: &Progress) -> Result<()> {
    let apt = folder.join("apt");
    // Half a download of an attempt before this one may be there.
    remove(&apt)?;
    for package in fetch(&apt, progress)? {
        let mut unpack = Command::new("dpkg");
        unpack.arg("--extract").arg(package).arg(folder);
        progress.run(unpack).context("if this goes on, install iptables")?;
    }
    Ok(remove(&apt)?)
}

/// Downloads the packages into `folder` and returns their files.
fn fetch(folder: &Path, progress: &Progress) -> Result<Vec<PathBuf>> {
    let (lists, cache, files) = (folder.join("lists"), folder.join("cache"), folder.join("files"));
    for folder in [&lists.join("partial"), &cache.join("archives/partial"), &files] {
        fs::create_dir_all(folder)?;
    }
    let apt_get = |options: &[String]| {
        let mut command = Command::new("apt-get");
        // Another user, as whom it would download, has no way into this folder.
        command.args(["-qq", "-o", "APT::Sandbox::User=root"]).args(options).current_dir(&files);
        command
    };
    let packages = PACKAGES.map(|(name, version)| format!("{name}={version}"));
    let download = |options: &[String]| {
        let mut command = apt_get(options);
        command.arg("download").args(&packages);
        progress.run(command)
    };
    // The machine may have no lists of what there is, and only root may fetch them there.
    if download(&[]).is_err() {
        let own = [("Dir::State::Lists", lists), ("Dir::Cache", cache)];
        let own = own.map(|(name, folder)| format!("--option={name}={}", folder.display()));
        let mut update = apt_get(&own);
        update.arg("update");
        progress.run(update).and_then(|()| download(&own)).context("if this goes on, install iptables")?;
    }
    fs::read_dir(&files)?.map(|file| Ok(file?.path())).collect()
}
