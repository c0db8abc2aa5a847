/*!
Callers that do not see the service: an Istio Sidecar keeps it from them, or they have no proxy at all. Their requests
go by the Service's address, past every route and every filter.
*/
use serde_json::Value;

use super::{Findings, Severity, Subject};
use crate::mesh::hosts::covers;
use crate::mesh::object::{full_name, list, namespace, texts};
use crate::mesh::routing::destinations;
use crate::mesh::routing::istio::ROOT_NAMESPACE;
use serin_release::delivery::AttachPoint;

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    for entrance in subject.entrances {
        let AttachPoint::Sidecars { namespace: callers } = &entrance.point else { continue };
        if !entrance.has_proxies {
            found.warning(
                format!("namespace {callers}"),
                "no pod in it has a sidecar that takes requests: nobody there is assigned to a version",
                "let Istio put sidecars into the callers' pods, or name their namespaces in spec.routing.meshNamespaces",
            );
        }
        check_visible(subject, callers, found);
    }
}

fn check_visible(subject: &Subject<'_>, callers: &str, found: &mut Findings) {
    for service in destinations(subject.release, &subject.delivery.routing) {
        check_sees(subject, callers, &service, found);
    }
}

fn check_sees(subject: &Subject<'_>, callers: &str, service: &str, found: &mut Findings) {
    let own = subject.namespace();
    let of = |wanted: &'static str| move |sidecar: &&Value| namespace(sidecar) == wanted;
    let (here, narrow): (Vec<&Value>, Vec<&Value>) = subject
        .sidecars
        .iter()
        .map(|sidecar| &**sidecar)
        .filter(|sidecar| namespace(sidecar) == callers)
        .partition(|sidecar| is_general(sidecar));
    let root = || {
        subject
            .sidecars
            .iter()
            .map(|sidecar| &**sidecar)
            .filter(of(ROOT_NAMESPACE))
            .find(|one| is_general(one))
    };
    let general = here.first().copied().or_else(root);
    let mend = format!("add {own}/{service} to the hosts of its spec.egress");
    if let Some(sidecar) = general.filter(|sidecar| hides(sidecar, callers, own, service)) {
        // There are routes by then, and other callers.
        let severity = if subject.taken_over { Severity::Warning } else { Severity::Error };
        found.add(
            severity,
            format!("Sidecar {}", full_name(sidecar)),
            format!(
                "keeps {service} from the callers in {callers}: their requests go past every route, to both versions' pods"
            ),
            mend.clone(),
        );
    }
    for sidecar in narrow.into_iter().filter(|sidecar| hides(sidecar, callers, own, service)) {
        found.warning(
            format!("Sidecar {}", full_name(sidecar)),
            format!("keeps {service} from some callers in {callers}: their requests go past every route"),
            mend.clone(),
        );
    }
}

/// Whether it is for all pods of its namespace.
fn is_general(sidecar: &Value) -> bool {
    let labels = sidecar.pointer("/spec/workloadSelector/labels").and_then(Value::as_object);
    labels.is_none_or(serde_json::Map::is_empty)
}

/// Whether pods in `callers` that have this Sidecar do not know `service` of namespace `own`. One that says nothing of what
/// they call keeps nothing from them.
fn hides(sidecar: &Value, callers: &str, own: &str, service: &str) -> bool {
    let egress = list(sidecar, "/spec/egress");
    let mut hosts = egress.iter().flat_map(|listener| texts(listener, "/hosts"));
    let is_visible = |host: &str| {
        let (of, name) = host.split_once('/').unwrap_or(("*", host));
        let is_there = match of {
            "*" => true,
            "." => own == callers,
            of => of == own,
        };
        is_there && covers(name, service)
    };
    !egress.is_empty() && !hosts.any(is_visible)
}
