/*!
Where people write their own VirtualService and DestinationRule: what is missing in them, and what to paste.

Looked at is the way of a request that the filter has assigned: which VirtualService has its host, which route comes
first for the header, which for all others, and whose pods are behind each. Routes that ask for something else besides
(another header, a narrower path) are the people's own business.
*/
mod catches;
mod destination;

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;
use serin_policy::Arm;
use serin_policy::document::VERSION_HEADER;

use catches::{Catches, catches};
use destination::{Whose, spelled};

use super::istio::{created, gateways_of, hosts_of, is_seen, is_seen_in};
use super::{MESH, Subsets, gateway, paste, service, virtual_hosts};
use crate::mesh::hosts::covers;
use crate::mesh::object::{full_name, list, namespace};
use serin_release::Release;
use serin_release::delivery::{AttachPoint, Delivery};

/// The people's objects, of all namespaces that matter.
#[derive(Debug, Clone, Copy)]
pub struct Existing<'e> {
    /// VirtualServices.
    pub virtual_services: &'e [Value],
    /// DestinationRules.
    pub destination_rules: &'e [Value],
    /// Services: by their selectors it is known whose pods are behind them.
    pub services: &'e [Value],
}

/// Something that people must add or change before a release can work.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// The object, the field and what is wrong with it.
    pub what: String,
    /// Where the text below goes.
    pub into: String,
    /// The YAML to paste.
    pub paste: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. Paste into {}:\n{}", self.what, self.into, self.paste)
    }
}

/// What is missing for `release` in what people wrote; nothing if all is well. Each is said once, however many hosts
/// suffer from it.
pub fn verify(
    existing: Existing<'_>,
    release: &Release,
    delivery: &Delivery,
    subsets: &Subsets,
) -> Vec<Missing> {
    let check = Check { existing, release, delivery, subsets };
    let mut missing: Vec<Missing> = Vec::new();
    let mut seen = BTreeSet::new();
    for point in &delivery.routing.attach_points {
        for host in virtual_hosts(release) {
            // A gateway never sees a service's own name unless somebody serves it there on purpose, and sidecars
            // see no other: for these only the service's name must be routed.
            let is_service = host == service(release);
            let wanted = match point {
                AttachPoint::Sidecars { .. } => is_service,
                AttachPoint::Gateway { .. } => !is_service || release.hosts.len() == 1,
            };
            if wanted {
                let found = check.host(point, &host);
                missing.extend(found.into_iter().filter(|one| seen.insert(one.clone())));
            }
        }
    }
    missing
}

struct Check<'c> {
    existing: Existing<'c>,
    release: &'c Release,
    delivery: &'c Delivery,
    subsets: &'c Subsets,
}

/// A route with the object it stands in.
#[derive(Clone, Copy)]
struct Route<'r> {
    object: &'r Value,
    index: usize,
    says: &'r Value,
}

impl Route<'_> {
    fn field(&self) -> String {
        format!("VirtualService {}: spec.http[{}]", full_name(self.object), self.index)
    }

    fn place(&self) -> String {
        format!("spec.http of VirtualService {}, in place of entry {}", full_name(self.object), self.index)
    }
}

