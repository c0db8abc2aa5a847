/*!
What the agent remembers of one release between two ticks, and where that is kept: in the status of the Release, so
that another agent can go on from there.

While this agent leads, its memory counts: what a watch shows of the status may be older. Every write names the
version that it was made from, so that of two agents who both think they lead only one gets through.
*/
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::api::{Api, Patch};
use kube::core::DynamicObject;
use kube::{Client, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::arriving::Arriving;
use super::configs::{Digests, Noted};
use super::hooks::Hooks;
use super::messages::Messages;
use super::routes::RoutesMemory;
use super::templates::names::Names;
use super::{api_resources, as_serin};
use crate::clock::Clock;
use crate::journal::Journal;
use crate::notify::Outbox;
use crate::observe::Observer;
use crate::observe::counter_deltas::CounterDeltas;
use serin_release::ReleaseObject;
use serin_release::resource::Spec;
use serin_release::status::ReleaseStatus;
use serin_rollout::{Phase, Roles, Status, saved};

/// Numbers that change with every look are written so often, for people to look at.
const REFRESH: Duration = Duration::from_secs(5);

/// Totals of more proxies than fit into this are not kept: after a restart, what was counted meanwhile is left out.
const LARGEST_DELTAS: usize = 64 * 1024;

/// A release that is being worked on.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) state: State,
    pub(super) shown: ReleaseStatus,
    pub(super) observer: Observer,
    /// When it was last looked at.
    clock: Clock,
    /// What has arrived at the canary's pods in this run, as far as this agent has seen it.
    pub(super) arriving: Arriving,
    /// What is in the `ConfigMaps` of the versions' pods at present, as far as that matters.
    pub(super) configs: Digests,
    /// Whether the canary still has pods of another configuration than the present one, which is tracked.
    pub(super) config_waits: bool,
    /// What has been told.
    pub(super) journal: Journal,
    /// Who is being asked at this point of the run.
    pub(super) hooks: Hooks,
    /// What is being told by messages.
    pub(super) messages: Messages,
    /// The version of the Release that was last read or written.
    version: Option<String>,
    saved: Option<(Instant, ReleaseStatus)>,
    /// The state whose saving got no answer: it may have arrived.
    unanswered: Option<String>,
    /// Whether something was carried out that is still to be saved.
    pub(super) is_ahead: bool,
    /// The version of the Release in which the last command that was heard had been taken off.
    pub(super) command_off: Option<u64>,
    pub(super) routes: RoutesMemory,
    /// The warnings that were told.
    pub(super) warned: BTreeSet<String>,
    /// Since when some proxy has been without the filter, or was last told to fetch it.
    pub(super) bypassed_since: Option<Instant>,
    /// Since when the Release is known to be deleted.
    pub(super) leaving_since: Option<Instant>,
    /// Since when the route of a Release that is deleted is gone, or leads to stable alone.
    pub(super) unrouted_since: Option<Instant>,
}

/// What the next life of the agent needs.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) status: Status,
    pub(super) deltas: CounterDeltas,
    /// The last command that was heard, by what tells it from every other.
    pub(super) heard: Option<String>,
    /// What the versions of the two Deployments are called.
    pub(super) names: Names,
    /// What the run and the two versions began with, of what no pod template says.
    pub(super) configs: Noted,
    /// The last version of the Release whose spec made sense: it counts while a later one does not.
    pub(super) last_good: Option<Arc<ReleaseObject>>,
    /// What is to be told by messages, and what was.
    pub(super) outbox: Outbox,
    /// When the release was last looked at, by the clock of whoever did.
    looked: Option<Timestamp>,
    /// What was found saved, if this agent cannot read it: it is kept as it is for one that can.
    unreadable: Option<String>,
}

/// The form in which a [`State`] is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Saved {
    status: Value,
    #[serde(default, alias = "ledger")]
    deltas: CounterDeltas,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    looked: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    heard: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_good: Option<Value>,
    #[serde(default)]
    names: Names,
    #[serde(default)]
    configs: Noted,
    #[serde(default, skip_serializing_if = "Outbox::is_empty")]
    outbox: Outbox,
    /// Until roles were part of the status: the run that the present canary's Deployment was when it was stable.
    #[serde(default, skip_serializing)]
    retired: Option<String>,
}

