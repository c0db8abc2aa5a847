/*!
From the words of a Release to one that makes sense, or to the list of everything that does not.

Each function here takes words, notes what is wrong with them and returns something to go on with; what it returns
after a problem was noted never leaves the room.
*/
mod analysis;
mod delivery;

use std::ops::RangeInclusive;
use std::time::Duration;

use serin_policy::cookie::CookieSpec;
use serin_policy::matching::{OverrideSpec, SegmentSpec};
use serin_policy::{Policy, Source, Weight};

use super::delivery::Delivery;
use super::problem::{Problems, ReleaseError};
use super::resource::{self, Metadata, Resource, Scalar, Spec};
use super::{Pause, Percent, Release, ReleaseObject, Service, Step, accepted, duration};

const API_VERSION: &str = "serin.dev/v1alpha1";
const KIND: &str = "Release";

pub(super) fn check(resource: Resource) -> Result<Release, ReleaseError> {
    let mut problems = Problems::default();
    let Resource { api_version, kind, metadata, spec } = resource;
    literal("apiVersion", api_version.as_deref(), API_VERSION, &mut problems);
    literal("kind", kind.as_deref(), KIND, &mut problems);
    let release = release(metadata, spec, &mut problems);
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
        namespace: object.metadata.namespace.as_deref().unwrap_or("default"),
        stable: &object.spec.stable,
        canary: &object.spec.canary,
        routing: &object.spec.routing,
        promotion: object.spec.strategy.canary.promotion.mode,
        scale_down_delay: &object.spec.strategy.canary.scale_down_delay,
        suspended: object.spec.suspend,
    };
    let delivery = delivery::check(&parts, &mut problems);
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
    accepted::check(&release, &mut problems);
    problems.unless_any((release, delivery))
}

fn release(metadata: Metadata, spec: Spec, problems: &mut Problems) -> Release {
    let namespace =
        label("metadata.namespace", metadata.namespace.or_else(|| Some("default".to_owned())), problems);
    let name = label("metadata.name", metadata.name, problems);
    let run = run(spec.canary.version, problems);
    let service = service(spec.service, problems);
    let hosts = spec.routing.hosts.unwrap_or_else(|| vec![own_name(&service.name, &namespace)]);
    let sources = spec.session_affinity.sources;
    if sources.is_empty() {
        let hint = "give at least one place to look for a user's id, or leave it out for [{cookie: serin}]";
        problems.add("spec.sessionAffinity.sources", "[]", hint);
    }
    let stable_version = spec.stable.version.unwrap_or_else(|| "stable".to_owned());
    let whose = analysis::Whose {
        namespace: &namespace,
        service: &service.name,
        stable: &stable_version,
        canary: &run,
    };
    let steps = steps(spec.strategy.canary.steps, problems);
    let analysis = analysis::check(spec.analysis, &whose, problems);
    Release {
        name: format!("{namespace}/{name}"),
        run,
        stable_version,
        cookie: cookie(spec.session_affinity.cookie, &sources, problems),
        service,
        hosts,
        path_prefix: spec.routing.path_prefix,
        sources,
        propagation: spec.session_affinity.propagation,
        overrides: spec
            .overrides
            .into_iter()
            .map(|resource::Override { header, token_sha256 }| OverrideSpec { header, token_sha256 })
            .collect(),
        segments: segments(spec.segments, problems),
        response_header: spec.response_header,
        steps,
        analysis,
    }
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
    let found = found.unwrap_or_default();
    let inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    let sound = (1..=63).contains(&found.len())
        && found.bytes().all(inner)
        && !found.starts_with('-')
        && !found.ends_with('-');
    if sound {
        return found;
    }
    let hint = "give a name of 1 to 63 lower-case letters, digits and -, with no - at its ends";
    problems.add(path, quoted(Some(found.as_str()).filter(|found| !found.is_empty())), hint);
    // Something sound to go on with, or the default host would be refused as well.
    "unknown".to_owned()
}

fn run(found: Option<String>, problems: &mut Problems) -> String {
    let found = found.unwrap_or_default();
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !(1..=63).contains(&found.len()) || !found.bytes().all(inner) {
        let hint = "name the new version in 1 to 63 letters, digits, ., _ and -, such as \"1.5.0\"";
        problems.add(
            "spec.canary.version",
            quoted(Some(found.as_str()).filter(|found| !found.is_empty())),
            hint,
        );
    }
    found
}

fn service(resource: resource::Service, problems: &mut Problems) -> Service {
    if resource.port == 0 {
        problems.add("spec.service.port", 0, "give the service's port, 1 to 65535");
    }
    Service { name: label("spec.service.name", resource.name, problems), port: resource.port }
}

