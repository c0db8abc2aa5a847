/*!
What the users' records add up to.

Everything is counted from the records when somebody asks, over whatever stretch of time they ask for: when a step
began and ended is only known for certain after the fact.
*/
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serin_policy::Arm;

use crate::record::{Failure, Outcome, Record, Served};
use serin_local::shop::Version;

/// All records, and where slow begins.
#[derive(Debug)]
pub(super) struct Stats {
    records: Vec<Record>,
    objective: Duration,
}

/// A stretch of time; one without an end goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Its first moment.
    pub(super) from: Timestamp,
    /// The first moment after it.
    pub(super) until: Option<Timestamp>,
}

impl Window {
    /// From `from` on.
    pub(super) const fn since(from: Timestamp) -> Self {
        Self { from, until: None }
    }

    fn is_before_end(&self, at: Timestamp) -> bool {
        self.until.is_none_or(|until| at < until)
    }

    /// Whether the request was sent in it.
    fn holds(&self, record: &Record) -> bool {
        self.from <= record.sent && self.is_before_end(record.sent)
    }

    /// Whether the request lay in it from beginning to end, so that it was decided in it for certain.
    fn surrounds(&self, record: &Record) -> bool {
        self.from <= record.sent && self.is_before_end(record.ended())
    }

    /// Whether it may have begun and ended between two requests of a user, or with one of them.
    fn is_between(&self, one: &Record, next: &Record) -> bool {
        self.from <= next.ended() && self.is_before_end(one.sent)
    }
}

/// How users were divided between the versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Division {
    /// Users seen.
    pub(super) users: usize,
    /// Those of them that the canary served at least once.
    pub(super) users_on_canary: usize,
    /// Requests served.
    pub(super) requests: usize,
    /// Those of them that the canary served.
    pub(super) served_canary: usize,
}

/// What one version did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Performance {
    /// Users it served.
    pub(super) users: usize,
    /// Requests it served.
    pub(super) requests: usize,
    /// Those it answered with an error.
    pub(super) errors: usize,
    /// Those that took longer than the objective.
    pub(super) slow: usize,
    /// How long 95 of 100 requests took at most.
    pub(super) p95: Duration,
}

/// A user who went from one version to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Move {
    /// Who.
    pub(super) user: u32,
    /// The version before.
    pub(super) from: Version,
    /// The version after.
    pub(super) to: Version,
    /// When the first answer of the version after was there.
    pub(super) at: Timestamp,
}

/// Answers of a version that were errors or slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadAnswers {
    /// How many.
    pub(super) count: usize,
    /// How many users got one.
    pub(super) users: usize,
    /// When the first was there.
    pub(super) first: Timestamp,
    /// When the last was there.
    pub(super) last: Timestamp,
}

/// Some of the users. Their numbers are small and dense.
#[derive(Default)]
struct Group(Vec<bool>);

impl Group {
    fn add(&mut self, user: u32) {
        *slot(&mut self.0, user) = true;
    }

    fn size(&self) -> usize {
        self.0.iter().filter(|&&is_in| is_in).count()
    }
}

impl FromIterator<u32> for Group {
    fn from_iter<I: IntoIterator<Item = u32>>(users: I) -> Self {
        let mut group = Self::default();
        users.into_iter().for_each(|user| group.add(user));
        group
    }
}

/// The place of `user` in a list that has one for each.
fn slot<T: Clone + Default>(list: &mut Vec<T>, user: u32) -> &mut T {
    let index = usize::try_from(user).unwrap_or(usize::MAX);
    if list.len() <= index {
        list.resize(index + 1, T::default());
    }
    &mut list[index]
}

impl Stats {
    /// No records yet; what takes longer than `objective` is slow.
    pub(super) const fn new(objective: Duration) -> Self {
        Self { records: Vec::new(), objective }
    }

    /// Where new records go, in the order in which the requests ended.
    pub(super) const fn records(&mut self) -> &mut Vec<Record> {
        &mut self.records
    }

    /// How users were divided in `window`, by the requests that lay in it from beginning to end.
    pub(super) fn division(&self, window: Window) -> Division {
        let (mut users, mut on_canary) = (Group::default(), Group::default());
        let mut division = Division::default();
        for (record, served) in self.served().filter(|(record, _)| window.surrounds(record)) {
            users.add(record.user);
            division.requests += 1;
            if served.arm == Arm::Canary {
                on_canary.add(record.user);
                division.served_canary += 1;
            }
        }
        Division { users: users.size(), users_on_canary: on_canary.size(), ..division }
    }

