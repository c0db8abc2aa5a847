/*!
From the words of a Release to one that makes sense, or to the list of everything that does not.

Each function here takes words, notes what is wrong with them and returns something to go on with; what it returns
after a problem was noted never leaves the room.
*/
mod analysis;
mod delivery;
mod faults;
mod hook_checks;
mod hook_kinds;
mod hooks;
mod mirror;
mod notifications;
mod rollback;
mod routes;
mod steps;
mod templates;
mod versions;
mod windows;

use std::time::Duration;

use serin_policy::Source;
use serin_policy::cookie::CookieSpec;
use serin_policy::flags::FlagSpec;
use serin_policy::links::LinkSpec;
use serin_policy::matching::{OverrideSpec, SegmentSpec};
use serin_policy::rule::{LABEL, Text, at_most};

use super::approval::Approval;
use super::delivery::{Delivery, Named};
use super::problem::{Problems, ReleaseError};
use super::resource::{self, Documents, Given, Metadata, Resource, Scalar, Spec};
use super::rule::{self, Span};
use super::{
    BlueGreen, DEFAULT_NAMESPACE, Percent, Release, ReleaseObject, Service, Step, accepted, duration,
};

const API_VERSION: &str = "serin.dev/v1alpha1";
const KIND: &str = "Release";

pub use notifications::notification;
pub use templates::FoundTemplate;
pub(super) use templates::with_templates;
pub use windows::window;

pub(super) fn check(documents: Documents) -> Result<Release, ReleaseError> {
    let mut problems = Problems::default();
    let Documents { release: Resource { api_version, kind, metadata, mut spec }, templates } = documents;
    literal("apiVersion", api_version.as_deref(), API_VERSION, &mut problems);
    literal("kind", kind.as_deref(), KIND, &mut problems);
    written_hosts(&spec.routing, &mut problems);
    templates::of_file(&mut spec.analysis, metadata.namespace.as_deref(), templates, &mut problems);
    let prometheus = spec.analysis.prometheus.take();
    let mut release = release(metadata, spec, &mut problems);
    if release.approval.required > 1 {
        problems.add("spec.approval.required", release.approval.required, rule::APPROVERS_NEED_A_CLUSTER);
    }
    release.analysis.prometheus = analysis::prometheus(prometheus, &release.analysis, &mut problems);
    accepted::check(&release, &mut problems);
    problems.unless_any(release)
}

/// The same for an object of the cluster, which has its API server's word for what it is.
pub(super) fn check_in_cluster(
    object: &ReleaseObject,
    run: &str,
) -> Result<(Release, Delivery), ReleaseError> {
    let mut problems = Problems::default();
    let mut spec = object.spec.clone();
    spec.canary.version = Some(run.to_owned());
    let metadata =
        Metadata { name: object.metadata.name.clone(), namespace: object.metadata.namespace.clone() };
    let parts = delivery::Parts {
        namespace: object.metadata.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE),
        service: object.spec.service.name.as_deref().unwrap_or_default(),
        stable: &object.spec.stable,
        canary: &object.spec.canary,
        routing: &object.spec.routing,
        overrides: &object.spec.overrides,
        has_faults: !object.spec.faults.is_empty(),
        has_versions: !object.spec.versions.is_empty(),
        pod_template: &object.spec.pod_template,
        strategy: &object.spec.strategy,
        suspended: object.spec.suspend,
        prometheus: object.spec.analysis.prometheus.as_ref(),
        notifications: &object.spec.notifications,
        hooks: &object.spec.hooks,
    };
    let mut delivery = delivery::check(&parts, &mut problems);
    written_hosts(&spec.routing, &mut problems);
    // Callers inside the mesh use the service's own name, whatever the world calls it.
    if spec.routing.gateways.iter().any(|gateway| gateway == delivery::MESH)
        && let (Some(hosts), Some(service)) = (&mut spec.routing.hosts, &spec.service.name)
        && !hosts.is_empty()
    {
        let own_name = own_name(service, parts.namespace);
        if !hosts.contains(&own_name) {
            hosts.push(own_name);
        }
    }
    let release = release(metadata, spec, &mut problems);
    if release.analysis.needs_prometheus() {
        delivery.prometheus.get_or_insert_with(|| Named::Source(delivery::DEFAULT_SOURCE.to_owned()));
    }
    accepted::check(&release, &mut problems);
    problems.unless_any((release, delivery))
}

