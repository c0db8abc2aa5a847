/*!
Status and file compared: crashes, lost states, edits by hand, and new runs.

The weight in front of the proxies never jumps because of what is found here: it is either left as it is, or the
weight that was wanted all along is written again, or everybody goes back to stable.
*/
use serin_policy::Weight;

use super::analysis::Evidence;
use super::handover::{HandoverState, Probe};
use super::reason::{Event, Outcome, Reason};
use super::status::{Actor, Cause, Paused, Phase, Stage, StepState};
use super::{InForce, Tick, Write};

impl Tick<'_> {
    /// Sets right whatever differs between the Release, the status and the file.
    pub(super) fn compare_with_policy(&mut self) {
        if self.status.run == self.release.run() {
            self.compare();
        } else {
            self.take_up_or_begin();
        }
    }

    /// The status is about another run than the Release, or about none.
    fn take_up_or_begin(&mut self) {
        let run = self.release.run().to_owned();
        let previous = std::mem::replace(&mut self.status.run, run.clone());
        let is_over = self.is_over();
        self.status.evidence = Evidence::default();
        self.note_floor();
        if let InForce::Unreadable { why } = &self.observation.in_force {
            self.say(Event::PolicyUnreadable { why: why.clone() });
        }
        match &self.observation.in_force {
            // The state was lost, not the run: users stay where they are.
            InForce::Policy { run: found, weight, closed, .. } if *found == run => {
                let phase = match (*closed, self.place(*weight, None)) {
                    (true, _) if self.nothing_to_release() => Phase::CuttingBack,
                    (true, _) => Phase::RolledBack { cause: Cause::FoundClosed },
                    (false, _) if self.probe_is_out(*weight) => {
                        Phase::HandingOver(HandoverState { in_vain: 0, probe: Some(Probe::default()) })
                    }
                    (false, Phase::OffPlan { weight: Weight::FULL }) => self.at_full(),
                    (false, phase) => phase,
                };
                let reason = Event::TakenUp { run, weight: *weight, closed: *closed };
                self.turn(Actor::Planner, phase, reason);
            }
            _ if self.nothing_to_release() => {
                // Whoever takes the new version back has users on it still, and its pods.
                let phase = if is_over { Phase::Settled } else { Phase::CuttingBack };
                self.turn(Actor::Planner, phase, Outcome::NothingToRelease);
            }
            _ => {
                let reason = if previous.is_empty() {
                    Event::Started { run }
                } else {
                    Event::NewRun { previous, run }
                };
                self.turn(Actor::Planner, self.beginning(), reason);
            }
        }
    }

    /// Whether nobody can be on the canary any more, and nothing is to be done about its pods.
    fn is_over(&self) -> bool {
        match &self.status.phase {
            Phase::Waiting | Phase::Promoted | Phase::Settled => true,
            Phase::RolledBack { .. } | Phase::Aborted { .. } => self.status.canary_is_down,
            _ => false,
        }
    }

    /// Where a run begins.
    pub(super) fn beginning(&self) -> Phase {
        match self.workloads() {
            Some(_) => Phase::Preparing,
            None => Phase::Starting { since: None, paused: None },
        }
    }

    /// Where a run stands that is found at 100 %.
    fn at_full(&self) -> Phase {
        if self.workloads().is_some() {
            Phase::HandingOver(HandoverState::default())
        } else {
            Phase::Promoted
        }
    }

    /// The status is about the Release's run.
    fn compare(&mut self) {
        let (weight, closed) = (self.status.weight(), self.status.is_closed());
        match &self.observation.in_force {
            InForce::Policy { revision: found, weight: present, .. } if *found < self.status.revision => {
                // A rise that was decided and not written is a rise still: proxies may have gone silent since.
                if weight <= *present || self.ends_failed_probe(*present) || self.all_run(*found) {
                    let reason = Event::PolicyBehind { found: *found, wanted: self.status.revision };
                    self.write_again(Write::Again, reason);
                }
            }
            InForce::Policy { run, revision, weight: found, closed: found_closed }
                if *revision > self.status.revision
                    || (run.as_str(), *found, *found_closed)
                        != (self.status.run.as_str(), weight, closed) =>
            {
                if *found_closed && !closed && *run == self.status.run {
                    // Whoever closed the canary meant it; it is not for a planner to put users back on it.
                    let cause = Cause::FoundClosed;
                    let reason = Outcome::RolledBack { cause: cause.clone() };
                    self.turn(Actor::Planner, Phase::RolledBack { cause }, reason);
                } else {
                    let reason =
                        Event::PolicyEdited { run: run.clone(), weight: *found, closed: *found_closed };
                    self.write_again(Write::Anew, reason);
                }
            }
            InForce::Policy { .. } => {}
            InForce::Nothing => self.write_again(Write::Anew, Event::PolicyGone),
            InForce::Unreadable { why } => {
                self.write_again(Write::Anew, Event::PolicyUnreadable { why: why.clone() });
            }
        }
        if self.status.fingerprint != self.release.fingerprint() {
            self.write_again(Write::Anew, Event::ReleaseEdited);
        }
    }

    /// Writes what is wanted once more. What was observed until now may have been something else, so the present
    /// step's clock begins anew; evidence against the canary is kept.
    fn write_again(&mut self, write: Write, reason: impl Into<Reason>) {
        self.say(reason);
        let write = if self.may_be_restored() { write } else { Write::NotYet };
        self.write = self.write.max(write);
        self.status.phase = match std::mem::take(&mut self.status.phase) {
            Phase::Progressing(StepState { weight, paused, .. }) => self.place(weight, paused),
            Phase::OffPlan { weight } => self.place(weight, None),
            other => other,
        };
    }

    /// Whether the canary can bear what is wanted, if that is more than it has, or stable, if that is everybody.
    fn may_be_restored(&mut self) -> bool {
        let in_force = &self.observation.in_force;
        let weight = self.status.weight();
        let present = in_force.share_of(&self.status.run);
        if self.ends_failed_probe(present) {
            return true;
        }
        if weight > present {
            return self.write != Write::NotYet && self.capacity_allows(weight);
        }
        // Nobody is sent back to a stable that is not there, neither now nor a tick late.
        weight > Weight::ZERO || in_force.share() == Weight::ZERO || self.stable_can_take_all()
    }

    /// Where a run at `weight` stands among the Release's steps, which may have been edited.
    fn place(&self, weight: Weight, paused: Option<Paused>) -> Phase {
        if weight == Weight::ZERO {
            return Phase::Starting { since: None, paused };
        }
        match self.release.steps.iter().position(|step| step.weight == weight) {
            Some(index) => Phase::Progressing(StepState { index, weight, stage: Stage::RollingOut, paused }),
            None => Phase::OffPlan { weight },
        }
    }
}
