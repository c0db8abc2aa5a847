/*!
What an agent in a cluster shows of the releases that it drives: each as people are told of it, with its run from look to look,
for pictures. It is kept in memory, and begins anew where another agent takes over.
*/
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use serde::Serialize;

use super::View;
use serin_release::status::ReleaseStatus;
use serin_release::{Release, ReleaseObject};
use serin_rollout::{Cell, CohortRatio, History, Status};

/// The releases, by `namespace/name`.
#[derive(Debug, Default)]
pub struct Board(RwLock<BTreeMap<String, Entry>>);

#[derive(Debug)]
struct Entry {
    object: Arc<ReleaseObject>,
    told: ReleaseStatus,
    history: History,
    cohorts: Vec<CohortRatio>,
}

/// A release, for pages.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// As people are told of it.
    pub view: View,
    /// The run from look to look, since this agent drives it: the share over time, and the evidence of each kind of tests.
    pub history: History,
    /// How those whom each step moves fared on stable before.
    pub cohorts: Vec<CohortRatio>,
}

/// What a look at a release has come to.
#[derive(Debug)]
pub(crate) struct Look<'l> {
    pub(crate) object: &'l Arc<ReleaseObject>,
    /// What people are told, without the saved state, which is an agent's business, and much.
    pub(crate) told: ReleaseStatus,
    pub(crate) release: &'l Release,
    pub(crate) status: &'l Status,
    pub(crate) counted: &'l [Cell],
    pub(crate) now: Timestamp,
}

impl Board {
    /// Takes note of a look.
    pub(crate) fn note(&self, look: Look<'_>) {
        let Look { object, told, release, status, counted, now } = look;
        let cohorts = status.evidence.cohorts(&release.analysis);
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.entry(release.name().to_owned()).or_insert_with(|| Entry {
            object: Arc::clone(object),
            told: ReleaseStatus::default(),
            history: History::default(),
            cohorts: Vec::new(),
        });
        entry.history.note(status, counted, release, now);
        (entry.object, entry.told, entry.cohorts) = (Arc::clone(object), told, cohorts);
    }

    /// Forgets a release that is gone.
    pub(crate) fn forget(&self, name: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Forgets all, since another agent drives them.
    pub(crate) fn forget_all(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// A release; none if this agent does not drive it.
    pub fn of(&self, name: &str) -> Option<Shown> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Entry { object, told, history, cohorts } = entries.get(name)?;
        let object = ReleaseObject { status: Some(told.clone()), ..(**object).clone() };
        let (history, cohorts) = (history.clone(), cohorts.clone());
        drop(entries);
        Some(Shown { view: View::of_status(&object), history, cohorts })
    }
}
