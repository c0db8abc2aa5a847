/*!
Whose pods a Service has: those of both versions, or of one alone where each version has a Service.
*/
use k8s_openapi::api::core::v1::Service;

use super::{Findings, Subject, Version};
use crate::mesh::object::{Labels, selects, spelled};
use serin_release::delivery::Mode;

/// What to do about a Service that lacks the pods of one version, where it is to have both.
const OF_BOTH: &str = "take out of spec.selector what only one version has, and the two are told apart by their Deployments' \
                       selectors; or give the canary a Service of its own in spec.canary.service";

/// The same, where each version has a Service.
const OF_ONE: &str = "give it a spec.selector that this version's pods meet";

/// Looks at the Services' selectors. Returns whether routes can lead to each version's pods by them.
pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) -> bool {
    let [stable, canary] = subject.versions();
    let routing = &subject.delivery.routing;
    if routing.services.is_none() {
        // Where people write the routes, these say whose pods they lead to.
        return routing.mode == Mode::Verify
            || [stable, canary].iter().fold(true, |all, version| all & check_own(version, OF_BOTH, found));
    }
    let mut leads_to_each = true;
    for (version, other) in [(&stable, &canary), (&canary, &stable)] {
        if version.has_a_service_of_serins(subject) {
            continue;
        }
        let is_plain = version.service_name == subject.release.service.name;
        if version.service.is_none() {
            // Of the one that the Release is for it is said elsewhere.
            if !is_plain {
                let what = format!("there is none in {}", subject.namespace());
                let mend =
                    format!("create it, or name another in spec.{}.service.name", version.arm.as_str());
                found.error(at(version.service_name), what, mend);
                leads_to_each = false;
            }
            continue;
        }
        let has_own = check_own(version, OF_ONE, found);
        // The plain one is asked for a subset meanwhile.
        leads_to_each &= has_own && (check_alone(version, other, found) || is_plain);
    }
    if stable.service_name != subject.release.service.name && selects_both(subject) {
        found.warning(
            at(&subject.release.service.name),
            "selects the pods of both versions: whoever calls it past the filter meets the canary by the number of its pods, at \
             0% too",
            narrow(&stable, &canary),
        );
    }
    leads_to_each
}

/// Whether the Service that the Release is for selects the pods of both versions.
pub(super) fn selects_both(subject: &Subject<'_>) -> bool {
    let Some(selector) = subject.service.and_then(selector) else { return false };
    subject.versions().iter().all(|version| version.labels().is_some_and(|labels| selects(selector, &labels)))
}

fn check_own(version: &Version<'_>, mend: &str, found: &mut Findings) -> bool {
    let none = Labels::new();
    let Some(service) = version.service else { return true };
    let selector = selector(service).unwrap_or(&none);
    let Some(labels) = version.labels() else { return true };
    if selects(selector, &labels) {
        return true;
    }
    let unmet = selector.iter().filter(|(name, value)| labels.get(*name) != Some(value));
    let unmet: Labels = unmet.map(|(name, value)| (name.clone(), value.clone())).collect();
    let deployment = &version.target.deployment;
    found.error(
        at(version.service_name),
        format!("does not select the pods of Deployment {deployment}, which lack {}", spelled(&unmet)),
        mend,
    );
    false
}

/// Whether the version's Service has no pods of the `other`, and stays so when versions follow each other.
fn check_alone(version: &Version<'_>, other: &Version<'_>, found: &mut Findings) -> bool {
    let (Some(selector), Some(others)) = (version.service.and_then(selector), other.labels()) else {
        return true;
    };
    let telling = selector.iter().filter(|(name, value)| others.get(*name) != Some(value));
    let telling: Labels = telling.map(|(name, value)| (name.clone(), value.clone())).collect();
    let deployment = &other.target.deployment;
    if telling.is_empty() {
        found.error(
            at(version.service_name),
            format!("also selects the pods of Deployment {deployment}: whoever calls it past the filter meets both versions"),
            narrow(version, other),
        );
        return false;
    }
    let own = match_labels(version);
    if own.is_some_and(|own| telling.keys().all(|name| !own.contains_key(name))) {
        found.error(
            at(version.service_name),
            format!(
                "tells its pods from those of Deployment {deployment} by {} alone, which may change with every version: it is \
                 not in spec.selector of Deployment {}",
                spelled(&telling),
                version.target.deployment
            ),
            narrow(version, other),
        );
        return false;
    }
    true
}

/// How a Service is narrowed to `version`: by what its Deployment selects its pods by, as long as it is there.
fn narrow(version: &Version<'_>, other: &Version<'_>) -> String {
    let others = other.labels().unwrap_or_default();
    let own = match_labels(version).into_iter().flatten();
    let telling: Labels = own
        .filter(|(name, value)| others.get(*name) != Some(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    format!("add {} to its spec.selector", spelled(&telling))
}

fn match_labels<'v>(version: &Version<'v>) -> Option<&'v Labels> {
    version.deployment?.spec.as_ref()?.selector.match_labels.as_ref()
}

fn selector(service: &Service) -> Option<&Labels> {
    service.spec.as_ref()?.selector.as_ref()
}

fn at(service: &str) -> String {
    format!("Service {service}")
}
