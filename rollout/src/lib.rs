/*!
The planner: a pure function from how things are to what should be next, and why.

[`plan`] does no I/O, reads no clock and keeps nothing: the same Release, status, observation and time always give
the same [`Plan`]. Whoever calls it saves the status first and writes the push then, in this order: a crash
between the two leaves a file that is behind, which the next tick makes good. The planner never takes the status
for the truth about the weight; the file in front of the proxies is that.

A tick goes through four rooms. `policy_drift` compares status and file and sets right what differs; `analysis` judges
what was counted; `commands` obeys people; `steps` goes on when nothing holds it. In a cluster all of them ask
`workloads` what the Deployments behind the two versions can bear, and it says at the end how they are wanted; the
file is the WasmPlugin there. Four invariants go through all of them:

- The weight rises by one step or the promotion at a time, only from a weight that every proxy reports. What is
  undone is no rise: the few whom a promoted version's own stable does not serve go back where they were.
- Once the canary is closed it stays closed until a person retries or another run begins.
- In a cluster nobody is sent to a version that has no pods for them, neither there nor back.
- Every tick says why things are as they are, in [`Reason`]s.
*/
mod analysis;
mod approvals;
mod at_rest;
mod blue_green;
mod brought;
mod cause;
mod clocks;
#[cfg(test)]
mod cluster_properties;
mod commands;
#[cfg(test)]
mod deployments;
mod freeze;
mod handover;
mod held;
mod history;
mod hooks;
mod in_force;
mod lagging;
mod messages;
mod next_step;
mod observation;
mod phase;
mod policy_drift;
#[cfg(test)]
mod properties;
mod reason;
mod receding;
mod roles;
pub mod saved;
#[cfg(test)]
mod scenarios;
mod stables_owner;
mod status;
mod steps;
mod term;
mod versions;
mod workloads;
#[cfg(test)]
mod world;

use jiff::Timestamp;
use serin_policy::{PolicySpec, Weight};

pub use analysis::{
    CohortRatio, Evidence, Failure, Finding, Forecast, Grouped, Injected, Judged, Limit, MirrorFinding,
    Moment, OneIn, Promise, Raise, ReadingFinding, Reference, SegmentFinding, Share, Test, TestKind,
    Unjudged, UsersFinding, Verdict, Wait, WhyNot, Won,
};
pub use approvals::{Approvals, Sought};
pub use at_rest::Mirroring;
pub use brought::Brought;
pub use cause::Cause;
pub use commands::{Command, CommandKind};
pub use handover::HandoverState;
pub use history::{History, Point};
pub use hooks::{Answer, Question, Said};
pub use in_force::InForce;
pub use lagging::{Lag, Lagging};
pub use observation::{
    ArmCounts, ArmUsers, Cell, Chooser, Chosen, Contested, Counts, Drawn, EDGES_MS, Environment, InCluster,
    MetricReading, MetricValue, Mirrored, Observation, Proxy, ProxyState, ROUTE_GROUPS, Users,
};
pub use phase::{BakeState, Emptying, KeepState, Paused, Phase, Stage, StepState};
pub use reason::{Awaits, Event, Hold, NotNow, Outcome, Reason, Severity};
pub use receding::RecedeState;
pub use roles::{Candidate, Live, Roles, RolesUnclear, RouteTargets, Traces};
pub use status::{Actor, Change, Draw, Pods, Progress, Status};
pub use term::Term;
pub use versions::{VersionProgress, VersionStage, VersionState, Versions};
pub use workloads::{Given, Lack, PodLimit, Replicas, Wanted, Workload, Workloads};

use serin_release::Release;

/// What should be next.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// To be saved before anything else is done.
    pub status: Status,
    /// To be written in front of the proxies then.
    pub push: Option<Push>,
    /// How long what is in front of them then may stay without another look.
    pub term: Term,
    /// How Deployments and routes are wanted in a cluster; none if all is to be left as it is.
    pub wanted: Option<Wanted>,
    /// Why things are as they are; never empty.
    pub reasons: Vec<Reason>,
}

/// A policy to be written in front of the proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Push {
    /// Its revision.
    pub revision: u64,
    /// The canary's share.
    pub weight: Weight,
    /// Whether the canary takes no traffic at all.
    pub closed: bool,
    /// Whether the canary is to become stable: everybody goes to it, but for those who go back first.
    pub promoted: bool,
    /// What it does besides.
    pub besides: Besides,
}

/// What a policy does besides giving users to versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Besides {
    /// Nothing.
    Nothing,
    /// The canary gets copies of stable's requests.
    Mirror,
    /// Users are taken off the canary, all of them.
    GoingBack,
}

impl Push {
    /// The policy itself.
    pub fn policy(&self, release: &Release) -> PolicySpec {
        let policy = release.policy(self.revision, self.weight, self.closed, self.promoted);
        match self.besides {
            Besides::Nothing => policy,
            Besides::Mirror => release.mirroring(policy),
            Besides::GoingBack => release.going_back(policy),
        }
    }
}

