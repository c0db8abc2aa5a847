/*!
The routes that lead to the two versions: Serin's own, or a check of people's. Neither is touched while weights move.
*/
use std::sync::Arc;

use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use super::stores::Stores;
use super::{FIELD_MANAGER, api_resources, as_serin};
use crate::mesh::object::{drift, removal};
use crate::mesh::routing::conflicts::conflicts;
use crate::mesh::routing::verify::{Existing, verify};
use crate::mesh::routing::{Pods, Subsets, managed, object_name};
use serin_release::delivery::{Delivery, Mode};
use serin_release::{Release, ReleaseObject};

/// How the routes of a release are.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// What stands in the way of moving anybody.
    pub(super) obstacles: Vec<String>,
    /// What others had changed in Serin's own objects, or taken away: it was set right.
    pub(super) repaired: Vec<String>,
}

/// The routes that a release needs.
pub(super) struct Wanted<'w> {
    pub(super) release: &'w Release,
    pub(super) delivery: &'w Delivery,
    /// The Release, as the owner of its objects.
    pub(super) owner: &'w Value,
    pub(super) subsets: &'w Subsets,
    /// The pods that both subsets are for the moment, if they are one.
    pub(super) both: Option<Pods>,
}

/// Routes that were looked at, and what was found: that holds until something changes.
#[derive(Debug)]
pub(super) struct Checked {
    version: u64,
    generation: Option<i64>,
    subsets: Subsets,
    both: Option<Pods>,
    obstacles: Vec<String>,
}

/// Makes or checks the routes of a release, if anything has changed since they were `checked`.
///
/// # Errors
/// When the API server refuses an object.
pub(super) async fn ensure(
    client: &Client,
    stores: &Stores,
    wanted: &Wanted<'_>,
    generation: Option<i64>,
    checked: &mut Option<Checked>,
) -> Result<Routes, kube::Error> {
    let version = stores.routes_version();
    if let Some(checked) = checked
        && (checked.version, checked.generation) == (version, generation)
        && (&checked.subsets, &checked.both) == (wanted.subsets, &wanted.both)
    {
        return Ok(Routes { obstacles: checked.obstacles.clone(), repaired: Vec::new() });
    }
    let routes = look(client, stores, wanted).await?;
    let Wanted { subsets, both, .. } = wanted;
    let (subsets, both, obstacles) = (Subsets::clone(subsets), both.clone(), routes.obstacles.clone());
    // What was just written is looked at once more, when it is there.
    *checked =
        routes.repaired.is_empty().then_some(Checked { version, generation, subsets, both, obstacles });
    Ok(routes)
}

async fn look(client: &Client, stores: &Stores, wanted: &Wanted<'_>) -> Result<Routes, kube::Error> {
    let Wanted { release, delivery, subsets, .. } = wanted;
    match delivery.routing.mode {
        Mode::Managed => ensure_managed(client, stores, wanted).await,
        Mode::Verify => {
            let (routes, rules) = (all(&stores.virtual_services), all(&stores.destination_rules));
            let services: Vec<_> = stores.services.state().iter().map(|service| json!(**service)).collect();
            let existing =
                Existing { virtual_services: &routes, destination_rules: &rules, services: &services };
            let missing = verify(existing, release, delivery, subsets);
            let obstacles = missing.into_iter().map(|missing| missing.to_string()).collect();
            Ok(Routes { obstacles, repaired: Vec::new() })
        }
    }
}

async fn ensure_managed(
    client: &Client,
    stores: &Stores,
    Wanted { release, delivery, owner, subsets, both }: &Wanted<'_>,
) -> Result<Routes, kube::Error> {
    let mut foreign = all(&stores.virtual_services);
    foreign.extend(all(&stores.destination_rules));
    let in_the_way = conflicts(&foreign, release, delivery);
    if !in_the_way.is_empty() {
        let obstacles = in_the_way.iter().map(ToString::to_string).collect();
        return Ok(Routes { obstacles, repaired: Vec::new() });
    }
    let mut objects = match managed(release, delivery, subsets) {
        Ok(objects) => objects,
        Err(indistinct) => {
            return Ok(Routes { obstacles: vec![indistinct.to_string()], repaired: Vec::new() });
        }
    };
    if let (Some(both), Some(subsets)) =
        (both, objects.destination_rule.pointer_mut("/spec/subsets").and_then(Value::as_array_mut))
    {
        for subset in subsets {
            subset["labels"] = json!(both.selector);
        }
    }
    let mut routes = Routes::default();
    // Subsets first: a route to one that is not known yet answers 503.
    for (mut object, kind, store) in [
        (objects.destination_rule, api_resources::destination_rule(), &stores.destination_rules),
        (objects.virtual_service, api_resources::virtual_service(), &stores.virtual_services),
    ] {
        object["metadata"]["ownerReferences"] = json!([owner]);
        routes.repaired.extend(apply(client, &object, &kind, store).await?);
    }
    Ok(routes)
}

/// Writes `wanted` if it is not there as it should be. Says what someone else had changed.
async fn apply(
    client: &Client,
    wanted: &Value,
    kind: &ApiResource,
    store: &Store<DynamicObject>,
) -> Result<Vec<String>, kube::Error> {
    let text = |field: &str| wanted["metadata"][field].as_str().unwrap_or_default();
    let (namespace, name) = (text("namespace"), text("name"));
    let found = store.get(&ObjectRef::new_with(name, kind.clone()).within(namespace));
    let edits = found.map(|found| drift(wanted, &api_resources::json(&found)));
    if edits.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Vec::new());
    }
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, kind);
    let applied = api.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(wanted)).await?;
    // What somebody else has put in is still theirs.
    if let Some(removal) = removal(wanted, &api_resources::json(&applied)) {
        api.patch(name, &as_serin(), &Patch::Merge(removal)).await?;
    }
    let kind = &kind.kind;
    Ok(match edits {
        None => vec![format!("{kind} {name} was not there")],
        Some(edits) => edits.iter().map(|edit| format!("{kind} {name}: {edit}")).collect(),
    })
}

/// Takes the route away that Serin made for `release`. Says whether there was one.
///
/// # Errors
/// When the API server refuses, or does not answer.
pub(super) async fn take_away(
    client: &Client,
    stores: &Stores,
    release: &ReleaseObject,
) -> Result<bool, kube::Error> {
    let is_own = |route: &&Arc<DynamicObject>| {
        route.owner_references().iter().any(|owner| Some(&owner.uid) == release.uid().as_ref())
    };
    let Some(route) = stores.virtual_services.state().iter().find(is_own).cloned() else { return Ok(false) };
    let namespace = route.namespace().unwrap_or_default();
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), &namespace, &api_resources::virtual_service());
    match api.delete(&route.name_any(), &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(true),
        other => other.map(|_| true),
    }
}

/// Whether the routes of stable lead to the pods of `subsets`' canary.
pub(super) fn lead_to_canary(stores: &Stores, release: &Release, subsets: &Subsets) -> bool {
    let own = object_name(release);
    stores.destination_rules.state().iter().any(|rule| {
        let stable = rule.data.pointer("/spec/subsets/0/labels");
        rule.name_any() == own
            && rule.namespace().as_deref() == release.name().split_once('/').map(|(namespace, _)| namespace)
            && stable == Some(&json!(subsets.canary.selector))
    })
}

fn all(store: &Store<DynamicObject>) -> Vec<Value> {
    store.state().iter().map(|object| api_resources::json(object)).collect()
}
