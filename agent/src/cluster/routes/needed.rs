/*!
What the routes of a release depend on: how they are, how they are wanted, and writing what differs.
*/
use std::sync::Arc;

use jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::{Client, Resource as _};
use serde_json::{Value, json};
use serin_policy::Arm;

use super::SUBSETS_FIRST;
use crate::cluster::repairs::{Object, Repairs, fingerprint};
use crate::cluster::stores::Stores;
use crate::cluster::{FIELD_MANAGER, api_resources, as_serin};
use crate::mesh::object::{MANAGED_BY, drift, removal};
use crate::mesh::routing::conflicts::conflicts;
use crate::mesh::routing::verify::{Existing, verify};
use crate::mesh::routing::{
    Indistinct, Leads, Managed, Subsets, Surroundings, foreign, hosts_of, managed, object_name,
};
use serin_release::delivery::{AttachPoint, Delivery, Mode};
use serin_release::{Release, ReleaseObject};
use serin_rollout::RouteTargets;

/// How the routes of a release are.
#[derive(Debug, Clone, Default)]
pub(in crate::cluster) struct Found {
    /// What stands in the way of moving anybody.
    pub(in crate::cluster) obstacles: Vec<String>,
    /// What stands in the way of that as well, and not of writing them.
    pub(in crate::cluster) pending: Vec<String>,
    /// Where they lead; none if they do not lead where any plan would have them.
    pub(in crate::cluster) targets: Option<RouteTargets>,
}

/// What the routes of a release depend on.
pub(in crate::cluster) struct Needed<'n> {
    pub(in crate::cluster) release: &'n Release,
    pub(in crate::cluster) delivery: &'n Delivery,
    pub(in crate::cluster) subsets: &'n Subsets,
    /// None where the Service does not have the port that is needed.
    pub(in crate::cluster) around: Option<&'n Surroundings>,
    /// The run that the canary's Deployment was when it was stable, if it was.
    pub(in crate::cluster) retired: Option<&'n str>,
}

impl Needed<'_> {
    pub(super) fn find(&self, stores: &Stores) -> Found {
        match self.delivery.routing.mode {
            Mode::Managed => self.find_managed(stores),
            Mode::Verify => self.verify(stores),
        }
    }

    pub(super) fn version(&self, stores: &Stores) -> (u64, u64) {
        match self.delivery.routing.mode {
            Mode::Managed => (stores.routes.version(&hosts_of(self.release)), 0),
            Mode::Verify => (stores.routes.version_of_all(), stores.services_version()),
        }
    }

    fn verify(&self, stores: &Stores) -> Found {
        let all = |kind: ApiResource| -> Vec<_> {
            stores.routes.all(&kind).iter().map(|object| Value::clone(object)).collect()
        };
        let (routes, rules) = (all(api_resources::virtual_service()), all(api_resources::destination_rule()));
        let services: Vec<_> = stores.services.state().iter().map(|service| json!(**service)).collect();
        let existing = Existing { virtual_services: &routes, destination_rules: &rules, services: &services };
        let missing = verify(existing, self.release, self.delivery, self.subsets);
        let obstacles: Vec<_> = missing.into_iter().map(|missing| missing.to_string()).collect();
        let targets = obstacles.is_empty().then_some(RouteTargets::Apart);
        Found { obstacles, pending: Vec::new(), targets }
    }

    /// Objects of others with the names of those that Serin would write.
    pub(in crate::cluster) fn foreign(release: &Release, stores: &Stores) -> Vec<String> {
        let (namespace, name) = release.name().split_once('/').unwrap_or_default();
        let kinds = [api_resources::virtual_service(), api_resources::destination_rule()];
        let objects = kinds.iter().filter_map(|kind| stores.routes.get(kind, namespace, &object_name(name)));
        objects.filter_map(|object| foreign(&object, release)).collect()
    }

    fn find_managed(&self, stores: &Stores) -> Found {
        let foreign = Self::foreign(self.release, stores);
        if !foreign.is_empty() {
            return Found { obstacles: foreign, ..Found::default() };
        }
        let existing = stores.routes.with(&hosts_of(self.release));
        let in_the_way = conflicts(existing.iter().map(|object| &**object), self.release, self.delivery);
        if !in_the_way.now.is_empty() {
            let obstacles = in_the_way.now.iter().map(ToString::to_string).collect();
            return Found { obstacles, ..Found::default() };
        }
        let pending = in_the_way
            .replaced
            .iter()
            .map(|replaced| format!("{} is to be replaced, and still there: delete it", replaced.object));
        let is_there = |targets: &RouteTargets| {
            let Ok(objects) = self.objects(*targets) else { return false };
            !objects.is_empty()
                && objects.into_iter().all(|(object, kind)| {
                    let found = present(&object, &kind, stores);
                    found.is_some_and(|found| drift(&object, &found).is_empty())
                })
        };
        if let Err(indistinct) = self.objects(RouteTargets::Apart) {
            return Found { obstacles: vec![indistinct.to_string()], ..Found::default() };
        }
        let all = [RouteTargets::Apart, RouteTargets::BothToCanary, RouteTargets::BothToStable];
        Found { obstacles: Vec::new(), pending: pending.collect(), targets: all.into_iter().find(is_there) }
    }

    /// The objects, in the order in which they are written: a route to a subset that is not known yet answers 503.
    fn objects(&self, targets: RouteTargets) -> Result<Vec<(Value, ApiResource)>, Indistinct> {
        // Why there are none is found before the routes are.
        let Some(around) = self.around else { return Ok(Vec::new()) };
        let both_to = match targets {
            RouteTargets::Apart => None,
            RouteTargets::BothToCanary => Some(Arm::Canary),
            RouteTargets::BothToStable => Some(Arm::Stable),
        };
        let leads = Leads { both_to, retired: self.retired };
        let Managed { destination_rule, virtual_service } =
            managed(self.release, self.delivery, self.subsets, leads, around)?;
        Ok(vec![
            (destination_rule, api_resources::destination_rule()),
            (virtual_service, api_resources::virtual_service()),
        ])
    }

    /// Takes note that Serin's routes are as they are wanted.
    pub(super) fn are_right(&self, repairs: &Repairs) {
        let (namespace, name) = self.release.name().split_once('/').unwrap_or_default();
        for kind in [api_resources::destination_rule(), api_resources::virtual_service()] {
            let (namespace, name) = (namespace.to_owned(), object_name(name));
            repairs.is_right(&Object { kind, namespace, name, part: None });
        }
    }

    /// Whether there are neither routes nor subsets that proxies have known for a while.
    pub(super) fn is_first(&self, targets: RouteTargets, stores: &Stores) -> bool {
        let Ok(objects) = self.objects(targets) else { return false };
        let is_new = |(object, kind): &(Value, ApiResource)| {
            let Some(found) = present(object, kind, stores) else { return true };
            let created = found.pointer("/metadata/creationTimestamp").and_then(Value::as_str);
            let created = created.and_then(|created| created.parse::<Timestamp>().ok());
            let age = created.map(|created| Timestamp::now().duration_since(created).unsigned_abs());
            kind.kind == "DestinationRule" && age.is_some_and(|age| age < SUBSETS_FIRST)
        };
        objects.iter().all(is_new)
    }

    /// Whether anybody may reach the service without Serin's routes: callers inside the mesh by its name, others by other
    /// people's routes. Those of another Release that had the host are not theirs to keep: they go with it.
    pub(super) fn is_reached(&self, stores: &Stores) -> bool {
        let points = &self.delivery.routing.attach_points;
        let is_other_peoples = |route: &Value| {
            route["kind"] == "VirtualService"
                && route["metadata"]["labels"][MANAGED_BY.0].as_str() != Some(MANAGED_BY.1)
        };
        points.iter().any(|point| matches!(point, AttachPoint::Sidecars { .. }))
            || stores.routes.with(&hosts_of(self.release)).iter().any(|route| is_other_peoples(route))
    }

    pub(super) async fn write(
        &self,
        targets: RouteTargets,
        only_subsets: bool,
        client: &Client,
        stores: &Stores,
        repairs: &Repairs,
        owner: &ReleaseObject,
    ) -> Result<Written, kube::Error> {
        let owner = json!(owner.controller_owner_ref(&()));
        let mut written = Written { edits: Vec::new(), is_all: true };
        // Two versions that no label tells apart are an obstacle, and no routes are wanted then.
        let how_many = if only_subsets { 1 } else { usize::MAX };
        for (mut object, kind) in self.objects(targets).into_iter().flatten().take(how_many) {
            object["metadata"]["ownerReferences"] = json!([owner]);
            match apply(client, &object, &kind, stores, repairs).await? {
                Some(edits) => written.edits.extend(edits),
                None => written.is_all = false,
            }
        }
        Ok(written)
    }
}

