/*!
Whose word it takes where a run waits for a person: at a step without a duration, and before the cutover of a blue-green release.

Where several have to approve, a person counts once, and only by a name that somebody proves. What was given is kept for the point
of the run at which it was asked for: whatever moves users, and an edit that has the step begin anew, asks anew.
*/
use std::fmt;
use std::time::Duration;

use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};
use serin_policy::Weight;

use super::Tick;
use super::cause::Cause;
use super::commands::Command;
use super::phase::{Phase, Stage, StepState, elapsed, leave_out};
use super::reason::{Event, NotNow, Reason};
use serin_release::resource::OnTimeout;
use serin_release::{Gate, Pause, Step};

/// A wait for people's approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approvals {
    /// Since when; time in which something else holds the run is left out by moving this on.
    pub since: Timestamp,
    /// Since when something else holds it, at the last look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_at: Option<Timestamp>,
    /// Who has approved, of several who have to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
}

/// Whose word a run waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Sought {
    /// How many have to approve.
    pub required: u32,
    /// Who has, where they are several.
    pub by: Vec<String>,
    /// How long they have for it.
    pub until: Option<Timestamp>,
    /// What becomes of the run then.
    pub then: OnTimeout,
}

impl fmt::Display for Sought {
    /// ` (1 of 2: ann; until 2026-11-28T14:00:00Z, and back to stable then)`, or nothing where any one's word will do for ever.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = (self.required > 1).then(|| {
            let names = if self.by.is_empty() { String::new() } else { format!(": {}", self.by.join(", ")) };
            format!("{} of {}{names}", self.by.len(), self.required)
        });
        let until = self.until.map(|until| {
            let until = until.round(Unit::Second).unwrap_or(until);
            let then = if self.then == OnTimeout::Rollback { ", and back to stable then" } else { "" };
            format!("until {until}{then}")
        });
        let parts: Vec<_> = given.into_iter().chain(until).collect();
        if parts.is_empty() { Ok(()) } else { write!(f, " ({})", parts.join("; ")) }
    }
}

impl Tick<'_> {
    /// Whose word the run waits for, here.
    pub(super) fn sought(&self) -> Sought {
        let approval = self.release.approval;
        let (since, by) = match &self.status.approvals {
            Some(Approvals { since, by, .. }) => (*since, by.clone()),
            None => (self.now, Vec::new()),
        };
        let until = approval.timeout.map(|timeout| since.checked_add(timeout).unwrap_or(Timestamp::MAX));
        Sought { required: approval.required, by, until, then: approval.on_timeout }
    }

    /// Takes `command` for an approval, and returns who has approved if no more are needed.
    pub(super) fn take_approval(&mut self, command: &Command) -> Result<Option<String>, NotNow> {
        let Command { by, person, .. } = command;
        if self.late_by().is_some() {
            return Err(NotNow::TooLate);
        }
        let required = self.release.approval.required;
        if required == 1 {
            return Ok(Some(by.clone()));
        }
        let Some(person) = person else { return Err(NotNow::NotProved) };
        let now = self.now;
        let given = &mut self.status.approvals.get_or_insert_with(|| Approvals::begin(now)).by;
        let is_known = given.contains(person);
        if !is_known {
            given.push(person.clone());
        }
        let given = count(given);
        if let Some(names) = self.approved_by_enough() {
            return Ok(Some(names));
        }
        if is_known {
            return Err(NotNow::ApprovedAlready);
        }
        self.say(Event::ApprovalGiven { by: by.clone(), given, required });
        Ok(None)
    }

    /// Who has approved, if they are as many as have to.
    fn approved_by_enough(&self) -> Option<String> {
        let given = &self.status.approvals.as_ref()?.by;
        (!given.is_empty() && count(given) >= self.release.approval.required).then(|| given.join(" and "))
    }

    /// Takes what was approved where fewer have to approve than when it was.
    pub(super) fn take_given_approvals(&mut self) {
        let Some(by) = self.approved_by_enough() else { return };
        if let Some(state) = self.step_to_approve() {
            self.approve_step(&state, by);
        } else if self.awaits_cutover() {
            self.approve_cutover(by);
        }
    }

    /// The run waits for people's approval, at `weight`. What becomes of it where nobody has given it in time; returns whether
    /// it waits on.
    pub(super) fn wait_for_approval(&mut self, weight: Weight) -> bool {
        let now = self.now;
        let approvals = self.status.approvals.get_or_insert_with(|| Approvals::begin(now));
        if let Some(held_at) = approvals.held_at.take() {
            leave_out(&mut approvals.since, held_at, now);
        }
        let Some(after) = self.late_by() else { return true };
        let Sought { required, by, then, .. } = self.sought();
        let given = count(&by);
        match then {
            OnTimeout::Rollback => !self.roll_back(Cause::NotApproved { weight, after, given, required }),
            OnTimeout::Hold => {
                self.say(Event::ApprovalLapsed { after, given, required });
                self.status.approvals = Some(Approvals::begin(now));
                true
            }
        }
    }

    /// Whatever else holds the run takes nothing of the time that people have.
    pub(super) fn hold_approvals(&mut self) {
        let waits = |reason: &Reason| matches!(reason, Reason::Hold(hold) if hold.is_for_approval());
        let is_only = self.reasons.iter().any(waits);
        if let Some(approvals) = self.status.approvals.as_mut().filter(|_| !is_only) {
            approvals.held_at.get_or_insert(self.now);
        }
    }

    /// Nobody is waited for any more, or for something else.
    pub(super) fn forget_approvals(&mut self) {
        self.status.approvals = None;
    }

    /// Whether everybody can be sent to the canary without leaving out people who have to approve.
    pub(super) fn skips_no_approval(&self) -> Result<(), NotNow> {
        if self.release.approval.required == 1 {
            return Ok(());
        }
        let weight = self.status.weight();
        let is_approved = match &self.status.phase {
            Phase::Starting { approved_by, .. }
            | Phase::Progressing(StepState { stage: Stage::Observing { approved_by, .. }, .. }) => {
                approved_by.is_some()
            }
            _ => false,
        };
        let is_ahead = |at: Weight| at > weight || at == weight && !is_approved;
        let asks = |step: &Step| step.pause == Pause::UntilApproved && is_ahead(step.weight);
        let is_cutover_ahead = self.release.blue_green.is_some_and(|it| it.cutover == Gate::Manual)
            && !(is_approved && self.cutover_takes_a_person(weight));
        if is_cutover_ahead || self.release.steps.iter().any(asks) {
            Err(NotNow::TakesSeveral)
        } else {
            Ok(())
        }
    }

    /// The time that people had, if it is over.
    fn late_by(&self) -> Option<Duration> {
        let Approvals { since, held_at, .. } = self.status.approvals.as_ref()?;
        let until = held_at.unwrap_or(self.now);
        self.release.approval.timeout.filter(|timeout| elapsed(Some(*since), None, until) >= *timeout)
    }
}

impl Approvals {
    /// Nobody has approved yet.
    const fn begin(now: Timestamp) -> Self {
        Self { since: now, held_at: None, by: Vec::new() }
    }
}

fn count(people: &[String]) -> u32 {
    u32::try_from(people.len()).unwrap_or(u32::MAX)
}
