/*!
The part of a Release that says how users of a bad canary go back.
*/
use serin_policy::Weight;
use serin_policy::retries::{RetriesSpec, are_conditions};

use super::{few, percent, quoted, span};
use crate::problem::Problems;
use crate::resource::{self, RollbackMode};
use crate::rollback::Gradual;
use crate::{Analysis, Metric, rule};

const PATH: &str = "spec.strategy.canary.rollback";

pub(super) fn check(
    found: &resource::Rollback,
    analysis: &Analysis,
    problems: &mut Problems,
) -> Option<Gradual> {
    let resource::Rollback { mode, steps, step_duration, metrics, grave_above } = found;
    let path = format!("{PATH}.steps");
    few(&path, steps.len(), rule::MAX_STEPS_BACK, problems);
    if steps.is_empty() {
        problems.add(&path, "[]", rule::STEPS_BACK);
    }
    let mut before = Weight::FULL;
    let weight = |(i, step)| {
        let path = format!("{path}[{i}]");
        let weight = percent(&path, step, problems).weight();
        if weight == Weight::ZERO || weight >= before {
            problems.add(&path, weight, rule::STEPS_BACK);
        }
        before = weight;
        weight
    };
    let weights = steps.iter().enumerate().map(weight).collect();
    let each = span(&format!("{PATH}.stepDuration"), step_duration, &rule::STEP_BACK, problems);
    let path = format!("{PATH}.metrics");
    few(&path, metrics.len(), rule::MAX_METRICS, problems);
    if metrics.is_empty() {
        problems.add(&path, "[]", rule::GENTLE_METRIC);
    }
    for (i, name) in metrics.iter().enumerate() {
        let is_own = || analysis.custom.iter().any(|metric| metric.name == *name);
        let is_gentle = match Metric::named(name) {
            Some(Metric::RequestDuration | Metric::LatencyTail) => true,
            Some(_) => false,
            None => is_own(),
        };
        if !is_gentle {
            problems.add(format!("{path}[{i}]"), quoted(Some(name)), rule::GENTLE_METRIC);
        }
    }
    let grave_above = percent(&format!("{PATH}.graveAbove"), grave_above, problems);
    let gradual = Gradual { weights, each, metrics: metrics.clone(), grave_above };
    (*mode == RollbackMode::Gradual).then_some(gradual)
}

/// How requests are tried again meanwhile.
pub(super) fn retries(found: &resource::RollbackRetries, problems: &mut Problems) -> RetriesSpec {
    const PATH: &str = "spec.routing.rollbackRetries";
    let resource::RollbackRetries { attempts, per_try_timeout, retry_on, duration } = found;
    if !(1..=RetriesSpec::MAX_ATTEMPTS).contains(attempts) {
        problems.add(format!("{PATH}.attempts"), attempts, RetriesSpec::ATTEMPTS);
    }
    if !are_conditions(retry_on) {
        problems.add(format!("{PATH}.retryOn"), quoted(Some(retry_on)), RetriesSpec::CONDITION);
    }
    let per_try = per_try_timeout
        .as_ref()
        .map(|timeout| span(&format!("{PATH}.perTryTimeout"), timeout, &rule::PER_TRY, problems));
    let duration = span(&format!("{PATH}.duration"), duration, &rule::RETRY_FOR, problems);
    RetriesSpec {
        attempts: *attempts,
        retry_on: retry_on.clone(),
        per_try_timeout_ms: per_try.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
        seconds: u32::try_from(duration.as_secs()).unwrap_or(u32::MAX),
    }
}
