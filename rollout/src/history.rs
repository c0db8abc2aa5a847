/*!
What a run looked like from look to look, for pictures: the canary's share, and what each test has won.

It is no part of the status: the planner needs none of it, so whoever shows it keeps it, and loses it with a restart.
*/
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serin_policy::Weight;

use crate::analysis::{TestKind, Won};
use crate::observation::{Cell, Counts};
use crate::phase::Phase;
use crate::status::Status;
use serin_release::Release;

/// A run's looks, of which no more than [`History::MOST`] points are kept: of a long run, several looks make a point.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct History {
    /// The run.
    pub run: String,
    /// The evidence (ln E) at which the canary is taken back.
    pub needed: f64,
    /// The tests that [`Point::won`] is of, in order.
    pub tests: Vec<TestKind>,
    /// What was seen, oldest first.
    pub points: Vec<Point>,
    /// The canary's share that was wanted after the last look.
    wanted: Weight,
    /// How many looks make a point.
    looks_a_point: u32,
    /// How many the last one has.
    looks: u32,
}

/// One or several looks that follow each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// When the last of them was.
    pub at: Timestamp,
    /// The canary's share that was wanted meanwhile.
    pub weight: Weight,
    /// Randomly assigned requests to the canary in these looks.
    pub canary: u64,
    /// And to stable.
    pub stable: u64,
    /// The evidence (ln E) of all tests together after the last; none while no test counts.
    pub evidence: Option<f64>,
    /// What the tests of each kind add to it, by [`History::tests`]; those that began later are missing. None while it is
    /// the word of too few users to count.
    pub won: Vec<Option<f64>>,
}

impl History {
    /// More points than this are not kept.
    pub const MOST: usize = 300;

    /// Notes how things are after a look at `now` that counted `cells`. What comes after the end of a run is no part of it.
    pub fn note(&mut self, status: &Status, cells: &[Cell], release: &Release, now: Timestamp) {
        if self.run != status.run {
            *self = Self { run: status.run.clone(), looks_a_point: 1, ..Self::default() };
        }
        let goes_on = matches!(
            status.phase,
            Phase::Starting { since: Some(_), .. }
                | Phase::Progressing(_)
                | Phase::Baking(_)
                | Phase::OffPlan { .. }
                | Phase::Receding(_)
        );
        let weight = std::mem::replace(&mut self.wanted, status.weight());
        if !goes_on && (self.points.is_empty() || weight == self.wanted) {
            return;
        }
        let (won, evidence) = status.evidence.won(&release.analysis);
        let Counts { stable, canary } = Counts::of(cells);
        self.needed = release.analysis.needed();
        let won = self.sorted(won);
        let (canary, stable) = (canary.requests, stable.requests);
        self.add(Point { at: now, weight, canary, stable, evidence, won });
    }

    /// What each kind of tests has won, in the order of [`Self::tests`].
    fn sorted(&mut self, won: Vec<Won>) -> Vec<Option<f64>> {
        let mut sorted = vec![None; self.tests.len()];
        for Won { kind, ln_e } in won {
            let at = self.tests.iter().position(|known| *known == kind).unwrap_or_else(|| {
                self.tests.push(kind);
                sorted.push(None);
                self.tests.len() - 1
            });
            if let Some(place) = sorted.get_mut(at) {
                *place = ln_e;
            }
        }
        sorted
    }

    fn add(&mut self, point: Point) {
        if self.looks < self.looks_a_point
            && let Some(last) = self.points.last_mut()
            && last.weight == point.weight
        {
            last.goes_on_with(point);
            self.looks += 1;
            return;
        }
        if self.points.len() >= Self::MOST {
            self.halve();
        }
        // Of many changes that follow each other no two make one point.
        if self.points.len() >= Self::MOST {
            self.points.remove(0);
        }
        self.points.push(point);
        self.looks = 1;
    }

    /// Makes one point of every two that have the same weight.
    fn halve(&mut self) {
        let mut points = std::mem::take(&mut self.points).into_iter().peekable();
        while let Some(mut point) = points.next() {
            if let Some(next) = points.next_if(|next| next.weight == point.weight) {
                point.goes_on_with(next);
            }
            self.points.push(point);
        }
        self.looks_a_point = self.looks_a_point.saturating_mul(2);
    }
}

