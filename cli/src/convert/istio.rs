/*!
A VirtualService with weights, as a Release; and what a Rollout's VirtualService makes of its routes.
*/
use std::sync::Arc;

use serde_json::Value;
use serin_agent::mesh::hosts::without_port;
use serin_agent::mesh::object::{Labels, labels, list, namespace, selects, text, texts};

use super::argo::virtual_services;
use super::{Converted, Found, Refusal};
use crate::draft::{Draft, Fields};
use crate::routes::{Behind, routing};

/// Whether a VirtualService belongs to a Canary or a Rollout of the files.
pub(super) fn is_anothers(object: &Value, found: &Found) -> bool {
    if text(object, "/kind") != "VirtualService" {
        return false;
    }
    let name = text(object, "/metadata/name");
    let mut canaries = found.of("flagger.app", &["Canary"]);
    let is_canarys = canaries.any(|canary| {
        text(canary, "/spec/targetRef/name") == name || text(canary, "/spec/service/name") == name
    });
    let mut rollouts = found.of("argoproj.io", &["Rollout"]);
    let is_rollouts = rollouts.any(|rollout| {
        let istio = rollout.pointer("/spec/strategy/canary/trafficRouting/istio");
        istio.is_some_and(|istio| virtual_services(istio).iter().any(|(one, _)| one == name))
    });
    is_canarys || is_rollouts
}

/// The Service to which a VirtualService leads first.
pub(super) fn first_host(object: &Value) -> Option<String> {
    let routes = list(object, "/spec/http").iter().flat_map(|route| list(route, "/route"));
    let mut hosts = routes.map(|entry| text(entry, "/destination/host")).filter(|host| !host.is_empty());
    hosts.next().map(short)
}

/// The Service that callers in the mesh know a VirtualService by.
pub(super) fn called(object: &Value) -> Option<String> {
    let is_service = |host: &&str| !host.contains(['.', '*']) || host.ends_with(".svc.cluster.local");
    texts(object, "/spec/hosts").find(is_service).map(short)
}

/// A Service's own name.
fn short(host: &str) -> String {
    without_port(host).split('.').next().unwrap_or_default().to_owned()
}

/// `spec.routing` from the VirtualServices of these names, and the DestinationRules of the files.
pub(super) fn routing_of(
    names: &[(String, Option<String>)],
    namespace: Option<&str>,
    release: &str,
    services: &[&str],
    found: &Found,
    draft: &mut Draft,
) {
    let namespace = namespace.unwrap_or_default();
    let is_meant = |object: &&Value| {
        text(object, "/kind") == "DestinationRule"
            || names.iter().any(|(name, _)| name == text(object, "/metadata/name"))
    };
    let routes = found.of("networking.istio.io", &["VirtualService", "DestinationRule"]).filter(is_meant);
    let routes: Vec<_> = routes
        .map(|object| {
            let mut object = object.clone();
            if text(&object, "/metadata/namespace").is_empty() {
                object["metadata"]["namespace"] = namespace.into();
            }
            Arc::new(object)
        })
        .collect();
    let fields = routing(&Behind { namespace, release, services }, &routes, draft);
    draft.spec.put_fields("routing", fields);
}

/// One of two destinations.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Side {
    service: String,
    subset: String,
    weight: u64,
}

/// A VirtualService with weights.
pub(super) fn virtual_service(object: &Value, found: &Found) -> Result<Converted, Refusal> {
    let name = text(object, "/metadata/name");
    let of = Some(namespace(object)).filter(|of| !of.is_empty());
    let sides = list(object, "/spec/http").iter().map(sides).find(|sides| sides.len() == 2);
    let Some(Ok([one, other])) = sides.map(<[Side; 2]>::try_from) else {
        return Err(Refusal::of("spec.http", "no route of it divides requests among two versions by weight"));
    };
    let (stable, canary) = if one.weight >= other.weight { (one, other) } else { (other, one) };
    let mut draft = Draft::release(of, &stable.service);
    draft.note(format!(
        "From VirtualService {name}, which gives {} of a hundred to the canary. A Release begins at 0: end that first \
         (docs/adoption.md).",
        canary.weight
    ));
    let deployments = [&stable, &canary].map(|side| deployment(side, of, found));
    for (arm, (deployment, is_guessed)) in ["stable", "canary"].iter().zip(&deployments) {
        if *is_guessed {
            draft.note(format!(
                "to do: spec.{arm}.targetRef.name: {deployment} is guessed: write the Deployment's name. serin adopt reads it from \
                 the cluster."
            ));
        }
    }
    let [(of_stable, _), (of_canary, _)] = deployments;
    let version = |name: &str| Fields::default().with("targetRef", Fields::default().with("name", name));
    draft.spec.put("service", Fields::default().with("name", stable.service.as_str()));
    draft.spec.put("stable", version(&of_stable));
    let own = (canary.service != stable.service).then_some(canary.service.as_str());
    let mut fields = version(&of_canary);
    fields.put_some("service", own.map(|own| Fields::default().with("name", own)));
    draft.spec.put("canary", fields);
    let services: Vec<_> = std::iter::once(stable.service.as_str()).chain(own).collect();
    routing_of(&[(name.to_owned(), None)], of, &stable.service, &services, found, &mut draft);
    Ok(Converted(vec![draft]))
}

fn sides(route: &Value) -> Vec<Side> {
    let side = |entry: &Value| Side {
        service: short(text(entry, "/destination/host")),
        subset: text(entry, "/destination/subset").to_owned(),
        weight: entry["weight"].as_u64().unwrap_or_default(),
    };
    list(route, "/route").iter().map(side).collect()
}

/// The Deployment behind a destination, and whether it is only guessed.
fn deployment(side: &Side, namespace: Option<&str>, found: &Found) -> (String, bool) {
    let rules = found.of("networking.istio.io", &["DestinationRule"]);
    let mut subsets = rules
        .filter(|rule| short(text(rule, "/spec/host")) == side.service)
        .flat_map(|rule| list(rule, "/spec/subsets"));
    let subset = subsets.find(|subset| text(subset, "/name") == side.subset);
    let services = found.objects.iter().filter(|object| text(object, "/kind") == "Service");
    let service = services.into_iter().find(|service| text(service, "/metadata/name") == side.service);
    let wanted = match (subset, service) {
        (Some(subset), _) => labels(subset, "/labels"),
        (None, Some(service)) => labels(service, "/spec/selector"),
        (None, None) => Labels::new(),
    };
    let of_version = found.of("apps", &["Deployment"]).find(|deployment| {
        let of = text(deployment, "/metadata/namespace");
        let of_pods = labels(deployment, "/spec/template/metadata/labels");
        namespace.is_none_or(|wanted| of.is_empty() || of == wanted)
            && !wanted.is_empty()
            && selects(&wanted, &of_pods)
    });
    match of_version {
        Some(deployment) => (text(deployment, "/metadata/name").to_owned(), false),
        None if side.subset.is_empty() => (side.service.clone(), true),
        None => (format!("{}-{}", side.service, side.subset), true),
    }
}
