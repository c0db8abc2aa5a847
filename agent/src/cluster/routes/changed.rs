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

/// An object that is to be written if it is not there as it should be.
pub(super) struct Changed {
    pub(super) wanted: Value,
    pub(super) kind: ApiResource,
    pub(super) found: Option<Value>,
    /// What someone else has changed.
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
        if edits.is_empty() {
            repairs.is_right(&object);
            return Ok(Some(Vec::new()));
        }
        let found = found
            .as_ref()
            .and_then(|found| found.pointer("/metadata/resourceVersion")?.as_str()?.parse().ok());
        let state = fingerprint(&wanted.to_string());
        if !repairs.is_due(&object, found, state).await {
            return Ok(None);
        }
        let Object { namespace, name, .. } = &object;
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, kind);
        let mut how = PatchParams::apply(FIELD_MANAGER);
        // A Service that somebody else has just made of this name stays theirs.
        how.force = found.is_some() || *kind != api_resources::service();
        let mut applied = api.patch(name, &how, &Patch::Apply(wanted)).await?;
        // What somebody else has put in is still theirs. A Service has defaults of the API server's besides.
        if *kind != api_resources::service()
            && let Some(removal) = removal(wanted, &api_resources::json(&applied))
        {
            applied = api.patch(name, &as_serin(), &Patch::Merge(removal)).await?;
        }
        repairs.written(&object, api_resources::version(&applied), state);
        let kind = &kind.kind;
        Ok(Some(edits.iter().map(|edit| format!("{kind} {name}: {edit}")).collect()))
    }
}
