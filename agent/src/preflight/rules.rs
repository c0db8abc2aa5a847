/*!
DestinationRules of other people's: those of callers' namespaces, which hide Serin's subsets from them, and those that
Serin's own would hide, with all that they say of connections.

Istio takes a service's rule from the caller's namespace first, then from the service's, then from its root namespace;
in each the most exact host counts, and only that one.
*/
use std::sync::Arc;

use serde_json::Value;

use super::{Findings, Severity, Subject};
use crate::mesh::hosts::{covers, resolve};
use crate::mesh::object::{Ownership, full_name, namespace, owned, text};
use crate::mesh::routing::conflicts::{Conflicts, conflicts};
use crate::mesh::routing::istio::{ROOT_NAMESPACE, is_seen, is_seen_in};
use crate::mesh::routing::{self, split};
use serin_release::Release;

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    let (own, service) = (subject.namespace(), routing::service(subject.release));
    for rule in foreign(subject.routes, &service) {
        let of = namespace(rule);
        // Some are worse, and said already.
        // A Service of each version needs no subset.
        if subject.delivery.routing.services.is_some()
            || of == own
            || !hides_in(rule, of)
            || conflicts([rule], subject.release, subject.delivery) != Conflicts::default()
        {
            continue;
        }
        let at = format!("DestinationRule {}", full_name(rule));
        let host = text(rule, "/spec/host");
        let mend = format!("take {service} out of it, or delete it");
        if let Some(entrance) =
            subject.entrances.iter().find(|entrance| entrance.namespaces.iter().any(|one| one == of))
        {
            let what = format!(
                "has {host} for the proxies at {}, which know no subset of Serin's then",
                entrance.point
            );
            found.error(at, what, mend);
        } else if subject.is_called_inside() {
            let severity = if subject.taken_over { Severity::Warning } else { Severity::Error };
            let what = format!(
                "has {host} for callers in {of}, which know no subset of Serin's then and would get 503"
            );
            found.add(severity, at, what, mend);
        }
    }
    if let (Some(_), Some(hidden)) =
        (&subject.delivery.routing.traffic_policy, hidden_rule(subject.routes, subject.release))
    {
        let (at, host) = (format!("DestinationRule {}", full_name(hidden)), text(hidden, "/spec/host"));
        let what = format!(
            "its trafficPolicy for {host} does not count for {service}: spec.routing.trafficPolicy stands in its place"
        );
        found.warning(at, what, "write there what is to be kept of it");
    }
}

/// The `trafficPolicy` that the service has by somebody's wildcard, which the rule for its own host will hide: it goes on
/// to count if the Release gives none.
pub fn inherited<'r>(routes: &'r [Arc<Value>], release: &Release) -> Option<&'r Value> {
    hidden_rule(routes, release)?.pointer("/spec/trafficPolicy")
}

/// The rule that counts for the service as long as there is none for its own host.
fn hidden_rule<'r>(routes: &'r [Arc<Value>], release: &Release) -> Option<&'r Value> {
    let (own, service) = (split(release).0, routing::service(release));
    let exactness = |rule: &&Value| resolve(text(rule, "/spec/host"), namespace(rule)).len();
    let of = |wanted: &str| {
        let rules = foreign(routes, &service).filter(|rule| namespace(rule) == wanted && is_seen(rule));
        // One for the same host is a conflict, and not hidden.
        rules.filter(|rule| text(rule, "/spec/host").starts_with('*')).max_by_key(exactness)
    };
    of(own).or_else(|| of(ROOT_NAMESPACE)).filter(|rule| rule.pointer("/spec/trafficPolicy").is_some())
}

/// The rules of others that mean `service`, exactly or by a wildcard.
fn foreign<'r>(routes: &'r [Arc<Value>], service: &str) -> impl Iterator<Item = &'r Value> {
    routes.iter().map(|object| &**object).filter(move |object| {
        text(object, "/kind") == "DestinationRule"
            && owned(object) != Ownership::Ours
            && covers(&resolve(text(object, "/spec/host"), namespace(object)), service)
    })
}

/// Whether callers in the rule's own namespace take it before that of the service's namespace.
fn hides_in(rule: &Value, of: &str) -> bool {
    is_seen_in(rule, of) && (of != ROOT_NAMESPACE || !is_for_others(rule))
}

/// Whether others than its own namespace see a rule. One of the root namespace is a default then.
fn is_for_others(rule: &Value) -> bool {
    is_seen_in(rule, "")
}
