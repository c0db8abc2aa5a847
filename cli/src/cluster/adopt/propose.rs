/*!
From what there is to a Release: which Service, which two Deployments, which port. Pure.
*/
use std::sync::Arc;

use anyhow::{Context, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Service, ServicePort};
use kube::ResourceExt;
use serde_json::Value;
use serin_agent::mesh::hosts::service_host;
use serin_agent::mesh::object::{Labels, selects, text};
use serin_agent::mesh::routing::istio::{destinations_of, hosts_of};
use serin_release::ReleaseObject;

use super::What;
use super::roles::{Pair, base, pair};
use crate::draft::{Draft, Fields};
use crate::routes::{Behind, routing};

/// What is there.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) namespace: String,
    pub(super) services: Vec<Service>,
    pub(super) deployments: Vec<Deployment>,
    pub(super) scalers: Vec<Scaler>,
    /// VirtualServices and DestinationRules.
    pub(super) routes: Vec<Arc<Value>>,
    /// Whether these are those of all namespaces.
    pub(super) sees_all_routes: bool,
    pub(super) releases: Vec<ReleaseObject>,
}

/// What scales a Deployment.
#[derive(Debug, Clone)]
pub(super) struct Scaler {
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) deployment: String,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked<'a> {
    pub(super) what: Option<&'a What>,
    pub(super) stable: Option<&'a str>,
    pub(super) canary: Option<&'a str>,
}

/// The Release for what was asked for.
///
/// # Errors
/// When there is no such thing, or more than one and nothing says which is meant: the text lists them.
pub(super) fn propose(found: &Found, asked: &Asked<'_>) -> anyhow::Result<Draft> {
    let service = service(found, asked)?;
    let name = service.name_any();
    if let Some(release) =
        found.releases.iter().find(|release| release.spec.service.name.as_deref() == Some(name.as_str()))
    {
        bail!("Release {} is for Service {name} already: serin status {0} shows it", release.name_any());
    }
    let mut draft = Draft::release(Some(&found.namespace), &name);
    draft.note(format!(
        "What serin adopt has found of Service {}/{name}. Nothing was written.",
        found.namespace
    ));
    let deployments = behind(found, service);
    let Pair { stable, canary, why } = pair(found, service, &deployments, asked)?;
    draft.note(why);
    let is_behind = |deployment: &str| deployments.iter().any(|found| found.name_any() == deployment);
    let there = found.deployments.iter().find(|found| found.name_any() == canary);
    if there.is_none() {
        draft.note(format!(
            "to do: there is no Deployment {canary}. Make it from {stable}, with 0 replicas, and give both a label that \
             differs, in spec.selector.matchLabels and in the pod template, such as version: its pods have to meet the \
             selector of Service {name} too."
        ));
    }
    let led_to =
        [(&stable, &canary), (&canary, &stable)].map(|(one, other)| led_to(found, &name, one, other));
    let [of_stable, own_service] = match led_to {
        [Some(of_stable), Some(of_canary)] => [Some(of_stable).filter(|own| *own != name), Some(of_canary)],
        _ => [None, there.filter(|_| !is_behind(&canary)).map(|canary| own_service(found, canary, &stable))],
    };
    let port = port(service, &mut draft);
    let mut fields = Fields::default().with("name", name.as_str());
    fields.put_some("port", port);
    draft.spec.put("service", fields);
    let mut fields = version(found, &stable);
    fields.put_some("service", of_stable.as_deref().map(|own| Fields::default().with("name", own)));
    draft.spec.put("stable", fields);
    let mut of_canary = version(found, &canary);
    if let Some(own) = &own_service {
        draft.note(format!(
            "spec.canary.service: requests for {canary} go to Service {own}, which has its pods alone. Serin makes it if it is not \
             there."
        ));
        of_canary.put("service", Fields::default().with("name", own.as_str()));
    }
    draft.spec.put("canary", of_canary);
    let of_versions = [&of_stable, &own_service].into_iter().flatten().map(String::as_str);
    let services: Vec<_> = std::iter::once(name.as_str()).chain(of_versions).collect();
    let behind = Behind { namespace: &found.namespace, release: &name, services: &services };
    if !found.sees_all_routes {
        draft.note(format!(
            "warning: VirtualServices of other namespaces than {} may not be read: one of them may lead to this Service.",
            found.namespace
        ));
    }
    let routing = routing(&behind, &found.routes, &mut draft);
    draft.spec.put_fields("routing", routing);
    Ok(draft)
}

fn named<'f, K: ResourceExt>(all: &'f [K], name: &str) -> Option<&'f K> {
    all.iter().find(|one| one.name_any() == name)
}

