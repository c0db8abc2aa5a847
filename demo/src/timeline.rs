/*!
The course of events: what the agent decided, what the operator did, and which stretch of time was which step.
*/
use jiff::Timestamp;
use serin_policy::Weight;

use crate::stats::Window;
use serin_agent::journal::{Entry as Told, News};
use serin_agent::standalone::View;
use serin_rollout::{Event, Hold, Outcome, Phase, Reason, Stage, StepState};

/// What happened so far.
#[derive(Debug)]
pub(super) struct Timeline {
    /// When the demo began.
    pub(super) began: Timestamp,
    /// Decisions and deeds, oldest first.
    pub(super) journal: Vec<Entry>,
    /// All weights above 0 that there were, oldest first.
    pub(super) chapters: Vec<Chapter>,
    /// From each rollback to the next run.
    pub(super) rollbacks: Vec<Window>,
    /// When the present run began.
    pub(super) run_began: Timestamp,
    /// When the weight last changed.
    pub(super) weight_changed: Timestamp,
    /// The latest decision that was taken in.
    latest: Option<Timestamp>,
}

/// Something that somebody did, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) at: Timestamp,
    pub(super) kind: Kind,
    pub(super) text: String,
}

/// What kind of thing it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The agent went on.
    Decision,
    /// The agent brought a version to its good end.
    Success,
    /// The agent took a version off the air.
    Rollback,
    /// The operator did something.
    Deed,
}

impl Kind {
    const fn of(reason: &Reason) -> Self {
        match reason {
            Reason::Outcome(Outcome::Promoted { .. }) => Self::Success,
            Reason::Outcome(Outcome::RolledBack { .. }) => Self::Rollback,
            _ => Self::Decision,
        }
    }
}

/// A time at one weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chapter {
    pub(super) run: String,
    pub(super) weight: Weight,
    /// When all proxies were known to have the weight.
    settled: Option<Timestamp>,
    /// When the next weight was decided on.
    ended: Option<Timestamp>,
}

impl Chapter {
    /// When users were divided by this weight and no other; none as long as that is not certain.
    pub(super) fn window(&self) -> Option<Window> {
        self.settled.map(|from| Window { from, until: self.ended })
    }
}

impl Timeline {
    pub(super) const fn new(began: Timestamp) -> Self {
        Self {
            began,
            journal: Vec::new(),
            chapters: Vec::new(),
            rollbacks: Vec::new(),
            run_began: began,
            weight_changed: began,
            latest: None,
        }
    }

    /// Since when users are divided as they are: for certain if possible, or else since that was decided.
    pub(super) fn divided_since(&self) -> Timestamp {
        let present = self.chapters.last().filter(|chapter| chapter.ended.is_none());
        present.and_then(|chapter| chapter.settled).unwrap_or(self.weight_changed)
    }

    /// Writes down what the operator did.
    pub(super) fn operator_did(&mut self, text: &str) {
        self.journal.push(Entry { at: Timestamp::now(), kind: Kind::Deed, text: text.to_owned() });
    }

    /// Takes in what is new in `view`.
    pub(super) fn take_in(&mut self, view: &View) {
        let latest = self.latest;
        for Told { at, news, .. } in view.journal.iter().filter(|entry| Some(entry.at) > latest) {
            self.latest = Some(*at);
            let News::Reason(reason) = news else { continue };
            if is_news(reason) {
                let text = self.tell(*at, reason);
                self.journal.push(Entry { at: *at, kind: Kind::of(reason), text });
            }
            self.divide(*at, reason, &view.status.run);
        }
        if let Phase::Progressing(StepState { weight, stage: Stage::Observing { since, .. }, .. }) =
            view.status.phase
            && let Some(chapter) = self.chapters.last_mut()
            && (chapter.weight, chapter.ended) == (weight, None)
        {
            chapter.settled = Some(since);
        }
    }

    /// Ends and begins stretches of time.
    fn divide(&mut self, at: Timestamp, reason: &Reason, run: &str) {
        let begins = match reason {
            Reason::Event(Event::Started { .. } | Event::NewRun { .. }) => {
                self.run_began = at;
                for rollback in &mut self.rollbacks {
                    rollback.until.get_or_insert(at);
                }
                None
            }
            Reason::Outcome(Outcome::RolledBack { .. } | Outcome::Aborted { .. }) => {
                self.rollbacks.push(Window { from: at, until: None });
                None
            }
            Reason::Event(Event::StepBegun { weight, .. }) => Some(*weight),
            Reason::Event(Event::Promoting { .. }) => Some(Weight::FULL),
            Reason::Hold(Hold::Baking { .. }) | Reason::Outcome(Outcome::Promoted { .. }) => {
                if let Some(chapter) = self.chapters.last_mut() {
                    chapter.settled.get_or_insert(at);
                }
                return;
            }
            _ => return,
        };
        self.weight_changed = at;
        if let Some(chapter) = self.chapters.last_mut() {
            chapter.ended.get_or_insert(at);
        }
        let chapter = |weight| Chapter { run: run.to_owned(), weight, settled: None, ended: None };
        self.chapters.extend(begins.map(chapter));
    }