    /// What `version` did in `window`, deployed as `arm`.
    pub(super) fn performance(&self, arm: Arm, version: Version, window: Window) -> Performance {
        let mut users = Group::default();
        let mut times = Vec::new();
        let mut sum = Performance::default();
        let wanted = |record: &Record, served: &Served| {
            served.arm == arm && served.version == version && window.holds(record)
        };
        for (record, served) in self.served().filter(|(record, served)| wanted(record, served)) {
            users.add(record.user);
            times.push(record.took);
            sum.errors += usize::from(served.error);
            sum.slow += usize::from(self.is_slow(record));
        }
        Performance { users: users.size(), requests: times.len(), p95: percentile(&mut times, 95), ..sum }
    }

    /// How many requests there were.
    pub(super) const fn requests(&self) -> usize {
        self.records.len()
    }

    /// When a request was last sent that this deployment answered, of those of the window.
    pub(super) fn last_to(&self, arm: Arm, window: Window) -> Option<Timestamp> {
        let to = self.served().filter(|(record, served)| served.arm == arm && window.holds(record));
        to.map(|(record, _)| record.sent).max()
    }

    /// How many requests were sent in `window`.
    pub(super) fn sent(&self, window: Window) -> usize {
        self.records.iter().filter(|record| window.holds(record)).count()
    }

    /// Users who went from a version to an earlier one outside the `rollbacks`, each with the first time they did.
    pub(super) fn moved_back(&self, rollbacks: &[Window]) -> Vec<Move> {
        let mut latest: Vec<Option<(Version, &Record)>> = Vec::new();
        let mut moves: Vec<Move> = Vec::new();
        for (record, Served { version: to, .. }) in self.served() {
            let before = slot(&mut latest, record.user).replace((to, record));
            // Whoever asks again long after a rollback is moved by it as well.
            if let Some((from, last)) = before.filter(|(before, _)| to < *before)
                && !rollbacks.iter().any(|window| window.is_between(last, record))
                && !moves.iter().any(|earlier| earlier.user == record.user)
            {
                moves.push(Move { user: record.user, from, to, at: record.ended() });
            }
        }
        moves
    }

    /// How many users were served by `version` at least once.
    pub(super) fn users_of(&self, version: Version) -> usize {
        let served = self.served().filter(|(_, served)| served.version == version);
        served.map(|(record, _)| record.user).collect::<Group>().size()
    }

    /// Requests that went wrong without the shop's doing, by how.
    pub(super) fn failures(&self) -> BTreeMap<Failure, usize> {
        let mut failures = BTreeMap::new();
        for record in &self.records {
            if let Outcome::Failed(failure) = record.outcome {
                *failures.entry(failure).or_default() += 1;
            }
        }
        failures
    }

    /// The errors and slow answers of `version`; none if there were none.
    pub(super) fn bad_answers(&self, version: Version) -> Option<BadAnswers> {
        let is_bad = |(record, served): &(&Record, Served)| {
            served.version == version && (served.error || self.is_slow(record))
        };
        let bad: Vec<_> = self.served().filter(is_bad).map(|(record, _)| record).collect();
        Some(BadAnswers {
            count: bad.len(),
            users: bad.iter().map(|record| record.user).collect::<Group>().size(),
            first: bad.iter().map(|record| record.ended()).min()?,
            last: bad.iter().map(|record| record.ended()).max()?,
        })
    }

    fn is_slow(&self, record: &Record) -> bool {
        record.took > self.objective
    }

    fn served(&self) -> impl Iterator<Item = (&Record, Served)> {
        self.records.iter().filter_map(|record| match record.outcome {
            Outcome::Served(served) => Some((record, served)),
            Outcome::Failed(_) => None,
        })
    }
}