fn list(names: impl IntoIterator<Item = String>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// The Service that is meant.
fn service<'f>(found: &'f Found, asked: &Asked<'_>) -> anyhow::Result<&'f Service> {
    let place = &found.namespace;
    let of_deployment = |name: &str| -> anyhow::Result<&'f Service> {
        let deployment = named(&found.deployments, name)
            .with_context(|| format!("there is no Deployment {name} in {place}"))?;
        let mut services: Vec<_> =
            found.services.iter().filter(|service| does_select(service, deployment)).collect();
        // With both versions behind it, it is the one that users call.
        let most = services.iter().map(|service| behind(found, service).len()).max();
        services.retain(|service| Some(behind(found, service).len()) == most);
        match services[..] {
            [only] => Ok(only),
            [] => bail!("no Service of {place} selects the pods of Deployment {name}: make one, or name one"),
            _ => bail!(
                "several Services select the pods of Deployment {name}: {}: write serin adopt service/NAME",
                list(services.iter().map(|service| service.name_any()))
            ),
        }
    };
    match asked.what {
        Some(What::Service(name)) => {
            named(&found.services, name).with_context(|| format!("there is no Service {name} in {place}"))
        }
        Some(What::Deployment(name)) => of_deployment(name),
        Some(What::Either(name)) => match named(&found.services, name) {
            Some(service) => Ok(service),
            None if named(&found.deployments, name).is_some() => of_deployment(name),
            None => bail!("there is neither a Service nor a Deployment {name} in {place}"),
        },
        None => {
            let candidates: Vec<_> =
                found.services.iter().filter(|service| !behind(found, service).is_empty()).collect();
            match candidates[..] {
                [only] => Ok(only),
                [] => bail!("no Service of {place} has a Deployment behind it"),
                _ => bail!(
                    "{place} has several Services: {}: write serin adopt NAME",
                    list(candidates.iter().map(|service| service.name_any()))
                ),
            }
        }
    }
}

/// The labels of a Deployment's pods.
pub(super) fn pod_labels(deployment: &Deployment) -> Labels {
    let metadata = deployment.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
    metadata.and_then(|metadata| metadata.labels.clone()).unwrap_or_default()
}

/// Whether a Service selects a Deployment's pods.
fn does_select(service: &Service, deployment: &Deployment) -> bool {
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    selector.is_some_and(|selector| !selector.is_empty() && selects(selector, &pod_labels(deployment)))
}

/// The Deployments behind a Service.
fn behind<'f>(found: &'f Found, service: &Service) -> Vec<&'f Deployment> {
    found.deployments.iter().filter(|deployment| does_select(service, deployment)).collect()
}

/// The Service with the pods of `one` and not of `other` to which a VirtualService leads that has `called` as a host, or is it.
fn led_to(found: &Found, called: &str, one: &str, other: &str) -> Option<String> {
    let pods_of = |name: &str| named(&found.deployments, name);
    let (one, other) = (pods_of(one)?, pods_of(other)?);
    let host = service_host(called, &found.namespace);
    let has_host = |object: &&Arc<Value>| {
        text(object, "/kind") == "VirtualService"
            && hosts_of(object).chain(destinations_of(object)).any(|found| found == host)
    };
    let destinations: Vec<_> =
        found.routes.iter().filter(has_host).flat_map(|object| destinations_of(object)).collect();
    let is_its = |service: &&Service| {
        destinations.contains(&service_host(&service.name_any(), &found.namespace))
            && does_select(service, one)
            && !does_select(service, other)
    };
    found.services.iter().find(is_its).map(ResourceExt::name_any)
}

/// The name of a Service with the canary's pods alone: one that is there, or that is to be made.
fn own_service(found: &Found, canary: &Deployment, stable: &str) -> String {
    let others = |service: &&Service| {
        named(&found.deployments, stable).is_none_or(|stable| !does_select(service, stable))
    };
    let mut own = found.services.iter().filter(|service| does_select(service, canary)).filter(others);
    own.next().map_or_else(|| canary.name_any(), ResourceExt::name_any)
}

fn version(found: &Found, deployment: &str) -> Fields {
    let mut fields = Fields::default().with("targetRef", Fields::default().with("name", deployment));
    let scaler = found.scalers.iter().find(|scaler| scaler.deployment == deployment);
    fields.put_some(
        "autoscalerRef",
        scaler.map(|scaler| Fields::default().with("kind", scaler.kind).with("name", scaler.name.as_str())),
    );
    fields
}

/// The port, where the Service alone does not say it.
fn port(service: &Service, draft: &mut Draft) -> Option<i32> {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    if ports.len() < 2 || ports.iter().any(|port| port.port == 80) {
        return None;
    }
    let says_http = |port: &&ServicePort| {
        let says = port.app_protocol.as_ref().or(port.name.as_ref()).map(|says| says.to_ascii_lowercase());
        let says = says.as_deref().and_then(|says| says.split('-').next()).unwrap_or_default();
        matches!(says, "http" | "http2" | "grpc" | "kubernetes.io/h2c")
    };
    let chosen = ports.iter().find(says_http).or_else(|| ports.first())?;
    let all = list(ports.iter().map(|port| match &port.name {
        Some(name) => format!("{} ({name})", port.port),
        None => port.port.to_string(),
    }));
    draft.note(format!("spec.service.port: the Service has {all}; Gateways lead to this one."));
    Some(chosen.port)
}

/// The Deployment that is called as `other` is, but for what tells versions apart.
pub(super) fn sibling<'f>(found: &'f Found, other: &str) -> Vec<&'f Deployment> {
    let is_like = |one: &&Deployment| one.name_any() != other && base(&one.name_any()) == base(other);
    found.deployments.iter().filter(is_like).collect()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
