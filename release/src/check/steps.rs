/*!
The steps of a Release: which share each gives, and how long it lasts.
*/
use serin_policy::{Policy, Weight};

use super::{few, given, quoted, span};
use crate::problem::Problems;
use crate::resource::{self, Given, Scalar};
use crate::{Pause, Percent, Step, rule};

pub(super) fn steps(path: &str, resources: Vec<resource::Step>, problems: &mut Problems) -> Vec<Step> {
    few(path, resources.len(), Policy::MAX_STEPS, problems);
    let mut before = Weight::ZERO;
    let step = |(i, resource): (usize, resource::Step)| {
        let path = format!("{path}[{i}]");
        let weight = step_weight(&format!("{path}.setWeight"), &resource.set_weight, before, problems);
        before = weight.max(before);
        Step { weight, pause: pause(&format!("{path}.pause"), resource.pause, problems) }
    };
    resources.into_iter().enumerate().map(step).collect()
}

fn step_weight(path: &str, found: &Scalar, before: Weight, problems: &mut Problems) -> Weight {
    match Percent::parse(&found.0).map(Percent::weight) {
        Err(hint) => problems.add(path, quoted(Some(&found.0)), hint),
        Ok(Weight::ZERO) => problems.add(path, Weight::ZERO, rule::STEP),
        Ok(weight) if weight <= before => problems.add(path, weight, Policy::RISING),
        Ok(weight) => return weight,
    }
    before
}

fn pause(path: &str, found: Given<resource::Pause>, problems: &mut Problems) -> Pause {
    let Some(resource::Pause { duration }) = given(path, found, rule::NO_PAUSE, problems) else {
        return Pause::None;
    };
    let path = format!("{path}.duration");
    match given(&path, duration, rule::NO_DURATION, problems) {
        None => Pause::UntilApproved,
        Some(duration) => Pause::For(span(&path, &duration, &rule::PAUSE, problems)),
    }
}
