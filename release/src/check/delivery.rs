/*!
The part of a Release that only a cluster gives meaning to.
*/
use std::time::Duration;

use super::{Problems, Scalar, label, quoted, span};
use crate::delivery::{AttachPoint, Delivery, Mode, PromotionMode, Routing, Target};
use crate::resource;

/// The word for the callers' sidecars among gateways, as Istio has it.
pub(super) const MESH: &str = "mesh";

pub(super) struct Parts<'r> {
    pub(super) namespace: &'r str,
    pub(super) stable: &'r resource::Version,
    pub(super) canary: &'r resource::Version,
    pub(super) routing: &'r resource::Routing,
    pub(super) promotion: PromotionMode,
    pub(super) scale_down_delay: &'r Scalar,
    pub(super) suspended: bool,
}

pub(super) fn check(parts: &Parts<'_>, problems: &mut Problems) -> Delivery {
    let stable = target("spec.stable", parts.stable, problems);
    let canary = target("spec.canary", parts.canary, problems);
    if stable.deployment == canary.deployment && parts.stable.target_ref.is_some() {
        let hint = "name another Deployment than stable's: each version runs in one of its own";
        problems.add("spec.canary.targetRef.name", quoted(Some(&canary.deployment)), hint);
    }
    if parts.promotion == PromotionMode::Swap && parts.routing.mode == Mode::Verify {
        let hint = "write Copy or Wait, or let spec.routing.mode be Managed: Swap changes where the routes lead, and with \
                    Verify Serin writes none";
        problems.add("spec.strategy.canary.promotion.mode", "Swap", hint);
    }
    let bounds = Duration::ZERO..=Duration::from_hours(24);
    let path = "spec.strategy.canary.scaleDownDelay";
    Delivery {
        stable,
        canary,
        promotion: parts.promotion,
        scale_down_delay: span(path, parts.scale_down_delay, bounds, "give 0s to 24h", problems),
        suspended: parts.suspended,
        routing: routing(parts.namespace, parts.routing, problems),
    }
}

fn target(path: &str, version: &resource::Version, problems: &mut Problems) -> Target {
    let name = version.target_ref.as_ref().map(|target| target.name.clone());
    if let Some(target) = &version.target_ref {
        kind(&format!("{path}.targetRef.kind"), &target.kind, "Deployment", problems);
    }
    if let Some(autoscaler) = &version.autoscaler_ref {
        kind(&format!("{path}.autoscalerRef.kind"), &autoscaler.kind, "HorizontalPodAutoscaler", problems);
    }
    Target {
        deployment: label(&format!("{path}.targetRef.name"), name, problems),
        autoscaler: version.autoscaler_ref.as_ref().map(|autoscaler| autoscaler.name.clone()),
        traffic_policy: version.traffic_policy.clone(),
    }
}

fn kind(path: &str, found: &str, wanted: &str, problems: &mut Problems) {
    if found != wanted {
        problems.add(path, quoted(Some(found)), format!("write {wanted}"));
    }
}

fn routing(namespace: &str, resource: &resource::Routing, problems: &mut Problems) -> Routing {
    let mut attach_points = Vec::new();
    let mut add = |point: AttachPoint, path: String, problems: &mut Problems| {
        if attach_points.contains(&point) {
            problems.add(path, point.to_string(), "list every place once");
        } else {
            attach_points.push(point);
        }
    };
    if resource.gateways.is_empty() {
        let hint = "give at least one Gateway as namespace/name, or leave it out for [mesh]";
        problems.add("spec.routing.gateways", "[]", hint);
    }
    for (i, gateway) in resource.gateways.iter().enumerate() {
        let path = format!("spec.routing.gateways[{i}]");
        if gateway == MESH {
            let own = [namespace.to_owned()];
            let namespaces = resource.mesh_namespaces.as_deref().unwrap_or(&own);
            for (i, namespace) in namespaces.iter().enumerate() {
                let path = format!("spec.routing.meshNamespaces[{i}]");
                let namespace = label(&path, Some(namespace.clone()), problems);
                add(AttachPoint::Sidecars { namespace }, path, problems);
            }
            continue;
        }
        let (namespace, name) = gateway.split_once('/').unwrap_or((namespace, gateway));
        let namespace = label(&path, Some(namespace.to_owned()), problems);
        let name = label(&path, Some(name.to_owned()), problems);
        add(AttachPoint::Gateway { namespace, name }, path, problems);
    }
    if resource.mesh_namespaces.is_some() && !resource.gateways.iter().any(|gateway| gateway == MESH) {
        let hint = "add mesh to spec.routing.gateways, or leave the namespaces out";
        problems.add("spec.routing.meshNamespaces", "mesh is not among the gateways", hint);
    }
    Routing {
        mode: resource.mode,
        attach_points,
        timeout: resource.timeout.clone(),
        retries: resource.retries.clone(),
        fault: resource.fault.clone(),
        cors_policy: resource.cors_policy.clone(),
        headers: resource.headers.clone(),
        traffic_policy: resource.traffic_policy.clone(),
    }
}
