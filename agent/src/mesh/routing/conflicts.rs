/*!
What others wrote that would keep a Release's own VirtualService and DestinationRule from having their way.
*/
use std::fmt;

use serde_json::Value;
use serin_policy::Arm;

use super::istio::{ROOT_NAMESPACE, gateways_of, hosts_of, is_seen, is_seen_in};
use super::{MESH, destinations, gateway, object_name, service, split, version_rule_name, virtual_hosts};
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
    pub hint: &'static str,
}

impl Conflict {
    /// What is wrong with the object.
    pub fn what(&self) -> String {
        let Self { host, place, why, .. } = self;
        format!("has {host} at {place}: {why}")
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, hint, .. } = self;
        write!(f, "{object} {}; {hint}", self.what())
    }
}

/// The annotation by which people let a Release take the place of their VirtualService, or of their DestinationRule for
/// the same Service: Serin writes its own beside it, and moves nobody before it is deleted.
pub const REPLACED_BY: &str = "serin.dev/replaced-by";

const VERIFY: &str = "take the host out of it, annotate it with serin.dev/replaced-by to have it replaced, or set \
                      spec.routing.mode to Verify and keep it";

/// What stands in the way of a Release, and what will not for long.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conflicts {
    /// What keeps its routes from being written.
    pub now: Vec<Conflict>,
    /// What people have annotated for it to be replaced: its routes can be there beside it.
    pub replaced: Vec<Conflict>,
}

/// Which of the `existing` VirtualServices and DestinationRules keep `release` from being routed by objects of its
/// own. A wildcard of somebody else's does not: the more exact host goes first.
pub fn conflicts<'e>(
    existing: impl IntoIterator<Item = &'e Value>,
    release: &Release,
    delivery: &Delivery,
) -> Conflicts {
    let (own, name) = split(release);
    let own_names =
        [object_name(name), version_rule_name(name, Arm::Stable), version_rule_name(name, Arm::Canary)];
    let mut found = Conflicts::default();
    for object in existing {
        let ours = owned(object) == Ownership::Ours;
        if ours
            && namespace(object) == own
            && own_names.iter().any(|own| own == text(object, "/metadata/name"))
        {
            continue;
        }
        let of_object = match text(object, "/kind") {
            "VirtualService" => by_routes(object, ours, release, delivery),
            "DestinationRule" => by_subsets(object, release, delivery),
            _ => None,
        };
        let Some(conflict) = of_object else { continue };
        if is_replaced(object, own, name) {
            found.replaced.push(conflict);
        } else {
            found.now.push(conflict);
        }
    }
    found
}

/// Whether its people let the Release of this name take an object's place. Where Istio joins two VirtualServices, routes for
/// a header go first, and of two catch-alls the older counts, as of two VirtualServices in a sidecar; subsets of two rules
/// in one namespace are joined. A rule of another namespace would go on to hide Serin's from its callers.
fn is_replaced(object: &Value, own: &str, name: &str) -> bool {
    let by = object
        .pointer("/metadata/annotations")
        .and_then(|annotations| annotations.get(REPLACED_BY)?.as_str());
    let is_beside = text(object, "/kind") == "VirtualService" || namespace(object) == own;
    is_beside && by.is_some_and(|by| by.split_once('/').unwrap_or((namespace(object), by)) == (own, name))
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
    let needs_subsets = delivery.routing.services.is_none();
    let calls = delivery.routing.attach_points.iter().find(|point| {
        let (AttachPoint::Gateway { namespace: of, .. } | AttachPoint::Sidecars { namespace: of }) = point;
        // What the root namespace shows to all is a default, and comes last.
        let is_default = of == ROOT_NAMESPACE && is_seen_in(object, own);
        needs_subsets && of == namespace(object) && of != own && !is_default
    });
    let (place, why) = match calls {
        Some(point) if covers(&host, &service) => {
            (gateway(point), "callers there take it instead, and know no subset of Serin's")
        }
        _ if destinations(release, &delivery.routing).contains(&host) && is_seen(object) => {
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
