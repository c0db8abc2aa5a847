/*!
Going on: from step to step and to the promotion, when nothing holds the run.
*/
use jiff::Timestamp;
use serin_policy::Weight;

use super::analysis::{Verdict, Wait};
use super::handover::HandoverState;
use super::reason::{Event, Hold, Outcome, Reason};
use super::status::{Actor, Cause, Phase, Stage, StepState, elapsed};
use super::{Tick, Write};
use serin_release::{NoData, OnNoData, Pause, Step};

impl Tick<'_> {
    /// Goes on if nothing holds the run, and says what does otherwise.
    pub(super) fn go_on(&mut self) {
        if self.write != Write::Nothing {
            // Something is being written in this tick; what proxies report is about the past.
            return;
        }
        if self.is_held() {
            self.proxies_allow();
            return;
        }
        match self.status.phase.clone() {
            Phase::Preparing => self.prepare(),
            Phase::Starting { paused: Some(paused), .. }
            | Phase::Progressing(StepState { paused: Some(paused), .. }) => {
                self.say(Hold::Paused { by: paused.by });
                self.proxies_allow();
            }
            Phase::Starting { since, paused: None } => {
                if self.proxies_allow() {
                    self.go_on_at_rest(since.unwrap_or(self.now));
                }
            }
            Phase::Progressing(state) => self.go_on_at_step(state),
            Phase::OffPlan { weight } => {
                let next = self.first_step_above(weight).map(|(_, step)| step.weight);
                self.say(Hold::OffPlan { weight, next });
                self.proxies_allow();
            }
            Phase::Promoting => {
                if self.proxies_allow() {
                    let in_cluster = self.workloads().is_some();
                    self.status.phase = if in_cluster {
                        Phase::HandingOver(HandoverState::default())
                    } else {
                        Phase::Promoted
                    };
                    self.say(Outcome::Promoted { run: self.status.run.clone() });
                }
            }
            Phase::HandingOver(state) => {
                if self.proxies_allow() {
                    self.hand_over(state);
                }
            }
            Phase::CuttingBack => {
                if self.proxies_allow() & self.canary_is_down() {
                    self.status.phase = Phase::Settled;
                    self.say(Outcome::Settled);
                }
            }
            Phase::Settled => {
                self.say(Outcome::Settled);
                self.proxies_allow();
            }
            Phase::Promoted => self.say(Outcome::Promoted { run: self.status.run.clone() }),
            Phase::RolledBack { cause } => self.stay_back(Outcome::RolledBack { cause }),
            Phase::Aborted { by } => self.stay_back(Outcome::Aborted { by }),
            // Comparing with the file has left this phase.
            Phase::Waiting => {}
        }
    }

    /// The canary was taken off the air, for this `reason`, and stays so.
    fn stay_back(&mut self, reason: impl Into<Reason>) {
        self.say(reason);
        if self.nothing_to_release() {
            self.say(Outcome::StableHasIt);
        }
        self.proxies_allow();
        self.canary_is_down();
    }

    /// Whether something outside of the run holds it; says what does.
    fn is_held(&mut self) -> bool {
        let is_judged = matches!(self.status.phase, Phase::Starting { .. } | Phase::Progressing(_));
        let before = self.reasons.len();
        if is_judged || matches!(self.status.phase, Phase::Preparing | Phase::HandingOver(_)) {
            if self.is_suspended() {
                self.say(Hold::Suspended);
            }
            let obstacles = self.observation.obstacles.iter().cloned();
            self.reasons.extend(obstacles.map(|why| Hold::Blocked { why }.into()));
        }
        let stands_still = self.reasons.len() > before;
        if is_judged {
            self.hold_clock(stands_still);
            if let Some(why) = &self.observation.outage {
                self.say(Hold::AwaitsData { why: why.clone() });
            }
        }
        // Without a way back nobody else goes there, whatever is found about the canary.
        let one_way = is_judged && !self.stable_can_take_all();
        self.reasons.len() > before || one_way
    }

    /// Whether the Release says that nothing is to move.
    pub(super) fn is_suspended(&self) -> bool {
        self.release.delivery.as_ref().is_some_and(|delivery| delivery.suspended)
    }

    /// What is seen while something stands in the way is no time that speaks for the canary: the clock stands still.
    fn hold_clock(&mut self, stands_still: bool) {
        let held_at = self.status.held_at.take();
        self.status.held_at = stands_still.then_some(self.now);
        // A pause has the clock stand still already.
        if let Phase::Starting { since: Some(since), paused: None }
        | Phase::Progressing(StepState { stage: Stage::Observing { since, .. }, paused: None, .. }) =
            &mut self.status.phase
            && let Some(held_at) = held_at
        {
            let moved = since.checked_add(self.now.duration_since(held_at)).unwrap_or(self.now);
            *since = moved.min(self.now);
        }
    }

    /// Raises the weight to the first step above `weight`, or begins the promotion. The caller has made sure that
    /// every proxy reports the present weight.
    pub(super) fn rise_above(&mut self, weight: Weight, by: Actor) {
        let of = self.release.steps.len();
        match self.first_step_above(weight) {
            Some((index, Step { weight, .. })) => {
                let reason = Event::StepBegun { step: index + 1, of, weight, by: by.clone() };
                self.turn(by, Phase::Progressing(StepState::new(index, weight)), reason);
            }
            None => self.turn(by.clone(), Phase::Promoting, Event::Promoting { by }),
        }
    }

    /// The weight that comes after `weight`.
    pub(super) fn next_weight(&self, weight: Weight) -> Weight {
        self.first_step_above(weight).map_or(Weight::FULL, |(_, step)| step.weight)
    }

    fn first_step_above(&self, weight: Weight) -> Option<(usize, Step)> {
        self.release.steps.iter().copied().enumerate().find(|(_, step)| step.weight > weight)
    }

    /// Whether every proxy reports what is wanted; says which do not.
    fn proxies_allow(&mut self) -> bool {
        let allow = self.all_report();
        if !allow {
            let revision = self.status.revision;
            self.say(Hold::AwaitsProxies { revision, proxies: self.lagging_behind(revision) });
        }
        allow
    }

    /// In a cluster: the canary is given the pods for its first step.
    fn prepare(&mut self) {
        let proxies_allow = self.proxies_allow();
        if proxies_allow {
            self.status.quiet_since.get_or_insert(self.now);
            self.raise_floor();
        }
        if self.capacity_allows(self.next_weight(Weight::ZERO)) && proxies_allow {
            let run = self.status.run.clone();
            self.turn(Actor::Planner, Phase::Starting { since: None, paused: None }, Event::Prepared { run });
        }
    }

    fn go_on_at_step(&mut self, mut state: StepState) {
        let proxies_allow = self.proxies_allow();
        if state.stage == Stage::RollingOut && proxies_allow {
            // From here on the step counts, and only what is seen from here on speaks for the canary.
            state.stage = Stage::Observing { since: self.now, approved_by: None };
            self.status.evidence.begin_step();
            self.status.phase = Phase::Progressing(state.clone());
        }
        let Stage::Observing { approved_by, .. } = &state.stage else { return };
        match self.hold(&state, approved_by.is_some()) {
            Held::By(reason) => self.say(reason),
            // Nobody is sent to a stable that is not there; the reason for it has been given.
            Held::ForGood(_) if !self.stable_can_take_all() => {}
            Held::ForGood(cause) => {
                let reason = Outcome::RolledBack { cause: cause.clone() };
                self.turn(Actor::Planner, Phase::RolledBack { cause }, reason);
            }
            Held::No if proxies_allow && self.capacity_allows(self.next_weight(state.weight)) => {
                let by = approved_by.clone().map_or(Actor::Planner, Actor::Operator);
                self.rise_above(state.weight, by);
            }
            Held::No => {}
        }
    }

    /// At weight 0, with every proxy reporting it: those whom the steps will move are compared with the rest.
    fn go_on_at_rest(&mut self, since: Timestamp) {
        if since == self.now {
            self.status.evidence.begin_step();
        }
        self.raise_floor();
        self.status.phase = Phase::Starting { since: Some(since), paused: None };
        let duration = self.release.analysis.baseline;
        if elapsed(Some(since), None, self.now) < duration {
            self.say(Hold::Baseline { duration });
        } else if self.capacity_allows(self.next_weight(Weight::ZERO)) {
            self.rise_above(Weight::ZERO, Actor::Planner);
        }
    }

    /// Whether a step is held by nothing but an approval.
    pub(super) fn awaits_approval(&self, state: &StepState) -> bool {
        !self.no_way_back && matches!(self.hold(state, false), Held::By(Hold::AwaitsApproval { .. }))
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
            Verdict::NotYet(Wait::SampleRatio) => return Held::By(Hold::SampleRatio { weight }),
            // Evidence against the canary has ended the step before it comes to this.
            Verdict::Fail(_) | Verdict::Pass => None,
        };
        if let Some(missing) = missing {
            let NoData { then, after } = self.release.analysis.no_data;
            match then {
                OnNoData::Promote if elapsed >= after => {}
                OnNoData::Rollback if elapsed >= after => {
                    return Held::ForGood(Cause::NoData { weight, after, why: missing.to_string() });
                }
                _ => return Held::By(missing),
            }
        }
        if pause == Pause::UntilApproved && !approved {
            return Held::By(Hold::AwaitsApproval { step, of, weight });
        }
        Held::No
    }
}

/// What holds a step.
enum Held {
    No,
    By(Hold),
    /// The step ends here.
    ForGood(Cause),
}
