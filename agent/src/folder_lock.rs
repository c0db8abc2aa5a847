/*!
A lock on a folder, so that only one agent at a time takes it for its own.
*/
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// The lock, held as long as this lives; the system lets go of it when the process dies.
#[derive(Debug)]
pub(crate) struct FolderLock(File);

impl FolderLock {
    /// Takes the lock that the file at `path` stands for; none when another process has it.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub(crate) fn take(path: &Path) -> io::Result<Option<Self>> {
        let file = File::create(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for FolderLock {
    /// Closing the file would not always do: a child that was forked at this moment and has not begun its own
    /// program yet has the file open as well, and would hold the lock on.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}
