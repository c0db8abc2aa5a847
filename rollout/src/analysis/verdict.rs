/*!
What the judge says, and how it says it to people.
*/
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serin_policy::Weight;
use serin_policy::evidence::{Allowance, Tally};

use super::numbers::{Grouped, OneIn, Share, Users};
use crate::messages::friendly;
use serin_release::{Metric, Percent};

/// What the judge makes of the evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Verdict {
    /// Enough was seen and it is good.
    Pass,
    /// The canary is worse than allowed, but for the chance that was asked for.
    Fail(Failure),
    /// Not proven bad, but not to be trusted with more users yet.
    NotYet(Wait),
}

/// What a verdict waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "kebab-case")]
pub enum Wait {
    /// Too few requests to the canary in this step.
    Requests {
        /// Requests so far.
        have: u64,
        /// Requests it takes.
        need: u64,
    },
    /// The evidence leans against the canary without being conclusive.
    Doubt {
        /// What it leans by.
        metric: Judged,
    },
    /// One of people's own metrics says nothing.
    Reading {
        /// Which.
        metric: String,
        /// Why.
        why: String,
    },
    /// One of people's own metrics is good enough not to go back, and not to go on.
    Success {
        /// Which.
        metric: String,
        /// What it is, for people.
        value: String,
        /// What it must be.
        limit: String,
    },
    /// Both versions are worse than the canary may be, at present: it is not the canary's.
    SharedTrouble {
        /// In what.
        metric: Metric,
    },
    /// New callers do not get the canary in the share that was asked for: some path loses or repeats them.
    SampleRatio,
    /// The canary has fewer requests than its users made while they were on stable.
    TrafficShare,
}

/// A test that the canary failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// What was judged.
    pub metric: Judged,
    /// The test.
    pub test: Test,
    /// What a request may take, where that is what was judged.
    #[serde(default)]
    pub objective: Option<Duration>,
    /// The canary's requests in this step.
    pub canary: Tally,
    /// Stable's, in the same moments.
    pub stable: Tally,
    /// How many users had met it: as proxies tell, or else as many as there were bad answers of the canary, judged or not.
    pub met: u64,
    /// The evidence of all tests together: ln E.
    pub evidence: f64,
    /// The evidence it takes.
    pub needed: f64,
    /// Seconds since the evidence began to lean against the canary, where that is known.
    pub after_s: Option<f64>,
}

/// A test of the canary.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Test {
    /// Against a share that is fixed beforehand.
    Limit {
        /// The largest share that may be bad.
        allowed: Percent,
    },
    /// Readings of people's own metric, against its range.
    Range,
    /// Readings of people's own metric, against stable's.
    Excess,
    /// Users who fail for the first time, against stable's.
    FirstFailures {
        /// The canary's share of the users.
        share: Weight,
        /// How much worse the canary may be.
        allowance: Allowance,
    },
    /// Against stable.
    Comparison {
        /// How much worse the canary may be, what its users had before included.
        allowance: Allowance,
        /// What the planned is worth.
        promise: Promise,
    },
}

/// What is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judged {
    /// Requests.
    Requests(Metric),
    /// Users.
    Users,
    /// Requests of those whom a segment has given the canary as a whole.
    Segment {
        /// The segment.
        name: String,
        /// What is judged about them.
        metric: Metric,
    },
    /// Readings of people's own metric of this name.
    Readings(String),
    /// The answers to copies of stable's requests, which no user got.
    Copies,
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests(metric) => metric.fmt(f),
            Self::Users => f.write_str("the number of users who fail"),
            Self::Segment { name, metric } => write!(f, "{metric} of segment {name}"),
            Self::Readings(name) => f.write_str(name),
            Self::Copies => f.write_str("the number of mirrored requests that fail"),
        }
    }
}

/// What a comparison is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Promise {
    /// Stable was there in the same moments: the chance of a false rollback is what was asked for.
    Guaranteed,
    /// Stable was there in the same moments, but nobody has compared those who were moved with the rest beforehand: the
    /// chance is what was asked for where requests fail by themselves, and not where a few users have most failures.
    WithoutBaseline,
    /// Nobody is left on stable: compared with its recent past, which may have been another time of day.
    AgainstPast,
    /// There is nothing to compare with: only the limits count.
    NoControl,
}

impl fmt::Display for Verdict {
    /// One sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("healthy: the canary is within its limits and no worse than allowed"),
            Self::Fail(failure) => write!(f, "unhealthy: {failure}"),
            Self::NotYet(Wait::Requests { have, need }) => {
                let (have, need) = (Grouped(*have), Grouped(*need));
                write!(f, "not enough data yet: {have} of {need} requests to the canary")
            }
            Self::NotYet(Wait::Reading { metric, why }) => write!(f, "not enough data yet: {metric}: {why}"),
            Self::NotYet(Wait::Doubt { metric: Judged::Segment { name, metric } }) => write!(
                f,
                "not clear yet: users of segment {name} are beyond the limit of {metric}, which a few of them may have \
                 made by themselves"
            ),
            Self::NotYet(Wait::Doubt { metric }) => {
                write!(f, "not clear yet: {metric} speaks against the canary, but could be chance")
            }
            Self::NotYet(Wait::Success { metric, value, limit }) => {
                write!(f, "not good enough yet: {metric} of the canary is {value}, and the release goes on at {limit}")
            }
            Self::NotYet(Wait::SharedTrouble { metric }) => {
                write!(f, "not clear yet: {metric} is too bad on both versions at present, so it is not the canary's")
            }
            Self::NotYet(Wait::SampleRatio) => {
                f.write_str("not to be relied on: new callers do not get the canary in the share asked for")
            }
            Self::NotYet(Wait::TrafficShare) => f.write_str(
                "not to be relied on: the canary gets fewer requests than its users made while they were on stable",
            ),
        }
    }
}