/// Decides what should be next for `release`, given what the last tick left in `status`.
pub fn plan(release: &Release, status: &Status, observation: &Observation, now: Timestamp) -> Plan {
    let mut tick = Tick {
        release,
        observation,
        now,
        status: status.clone(),
        lacked_since: status.pods.lacking_since,
        write: Write::Nothing,
        decision: None,
        reasons: Vec::new(),
    };
    // Whatever else holds the run begins that wait anew.
    tick.status.pods.lacking_since = None;
    tick.tell_refusals();
    if let Some(unclear) = tick.take_roles() {
        tick.say(Hold::RolesUnclear(unclear));
        tick.refuse_all(NotNow::Blocked);
        return tick.settle(status);
    }
    if let Phase::Unreadable { .. } = tick.status.phase {
        tick.leave_unreadable();
        return tick.settle(status);
    }
    if tick.stays_in_its_run() {
        tick.say(Hold::StableDown);
        tick.say(Hold::RunWaits { run: release.run().to_owned() });
        tick.refuse_all(NotNow::StableDown);
        return tick.settle(status);
    }
    if tick.is_suspended_at_rest() {
        tick.say(Hold::Suspended);
        tick.refuse_all(NotNow::Suspended);
        return tick.settle(status);
    }
    tick.compare_with_policy();
    tick.keep_versions();
    tick.note_given();
    tick.take_in_brought();
    tick.take_in_answers();
    let failed = tick.judge()
        || tick.leave_what_turns_grave()
        || tick.heed_fuses()
        || tick.leave_what_is_gone()
        || tick.leave_at_a_hooks_word();
    tick.judge_versions();
    tick.end_failed_probe();
    for command in &observation.commands {
        tick.obey(command, failed);
    }
    tick.take_given_approvals();
    tick.go_on();
    tick.tell_hooks_of_the_end();
    tick.settle(status)
}

/// A tick under way.
struct Tick<'t> {
    release: &'t Release,
    observation: &'t Observation,
    now: Timestamp,
    status: Status,
    /// Since when the canary has lacked pods, as of the last tick.
    lacked_since: Option<Timestamp>,
    write: Write,
    /// Who last decided something in this tick, and why.
    decision: Option<(Actor, Reason)>,
    reasons: Vec<Reason>,
}

/// So many proxies are named in what is saved.
const MOST_NAMED: usize = 20;

/// What is to be written in front of the proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Write {
    /// Nothing: what is there is what is wanted.
    Nothing,
    /// Nothing yet: what was lost is to be written, and the canary lacks the pods for it.
    NotYet,
    /// What was decided earlier and did not get there.
    Again,
    /// Something new, or something that was lost: a higher revision.
    Anew,
}

