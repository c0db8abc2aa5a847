/*!
Other ways in: VirtualServices of other people's that lead to the Service as a whole, or to the canary's own. Whoever comes
by them meets the canary, at 0 % too, and no filter has been asked.
*/
use serde_json::Value;
use serin_policy::Arm;

use super::{Findings, Subject};
use crate::mesh::hosts::resolve;
use crate::mesh::object::{Ownership, full_name, list, namespace, owned, text};
use crate::mesh::routing::conflicts::{Conflicts, conflicts};
use crate::mesh::routing::istio::is_seen;
use crate::mesh::routing::services::host;

/// Protocols a VirtualService has routes for.
const PROTOCOLS: [&str; 3] = ["http", "tls", "tcp"];

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    let routing = &subject.delivery.routing;
    let service = host(subject.release, routing, Arm::Canary);
    // With a Service of its own nobody else's leads to the canary.
    let (meets, mend) = match &routing.services {
        Some(services) => (
            ", the canary's own: whoever comes by it meets the canary",
            format!("lead to {} instead", services.stable),
        ),
        None => (
            " without a subset: whoever comes by it meets the canary by the number of its pods",
            "give the destination subset: stable, or add its host to spec.routing.hosts and take it out there".to_owned(),
        ),
    };
    let of_others = subject.routes.iter().filter(|object| {
        text(object, "/kind") == "VirtualService" && owned(object) != Ownership::Ours && is_seen(object)
    });
    for object in of_others {
        // What has the same host at the same place is worse, and said already.
        if conflicts([&**object], subject.release, subject.delivery) != Conflicts::default() {
            continue;
        }
        let is_past =
            |destination: &Value| routing.services.is_some() || text(destination, "/subset").is_empty();
        let Some(field) = leads_past(object, &service, is_past) else { continue };
        let is_delegate = list(object, "/spec/hosts").is_empty();
        let whose = if is_delegate { " of a delegate" } else { "" };
        found.warning(
            format!("VirtualService {}", full_name(object)),
            format!("{field}{whose} leads to {service}{meets}, at 0% too"),
            mend.clone(),
        );
    }
}

/// The first field of `object` with a destination of `service` that is one of those looked for.
fn leads_past(object: &Value, service: &str, is_looked_for: impl Fn(&Value) -> bool) -> Option<String> {
    PROTOCOLS.iter().find_map(|protocol| {
        let routes = list(object, &format!("/spec/{protocol}"));
        let leads_there = |destination: &Value| {
            is_looked_for(destination) && resolve(text(destination, "/host"), namespace(object)) == service
        };
        let leads = |route: &Value| {
            list(route, "/route").iter().filter_map(|entry| entry.get("destination")).any(leads_there)
        };
        let index = routes.iter().position(leads)?;
        Some(format!("spec.{protocol}[{index}].route"))
    })
}