impl Failure {
    /// The same sentence of another version than the canary.
    pub fn told_of(&self, version: &str) -> String {
        self.to_string()
            .replace("the canary", version)
            .replace("A canary", "A version")
            .replace("a canary", "a version")
    }
}

impl fmt::Display for Failure {
    /// What was seen, how unlikely that is for a good canary, and what users had of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.seen(f)?;
        let (chance, needed) = (OneIn(self.evidence), OneIn(self.needed));
        let good = match self.test {
            Test::Limit { .. } => "A canary within its limit",
            Test::Comparison { promise: Promise::AgainstPast, .. } => {
                "Assuming that stable would have gone on as before, a canary no worse than allowed"
            }
            Test::Comparison { .. } | Test::FirstFailures { .. } => "A canary no worse than allowed",
            Test::Range => "A canary with 1 reading in 10 out of range",
            Test::Excess => "A canary with 1 reading in 10 too large",
        };
        write!(f, ". {good} looks this bad at most once in {chance} releases; Serin acts at 1 in {needed}.")?;
        match self.after_s {
            None if self.metric == Judged::Copies => {
                return match self.met {
                    0 => f.write_str(" No user has met it"),
                    met => write!(f, " At most {} had met it by then", Users(met)),
                };
            }
            None => return Ok(()),
            Some(..0.05) => f.write_str(" Caught at the first sign")?,
            Some(after_s) => write!(f, " Caught {after_s:.1} s after the first sign")?,
        }
        write!(f, "; at most {} had met it by then", Users(self.met))
    }
}

impl Failure {
    /// What was seen, and what is allowed.
    fn seen(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, test, canary, .. } = self;
        let (bad, of) = (Grouped(canary.bad), Grouped(canary.requests));
        match metric {
            Judged::Users => {
                write!(f, "{bad} of the {of} users who failed for the first time were on the canary")?;
            }
            Judged::Readings(name) => {
                write!(f, "{name} of the canary was out of range in {bad} of {of} readings")?;
            }
            Judged::Segment { name, metric } => {
                write!(f, "for users of segment {name}, ")?;
                self.seen_of_requests(f, *metric)?;
            }
            Judged::Copies => {
                write!(f, "the canary failed {bad} of {of} mirrored requests ({}", Share(*canary))?;
            }
            Judged::Requests(metric) => self.seen_of_requests(f, *metric)?,
        }
        match test {
            Test::FirstFailures { .. } | Test::Range => Ok(()),
            Test::Excess => f.write_str(", or larger than stable's by more than is allowed"),
            Test::Limit { allowed } => {
                write!(f, ", allowed {allowed}")?;
                self.seen_of_stable(f, "meanwhile")
            }
            Test::Comparison { promise: Promise::AgainstPast, .. } => {
                self.seen_of_stable(f, "earlier in this run")
            }
            Test::Comparison { .. } => self.seen_of_stable(f, "meanwhile"),
        }
    }

    /// What stable had, if it had anything; it ends the brackets.
    fn seen_of_stable(&self, f: &mut fmt::Formatter<'_>, when: &str) -> fmt::Result {
        let stable = self.stable;
        if stable.requests > 0 {
            write!(f, "; stable {when} {} of {}", Share(stable), Grouped(stable.requests))?;
        }
        f.write_str(")")
    }

    /// What was seen of requests; what is allowed comes behind it, in the same brackets.
    fn seen_of_requests(&self, f: &mut fmt::Formatter<'_>, metric: Metric) -> fmt::Result {
        let (bad, of, share) = (Grouped(self.canary.bad), Grouped(self.canary.requests), Share(self.canary));
        match metric {
            Metric::RequestSuccessRate => {
                write!(f, "the canary failed {bad} of {of} requests ({share}")
            }
            Metric::RouteErrors => {
                write!(f, "on one group of routes, the canary failed {bad} of {of} requests ({share}")
            }
            Metric::ClientErrors => write!(
                f,
                "the canary answered {bad} of {of} requests with a client's error, such as 4xx ({share}"
            ),
            Metric::ClientAborts => write!(
                f,
                "callers left before there was an answer in {bad} of {of} requests to the canary ({share}"
            ),
            Metric::TrafficShare => write!(f, "the canary had {of} requests ({share}"),
            Metric::RequestDuration | Metric::LatencyTail => match &self.objective {
                Some(objective) => {
                    let objective = friendly(objective);
                    write!(f, "the canary was slower than {objective} in {bad} of {of} requests ({share}")
                }
                None => write!(f, "the canary was too slow in {bad} of {of} requests ({share}"),
            },
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guaranteed => "compared with stable at the same time",
            Self::WithoutBaseline => {
                "compared with stable at the same time, but without a baseline: a few users with most of the failures \
                 may mislead it"
            }
            Self::AgainstPast => "compared with stable earlier in this run, so without a guarantee",
            Self::NoControl => "nobody to compare with, so only the limit counts",
        })
    }
}

#[cfg(test)]
mod tests;