/// What came of writing routes.
pub(super) struct Written {
    /// What someone else had changed.
    pub(super) edits: Vec<String>,
    /// Whether nothing was left alone because somebody keeps changing it.
    pub(super) is_all: bool,
}

/// A route as somebody may keep changing it.
fn contested(object: &Value, kind: &ApiResource) -> Object {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    Object { kind: kind.clone(), namespace: text("namespace"), name: text("name"), part: None }
}

fn present(object: &Value, kind: &ApiResource, stores: &Stores) -> Option<Arc<Value>> {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    stores.routes.get(kind, text("namespace"), text("name"))
}

/// Writes `wanted` if it is not there as it should be. Says what someone else had changed; none if they keep doing so, and
/// it is left alone for now.
async fn apply(
    client: &Client,
    wanted: &Value,
    kind: &ApiResource,
    stores: &Stores,
    repairs: &Repairs,
) -> Result<Option<Vec<String>>, kube::Error> {
    let text = |field: &str| wanted["metadata"][field].as_str().unwrap_or_default();
    let (namespace, name) = (text("namespace"), text("name"));
    let object = contested(wanted, kind);
    let found = present(wanted, kind, stores);
    let edits = found.as_ref().map(|found| drift(wanted, found));
    if edits.as_ref().is_some_and(Vec::is_empty) {
        repairs.is_right(&object);
        return Ok(Some(Vec::new()));
    }
    let found =
        found.as_deref().and_then(|found| found.pointer("/metadata/resourceVersion")?.as_str()?.parse().ok());
    let state = fingerprint(&wanted.to_string());
    if !repairs.is_due(&object, found, state).await {
        return Ok(None);
    }
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, kind);
    let mut applied =
        api.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(wanted)).await?;
    // What somebody else has put in is still theirs.
    if let Some(removal) = removal(wanted, &api_resources::json(&applied)) {
        applied = api.patch(name, &as_serin(), &Patch::Merge(removal)).await?;
    }
    repairs.written(&object, api_resources::version(&applied), state);
    let kind = &kind.kind;
    Ok(Some(match edits {
        None => vec![format!("{kind} {name} was not there")],
        Some(edits) => edits.iter().map(|edit| format!("{kind} {name}: {edit}")).collect(),
    }))
}
