/*!
What others wrote that would keep a Release's own VirtualService and DestinationRule from having their way.
*/
use std::fmt;

use serde_json::Value;

use super::istio::{gateways_of, hosts_of, is_seen, is_seen_in};
use super::{MESH, gateway, object_name, service, split, virtual_hosts};
use crate::mesh::hosts::{covers, resolve};
use crate::mesh::object::{Ownership, full_name, namespace, owned, text};
use serin_release::Release;
use serin_release::delivery::{AttachPoint, Delivery};

/// An object that stands in a Release's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Its kind and full name.
    pub object: String,
    /// The host both claim.
    pub host: String,
    /// Where both claim it: a Gateway, or `mesh`.
    pub place: String,
    /// What comes of it.
    why: &'static str,
    /// What to do.
    hint: &'static str,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, host, place, why, hint } = self;
        write!(f, "{object} has {host} at {place}: {why}; {hint}")
    }
}

const VERIFY: &str = "take the host out of it, or set spec.routing.mode to Verify and keep it";

/// Which of the `existing` VirtualServices and DestinationRules keep `release` from being routed by objects of its
/// own. A wildcard of somebody else's does not: the more exact host goes first.
pub fn conflicts<'e>(
    existing: impl IntoIterator<Item = &'e Value>,
    release: &Release,
    delivery: &Delivery,
) -> Vec<Conflict> {
    let (own, name) = split(release);
    let own_name = object_name(name);
    let mut found = Vec::new();
    for object in existing {
        let ours = owned(object) == Ownership::Ours;
        if ours && namespace(object) == own && text(object, "/metadata/name") == own_name {
            continue;
        }
        let of_object = match text(object, "/kind") {
            "VirtualService" => by_routes(object, ours, release, delivery),
            "DestinationRule" => by_subsets(object, release, delivery),
            _ => None,
        };
        found.extend(of_object);
    }
    found
}

fn by_routes(object: &Value, ours: bool, release: &Release, delivery: &Delivery) -> Option<Conflict> {
    let bound = gateways_of(object);
    let theirs: Vec<_> = hosts_of(object).collect();
    for point in &delivery.routing.attach_points {
        let place = gateway(point);
        let seen = match point {
            AttachPoint::Sidecars { namespace } => is_seen_in(object, namespace),
            // A Gateway's pods may run in any namespace.
            AttachPoint::Gateway { .. } => is_seen(object),
        };
        // At a gateway the routes of several VirtualServices are joined, and ours ask for a path where another
        // Release could have the same host. Sidecars take the oldest and drop the others.
        if !seen || !bound.contains(&place) || (ours && place != MESH) {
            continue;
        }
        for host in virtual_hosts(release) {
            if let Some(theirs) = theirs.iter().find(|theirs| covers(&host, theirs)) {
                return Some(Conflict {
                    object: format!("VirtualService {}", full_name(object)),
                    host: theirs.clone(),
                    why: if place == MESH {
                        "sidecars follow only one of two VirtualServices for a host"
                    } else {
                        "which of two VirtualServices for a host is followed depends on their age"
                    },
                    place,
                    hint: if ours { "give the Releases different hosts" } else { VERIFY },
                });
            }
        }
    }
    None
}

/// Istio looks for a service's rule first in the caller's namespace, exact or wildcard, then in the service's. Two for
/// the same host in one namespace are merged, and which one's `trafficPolicy` counts depends on their age.
fn by_subsets(object: &Value, release: &Release, delivery: &Delivery) -> Option<Conflict> {
    let (own, service) = (split(release).0, service(release));
    let host = resolve(text(object, "/spec/host"), namespace(object));
    let calls = delivery.routing.attach_points.iter().find(|point| {
        let (AttachPoint::Gateway { namespace: of, .. } | AttachPoint::Sidecars { namespace: of }) = point;
        of == namespace(object) && of != own
    });
    let (place, why) = match calls {
        Some(point) if covers(&host, &service) => {
            (gateway(point), "callers there take it instead, and know no subset of Serin's")
        }
        _ if host == service && is_seen(object) => {
            (MESH.to_owned(), "which of two trafficPolicies for a host counts depends on their age")
        }
        _ => return None,
    };
    Some(Conflict {
        object: format!("DestinationRule {}", full_name(object)),
        host,
        place,
        why,
        hint: "move its trafficPolicy to spec.routing.trafficPolicy and delete it, or set spec.routing.mode to Verify and \
               keep it",
    })
}
