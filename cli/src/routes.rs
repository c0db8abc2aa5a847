/*!
From the VirtualServices and DestinationRules that lead to a Service to `spec.routing`: where requests come in, by which
hosts, and whether Serin's routes can take the place of these. For `serin adopt` and `serin convert`.
*/
use std::sync::Arc;

use serde_json::Value;
use serin_agent::mesh::hosts::{resolve, service_host};
use serin_agent::mesh::object::{Ownership, full_name, list, namespace, owned, text};
use serin_agent::mesh::routing::conflicts::REPLACED_BY;
use serin_agent::mesh::routing::istio::{destinations_of, gateways_of, hosts_of};

use super::draft::{Draft, Fields};

/// The word for the callers' sidecars among gateways.
const MESH: &str = "mesh";

/// What is behind a Release's routes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Behind<'b> {
    /// Empty where a file does not say it.
    pub(super) namespace: &'b str,
    pub(super) release: &'b str,
    /// The Service, and that of the canary if it has one.
    pub(super) services: &'b [&'b str],
}

impl Behind<'_> {
    fn hosts(&self) -> Vec<String> {
        self.services.iter().map(|service| service_host(service, self.namespace)).collect()
    }
}

/// The fields of a route that a Release has as well, under the same names.
pub(super) const PASSED_ON: [&str; 6] = ["timeout", "retries", "fault", "corsPolicy", "headers", "rewrite"];

/// What a route does in place of leading to a Service.
const ELSEWHERE: [&str; 3] = ["redirect", "directResponse", "delegate"];

/// The fields of a route that a Release has no word for.
const MIRRORS: [&str; 2] = ["mirror", "mirrors"];

/// What a route cannot ask that leads to the version of a caller: Serin's do.
const PLACES: [&str; 3] = ["gateways", "sourceNamespace", "port"];

/// Routes of connections.
const CONNECTIONS: [&str; 2] = ["tls", "tcp"];

/// What the routes that lead to a Service make of `spec.routing`.
pub(super) fn routing(behind: &Behind<'_>, routes: &[Arc<Value>], draft: &mut Draft) -> Fields {
    let own = behind.hosts();
    let of_kind = |kind: &'static str| {
        routes.iter().map(|object| &**object).filter(move |object| text(object, "/kind") == kind)
    };
    let leads_there = |object: &&Value| destinations_of(object).any(|host| own.contains(&host));
    let services: Vec<_> = of_kind("VirtualService")
        .filter(leads_there)
        .filter(|object| owned(object) != Ownership::Ours)
        .collect();
    let rules: Vec<_> = of_kind("DestinationRule")
        .filter(|rule| own.contains(&resolve(text(rule, "/spec/host"), namespace(rule))))
        .filter(|rule| owned(rule) != Ownership::Ours)
        .collect();
    let mut fields = Fields::default();
    if services.is_empty() {
        draft.note(format!(
            "No VirtualService leads to the Service: callers in the mesh of {} are assigned, by their sidecars. For callers of \
             other namespaces write spec.routing.meshNamespaces; for those who come by a Gateway spec.routing.gateways and \
             hosts.",
            behind.namespace
        ));
    }
    entrances(behind, &services, draft, &mut fields);
    let reasons: Vec<_> =
        services.iter().flat_map(|object| kept_for(object, behind, services.len() > 1)).collect();
    if reasons.is_empty() {
        managed(behind, &services, &rules, draft, &mut fields);
    } else {
        draft.note(format!(
            "spec.routing.mode: Verify, because {}. Serin checks these routes and never writes them: the condition Routed says \
             what to paste. With Managed it has routes of its own instead.",
            reasons.join("; ")
        ));
        fields.put("mode", "Verify");
    }
    fields
}

