/*!
One object of the routes, written where it is not as it should be.
*/
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use serde_json::Value;

use crate::cluster::repairs::{Object, Repairs, fingerprint};
use crate::cluster::{FIELD_MANAGER, api_resources, as_serin};
use crate::mesh::object::removal;
use crate::mesh::routing::services;

/// An object that is to be written if it is not there as it should be.
pub(super) struct Changed {
    pub(super) wanted: Value,
    pub(super) kind: ApiResource,
    pub(super) found: Option<Value>,
    /// What someone else has changed in it, where it is there.
    pub(super) edits: Vec<String>,
}

impl Changed {
    /// Writes it. Says what someone else had changed; none if they keep doing so, and it is left alone for now.
    ///
    /// # Errors
    /// When the API server refuses.
    pub(super) async fn apply(
        &self,
        client: &Client,
        repairs: &Repairs,
    ) -> Result<Option<Vec<String>>, kube::Error> {
        let Self { wanted, kind, found, edits } = self;
        let text = |field: &str| wanted["metadata"][field].as_str().unwrap_or_default().to_owned();
        let (namespace, name) = (text("namespace"), text("name"));
        let object = Object { kind: kind.clone(), namespace, name, part: None };
        if found.is_some() && edits.is_empty() {
            repairs.is_right(&object);
            return Ok(Some(Vec::new()));
        }
        let version = found
            .as_ref()
            .and_then(|found| found.pointer("/metadata/resourceVersion")?.as_str()?.parse().ok());
        let state = fingerprint(&wanted.to_string());
        if !repairs.is_due(&object, version, state).await {
            return Ok(None);
        }
        let Object { namespace, name, .. } = &object;
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, kind);
        let applied = match found {
            Some(found) if *kind == api_resources::service() => {
                api.patch(name, &as_serin(), &Patch::Merge(services::repair(wanted, found))).await?
            }
            _ => self.apply_whole(&api, name).await?,
        };
        repairs.written(&object, api_resources::version(&applied), state);
        let kind = &kind.kind;
        if found.is_none() {
            return Ok(Some(vec![format!("{kind} {name} was not there")]));
        }
        Ok(Some(edits.iter().map(|edit| format!("{kind} {name}: {edit}")).collect()))
    }

    async fn apply_whole(&self, api: &Api<DynamicObject>, name: &str) -> Result<DynamicObject, kube::Error> {
        let mut how = PatchParams::apply(FIELD_MANAGER);
        if self.kind == api_resources::service() {
            // One that somebody else has just made of this name stays theirs.
            return api.patch(name, &how, &Patch::Apply(&self.wanted)).await;
        }
        how.force = true;
        let applied = api.patch(name, &how, &Patch::Apply(&self.wanted)).await?;
        // What somebody else has put in is still theirs.
        match removal(&self.wanted, &api_resources::json(&applied)) {
            Some(removal) => api.patch(name, &as_serin(), &Patch::Merge(removal)).await,
            None => Ok(applied),
        }
    }
}
