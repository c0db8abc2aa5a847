/*!
Services of the versions' own, where a Release names them: the routes lead there, and no subset is needed.

Whoever calls the service's plain name without the filter reaches stable alone then, for that Service does not select the
canary's pods.
*/
use k8s_openapi::api::core::v1::ServicePort;
use serde_json::{Value, json};
use serin_policy::Arm;

use super::http::Rule;
use super::{Surroundings, service, split, with};
use crate::mesh::hosts::service_host;
use crate::mesh::object::{Labels, MANAGED_BY, Ownership, RELEASE, label, labels, metadata, owned};
use serin_release::Release;
use serin_release::delivery::{Delivery, Routing};

const ABOUT: &str =
    "The canary's pods, for the routes of its Release. Serin undoes edits of its ports and its selector.";

/// The host to which requests of one version go.
pub fn host(release: &Release, routing: &Routing, arm: Arm) -> String {
    match &routing.services {
        Some(services) => service_host(services.of(arm), split(release).0),
        None => service(release),
    }
}

/// The versions with another Service than the one that the Release is for, and that Service's host.
pub fn others<'r>(release: &'r Release, routing: &'r Routing) -> impl Iterator<Item = (Arm, String)> + 'r {
    let hosts = [Arm::Stable, Arm::Canary].map(|arm| (arm, host(release, routing, arm)));
    hosts.into_iter().filter(|(_, host)| *host != service(release))
}

/// The version that the Service that the Release is for is one of, where each version has a Service.
pub(super) fn arm_of(release: &Release, routing: &Routing) -> Option<Arm> {
    let services = routing.services.as_ref()?;
    [Arm::Stable, Arm::Canary].into_iter().find(|&arm| services.of(arm) == release.service.name)
}

/// The `trafficPolicy` of a version's Service: Istio takes each part of it from the version's own first, as it does of a
/// subset's.
pub(super) fn traffic_policy(delivery: &Delivery, arm: Arm, common: Option<&Value>) -> Option<Value> {
    let own = &delivery.of(arm).traffic_policy;
    let parts = [common, own.as_ref()].into_iter().flatten().filter_map(Value::as_object);
    let merged: serde_json::Map<_, _> =
        parts.flatten().map(|(name, part)| (name.clone(), part.clone())).collect();
    (!merged.is_empty()).then_some(Value::Object(merged))
}

/// Where the routes of a release lead.
pub(super) struct Destinations<'d> {
    pub(super) release: &'d Release,
    pub(super) delivery: &'d Delivery,
    pub(super) around: &'d Surroundings,
    pub(super) rule: Rule,
}

impl Destinations<'_> {
    pub(super) fn route(&self, name: &str, arm: Arm, matches: Option<Vec<Value>>, port: u16) -> Value {
        let headers = self.delivery.of(arm).headers.clone();
        let entry = with(json!({"destination": self.of(arm, port)}), [("headers", headers)]);
        let mut route = json!({"name": format!("serin-{name}{}", self.rule.name), "route": [entry]});
        for (field, value) in &self.rule.fields {
            route[field] = value.clone();
        }
        with(route, [("match", matches.map(Value::Array))])
    }

    /// One port of a version. Where it has a Service of its own, that needs no subset, unless it has both versions' pods
    /// still: so a Service in use can be narrowed at any time.
    pub(super) fn of(&self, arm: Arm, port: u16) -> Value {
        let routing = &self.delivery.routing;
        let host = host(self.release, routing, arm);
        let is_whole =
            host != service(self.release) || (routing.services.is_some() && !self.around.selects_both);
        let subset = (!is_whole).then(|| arm.as_str().into());
        with(json!({"host": host, "port": {"number": port}}), [("subset", subset)])
    }
}

/// The canary's Service, as Serin makes it: it can be reached inside the cluster, at the ports of the service.
pub fn canary(release: &Release, name: &str, ports: &[ServicePort], selector: &Labels) -> Value {
    let (namespace, release) = split(release);
    let port = |port: &ServicePort| {
        let ServicePort { name, protocol, port, target_port, app_protocol, .. } = port;
        json!(ServicePort {
            name: name.clone(),
            protocol: protocol.clone(),
            port: *port,
            target_port: target_port.clone(),
            app_protocol: app_protocol.clone(),
            node_port: None,
        })
    };
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(namespace, name, Some(release), ABOUT),
        "spec": {"selector": selector, "ports": ports.iter().map(port).collect::<Vec<_>>()},
    })
}

/// Whether Serin made `service` for this release.
pub fn is_made_for(service: &Value, release: &Release) -> bool {
    owned(service) == Ownership::Ours && label(service, RELEASE) == Some(split(release).1)
}

/// Whether `found` is as Serin writes it. The API server adds fields with their defaults.
pub fn is_as_written(wanted: &Value, found: &Value) -> bool {
    let spec = |field: &str| has(&wanted["spec"][field], &found["spec"][field]);
    // Its selector must not ask for more either.
    label(found, MANAGED_BY.0) == Some(MANAGED_BY.1)
        && wanted["spec"]["selector"] == found["spec"]["selector"]
        && spec("ports")
}

/// What has to be merged into `found` so that it is as `wanted`: lists are replaced as a whole, and what the API server has
/// added stays.
pub fn repair(wanted: &Value, found: &Value) -> Value {
    let mut repair = wanted.clone();
    repair["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"].clone();
    for label in labels(found, "/spec/selector").into_keys() {
        if wanted["spec"]["selector"].get(&label).is_none() {
            repair["spec"]["selector"][label] = Value::Null;
        }
    }
    repair
}

/// Whether all that is in `wanted` is in `found`.
fn has(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            wanted.iter().all(|(name, wanted)| found.get(name).is_some_and(|found| has(wanted, found)))
        }
        (Value::Array(wanted), Value::Array(found)) => {
            wanted.len() == found.len() && wanted.iter().zip(found).all(|(wanted, found)| has(wanted, found))
        }
        _ => wanted == found,
    }
}