/// Why a status could not be saved.
#[derive(Debug, thiserror::Error)]
pub(super) enum SaveError {
    #[error("the Release's status cannot be written: {0}")]
    Api(#[source] kube::Error),
    #[error("another agent has changed the Release's status meanwhile: this one goes on from there")]
    Overtaken,
}

impl State {
    /// Reads what `shown` keeps. `object` is the Release that it belongs to.
    fn read(shown: &ReleaseStatus, object: &ReleaseObject) -> Self {
        let Some(text) = shown.state.as_deref() else { return Self::default() };
        let (saved, read) = match serde_json::from_str::<Saved>(text) {
            Ok(saved) => {
                let read = saved::read(saved.status.clone());
                (saved, read)
            }
            Err(error) => (Saved::default(), Err(error.to_string().into())),
        };
        let Saved { deltas, looked, heard, last_good, names, configs, outbox, retired, .. } = saved;
        let spec = last_good.and_then(|spec| serde_json::from_value(spec).ok());
        let last_good = spec.map(|spec| Arc::new(ReleaseObject { spec, ..object.clone() }));
        match read {
            Err(why) => {
                tracing::error!(release = object.name_any(), "status.state cannot be read: {why}");
                let unreadable = Some(text.to_owned());
                Self {
                    status: Status::unreadable(&why),
                    deltas,
                    looked,
                    heard,
                    names,
                    configs,
                    last_good,
                    outbox,
                    unreadable,
                }
            }
            Ok(mut status) => {
                if retired.is_some() {
                    let named = object.spec.canary.target_ref.as_ref().map(|target| &target.name);
                    let swapped = named.is_some() && shown.stable_deployment.as_ref() == named;
                    status.roles = Roles { swapped, retired };
                }
                Self { status, deltas, looked, heard, names, configs, last_good, outbox, unreadable: None }
            }
        }
    }

    fn encoded(&self) -> String {
        if let (Some(unreadable), Phase::Unreadable { .. }) = (&self.unreadable, &self.status.phase) {
            return unreadable.clone();
        }
        let fits = json!(self.deltas).to_string().len() <= LARGEST_DELTAS;
        let saved = Saved {
            status: saved::write(&self.status),
            deltas: if fits { self.deltas.clone() } else { CounterDeltas::default() },
            looked: self.looked,
            heard: self.heard.clone(),
            last_good: self.last_good.as_ref().map(|object| json!(object.spec)),
            names: self.names.clone(),
            configs: self.configs.clone(),
            outbox: self.outbox.clone(),
            retired: None,
        };
        json!(saved).to_string()
    }
}

/// The spec that `shown` keeps as the last one that made sense.
pub(super) fn last_good_spec(shown: &ReleaseStatus) -> Option<Spec> {
    let saved: Saved = serde_json::from_str(shown.state.as_deref()?).ok()?;
    serde_json::from_value(saved.last_good?).ok()
}

/// What `shown` keeps of the run, if it can be read.
pub(super) fn saved_in(shown: &ReleaseStatus) -> Option<Status> {
    let saved: Saved = serde_json::from_str(shown.state.as_deref()?).ok()?;
    saved::read(saved.status).ok()
}

impl Memory {
    /// Takes up a release from what its status says.
    pub(super) fn open(object: &ReleaseObject) -> Self {
        let shown = object.status.clone().unwrap_or_default();
        Self {
            state: State::read(&shown, object),
            saved: Some((Instant::now(), shown.clone())),
            shown,
            unanswered: None,
            is_ahead: false,
            observer: Observer::default(),
            clock: Clock::default(),
            arriving: Arriving::default(),
            configs: Digests::new(),
            config_waits: false,
            journal: Journal::default(),
            hooks: Hooks::default(),
            messages: Messages::default(),
            version: object.resource_version(),
            command_off: None,
            routes: RoutesMemory::default(),
            warned: BTreeSet::new(),
            bypassed_since: None,
            leaving_since: None,
            unrouted_since: None,
        }
    }

    /// Takes note of a look at the time `now`. Where clocks were set since the last one, what the run has waited for is what
    /// it was.
    pub(super) fn look(&mut self, now: Timestamp) {
        let moved = self.clock.look(now, self.state.looked);
        if !moved.is_zero() {
            self.state.status.clock_moved(moved);
            self.state.outbox.clock_moved(moved);
        }
        self.state.looked = Some(now);
    }

    /// Saves what is to be remembered and shown, if `decided`, or if it is time and something has changed.
    ///
    /// # Errors
    /// When the API server refuses or does not answer, or another agent was there. Then nothing may be acted on.
    pub(super) async fn save(
        &mut self,
        client: &Client,
        object: &ReleaseObject,
        decided: bool,
    ) -> Result<(), SaveError> {
        let due = self.saved.as_ref().is_none_or(|(at, before)| {
            let is_news = without_numbers(before) != without_numbers(&self.shown);
            is_news || at.elapsed() >= REFRESH && (*before != self.shown || self.is_counting())
        });
        if !decided && !due && !self.is_ahead {
            return Ok(());
        }
        self.shown.state = Some(self.state.encoded());
        let releases = api_resources::releases(client.clone(), &object.namespace().unwrap_or_default());
        let written = match self.patch(&releases, object).await {
            Err(kube::Error::Api(status)) if status.is_conflict() => {
                self.catch_up(&releases, object).await?;
                self.patch(&releases, object).await
            }
            other => other,
        };
        match written {
            Ok(written) => self.version = written.resource_version(),
            Err(error) => {
                self.unanswered.clone_from(&self.shown.state);
                return Err(SaveError::Api(error));
            }
        }
        self.saved = Some((Instant::now(), self.shown.clone()));
        (self.unanswered, self.is_ahead) = (None, false);
        Ok(())
    }