/// Before the service's own name is among them.
fn written_hosts(routing: &resource::Routing, problems: &mut Problems) {
    few("spec.routing.hosts", routing.hosts.iter().flatten().count(), rule::MAX_HOSTS, problems);
}

fn release(metadata: Metadata, spec: Spec, problems: &mut Problems) -> Release {
    let namespace = label(
        "metadata.namespace",
        metadata.namespace.or_else(|| Some(DEFAULT_NAMESPACE.to_owned())),
        problems,
    );
    let name = label("metadata.name", metadata.name, problems);
    let service_of = |version: &resource::Version| {
        let own = version.service.as_ref().map(|service| &service.name);
        own.or(spec.service.name.as_ref()).cloned().unwrap_or_default()
    };
    let (stable_service, canary_service) = (service_of(&spec.stable), service_of(&spec.canary));
    let run = named("spec.canary.version", spec.canary.version, &rule::VERSION, problems).unwrap_or_default();
    let service = service(spec.service, problems);
    let hosts = spec.routing.hosts.unwrap_or_else(|| vec![own_name(&service.name, &namespace)]);
    let preview_hosts = preview_hosts(&hosts, spec.routing.preview_hosts, problems);
    let hosts = [hosts, preview_hosts.clone()].concat();
    let sources = spec.session_affinity.sources;
    if sources.is_empty() {
        let hint = "give at least one place to look for a user's id, or leave it out for [{cookie: serin}]";
        problems.add("spec.sessionAffinity.sources", "[]", hint);
    }
    let stable_version = spec.stable.version.or_else(|| Some("stable".to_owned()));
    let stable_version =
        named("spec.stable.version", stable_version, &rule::VERSION, problems).unwrap_or_default();
    let whose = analysis::Whose {
        namespace: &namespace,
        stable_service: &stable_service,
        canary_service: &canary_service,
        stable: &stable_version,
        canary: &run,
    };
    let way_back = spec.strategy.canary.as_ref().map(|canary| canary.rollback.clone()).unwrap_or_default();
    let mirrored = mirror::found(&spec.strategy).map(|(path, found)| (path, found.clone()));
    let Course { steps, steps_by_traffic, blue_green } = course(spec.strategy, problems);
    let versions = versions::check(spec.versions, &steps, blue_green.is_some(), problems);
    let mut analysis = analysis::check(spec.analysis, &whose, &steps, problems);
    analysis.judged = u8::try_from(1 + versions.len()).unwrap_or(u8::MAX);
    let mirror = mirrored.map(|(path, found)| mirror::check(path, &found, &analysis, problems));
    let gradual = rollback::check(&way_back, &analysis, problems);
    let retries = spec.routing.rollback_retries.as_ref();
    let rollback_retries = retries.map(|retries| rollback::retries(retries, problems));
    let lease = lease(spec.on_agent_lost, spec.agent_lost_after, analysis.interval, problems);
    Release {
        name: format!("{namespace}/{name}"),
        run,
        stable_version,
        cookie: cookie(spec.session_affinity.cookie, &sources, problems),
        service,
        hosts,
        preview_hosts,
        path_prefix: spec.routing.path_prefix,
        sources,
        propagation: spec.session_affinity.propagation,
        overrides: overrides(spec.overrides, problems),
        versions,
        links: spec.links.map(|resource::Links { key, query }| LinkSpec { query, key }),
        segments: segments(spec.segments, problems),
        flags: flags(spec.flags, problems),
        faults: faults::check(spec.faults, problems),
        response_header: spec.response_header,
        access_log: spec.access_log,
        steps,
        steps_by_traffic,
        blue_green,
        approval: approval(spec.approval.unwrap_or_default(), problems),
        mirror,
        gradual,
        rollback_retries,
        windows: windows::check(spec.windows, problems),
        analysis,
        lease,
    }
}

