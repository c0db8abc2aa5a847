/*!
What people ask for, and the answer when it makes no sense.
*/
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serin_policy::Weight;

use super::analysis::Evidence;
use super::phase::{BakeState, Emptying, KeepState, Paused, Phase, Stage, StepState, leave_out};
use super::reason::{Event, NotNow, Outcome};
use super::status::Actor;
use super::{Tick, Write};

/// Something a person asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// What.
    pub kind: CommandKind,
    /// Who, in their own words, and why.
    pub by: String,
    /// Who that is, where somebody proves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
}

/// What a person may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommandKind {
    /// Hold the weight where it is. Evidence against the canary still counts.
    Pause,
    /// End a pause, or approve the step that waits for it.
    Resume,
    /// Skip what is left: everybody to the canary.
    Promote,
    /// Everybody back to stable, and stay there.
    Abort,
    /// Start over a run that was rolled back or aborted.
    Retry,
    /// Have this run go on although a window freezes it.
    OverrideFreeze,
}

impl fmt::Display for CommandKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Promote => "promote",
            Self::Abort => "abort",
            Self::Retry => "retry",
            Self::OverrideFreeze => "override-freeze",
        })
    }
}

impl Tick<'_> {
    /// Obeys `command`, or says why not. After a canary has `failed` in this tick nothing is obeyed: whoever gave
    /// the command did not know.
    pub(super) fn obey(&mut self, command: &Command, failed: bool) {
        let Command { kind, by, .. } = command;
        let obeyed = match kind {
            _ if failed => Err(NotNow::JustFailed),
            CommandKind::Pause => self.pause(by),
            CommandKind::Resume => self.resume(command),
            CommandKind::Promote => self.promote(by),
            CommandKind::Abort => self.abort(by),
            CommandKind::Retry => self.retry(by),
            CommandKind::OverrideFreeze => self.override_freeze(by),
        };
        if let Err(why) = obeyed {
            self.say(Event::CommandRefused { command: *kind, by: by.clone(), why });
        }
    }

    /// Obeys nothing that was asked for.
    pub(super) fn refuse_all(&mut self, why: NotNow) {
        for Command { kind, by, .. } in &self.observation.commands {
            self.say(Event::CommandRefused { command: *kind, by: by.clone(), why });
        }
    }

    /// Whether what a person asks for may move anybody to the canary.
    fn may_raise_to(&mut self, weight: Weight) -> Result<(), NotNow> {
        if self.is_suspended() {
            return Err(NotNow::Suspended);
        }
        if self.in_cluster().is_some_and(|it| !it.obstacles.is_empty() || !it.contested.is_empty()) {
            return Err(NotNow::Blocked);
        }
        if self.unscalable().next().is_some() {
            return Err(NotNow::Blocked);
        }
        if self.stable_changed().is_some() {
            return Err(NotNow::StableChanged);
        }
        if !self.all_report() {
            return Err(NotNow::ProxiesLag);
        }
        if !self.provide_pods(weight) {
            return Err(NotNow::LacksCapacity);
        }
        Ok(())
    }

    fn pause(&mut self, by: &str) -> Result<(), NotNow> {
        match &mut self.status.phase {
            Phase::Starting { paused, .. }
            | Phase::Progressing(StepState { paused, .. })
            | Phase::Baking(BakeState { paused, .. })
            | Phase::Keeping(KeepState { paused, .. }) => {
                if paused.is_some() {
                    return Err(NotNow::HeldAlready);
                }
                *paused = Some(Paused { by: by.to_owned(), since: self.now });
                Ok(())
            }
            Phase::OffPlan { .. } => Err(NotNow::HeldAlready),
            Phase::Receding(_) => Err(NotNow::GoingBack),
            Phase::Preparing { .. } => Err(NotNow::Preparing),
            _ => Err(NotNow::NothingInProgress),
        }
    }

    fn resume(&mut self, command: &Command) -> Result<(), NotNow> {
        let (now, by) = (self.now, command.by.as_str());
        if !self.status.phase.is_paused() && self.insist() {
            self.say(Event::Resumed { by: by.to_owned() });
            return Ok(());
        }
        match &mut self.status.phase {
            Phase::Starting { since, paused: paused @ Some(_), .. } => {
                go_on(paused, since.as_mut(), now);
            }
            Phase::Baking(BakeState { since, paused: paused @ Some(_), .. })
            | Phase::Keeping(KeepState { since, paused: paused @ Some(_), .. }) => {
                go_on(paused, Some(since), now);
            }
            Phase::Progressing(StepState { stage, paused: paused @ Some(_), .. }) => {
                let since = match stage {
                    Stage::RollingOut => None,
                    Stage::Observing { since, .. } => Some(since),
                };
                go_on(paused, since, now);
            }
            Phase::Progressing(_) => return self.approve(command),
            Phase::OffPlan { weight } => {
                let weight = *weight;
                let next = self.next_weight(weight);
                if next == Weight::FULL {
                    self.skips_no_approval()?;
                }
                self.is_not_frozen()?;
                self.may_raise_to(next)?;
                self.rise_above(weight, Actor::Operator(by.to_owned()));
                return Ok(());
            }
            Phase::Preparing { .. } => return Err(NotNow::Preparing),
            Phase::Receding(_) => return Err(NotNow::GoingBack),
            Phase::Starting { paused: None, .. } | Phase::Keeping(_) => return self.approve_of_turn(command),
            Phase::Promoting | Phase::Baking(_) => return Err(NotNow::NothingToResume),
            _ => return Err(NotNow::NothingInProgress),
        }
        self.say(Event::Resumed { by: by.to_owned() });
        Ok(())
    }

    /// Approves a step that has passed and waits for just that.
    fn approve(&mut self, command: &Command) -> Result<(), NotNow> {
        let state = self.step_to_approve().ok_or(NotNow::NothingToResume)?;
        if let Some(by) = self.take_approval(command)? {
            self.approve_step(&state, by);
        }
        Ok(())
    }

    /// The same in the name of all who have to.
    pub(super) fn approve_step(&mut self, state: &StepState, by: String) {
        let event = self.approved(state, &by);
        if let Phase::Progressing(StepState { stage: Stage::Observing { approved_by, .. }, .. }) =
            &mut self.status.phase
        {
            *approved_by = Some(by);
        }
        self.say(event);
    }

    fn promote(&mut self, by: &str) -> Result<(), NotNow> {
        match self.status.phase {
            Phase::Preparing { .. }
            | Phase::Starting { .. }
            | Phase::Progressing(_)
            | Phase::OffPlan { .. } => {
                self.skips_no_approval()?;
                self.is_not_frozen()?;
                self.may_raise_to(Weight::FULL)?;
                let by = Actor::Operator(by.to_owned());
                self.turn(by.clone(), Phase::Promoting, Event::Promoting { by });
                Ok(())
            }
            Phase::Baking(_) => {
                self.may_raise_to(Weight::FULL)?;
                self.say(Event::BakeEnded { by: by.to_owned() });
                self.end_bake();
                Ok(())
            }
            Phase::Receding(_) => Err(NotNow::GoingBack),
            Phase::Settled if self.nothing_to_release() => Err(NotNow::NothingToRelease),
            Phase::Promoting
            | Phase::Keeping(_)
            | Phase::Promoted
            | Phase::HandingOver(_)
            | Phase::CuttingBack { .. }
            | Phase::Settled => Err(NotNow::PromotedAlready),
            Phase::Waiting | Phase::Unreadable { .. } | Phase::RolledBack { .. } | Phase::Aborted { .. } => {
                Err(NotNow::NothingInProgress)
            }
        }
    }

    fn abort(&mut self, by: &str) -> Result<(), NotNow> {
        match self.status.phase {
            Phase::HandingOver(_) | Phase::CuttingBack { .. } if !self.awaits_stable() => {
                Err(NotNow::PromotedAlready)
            }
            _ if self.status.phase.is_under_way() => {
                if !self.stable_can_take_all() {
                    return Err(NotNow::StableDown);
                }
                let by = by.to_owned();
                let reason = Outcome::Aborted { by: by.clone() };
                let phase = Phase::Aborted { by: by.clone(), canary: Emptying::InUse };
                self.turn(Actor::Operator(by), phase, reason);
                Ok(())
            }
            _ => Err(NotNow::NothingInProgress),
        }
    }

    fn retry(&mut self, by: &str) -> Result<(), NotNow> {
        if self.retry_versions() {
            self.write = self.write.max(Write::Anew);
            self.say(Event::Retried { by: by.to_owned() });
            // The run has its own reasons, and begins again only where it was taken back as well.
            return self.retry_run(by).or(Ok(()));
        }
        self.retry_run(by)
    }

    fn retry_run(&mut self, by: &str) -> Result<(), NotNow> {
        match self.status.phase {
            Phase::RolledBack { .. } | Phase::Aborted { .. } if self.nothing_to_release() => {
                Err(NotNow::NothingToRelease)
            }
            // From the end of a run it is released again where somebody has given stable another version since.
            Phase::Settled if self.nothing_to_release() => Err(NotNow::NotTakenBack),
            Phase::Settled | Phase::RolledBack { .. } | Phase::Aborted { .. } => {
                // Its end may not have got to the proxies yet, and starting over sends everybody to stable as well.
                if !self.stable_can_take_all() {
                    return Err(NotNow::StableDown);
                }
                let by = by.to_owned();
                let reason = Event::Retried { by: by.clone() };
                *self.status.evidence = Evidence::default();
                self.begin_with_stable();
                self.turn(Actor::Operator(by), self.beginning(), reason);
                Ok(())
            }
            Phase::Receding(_) => Err(NotNow::GoingBack),
            _ => Err(NotNow::NotTakenBack),
        }
    }
}

/// Ends a pause: clocks go on where they stood.
fn go_on(paused: &mut Option<Paused>, since: Option<&mut Timestamp>, now: Timestamp) {
    if let (Some(paused), Some(since)) = (paused.take(), since) {
        leave_out(since, paused.since, now);
    }
}
