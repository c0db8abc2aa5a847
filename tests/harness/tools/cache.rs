/*!
What was made once is kept in a folder outside the checkout, also for other processes that want it at the same time.
*/
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serin_local::envoy::cache_dir;

use super::Named;

/// A file in the cache, and the folder that is made with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    /// In the folder.
    pub(super) file: &'static str,
}

impl Kept {
    pub(super) const fn tool(&self) -> Named {
        Named { name: self.name, version: self.version }
    }

    /// The path to the file if it is there.
    pub(super) fn at_hand(&self) -> Result<Option<PathBuf>> {
        let file = self.folder()?.join(self.file);
        Ok(file.is_file().then_some(file))
    }

    /// The path to the file. If it is not there, `make` makes it in the folder that it is given, which is then kept.
    /// After a failure the next attempt finds what this one left in that folder.
    pub(super) fn or_made(&self, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let kept = self.folder()?;
        let beside =
            |extension: &str| kept.with_file_name(format!("{}-{}.{extension}", self.name, self.version));
        let cannot_write = || format!("cannot write to {}", kept.display());
        fs::create_dir_all(kept.parent().context("a folder in the cache has a parent")?)
            .with_context(cannot_write)?;
        let lock = File::create(beside("lock")).with_context(cannot_write)?;
        lock.lock().with_context(cannot_write)?;
        // Another process may have made it while this one waited for the lock.
        if let Some(file) = self.at_hand()? {
            return Ok(file);
        }
        let partial = beside("partial");
        fs::create_dir_all(&partial).with_context(cannot_write)?;
        make(&partial)?;
        remove(&kept).with_context(cannot_write)?;
        fs::rename(&partial, &kept).with_context(cannot_write)?;
        self.at_hand()?.with_context(|| format!("{} was made without {}", self.name, self.file))
    }

    fn folder(&self) -> Result<PathBuf> {
        let cache = cache_dir().context("no place to keep tools: set SERIN_CACHE to a folder")?;
        Ok(cache.join(format!("{}-{}", self.name, self.version)))
    }
}

/// Removes a folder that may not be there.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