    /// The agent's own words, and how long it was content when it goes on.
    fn tell(&self, at: Timestamp, reason: &Reason) -> String {
        if let Reason::Event(Event::StepBegun { .. } | Event::Promoting { .. }) = reason
            && let Some(Chapter { weight, settled: Some(since), ended: None, .. }) = self.chapters.last()
        {
            return format!(
                "{reason} ({weight} was good for {:.1} s)",
                at.duration_since(*since).as_secs_f64()
            );
        }
        reason.to_string()
    }
}

/// Whether something happened. What is only waited for is no news, nor is that an operator was obeyed.
const fn is_news(reason: &Reason) -> bool {
    !matches!(
        reason,
        Reason::Hold(
            Hold::AwaitsProxies { .. }
                | Hold::Observing { .. }
                | Hold::AwaitsRequests { .. }
                | Hold::Paused { .. }
        ) | Reason::Event(Event::Resumed { .. })
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::tests::view;
    use serin_rollout::{Actor, Cause, Status};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn weight(percent: u32) -> Weight {
        Weight::from_ppm(percent * 10_000).unwrap()
    }

    fn step_begun(percent: u32) -> Reason {
        Reason::Event(Event::StepBegun { step: 1, of: 4, weight: weight(percent), by: Actor::Planner })
    }

    /// The timeline after these decisions, each of which is followed by a step that is observed from a second later.
    fn timeline(decisions: &[(i64, Reason)]) -> Timeline {
        let mut timeline = Timeline::new(at(0));
        let mut view = view(Status { run: "v2".to_owned(), ..Status::default() });
        for (second, reason) in decisions {
            view.journal.push_back(Told {
                at: at(*second),
                news: News::Reason(reason.clone()),
                change: None,
            });
            if let Reason::Event(Event::StepBegun { weight, .. }) = reason {
                let stage = Stage::Observing { since: at(second + 1), approved_by: None };
                view.status.phase = Phase::Progressing(StepState {
                    index: 0,
                    weight: *weight,
                    stage,
                    paused: None,
                    held_at: None,
                });
            }
            timeline.take_in(&view);
        }
        timeline
    }

    #[test]
    fn a_weight_lasts_from_when_all_proxies_have_it_to_the_next_decision() {
        let decisions = [
            (1, Reason::Event(Event::Started { run: "v2".to_owned() })),
            (2, step_begun(1)),
            (9, step_begun(10)),
            (15, Reason::Event(Event::Promoting { by: Actor::Planner })),
            (16, Reason::Outcome(Outcome::Promoted { run: "v2".to_owned() })),
        ];
        let timeline = timeline(&decisions);
        let windows: Vec<_> = timeline.chapters.iter().map(|one| (one.weight, one.window())).collect();
        assert_eq!(
            windows,
            [
                (weight(1), Some(Window { from: at(3), until: Some(at(9)) })),
                (weight(10), Some(Window { from: at(10), until: Some(at(15)) })),
                (Weight::FULL, Some(Window { from: at(16), until: None })),
            ]
        );
        assert_eq!(timeline.divided_since(), at(16));
        let told: Vec<_> = timeline.journal.iter().map(|entry| entry.text.as_str()).collect();
        assert_eq!(told[2], "step 1 of 4: 10% to the canary, by the planner (1% was good for 6.0 s)");
    }

    #[test]
    fn a_rollback_lasts_until_the_next_run() {
        let cause = Cause::FoundClosed;
        let new_run = Reason::Event(Event::NewRun { previous: "v2".to_owned(), run: "v3".to_owned() });
        let timeline = timeline(&[
            (1, step_begun(1)),
            (5, Reason::Outcome(Outcome::RolledBack { cause })),
            (9, new_run),
        ]);
        assert_eq!(timeline.rollbacks, [Window { from: at(5), until: Some(at(9)) }]);
        assert_eq!((timeline.run_began, timeline.divided_since()), (at(9), at(9)));
    }

    #[test]
    fn waiting_is_no_news() {
        let waits = Reason::Hold(Hold::AwaitsRequests { need: 100 });
        assert_eq!(timeline(&[(1, step_begun(1)), (2, waits)]).journal.len(), 1);
    }
}
