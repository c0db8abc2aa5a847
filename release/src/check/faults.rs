/*!
Faults that are injected on purpose.
*/
use std::time::Duration;

use jiff::Timestamp;
use serin_policy::Weight;

use super::{Problems, few, percent, quoted, span};
use crate::faults::{Abort, Fault, Share};
use crate::{resource, rule};

pub(super) fn check(resources: Vec<resource::Fault>, problems: &mut Problems) -> Vec<Fault> {
    few("spec.faults", resources.len(), rule::MAX_FAULTS, problems);
    resources
        .into_iter()
        .enumerate()
        .map(|(i, fault)| one(&format!("spec.faults[{i}]"), fault, problems))
        .collect()
}

fn one(path: &str, resource: resource::Fault, problems: &mut Problems) -> Fault {
    let resource::Fault { version, matches, delay, abort, until } = resource;
    if delay.is_none() && abort.is_none() {
        problems.add(format!("{path}.delay"), "missing", rule::NO_FAULT);
    }
    let delay = delay.map(|found| of_delay(&format!("{path}.delay"), &found, problems));
    let abort = abort.map(|found| of_abort(&format!("{path}.abort"), &found, problems));
    if let (Some(delay), Some(abort)) = (&delay, &abort)
        && delay.of.ppm() + abort.of.ppm() > Weight::FULL.ppm()
    {
        problems.add(format!("{path}.abort.percentage"), abort.of, rule::MORE_THAN_ALL);
    }
    let until = until.parse().unwrap_or_else(|_| {
        problems.add(format!("{path}.until"), quoted(Some(&until)), rule::UNTIL);
        Timestamp::UNIX_EPOCH
    });
    Fault { arm: version.into(), matches, delay, abort, until }
}

fn of_delay(path: &str, found: &resource::FaultDelay, problems: &mut Problems) -> Share<Duration> {
    Share {
        of: percent(&format!("{path}.percentage"), &found.percentage, problems).weight(),
        what: span(&format!("{path}.fixedDelay"), &found.fixed_delay, &rule::FIXED_DELAY, problems),
    }
}

fn of_abort(path: &str, found: &resource::FaultAbort, problems: &mut Problems) -> Share<Abort> {
    let what = match (found.http_status, found.grpc_status) {
        (Some(status), None) => {
            if !rule::ABORT_STATUS.contains(&status) {
                problems.add(format!("{path}.httpStatus"), status, rule::NO_STATUS);
            }
            Abort::Http(status)
        }
        (None, Some(status)) => Abort::Grpc(status),
        (http, _) => {
            let value = if http.is_some() { "beside grpcStatus" } else { "missing" };
            problems.add(format!("{path}.httpStatus"), value, rule::ONE_ABORT);
            Abort::Http(*rule::ABORT_STATUS.end())
        }
    };
    Share { of: percent(&format!("{path}.percentage"), &found.percentage, problems).weight(), what }
}
