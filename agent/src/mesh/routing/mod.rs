/*!
From the filter's header to the pods: a VirtualService that maps the header to a version, and DestinationRules
(`networking.istio.io/v1`). None of them changes during a release.

A version is a subset of the Service that a Release is for, which a DestinationRule says the pods of, or it is a Service
of its own ([`services`]).

[`managed`] makes all; [`conflicts`](conflicts::conflicts) finds what others wrote that stands in their way; and where
people write their own, [`verify`](verify::verify) says what is missing in them.
*/
pub mod conflicts;
mod http;
pub mod istio;
mod paste;
pub mod services;
#[cfg(test)]
mod tests;
pub mod verify;

use k8s_openapi::api::core::v1::ServicePort;
use serde_json::{Map, Value, json};
use serin_policy::Arm;

use super::hosts;
use super::object::{
    ABOUT as ABOUT_ANNOTATION, Labels, Ownership, RELEASE, label, metadata, namespace, owned, selects,
    spelled, text,
};
use serin_release::Release;
use serin_release::delivery::{AttachPoint, Delivery, Routing};

/// The version of both objects' API.
pub const API_VERSION: &str = "networking.istio.io/v1";

const MESH: &str = "mesh";

const ABOUT: &str = "Routes by the header that Serin's filter writes. It does not change during a release; Serin \
                     undoes edits: change the Release instead.";

const ABOUT_LEFT: &str = "Left by a deleted Release, so that everybody gets stable. Delete it when another route is \
                          there; a Release of the same name takes it over.";

/// The pods of one version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pods {
    /// What its Deployment selects them by.
    pub selector: Labels,
    /// All labels of its pod template.
    pub labels: Labels,
}

/// The pods of both versions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subsets {
    /// The stable version's.
    pub stable: Pods,
    /// The canary's.
    pub canary: Pods,
}

impl Subsets {
    /// The pods of one version.
    pub fn of(&self, arm: Arm) -> &Pods {
        match arm {
            Arm::Stable => &self.stable,
            Arm::Canary | Arm::Extra(_) => &self.canary,
        }
    }
}

/// The HTTP ports of the Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports {
    /// The one that Gateways lead to.
    pub main: u16,
    /// All others, in order.
    pub others: Vec<u16>,
}

/// One Deployment's selector means the other's pods too, so that no subset could tell them apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the selector of Deployment {wide} ({}) also selects the pods of {other}: give both a label that differs, in \
     spec.selector.matchLabels and in the pod template, e.g. version",
    spelled(.selector)
)]
pub struct Indistinct {
    wide: String,
    other: String,
    selector: Labels,
}

/// The label of the DestinationRule that names the live Deployment: versions may have changed places.
pub const STABLE: &str = "serin.dev/stable";

/// The annotation of the DestinationRule with the run that the other Deployment was when it was stable.
pub const RETIRED: &str = "serin.dev/retired";

/// Where the two subsets lead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leads<'l> {
    /// The version whose pods both are for the moment; none where each has its own.
    pub both_to: Option<Arm>,
    /// The run that the Deployment of the canary was when it was stable, if it was.
    pub retired: Option<&'l str>,
}

/// The objects of a Release.
#[derive(Debug, Clone, PartialEq)]
pub struct Managed {
    /// The VirtualService.
    pub virtual_service: Value,
    /// The DestinationRule of the service.
    pub destination_rule: Value,
    /// Those of versions' own Services.
    pub version_rules: Vec<Value>,
}

/// What the Service and other people's objects have to do with the routes.
#[derive(Debug, Clone, PartialEq)]
pub struct Surroundings {
    /// The Service's ports.
    pub ports: Ports,
    /// All of them, as the Service has them.
    pub service_ports: Vec<ServicePort>,
    /// Whether the Service selects the pods of both versions.
    pub selects_both: bool,
    /// The `trafficPolicy` that the Service has by somebody's wildcard rule, if it does.
    pub traffic_policy: Option<Value>,
}