    /// What people are told: all that is shown but for what an agent keeps there for the next one.
    pub(super) fn told(&mut self) -> ReleaseStatus {
        // It is much, and not worth a copy at every look.
        let state = self.shown.state.take();
        let told = self.shown.clone();
        self.shown.state = state;
        told
    }

    /// While callers are drawn, evidence grows that is worth keeping.
    fn is_counting(&self) -> bool {
        matches!(self.state.status.phase, Phase::Starting { .. } | Phase::Progressing(_))
    }

    async fn patch(
        &self,
        releases: &Api<DynamicObject>,
        object: &ReleaseObject,
    ) -> Result<DynamicObject, kube::Error> {
        // A field that is gone is written as null, which takes it out.
        let patch = json!({"metadata": {"resourceVersion": self.version}, "status": self.shown});
        releases.patch_status(&object.name_any(), &as_serin(), &Patch::Merge(patch)).await
    }

    /// The Release has changed since it was read: mostly someone has edited its spec. If someone has decided in our
    /// place, they lead.
    async fn catch_up(
        &mut self,
        releases: &Api<DynamicObject>,
        object: &ReleaseObject,
    ) -> Result<(), SaveError> {
        let present = releases.get(&object.name_any()).await.map_err(SaveError::Api)?;
        let theirs = present.data.pointer("/status/state").and_then(Value::as_str);
        let ours = self.saved.as_ref().and_then(|(_, status)| status.state.as_deref());
        let has_arrived = theirs.is_some() && theirs == self.unanswered.as_deref();
        if theirs != ours && !has_arrived {
            return Err(SaveError::Overtaken);
        }
        self.version = present.resource_version();
        Ok(())
    }
}

/// A status without what changes with every look.
fn without_numbers(status: &ReleaseStatus) -> ReleaseStatus {
    let mut status = ReleaseStatus { state: None, served: None, analysis: None, ..status.clone() };
    for version in &mut status.versions {
        version.served = None;
    }
    for condition in &mut status.conditions {
        condition.message.clear();
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(state: Option<&str>) -> ReleaseObject {
        serde_json::from_value(json!({
            "metadata": {"name": "shop", "namespace": "shop"},
            "spec": {
                "service": {"name": "shop"},
                "stable": {"targetRef": {"name": "shop-stable"}},
                "canary": {"targetRef": {"name": "shop-canary"}},
            },
            "status": {"state": state, "stableDeployment": "shop-canary"},
        }))
        .unwrap()
    }

    #[test]
    fn what_was_saved_is_read_again() {
        let object = object(None);
        let mut memory = Memory::open(&object);
        memory.state.status.run = "v2".to_owned();
        memory.state.heard = Some("abort by ann".to_owned());
        memory.state.last_good = Some(Arc::new(object.clone()));
        let state = State::read(
            &ReleaseStatus { state: Some(memory.state.encoded()), ..ReleaseStatus::default() },
            &object,
        );
        assert_eq!((state.status.run.as_str(), state.heard.as_deref()), ("v2", Some("abort by ann")));
        assert_eq!(json!(state.last_good.unwrap().spec), json!(object.spec));
    }

    #[test]
    fn roles_that_an_older_agent_saved_are_taken_over() {
        let mut status = json!(Status { run: "v2".to_owned(), ..Status::default() });
        status["phase"] = json!({"name": "settled"});
        let saved = json!({"status": status, "ledger": CounterDeltas::default(), "retired": "v1"});
        let memory = Memory::open(&object(Some(&saved.to_string())));
        assert_eq!(memory.state.status.roles, Roles { swapped: true, retired: Some("v1".to_owned()) });
    }

    #[test]
    fn what_cannot_be_read_is_kept_for_an_agent_that_can() {
        let newer = r#"{"status": {"version": 99, "run": "v2"}}"#;
        for saved in [newer, "cut off"] {
            let memory = Memory::open(&object(Some(saved)));
            assert!(matches!(memory.state.status.phase, Phase::Unreadable { .. }), "{saved}");
            assert_eq!(memory.state.encoded(), saved);
            // Something may be under way: what bars a new Release does not end its supervision.
            assert!(memory.state.status.is_driven(), "{saved}");
        }
    }

    #[test]
    fn the_last_good_spec_is_there_though_the_status_beside_it_cannot_be_read() {
        let spec = json!(object(None).spec);
        let saved = json!({"status": {"version": 99}, "deltas": CounterDeltas::default(), "heard": "abort by ann", "lastGood": spec});
        let state = Memory::open(&object(Some(&saved.to_string()))).state;
        assert_eq!(json!(state.last_good.unwrap().spec), spec);
        assert_eq!(state.heard.as_deref(), Some("abort by ann"));
    }
}
