/*!
Releases that the API server lets through and Serin cannot read.
*/
use kube::api::Patch;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use serde_json::json;

use super::stores::Watched;
use super::{Cluster, FINALIZER, api_resources, as_serin, memory};
use crate::told::conditions::Rejection;
use crate::told::report;
use serin_release::ReleaseObject;
use serin_release::status::ReleaseStatus;

impl Cluster {
    /// An unreadable Release as it was when it could be read last, with what its metadata say now; none if it never could.
    pub(super) async fn last_good(&self, unreadable: &Watched) -> Result<Option<ReleaseObject>, kube::Error> {
        let metadata = unreadable.meta().clone();
        let known = self.memories.known(&unreadable.uid().unwrap_or_default());
        if let Some(known) = known
            && let Some(memory) = &*known.lock().await
        {
            let last_good = memory.state.last_good.as_deref().cloned();
            return Ok(last_good.map(|object| ReleaseObject { metadata, ..object }));
        }
        // This agent has never known it: another one may have, and kept it in the status.
        let (namespace, name) = (unreadable.namespace().unwrap_or_default(), unreadable.name_any());
        let releases = api_resources::releases(self.client.clone(), &namespace);
        let present = releases.get_status(&name).await?;
        let status: Option<ReleaseStatus> =
            present.data.get("status").and_then(|status| serde_json::from_value(status.clone()).ok());
        let spec = status.as_ref().and_then(memory::last_good_spec);
        Ok(spec.map(|spec| ReleaseObject { metadata, spec, status }))
    }

    /// Says of a Release that it cannot be read, and why. Nothing of it is under way: it never could be read.
    pub(super) async fn tell_unreadable(
        &self,
        unreadable: &Watched,
        why: &str,
    ) -> Result<Action, kube::Error> {
        let (namespace, name) = (unreadable.namespace().unwrap_or_default(), unreadable.name_any());
        let releases = api_resources::releases(self.client.clone(), &namespace);
        // Its policy is taken out of the proxies by the sweep.
        if unreadable.meta().deletion_timestamp.is_some() {
            let finalizers: Vec<_> = unreadable.finalizers().iter().filter(|one| *one != FINALIZER).collect();
            let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
            releases.patch(&name, &as_serin(), &patch).await?;
            return Ok(Action::await_change());
        }
        let present = releases.get_status(&name).await?;
        let shown = present.data.get("status").cloned().unwrap_or_default();
        let mut shown: ReleaseStatus = serde_json::from_value(shown).unwrap_or_default();
        if shown.message != why {
            tracing::warn!(release = format!("{namespace}/{name}"), code = "not-driven", "{why}");
            let rejection = Rejection::InvalidSpec(why.to_owned());
            report::reject(&mut shown, unreadable.meta().generation, &rejection, jiff::Timestamp::now());
            let patch = Patch::Merge(json!({"status": shown}));
            releases.patch_status(&name, &as_serin(), &patch).await?;
        }
        Ok(Action::await_change())
    }
}