impl Tick<'_> {
    /// Gives a reason, if it was not given in this tick.
    fn say(&mut self, reason: impl Into<Reason>) {
        let reason = reason.into();
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    /// Enters `phase`, which wants something else in front of the proxies than before.
    fn turn(&mut self, by: Actor, phase: Phase, reason: impl Into<Reason>) {
        let reason = reason.into();
        self.status.phase = phase;
        self.forget_approvals();
        self.write = Write::Anew;
        self.say(reason.clone());
        self.decision = Some((by, reason));
    }

    /// Takes in what was counted, and takes the canary off the air if the evidence is against it. Returns whether it
    /// was.
    fn judge(&mut self) -> bool {
        let steps_up_to = |weight| self.release.steps.iter().take_while(|step| step.weight <= weight).count();
        let (weight, step_index, settled) = match &self.status.phase {
            Phase::Starting { since: Some(_), .. } => (Weight::ZERO, 0, Some(Weight::ZERO)),
            Phase::Progressing(StepState { weight, index, stage, .. }) => {
                let settled = matches!(stage, Stage::Observing { .. }).then_some(*weight);
                (*weight, index + 1, settled)
            }
            // Between two steps the next one's cohort is on both versions: it is none to compare with.
            Phase::OffPlan { weight } | Phase::Receding(RecedeState { weight, .. }) => {
                (*weight, steps_up_to(*weight) + 1, None)
            }
            // Some are still where they were before.
            Phase::Promoting => (Weight::FULL, self.release.steps.len() + 1, None),
            Phase::Baking(_) => (Weight::FULL, self.release.steps.len() + 1, Some(Weight::FULL)),
            // Until every proxy knows the run, what is counted may be another run's; and what is over is not judged.
            _ => return false,
        };
        let moment = Moment { step_index, settled, now: self.now };
        if let Some((_, workloads)) = self.workloads() {
            let ready = workloads.canary.ready;
            self.status.evidence.note_pods(ready, self.now);
        }
        let Observation { counted, chosen, mirrored, users, .. } = self.observation;
        let (of_both, moment) = if self.release.versions.is_empty() {
            (None, moment)
        } else {
            // While a version comes or goes, the canary's odds are on their way.
            let settled = moment.settled.filter(|_| self.all_report());
            let settled = settled.map(|weight| self.status.beside_stable(weight));
            (Some(self.counted_of_both()), Moment { settled, ..moment })
        };
        let counted = of_both.as_ref().unwrap_or(counted);
        self.status.evidence.take_in(counted, *users, moment, self.release);
        self.status.evidence.take_in_chosen(chosen, counted, self.now, self.release);
        if step_index == 0 {
            self.status.evidence.take_in_unassignable(self.observation.unassignable);
            if self.status.mirrors() {
                self.status.evidence.take_in_mirrored(*mirrored, &self.release.analysis);
            }
        } else {
            self.status.evidence.take_in_readings(&self.observation.readings, self.release);
        }
        let Verdict::Fail(failure) = self.status.evidence.verdict(&self.release.analysis, self.now) else {
            return false;
        };
        if matches!(self.status.phase, Phase::Receding(_)) {
            // That it is bad is known; whether it is grave is looked at next.
            return false;
        }
        // Some stay on it: whoever takes back the rest is heard in the same tick.
        !self.recede(weight, &failure) && self.roll_back(Cause::Failed { weight, failure })
    }

    /// Takes the canary off the air if proxies have closed it by themselves. Returns whether it did.
    fn heed_fuses(&mut self) -> bool {
        // Once everybody is to get the canary no proxy goes by its fuse. One may have blown as that was being written, though.
        let is_theirs = matches!(
            self.status.phase,
            Phase::Progressing(_)
                | Phase::OffPlan { .. }
                | Phase::Receding(_)
                | Phase::Promoting
                | Phase::Baking(_)
        );
        if !is_theirs {
            return false;
        }
        let weight = self.status.weight();
        let proxies = self.observation.blown_fuses.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>();
        let Counts { stable, canary } = self.status.evidence.step();
        let (canary, stable) = (canary.failed(), stable.failed());
        !proxies.is_empty() && self.roll_back(Cause::Fuse { weight, proxies, canary, stable })
    }

    /// Takes the canary off the air, if there is anybody to go back to; says so if there is not. Returns whether it did.
    fn roll_back(&mut self, cause: Cause) -> bool {
        if !self.stable_can_take_all() {
            self.say(Hold::StableDown);
            return false;
        }
        let reason = Outcome::RolledBack { cause: cause.clone() };
        self.turn(Actor::Planner, Phase::rolled_back(cause), reason);
        true
    }

    /// Ends the tick that began with `before`.
    fn settle(mut self, before: &Status) -> Plan {
        self.hold_approvals();
        for hold in self.contested() {
            self.say(hold);
        }
        if self.write == Write::Anew {
            self.status.revision = self.highest_revision().saturating_add(1);
            self.status.fingerprint = self.release.fingerprint();
        }
        if self.write > Write::NotYet {
            self.nobody_has_reported();
        }
        self.status.routes = self.route_targets();
        self.note_change(before);
        let wanted = self.wanted();
        let term = self.term();
        let Self { status, write, reasons, .. } = self;
        let push = (write > Write::NotYet).then(|| status.push());
        Plan { status, push, term, wanted, reasons }
    }

    /// Until proxies report what is being written, somebody may be elsewhere.
    const fn nobody_has_reported(&mut self) {
        match &mut self.status.phase {
            Phase::Preparing { reported } => *reported = false,
            phase => {
                if let Some(canary @ Emptying::Draining { .. }) = phase.emptying() {
                    *canary = Emptying::InUse;
                }
            }
        }
    }

    /// Notes in the status what this tick changed, if it changed what users get.
    fn note_change(&mut self, before: &Status) {
        let before = match (before.run.as_str(), &self.observation.in_force) {
            // No status was kept: what changes, changes from what is there.
            ("", InForce::Policy { run, weight, closed, .. }) => Some((run.as_str(), *weight, *closed)),
            ("", _) => None,
            (run, _) => Some((run, before.weight(), before.is_closed())),
        };
        let status = &self.status;
        let (weight_after, closed) = (status.weight(), status.is_closed());
        if before == Some((status.run.as_str(), weight_after, closed)) {
            return;
        }
        // What users get changes by decisions only.
        let Some((by, reason)) = self.decision.take() else { return };
        self.status.last_change = Some(Change {
            at: self.now,
            by,
            reason,
            run: self.status.run.clone(),
            weight_before: before.map_or(Weight::ZERO, |(_, weight, _)| weight),
            weight_after,
            closed,
            revision: self.status.revision,
        });
    }

    /// The highest revision anybody knows of: a new one above it cannot be taken for an old one.
    fn highest_revision(&self) -> u64 {
        let in_force = match self.observation.in_force {
            InForce::Policy { revision, .. } => revision,
            InForce::Nothing | InForce::Unreadable { .. } => 0,
        };
        let reported = self.observation.proxies.iter().map(|proxy| match proxy.state {
            ProxyState::Runs { revision, .. } => revision,
            ProxyState::Silent { .. } | ProxyState::Bypassed => 0,
        });
        reported.fold(self.status.revision.max(in_force), u64::max)
    }
}