impl Check<'_> {
    fn host(&self, point: &AttachPoint, host: &str) -> Vec<Missing> {
        let place = gateway(point);
        let objects = self.objects(point, &place, host);
        let Some(first) = objects.first() else {
            let what = format!("No VirtualService has {host} at {place}");
            return vec![Missing {
                what,
                into: "a new VirtualService".to_owned(),
                paste: self.whole(host, &place),
            }];
        };
        let mut routes: Vec<_> = objects
            .iter()
            .flat_map(|&object| {
                let routes = list(object, "/spec/http").iter().enumerate();
                routes.map(move |(index, says)| Route { object, index, says })
            })
            .collect();
        if objects.len() > 1 {
            // Where Istio joins several, it moves routes that ask for nothing behind all others.
            routes.sort_by_key(|route| list(route.says, "/match").is_empty());
        }
        self.routes(first, &routes, point)
    }

    /// The VirtualServices that have `host` at `place`: only those with the most exact host. Sidecars follow the
    /// oldest of these, gateways join them in the order of their age.
    fn objects(&self, point: &AttachPoint, place: &str, host: &str) -> Vec<&Value> {
        let exactness = |object: &Value| {
            let covering = hosts_of(object).filter(|pattern| covers(pattern, host));
            covering.map(|pattern| (!pattern.starts_with('*'), pattern.len())).max()
        };
        let seen = |object: &&Value| match point {
            AttachPoint::Sidecars { namespace } => is_seen_in(object, namespace),
            AttachPoint::Gateway { .. } => is_seen(object),
        };
        let bound = self
            .existing
            .virtual_services
            .iter()
            .filter(seen)
            .filter(|object| gateways_of(object).iter().any(|gateway| gateway == place));
        let mut found: Vec<_> = bound.filter_map(|object| Some((exactness(object)?, object))).collect();
        let best = found.iter().map(|(exactness, _)| *exactness).max();
        found.retain(|(exactness, _)| Some(*exactness) == best);
        found.sort_by_key(|(_, object)| (created(object), full_name(object)));
        if place == MESH {
            found.truncate(1);
        }
        found.into_iter().map(|(_, object)| object).collect()
    }

    fn routes(&self, object: &Value, routes: &[Route<'_>], point: &AttachPoint) -> Vec<Missing> {
        let catches: Vec<_> = routes
            .iter()
            .map(|route| catches(route.says, namespace(route.object), point, &self.release.path_prefix))
            .collect();
        let first = |wanted: Catches| catches.iter().position(|&catches| catches == wanted);
        let at = |position: Option<usize>| position.and_then(|at| routes.get(at)).copied();
        let (canary, all) = (first(Catches::Canary), first(Catches::All));
        // Right before the route for everybody else, so that special routes of theirs go on taking what they take.
        let top = match at(all) {
            Some(Route { object, index, .. }) => {
                format!("spec.http of VirtualService {}, before entry {index}", full_name(object))
            }
            None => format!("spec.http of VirtualService {}, as its last entry but one", full_name(object)),
        };
        let mut missing = Vec::new();
        match (at(canary), at(all)) {
            (Some(route), Some(before)) if canary > all => {
                let what = format!(
                    "{} comes after spec.http[{}] of VirtualService {}, which takes every request: nobody would \
                     reach the canary",
                    route.field(),
                    before.index,
                    full_name(before.object)
                );
                let into = format!("{top} (and take the old entry out)");
                missing.push(Missing { what, into, paste: self.paste(Arm::Canary) });
            }
            (Some(route), _) => missing.extend(self.leads(route, Arm::Canary)),
            (None, _) => {
                let what = match at(first(Catches::SomeOfCanary)) {
                    Some(route) => format!(
                        "{} asks for {VERSION_HEADER}: canary and for more besides, so that not everybody who is \
                         given the canary would reach it",
                        route.field()
                    ),
                    None => format!(
                        "VirtualService {}: spec.http has no route for the header {VERSION_HEADER}: canary",
                        full_name(object)
                    ),
                };
                missing.push(Missing { what, into: top, paste: self.paste(Arm::Canary) });
            }
        }
        match at(all) {
            Some(route) => missing.extend(self.leads(route, Arm::Stable)),
            None => missing.push(Missing {
                what: format!(
                    "VirtualService {}: spec.http has no route for everybody else under {}",
                    full_name(object),
                    self.release.path_prefix
                ),
                into: format!("spec.http of VirtualService {}, as its last entry", full_name(object)),
                paste: self.paste(Arm::Stable),
            }),
        }
        missing
    }

    /// What is wrong with where `route` leads, if it is the one that `arm` gets.
    fn leads(&self, route: Route<'_>, arm: Arm) -> Option<Missing> {
        let wrong = |what: String| {
            Some(Missing {
                what: format!("{}{what}", route.field()),
                into: route.place(),
                paste: self.paste(arm),
            })
        };
        let destinations = list(route.says, "/route");
        let weight = |entry: &Value| entry.get("weight").and_then(Value::as_f64);
        // A single destination has all of the weight, whatever it says; among several, none said is 0.
        let live: Vec<_> = match destinations {
            [_] => destinations.iter().collect(),
            _ => {
                destinations.iter().filter(|entry| weight(entry).is_some_and(|weight| weight > 0.0)).collect()
            }
        };
        let [one] = live.as_slice() else {
            return match live.len() {
                0 => wrong(format!(" sends nobody anywhere: {} needs a destination", name(arm))),
                several => wrong(format!(
                    ".route divides requests over {several} destinations by weight: a user would change versions \
                     with every request, for the share is the filter's business now"
                )),
            };
        };
        let destination = one.get("destination").unwrap_or(&Value::Null);
        match self.whose(destination, namespace(route.object)) {
            Whose::One(found) if found == arm => None,
            Whose::One(found) => wrong(format!(
                ".route leads to the pods of Deployment {}, want those of {}",
                self.delivery.of(found).deployment,
                self.delivery.of(arm).deployment
            )),
            Whose::Both => wrong(format!(
                ".route leads to {}, which means the pods of both versions, want only those of Deployment {}",
                spelled(destination),
                self.delivery.of(arm).deployment
            )),
            Whose::Nobodys => wrong(format!(
                ".route leads to {}, which means the pods of neither version, want those of Deployment {}",
                spelled(destination),
                self.delivery.of(arm).deployment
            )),
            Whose::NoService(host) => wrong(format!(".route leads to {host}, and there is no such Service")),
            Whose::NoSubset { host, subset } => {
                let (what, into) = match self.rule(&host) {
                    Some(rule) => {
                        let rule = full_name(rule);
                        (
                            format!("{rule} has no subset {subset:?}"),
                            format!("spec.subsets of DestinationRule {rule}"),
                        )
                    }
                    None => (
                        format!("for {host} is missing, and with it subset {subset:?}"),
                        format!("spec.subsets of a new DestinationRule whose spec.host is {host}"),
                    ),
                };
                let what = format!("DestinationRule {what}, which {} leads to", route.field());
                Some(Missing { what, into, paste: paste::subset(&subset, &self.telling(arm)) })
            }
        }
    }
}

fn name(arm: Arm) -> &'static str {
    match arm {
        Arm::Stable => "stable",
        Arm::Canary | Arm::Extra(_) => "the canary",
    }
}
