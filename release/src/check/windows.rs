/*!
From words to the times at which users are moved.
*/
use jiff::tz::TimeZone;
use serin_policy::rule::LABEL;

use super::{few, named, quoted, span};
use crate::problem::{Problem, Problems};
use crate::window::{Schedule, Window};
use crate::{resource, rule};

/// A window of the agent's own configuration, where the words stand at `path`.
///
/// # Errors
/// With everything that is wrong.
pub fn window(path: &str, words: resource::Window) -> Result<Window, Vec<Problem>> {
    let mut problems = Problems::default();
    match one(path, words, &mut problems) {
        Some(sound) if problems.is_empty() => Ok(sound),
        _ => Err(problems.into_list()),
    }
}

/// Those of a Release.
pub(super) fn check(words: Vec<resource::Window>, problems: &mut Problems) -> Vec<Window> {
    const PATH: &str = "spec.windows";
    few(PATH, words.len(), rule::MAX_WINDOWS, problems);
    let mut sound: Vec<Window> = Vec::new();
    for (i, words) in words.into_iter().enumerate() {
        if sound.iter().any(|other| other.name == words.name) {
            problems.add(PATH, quoted(Some(&words.name)), rule::OTHER_WINDOW);
        }
        sound.extend(one(&format!("{PATH}[{i}]"), words, problems));
    }
    sound
}

fn one(path: &str, words: resource::Window, problems: &mut Problems) -> Option<Window> {
    let resource::Window { name, kind, schedule, duration, time_zone } = words;
    let at = |field: &str| format!("{path}.{field}");
    let name = named(&at("name"), Some(name), &LABEL, problems);
    let duration = span(&at("duration"), &duration, &rule::WINDOW, problems);
    let zone = named(&at("timeZone"), Some(time_zone), &rule::TIME_ZONE, problems)?;
    if TimeZone::get(&zone).is_err() {
        problems.add(at("timeZone"), quoted(Some(&zone)), rule::TIME_ZONE.hint());
        return None;
    }
    let schedule = named(&at("schedule"), Some(schedule), &rule::CRON, problems)?;
    match Schedule::parse(&schedule, &zone) {
        Ok(schedule) => {
            let (is_operators, may_be_overridden) = (false, true);
            Some(Window { name: name?, kind, schedule, duration, is_operators, may_be_overridden })
        }
        Err(why) => {
            let hint = format!("{why}: {}", rule::CRON.hint());
            problems.add(at("schedule"), quoted(Some(&schedule)), hint);
            None
        }
    }
}
