/*!
The tests of one metric of requests.
*/
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serin_policy::evidence::{Allowance, Ceiling, Claim, Comparison, Dispersion, Spread, Tally, as_f64};
use serin_policy::{Arm, Weight};

use super::baseline::Baseline;
use super::evidence::Moment;
use super::stratum::strata;
use super::verdict::{Failure, Judged, Promise, Test};
use crate::observation::{Cell, Counts, Drawn};
use serin_release::{Analysis, Criterion, Metric, Percent};

/// The tests of one metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tests {
    /// The canary against its limit.
    pub(super) over: Ceiling,
    /// The canary against stable: worse?
    pub(super) worse: Comparison,
    /// The canary against stable: shown to be no worse?
    pub(super) no_worse: Comparison,
    /// The canary against stable's past, where nobody is on stable.
    pub(super) worse_than_past: Ceiling,
    pub(super) spread: Spread,
    /// The canary's bad answers, judged or not.
    pub(super) met: u64,
    /// What was judged.
    pub(super) canary: Tally,
    pub(super) stable: Tally,
    /// The limit of the latest interval.
    pub(super) limit: Option<Percent>,
    /// The allowance of the latest comparison.
    pub(super) allowance: Option<Allowance>,
    /// Since when the evidence leans against the canary.
    suspect_since: Option<Timestamp>,
}

impl Default for Tests {
    fn default() -> Self {
        Self {
            over: Ceiling::watchful(),
            worse: Comparison::watchful(Claim::Worse),
            no_worse: Comparison::new(Claim::NoWorse),
            worse_than_past: Ceiling::watchful(),
            spread: Spread::default(),
            met: 0,
            canary: Tally::default(),
            stable: Tally::default(),
            limit: None,
            allowance: None,
            suspect_since: None,
        }
    }
}

/// What requests are held against.
pub(super) struct Against<'a> {
    pub(super) metric: Metric,
    pub(super) criterion: Criterion,
    pub(super) baseline: &'a Baseline,
    pub(super) least_dispersion: Dispersion,
}

impl Against<'_> {
    /// The largest share of the canary's requests in `cells` that may be bad: the limit, or what its users had on
    /// stable and as much on top as the comparison allows, whichever is more. One user whose requests often fail, and
    /// who is drawn, must not make a good canary break the limit. The test's proof allows for the mean of several
    /// limits, weighted by requests, since the logarithm is concave.
    fn limit(&self, cells: &[Cell]) -> f64 {
        let Self { metric, criterion, baseline, .. } = self;
        let fixed = criterion.limit.share();
        let (mut requests, mut weighted) = (0.0, 0.0);
        for cell in cells.iter().filter(|cell| cell.arm == Arm::Canary) {
            let before = match cell.drawn {
                Drawn::Cohort(cohort) => baseline.own(*metric, cohort).share(),
                // Members of a segment are split from the beginning: they were never all on stable.
                Drawn::Split(_) => None,
            };
            let raised = before.map(|share| criterion.compare.ratio() * share + criterion.compare.slack());
            let count = as_f64(cell.counts.requests);
            requests += count;
            weighted += count * raised.unwrap_or(0.0).clamp(fixed, 1.0);
        }
        if requests > 0.0 { weighted / requests } else { fixed }
    }
}

impl Tests {
    /// Takes in what was counted in one interval.
    pub(super) fn take_in(&mut self, cells: &[Cell], moment: Moment, against: &Against<'_>) {
        let Against { metric, criterion, baseline, least_dispersion } = *against;
        let sum = Counts::of(cells);
        let (canary, stable) = (sum.canary.tally(metric), sum.stable.tally(metric));
        // What is known of stable before this interval; the interval itself must not choose its own odds.
        let dispersion = self.spread.dispersion(least_dispersion);
        self.spread.take_in(stable);
        let limit = against.limit(cells);
        self.limit = Percent::at_least(limit);
        self.over.take_in(canary, limit, dispersion);
        self.canary.add(canary);
        self.stable.add(stable);
        for stratum in strata(cells).values() {
            let (canary, allowance) = stratum.canary(metric, baseline, moment.step_index, criterion);
            let stable = stratum.stable(metric);
            if canary.requests == 0 {
                continue;
            }
            self.allowance = Some(allowance);
            self.worse.take_in(canary, stable, allowance, dispersion);
            self.no_worse.take_in(canary, stable, allowance, dispersion);
            if stable.requests == 0
                && moment.settled == Some(Weight::FULL)
                && let past = baseline.past(metric)
                && past.requests > 0
            {
                let allowed = allowance.ratio() * past.cautious_share() + allowance.slack();
                self.worse_than_past.take_in(canary, allowed, dispersion);
            }
        }
        self.suspect_since = self.lean_against().then(|| self.suspect_since.unwrap_or(moment.now));
    }

    /// The test that the canary fails by the most evidence, if it fails any.
    pub(super) fn failure(
        &self,
        metric: Metric,
        criterion: Criterion,
        analysis: &Analysis,
        step: &Counts,
        now: Timestamp,
    ) -> Option<Failure> {
        let needed = analysis.needed();
        let allowance = self.allowance.unwrap_or(criterion.compare);
        let comparison = |promise| Test::Comparison { allowance, promise };
        let tests = [
            (self.over.ln_e(), Test::Limit { allowed: self.limit.unwrap_or(criterion.limit) }),
            (self.worse.ln_e(), comparison(Promise::Guaranteed)),
            (self.worse_than_past.ln_e(), comparison(Promise::AgainstPast)),
        ];
        let (evidence, test) = tests.into_iter().max_by(|one, other| one.0.total_cmp(&other.0))?;
        let after_s = self.suspect_since.map(|since| now.duration_since(since).as_secs_f64());
        // What the step has shown says more than what led up to it.
        let (canary, stable) = if step.canary.requests > 0 {
            (step.canary.tally(metric), step.stable.tally(metric))
        } else {
            (self.canary, self.stable)
        };
        let objective =
            (metric == Metric::RequestDuration).then(|| Duration::from_millis(analysis.objective_ms.into()));
        let (metric, met) = (Judged::Requests(metric), self.met);
        (evidence >= needed).then_some(Failure {
            metric,
            test,
            objective,
            canary,
            stable,
            met,
            evidence,
            needed,
            after_s,
        })
    }

    /// Whether there is more evidence against the canary than for it.
    pub(super) fn lean_against(&self) -> bool {
        self.over.ln_e().max(self.worse.ln_e()).max(self.worse_than_past.ln_e()) > 0.0
    }
}
