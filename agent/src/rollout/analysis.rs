/*!
The judge: is the canary good enough, on the evidence of this step?

The judge of today holds the latest requests to the canary against plain limits. It sits behind
[`Evidence::judge`] and [`Verdict`]: the planner knows nothing of how a verdict comes about, so another judge can
take the seat.
*/
use std::fmt;

use serde::{Deserialize, Serialize};

use super::observation::{ArmCounts, Counts};
use crate::release::{Limits, Percent};

/// What the judge makes of the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Enough was seen and it is good.
    Pass,
    /// The canary breaks a limit, or is certain to.
    Fail(Failure),
    /// Nothing bad, but not enough was seen.
    NotYet {
        /// Requests to the canary so far.
        have: u64,
        /// Requests it takes.
        need: u64,
    },
}

/// A limit the canary broke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What was judged.
    pub metric: Metric,
    /// Bad requests seen.
    pub bad: u64,
    /// All requests seen.
    pub of: u64,
    /// The largest share that may be bad.
    pub allowed: Percent,
}

/// What is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Requests that do not fail.
    RequestSuccessRate,
    /// Requests that take no longer than the objective.
    RequestDuration,
}

/// The latest requests to the canary: as few as make up a verdict, and none from before the step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Evidence {
    /// Counts of consecutive ticks, oldest first.
    spans: Vec<ArmCounts>,
}

impl Evidence {
    /// Spans a window is made of. The status is saved after every tick, so a slow trickle of requests must not
    /// fill it with thousands of them.
    const SPANS: u64 = 50;

    /// Takes in what is new and judges all there is.
    pub(super) fn judge(&mut self, new: &Counts, limits: &Limits) -> Verdict {
        let grain = limits.min_requests.div_ceil(Self::SPANS);
        match self.spans.last_mut() {
            Some(last) if last.requests < grain => last.add(new.canary),
            _ => self.spans.push(new.canary),
        }
        let mut requests = self.requests();
        while let Some(oldest) = self.spans.first()
            && requests - oldest.requests >= limits.min_requests
        {
            requests -= oldest.requests;
            self.spans.remove(0);
        }
        self.verdict(limits)
    }

    /// The verdict on what was taken in.
    pub(super) fn verdict(&self, limits: &Limits) -> Verdict {
        let seen = self.sum();
        let broken = [
            (Metric::RequestSuccessRate, seen.errors, limits.errors),
            (Metric::RequestDuration, seen.slow, limits.slow),
        ]
        .into_iter()
        .find_map(|(metric, bad, allowed)| {
            let failure = Failure { metric, bad, of: seen.requests, allowed: allowed? };
            failure.is_certain(limits.min_requests).then_some(failure)
        });
        match broken {
            Some(failure) => Verdict::Fail(failure),
            None if seen.requests < limits.min_requests => {
                Verdict::NotYet { have: seen.requests, need: limits.min_requests }
            }
            None => Verdict::Pass,
        }
    }

    /// Requests to the canary in the window.
    pub fn requests(&self) -> u64 {
        self.sum().requests
    }

    fn sum(&self) -> ArmCounts {
        self.spans.iter().fold(ArmCounts::default(), |mut sum, &span| {
            sum.add(span);
            sum
        })
    }
}

impl Failure {
    /// Whether the limit is broken even if every request still missing to `least` turns out good.
    fn is_certain(&self, least: u64) -> bool {
        u128::from(self.bad) * 1_000_000 > u128::from(self.allowed.ppm()) * u128::from(self.of.max(least))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, bad, of, allowed } = self;
        let what = match metric {
            Metric::RequestSuccessRate => "canary fails",
            Metric::RequestDuration => "canary is too slow in",
        };
        let tenths = (u128::from(*bad) * 1000).checked_div(u128::from(*of)).unwrap_or(1000);
        write!(f, "{what} {}", tenths / 10)?;
        if !tenths.is_multiple_of(10) {
            write!(f, ".{}", tenths % 10)?;
        }
        write!(f, "% ({bad} of {of}), allowed {allowed}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1 % may fail and 5 % may be slow, of at least 1000.
    fn limits() -> Limits {
        let percent = |text| Some(Percent::parse(text).unwrap());
        Limits { errors: percent("1"), slow: percent("5"), objective_ms: 500, min_requests: 1000 }
    }

    fn counts(requests: u64, errors: u64, slow: u64) -> Counts {
        Counts { canary: ArmCounts { requests, errors, slow }, ..Counts::default() }
    }

    fn check(ticks: &[(u64, u64, u64)], expected: &str) {
        let mut evidence = Evidence::default();
        let mut verdict = evidence.verdict(&limits());
        for &(requests, errors, slow) in ticks {
            verdict = evidence.judge(&counts(requests, errors, slow), &limits());
        }
        let found = match verdict {
            Verdict::Pass => "pass".to_owned(),
            Verdict::Fail(failure) => failure.to_string(),
            Verdict::NotYet { have, need } => format!("{have} of {need}"),
        };
        assert_eq!(found, expected, "{ticks:?}");
    }

    #[test]
    fn a_good_canary_passes_once_enough_was_seen() {
        check(&[], "0 of 1000");
        check(&[(0, 0, 0)], "0 of 1000");
        check(&[(999, 0, 0)], "999 of 1000");
        check(&[(999, 0, 0), (1, 0, 0)], "pass");
        check(&[(1000, 10, 50)], "pass");
    }

    #[test]
    fn a_bad_canary_fails_as_soon_as_it_is_certain() {
        check(&[(1000, 11, 0)], "canary fails 1.1% (11 of 1000), allowed 1%");
        check(&[(207, 10, 0)], "207 of 1000");
        check(&[(207, 11, 0)], "canary fails 5.3% (11 of 207), allowed 1%");
        check(&[(1000, 0, 51)], "canary is too slow in 5.1% (51 of 1000), allowed 5%");
        check(&[(11, 11, 0)], "canary fails 100% (11 of 11), allowed 1%");
    }

    #[test]
    fn only_the_latest_requests_count() {
        check(&[(1000, 10, 0), (1000, 10, 0)], "pass");
        check(
            &[(1000, 0, 0), (1_000_000, 0, 0), (1000, 11, 0)],
            "canary fails 1.1% (11 of 1000), allowed 1%",
        );
        check(&[(990, 10, 0), (20, 1, 0)], "canary fails 1% (11 of 1010), allowed 1%");
    }

    #[test]
    fn an_aspect_without_a_limit_is_not_judged() {
        let unlimited = Limits { errors: None, slow: None, ..limits() };
        assert_eq!(Evidence::default().judge(&counts(1000, 1000, 1000), &unlimited), Verdict::Pass);
    }

    #[test]
    fn a_trickle_of_requests_does_not_fill_the_status() {
        let mut evidence = Evidence::default();
        for _ in 0..100_000 {
            evidence.judge(&counts(1, 0, 0), &limits());
        }
        assert!(evidence.spans.len() <= 51, "{}", evidence.spans.len());
        assert!((1000..1020).contains(&evidence.requests()), "{}", evidence.requests());
    }
}
