/*!
What keeps a Deployment from having the pods it is to have, in the words of whoever is to mend it.
*/
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;

use super::pods::{KnownPod, Pods};

/// For how long a pod may take to get ready before anybody hears of it.
const PATIENCE: SignedDuration = SignedDuration::from_secs(10);

/// A container that was started again so often is told of.
const RESTARTS: i32 = 3;

/// What is in the way of a Deployment: what keeps it from making pods; the first container that waits for something that
/// does not come by itself; or else the first pod that has run for long enough and is still not ready.
pub(super) fn trouble(pods: &Pods, namespace: &str, deployment: &Deployment) -> Option<String> {
    makes_none(deployment).or_else(|| of_pods(pods, namespace, deployment))
}

/// Why no pods are made: a quota or an admission plugin is against it, or the Deployment stands still.
fn makes_none(deployment: &Deployment) -> Option<String> {
    let conditions =
        deployment.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let refused = conditions.iter().find(|it| it.type_ == "ReplicaFailure" && it.status == "True");
    if let Some(refused) = refused {
        let why = refused.message.as_deref().or(refused.reason.as_deref()).unwrap_or_default();
        return Some(format!("no pods can be made: {why}"));
    }
    let name = deployment.name_any();
    let is_paused = deployment.spec.as_ref()?.paused == Some(true);
    is_paused.then(|| format!("Deployment {name} is paused: kubectl rollout resume deployment/{name}"))
}

fn of_pods(pods: &Pods, namespace: &str, deployment: &Deployment) -> Option<String> {
    let selector = deployment.spec.as_ref()?.selector.match_labels.as_ref()?;
    let mut own = pods.with(selector);
    // One that ends says nothing of the version that is wanted.
    own.retain(|pod| pod.namespace == namespace && !pod.ends);
    let found = own.iter().find_map(|pod| Some((pod, waits(pod)?)));
    let (pod, what) = found.or_else(|| own.iter().find_map(|pod| Some((pod, lingers(pod)?))))?;
    Some(format!("pod {} {what}", pod.name))
}

/// A container that waits, and for what; or that ends again and again.
fn waits(pod: &KnownPod) -> Option<String> {
    let usual = ["ContainerCreating", "PodInitializing"];
    if let Some((reason, message)) = pod.waiting.iter().find(|(reason, _)| !usual.contains(&&**reason)) {
        let message = message.as_deref().filter(|message| !message.is_empty());
        let message = message.map_or_else(String::new, |message| format!(": {message}"));
        return Some(format!("has {reason}{message}"));
    }
    let (times, why) = pod.restarted.as_ref().filter(|(times, _)| *times >= RESTARTS)?;
    let is_ready = pod.unmet.iter().all(|condition| condition.type_ != "Ready");
    (!is_ready).then(|| format!("was started again {times} times: {why}"))
}

/// A pod that nobody would put on a node, or that runs and does not get ready.
fn lingers(pod: &KnownPod) -> Option<String> {
    let missing = |kind: &str| {
        let found = pod.unmet.iter().find(|condition| condition.type_ == kind)?;
        let since = found.last_transition_time.as_ref()?.0;
        (Timestamp::now().duration_since(since) > PATIENCE).then_some(found)
    };
    let (what, condition) = missing("PodScheduled")
        .map(|condition| ("has no node", condition))
        .or_else(|| Some(("is not ready", missing("Ready")?)))?;
    let why = condition.message.as_deref().or(condition.reason.as_deref()).unwrap_or_default();
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    Some(format!("{what}{why}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of_deployment(spec: &Value, status: &Value) -> Option<String> {
        let mut deployment = json!({"metadata": {"name": "shop"}, "spec": {"selector": {}, "template": {}}});
        deployment["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        deployment["status"] = status.clone();
        makes_none(&serde_json::from_value(deployment).unwrap())
    }

    fn of_pod(status: &Value) -> Option<String> {
        let pod = json!({"metadata": {"name": "shop-1"}, "status": status});
        let pod = KnownPod::from(&serde_json::from_value(pod).unwrap());
        waits(&pod).or_else(|| lingers(&pod))
    }

    #[test]
    fn what_keeps_a_deployment_from_making_pods_is_named() {
        let refused = json!({"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small"}]});
        for (spec, status, expected) in [
            (json!({}), json!({}), None),
            (json!({}), refused, Some("no pods can be made: exceeded quota: small")),
            (
                json!({"paused": true}),
                json!({}),
                Some("Deployment shop is paused: kubectl rollout resume deployment/shop"),
            ),
        ] {
            assert_eq!(of_deployment(&spec, &status).as_deref(), expected);
        }
    }

    #[test]
    fn what_a_pod_waits_for_is_named() {
        let container = |state: Value, restarts: i32| {
            let last = json!({"terminated": {"exitCode": 2, "reason": "Error"}});
            json!({"name": "shop", "image": "", "imageID": "", "ready": false, "restartCount": restarts, "state": state, "lastState": last})
        };
        let waiting = |reason: &str| json!({"waiting": {"reason": reason, "message": "so it is"}});
        let (runs, unready) = (json!({"running": {}}), json!([{"type": "Ready", "status": "False"}]));
        for (status, expected) in [
            (json!({"containerStatuses": [container(waiting("ContainerCreating"), 0)]}), None),
            (
                json!({
                    "containerStatuses": [container(waiting("PodInitializing"), 0)],
                    "initContainerStatuses": [container(waiting("CrashLoopBackOff"), 4)],
                }),
                Some("has CrashLoopBackOff: so it is"),
            ),
            (
                json!({"containerStatuses": [container(runs.clone(), 3)], "conditions": unready}),
                Some("was started again 3 times: Error, exit code 2"),
            ),
            (json!({"containerStatuses": [container(runs.clone(), 2)], "conditions": unready}), None),
            (json!({"containerStatuses": [container(runs, 3)]}), None),
        ] {
            assert_eq!(of_pod(&status).as_deref(), expected, "{status}");
        }
    }
}