/// The objects that route `release`, complete, for server-side apply.
///
/// # Errors
/// When no labels tell the two versions' pods apart.
pub fn managed(
    release: &Release,
    delivery: &Delivery,
    subsets: &Subsets,
    leads: Leads<'_>,
    around: &Surroundings,
) -> Result<Managed, Indistinct> {
    for (wide, other) in [(Arm::Stable, Arm::Canary), (Arm::Canary, Arm::Stable)] {
        let selector = &subsets.of(wide).selector;
        if selects(selector, &subsets.of(other).labels) {
            return Err(Indistinct {
                wide: delivery.of(wide).deployment.clone(),
                other: delivery.of(other).deployment.clone(),
                selector: selector.clone(),
            });
        }
    }
    let (namespace, name) = split(release);
    let object = |kind: &str, name: &str, spec: Value| {
        let metadata = metadata(namespace, name, Some(split(release).1), ABOUT);
        json!({"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec})
    };
    let virtual_service = json!({
        "hosts": virtual_hosts(release),
        "gateways": gateways(&delivery.routing),
        "http": http::routes(release, delivery, around),
    });
    let Routing { tls, tcp, export_to, .. } = &delivery.routing;
    let connections = |routes: &Vec<Value>| (!routes.is_empty()).then(|| json!(routes));
    let export_to = export_to.as_ref().map(|exports| json!(exports));
    let exported = |spec: Value| with(spec, [("exportTo", export_to.clone())]);
    let virtual_service =
        with(exported(virtual_service), [("tls", connections(tls)), ("tcp", connections(tcp))]);
    let subset = |arm: Arm, policy: Option<&Value>| {
        let labels = &subsets.of(leads.both_to.unwrap_or(arm)).selector;
        with(json!({"name": arm.as_str(), "labels": labels}), [("trafficPolicy", policy.cloned())])
    };
    let destination_rule = json!({
        "host": service(release),
        "subsets": [
            subset(Arm::Stable, delivery.stable.traffic_policy.as_ref()),
            subset(Arm::Canary, delivery.canary.traffic_policy.as_ref()),
        ],
    });
    // The rule for a service's own name hides every other: what counted before goes on to count.
    let common = delivery.routing.traffic_policy.as_ref().or(around.traffic_policy.as_ref());
    let own = services::arm_of(release, &delivery.routing)
        .map(|arm| services::traffic_policy(delivery, arm, common));
    let policy = own.unwrap_or_else(|| common.cloned());
    let object_name = object_name(name);
    let mut destination_rule = object(
        "DestinationRule",
        &object_name,
        with(exported(destination_rule), [("trafficPolicy", policy)]),
    );
    destination_rule["metadata"]["labels"][STABLE] = json!(delivery.stable.deployment);
    if let Some(retired) = leads.retired {
        destination_rule["metadata"]["annotations"][RETIRED] = json!(retired);
    }
    let version_rules = services::others(release, &delivery.routing).map(|(arm, host)| {
        let policy = services::traffic_policy(delivery, arm, common);
        object(
            "DestinationRule",
            &version_rule_name(name, arm),
            with(exported(json!({"host": host})), [("trafficPolicy", policy)]),
        )
    });
    Ok(Managed {
        virtual_service: object("VirtualService", &object_name, virtual_service),
        destination_rule,
        version_rules: version_rules.collect(),
    })
}

/// What is left of `object`, one of the two, when its Release is gone: stable, and no way to the canary.
pub fn left_behind(mut object: Value) -> Value {
    let parts = [
        ("/spec/http", format!("serin-{}", Arm::Canary.as_str())),
        // Nobody writes marks any more, so they would be anybody's own.
        ("/spec/http", http::MARKED.to_owned()),
        ("/spec/subsets", Arm::Canary.as_str().to_owned()),
    ];
    for (pointer, without) in parts {
        if let Some(parts) = object.pointer_mut(pointer).and_then(Value::as_array_mut) {
            parts.retain(|part| !text(part, "/name").starts_with(&without));
        }
    }
    object["metadata"]["annotations"][ABOUT_ANNOTATION] = json!(ABOUT_LEFT);
    object
}

/// What both objects of the Release of this name are called: not as people call theirs.
pub fn object_name(release: &str) -> String {
    format!("{release}-serin")
}

/// What the DestinationRule of a version's own Service is called.
pub fn version_rule_name(release: &str, arm: Arm) -> String {
    format!("{}-{}", object_name(release), arm.as_str())
}

/// Who made `object`, one of those that are to be called so for `release`, if it is not Serin: it is never written.
pub fn foreign(object: &Value, release: &Release) -> Option<String> {
    match owned(object) {
        // Somebody may have taken the other label off ours.
        Ownership::Foreign { name } if label(object, RELEASE) != Some(split(release).1) => Some(format!(
            "{} {name} is not Serin's, and has the name of what Serin would write: give it another name, or the Release",
            text(object, "/kind")
        )),
        Ownership::Foreign { .. } | Ownership::Ours => None,
    }
}

/// `object` with those of `fields` that there are.
fn with<const N: usize>(object: Value, fields: [(&str, Option<Value>); N]) -> Value {
    let mut map = match object {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    map.extend(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    Value::Object(map)
}

/// The hosts that a VirtualService or a DestinationRule of anybody's has or leads to, in full names.
pub fn hosts_had_by(object: &Value) -> Vec<String> {
    match object["kind"].as_str() {
        Some("DestinationRule") => {
            vec![hosts::resolve(text(object, "/spec/host"), namespace(object))]
        }
        _ => istio::hosts_of(object).chain(istio::destinations_of(object)).collect(),
    }
}

/// The hosts by which `release` and what stands in its way are found: those of its VirtualService, and those of its Services.
pub fn hosts_of(release: &Release, routing: &Routing) -> Vec<String> {
    let mut hosts = virtual_hosts(release);
    hosts.extend(destinations(release, routing));
    hosts
}

/// The hosts of its Services.
pub fn destinations(release: &Release, routing: &Routing) -> Vec<String> {
    let others = services::others(release, routing).map(|(_, host)| host);
    std::iter::once(service(release)).chain(others).collect()
}

/// The release's hosts as a VirtualService may have them: without ports, each once.
fn virtual_hosts(release: &Release) -> Vec<String> {
    let mut hosts = Vec::new();
    for host in &release.hosts {
        let host = hosts::canonical(hosts::without_port(host));
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

/// The places where requests come in, in Istio's words. `mesh` is one, however many namespaces it is.
fn gateways(routing: &Routing) -> Vec<String> {
    let mut gateways = Vec::new();
    for point in &routing.attach_points {
        let gateway = gateway(point);
        if !gateways.contains(&gateway) {
            gateways.push(gateway);
        }
    }
    gateways
}

fn gateway(point: &AttachPoint) -> String {
    match point {
        AttachPoint::Gateway { namespace, name } => format!("{namespace}/{name}"),
        AttachPoint::Sidecars { .. } => MESH.to_owned(),
    }
}

/// The whole name of the Service of a Release.
pub(crate) fn service(release: &Release) -> String {
    hosts::service_host(&release.service.name, split(release).0)
}

/// Namespace and name of a Release.
pub(crate) fn split(release: &Release) -> (&str, &str) {
    release.name().split_once('/').unwrap_or(("default", release.name()))
}
