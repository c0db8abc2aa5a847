/*!
What is remembered of all releases, each by the uid of its Release: one that is made anew is another one.
*/
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::memory::Memory;

/// The memory of one release; none until it was looked at.
pub(super) type Shared = Arc<tokio::sync::Mutex<Option<Memory>>>;

/// All memories.
#[derive(Debug, Default)]
pub(super) struct Memories(Mutex<HashMap<String, Shared>>);

impl Memories {
    /// That of the Release with this uid, from now on.
    pub(super) fn of(&self, uid: &str) -> Shared {
        Arc::clone(self.lock().entry(uid.to_owned()).or_default())
    }

    /// That of the Release with this uid, if there is one.
    pub(super) fn known(&self, uid: &str) -> Option<Shared> {
        self.lock().get(uid).cloned()
    }

    pub(super) fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    pub(super) fn forget_all(&self) {
        self.lock().clear();
    }

    /// Forgets whatever Release is not among these: of one whose finalizer was taken off by force no end was told.
    pub(super) fn forget_all_but(&self, uids: &HashSet<String>) {
        self.lock().retain(|uid, _| uids.contains(uid));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Shared>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_releases_that_are_there_are_remembered() {
        let memories = Memories::default();
        let (kept, _gone) = (memories.of("there"), memories.of("gone"));
        memories.forget_all_but(&["there".to_owned(), "new".to_owned()].into());
        assert!(Arc::ptr_eq(&memories.of("there"), &kept));
        assert!(memories.known("gone").is_none() && memories.known("new").is_none());
    }
}
