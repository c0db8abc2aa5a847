/*!
Telling people: the log, Kubernetes' events on the Release, metrics.
*/
use jiff::Timestamp;
use kube::Resource;
use kube::runtime::events::{Event, EventType};
use xxhash_rust::xxh64::xxh64;

use super::memory::Memory;
use super::{Cluster, cluster_name, report};
use serin_release::{Release, ReleaseObject};
use serin_rollout::{Change, Hold, Observation, Plan, Reason, Severity};

/// The longest note that an event may have, in bytes.
const LONGEST_NOTE: usize = 1_000;

impl Cluster {
    /// Tells what is new about `outcome`.
    #[expect(clippy::too_many_arguments, reason = "each is something to tell")]
    pub(super) async fn tell(
        &self,
        object: &ReleaseObject,
        memory: &mut Memory,
        release: &Release,
        observation: &Observation,
        planned: &Plan,
        pushed: bool,
        now: Timestamp,
    ) {
        let name = cluster_name(object);
        let status = &memory.state.status;
        let held = std::mem::replace(&mut memory.standing, planned.reasons.clone());
        for reason in planned.reasons.iter().filter(|reason| !held.contains(reason)) {
            tracing::info!(release = name, code = reason.code(), weight = %status.weight(), "{reason}");
            self.metrics.decided(&name, reason);
            self.publish(object, kind(reason), &report::pascal(reason.code()), &reason.to_string()).await;
        }
        if let (Some(push), Some(change)) = (&planned.push, &status.last_change)
            && change.revision == push.revision
        {
            self.audit(object, &name, change).await;
        }
        let progress = status.progress(release, now);
        let pushed = pushed && planned.push.is_some();
        self.metrics.looked(&name, status, &progress, observation, pushed, now.as_second());
    }

    /// Who changed the weight, when, why, and what it was before.
    async fn audit(&self, object: &ReleaseObject, name: &str, change: &Change) {
        let Change { by, reason, run, weight_before, weight_after, revision, .. } = change;
        tracing::info!(
            release = name, run, revision, from = %weight_before, to = %weight_after, by = %by,
            "the weight changes: {reason}"
        );
        let note = format!("{weight_before} to {weight_after}, by {by}, revision {revision}: {reason}");
        self.publish(object, EventType::Normal, "WeightChanged", &note).await;
    }

    /// Tells of a command that no plan was asked about, and why it changes nothing.
    pub(super) async fn tell_command_refused(&self, object: &ReleaseObject, why: &str) {
        self.publish(object, EventType::Warning, "CommandRefused", why).await;
    }

    /// Tells why nothing can be planned, once.
    pub(super) async fn tell_unfit(&self, object: &ReleaseObject, memory: &mut Memory, why: &str) {
        let reason = Reason::from(Hold::Blocked { why: why.to_owned() });
        if memory.standing != [reason.clone()] {
            memory.standing = vec![reason];
            tracing::warn!(release = cluster_name(object), "not driven: {why}");
            self.publish(object, EventType::Warning, "NotDriven", why).await;
        }
    }

    /// Tells what was set right in Serin's own routes.
    pub(super) async fn tell_routes_repaired(&self, object: &ReleaseObject, repaired: &[String]) {
        for what in repaired {
            tracing::info!(release = cluster_name(object), "routes are written: {what}");
            self.publish(object, EventType::Normal, "RoutesWritten", what).await;
        }
    }

    /// Tells what was set right in Serin's own plugins.
    pub(super) async fn tell_plugins_repaired(&self, object: &ReleaseObject, edits: &[String]) {
        for what in edits {
            tracing::info!(release = cluster_name(object), "a plugin is written: {what}");
            self.publish(object, EventType::Normal, "PluginWritten", what).await;
        }
    }

    async fn publish(&self, object: &ReleaseObject, type_: EventType, reason: &str, note: &str) {
        let mut end = note.len().min(LONGEST_NOTE);
        while !note.is_char_boundary(end) {
            end -= 1;
        }
        // Events of one action are taken for one event that repeats itself; another text is another event.
        let action = format!("{reason}-{:08x}", xxh64(note.as_bytes(), 0) >> 32);
        let event = Event {
            type_,
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
const fn kind(reason: &Reason) -> EventType {
    match reason.severity() {
        Severity::Info => EventType::Normal,
        Severity::Warning | Severity::Critical => EventType::Warning,
    }
}
