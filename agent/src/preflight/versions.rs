/*!
The two versions' pods: whether anybody is there to take the requests, and whether they have sidecars where that is
needed.
*/
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::Value;
use serin_policy::Arm;

use super::{Findings, Severity, Subject, Version};
use serin_release::delivery::Target;

/// The label, and once the annotation, by which pods refuse a sidecar.
const INJECT: &str = "sidecar.istio.io/inject";

/// For how long stable is available before anybody is sent to it by Serin's routes: proxies hear of its pods a moment later,
/// by a way of their own, and those who had routes to other pods before would get 503. A time to come says that the API
/// server's clock is another, and nothing more.
const HEARD_OF: SignedDuration = SignedDuration::from_secs(5);

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    let [stable, canary] = subject.versions();
    if !subject.taken_over {
        check_ready(&stable, &canary, subject.now, found);
    }
    for (version, other) in [(&stable, &canary), (&canary, &stable)] {
        check_sidecar(subject, version, other, found);
    }
}

/// Once the routes are there, everybody goes to stable.
fn check_ready(stable: &Version<'_>, canary: &Version<'_>, now: Timestamp, found: &mut Findings) {
    let Some(deployment) = stable.deployment else { return };
    let status = deployment.status.as_ref();
    let ready = ready(stable);
    if is_at_zero(deployment) && ready == 0 && self::ready(canary) == 0 {
        // Nobody is served, and is not to be: there is nothing to lose.
        return;
    }
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let available = conditions.iter().find(|condition| condition.type_ == "Available");
    let at = format!("Deployment {}", stable.target.deployment);
    if ready == 0 {
        // Kubernetes says so of pods that are on their way, and how long it waits for them.
        let is_coming = conditions.iter().any(|condition| {
            condition.type_ == "Progressing"
                && condition.status == "True"
                && condition.reason.as_deref() != Some("NewReplicaSetAvailable")
        });
        found.add(
            if is_coming { Severity::Passing } else { Severity::Error },
            at,
            "no pod of it is ready, and all users would be sent there",
            "wait until one is, or name the Deployment that serves now in spec.stable.targetRef",
        );
    } else if available.is_some_and(|available| available.status != "True") {
        found.error(
            at,
            format!("it is not available with {ready} ready pods, and all users would be sent there"),
            "wait until it is, or scale it up",
        );
    } else if let Some(Time(since)) = available.and_then(|available| available.last_transition_time.as_ref())
        && (SignedDuration::ZERO..HEARD_OF).contains(&now.duration_since(*since))
    {
        let seconds = HEARD_OF.as_secs();
        found.add(
            Severity::Passing,
            at,
            format!("it has not been available for {seconds} s"),
            "wait until every proxy has heard of its pods",
        );
    }
}

fn ready(version: &Version<'_>) -> i32 {
    let status = version.deployment.and_then(|deployment| deployment.status.as_ref());
    status.and_then(|status| status.ready_replicas).unwrap_or_default()
}

fn is_at_zero(deployment: &Deployment) -> bool {
    deployment.spec.as_ref().and_then(|spec| spec.replicas) == Some(0)
}

fn check_sidecar(subject: &Subject<'_>, version: &Version<'_>, other: &Version<'_>, found: &mut Findings) {
    if !refuses_sidecar(version) {
        return;
    }
    let at = format!("Deployment {}", version.target.deployment);
    if asks_for_mtls(version.target, subject.delivery.routing.traffic_policy.as_ref()) {
        found.error(
            at,
            format!("its pods refuse a sidecar ({INJECT}), and the trafficPolicy has callers speak mTLS to them"),
            "let them have one, or take tls.mode: ISTIO_MUTUAL out of the trafficPolicy: Istio finds out by itself where mTLS \
             is spoken",
        );
    } else if version.arm == Arm::Canary && !refuses_sidecar(other) {
        found.warning(
            at,
            format!(
                "its pods refuse a sidecar ({INJECT}), and those of {} do not: what a sidecar does to requests would be \
                 taken for the version's doing",
                other.target.deployment
            ),
            "let both have one, or neither",
        );
    }
}

fn refuses_sidecar(version: &Version<'_>) -> bool {
    let template = version.deployment.and_then(|deployment| Some(&deployment.spec.as_ref()?.template));
    let Some(metadata) = template.and_then(|template| template.metadata.as_ref()) else { return false };
    let says =
        [&metadata.labels, &metadata.annotations].into_iter().flatten().find_map(|map| map.get(INJECT));
    says.is_some_and(|says| says == "false")
}

fn asks_for_mtls(target: &Target, of_both: Option<&Value>) -> bool {
    let mode = |policy: &Value| policy.pointer("/tls/mode").and_then(Value::as_str) == Some("ISTIO_MUTUAL");
    // Istio takes each part of a trafficPolicy from the subset first.
    [target.traffic_policy.as_ref(), of_both]
        .into_iter()
        .flatten()
        .find(|one| one.get("tls").is_some())
        .is_some_and(mode)
}
