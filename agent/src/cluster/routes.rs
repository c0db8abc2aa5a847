/*!
The routes that lead to the two versions: Serin's own, or a check of people's. The plan says where they lead; neither is
touched while weights move.
*/
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::{Client, Resource as _, ResourceExt};
use serde_json::{Value, json};
use serin_policy::Arm;

use super::repairs::{Object, Repairs, fingerprint};
use super::stores::Stores;
use super::{FIELD_MANAGER, api_resources, as_serin};
use crate::errors::chain;
use crate::mesh::object::{MANAGED_BY, drift, removal};
use crate::mesh::routing::conflicts::conflicts;
use crate::mesh::routing::verify::{Existing, verify};
use crate::mesh::routing::{
    Indistinct, Leads, Managed, Subsets, Surroundings, hosts_of, managed, object_name,
};
use serin_release::delivery::{AttachPoint, Delivery, Mode};
use serin_release::{Release, ReleaseObject};
use serin_rollout::RouteTargets;

/// How the routes of a release are.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    /// What stands in the way of moving anybody.
    pub(super) obstacles: Vec<String>,
    /// What stands in the way of that as well, and not of writing them.
    pub(super) pending: Vec<String>,
    /// Where they lead; none if they do not lead where any plan would have them.
    pub(super) targets: Option<RouteTargets>,
}

/// What the routes of a release depend on.
pub(super) struct Needed<'n> {
    pub(super) release: &'n Release,
    pub(super) delivery: &'n Delivery,
    pub(super) subsets: &'n Subsets,
    /// None where the Service does not have the port that is needed.
    pub(super) around: Option<&'n Surroundings>,
    /// The run that the canary's Deployment was when it was stable, if it was.
    pub(super) retired: Option<&'n str>,
}

/// What is remembered of a release's routes between two ticks.
#[derive(Debug, Default)]
pub(super) struct RoutesMemory {
    /// How they were when they were last looked at: that holds until something changes.
    looked: Option<(Basis, Found)>,
    /// What was last written, and when: it takes a moment until a watch shows it.
    written: Option<(Basis, RouteTargets, Instant)>,
    /// What was wanted when the routes were last seen to be so: where the same is wanted and they are otherwise, that is
    /// somebody else's doing.
    seen: Option<(Basis, RouteTargets)>,
    /// Since when the subsets are there, and no route to them yet.
    halfway_since: Option<Instant>,
    /// Why the last write came to nothing.
    failure: Option<String>,
}

/// What a look went by.
#[derive(Debug, Clone, PartialEq)]
struct Basis {
    /// Of the objects that may have one of the release's hosts, and of the Services, where it is people who write.
    version: (u64, u64),
    generation: Option<i64>,
    subsets: Subsets,
    around: Option<Surroundings>,
    stable: String,
    retired: Option<String>,
}

/// For how long there are subsets before there is the first route to them. Both would reach proxies at once, and a route to
/// a cluster that is still being set up answers 503.
const SUBSETS_FIRST: Duration = Duration::from_secs(3);

/// How long a watch may take to show what was written.
const WATCH_DELAY: Duration = Duration::from_secs(5);

impl RoutesMemory {
    /// Looks at the routes of a release, if anything has changed since the last time.
    pub(super) fn look(&mut self, stores: &Stores, needed: &Needed<'_>, generation: Option<i64>) -> Found {
        let basis = Basis::of(stores, needed, generation);
        match &self.looked {
            Some((known, found)) if *known == basis => found.clone(),
            _ => {
                let found = needed.find(stores);
                self.looked = Some((basis, found.clone()));
                found
            }
        }
    }

    /// Whether the subsets are written and the routes are to follow.
    pub(super) const fn is_halfway(&self) -> bool {
        self.halfway_since.is_some()
    }

    /// Why the routes could not be written, if they could not.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Has the routes lead to `targets`, if Serin writes them and they do not. Says what someone else had changed; what was
    /// planned to change, or is written for the first time, is nobody else's.
    pub(super) async fn lead_to(
        &mut self,
        targets: RouteTargets,
        client: &Client,
        stores: &Stores,
        repairs: &Repairs,
        needed: &Needed<'_>,
        owner: &ReleaseObject,
    ) -> Vec<String> {
        let found = self.look(stores, needed, owner.metadata.generation);
        if needed.delivery.routing.mode == Mode::Verify
            || found.targets == Some(targets)
            || !found.obstacles.is_empty()
        {
            self.failure = None;
            if found.targets == Some(targets) {
                self.seen = Some((Basis::of(stores, needed, owner.metadata.generation), targets));
                needed.are_right(repairs);
            }
            return Vec::new();
        }
        let basis = Basis::of(stores, needed, owner.metadata.generation);
        let is_on_its_way = self
            .written
            .as_ref()
            .is_some_and(|(known, to, at)| *known == basis && *to == targets && at.elapsed() < WATCH_DELAY);
        if is_on_its_way {
            return Vec::new();
        }
        let only_subsets = match self.halfway_since {
            Some(since) => since.elapsed() < SUBSETS_FIRST,
            None => self.seen.is_none() && needed.is_first(targets, stores) && needed.is_reached(stores),
        };
        match needed.write(targets, only_subsets, client, stores, repairs, owner).await {
            Ok(_) if only_subsets => {
                self.failure = None;
                self.halfway_since.get_or_insert_with(Instant::now);
                Vec::new()
            }
            Ok(Written { edits, is_all }) => {
                self.failure = None;
                self.halfway_since = None;
                let are_others = self.was_seen(&basis, targets);
                if is_all {
                    self.written = Some((basis, targets, Instant::now()));
                }
                if are_others { edits } else { Vec::new() }
            }
            Err(error) => {
                tracing::warn!(
                    release = needed.release.name(),
                    error = chain(&error),
                    "the routes cannot be written"
                );
                self.failure = Some(chain(&error));
                Vec::new()
            }
        }
    }
}

