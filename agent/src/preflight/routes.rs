/*!
Other ways in: VirtualServices of other people's that lead to the Service as a whole. Whoever comes by them meets the
canary by the number of its pods, at 0 % too, and no filter has been asked.
*/
use serde_json::Value;

use super::{Findings, Subject};
use crate::mesh::hosts::{resolve, service_host};
use crate::mesh::object::{Ownership, full_name, list, namespace, owned, text};
use crate::mesh::routing::conflicts::{Conflicts, conflicts};
use crate::mesh::routing::istio::is_seen;

/// Protocols a VirtualService has routes for.
const PROTOCOLS: [&str; 3] = ["http", "tls", "tcp"];

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    let service = service_host(&subject.release.service.name, subject.namespace());
    let of_others = subject.routes.iter().filter(|object| {
        text(object, "/kind") == "VirtualService" && owned(object) != Ownership::Ours && is_seen(object)
    });
    for object in of_others {
        // What has the same host at the same place is worse, and said already.
        if conflicts([&**object], subject.release, subject.delivery) != Conflicts::default() {
            continue;
        }
        let Some(field) = leads_past(object, &service) else { continue };
        let is_delegate = list(object, "/spec/hosts").is_empty();
        let whose = if is_delegate { " of a delegate" } else { "" };
        found.warning(
            format!("VirtualService {}", full_name(object)),
            format!(
                "{field}{whose} leads to {service} without a subset: whoever comes by it meets the canary by the number of \
                 its pods, at 0% too"
            ),
            "give the destination subset: stable, or add its host to spec.routing.hosts and take it out there",
        );
    }
}

/// The first field of `object` that leads to the whole of `service`.
fn leads_past(object: &Value, service: &str) -> Option<String> {
    PROTOCOLS.iter().find_map(|protocol| {
        let routes = list(object, &format!("/spec/{protocol}"));
        let is_past = |destination: &Value| {
            text(destination, "/subset").is_empty()
                && resolve(text(destination, "/host"), namespace(object)) == service
        };
        let leads = |route: &Value| {
            list(route, "/route").iter().filter_map(|entry| entry.get("destination")).any(is_past)
        };
        let index = routes.iter().position(leads)?;
        Some(format!("spec.{protocol}[{index}].route"))
    })
}
