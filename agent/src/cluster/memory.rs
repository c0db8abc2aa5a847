/*!
What the agent remembers of one release between two ticks, and where that is kept: in the status of the Release, so
that another agent can go on from there.

While this agent leads, its memory counts: what a watch shows of the status may be older. Every write names the
version that it was made from, so that of two agents who both think they lead only one gets through.
*/
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::api::{Api, Patch};
use kube::{Client, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::as_serin;
use super::routes::Checked;
use crate::journal::Journal;
use crate::observe::Observer;
use crate::observe::counter_deltas::CounterDeltas;
use serin_release::ReleaseObject;
use serin_release::status::ReleaseStatus;
use serin_rollout::Status;

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
    /// What has been told.
    pub(super) journal: Journal,
    /// The version of the Release that was last read or written.
    version: Option<String>,
    saved: Option<(Instant, ReleaseStatus)>,
    /// How its routes were when they were last looked at.
    pub(super) routes: Option<Checked>,
    /// The last version of the Release whose spec made sense.
    pub(super) last_good: Option<Arc<ReleaseObject>>,
    /// The version of the Release from which its last command was taken off.
    pub(super) heard: u64,
    /// Since when some proxy has been without the filter, or was last told to fetch it.
    pub(super) bypassed_since: Option<Instant>,
    /// Since when the route of a Release that is deleted is gone.
    pub(super) unrouted_since: Option<Instant>,
}

/// What the next life of the agent needs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct State {
    pub(super) status: Status,
    #[serde(default, alias = "ledger")]
    pub(super) deltas: CounterDeltas,
    /// Where versions have changed places: the run that the present canary's pod template was, when it was stable.
    #[serde(default)]
    pub(super) retired: Option<String>,
}

/// Why a status could not be saved.
#[derive(Debug, thiserror::Error)]
pub(super) enum SaveError {
    #[error("the Release's status cannot be written: {0}")]
    Api(#[source] kube::Error),
    #[error("another agent has changed the Release's status meanwhile: this one goes on from there")]
    Overtaken,
}

impl Memory {
    /// Takes up a release from what its status says.
    pub(super) fn open(object: &ReleaseObject) -> Self {
        let shown = object.status.clone().unwrap_or_default();
        let state = shown.state.as_deref().map(serde_json::from_str::<State>);
        let state = state.transpose().unwrap_or_else(|error| {
            // Then the policies in force say what there is to know, as after any loss.
            tracing::warn!(release = object.name_any(), "status.state is unreadable, and left out: {error}");
            None
        });
        Self {
            state: state.unwrap_or_default(),
            saved: Some((Instant::now(), shown.clone())),
            shown,
            observer: Observer::default(),
            journal: Journal::default(),
            version: object.resource_version(),
            routes: None,
            last_good: None,
            heard: 0,
            bypassed_since: None,
            unrouted_since: None,
        }
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
        if !decided && !due {
            return Ok(());
        }
        self.shown.state = Some(self.encoded());
        let releases: Api<ReleaseObject> =
            Api::namespaced(client.clone(), &object.namespace().unwrap_or_default());
        let written = match self.patch(&releases, object).await {
            Err(kube::Error::Api(status)) if status.is_conflict() => {
                self.catch_up(&releases, object).await?;
                self.patch(&releases, object).await
            }
            other => other,
        };
        let written = written.map_err(SaveError::Api)?;
        self.version = written.resource_version();
        self.saved = Some((Instant::now(), self.shown.clone()));
        Ok(())
    }

    /// While callers are drawn, evidence grows that is worth keeping.
    fn is_counting(&self) -> bool {
        use serin_rollout::Phase::{Progressing, Starting};
        matches!(self.state.status.phase, Starting { .. } | Progressing(_))
    }

    fn encoded(&self) -> String {
        let mut state = serde_json::to_value(&self.state).unwrap_or_default();
        if state["deltas"].to_string().len() > LARGEST_DELTAS {
            state["deltas"] = json!(CounterDeltas::default());
        }
        state.to_string()
    }

    async fn patch(
        &self,
        releases: &Api<ReleaseObject>,
        object: &ReleaseObject,
    ) -> Result<ReleaseObject, kube::Error> {
        // A field that is gone is written as null, which takes it out.
        let patch = json!({"metadata": {"resourceVersion": self.version}, "status": self.shown});
        releases.patch_status(&object.name_any(), &as_serin(), &Patch::Merge(patch)).await
    }

    /// The Release has changed since it was read: mostly someone has edited its spec. If someone has decided in our
    /// place, they lead.
    async fn catch_up(
        &mut self,
        releases: &Api<ReleaseObject>,
        object: &ReleaseObject,
    ) -> Result<(), SaveError> {
        let present = releases.get(&object.name_any()).await.map_err(SaveError::Api)?;
        let state = |status: Option<&ReleaseStatus>| status.and_then(|status| status.state.clone());
        let theirs = state(present.status.as_ref());
        let ours = state(self.saved.as_ref().map(|(_, status)| status));
        if theirs != ours {
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
