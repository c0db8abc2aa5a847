/*!
What a blue-green release has besides. The new version has all its pods before anybody gets it; the cutover may wait for a
person; and after the bake the old version keeps its own, so that one write of the policy takes everybody back.
*/
use std::time::Duration;

use serin_policy::Weight;

use super::Tick;
use super::commands::Command;
use super::handover::HEARD_OF;
use super::phase::{KeepState, Phase, StepState, elapsed};
use super::reason::{Event, Hold, NotNow};
use super::status::Actor;
use serin_release::{BlueGreen, Gate};

impl Tick<'_> {
    /// For what share of the callers the new version has pods when it is to get `weight`.
    pub(super) fn pods_for(&self, weight: Weight) -> Weight {
        if self.release.blue_green.is_some() { Weight::FULL } else { weight }
    }

    /// Whether everybody is to get the new version next, from `weight`, and that takes a person's word.
    pub(super) fn cutover_takes_a_person(&self, weight: Weight) -> bool {
        let is_manual = self.release.blue_green.is_some_and(|it| it.cutover == Gate::Manual);
        is_manual && self.next_weight(weight) == Weight::FULL
    }

    /// The bake is over: the old version is kept for a time.
    pub(super) fn keep(&mut self, state: &KeepState) {
        let stable = self.workloads().and_then(|(_, workloads)| workloads.stable.run.clone());
        let by_run = stable.filter(|_| self.has_another_version());
        if by_run.is_none()
            && let Some(BlueGreen { keep: duration, cleanup, .. }) = self.release.blue_green
        {
            if elapsed(Some(state.since), None, self.now) < duration {
                self.say(Hold::Keeping { duration });
                return;
            }
            if cleanup == Gate::Manual && state.approved_by.is_none() {
                self.say(Hold::AwaitsCleanup);
                return;
            }
        }
        let by = state.approved_by.clone().map_or(Actor::Planner, Actor::Operator);
        self.say(Event::KeepEnded { by, by_run });
        self.hand_everybody_over();
    }

    /// Whether a run that begins waits for nothing but a person's word on the cutover.
    pub(super) fn awaits_cutover(&self) -> bool {
        match &self.status.phase {
            Phase::Starting { since: Some(since), paused: None, approved_by: None, mirrors, .. } => {
                self.cutover_takes_a_person(Weight::ZERO)
                    && self.rest_is_over(*since, *mirrors)
                    && self.lack(Weight::FULL).is_none()
            }
            _ => false,
        }
    }

    /// Approves of the cutover, in the name of all who have to.
    pub(super) fn approve_cutover(&mut self, by: String) {
        if let Phase::Starting { approved_by, .. } = &mut self.status.phase {
            *approved_by = Some(by.clone());
        }
        self.say(Event::CutoverApproved { by });
    }

    /// Approves of the cutover or of the old version's end, where the run waits for just that.
    pub(super) fn approve_of_turn(&mut self, command: &Command) -> Result<(), NotNow> {
        if self.awaits_cutover() {
            if let Some(by) = self.take_approval(command)? {
                self.approve_cutover(by);
            }
            return Ok(());
        }
        let (now, blue_green) = (self.now, self.release.blue_green);
        match &mut self.status.phase {
            Phase::Keeping(KeepState { since, approved_by: approved_by @ None, .. })
                if blue_green.is_some_and(|it| it.cleanup == Gate::Manual) =>
            {
                if elapsed(Some(*since), None, now) < blue_green.map_or(Duration::ZERO, |it| it.keep) {
                    return Err(NotNow::StillKept);
                }
                *approved_by = Some(command.by.clone());
                self.say(Event::CleanupApproved { by: command.by.clone() });
            }
            _ => return Err(NotNow::NothingToResume),
        }
        Ok(())
    }

    /// Says what a person has approved of at a step.
    pub(super) fn approved(&self, state: &StepState, by: &str) -> Event {
        let by = by.to_owned();
        if self.cutover_takes_a_person(state.weight) {
            Event::CutoverApproved { by }
        } else {
            Event::Approved { step: state.index + 1, by }
        }
    }

    /// How long everybody stays on stable, at least, when the new version has its pods. In a cluster, proxies hear of those
    /// before everybody goes to them at once.
    pub(super) fn baseline(&self) -> Duration {
        let asked_for = self.release.analysis.baseline;
        let is_in_cluster = self.workloads().is_some();
        if self.release.blue_green.is_some() && is_in_cluster { asked_for.max(HEARD_OF) } else { asked_for }
    }
}
