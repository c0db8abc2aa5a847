/*!
What the routes of a release depend on: how they are, how they are wanted, and writing what differs.
*/
use std::sync::Arc;

use jiff::Timestamp;
use kube::discovery::ApiResource;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use serin_policy::Arm;

use super::SUBSETS_FIRST;
use super::changed::Changed;
use super::leaving::{delete, is_orphan};
use crate::cluster::api_resources;
use crate::cluster::repairs::{Object, Repairs};
use crate::cluster::stores::Stores;
use crate::cluster::workloads::get;
use crate::mesh::object::{MANAGED_BY, Ownership, drift, list, owned, text};
use crate::mesh::routing::conflicts::conflicts;
use crate::mesh::routing::verify::{Existing, verify};
use crate::mesh::routing::{
    Indistinct, Leads, Managed, Subsets, Surroundings, foreign, hosts_of, managed, object_name, services,
    split, version_rule_name,
};
use serin_release::Release;
use serin_release::delivery::{AttachPoint, Delivery, Mode};
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
    pub(in crate::cluster) subsets: Subsets,
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
            Mode::Managed => {
                let of_services = self.delivery.routing.services.as_ref().map(|_| stores.services_version());
                let hosts = hosts_of(self.release, &self.delivery.routing);
                (stores.routes.version(&hosts), of_services.unwrap_or_default())
            }
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
        let missing = verify(existing, self.release, self.delivery, &self.subsets);
        let obstacles: Vec<_> = missing.into_iter().map(|missing| missing.to_string()).collect();
        let targets = obstacles.is_empty().then_some(RouteTargets::Apart);
        Found { obstacles, pending: Vec::new(), targets }
    }

    /// Objects of others with the names of those that Serin would write.
    pub(in crate::cluster) fn foreign(
        release: &Release,
        delivery: &Delivery,
        stores: &Stores,
    ) -> Vec<String> {
        let (namespace, _) = split(release);
        let objects = own_names(release, delivery).into_iter();
        let found = objects.filter_map(|(kind, name)| stores.routes.get(&kind, namespace, &name));
        found.filter_map(|object| foreign(&object, release)).collect()
    }

    fn find_managed(&self, stores: &Stores) -> Found {
        let foreign = Self::foreign(self.release, self.delivery, stores);
        if !foreign.is_empty() {
            return Found { obstacles: foreign, ..Found::default() };
        }
        let mut existing = stores.routes.with(&hosts_of(self.release, &self.delivery.routing));
        // What a Release that is gone has left behind goes as soon as these routes are there.
        existing.retain(|object| !is_orphan(stores, object));
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
                && self.canary_service(stores).is_none()
                && objects.into_iter().all(|(object, kind)| {
                    let found = present(&object, &kind, stores);
                    found.is_some_and(|found| drift(&object, &found).is_empty() && !is_owned(&found))
                })
        };
        if let Err(indistinct) = self.objects(RouteTargets::Apart) {
            return Found { obstacles: vec![indistinct.to_string()], ..Found::default() };
        }
        let all = [RouteTargets::Apart, RouteTargets::BothToCanary, RouteTargets::BothToStable];
        Found { obstacles: Vec::new(), pending: pending.collect(), targets: all.into_iter().find(is_there) }
    }

    /// The objects, in the order in which they are written: a route to a subset that is not known yet answers 503.
    pub(super) fn objects(&self, targets: RouteTargets) -> Result<Vec<(Value, ApiResource)>, Indistinct> {
        // Why there are none is found before the routes are.
        let Some(around) = self.around else { return Ok(Vec::new()) };
        let both_to = match targets {
            RouteTargets::Apart => None,
            RouteTargets::BothToCanary => Some(Arm::Canary),
            RouteTargets::BothToStable => Some(Arm::Stable),
        };
        let leads = Leads { both_to, retired: self.retired };
        let Managed { destination_rule, version_rules, virtual_service } =
            managed(self.release, self.delivery, &self.subsets, leads, around)?;
        let rules = std::iter::once(destination_rule).chain(version_rules);
        let rules = rules.map(|rule| (rule, api_resources::destination_rule()));
        Ok(rules.chain([(virtual_service, api_resources::virtual_service())]).collect())
    }

    /// The canary's Service as Serin would write it, where it is Serin's to write and not as it should be.
    fn canary_service(&self, stores: &Stores) -> Option<CanaryService> {
        let (services, around) = (self.delivery.routing.services.as_ref()?, self.around?);
        let wanted = services::canary(
            self.release,
            &services.canary,
            &around.service_ports,
            &self.subsets.canary.selector,
        );
        let (namespace, _) = split(self.release);
        let Some(found) = get(&stores.services, namespace, &services.canary).map(|found| json!(*found))
        else {
            return Some(CanaryService { wanted, found: None });
        };
        let is_right =
            !services::is_made_for(&found, self.release) || services::is_as_written(&wanted, &found);
        (!is_right).then_some(CanaryService { wanted, found: Some(found) })
    }

    /// Takes note that Serin's routes are as they are wanted.
    pub(super) fn are_right(&self, repairs: &Repairs) {
        let (namespace, _) = split(self.release);
        let service = self
            .delivery
            .routing
            .services
            .as_ref()
            .map(|services| (api_resources::service(), services.canary.clone()));
        for (kind, name) in own_names(self.release, self.delivery).into_iter().chain(service) {
            repairs.is_right(&Object { kind, namespace: namespace.to_owned(), name, part: None });
        }
    }

    /// Whether there are neither routes nor subsets that proxies have known for a while.
    pub(super) fn is_first(&self, targets: RouteTargets, stores: &Stores) -> bool {
        let Ok(objects) = self.objects(targets) else { return false };
        let is_new = |(object, kind): &(Value, ApiResource)| {
            let Some(found) = present(object, kind, stores) else { return true };
            kind.kind == "DestinationRule" && is_young(&found)
        };
        objects.iter().all(is_new)
    }

    /// Whether the routes are to lead to a Service that proxies have not known for a while.
    pub(super) fn leads_to_a_new_service(&self, targets: RouteTargets, stores: &Stores) -> bool {
        let Some(services) = &self.delivery.routing.services else { return false };
        let is_led_already = self.objects(targets).is_ok_and(|objects| {
            let is_there = |(route, kind): &(Value, ApiResource)| {
                present(route, kind, stores).is_some_and(|found| drift(route, &found).is_empty())
            };
            objects.last().is_some_and(is_there)
        });
        let (namespace, _) = split(self.release);
        let is_new = |arm| {
            get(&stores.services, namespace, services.of(arm)).is_none_or(|found| is_young(&json!(*found)))
        };
        !is_led_already && [Arm::Stable, Arm::Canary].into_iter().any(is_new)
    }

    /// Whether anybody may reach the service without Serin's routes: callers inside the mesh by its name, others by other
    /// people's routes, or those that a Release has left behind.
    pub(super) fn is_reached(&self, stores: &Stores) -> bool {
        let points = &self.delivery.routing.attach_points;
        let is_other_peoples = |route: &Value| {
            route["kind"] == "VirtualService"
                && route["metadata"]["labels"][MANAGED_BY.0].as_str() != Some(MANAGED_BY.1)
        };
        points.iter().any(|point| matches!(point, AttachPoint::Sidecars { .. }))
            || stores
                .routes
                .with(&hosts_of(self.release, &self.delivery.routing))
                .iter()
                .any(|route| is_other_peoples(route) || is_orphan(stores, route))
    }

    pub(super) async fn write(
        &self,
        targets: RouteTargets,
        only_targets: bool,
        client: &Client,
        stores: &Stores,
        repairs: &Repairs,
    ) -> Result<Written, kube::Error> {
        let mut written = Written { edits: Vec::new(), is_all: true };
        let mut objects = Vec::new();
        if let Some(CanaryService { wanted, found }) = self.canary_service(stores) {
            let edits = vec!["its ports or its selector were edited".to_owned()];
            objects.push(Changed { wanted, kind: api_resources::service(), found, edits });
        }
        // Two versions that no label tells apart are an obstacle, and no routes are wanted then.
        for (wanted, kind) in self.objects(targets).into_iter().flatten() {
            if only_targets && kind == api_resources::virtual_service() {
                continue;
            }
            let found = present(&wanted, &kind, stores).map(|found| Value::clone(&found));
            let edits = found.as_ref().map(|found| drift(&wanted, found)).unwrap_or_default();
            let mut edits: Vec<_> = edits.iter().map(ToString::to_string).collect();
            if found.as_ref().is_some_and(is_owned) {
                edits.push("metadata.ownerReferences: found a Release, want nothing".to_owned());
            }
            objects.push(Changed { wanted, kind, found, edits });
        }
        for object in objects {
            match object.apply(client, repairs).await? {
                Some(edits) => written.edits.extend(edits),
                None => written.is_all = false,
            }
        }
        Ok(written)
    }
}

