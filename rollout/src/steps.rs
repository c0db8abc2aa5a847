/*!
Going on: from step to step and to the promotion, when nothing holds the run.
*/
use jiff::Timestamp;
use serin_policy::Weight;

use super::analysis::{Verdict, Wait};
use super::handover::HandoverState;
use super::held::Held;
use super::phase::{BakeState, Emptying, KeepState, Phase, Stage, StepState, elapsed, leave_out};
use super::reason::{Event, Hold, Outcome, Reason};
use super::status::Actor;
use super::{Contested, Tick, Workloads, Write};
use serin_release::Step;
use serin_release::resource::When;

impl Tick<'_> {
    /// Goes on if nothing holds the run, and says what does otherwise.
    pub(super) fn go_on(&mut self) {
        if self.write != Write::Nothing {
            // Something is being written in this tick; what proxies report is about the past.
            return;
        }
        let holds = self.holds();
        self.hold_clock(&holds);
        if !holds.is_empty() {
            for hold in holds {
                self.say(hold);
            }
            self.tell_lagging();
            return;
        }
        match self.status.phase.clone() {
            Phase::Preparing { .. } => self.prepare(),
            Phase::Starting { paused: Some(paused), .. }
            | Phase::Progressing(StepState { paused: Some(paused), .. })
            | Phase::Baking(BakeState { paused: Some(paused), .. })
            | Phase::Keeping(KeepState { paused: Some(paused), .. }) => {
                self.say(Hold::Paused { by: paused.by });
                self.tell_lagging();
            }
            Phase::Starting { since, paused: None, mirrors, approved_by, .. } => {
                self.tell_lagging();
                if self.all_report() {
                    self.go_on_at_rest(since.unwrap_or(self.now), mirrors, approved_by);
                }
            }
            Phase::Progressing(state) => self.go_on_at_step(state),
            Phase::OffPlan { weight } => {
                let next = self.first_step_above(weight).map(|(_, step)| step.weight);
                if let Some(changed) = self.stable_changed() {
                    self.say(changed);
                }
                self.say(Hold::OffPlan { weight, next });
                self.tell_lagging();
            }
            Phase::Receding(state) => self.go_on_receding(state),
            Phase::Promoting => {
                self.tell_lagging();
                if self.all_report() {
                    self.begin_bake();
                }
            }
            Phase::Baking(BakeState { since, paused: None, .. }) => {
                self.tell_lagging();
                if self.all_report() {
                    self.bake(since);
                }
            }
            Phase::Keeping(state) => {
                self.tell_lagging();
                if self.all_report() {
                    self.keep(&state);
                }
            }
            Phase::HandingOver(state) => {
                self.tell_lagging();
                if self.all_report() {
                    self.hand_over(state);
                }
            }
            Phase::CuttingBack { .. } => {
                self.tell_lagging();
                self.empty_canary();
                if self.status.phase == (Phase::CuttingBack { canary: Emptying::Empty }) {
                    self.status.phase = Phase::Settled;
                    self.say(Outcome::Settled);
                }
            }
            Phase::Settled => {
                self.say(self.stable_replaced().unwrap_or(Outcome::Settled));
                self.tell_lagging();
            }
            Phase::Promoted => self.say(Outcome::Promoted { run: self.status.run.clone() }),
            Phase::RolledBack { cause, .. } => self.stay_back(Outcome::RolledBack { cause }),
            Phase::Aborted { by, .. } => self.stay_back(Outcome::Aborted { by }),
            // Comparing with the policy has left the one, and nothing goes on from the other.
            Phase::Waiting | Phase::Unreadable { .. } => {}
        }
    }

    /// Whether somebody has given stable another version than the run's, which it had or was given.
    fn stable_replaced(&self) -> Option<Outcome> {
        let (_, Workloads { stable, .. }) = self.workloads()?;
        let by_run = stable.run.clone().filter(|_| !self.nothing_to_release())?;
        let (run, by) = (self.status.run.clone(), stable.changed_by.clone());
        Some(Outcome::StableReplaced { run, by_run, by })
    }

    /// The canary was taken off the air, for this `reason`, and stays so.
    fn stay_back(&mut self, reason: impl Into<Reason>) {
        self.say(reason);
        if self.nothing_to_release() {
            self.say(Outcome::StableHasIt);
        }
        self.tell_lagging();
        self.empty_canary();
    }

    /// What holds the run from outside.
    fn holds(&self) -> Vec<Hold> {
        let mut holds = self.standstills();
        if !self.is_judged() {
            return holds;
        }
        holds.extend(self.observation.outage.iter().map(|why| Hold::AwaitsData { why: why.clone() }));
        // Without a way back nobody else goes there, whatever is found about the canary. Nobody else is left in a bake, and
        // stable's pods come with what is promoted.
        if !self.stable_can_take_all() && !matches!(self.status.phase, Phase::Baking(_)) {
            holds.push(Hold::StableDown);
        }
        holds
    }

    /// What has the clock of a step stand still.
    fn standstills(&self) -> Vec<Hold> {
        let Some(cluster) = self.in_cluster() else { return Vec::new() };
        let may_be_held = self.is_judged()
            || matches!(
                self.status.phase,
                Phase::Preparing { .. } | Phase::Keeping(_) | Phase::HandingOver(_)
            );
        if !may_be_held {
            return Vec::new();
        }
        let suspended = self.is_suspended().then_some(Hold::Suspended);
        let changed = self.stable_changed().filter(|_| self.is_judged());
        let obstacles = cluster.obstacles.iter().map(|why| Hold::Blocked { why: why.clone() });
        let obstacles = obstacles.chain(self.unscalable());
        let mut holds: Vec<_> =
            suspended.into_iter().chain(changed).chain(obstacles).chain(self.contested()).collect();
        // While versions are handed over, the routes are on their way; and an obstacle says it better.
        let is_moving = matches!(self.status.phase, Phase::HandingOver(_));
        if cluster.obstacles.is_empty() && !is_moving && cluster.routes != Some(self.status.routes) {
            holds.push(Hold::AwaitsRoutes);
        }
        holds
    }

    /// What somebody else keeps changing.
    pub(super) fn contested(&self) -> Vec<Hold> {
        let contested = self.in_cluster().map_or(&[][..], |cluster| &cluster.contested).iter().cloned();
        contested.map(|Contested { object, by }| Hold::Contested { object, by }).collect()
    }

    /// Whether what the canary gets is judged, and counts.
    const fn is_judged(&self) -> bool {
        matches!(self.status.phase, Phase::Starting { .. } | Phase::Progressing(_) | Phase::Baking(_))
    }

    /// Whether the Release says that nothing is to move.
    pub(super) fn is_suspended(&self) -> bool {
        self.workloads().is_some_and(|(delivery, _)| delivery.suspended)
    }

    /// What is seen while something stands in the way is no time that speaks for the canary: the clock stands still.
    fn hold_clock(&mut self, holds: &[Hold]) {
        let now = self.now;
        // That nothing can be counted, or that there is no way back, is found in the same time as everything else.
        let stands_still =
            holds.iter().any(|hold| !matches!(hold, Hold::AwaitsData { .. } | Hold::StableDown));
        let (since, is_paused, held_at) = match &mut self.status.phase {
            Phase::Starting { since, paused, held_at, .. } => (since.as_mut(), paused.is_some(), held_at),
            Phase::Progressing(StepState {
                stage: Stage::Observing { since, .. }, paused, held_at, ..
            })
            | Phase::Baking(BakeState { since, paused, held_at }) => (Some(since), paused.is_some(), held_at),
            Phase::Progressing(StepState { paused, held_at, .. }) => (None, paused.is_some(), held_at),
            _ => return,
        };
        let before = std::mem::replace(held_at, stands_still.then_some(now));
        // A pause has the clock stand still already.
        let (Some(since), Some(before), false) = (since, before, is_paused) else { return };
        leave_out(since, before, now);
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

    /// Says which proxies do not report what is wanted, if some do not.
    pub(super) fn tell_lagging(&mut self) {
        if !self.all_report() {
            let revision = self.status.revision;
            self.say(Hold::AwaitsProxies { revision, proxies: self.lagging_behind(revision) });
        }
    }

    /// In a cluster: the canary is given the pods for its first step.
    fn prepare(&mut self) {
        self.tell_lagging();
        let all_report = self.all_report();
        if all_report {
            self.status.phase = Phase::Preparing { reported: true };
            self.raise_floor();
            // Nobody is on the canary yet: what stable is given now is what the canary is compared with.
            self.note_stable();
        }
        if !self.may_begin() {
            return;
        }
        if self.provide_pods(self.share_at_first()) && all_report {
            let run = self.status.run.clone();
            self.turn(Actor::Planner, Phase::STARTING, Event::Prepared { run });
        }
    }

    fn go_on_at_step(&mut self, mut state: StepState) {
        self.tell_lagging();
        let all_report = self.all_report();
        if state.stage == Stage::RollingOut && all_report {
            // From here on the step counts, and only what is seen from here on speaks for the canary.
            state.stage = Stage::Observing { since: self.now, approved_by: None };
            self.status.evidence.begin_step(self.now);
            self.status.phase = Phase::Progressing(state.clone());
        }
        let Stage::Observing { approved_by, .. } = &state.stage else { return };
        let passes = self.passes(When::Rollout, state.weight);
        if !self.status.phase.is_under_way() {
            return;
        }
        let next = self.next_weight(state.weight);
        let Some(held) = self.held_at(&state, approved_by.is_some()) else { return };
        match held {
            Held::By(reason) => self.say(reason),
            Held::ForGood(cause) => {
                self.roll_back(cause);
            }
            Held::No if all_report && passes && self.may_rise_to(next) && self.provide_pods(next) => {
                let by = approved_by.clone().map_or(Actor::Planner, Actor::Operator);
                self.rise_above(state.weight, by);
            }
            Held::No => {}
        }
    }

    /// Every proxy has sent everybody to the canary: it is watched before its version becomes stable.
    fn begin_bake(&mut self) {
        let duration = self.release.analysis.bake;
        if duration.is_zero() {
            self.end_bake();
            return;
        }
        self.status.evidence.begin_step(self.now);
        self.status.phase = Phase::Baking(BakeState { since: self.now, paused: None, held_at: None });
        self.say(Hold::Baking { duration });
    }

    /// Goes on watching, and ends it when its time is over and nothing speaks against the canary.
    fn bake(&mut self, since: Timestamp) {
        let duration = self.release.analysis.bake;
        if elapsed(Some(since), None, self.now) < duration {
            self.say(Hold::Baking { duration });
            return;
        }
        match self.status.evidence.verdict(&self.release.analysis, self.now) {
            Verdict::NotYet(Wait::Doubt { metric }) => self.say(Hold::Doubtful { metric }),
            Verdict::NotYet(Wait::SharedTrouble { metric }) => self.say(Hold::SharedTrouble { metric }),
            Verdict::NotYet(Wait::TrafficShare) => self.say(Hold::TrafficShare),
            // There is nobody to go back to, or everybody would be there.
            Verdict::Fail(_) => self.say(Hold::StableDown),
            // With few requests, time has to do.
            Verdict::NotYet(_) | Verdict::Pass => self.end_bake(),
        }
    }

    /// Everybody stays on the canary. In a blue-green release there is a way back still.
    pub(super) fn end_bake(&mut self) {
        self.say(Outcome::Promoted { run: self.status.run.clone() });
        if self.release.blue_green.is_some() {
            let state = KeepState { since: self.now, paused: None, approved_by: None };
            self.status.phase = Phase::Keeping(state);
        } else {
            self.hand_everybody_over();
        }
    }

    /// Nobody goes back any more: in a cluster, the canary's version becomes stable.
    pub(super) fn hand_everybody_over(&mut self) {
        let in_cluster = self.workloads().is_some();
        let state = HandoverState { insisted: self.insisted(), ..HandoverState::default() };
        self.status.phase = if in_cluster { Phase::HandingOver(state) } else { Phase::Promoted };
    }
}