fn cookie(
    resource: Option<resource::Cookie>,
    sources: &[Source],
    problems: &mut Problems,
) -> Option<CookieSpec> {
    let path = "spec.sessionAffinity.cookie";
    let asked_for = resource.is_some();
    let resource = resource.unwrap_or_default();
    let first = sources.iter().find_map(|source| match source {
        Source::Cookie(name) => Some(name.clone()),
        _ => None,
    });
    let Some(name) = resource.name.or(first) else {
        if asked_for {
            let hint = "add {cookie: serin} to spec.sessionAffinity.sources, or leave the cookie out";
            problems.add(path, "no cookie source is listed", hint);
        }
        return None;
    };
    if !sources.contains(&Source::Cookie(name.clone())) {
        let hint = format!(
            "add {{cookie: {name}}} to spec.sessionAffinity.sources, or nobody is recognised by the cookie"
        );
        problems.add(format!("{path}.name"), format!("{name:?}"), hint);
    }
    let bounds = Duration::from_secs(1)..=Duration::from_secs(CookieSpec::MAX_AGE_SECONDS.into());
    let max_age = span(&format!("{path}.maxAge"), &resource.max_age, bounds, "give 1s to 400d", problems);
    Some(CookieSpec {
        name,
        max_age_seconds: u32::try_from(max_age.as_secs()).unwrap_or(CookieSpec::MAX_AGE_SECONDS),
        path: resource.path,
        domain: resource.domain,
        same_site: resource.same_site,
        http_only: resource.http_only,
        secure: resource.secure,
    })
}

fn segments(resources: Vec<resource::Segment>, problems: &mut Problems) -> Vec<SegmentSpec> {
    let segment = |(i, resource): (usize, resource::Segment)| {
        let weight = percent(&format!("spec.segments[{i}].weight"), &resource.weight, problems).weight();
        SegmentSpec { name: resource.name, matches: resource.matches, weight }
    };
    resources.into_iter().enumerate().map(segment).collect()
}

fn steps(resources: Vec<resource::Step>, problems: &mut Problems) -> Vec<Step> {
    let path = "spec.strategy.canary.steps";
    if resources.is_empty() {
        problems.add(path, "[]", "give at least one step, or leave it out for 1%, 10%, 25% and 50%");
    }
    if resources.len() > Policy::MAX_STEPS {
        let hint = format!("give at most {}", Policy::MAX_STEPS);
        problems.add(path, format!("{} steps", resources.len()), hint);
    }
    let mut before = Weight::ZERO;
    let step = |(i, resource): (usize, resource::Step)| {
        let path = format!("{path}[{i}]");
        let weight = step_weight(&format!("{path}.setWeight"), &resource.set_weight, before, problems);
        before = weight.max(before);
        Step { weight, pause: pause(&format!("{path}.pause.duration"), resource.pause, problems) }
    };
    resources.into_iter().enumerate().map(step).collect()
}

fn step_weight(path: &str, found: &Scalar, before: Weight, problems: &mut Problems) -> Weight {
    match Percent::parse(&found.0).map(Percent::weight) {
        Err(hint) => problems.add(path, quoted(Some(&found.0)), hint),
        Ok(Weight::ZERO) => problems.add(path, Weight::ZERO, "give more than 0%: a step must reach somebody"),
        Ok(weight) if weight <= before => {
            problems.add(
                path,
                weight,
                format!("not above the step before it ({before}): list weights in rising order"),
            );
        }
        Ok(weight) => return weight,
    }
    before
}

fn pause(path: &str, found: Option<resource::Pause>, problems: &mut Problems) -> Pause {
    match found.map(|pause| pause.duration) {
        None => Pause::None,
        Some(None) => Pause::UntilApproved,
        Some(Some(duration)) => {
            let hint = "give more than 0s, or leave the pause out to go on as soon as the analysis passes";
            Pause::For(span(path, &duration, Duration::from_millis(1)..=Duration::MAX, hint, problems))
        }
    }
}

fn percent(path: &str, found: &Scalar, problems: &mut Problems) -> Percent {
    Percent::parse(&found.0).unwrap_or_else(|hint| {
        problems.add(path, quoted(Some(&found.0)), hint);
        Percent::ZERO
    })
}

/// Reads a duration; `hint` is for one out of `bounds`.
fn span(
    path: &str,
    found: &Scalar,
    bounds: RangeInclusive<Duration>,
    hint: &str,
    problems: &mut Problems,
) -> Duration {
    match duration::parse(&found.0) {
        Ok(duration) if bounds.contains(&duration) => return duration,
        Ok(_) => problems.add(path, &found.0, hint),
        Err(hint) => problems.add(path, quoted(Some(&found.0)), hint),
    }
    *bounds.start()
}

/// A text in quotes, or the word for its absence.
fn quoted(found: Option<&str>) -> String {
    found.map_or_else(|| "missing".to_owned(), |found| format!("{found:?}"))
}
