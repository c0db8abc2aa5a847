/*!
Routes that people write beside Serin's, in Istio's words: which are theirs, which lead to the version that a caller has, and
what would lead past the assignment.
*/
use serde_json::{Map, Value};
use serin_policy::Arm;
use serin_policy::document::VERSION_HEADER;
use serin_policy::rule::LABEL;

use super::delivery::{MESH, Parts};
use super::{Problems, few, quoted};
use crate::delivery::HttpRoute;
use crate::rule::routes;

/// What a route of their own has.
const OWN: [&str; 4] = ["route", "redirect", "directResponse", "delegate"];

/// What a condition cannot ask, for Serin's routes ask it themselves.
const PLACES: [&str; 3] = ["gateways", "sourceNamespace", "port"];

pub(super) fn http(parts: &Parts<'_>, problems: &mut Problems) -> Vec<HttpRoute> {
    let written = &parts.routing.http;
    few("spec.routing.http", written.len(), routes::MAX, problems);
    let route = |(i, route): (usize, &Value)| {
        let path = format!("spec.routing.http[{i}]");
        let conditions = conditions(&path, route, problems)?;
        if OWN.iter().any(|field| route.get(field).is_some()) {
            leads_past(&path, route, parts, routes::PAST, problems);
            return Some(HttpRoute::Theirs(route.clone()));
        }
        for (at, condition) in conditions.iter().enumerate() {
            to_versions(&format!("{path}.match[{at}]"), condition, &parts.routing.path_prefix, problems);
        }
        let mut fields = route.as_object()?.clone();
        fields.retain(|name, _| name != "match" && name != "name");
        Some(HttpRoute::ToVersions { conditions, fields })
    };
    written.iter().enumerate().filter_map(route).collect()
}

/// What a route asks for, one of these; it must ask for something.
fn conditions(path: &str, route: &Value, problems: &mut Problems) -> Option<Vec<Map<String, Value>>> {
    let conditions = route["match"].as_array().into_iter().flatten();
    let conditions: Vec<_> = conditions.map(|one| one.as_object().cloned().unwrap_or_default()).collect();
    let asks = |condition: &Map<String, Value>| condition.keys().any(|name| name != "name");
    if conditions.is_empty() || !conditions.iter().all(asks) {
        let found = route.get("match").map_or_else(|| "missing".to_owned(), Value::to_string);
        problems.add(format!("{path}.match"), found, routes::MATCH);
        return None;
    }
    Some(conditions)
}

/// Checks the condition of a route to the version that a caller has.
fn to_versions(path: &str, condition: &Map<String, Value>, prefix: &str, problems: &mut Problems) {
    for place in PLACES {
        if let Some(found) = condition.get(place) {
            problems.add(format!("{path}.{place}"), found, routes::PLACE);
        }
    }
    for headers in ["headers", "withoutHeaders"] {
        if let Some(found) = condition.get(headers).and_then(|asked| asked.get(VERSION_HEADER)) {
            problems.add(format!("{path}.{headers}.{VERSION_HEADER}"), found, routes::VERSION);
        }
    }
    let prefix = prefix.trim_end_matches('/');
    let Some(uri) = condition.get("uri").filter(|_| !prefix.is_empty()) else { return };
    let asked = uri["exact"].as_str().or_else(|| uri["prefix"].as_str());
    let rest = asked.and_then(|asked| asked.strip_prefix(prefix));
    let is_below = match uri.get("exact") {
        Some(_) => rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        // `/shop` as a prefix takes `/shopping`, too.
        None => rest.is_some_and(|rest| rest.starts_with('/')),
    };
    if !is_below {
        problems.add(format!("{path}.uri"), uri, routes::OUTSIDE);
    }
}

/// `tls` or `tcp` routes.
pub(super) fn of_connections(
    kind: &str,
    written: &[Value],
    parts: &Parts<'_>,
    problems: &mut Problems,
) -> Vec<Value> {
    few(&format!("spec.routing.{kind}"), written.len(), routes::MAX, problems);
    for (i, route) in written.iter().enumerate() {
        let path = format!("spec.routing.{kind}[{i}]");
        leads_past(&path, route, parts, routes::CONNECTIONS_PAST, problems);
    }
    written.to_vec()
}

/// Checks that nothing leads to a version but by assignment, save to stable.
fn leads_past(path: &str, route: &Value, parts: &Parts<'_>, hint: &str, problems: &mut Problems) {
    let names = |service: &str, host: &str| {
        let rest = host
            .strip_prefix(service)
            .and_then(|rest| rest.strip_prefix('.').or(rest.is_empty().then_some("")));
        let namespace = parts.namespace;
        rest.is_some_and(|rest| {
            rest.is_empty()
                || [format!("{namespace}.svc"), format!("{namespace}.svc.cluster.local")]
                    .iter()
                    .any(|it| it == rest)
        })
    };
    let own = parts.canary.service.as_ref().map(|service| service.name.as_str());
    for (i, entry) in route["route"].as_array().into_iter().flatten().enumerate() {
        let destination = &entry["destination"];
        let host = destination["host"].as_str().unwrap_or_default();
        let is_stable = destination["subset"] == Arm::Stable.as_str();
        let meets_both = names(parts.service, host) && own.is_none() && !is_stable;
        if meets_both || own.is_some_and(|canary| names(canary, host)) {
            problems.add(format!("{path}.route[{i}].destination"), destination, hint);
        }
    }
}

pub(super) fn export_to(parts: &Parts<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    let exports = parts.routing.export_to.as_ref()?;
    few("spec.routing.exportTo", exports.len(), routes::MAX_EXPORTS, problems);
    for (i, export) in exports.iter().enumerate() {
        if !matches!(export.as_str(), "*" | ".") && !LABEL.accepts(export) {
            problems.add(format!("spec.routing.exportTo[{i}]"), quoted(Some(export)), routes::EXPORT);
        }
    }
    if exports.is_empty() {
        problems.add("spec.routing.exportTo", "[]", routes::EXPORT);
    }
    let knows = |namespace: &str| {
        exports.iter().any(|export| match export.as_str() {
            "*" => true,
            "." => namespace == parts.namespace,
            export => export == namespace,
        })
    };
    if parts.routing.gateways.iter().any(|gateway| gateway == MESH) {
        let own = [parts.namespace.to_owned()];
        let callers = parts.routing.mesh_namespaces.as_deref().unwrap_or(&own);
        if let Some(missing) = callers.iter().find(|namespace| !knows(namespace)) {
            let found = format!("{} is not among them", quoted(Some(missing)));
            problems.add("spec.routing.exportTo", found, routes::EXPORT_CALLERS);
        }
    }
    Some(exports.clone())
}
