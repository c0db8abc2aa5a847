/*!
From words to those who are asked at points of a run.
*/
use serin_policy::rule::LABEL;

use super::{few, named, quoted, span};
use crate::hook::Hook;
use crate::problem::Problems;
use crate::{resource, rule};

pub(super) fn check(words: &[resource::Hook], problems: &mut Problems) -> Vec<Hook> {
    const PATH: &str = "spec.hooks";
    few(PATH, words.len(), rule::MAX_HOOKS, problems);
    let mut sound: Vec<Hook> = Vec::new();
    for (i, words) in words.iter().enumerate() {
        let at = |field: &str| format!("{PATH}[{i}].{field}");
        let resource::Hook { name, when, url, timeout, interval, retries, failure, metadata } = words.clone();
        if sound.iter().any(|other| other.name == name) {
            problems.add(PATH, quoted(Some(&name)), rule::OTHER_HOOK);
        }
        if !rule::is_address(&url) {
            problems.add(at("url"), quoted(Some(&url)), rule::ADDRESS);
        }
        if retries > rule::MAX_RETRIES {
            problems.add(at("retries"), retries, format!("give 0 to {}", rule::MAX_RETRIES));
        }
        if failure.is_some() && !when.is_test() {
            problems.add(at("failure"), format!("of {}", when.as_str()), rule::FAILURE_OF_TESTS);
        }
        few(&at("metadata"), metadata.len(), rule::MAX_METADATA, problems);
        sound.push(Hook {
            name: named(&at("name"), Some(name), &LABEL, problems).unwrap_or_default(),
            when,
            url,
            timeout: span(&at("timeout"), &timeout, &rule::HOOK_TIMEOUT, problems),
            interval: span(&at("interval"), &interval, &rule::READING, problems),
            retries,
            failure: failure.unwrap_or_default(),
            metadata,
        });
    }
    sound
}
