/*!
The part of a Release that says what the canary gets copies of.
*/
use serin_policy::Weight;
use serin_policy::marks::MarkSpec;
use serin_policy::rule::METHOD;

use super::{few, percent, quoted, span};
use crate::mirror::Mirror;
use crate::problem::Problems;
use crate::{Analysis, Metric, resource, rule};

/// Where it is written, if it is.
pub(super) fn found(strategy: &resource::Strategy) -> Option<(&'static str, &resource::Mirror)> {
    let of_canary = || strategy.canary.as_ref()?.mirror.as_ref();
    match &strategy.blue_green {
        Some(blue_green) => blue_green.mirror.as_ref().map(|it| ("spec.strategy.blueGreen.mirror", it)),
        None => of_canary().map(|it| ("spec.strategy.canary.mirror", it)),
    }
}

pub(super) fn check(
    path: &str,
    found: &resource::Mirror,
    analysis: &Analysis,
    problems: &mut Problems,
) -> Mirror {
    let resource::Mirror { percentage, duration, methods } = found;
    if analysis.criterion(Metric::RequestSuccessRate).is_none() {
        problems.add(path, "not judged", rule::mirror::IS_JUDGED);
    }
    let share = percent(&format!("{path}.percentage"), percentage, problems).weight();
    if share == Weight::ZERO {
        problems.add(format!("{path}.percentage"), &percentage.0, rule::mirror::SOME);
    }
    let of_methods = format!("{path}.methods");
    if methods.is_empty() {
        problems.add(&of_methods, "[]", rule::mirror::METHODS);
    }
    few(&of_methods, methods.len(), MarkSpec::MAX_MATCHES, problems);
    for (i, method) in methods.iter().enumerate().filter(|(_, method)| !METHOD.accepts(method)) {
        problems.add(format!("{of_methods}[{i}]"), quoted(Some(method)), METHOD.hint());
    }
    let duration = span(&format!("{path}.duration"), duration, &rule::mirror::DURATION, problems);
    Mirror { share, duration, methods: methods.clone() }
}
