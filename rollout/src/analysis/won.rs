/*!
What each test has won, so that it can be drawn from look to look.
*/
use std::fmt;

use serde::{Deserialize, Serialize};
use serin_policy::evidence::ln_mean;

use super::evidence::Evidence;
use super::stakes::Stake;
use super::verdict::{Judged, Promise, Test};
use serin_release::{Analysis, Metric};

/// The tests of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestKind {
    /// What they judge.
    pub judged: Judged,
    /// What they hold it against.
    pub against: Reference,
}

/// What a canary is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reference {
    /// A limit, or the range of a metric of people's own.
    Limit,
    /// Stable in the same moments.
    Stable,
    /// Stable's past.
    StablesPast,
}

/// What the tests of one kind add to the evidence of all: ln of their part times their E. The parts of all kinds add up to
/// the evidence of all; it takes the canary back at [`Analysis::needed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Won {
    /// The tests.
    pub kind: TestKind,
    /// What they add; none while it is the word of too few users to count.
    pub ln_e: Option<f64>,
}

impl TestKind {
    fn of(stake: &Stake) -> Self {
        let against = match stake.test {
            Test::Limit { .. } | Test::Range => Reference::Limit,
            Test::Comparison { promise: Promise::AgainstPast, .. } => Reference::StablesPast,
            Test::Comparison { .. } | Test::FirstFailures { .. } | Test::Excess => Reference::Stable,
        };
        Self { judged: stake.judged.clone(), against }
    }
}

impl Evidence {
    /// What the tests of each kind have won, in an order that stays, and the evidence (ln E) of all together; none while no
    /// test counts.
    pub fn won(&self, analysis: &Analysis) -> (Vec<Won>, Option<f64>) {
        let stakes = self.stakes(analysis);
        let all: f64 = stakes.iter().map(|stake| stake.weight).sum();
        let ln_e = |stake: &Stake| if stake.stands { stake.ln_e } else { f64::NEG_INFINITY };
        let mut kinds: Vec<(TestKind, Vec<(f64, f64)>)> = Vec::new();
        for stake in &stakes {
            let (kind, won) = (TestKind::of(stake), (stake.weight, ln_e(stake)));
            match kinds.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, tests)) => tests.push(won),
                None => kinds.push((kind, vec![won])),
            }
        }
        let won = kinds.into_iter().map(|(kind, tests)| {
            let part: f64 = tests.iter().map(|(weight, _)| weight).sum();
            let ln_e = ln_mean(tests) + (part / all).ln();
            Won { kind, ln_e: ln_e.is_finite().then_some(ln_e) }
        });
        let together = ln_mean(stakes.iter().map(|stake| (stake.weight, ln_e(stake))));
        (won.collect(), together.is_finite().then_some(together))
    }
}

impl fmt::Display for TestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.judged {
            Judged::Requests(Metric::RequestSuccessRate) => f.write_str("failures")?,
            Judged::Requests(Metric::RequestDuration) => f.write_str("slow answers")?,
            Judged::Requests(Metric::LatencyTail) => f.write_str("p95 and p99")?,
            Judged::Requests(Metric::RouteErrors) => f.write_str("failures by route")?,
            Judged::Requests(Metric::ClientErrors) => f.write_str("client errors")?,
            Judged::Requests(Metric::ClientAborts) => f.write_str("callers who leave")?,
            Judged::Requests(Metric::TrafficShare) => f.write_str("share of traffic")?,
            Judged::Users => f.write_str("users who fail")?,
            Judged::Segment { name, metric } => write!(f, "{metric} of segment {name}")?,
            Judged::Readings(name) => f.write_str(name)?,
            Judged::Copies => f.write_str("failures of mirrored requests")?,
        }
        f.write_str(match self.against {
            Reference::Limit => ", against the limit",
            Reference::Stable => ", against stable",
            Reference::StablesPast => ", against stable's past",
        })
    }
}
