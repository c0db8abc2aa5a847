/*!
Versions beside stable and canary.
*/
use serin_policy::lanes::{Obstacle, first_without_room};
use serin_policy::{Arm, Extra, Weight};

use super::{LABEL, Problems, few, named, percent, quoted};
use crate::rule::{VERSION, versions as rule};
use crate::{ExtraVersion, Step, resource};

pub(super) fn check(
    resources: Vec<resource::ExtraVersion>,
    steps: &[Step],
    is_blue_green: bool,
    problems: &mut Problems,
) -> Vec<ExtraVersion> {
    const PATH: &str = "spec.versions";
    few(PATH, resources.len(), Extra::MOST, problems);
    if is_blue_green && !resources.is_empty() {
        problems.add(PATH, "beside blueGreen", rule::NOT_BESIDE_BLUE_GREEN);
    }
    let mut versions: Vec<ExtraVersion> = Vec::new();
    for (i, found) in resources.into_iter().enumerate() {
        let path = format!("{PATH}[{i}]");
        let name = named(&format!("{path}.name"), found.name, &LABEL, problems).unwrap_or_default();
        let is_taken = versions.iter().any(|earlier| earlier.name == name);
        if is_taken || Arm::BOTH.iter().any(|arm| arm.as_str() == name) {
            problems.add(format!("{path}.name"), quoted(Some(&name)), rule::OTHER_NAME);
        }
        let version = found
            .version
            .and_then(|version| named(&format!("{path}.version"), Some(version), &VERSION, problems));
        let share = percent(&format!("{path}.share"), &found.share, problems).weight();
        versions.push(ExtraVersion { name, version, share });
    }
    if !is_blue_green {
        have_room(&versions, steps, problems);
    }
    versions
}

/// Nobody is to be in two lanes, or in one and among the canary's.
fn have_room(versions: &[ExtraVersion], steps: &[Step], problems: &mut Problems) {
    let shares: Vec<_> = versions.iter().map(|version| version.share).collect();
    if let Some((extra, obstacle)) = first_without_room(Weight::ZERO, &shares) {
        let index = extra.index();
        let hint = match obstacle {
            Obstacle::Lane(other) => {
                let other = versions.get(other.index()).map_or("", |version| &version.name);
                format!("give less, or give {other} less: {}", rule::ROOM)
            }
            Obstacle::Canary | Obstacle::End => format!("give less: {}", rule::ROOM),
        };
        let share = shares.get(index).copied().unwrap_or_default();
        problems.add(format!("spec.versions[{index}].share"), share, hint);
        return;
    }
    // Everybody are all who are in no lane.
    for (i, step) in steps.iter().enumerate().filter(|(_, step)| step.weight < Weight::FULL) {
        if let Some((extra, _)) = first_without_room(step.weight, &shares) {
            let name = versions.get(extra.index()).map_or("", |version| &version.name);
            let hint = format!(
                "give less, or 100 for all who are on no other version, or give {name} less: {}",
                rule::ROOM
            );
            problems.add(format!("spec.strategy.canary.steps[{i}].setWeight"), step.weight, hint);
            return;
        }
    }
}
