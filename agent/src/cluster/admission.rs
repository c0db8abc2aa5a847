/*!
What keeps a release from being driven at all: another one has the same host, it is another namespace's, or a Gateway does
not let its namespace have it.
*/
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};

use super::stores::Watched;
use super::{Cluster, api_resources, cluster_name};
use crate::mesh::claims::{Contested, contested, gateway_allows};
use crate::mesh::consent::{self, HOSTS_FROM, Known};
use crate::mesh::hosts::service_host;
use serin_release::delivery::{AttachPoint, Delivery};
use serin_release::{Release, ReleaseObject};

/// Who contests what.
#[derive(Debug, Default)]
pub(super) struct Admission(Mutex<Claims>);

/// What Releases claim, and who contests it, as long as no Release changes.
#[derive(Debug, Default)]
struct Claims {
    fingerprint: u64,
    /// By uid, as each Release was when it could be read last.
    claimants: HashMap<String, Claimant>,
    contested: BTreeMap<String, Contested>,
}

/// A Release that claims hosts.
#[derive(Debug)]
struct Claimant {
    name: String,
    created: Timestamp,
    claims: (Release, Delivery),
}

impl Admission {
    /// Takes down what a Release claims that cannot be read as it is now: `last_good` is how it was, for all that an
    /// earlier life of the agent has kept of it.
    pub(super) fn keep(&self, last_good: &ReleaseObject) {
        let mut claims = self.lock();
        if let Some(claimant) = Claimant::of(last_good)
            && claims.claimants.insert(last_good.uid().unwrap_or_default(), claimant).is_none()
        {
            claims.fingerprint = 0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Claims> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claimant {
    fn of(object: &ReleaseObject) -> Option<Self> {
        let mut words = object.clone();
        // What it is judged by claims nothing, and templates come and go.
        if let Some(metrics) = &mut words.spec.analysis.metrics {
            metrics.retain(|metric| metric.template_ref.is_none());
        }
        let claims = Release::from_object(&words, "any").ok()?;
        let created = object.creation_timestamp().map_or(Timestamp::MAX, |created| created.0);
        Some(Self { name: cluster_name(object), created, claims })
    }
}

impl Claims {
    /// Who contests what among `objects`, all Releases that there are.
    fn contested(&mut self, objects: &[Arc<Watched>]) -> &BTreeMap<String, Contested> {
        let uid = |object: &Watched| object.uid().unwrap_or_default();
        let mut known: Vec<_> =
            objects.iter().map(|object| (uid(object), object.meta().generation)).collect();
        known.sort_unstable();
        let mut hasher = DefaultHasher::new();
        known.hash(&mut hasher);
        let fingerprint = hasher.finish();
        if self.fingerprint != fingerprint {
            // One that is being deleted has its hosts until everybody is on stable. So has one whose present spec cannot be
            // read: what is under way there goes on by the last one that could.
            self.claimants.retain(|claimant, _| known.iter().any(|(uid, _)| uid == claimant));
            for object in objects {
                if let Some(claimant) = object.0.as_ref().ok().and_then(Claimant::of) {
                    self.claimants.insert(uid(object), claimant);
                }
            }
            let claims: Vec<_> =
                self.claimants.values().map(|one| (one.name.clone(), one.created, &one.claims)).collect();
            self.contested = contested(&claims);
            self.fingerprint = fingerprint;
        }
        &self.contested
    }
}

impl Cluster {
    /// Why `release` is not to be driven, if it is not.
    pub(super) fn refusal(
        &self,
        object: &ReleaseObject,
        release: &Release,
        delivery: &Delivery,
    ) -> Option<String> {
        if let Some(contested) = self.contested().get(&cluster_name(object)) {
            return Some(contested.to_string());
        }
        if let Some(why) = consent::refusal(release, delivery, |namespace| self.known_of(namespace)) {
            return Some(why);
        }
        let namespace = object.namespace().unwrap_or_default();
        delivery.routing.attach_points.iter().find_map(|point| {
            let AttachPoint::Gateway { namespace: at, name } = point else { return None };
            // A Gateway that is not there is another matter.
            let gateway =
                self.stores.gateways.get(&ObjectRef::new_with(name, api_resources::gateway()).within(at))?;
            let gateway = api_resources::json(&gateway);
            let own = service_host(&release.service.name, &namespace);
            // Inside the mesh a service is called by its own name; at a gateway only those of the world matter.
            let mut hosts = release.hosts.iter().filter(|host| **host != own || release.hosts.len() == 1);
            hosts.find_map(|host| gateway_allows(&gateway, &namespace, host).err())
        })
    }

    /// Whether another Release waits for a host that `release` has.
    pub(super) fn is_awaited(&self, release: &ReleaseObject) -> bool {
        let name = cluster_name(release);
        self.contested().values().any(|contested| contested.by == name)
    }

    fn known_of(&self, namespace: &str) -> Known {
        match &self.stores.namespaces {
            None if self.namespace.as_deref() == Some(namespace) => Known::There(None),
            None => Known::Unseen,
            // There is no cluster without any: this agent may not see them.
            Some(namespaces) if namespaces.is_empty() => Known::Unseen,
            Some(namespaces) => namespaces
                .get(&ObjectRef::new(namespace))
                .map_or(Known::Missing, |found| Known::There(found.labels().get(HOSTS_FROM).cloned())),
        }
    }

    fn contested(&self) -> BTreeMap<String, Contested> {
        self.admission.lock().contested(&self.stores.releases.state()).clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A Release that has a host for itself since this second. Its `interval` may be none.
    fn release(name: &str, second: u8, generation: u8, interval: &Value) -> Arc<Watched> {
        let object = json!({
            "apiVersion": "serin.dev/v1alpha1",
            "kind": "Release",
            "metadata": {
                "name": name, "namespace": "shop", "uid": name, "generation": generation,
                "creationTimestamp": format!("2026-01-01T00:00:0{second}Z"),
            },
            "spec": {
                "service": {"name": "shop"},
                "stable": {"targetRef": {"name": "shop-stable"}},
                "canary": {"targetRef": {"name": "shop-canary"}},
                "analysis": {"interval": interval},
            },
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    #[track_caller]
    fn check(claims: &mut Claims, objects: &[Arc<Watched>], refused: &[&str]) {
        let found: Vec<_> = claims.contested(objects).keys().cloned().collect();
        assert_eq!(found, refused);
    }

    #[test]
    fn a_release_keeps_its_hosts_while_its_present_spec_cannot_be_read() {
        for unreadable in [json!("1ms"), json!({"seconds": 5})] {
            let mut claims = Claims::default();
            let (good, younger) = (release("old", 1, 1, &json!("5s")), release("young", 2, 1, &json!("5s")));
            check(&mut claims, &[good, Arc::clone(&younger)], &["shop/young"]);
            let edited = release("old", 1, 2, &unreadable);
            check(&mut claims, &[edited, Arc::clone(&younger)], &["shop/young"]);
            check(&mut claims, &[younger], &[]);
        }
    }

    #[test]
    fn what_an_earlier_life_has_kept_of_an_unreadable_release_claims_its_hosts() {
        let admission = Admission::default();
        let objects = [release("old", 1, 2, &json!({"seconds": 5})), release("young", 2, 1, &json!("5s"))];
        check(&mut admission.lock(), &objects, &[]);
        admission.keep(release("old", 1, 1, &json!("5s")).0.as_ref().unwrap());
        check(&mut admission.lock(), &objects, &["shop/young"]);
    }
}