impl Needed<'_> {
    /// Deletes the Service and the DestinationRules that Serin made for this release and that it needs no more.
    ///
    /// # Errors
    /// When the API server refuses.
    pub(super) async fn take_leftovers_away(
        &self,
        client: &Client,
        stores: &Stores,
    ) -> Result<(), kube::Error> {
        let (namespace, name) = split(self.release);
        let needed = own_names(self.release, self.delivery);
        let rules = [Arm::Stable, Arm::Canary]
            .map(|arm| (api_resources::destination_rule(), version_rule_name(name, arm)));
        let rules = rules.into_iter().filter(|rule| !needed.contains(rule));
        let rules = rules.filter_map(|(kind, name)| {
            let found = stores.routes.get(&kind, namespace, &name)?;
            (owned(&found) == Ownership::Ours).then(|| (kind, Value::clone(&found)))
        });
        let canary = self.delivery.routing.services.as_ref().map(|services| services.canary.as_str());
        let services = stores.services.state().into_iter().filter(|service| {
            service.namespace().as_deref() == Some(namespace)
                && canary != Some(&service.name_any())
                && services::is_made_for(&json!(**service), self.release)
        });
        let services = services.map(|service| (api_resources::service(), json!(*service)));
        for (kind, object) in rules.chain(services) {
            let name = text(&object, "/metadata/name");
            tracing::info!(release = self.release.name(), kind = kind.kind, name, "is needed no more");
            delete(client, &kind, &object).await?;
        }
        Ok(())
    }
}

