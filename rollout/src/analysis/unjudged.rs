/*!
What is not judged at present, and why.
*/
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::evidence::Evidence;
use super::numbers::Grouped;
use super::segments::{Members, Segment};
use super::stakes::{DOUBT, Stake};
use super::verdict::Judged;
use serin_release::{Metric, Release};

/// Something that is not judged at present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unjudged {
    /// What.
    pub what: Judged,
    /// Why not.
    pub why: WhyNot,
}

/// Why something is not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum WhyNot {
    /// The Release leaves it out.
    LeftOut,
    /// The canary's pods may be cold.
    WarmingUp,
    /// Too few requests were timed at weight 0 to know how long the slowest take.
    TooFewTimed,
    /// Too little was seen at weight 0 to know how the callers share in the requests.
    NoBaseline,
    /// Requests with a fault count apart, so that a version seems to have fewer.
    FaultsInjected,
    /// No proxy tells of users.
    UsersUnknown,
    /// It speaks against the canary, and is the word of too few users to go back on.
    FewUsers,
    /// Too few requests of a segment to go back on.
    FewRequests {
        /// So many there were.
        have: u64,
        /// So many it takes.
        need: u64,
    },
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LeftOut => "left out of analysis.metrics",
            Self::WarmingUp => "the canary is warming up",
            Self::TooFewTimed => "too few requests were timed at weight 0",
            Self::NoBaseline => "too little was seen at weight 0; an analysis.baseline of 3m is enough",
            Self::FaultsInjected => "faults are injected, and requests that meet one count apart",
            Self::UsersUnknown => "no proxy tells of users",
            Self::FewUsers => "it speaks against the canary, but fewer than three users have met it",
            Self::FewRequests { have, need } => {
                return write!(f, "{} of {} requests of its users", Grouped(*have), Grouped(*need));
            }
        })
    }
}

impl Evidence {
    /// What is not judged at present, though there are requests to the canary; what the Release leaves out at any time.
    pub fn unjudged(&self, release: &Release, now: Timestamp) -> Vec<Unjudged> {
        let analysis = &release.analysis;
        let is_judged = |metric: Metric| analysis.criterion(metric).is_some();
        let is_cold = self.is_warming_up(now, analysis.warm_up);
        let of_metric = |metric: Metric| match metric {
            _ if !is_judged(metric) => Some(WhyNot::LeftOut),
            _ if self.exposed.is_none() => None,
            Metric::RequestDuration | Metric::LatencyTail | Metric::ClientAborts | Metric::TrafficShare
                if is_cold =>
            {
                Some(WhyNot::WarmingUp)
            }
            Metric::LatencyTail => self.tail.is_empty().then_some(WhyNot::TooFewTimed),
            Metric::TrafficShare if release.injects_at(now) => Some(WhyNot::FaultsInjected),
            Metric::TrafficShare => (!self.traffic.is_known()).then_some(WhyNot::NoBaseline),
            _ => None,
        };
        let requests = Metric::ALL.into_iter().filter_map(|metric| {
            of_metric(metric).map(|why| Unjudged { what: Judged::Requests(metric), why })
        });
        let users = (is_judged(Metric::RequestSuccessRate) && self.exposed.is_some())
            .then(|| self.users.seen.is_none())
            .filter(|is_unknown| *is_unknown)
            .map(|_| Unjudged { what: Judged::Users, why: WhyNot::UsersUnknown });
        requests.chain(users).chain(self.without_weight(release)).collect()
    }