/// For how long the canary may have users without a look of the agent, who looks once in every `interval`.
fn lease(
    on_lost: resource::OnAgentLost,
    after: Option<Scalar>,
    interval: Duration,
    problems: &mut Problems,
) -> Option<Duration> {
    let (path, after) = ("spec.agentLostAfter", after.unwrap_or_else(|| Scalar::from("15m")));
    let lease = span(path, &after, &rule::AGENT_LOST, problems);
    match on_lost {
        resource::OnAgentLost::Hold => None,
        resource::OnAgentLost::Stable => {
            if lease < interval * rule::LOOKS_UNTIL_LOST {
                problems.add(path, &after.0, rule::LOST_TOO_SOON);
            }
            Some(lease)
        }
    }
}

/// What a run goes through.
struct Course {
    steps: Vec<Step>,
    steps_by_traffic: bool,
    blue_green: Option<BlueGreen>,
}

fn course(strategy: resource::Strategy, problems: &mut Problems) -> Course {
    let resource::Strategy { canary, blue_green } = strategy;
    let Some(found) = blue_green else {
        let written = canary.and_then(|canary| canary.steps);
        let steps_by_traffic = written.is_none();
        let path = "spec.strategy.canary.steps";
        if written.as_ref().is_some_and(Vec::is_empty) {
            problems.add(path, "[]", "give at least one step, or leave it out for 1%, 5%, 10%, 25% and 50%");
        }
        let steps = steps::steps(path, written.unwrap_or_else(resource::Canary::default_steps), problems);
        return Course { steps, steps_by_traffic, blue_green: None };
    };
    if canary.is_some() {
        problems.add("spec.strategy.blueGreen", "beside canary", rule::ONE_STRATEGY);
    }
    let steps = steps::steps("spec.strategy.blueGreen.preSplit", found.pre_split, problems);
    let keep = span("spec.strategy.blueGreen.keep", &found.keep, &rule::KEEP, problems);
    let blue_green = BlueGreen { cutover: found.cutover, keep, cleanup: found.cleanup };
    Course { steps, steps_by_traffic: false, blue_green: Some(blue_green) }
}

fn approval(found: resource::Approval, problems: &mut Problems) -> Approval {
    let required = found.required.unwrap_or(1);
    if !(1..=rule::MAX_APPROVALS).contains(&required) {
        problems.add("spec.approval.required", required, format!("give 1 to {}", rule::MAX_APPROVALS));
    }
    if found.on_timeout.is_some() && found.timeout.is_none() {
        problems.add("spec.approval.onTimeout", "without a timeout", rule::NO_TIMEOUT);
    }
    let timeout = found.timeout.map(|time| span("spec.approval.timeout", &time, &rule::APPROVAL, problems));
    Approval { required, timeout, on_timeout: found.on_timeout.unwrap_or_default() }
}

/// The hosts for testers: none of those that users have.
fn preview_hosts(hosts: &[String], found: Vec<String>, problems: &mut Problems) -> Vec<String> {
    for (i, host) in found.iter().enumerate().filter(|(_, host)| hosts.contains(host)) {
        let path = format!("spec.routing.previewHosts[{i}]");
        problems.add(path, quoted(Some(host)), rule::PREVIEW_HOST);
    }
    found
}

/// What a service is called throughout its cluster.
fn own_name(service: &str, namespace: &str) -> String {
    format!("{service}.{namespace}.svc.cluster.local")
}

fn literal(path: &str, found: Option<&str>, wanted: &str, problems: &mut Problems) {
    if found != Some(wanted) {
        problems.add(path, quoted(found), format!("write {wanted}"));
    }
}

/// A DNS label: safe in host names, headers and metric labels alike.
fn label(path: &str, found: Option<String>, problems: &mut Problems) -> String {
    // Something sound to go on with, or the default host would be refused as well.
    named(path, found, &LABEL, problems).unwrap_or_else(|| "unknown".to_owned())
}

/// A text that must be there and must be as `rule` says.
fn named(path: &str, found: Option<String>, rule: &Text, problems: &mut Problems) -> Option<String> {
    let found = found.filter(|found| !found.is_empty());
    if found.as_ref().is_some_and(|found| rule.accepts(found)) {
        return found;
    }
    problems.add(path, quoted(found.as_deref()), rule.hint());
    None
}

/// Notes where a list has more than `most` entries.
fn few(path: &str, length: usize, most: usize, problems: &mut Problems) {
    if length > most {
        problems.add(path, format!("{length} of them"), at_most(most));
    }
}

