/*!
Clocks that were set, or are another machine's. What a run has waited for is measured by wall clocks, for it outlives the
process that began it; so where the wall clock has moved by more than the time that went by, all that is measured from
moves with it, and a pause is neither cut short nor made longer.
*/
use jiff::{SignedDuration, Timestamp};

use super::handover::{HandoverState, Probe};
use super::phase::{BakeState, Emptying, KeepState, Paused, Phase, Stage, StepState};
use super::receding::RecedeState;
use super::status::Status;

/// Moves a point in time; one that would leave the calendar stays.
pub(super) fn move_by(step: SignedDuration) -> impl Fn(&mut Timestamp) {
    move |time| *time = time.checked_add(step).unwrap_or(*time)
}

impl Status {
    /// The wall clock has moved by `step` without that much time going by.
    pub fn clock_moved(&mut self, step: SignedDuration) {
        let moved = move_by(step);
        let all = |paused: &mut Option<Paused>, times: [Option<&mut Timestamp>; 2]| {
            let paused = paused.as_mut().map(|paused| &mut paused.since);
            paused.into_iter().chain(times.into_iter().flatten()).for_each(&moved);
        };
        match &mut self.phase {
            Phase::Starting { since, paused, held_at, .. } => all(paused, [since.as_mut(), held_at.as_mut()]),
            Phase::Progressing(StepState { stage, paused, held_at, .. }) => {
                let since = match stage {
                    Stage::RollingOut => None,
                    Stage::Observing { since, .. } => Some(since),
                };
                all(paused, [since, held_at.as_mut()]);
            }
            Phase::Receding(RecedeState { since, .. }) => moved(since),
            Phase::Baking(BakeState { since, paused, held_at }) => {
                all(paused, [Some(since), held_at.as_mut()]);
            }
            Phase::Keeping(KeepState { since, paused, .. }) => all(paused, [Some(since), None]),
            Phase::HandingOver(HandoverState { ready_since, probe, .. }) => {
                let probe = probe.as_mut().and_then(|Probe { since, .. }| since.as_mut());
                all(&mut None, [ready_since.as_mut(), probe]);
            }
            phase => {
                if let Some(Emptying::Draining { since }) = phase.emptying() {
                    moved(since);
                }
            }
        }
        self.versions.clock_moved(step);
        self.pods.lacking_since.as_mut().map(&moved);
        if let Some(approvals) = &mut self.approvals {
            moved(&mut approvals.since);
            approvals.held_at.as_mut().map(&moved);
        }
        // When one was asked that has not answered yet is a part of what it will be known by.
        let answered = self.questions.iter_mut().filter(|question| !question.is_open);
        answered.for_each(|question| moved(&mut question.at));
        self.evidence.clock_moved(step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_policy::Weight;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_pause_neither_ends_by_a_clock_that_was_set_nor_lasts_longer() {
        let paused = |since| Some(Paused { by: "ann".to_owned(), since });
        for minutes in [-10, 10] {
            let step = SignedDuration::from_mins(minutes);
            let mut state = StepState::new(0, Weight::ZERO);
            state.stage = Stage::Observing { since: at(1_000), approved_by: None };
            let mut status = Status { phase: Phase::Progressing(state), ..Status::default() };
            let elapsed = |status: &Status, now: Timestamp| match &status.phase {
                Phase::Progressing(state) => state.elapsed(now).as_secs(),
                phase => panic!("{phase:?}"),
            };
            assert_eq!(elapsed(&status, at(1_030)), 30);
            status.clock_moved(step);
            assert_eq!(elapsed(&status, at(1_030) + step), 30, "{minutes} min");
            if let Phase::Progressing(state) = &mut status.phase {
                state.paused = paused(at(1_040) + step);
            }
            status.clock_moved(-step);
            assert_eq!(elapsed(&status, at(9_000)), 40, "{minutes} min, while a person holds it");
        }
    }
}