    /// Tests that do not count, whatever they say: they are the word of too few.
    fn without_weight(&self, release: &Release) -> Vec<Unjudged> {
        let analysis = &release.analysis;
        let mut found: Vec<Unjudged> = Vec::new();
        for Stake { judged, stands, ln_e, .. } in self.stakes(analysis) {
            let why = match &judged {
                _ if stands => continue,
                Judged::Segment { name, metric } => {
                    let members = self.segments.get(name).and_then(|segment: &Segment| segment.of(*metric));
                    let have = members.map_or(0, |members| members.canary.requests);
                    let need = Members::least_requests(analysis);
                    if have >= need {
                        continue;
                    }
                    WhyNot::FewRequests { have, need }
                }
                _ if ln_e > DOUBT => WhyNot::FewUsers,
                _ => continue,
            };
            let one = Unjudged { what: judged, why };
            if !found.contains(&one) {
                found.push(one);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serin_policy::{Arm, Cohort, Weight};

    use super::super::Moment;
    use super::*;
    use crate::observation::{ArmCounts, ArmUsers, Cell, Chooser, Chosen, Drawn, Users};

    /// After so many seconds at weight 0 and at the first step, in which the canary's only user fails a quarter of the time if
    /// it is `bad`, and a segment has one request a second.
    #[track_caller]
    fn check(at_rest: u32, at_step: u32, users: Option<Users>, bad: bool, expected: &[&str]) {
        let release = Release::from_yaml(
            "apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {name: shop}
spec:
  service: {name: shop}
  canary: {version: v2}
  segments: [{name: beta, matches: [{headers: [{name: x-user-type, value: beta}]}], weight: 100}]
  strategy: {canary: {steps: [{setWeight: 10}]}}
  analysis: {minRequests: 100, warmUp: 10s, metrics: [
    {name: request-success-rate}, {name: request-duration}, {name: latency-tail}, {name: traffic-share}]}
",
        )
        .unwrap();
        let (mut evidence, mut now) = (Evidence::default(), Timestamp::UNIX_EPOCH);
        for second in 0..at_rest + at_step {
            let is_at_step = second >= at_rest;
            let counts = |requests: u64, errors| ArmCounts { requests, errors, ..ArmCounts::default() };
            let cell = |arm, cohort, counts| Cell {
                place: String::new(),
                drawn: Drawn::Cohort(cohort),
                arm,
                counts,
            };
            let own = if is_at_step { Arm::Canary } else { Arm::Stable };
            let errors = if bad && is_at_step { 25 } else { 0 };
            let cells = [
                cell(Arm::Stable, Cohort::Rest, counts(900, 1)),
                cell(own, Cohort::Step(0), counts(100, errors)),
            ];
            now += SignedDuration::from_secs(1);
            let settled = Weight::from_ppm(100_000).ok().filter(|_| is_at_step);
            let moment = Moment { step_index: usize::from(is_at_step), settled, now };
            evidence.take_in(&cells, users.filter(|_| is_at_step), moment, &release);
            let by = Chooser::Segment("beta".to_owned());
            let beta = Chosen { by, arm: Arm::Canary, counts: counts(1, 0) };
            evidence.take_in_chosen(&[beta], &cells, now, &release);
        }
        let left_out = |unjudged: &Unjudged| unjudged.why == WhyNot::LeftOut;
        let unjudged = evidence.unjudged(&release, now);
        assert_eq!(unjudged.iter().filter(|one| left_out(one)).count(), 3, "{unjudged:?}");
        let found: Vec<_> = unjudged.into_iter().filter(|one| !left_out(one)).collect();
        let found: Vec<_> = found.iter().map(|Unjudged { what, why }| format!("{what}: {why}")).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_not_judged_is_said_with_its_reason() {
        let arm = |seen, failed| ArmUsers { seen, failed, slow: 0, first_failed: failed };
        let one_fails = Some(Users { canary: arm(30, 1), stable: arm(200, 9) });
        let untimed = "latency-tail: too few requests were timed at weight 0";
        let members = [
            "request-success-rate of segment beta: 40 of 100 requests of its users",
            "request-duration of segment beta: 30 of 100 requests of its users",
        ];
        // At weight 0 only members of the segment have the canary.
        check(40, 0, None, false, &members);
        check(
            200,
            5,
            one_fails,
            false,
            &[
                "request-duration: the canary is warming up",
                "latency-tail: the canary is warming up",
                "traffic-share: the canary is warming up",
            ],
        );
        let no_baseline =
            "traffic-share: too little was seen at weight 0; an analysis.baseline of 3m is enough";
        check(
            20,
            20,
            None,
            false,
            &[
                untimed,
                no_baseline,
                "the number of users who fail: no proxy tells of users",
                members[0],
                // The canary was given more users, and was cold for ten seconds more.
                "request-duration of segment beta: 21 of 100 requests of its users",
            ],
        );
        check(
            200,
            20,
            one_fails,
            true,
            &[
                untimed,
                "request-success-rate: it speaks against the canary, but fewer than three users have met it",
            ],
        );
    }
}
