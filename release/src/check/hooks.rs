/*!
From words to those who are asked at points of a run.
*/
use serin_policy::rule::LABEL;

use super::delivery::Parts;
use super::{few, hook_checks, hook_kinds, named, quoted, span};
use crate::hook::{Asked, Hook};
use crate::problem::Problems;
use crate::resource::When;
use crate::{resource, rule};

pub(super) fn check(parts: &Parts<'_>, problems: &mut Problems) -> Vec<Hook> {
    const PATH: &str = "spec.hooks";
    let words = parts.hooks;
    few(PATH, words.len(), rule::hook::MAX_HOOKS, problems);
    let mut sound: Vec<Hook> = Vec::new();
    for (i, words) in words.iter().enumerate() {
        let at = |field: &str| format!("{PATH}[{i}].{field}");
        let resource::Hook { name, when, timeout, interval, retries, failure, .. } = words.clone();
        if sound.iter().any(|other| other.name == name) {
            problems.add(PATH, quoted(Some(&name)), rule::hook::OTHER_HOOK);
        }
        if retries > rule::hook::MAX_RETRIES {
            problems.add(at("retries"), retries, format!("give 0 to {}", rule::hook::MAX_RETRIES));
        }
        if failure.is_some() && !when.is_test() {
            problems.add(at("failure"), format!("of {}", when.as_str()), rule::hook::FAILURE_OF_TESTS);
        }
        sound.push(Hook {
            name: named(&at("name"), Some(name), &LABEL, problems).unwrap_or_default(),
            when,
            asked: asked(&at, words.clone(), parts, problems),
            timeout: span(&at("timeout"), &timeout, &rule::hook::HOOK_TIMEOUT, problems),
            interval: span(&at("interval"), &interval, &rule::READING, problems),
            retries,
            failure: failure.unwrap_or_default(),
        });
    }
    sound
}

/// Who is asked, and how.
fn asked(
    at: &impl Fn(&str) -> String,
    words: resource::Hook,
    parts: &Parts<'_>,
    problems: &mut Problems,
) -> Asked {
    let resource::Hook { url, checks, job, load, metadata, when, .. } = words;
    if !metadata.is_empty() && url.is_none() {
        problems.add(at("metadata"), "without a url", rule::hook::METADATA_OF_URL);
    }
    match (url, checks, job, load) {
        (Some(url), None, None, None) => {
            if !rule::is_address(&url) {
                problems.add(at("url"), quoted(Some(&url)), rule::ADDRESS);
            }
            few(&at("metadata"), metadata.len(), rule::hook::MAX_METADATA, problems);
            Asked::Url { url, metadata }
        }
        (None, Some(checks), None, None) => {
            if !when.has_pods() {
                problems.add(at("when"), when.as_str(), rule::hook::CHECKS_NEED_PODS);
            }
            Asked::Checks(hook_checks::check(&at("checks"), checks, parts, problems))
        }
        (None, None, Some(job), None) => {
            if when == When::Rollback {
                problems.add(at("when"), when.as_str(), rule::hook::JOB_IS_NO_ALARM);
            }
            Asked::Job(hook_kinds::job(&at("job"), job, problems))
        }
        (None, None, None, Some(load)) => {
            if when != When::PreRollout {
                problems.add(at("when"), when.as_str(), rule::hook::LOAD_IS_BEFORE);
            }
            Asked::Load(Box::new(hook_kinds::load(&at("load"), load, parts, problems)))
        }
        (url, checks, job, load) => {
            let given = [url.is_some(), checks.is_some(), job.is_some(), load.is_some()];
            let value = if given.contains(&true) { "beside another" } else { "missing" };
            problems.add(at("url"), value, rule::hook::ONE_KIND);
            Asked::Checks(Vec::new())
        }
    }
}