impl RoutesMemory {
    /// Whether the routes were seen as they are wanted to be.
    fn was_seen(&self, basis: &Basis, targets: RouteTargets) -> bool {
        self.seen.as_ref().is_some_and(|(seen, to)| *to == targets && seen.wants_the_same(basis))
    }
}

impl Basis {
    /// Whether the routes are wanted the same, whatever has become of them.
    fn wants_the_same(&self, other: &Self) -> bool {
        let version = self.version;
        *self == Self { version, ..other.clone() }
    }

    fn of(stores: &Stores, needed: &Needed<'_>, generation: Option<i64>) -> Self {
        Self {
            version: needed.version(stores),
            generation,
            subsets: needed.subsets.clone(),
            around: needed.around.cloned(),
            stable: needed.delivery.stable.deployment.clone(),
            retired: needed.retired.map(str::to_owned),
        }
    }
}

impl Needed<'_> {
    fn find(&self, stores: &Stores) -> Found {
        match self.delivery.routing.mode {
            Mode::Managed => self.find_managed(stores),
            Mode::Verify => self.verify(stores),
        }
    }

    fn version(&self, stores: &Stores) -> (u64, u64) {
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

    fn find_managed(&self, stores: &Stores) -> Found {
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
    fn are_right(&self, repairs: &Repairs) {
        let (namespace, name) = self.release.name().split_once('/').unwrap_or_default();
        for kind in [api_resources::destination_rule(), api_resources::virtual_service()] {
            let (namespace, name) = (namespace.to_owned(), object_name(name));
            repairs.is_right(&Object { kind, namespace, name, part: None });
        }
    }

    /// Whether there are neither routes nor subsets that proxies have known for a while.
    fn is_first(&self, targets: RouteTargets, stores: &Stores) -> bool {
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
    fn is_reached(&self, stores: &Stores) -> bool {
        let points = &self.delivery.routing.attach_points;
        let is_other_peoples = |route: &Value| {
            route["kind"] == "VirtualService"
                && route["metadata"]["labels"][MANAGED_BY.0].as_str() != Some(MANAGED_BY.1)
        };
        points.iter().any(|point| matches!(point, AttachPoint::Sidecars { .. }))
            || stores.routes.with(&hosts_of(self.release)).iter().any(|route| is_other_peoples(route))
    }

    async fn write(
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
struct Written {
    /// What someone else had changed.
    edits: Vec<String>,
    /// Whether nothing was left alone because somebody keeps changing it.
    is_all: bool,
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

/// Takes the route away that Serin made for `release`. Says whether there was one.
///
/// # Errors
/// When the API server refuses, or does not answer.
pub(super) async fn take_away(
    client: &Client,
    stores: &Stores,
    release: &ReleaseObject,
) -> Result<bool, kube::Error> {
    let kind = api_resources::virtual_service();
    let (namespace, name) = (release.namespace().unwrap_or_default(), object_name(&release.name_any()));
    let is_own = |route: &Arc<Value>| {
        let owners = route.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        owners.into_iter().flatten().any(|owner| owner["uid"].as_str() == release.uid().as_deref())
    };
    if !stores.routes.get(&kind, &namespace, &name).as_ref().is_some_and(is_own) {
        return Ok(false);
    }
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &kind);
    match api.delete(&name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(true),
        other => other.map(|_| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basis(version: u64, generation: i64, stable: &str) -> Basis {
        let (stable, generation) = (stable.to_owned(), Some(generation));
        Basis {
            version: (version, 0),
            generation,
            subsets: Subsets::default(),
            around: None,
            stable,
            retired: None,
        }
    }

    #[test]
    fn only_what_has_changed_while_the_same_is_wanted_is_somebody_elses_doing() {
        let (apart, both) = (RouteTargets::Apart, RouteTargets::BothToCanary);
        let fresh = RoutesMemory::default();
        assert!(!fresh.was_seen(&basis(1, 1, "shop"), apart), "the first routes");
        let memory = RoutesMemory { seen: Some((basis(1, 1, "shop"), apart)), ..fresh };
        for (basis, targets, expected, what) in [
            (basis(2, 1, "shop"), apart, true, "an edit of a route"),
            (basis(2, 1, "shop"), both, false, "a plan"),
            (basis(2, 2, "shop"), apart, false, "an edit of the Release"),
            (basis(2, 1, "shop-canary"), apart, false, "versions that have changed places"),
        ] {
            assert_eq!(memory.was_seen(&basis, targets), expected, "{what}");
        }
    }
}
