/*!
Status and file compared: crashes, lost states, edits by hand, and new runs.

The weight in front of the proxies never jumps because of what is found here: it is either left as it is, or the
weight that was wanted all along is written again, or everybody goes back to stable.
*/
use serin_policy::{Lease, Weight};

use super::analysis::Evidence;
use super::cause::Cause;
use super::commands::{Command, CommandKind};
use super::handover::{HandoverState, Probe};
use super::phase::{BakeState, Emptying, KeepState, Paused, Phase, StepState};
use super::reason::{Event, Hold, NotNow, Outcome, Reason};
use super::roles::RolesUnclear;
use super::status::Actor;
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
        *self.status.evidence = Evidence::default();
        self.users_begin_anew();
        self.begin_with_stable();
        if let InForce::Unreadable { why } = &self.observation.in_force {
            self.say(Event::PolicyUnreadable { why: why.clone() });
        }
        match &self.observation.in_force {
            // The state was lost, not the run: users stay where they are.
            InForce::Policy { run: found, weight, closed, .. } if *found == run => {
                let phase = match (*closed, self.place(*weight, None)) {
                    (_, _) if self.is_stables_own() => Phase::CuttingBack { canary: Emptying::InUse },
                    (true, _) if self.nothing_to_release() => Phase::CuttingBack { canary: Emptying::InUse },
                    (true, _) => Phase::rolled_back(Cause::FoundClosed),
                    (false, _) if self.probe_is_out(*weight) => Phase::HandingOver(HandoverState {
                        probe: Some(Probe::default()),
                        ..HandoverState::default()
                    }),
                    (false, Phase::OffPlan { weight: Weight::FULL }) => self.at_full(),
                    (false, phase) => phase,
                };
                let reason = Event::TakenUp { run, weight: *weight, closed: *closed };
                self.turn(Actor::Planner, phase, reason);
            }
            _ if self.nothing_to_release() => {
                // Whoever takes the new version back has users on it still, and its pods.
                let phase =
                    if is_over { Phase::Settled } else { Phase::CuttingBack { canary: Emptying::InUse } };
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

    /// Whether this run is what stable has, after versions have changed places: whoever is elsewhere goes there.
    fn is_stables_own(&self) -> bool {
        self.status.roles.retired.is_some()
            && self
                .workloads()
                .is_some_and(|(_, workloads)| workloads.stable.run.as_deref() == Some(self.release.run()))
    }

    /// Whether a person has suspended the Release before the present run began, and nobody is on a canary: then nothing is
    /// touched.
    pub(super) fn is_suspended_at_rest(&self) -> bool {
        let nobody_is_on_it = match &self.observation.in_force {
            InForce::Nothing => true,
            InForce::Policy { run, closed, .. } => *closed && run != self.release.run(),
            InForce::Unreadable { .. } => false,
        };
        self.is_suspended() && self.status.run != self.release.run() && self.is_over() && nobody_is_on_it
    }

    /// Whether nobody can be on the canary any more, and nothing is to be done about its pods.
    fn is_over(&self) -> bool {
        match &self.status.phase {
            Phase::Waiting | Phase::Promoted | Phase::Settled => true,
            Phase::RolledBack { canary, .. } | Phase::Aborted { canary, .. } => *canary == Emptying::Empty,
            _ => false,
        }
    }

    /// Where a run begins.
    pub(super) fn beginning(&self) -> Phase {
        match self.workloads() {
            Some(_) => Phase::Preparing { reported: false },
            None => Phase::STARTING,
        }
    }

    /// Where a run stands that is found at 100 %.
    fn at_full(&self) -> Phase {
        if self.release.blue_green.is_some() {
            // How long the old version was kept is lost as well.
            Phase::Keeping(KeepState { since: self.now, paused: None, approved_by: None })
        } else if self.workloads().is_some() {
            Phase::HandingOver(HandoverState::default())
        } else {
            Phase::Promoted
        }
    }

    /// The status is about the Release's run.
    fn compare(&mut self) {
        if self.status.stable_run.is_none() {
            // An agent has begun the run that did not note it.
            self.note_stable();
        }
        if self.ends_the_way_back() {
            return;
        }
        let (weight, closed) = (self.status.weight(), self.status.is_closed());
        match &self.observation.in_force {
            InForce::Policy { revision: found, weight: present, .. } if *found < self.status.revision => {
                // A rise that was decided and not written is a rise still: proxies may have gone silent since.
                if weight <= *present || self.ends_failed_probe(*present) || self.all_run(*found) {
                    let reason = Event::PolicyBehind { found: *found, wanted: self.status.revision };
                    self.set_right(Write::Again, reason);
                }
            }
            InForce::Policy { run, revision, weight: found, closed: found_closed, .. }
                if *revision > self.status.revision
                    || (run.as_str(), *found, *found_closed)
                        != (self.status.run.as_str(), weight, closed) =>
            {
                if *found_closed && !closed && *run == self.status.run {
                    // Whoever closed the canary meant it; it is not for a planner to put users back on it.
                    let cause = Cause::FoundClosed;
                    let reason = Outcome::RolledBack { cause: cause.clone() };
                    self.turn(Actor::Planner, Phase::rolled_back(cause), reason);
                } else {
                    let reason =
                        Event::PolicyEdited { run: run.clone(), weight: *found, closed: *found_closed };
                    self.set_right(Write::Anew, reason);
                }
            }
            // Another revision, so that every proxy says when it goes on.
            // While nobody is to be moved, nobody goes back to the canary either.
            InForce::Policy { lease: Lease::Lapsed, .. } if self.is_suspended() => {
                self.write_again(Write::NotYet, Event::LeaseLapsed);
            }
            InForce::Policy { lease: Lease::Lapsed, .. } if self.tell_freeze() => {
                self.write_again(Write::NotYet, Event::LeaseLapsed);
            }
            InForce::Policy { lease: Lease::Lapsed, .. } => self.set_right(Write::Anew, Event::LeaseLapsed),
            InForce::Policy { .. } => {}
            InForce::Nothing => self.set_right(Write::Anew, Event::PolicyGone),
            InForce::Unreadable { why } => {
                self.set_right(Write::Anew, Event::PolicyUnreadable { why: why.clone() });
            }
        }
        if self.status.fingerprint != self.release.fingerprint() {
            self.write_again(Write::Anew, Event::ReleaseEdited);
        }
    }

    /// Writes once more what somebody else may have changed, unless that is to wait.
    fn set_right(&mut self, write: Write, reason: impl Into<Reason>) {
        let write = if self.policy_waits() { Write::NotYet } else { write };
        self.write_again(write, reason);
    }

    /// Whether the policy is left as it is found for now, because somebody else keeps changing it. What takes users off the
    /// canary never waits, nor what keeps them off a stable that is being replaced.
    fn policy_waits(&self) -> bool {
        let in_force = &self.observation.in_force;
        let is_open = matches!(in_force, InForce::Policy { closed: false, .. });
        let goes_back = in_force.share() > self.status.weight() || is_open && self.status.is_closed();
        let is_handing_over = matches!(self.status.phase, Phase::HandingOver(_));
        self.in_cluster().is_some_and(|cluster| cluster.policy_waits) && !goes_back && !is_handing_over
    }

    /// Writes what is wanted once more. What was observed until now may have been something else, so the present
    /// step's clock begins anew; evidence against the canary is kept.
    fn write_again(&mut self, write: Write, reason: impl Into<Reason>) {
        self.say(reason);
        let write = if self.restore() { write } else { Write::NotYet };
        self.forget_approvals();
        self.write = self.write.max(write);
        self.status.phase = match std::mem::take(&mut self.status.phase) {
            Phase::Progressing(StepState { weight, paused, .. }) => self.place(weight, paused),
            Phase::OffPlan { weight } => self.place(weight, None),
            Phase::Baking(BakeState { paused, .. }) => {
                let paused = paused.map(|paused| Paused { since: self.now, ..paused });
                Phase::Baking(BakeState { since: self.now, paused, held_at: None })
            }
            other => other,
        };
    }

    /// Has the canary given the pods for what is wanted, if that is more than it has. Returns whether it can bear it, or
    /// stable, if that is everybody.
    fn restore(&mut self) -> bool {
        let in_force = &self.observation.in_force;
        let weight = self.status.weight();
        let present = in_force.share_of(&self.status.run);
        if self.ends_failed_probe(present) {
            return true;
        }
        if weight > present {
            return self.write != Write::NotYet && self.provide_pods(weight);
        }
        // Nobody is sent back to a stable that is not there, neither now nor a tick late.
        let has_a_way =
            weight > Weight::ZERO || in_force.share() == Weight::ZERO || self.stable_can_take_all();
        if !has_a_way {
            self.say(Hold::StableDown);
        }
        has_a_way
    }

    /// Where a run at `weight` stands among the Release's steps, which may have been edited.
    fn place(&self, weight: Weight, paused: Option<Paused>) -> Phase {
        if weight == Weight::ZERO {
            return Phase::Starting { since: None, paused, held_at: None, mirrors: false, approved_by: None };
        }
        match self.release.steps.iter().position(|step| step.weight == weight) {
            Some(index) => Phase::Progressing(StepState { paused, ..StepState::new(index, weight) }),
            None => Phase::OffPlan { weight },
        }
    }

    /// Takes the roles that were found, where none were saved. Returns why it cannot.
    pub(super) fn take_roles(&mut self) -> Option<RolesUnclear> {
        match &self.in_cluster()?.roles {
            Ok(roles) => {
                self.status.roles = roles.clone();
                None
            }
            Err(unclear) => Some(unclear.clone()),
        }
    }

    /// Leaves everything as it is found, for what was decided before cannot be read. A person may still take everybody
    /// back: that decision needs nothing but itself.
    pub(super) fn leave_unreadable(&mut self) {
        let Phase::Unreadable { why, .. } = &self.status.phase else { return };
        let why = why.clone();
        for Command { kind, by, .. } in &self.observation.commands {
            if *kind == CommandKind::Abort && self.stable_can_take_all() {
                self.release.run().clone_into(&mut self.status.run);
                self.begin_with_stable();
                let phase = Phase::Aborted { by: by.clone(), canary: Emptying::InUse };
                self.turn(Actor::Operator(by.clone()), phase, Outcome::Aborted { by: by.clone() });
                return;
            }
            let why = NotNow::Unreadable;
            self.say(Event::CommandRefused { command: *kind, by: by.clone(), why });
        }
        self.say(Hold::StateUnreadable { why: why.clone() });
        if let InForce::Policy { weight, closed, .. } = self.observation.in_force {
            self.status.phase = Phase::Unreadable { why, weight, closed };
        }
    }
}