/// The time within which `percent` of the requests were answered.
fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    let rank = (times.len() * percent).div_ceil(100).saturating_sub(1);
    if rank < times.len() { *times.select_nth_unstable(rank).1 } else { Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    fn window(from: i64, until: i64) -> Window {
        Window { from: at(from), until: Some(at(until)) }
    }

    /// `(user, sent, took, arm, version, error)`.
    type Row = (u32, i64, u64, Arm, u32, bool);

    fn stats(rows: &[Row]) -> Stats {
        let mut stats = Stats::new(MS(100));
        for &(user, sent, took, arm, version, error) in rows {
            let outcome = Outcome::Served(Served { arm, version: Version(version), error });
            stats.records().push(Record { user, sent: at(sent), took: MS(took), outcome });
        }
        stats
    }

    const STABLE: Arm = Arm::Stable;
    const CANARY: Arm = Arm::Canary;

    #[test]
    fn a_division_counts_users_once_and_leaves_out_what_began_before_it_or_ended_after_it() {
        let stats = stats(&[
            (1, 9, 5, CANARY, 2, false),
            (1, 10, 5, CANARY, 2, false),
            (1, 11, 5, CANARY, 2, false),
            (2, 12, 5, STABLE, 1, false),
            (3, 15, 5, STABLE, 1, false),
            (4, 20, 5, STABLE, 1, false),
        ]);
        let expected = Division { users: 2, users_on_canary: 1, requests: 3, served_canary: 2 };
        assert_eq!(stats.division(window(10, 20)), expected);
        assert_eq!(stats.sent(Window::since(at(10))), 5);
    }

    #[test]
    fn a_version_is_judged_by_its_errors_and_its_slow_answers() {
        let stats = stats(&[
            (1, 0, 100, CANARY, 2, false),
            (1, 1, 101, CANARY, 2, false),
            (2, 2, 1, CANARY, 2, true),
            (2, 3, 500, CANARY, 3, true),
            (2, 4, 500, STABLE, 2, true),
        ]);
        let expected = Performance { users: 2, requests: 3, errors: 1, slow: 1, p95: MS(101) };
        assert_eq!(stats.performance(CANARY, Version(2), window(0, 10)), expected);
        assert_eq!(stats.performance(CANARY, Version(9), window(0, 10)), Performance::default());
    }

    #[test]
    fn going_back_counts_unless_it_is_a_rollback_and_changing_places_does_not() {
        let stats = stats(&[
            (1, 0, 5, CANARY, 2, false),
            (1, 10, 5, STABLE, 1, false),
            (1, 20, 5, CANARY, 2, false),
            (1, 30, 5, STABLE, 1, false),
            (2, 0, 5, CANARY, 2, false),
            (2, 50, 5, STABLE, 2, false),
            (2, 60, 5, CANARY, 3, false),
        ]);
        let first = Move { user: 1, from: Version(2), to: Version(1), at: at(15) };
        assert_eq!(stats.moved_back(&[]), [first]);
        assert_eq!(stats.moved_back(&[window(10, 11)]), [Move { at: at(35), ..first }]);
        assert_eq!(stats.moved_back(&[window(15, 31)]), [], "an answer after the rollback may be one");
        assert_eq!(stats.moved_back(&[window(16, 31)]), [first]);
        let both = [window(10, 11), window(26, 28)];
        assert_eq!(stats.moved_back(&both), [], "some ask again when the next run has begun");
        assert_eq!(stats.users_of(Version(2)), 2);
    }

    #[test]
    fn bad_answers_count_from_when_they_are_there() {
        let stats = stats(&[
            (1, 0, 5, CANARY, 3, false),
            (1, 10, 150, CANARY, 3, false),
            (2, 20, 5, CANARY, 3, true),
            (2, 30, 5, STABLE, 2, true),
        ]);
        let expected = BadAnswers { count: 2, users: 2, first: at(25), last: at(160) };
        assert_eq!(stats.bad_answers(Version(3)), Some(expected));
        assert_eq!(stats.bad_answers(Version(1)), None);
    }

    #[test]
    fn failures_are_told_apart() {
        let mut stats = stats(&[(1, 0, 5, STABLE, 1, true)]);
        for failure in [Failure::Broken, Failure::Status(503), Failure::Status(503)] {
            let outcome = Outcome::Failed(failure);
            stats.records().push(Record { user: 1, sent: at(1), took: MS(1), outcome });
        }
        assert_eq!(stats.failures(), BTreeMap::from([(Failure::Broken, 1), (Failure::Status(503), 2)]));
    }
}
