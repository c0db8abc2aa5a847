/*!
The routes of a Release that goes: nothing owns them but it, so that nobody else takes them away under its users. What
one has left behind goes when another Release has routes for its hosts.
*/
use std::sync::Arc;

use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::runtime::reflector::ObjectRef;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use serin_policy::Arm;

use super::needed::Needed;
use crate::cluster::stores::Stores;
use crate::cluster::{FIELD_MANAGER, api_resources};
use crate::mesh::object::{Ownership, RELEASE, label, namespace, owned, text};
use crate::mesh::routing::{hosts_of, left_behind, object_name, split, version_rule_name};
use serin_release::delivery::Routing;
use serin_release::{Release, ReleaseObject};
use serin_rollout::RouteTargets;

/// The routes of a Release that goes.
pub(in crate::cluster) struct Leaving {
    /// What is left behind of them; none if they go. Empty if they stay as they are.
    left: Option<Vec<(Value, ApiResource)>>,
}

impl Leaving {
    /// They go as well.
    pub(in crate::cluster) const NOTHING: Self = Self { left: None };

    /// They stay as they are: nobody can say how they should be.
    pub(in crate::cluster) const AS_IT_IS: Self = Self { left: Some(Vec::new()) };

    /// They stay, and lead to stable alone.
    pub(in crate::cluster) fn to_stable(needed: &Needed<'_>, targets: RouteTargets) -> Self {
        let objects = needed.objects(targets).unwrap_or_default().into_iter();
        Self { left: Some(objects.map(|(object, kind)| (left_behind(object), kind)).collect()) }
    }

    /// Deals with the VirtualService. Says whether there was one of Serin's.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub(in crate::cluster) async fn deal_with_route(
        &self,
        client: &Client,
        stores: &Stores,
        release: &ReleaseObject,
    ) -> Result<bool, kube::Error> {
        let kind = api_resources::virtual_service();
        self.deal_with(&kind, &object_name(&release.name_any()), client, stores, release).await
    }

    /// Deals with all that the route leads to, when proxies have taken what became of that.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub(in crate::cluster) async fn deal_with_targets(
        &self,
        client: &Client,
        stores: &Stores,
        release: &ReleaseObject,
    ) -> Result<(), kube::Error> {
        let (kind, name) = (api_resources::destination_rule(), release.name_any());
        let of_version = |arm| version_rule_name(&name, arm);
        for rule in [object_name(&name), of_version(Arm::Stable)] {
            self.deal_with(&kind, &rule, client, stores, release).await?;
        }
        if self.left.as_ref().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        // Nobody goes to the canary any more.
        Self::NOTHING.deal_with(&kind, &of_version(Arm::Canary), client, stores, release).await?;
        for service in stores.services.state() {
            let service = json!(*service);
            let is_its = owned(&service) == Ownership::Ours && label(&service, RELEASE) == Some(&name);
            if is_its && namespace(&service) == release.namespace().unwrap_or_default() {
                delete(client, &api_resources::service(), &service).await?;
            }
        }
        Ok(())
    }

    /// Deals with one object. Says whether there was one of Serin's.
    async fn deal_with(
        &self,
        kind: &ApiResource,
        name: &str,
        client: &Client,
        stores: &Stores,
        release: &ReleaseObject,
    ) -> Result<bool, kube::Error> {
        let namespace = release.namespace().unwrap_or_default();
        let found = stores.routes.get(kind, &namespace, name);
        let Some(found) = found.filter(|found| owned(found) == Ownership::Ours) else { return Ok(false) };
        match &self.left {
            None => delete(client, kind, &found).await?,
            Some(objects) => {
                let is_it = |(object, of): &&(Value, ApiResource)| {
                    of == kind && text(object, "/metadata/name") == name
                };
                if let Some((object, _)) = objects.iter().find(is_it) {
                    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, kind);
                    let params = PatchParams::apply(FIELD_MANAGER).force();
                    api.patch(name, &params, &Patch::Apply(object)).await?;
                }
            }
        }
        Ok(true)
    }
}

/// Takes away what Releases that are gone have left behind for the hosts of `release`, which has routes of its own.
///
/// # Errors
/// When the API server refuses or does not answer.
pub(in crate::cluster) async fn take_over(
    client: &Client,
    stores: &Stores,
    release: &Release,
    routing: &Routing,
) -> Result<(), kube::Error> {
    for object in orphans(stores, release, routing) {
        let kinds = [api_resources::virtual_service(), api_resources::destination_rule()];
        if let Some(kind) = kinds.iter().find(|kind| kind.kind == text(&object, "/kind")) {
            tracing::info!(
                release = release.name(),
                "{} {} was left behind: it goes",
                kind.kind,
                text(&object, "/metadata/name")
            );
            delete(client, kind, &object).await?;
        }
    }
    Ok(())
}

/// What Releases that are gone have left behind for the hosts of `release`, in its namespace.
fn orphans(stores: &Stores, release: &Release, routing: &Routing) -> Vec<Arc<Value>> {
    let (own, _) = split(release);
    let mut found = stores.routes.with(&hosts_of(release, routing));
    found.retain(|object| namespace(object) == own && is_orphan(stores, object));
    found
}

/// Whether `object` is Serin's, of a Release that is gone.
pub(super) fn is_orphan(stores: &Stores, object: &Value) -> bool {
    let is_gone = |release: &str| {
        text(object, "/metadata/name").starts_with(&object_name(release))
            && stores.releases.get(&ObjectRef::new(release).within(namespace(object))).is_none()
    };
    owned(object) == Ownership::Ours && label(object, RELEASE).is_some_and(is_gone)
}

/// Deletes an object as it was found; one that has another's place by now stays.
pub(super) async fn delete(client: &Client, kind: &ApiResource, object: &Value) -> Result<(), kube::Error> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace(object), kind);
    let uid = Some(text(object, "/metadata/uid").to_owned());
    let preconditions = Some(Preconditions { uid, resource_version: None });
    let params = DeleteParams { preconditions, ..DeleteParams::default() };
    match api.delete(text(object, "/metadata/name"), &params).await {
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        other => other.map(drop),
    }
}