/// The gateways and the hosts.
fn entrances(behind: &Behind<'_>, services: &[&Value], draft: &mut Draft, fields: &mut Fields) {
    let own = behind.hosts();
    let mut gateways: Vec<_> = services.iter().flat_map(|object| gateways_of(object)).collect();
    for gateway in &mut gateways {
        *gateway = in_namespace(gateway, behind.namespace);
    }
    let mut hosts: Vec<_> = services.iter().flat_map(|object| hosts_of(object)).collect();
    if behind.namespace.is_empty() {
        // A short name is a Service's of whichever namespace it is.
        for host in &mut hosts {
            *host = host.strip_suffix(&service_host("", "")).unwrap_or(host).to_owned();
        }
    }
    for found in [&mut gateways, &mut hosts] {
        found.sort_unstable();
        found.dedup();
    }
    let is_own = |host: &String| own.contains(host) || behind.services.contains(&host.as_str());
    hosts.retain(|host| !is_own(host));
    if gateways.iter().all(|gateway| gateway == MESH) {
        if !hosts.is_empty() {
            draft.note(format!(
                "spec.routing.hosts: {} are hosts of the mesh; a host of another namespace takes its consent, the label \
                 serin.dev/hosts-from.",
                hosts.join(", ")
            ));
        }
    } else {
        fields.put("gateways", gateways);
        if hosts.is_empty() {
            // Somebody serves the Service's own name at a Gateway on purpose.
            hosts.extend(if behind.namespace.is_empty() { None } else { own.first().cloned() });
        }
    }
    if !hosts.is_empty() {
        fields.put("hosts", hosts);
    }
}

/// A Gateway as a Release of `namespace` names it.
pub(super) fn in_namespace(gateway: &str, namespace: &str) -> String {
    match gateway.split_once('/') {
        Some((of, name)) if of == namespace => name.to_owned(),
        _ => gateway.to_owned(),
    }
}

/// An object's name, with its namespace where that is known.
fn named(object: &Value) -> String {
    full_name(object).trim_start_matches('/').to_owned()
}

/// What becomes of a route.
#[derive(Debug, PartialEq)]
enum Becomes {
    /// Its fields are `spec.routing`'s.
    Routing,
    /// It is for testers, or for a group of users.
    Tester,
    /// An entry of `spec.routing.http`.
    Written(Value),
    /// Only itself: why.
    Itself(String),
}

/// What becomes of each HTTP route of a VirtualService.
fn each(object: &Value, behind: &Behind<'_>) -> Vec<Becomes> {
    let routes = list(object, "/spec/http");
    let rest = routes.iter().find(|route| list(route, "/match").is_empty());
    let to_both = rest.map(|route| destinations(route)).unwrap_or_default();
    let of_route = |(i, route): (usize, &Value)| {
        becomes(object, route, &to_both, behind)
            .unwrap_or_else(|why| Becomes::Itself(format!("spec.http[{i}] of {} {why}", named(object))))
    };
    routes.iter().enumerate().map(of_route).collect()
}

/// The Services and subsets to which a route leads, whatever their weights.
fn destinations(route: &Value) -> Vec<&Value> {
    list(route, "/route").iter().map(|entry| &entry["destination"]).collect()
}

fn becomes(
    object: &Value,
    route: &Value,
    to_both: &[&Value],
    behind: &Behind<'_>,
) -> Result<Becomes, String> {
    let own = behind.hosts();
    let hosts = destinations(route).into_iter().map(|to| resolve(text(to, "/host"), namespace(object)));
    let (to_own, others): (Vec<_>, Vec<_>) = hosts.partition(|host| own.contains(host));
    let leads_elsewhere = || others.first().map(|other| format!("leads to {other}"));
    let has = |fields: &[&str]| {
        fields.iter().find(|field| route.get(**field).is_some()).map(|field| format!("has a {field}"))
    };
    let conditions = list(route, "/match");
    let asks = |which: &dyn Fn(&str) -> bool| {
        let names =
            conditions.iter().flat_map(|one| one.as_object().into_iter().flatten()).map(|(name, _)| name);
        names.into_iter().find(|name| which(name)).map(|name| format!("asks for the {name}"))
    };
    let refused = |why: Option<String>| why.map_or(Ok(()), Err);
    refused(has(&MIRRORS))?;
    if conditions.is_empty() {
        refused(has(&ELSEWHERE).or_else(leads_elsewhere))?;
        return Ok(Becomes::Routing);
    }
    if to_own.is_empty() {
        // Short names are read by the namespace of the object that they stand in.
        let moves = ![namespace(object), ""].contains(&behind.namespace) && !behind.namespace.is_empty();
        refused(
            moves.then(leads_elsewhere).flatten().or_else(|| if moves { has(&ELSEWHERE) } else { None }),
        )?;
        return Ok(Becomes::Written(route.clone()));
    }
    refused(leads_elsewhere())?;
    let Some(more) = asks(&|name| !matches!(name, "headers" | "name")) else { return Ok(Becomes::Tester) };
    let goes_like_the_rest = destinations(route) == to_both;
    refused((!goes_like_the_rest).then_some(more))?;
    refused(asks(&|name| PLACES.contains(&name)))?;
    let mut written = route.clone();
    if let Some(written) = written.as_object_mut() {
        written.remove("route");
    }
    Ok(Becomes::Written(written))
}

