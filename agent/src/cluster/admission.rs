/*!
What keeps a release from being driven at all: another one has the same host, or a Gateway does not let its namespace.
*/
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::{Cluster, api_resources, cluster_name};
use crate::mesh::claims::{Contested, contested, gateway_allows};
use crate::mesh::hosts::service_host;
use serin_release::delivery::{AttachPoint, Delivery};
use serin_release::{Release, ReleaseObject};

/// Who contests what, as long as no Release changes.
#[derive(Debug, Default)]
pub(super) struct Admission(Mutex<(u64, BTreeMap<String, Contested>)>);

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

    fn contested(&self) -> BTreeMap<String, Contested> {
        let objects = self.stores.releases.state();
        let objects: Vec<_> = objects.iter().filter_map(|object| object.0.as_ref().ok()).collect();
        let mut hasher = DefaultHasher::new();
        let mut known: Vec<_> =
            objects.iter().map(|object| (object.uid(), object.metadata.generation)).collect();
        known.sort_unstable();
        known.hash(&mut hasher);
        let fingerprint = hasher.finish();
        let mut cached = self.admission.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.0 != fingerprint {
            let releases: Vec<_> = objects
                .iter()
                // One that is being deleted has its hosts until everybody is on stable.
                .filter_map(|object| {
                    let release = Release::from_object(object, "any").ok()?;
                    let created = object.creation_timestamp().map_or(Timestamp::MAX, |created| created.0);
                    Some((cluster_name(object), created, release))
                })
                .collect();
            let claims: Vec<_> =
                releases.iter().map(|(name, created, release)| (name.clone(), *created, release)).collect();
            *cached = (fingerprint, contested(&claims));
        }
        cached.1.clone()
    }
}