fn service(resource: resource::Service, problems: &mut Problems) -> Service {
    if resource.port == Some(0) {
        problems.add("spec.service.port", 0, rule::PORT);
    }
    Service { name: label("spec.service.name", resource.name, problems), port: resource.port }
}

/// What Serin's cookie is called unless a Release says otherwise.
const COOKIE: &str = "serin";

fn cookie(
    resource: Option<resource::Cookie>,
    sources: &[Source],
    problems: &mut Problems,
) -> Option<CookieSpec> {
    let path = "spec.sessionAffinity.cookie";
    let asked_for = resource.is_some();
    let resource = resource.unwrap_or_default();
    let own = sources.contains(&Source::Cookie(COOKIE.to_owned())).then(|| COOKIE.to_owned());
    let Some(name) = resource.name.or(own) else {
        if asked_for {
            let hint = "add {cookie: serin} to spec.sessionAffinity.sources, or leave the cookie out";
            problems.add(path, "no cookie of Serin's is listed", hint);
        }
        return None;
    };
    let max_age = span(&format!("{path}.maxAge"), &resource.max_age, &rule::COOKIE_AGE, problems);
    Some(CookieSpec {
        name,
        max_age_seconds: u32::try_from(max_age.as_secs()).unwrap_or(CookieSpec::MAX_AGE_SECONDS),
        path: resource.path,
        domain: resource.domain,
        same_site: resource.same_site,
        http_only: resource.http_only,
        secure: resource.secure,
        issue: true,
        start: resource.start,
        on_cacheable: resource.on_cacheable,
    })
}

fn overrides(resources: Vec<resource::Override>, problems: &mut Problems) -> Vec<OverrideSpec> {
    let one = |(i, resource::Override { header, token_sha256 }): (usize, resource::Override)| {
        let path = format!("spec.overrides[{i}].tokenSha256");
        OverrideSpec { header, token_sha256: given(&path, token_sha256, rule::NO_TOKEN, problems) }
    };
    resources.into_iter().enumerate().map(one).collect()
}

/// What was given, if anything. A key with nothing behind it is not taken for one that was left out.
fn given<T>(path: &str, found: Given<T>, hint: &str, problems: &mut Problems) -> Option<T> {
    match found {
        Given::LeftOut => None,
        Given::Value(value) => Some(value),
        Given::Empty => {
            problems.add(path, "empty", hint);
            None
        }
    }
}

fn segments(resources: Vec<resource::Segment>, problems: &mut Problems) -> Vec<SegmentSpec> {
    let segment = |(i, resource): (usize, resource::Segment)| {
        let weight = percent(&format!("spec.segments[{i}].weight"), &resource.weight, problems).weight();
        SegmentSpec { name: resource.name, matches: resource.matches, weight, version: resource.version }
    };
    resources.into_iter().enumerate().map(segment).collect()
}

fn flags(resources: Vec<resource::Flag>, problems: &mut Problems) -> Vec<FlagSpec> {
    let flag = |(i, resource): (usize, resource::Flag)| {
        let weight = percent(&format!("spec.flags[{i}].percentage"), &resource.percentage, problems).weight();
        FlagSpec { name: resource.name, weight, matches: resource.matches }
    };
    resources.into_iter().enumerate().map(flag).collect()
}

fn percent(path: &str, found: &Scalar, problems: &mut Problems) -> Percent {
    Percent::parse(&found.0).unwrap_or_else(|hint| {
        problems.add(path, quoted(Some(&found.0)), hint);
        Percent::ZERO
    })
}

/// Reads a duration with these bounds.
fn span(path: &str, found: &Scalar, bounds: &Span, problems: &mut Problems) -> Duration {
    match duration::parse(&found.0) {
        Err(hint) => problems.add(path, quoted(Some(&found.0)), hint),
        Ok(duration) => match bounds.check(duration) {
            Ok(duration) => return duration,
            Err(hint) => problems.add(path, &found.0, hint),
        },
    }
    bounds.least()
}

/// A text in quotes, or the word for its absence.
fn quoted(found: Option<&str>) -> String {
    found.map_or_else(|| "missing".to_owned(), |found| format!("{found:?}"))
}
