/*!
From words to the Jobs that hooks have made, and to the load.
*/
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::Value;

use super::delivery::Parts;
use super::{hook_checks, percent, quoted, span};
use crate::hook::{Job, Load};
use crate::problem::Problems;
use crate::resource::{self, HookJob, HookLoad};
use crate::rule::{hook, request};

pub(super) fn job(path: &str, words: HookJob, problems: &mut Problems) -> Job {
    let HookJob { template, timeout } = words;
    let at = |field: &str| format!("{path}.template.{field}");
    let spec = serde_json::from_value::<PodTemplateSpec>(template.clone()).ok().and_then(|it| it.spec);
    if spec.as_ref().is_none_or(|spec| spec.containers.is_empty()) {
        problems.add(format!("{path}.template"), "without a container", hook::JOB_TEMPLATE);
    }
    // The older name counts as well.
    for field in ["serviceAccountName", "serviceAccount"] {
        match &template["spec"][field] {
            Value::Null => {}
            Value::String(name) if name == "default" => {}
            other => problems.add(at(&format!("spec.{field}")), other, hook::JOB_ACCOUNT),
        }
    }
    let restarts = spec.and_then(|spec| spec.restart_policy).filter(|policy| policy != "Never");
    if let Some(policy) = restarts {
        problems.add(at("spec.restartPolicy"), quoted(Some(&policy)), hook::JOB_RESTARTS);
    }
    Job { template, timeout: span(&format!("{path}.timeout"), &timeout, &hook::JOB_TIMEOUT, problems) }
}

pub(super) fn load(path: &str, words: HookLoad, parts: &Parts<'_>, problems: &mut Problems) -> Load {
    let HookLoad { path: target, rate, duration, through, headers, secret_ref, max_failures, max_latency } =
        words;
    let at = |field: &str| format!("{path}.{field}");
    if !(1..=hook::MAX_RATE).contains(&rate) {
        problems.add(at("rate"), rate, format!("give 1 to {}", hook::MAX_RATE));
    }
    let request = resource::Check {
        path: target,
        through,
        method: "GET".to_owned(),
        headers,
        secret_ref,
        status: 200,
        header: None,
        json_pointer: None,
        max_latency: None,
        repeat: 1,
    };
    Load {
        request: hook_checks::one(path, request, parts, problems),
        rate,
        duration: span(&at("duration"), &duration, &hook::LOAD, problems),
        max_failures: percent(&at("maxFailures"), &max_failures, problems),
        max_latency: max_latency
            .map(|found| span(&at("maxLatency"), &found, &request::MAX_LATENCY, problems)),
    }
}