impl Point {
    fn goes_on_with(&mut self, next: Self) {
        let (canary, stable) = (self.canary + next.canary, self.stable + next.stable);
        *self = Self { canary, stable, ..next };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(second: i64) -> Point {
        Point {
            at: Timestamp::from_second(second).unwrap(),
            weight: Weight::ZERO,
            canary: 1,
            stable: 2,
            evidence: None,
            won: Vec::new(),
        }
    }

    #[test]
    fn however_long_a_run_lasts_its_points_are_few_and_none_of_its_requests_is_lost() {
        let mut history = History { looks_a_point: 1, ..History::default() };
        for second in 1..=5_000 {
            history.add(point(second));
            assert!(history.points.len() <= History::MOST);
            assert_eq!(history.points.last().unwrap().at, point(second).at);
        }
        assert!(history.points.len() >= History::MOST / 2, "{}", history.points.len());
        assert_eq!(history.points.iter().map(|point| point.canary).sum::<u64>(), 5_000);
        assert_eq!(history.points.iter().map(|point| point.stable).sum::<u64>(), 10_000);
        assert!(history.points.is_sorted_by_key(|point| point.at));
    }

    #[test]
    fn a_history_comes_back_from_its_json_though_no_test_counts_yet() {
        let release = "{apiVersion: serin.dev/v1alpha1, kind: Release, metadata: {name: shop}, spec: {service: {name: \
                       shop}, canary: {version: '2'}, analysis: {metrics: [{name: request-success-rate}]}}}";
        let release = Release::from_yaml(release).unwrap();
        let phase = Phase::Starting {
            since: Some(Timestamp::UNIX_EPOCH),
            paused: None,
            held_at: None,
            mirrors: false,
            approved_by: None,
        };
        let mut status = Status { run: "2".to_owned(), phase, ..Status::default() };
        let nobody = crate::Users::default();
        let cells = [crate::Cell {
            place: String::new(),
            drawn: crate::Drawn::Cohort(serin_policy::Cohort::Rest),
            arm: serin_policy::Arm::Stable,
            counts: crate::ArmCounts { requests: 9, ..crate::ArmCounts::default() },
        }];
        let moment = crate::Moment { step_index: 0, settled: Some(Weight::ZERO), now: Timestamp::UNIX_EPOCH };
        status.evidence.take_in(&cells, Some(nobody), moment, &release);
        let mut history = History::default();
        history.note(&status, &cells, &release, Timestamp::UNIX_EPOCH);
        assert_eq!(history.points.iter().map(|point| point.evidence).collect::<Vec<_>>(), [None]);
        let json = serde_json::to_string(&history).unwrap();
        assert_eq!(serde_json::from_str::<History>(&json).unwrap(), history);
    }

    #[test]
    fn what_was_counted_at_one_weight_is_not_added_to_what_was_at_another() {
        let mut history = History { looks_a_point: 1, ..History::default() };
        let full = Weight::FULL;
        for second in 1..=2_001 {
            let weight = if second <= 999 { Weight::ZERO } else { full };
            history.add(Point { weight, ..point(second) });
        }
        let at = |weight| history.points.iter().filter(move |point| point.weight == weight);
        assert_eq!(at(Weight::ZERO).map(|point| point.canary).sum::<u64>(), 999);
        assert_eq!(at(full).map(|point| point.canary).sum::<u64>(), 1_002);
    }

    #[test]
    fn a_weight_that_changes_at_every_look_takes_no_more_memory_either() {
        let mut history = History { looks_a_point: 1, ..History::default() };
        for second in 1..=2_000 {
            let weight = if second % 2 == 0 { Weight::ZERO } else { Weight::FULL };
            history.add(Point { weight, ..point(second) });
        }
        assert_eq!(history.points.len(), History::MOST);
        assert_eq!(history.points.last().unwrap().at, point(2_000).at);
    }
}
