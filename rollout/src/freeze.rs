/*!
Times at which nobody is moved to a new version: neither does a run begin then, nor does a share rise. Going back is never
frozen, and a promotion that has begun ends, for everybody is on the new version by then.

Whether it is such a time is worked out of the Release's windows and the clock that the planner is given; nothing of it is kept
but a person's word that this run is to go on all the same.
*/
use super::Tick;
use super::phase::Phase;
use super::reason::{Event, Hold, NotNow};
use serin_release::window::{Freeze, Window};

impl Tick<'_> {
    /// What freezes the run at present, if something does.
    pub(super) fn freeze(&self) -> Option<Freeze<'_>> {
        let is_overridden = self.status.freeze_overridden_by.is_some();
        let counts = |window: &&Window| !(is_overridden && window.may_be_overridden);
        let windows: Vec<_> = self.release.windows.iter().filter(counts).collect();
        Freeze::at(&windows, self.now)
    }

    /// Says what freezes the run, if something does. Returns whether it does.
    pub(super) fn tell_freeze(&mut self) -> bool {
        let Some(Freeze { window, until }) = self.freeze() else { return false };
        let hold = Hold::Frozen {
            window: window.name.clone(),
            kind: window.kind,
            is_operators: window.is_operators,
            may_be_overridden: window.may_be_overridden,
            until,
        };
        self.say(hold);
        true
    }

    /// Whether a person may move users at present.
    pub(super) fn is_not_frozen(&self) -> Result<(), NotNow> {
        if self.freeze().is_some() { Err(NotNow::Frozen) } else { Ok(()) }
    }

    /// Has this run go on at times at which its windows freeze it.
    pub(super) fn override_freeze(&mut self, by: &str) -> Result<(), NotNow> {
        match self.status.phase {
            Phase::Preparing { .. }
            | Phase::Starting { .. }
            | Phase::Progressing(_)
            | Phase::OffPlan { .. } => {}
            _ => return Err(NotNow::NothingInProgress),
        }
        if !self.release.windows.iter().any(|window| window.may_be_overridden) {
            return Err(NotNow::NothingToOverride);
        }
        self.status.freeze_overridden_by = Some(by.to_owned());
        self.say(Event::FreezeOverridden { by: by.to_owned() });
        Ok(())
    }
}
