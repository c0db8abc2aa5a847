/*!
Telling people: what is news goes from the journal to the log, to the metrics, and to Kubernetes as events of the
Release.
*/
use std::collections::BTreeSet;

use jiff::Timestamp;
use kube::Resource;
use kube::runtime::events::{Event, EventType};
use xxhash_rust::xxh64::xxh64;

use super::memory::Memory;
use super::{Cluster, cluster_name};
use crate::journal::{DeedKind, Entry};
use serin_release::{Release, ReleaseObject};
use serin_rollout::{Observation, Plan, Severity};

/// The longest note that an event may have, in bytes.
const LONGEST_NOTE: usize = 1_000;

impl Cluster {
    /// Tells the `news` of a plan that is saved.
    #[expect(clippy::too_many_arguments, reason = "each is something to tell")]
    pub(super) async fn tell(
        &self,
        object: &ReleaseObject,
        memory: &mut Memory,
        release: &Release,
        observation: &Observation,
        planned: &Plan,
        news: &[Entry],
        pushed: bool,
        now: Timestamp,
    ) {
        let name = cluster_name(object);
        memory.journal.tell(&name, planned, news, &self.metrics);
        for entry in news {
            self.publish(object, entry).await;
        }
        let progress = planned.status.progress(release, now);
        let pushed = pushed && planned.push.is_some();
        self.metrics.looked(&name, planned, &progress, observation, pushed, now.as_second());
    }

    /// Tells of a command that no plan was asked about, and why it changes nothing.
    pub(super) async fn tell_command_refused(&self, object: &ReleaseObject, memory: &Memory, why: String) {
        self.did(object, memory, DeedKind::CommandRefused, why).await;
    }

    /// Tells why nothing can be planned, once.
    pub(super) async fn tell_unfit(&self, object: &ReleaseObject, memory: &mut Memory, why: &str) {
        let name = cluster_name(object);
        self.metrics.unfit(&name);
        if let Some(entry) = memory.journal.stands_still(&name, why, &self.metrics, Timestamp::now()) {
            self.publish(object, &entry).await;
        }
    }

    /// Tells what people should know of, each thing once.
    pub(super) async fn tell_warnings(
        &self,
        object: &ReleaseObject,
        memory: &mut Memory,
        warnings: &[String],
    ) {
        let now: BTreeSet<_> = warnings.iter().cloned().collect();
        let before = std::mem::replace(&mut memory.warned, now);
        for what in warnings.iter().filter(|what| !before.contains(*what)) {
            self.did(object, memory, DeedKind::Warned, what.clone()).await;
        }
    }

    /// Tells what was set right in Serin's own routes.
    pub(super) async fn tell_routes_repaired(
        &self,
        object: &ReleaseObject,
        memory: &Memory,
        repaired: &[String],
    ) {
        for what in repaired {
            self.did(object, memory, DeedKind::RoutesWritten, what.clone()).await;
        }
    }

    /// Tells what was set right in Serin's own plugins.
    pub(super) async fn tell_plugins_repaired(
        &self,
        object: &ReleaseObject,
        memory: &Memory,
        edits: &[String],
    ) {
        for what in edits {
            self.did(object, memory, DeedKind::PluginWritten, what.clone()).await;
        }
    }

    async fn did(&self, object: &ReleaseObject, memory: &Memory, code: DeedKind, text: String) {
        let entry = memory.journal.did(&cluster_name(object), code, text, &self.metrics, Timestamp::now());
        self.publish(object, &entry).await;
    }

    async fn publish(&self, object: &ReleaseObject, entry: &Entry) {
        let (reason, note) = (entry.news.name(), entry.told());
        let mut end = note.len().min(LONGEST_NOTE);
        while !note.is_char_boundary(end) {
            end -= 1;
        }
        // Events of one action are taken for one event that repeats itself; another text is another event.
        let action = format!("{reason}-{:08x}", xxh64(note.as_bytes(), 0) >> 32);
        let event = Event {
            type_: kind(entry.news.severity()),
            reason: reason.to_owned(),
            note: Some(note[..end].to_owned()),
            action,
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, &object.object_ref(&())).await {
            tracing::debug!(release = cluster_name(object), "no event could be written: {error}");
        }
    }
}

/// Kubernetes knows two kinds.
const fn kind(severity: Severity) -> EventType {
    match severity {
        Severity::Info => EventType::Normal,
        Severity::Warning | Severity::Critical => EventType::Warning,
    }
}
