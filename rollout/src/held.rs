/*!
What holds a step that is being observed, besides proxies: time, evidence, and people who have to approve.
*/
use std::time::Duration;

use serin_policy::Weight;

use super::Tick;
use super::analysis::{Verdict, Wait};
use super::cause::Cause;
use super::phase::{Phase, Stage, StepState};
use super::reason::Hold;
use serin_release::{NoData, OnNoData, Pause};

/// What holds a step.
pub(super) enum Held {
    No,
    By(Hold),
    /// The step ends here.
    ForGood(Cause),
}

impl Tick<'_> {
    /// What holds a step, after what becomes of it where people have not approved in time; nothing where it has ended by that.
    pub(super) fn held_at(&mut self, state: &StepState, approved: bool) -> Option<Held> {
        match self.hold(state, approved) {
            Held::By(hold) if hold.is_for_approval() => {
                self.wait_for_approval(state.weight).then(|| self.hold(state, approved))
            }
            held => Some(held),
        }
    }

    /// The step that is held by nothing but an approval, which nobody has given.
    pub(super) fn step_to_approve(&self) -> Option<StepState> {
        match &self.status.phase {
            Phase::Progressing(
                state @ StepState { paused: None, stage: Stage::Observing { approved_by: None, .. }, .. },
            ) => self.awaits_approval(state).then(|| state.clone()),
            _ => None,
        }
    }

    /// Whether a step is held by nothing but an approval.
    pub(super) fn awaits_approval(&self, state: &StepState) -> bool {
        // Nobody approves of what should have gone long ago, and cannot for want of a stable to go back to.
        let verdict = self.status.evidence.verdict(&self.release.analysis, self.now);
        !matches!(verdict, Verdict::Fail(_))
            && self.what_is_gone().is_none()
            && matches!(self.hold(state, false), Held::By(hold) if hold.is_for_approval())
    }

    /// What holds a step that is being observed, besides proxies.
    fn hold(&self, state: &StepState, approved: bool) -> Held {
        let of = self.release.steps.len();
        let (step, weight) = (state.index + 1, state.weight);
        let pause = self.release.steps.get(state.index).map_or(Pause::UntilApproved, |step| step.pause);
        let elapsed = state.elapsed(self.now);
        if let Pause::For(duration) = pause
            && elapsed < duration
        {
            return Held::By(Hold::Observing { step, of, weight, duration });
        }
        let missing = match self.status.evidence.verdict(&self.release.analysis, self.now) {
            Verdict::NotYet(Wait::Requests { need, .. }) => Some(Hold::AwaitsRequests { need }),
            Verdict::NotYet(Wait::Reading { metric, why }) => Some(Hold::AwaitsReading { metric, why }),
            Verdict::NotYet(Wait::Doubt { metric }) => return Held::By(Hold::Doubtful { metric }),
            Verdict::NotYet(Wait::Success { metric, value, limit }) => {
                return Held::By(Hold::AwaitsSuccess { metric, value, limit });
            }
            Verdict::NotYet(Wait::SharedTrouble { metric }) => {
                return Held::By(Hold::SharedTrouble { metric });
            }
            Verdict::NotYet(Wait::SampleRatio) => return Held::By(Hold::SampleRatio { weight }),
            Verdict::NotYet(Wait::TrafficShare) => return Held::By(Hold::TrafficShare),
            // Evidence against the canary has ended the step before it comes to this.
            Verdict::Fail(_) | Verdict::Pass => None,
        };
        if let Some(missing) = missing {
            match self.without_data(missing, weight, elapsed) {
                Held::No => {}
                held => return held,
            }
        }
        if !approved && self.cutover_takes_a_person(weight) {
            return Held::By(Hold::AwaitsCutover { sought: self.sought() });
        }
        if !approved && pause == Pause::UntilApproved {
            return Held::By(Hold::AwaitsApproval { step, of, weight, sought: self.sought() });
        }
        Held::No
    }

    /// What becomes of a time at `weight` that has lasted so long, where this is `missing` for a verdict.
    pub(super) fn without_data(&self, missing: Hold, weight: Weight, elapsed: Duration) -> Held {
        let NoData { then, after } = self.release.analysis.no_data;
        match then {
            OnNoData::Promote if elapsed >= after => Held::No,
            OnNoData::Rollback if elapsed >= after => {
                Held::ForGood(Cause::NoData { weight, after, why: missing.to_string() })
            }
            _ => Held::By(missing),
        }
    }
}