/// Kinds and names of the objects that Serin writes for a release in any case.
pub(in crate::cluster) fn own_names(release: &Release, delivery: &Delivery) -> Vec<(ApiResource, String)> {
    let (_, name) = split(release);
    let rule = |name| (api_resources::destination_rule(), name);
    let of_versions =
        services::others(release, &delivery.routing).map(|(arm, _)| rule(version_rule_name(name, arm)));
    let both = [(api_resources::virtual_service(), object_name(name)), rule(object_name(name))];
    both.into_iter().chain(of_versions).collect()
}

/// Whether an object was made so short a time ago that proxies may not have heard of it.
fn is_young(object: &Value) -> bool {
    let created = object.pointer("/metadata/creationTimestamp").and_then(Value::as_str);
    let created = created.and_then(|created| created.parse::<Timestamp>().ok());
    let age = created.map(|created| Timestamp::now().duration_since(created).unsigned_abs());
    age.is_some_and(|age| age < SUBSETS_FIRST)
}

/// The canary's Service, which Serin is to write.
struct CanaryService {
    wanted: Value,
    found: Option<Value>,
}

/// What came of writing routes.
pub(super) struct Written {
    /// What someone else had changed.
    pub(super) edits: Vec<String>,
    /// Whether nothing was left alone because somebody keeps changing it.
    pub(super) is_all: bool,
}

fn present(object: &Value, kind: &ApiResource, stores: &Stores) -> Option<Arc<Value>> {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    stores.routes.get(kind, text("namespace"), text("name"))
}

/// Whether a Release owns `object`, as it was with older agents: then it would go with the Release.
fn is_owned(object: &Value) -> bool {
    list(object, "/metadata/ownerReferences").iter().any(|owner| text(owner, "/kind") == "Release")
}
