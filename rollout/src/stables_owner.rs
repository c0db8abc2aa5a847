/*!
Stable's pod template belongs to somebody else: a person, Git, a pipeline. With the promotion `Copy` Serin gives it the
canary's once, in the end of a run, in place of the version that it had when the run began. What its owner writes instead of
either is told, and stays until a person says otherwise.
*/
use super::handover::HandoverState;
use super::phase::Phase;
use super::reason::Hold;
use super::workloads::{Given, Workloads};
use super::{InCluster, Tick};
use serin_release::delivery::PromotionMode;

impl Tick<'_> {
    /// Notes which version stable has: the run is to take its place.
    pub(super) fn note_stable(&mut self) {
        if let Some((_, workloads)) = self.workloads() {
            self.status.stable_run.clone_from(&workloads.stable.run);
        }
    }

    /// Whether stable has a version that is neither the one it had when the run began nor the run's.
    pub(super) fn has_another_version(&self) -> bool {
        let began_with = self.status.stable_run.as_ref();
        let stable = self.workloads().and_then(|(_, Workloads { stable, .. })| stable.run.as_ref());
        began_with.zip(stable).is_some_and(|(began_with, stable)| began_with != stable)
            && !self.nothing_to_release()
    }

    /// Says that stable was given another version since the run began, if it was. The run would undo that.
    pub(super) fn stable_changed(&self) -> Option<Hold> {
        if !self.has_another_version() {
            return None;
        }
        let (_, Workloads { stable, .. }) = self.workloads()?;
        let (run, by_run) = (self.status.run.clone(), stable.run.clone()?);
        Some(Hold::StableChanged { run, by_run, by: stable.changed_by.clone() })
    }

    /// Says that stable's owner does not let it have the canary's pod template, if so.
    pub(super) fn stables_owner(&self, state: &HandoverState) -> Option<Hold> {
        let InCluster { delivery, workloads, .. } = self.in_cluster()?;
        if delivery.promotion != PromotionMode::Copy || workloads.same_version {
            return None;
        }
        let stable = &workloads.stable;
        let given = Given { run: self.status.run.clone(), insisted: state.insisted };
        if stable.given.as_ref() != Some(&given) {
            return self.stable_changed();
        }
        let by_run = stable.run.clone()?;
        Some(Hold::StablePutBack { run: given.run, by_run, by: stable.changed_by.clone() })
    }

    /// Whether stable is to take the canary's pod template, and how often somebody has said so again.
    pub(super) fn copy_is_due(&self, state: &HandoverState) -> Option<u32> {
        let InCluster { delivery, .. } = self.in_cluster()?;
        let is_due = delivery.promotion == PromotionMode::Copy
            && !delivery.suspended
            && self.stables_owner(state).is_none();
        is_due.then_some(state.insisted)
    }

    /// How often somebody has said by now that stable is to take this run's pod template, which it may have had before.
    pub(super) fn insisted(&self) -> u32 {
        let given = self.workloads().and_then(|(_, workloads)| workloads.stable.given.as_ref());
        let given = given.filter(|given| given.run == self.status.run);
        given.map_or(0, |given| given.insisted.saturating_add(1))
    }

    /// A person has the run take the place of whatever stable has. Returns whether that is news.
    pub(super) fn insist(&mut self) -> bool {
        let insisted = match &self.status.phase {
            Phase::HandingOver(state) if self.stables_owner(state).is_some() => self.insisted(),
            phase if phase.is_under_way() && self.has_another_version() => 0,
            _ => return false,
        };
        if let Phase::HandingOver(state) = &mut self.status.phase {
            state.insisted = insisted;
        }
        self.note_stable();
        true
    }
}