/// Why a VirtualService is more than a Release's routes, of several of them.
fn kept_for(object: &Value, behind: &Behind<'_>, are_several: bool) -> Vec<String> {
    let name = named(object);
    let own = behind.hosts();
    let mut reasons = Vec::new();
    for kind in CONNECTIONS {
        let routes = list(object, &format!("/spec/{kind}"));
        let mut hosts =
            routes.iter().flat_map(destinations).map(|to| resolve(text(to, "/host"), namespace(object)));
        if !routes.is_empty() && (are_several || hosts.any(|host| own.contains(&host))) {
            reasons.push(format!("{name} has {kind} routes"));
        }
    }
    reasons.extend(each(object, behind).into_iter().enumerate().filter_map(|(i, becomes)| match becomes {
        Becomes::Itself(why) => Some(why),
        // They would be for the others' hosts, too.
        Becomes::Written(_) if are_several => Some(format!(
            "spec.http[{i}] of {name} is for its hosts alone, and other VirtualServices lead there, too"
        )),
        Becomes::Written(_) | Becomes::Routing | Becomes::Tester => None,
    }));
    reasons
}

/// Serin's own routes take the place of these.
fn managed(
    behind: &Behind<'_>,
    services: &[&Value],
    rules: &[&Value],
    draft: &mut Draft,
    fields: &mut Fields,
) {
    let mut written = Vec::new();
    let mut rest = None;
    for object in services {
        for (route, becomes) in list(object, "/spec/http").iter().zip(each(object, behind)) {
            match becomes {
                Becomes::Routing => drop(rest.get_or_insert(route)),
                Becomes::Written(route) => written.push(route),
                Becomes::Tester | Becomes::Itself(_) => {
                    let matches = serde_json::to_string(&route["match"]).unwrap_or_default();
                    draft.note(format!(
                        "left out: {} has a route for {matches}: write spec.overrides for testers, or spec.segments for groups \
                         of users.",
                        named(object)
                    ));
                }
            }
        }
    }
    if let Some(route) = rest {
        for field in PASSED_ON {
            fields.put_some(field, route.get(field).cloned());
        }
    }
    let some = |routes: &[Value]| (!routes.is_empty()).then(|| Value::from(routes));
    fields.put_some("http", some(&written));
    if let [object] = services {
        for kind in CONNECTIONS {
            fields.put_some(kind, some(list(object, &format!("/spec/{kind}"))));
        }
        fields.put_some("exportTo", object.pointer("/spec/exportTo").cloned());
    }
    let mut policies = rules.iter().filter_map(|rule| rule.pointer("/spec/trafficPolicy"));
    fields.put_some("trafficPolicy", policies.next().cloned());
    let theirs = services.iter().copied().chain(rules.iter().copied());
    let is_not_yet = |object: &&Value| object["metadata"]["annotations"].get(REPLACED_BY).is_none();
    let commands: Vec<_> = theirs.filter(is_not_yet).map(|object| annotate(behind, object)).collect();
    if !commands.is_empty() {
        draft.note(format!(
            "to do: Serin's routes take the place of these; end what is under way first, as docs/adoption.md says, then let \
             Serin write its own beside them, and delete them when the condition Routed names nothing else:\n{}",
            commands.join("\n")
        ));
    }
}

/// The command by which people let Serin's routes take the place of `object`.
fn annotate(behind: &Behind<'_>, object: &Value) -> String {
    let (kind, name) = (text(object, "/kind").to_ascii_lowercase(), text(object, "/metadata/name"));
    let place = match namespace(object) {
        "" => String::new(),
        place => format!(" -n {place}"),
    };
    let by = if namespace(object) == behind.namespace {
        behind.release.to_owned()
    } else {
        format!("{}/{}", behind.namespace, behind.release)
    };
    format!("kubectl annotate {kind} {name}{place} {REPLACED_BY}={by}")
}
