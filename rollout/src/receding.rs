/*!
Going back in steps, where the Release asks for that and what is wrong with the canary is not grave.

On the way the canary is judged as before, by all that is grave: then, or when more of its requests are bad than may be,
everybody goes back at once. No step waits for proxies: going back never does.
*/
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serin_policy::Weight;

use super::Tick;
use super::analysis::{Failure, Judged};
use super::cause::Cause;
use super::phase::{Phase, elapsed};
use super::reason::{Event, Hold};
use super::status::Actor;
use serin_release::rollback::Gradual;

/// How far the way back is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecedeState {
    /// The canary's share by now.
    pub weight: Weight,
    /// Since when.
    pub since: Timestamp,
    /// Why it goes back.
    pub cause: Cause,
}

impl Tick<'_> {
    /// Begins the way back in steps, if `failure` is not grave. Returns whether it did.
    pub(super) fn recede(&mut self, weight: Weight, failure: &Failure) -> bool {
        let Some(gradual) = &self.release.gradual else { return false };
        let is_at_weight = matches!(self.status.phase, Phase::Progressing(_) | Phase::OffPlan { .. });
        if !is_at_weight || !is_gentle(gradual, failure) || !self.stable_can_take_all() {
            return false;
        }
        let grave = self.status.evidence.grave(&self.release.analysis, &gradual.metrics, self.now);
        let Some(next) = gradual.below(weight).filter(|_| grave.is_none()) else { return false };
        self.fall_to(next, Cause::Failed { weight, failure: failure.clone() });
        true
    }

    /// On the way: everybody goes back at once if it turns grave. Returns whether they do.
    pub(super) fn leave_what_turns_grave(&mut self) -> bool {
        let Phase::Receding(RecedeState { weight, cause, .. }) = &self.status.phase else { return false };
        let Some(gradual) = &self.release.gradual else {
            // The Release was edited on the way.
            let cause = cause.clone();
            return self.roll_back(cause);
        };
        let grave = self.status.evidence.grave(&self.release.analysis, &gradual.metrics, self.now);
        let slow = self.status.evidence.step().canary.too_slow();
        let gets_worse =
            slow.requests >= ENOUGH && slow.share().is_some_and(|share| share > gradual.grave_above.share());
        let cause = match grave {
            Some(failure) => Cause::Failed { weight: *weight, failure },
            None if gets_worse => cause.clone(),
            None => return false,
        };
        self.roll_back(cause)
    }

    /// On the way, users were found elsewhere: proxies have none on the canary any more, or fewer than it was to have by now. They
    /// do not go back to it. Returns whether the way is over.
    pub(super) fn ends_the_way_back(&mut self) -> bool {
        let Phase::Receding(RecedeState { weight, cause, .. }) = &self.status.phase else { return false };
        let present = self.observation.in_force.share_of(&self.status.run);
        let cause = cause.clone();
        present < *weight && self.roll_back(cause)
    }

    /// Goes on with the way back.
    pub(super) fn go_on_receding(&mut self, state: RecedeState) {
        let Some(gradual) = &self.release.gradual else { return };
        let (each, next) = (gradual.each, gradual.below(state.weight));
        self.tell_lagging();
        if elapsed(Some(state.since), None, self.now) < each {
            self.say(Hold::Receding { weight: state.weight, duration: each });
            return;
        }
        match next {
            Some(_) if !self.stable_can_take_all() => self.say(Hold::StableDown),
            Some(weight) => self.fall_to(weight, state.cause),
            None => {
                self.roll_back(state.cause);
            }
        }
    }

    fn fall_to(&mut self, weight: Weight, cause: Cause) {
        self.status.evidence.begin_step(self.now);
        let reason = Event::StepBack { weight, cause: cause.clone() };
        let state = RecedeState { weight, since: self.now, cause };
        self.turn(Actor::Planner, Phase::Receding(state), reason);
    }
}

/// Of fewer requests nothing is made.
const ENOUGH: u64 = 20;

/// Whether `failure` is for a metric that is not grave, and of few enough requests.
fn is_gentle(gradual: &Gradual, failure: &Failure) -> bool {
    let is_named = |name: &str| gradual.metrics.iter().any(|metric| metric == name);
    match &failure.metric {
        Judged::Requests(metric) => {
            is_named(metric.as_str())
                && failure.canary.share().is_none_or(|share| share <= gradual.grave_above.share())
        }
        Judged::Readings(name) => is_named(name),
        Judged::Users | Judged::Segment { .. } | Judged::Copies => false,
    }
}
