/*!
Running totals → what is new.

Each series of each place is differenced by itself: rates and sums over series that come and go would lose the first
errors of a canary, whose series is born with them. A *place* is where totals are kept: a proxy, or a pod that
Prometheus scrapes.
*/
mod number;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::mem;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serin_policy::series::{Group, Tag};

use serin_rollout::ArmCounts;

pub use self::number::Number;
use super::scrape::{Sample, SeriesKey};
use super::times::Times;
use super::users::SeenUsers;

/// How old the totals may be that a look finds: Prometheus shows none older than five minutes, and Envoy brings its
/// uptime up to date every five seconds.
const OLDEST_S: u64 = 305;

/// A place that was not seen for so long will not be seen again.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// The totals as they were at the last look, kept with the agent's state so that a restart loses nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterDeltas {
    /// Who counts.
    #[serde(default)]
    source: String,
    /// When the places were first looked at.
    began: Option<Timestamp>,
    /// When they were last looked at.
    #[serde(default)]
    latest: Option<Timestamp>,
    #[serde(rename = "proxies")]
    places: BTreeMap<String, Totals>,
    /// The users of the present run. They are of the proxies, wherever counts come from.
    #[serde(default, skip_serializing_if = "SeenUsers::are_none")]
    pub(super) users: SeenUsers,
    /// Not kept: after a restart, the times of a moment are not told.
    #[serde(skip)]
    times: Times,
}

/// One place's totals. A series that is missing from a look keeps its total here, so that it counts from there
/// when it is back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Totals {
    uptime_s: Option<u64>,
    /// When it was last looked at.
    #[serde(default)]
    latest: Option<Timestamp>,
    #[serde(rename = "totals")]
    by_series: BTreeMap<String, u64>,
    /// Which of several Prometheus shows it; empty where they need not be told apart.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    replica: String,
    /// Since when a series shows less than its total here, where no uptime says why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    fell: BTreeMap<String, Timestamp>,
}

/// What is known of a place before this look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Past {
    /// It was looked at, and has not started again since: no total can have fallen.
    Known,
    /// It was looked at, and its uptime does not say whether it has started again since: a total that fell does.
    Seen,
    /// It was looked at, and nobody knows its uptime: a total that fell may be an older one.
    Untold,
    /// It began within our time: all it has counted is new.
    Born,
    /// It was there before us, or another replica has shown it: what it has counted may be anybody's, or counted already.
    Unknown,
}

/// A place at one look.
#[derive(Debug, Clone, Copy)]
pub struct Place<'p> {
    /// What tells it from all others.
    pub name: &'p str,
    /// Which of several Prometheus shows it; empty where they need not be told apart.
    pub replica: &'p str,
    /// For how many seconds it has been up, if that is known.
    pub uptime_s: Option<u64>,
}

/// One series' running total.
#[derive(Debug, Clone, Copy)]
pub struct Total<'t, S> {
    /// Whose requests it counts.
    pub tag: Tag<'t>,
    /// Which of the numbers it adds to.
    pub adds_to: Number,
    /// What tells the series from all others of its place, as it is displayed.
    pub series: S,
    /// The total.
    pub value: u64,
}

/// The clock was set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the clock went from {latest} back to {now}: nothing is counted until it is past {latest} again")]
pub struct ClockWentBack {
    latest: Timestamp,
    now: Timestamp,
}

/// What is new of one tag.
struct News<'t> {
    tag: Tag<'t>,
    counts: ArmCounts,
    counted_before: u64,
    timed: u64,
    in_time: u64,
}

impl<'t> News<'t> {
    fn of(tag: Tag<'t>) -> Self {
        Self { tag, counts: ArmCounts::default(), counted_before: 0, timed: 0, in_time: 0 }
    }

    fn add(&mut self, adds_to: Number, new: u64) {
        match adds_to {
            Number::Requests => self.counts.requests += new,
            Number::Errors => self.counts.errors += new,
            Number::RequestsAndErrors => {
                self.counts.requests += new;
                self.counts.errors += new;
            }
            Number::RequestsAndClientErrors => {
                self.counts.requests += new;
                self.counts.client_errors += new;
            }
            Number::ClientErrors => self.counts.client_errors += new,
            Number::RequestsAndLeft => {
                self.counts.requests += new;
                self.counts.left += new;
            }
            Number::Slow => self.counts.slow += new,
            Number::CountedBefore => self.counted_before += new,
            Number::FailedRoute(group) => {
                if let Some(failed) = self.counts.failed_by_route.get_mut(group) {
                    *failed += new;
                }
            }
            Number::Issued => self.counts.issued += new,
            Number::Withheld => self.counts.withheld += new,
            Number::Timed => self.timed += new,
            Number::InTime => self.in_time += new,
        }
    }

    fn sum(self) -> Option<(Tag<'t>, ArmCounts)> {
        let mut counts = self.counts;
        counts.slow += self.timed.saturating_sub(self.in_time);
        // What waited in an earlier look and failed in this one was a request there. None is to fail without being one.
        let ends = counts.errors + counts.client_errors + counts.left;
        counts.requests = counts.requests.saturating_sub(self.counted_before).max(ends);
        (counts != ArmCounts::default()).then_some((self.tag, counts))
    }
}

impl Totals {
    /// What is known of the place, which now says that it has been up for `uptime_s`.
    ///
    /// An uptime that fell tells a restart, but not always: a Prometheus may show what is some minutes old, and
    /// another one than a moment ago may answer. A place that was up well before the last look has not restarted. Of
    /// any other it is not certain, though its uptime rose: Envoy's stands still for seconds.
    fn past(&self, uptime_s: Option<u64>, now: Timestamp) -> Past {
        let Some(uptime) = uptime_s else { return Past::Untold };
        let since = self.latest.map_or(0, |latest| now.duration_since(latest).as_secs());
        let since = u64::try_from(since).unwrap_or_default();
        match self.uptime_s {
            _ if uptime > since.saturating_add(OLDEST_S) => Past::Known,
            Some(before) if uptime < before => Past::Born,
            Some(_) => Past::Seen,
            None => Past::Untold,
        }
    }

    /// Takes down the total of a series and says how much of it is new.
    fn take(&mut self, series: &str, total: u64, past: Past, now: Timestamp) -> u64 {
        let Some(before) = self.by_series.get_mut(series) else {
            self.by_series.insert(series.to_owned(), total);
            return if past == Past::Unknown { 0 } else { total };
        };
        if let Some(new) = total.checked_sub(*before) {
            *before = total;
            self.fell.remove(series);
            return new;
        }
        match past {
            // This look is older than the last one.
            Past::Known => 0,
            Past::Untold => {
                // An older total is shown for some minutes at most. What is less for longer has begun again: it counts
                // from here.
                let since = *self.fell.entry(series.to_owned()).or_insert(now);
                if now.duration_since(since).as_secs() > OLDEST_S.cast_signed() {
                    *before = total;
                    self.fell.remove(series);
                }
                0
            }
            // It began again from zero.
            Past::Seen | Past::Born | Past::Unknown => {
                *before = total;
                total
            }
        }
    }
}

impl CounterDeltas {
    /// Counts come from `source` from now on. Another one's places have other names: what it knows of them would count
    /// for new.
    pub fn count_from(&mut self, source: &str) {
        if self.source != source {
            let users = mem::take(&mut self.users);
            *self = Self { source: source.to_owned(), users, ..Self::default() };
        }
    }

    /// Which of several Prometheus has shown `place` so far.
    pub(super) fn replica_of(&self, place: &str) -> Option<&str> {
        self.places.get(place).map(|totals_of_place| &*totals_of_place.replica)
    }

    /// Records `totals` of `place` and returns what is new. No series may be among them twice.
    ///
    /// A place that has started again counts from zero. One seen for the first time has its past left out, unless
    /// all of its life lies within ours; where nobody knows its uptime, its life begins when it is first seen. So it is
    /// with one that another replica shows: from one replica's totals nothing is subtracted that another one has shown.
    pub fn record<'t, S: fmt::Display>(
        &mut self,
        place: Place<'_>,
        totals: impl IntoIterator<Item = Total<'t, S>>,
        now: Timestamp,
    ) -> Vec<(Tag<'t>, ArmCounts)> {
        let past = self.past(place, now);
        let totals_of_place = self.places.entry(place.name.to_owned()).or_default();
        if matches!(past, Past::Born | Past::Unknown) {
            *totals_of_place = Totals { replica: place.replica.to_owned(), ..Totals::default() };
        }
        totals_of_place.uptime_s = totals_of_place.uptime_s.max(place.uptime_s);
        totals_of_place.latest = Some(now);
        let mut news: Vec<News<'t>> = Vec::new();
        let mut spelled = String::new();
        for total in totals {
            spelled.clear();
            // Writing to a string cannot fail.
            let _ = write!(spelled, "{}", total.series);
            let new = totals_of_place.take(&spelled, total.value, past, now);
            let of_tag = match news.iter_mut().position(|known| known.tag == total.tag) {
                Some(known) => &mut news[known],
                None => news.push_mut(News::of(total.tag)),
            };
            of_tag.add(total.adds_to, new);
        }
        news.into_iter().filter_map(News::sum).collect()
    }

    /// Records what the proxy at `address` says of `release`: all requests, but for those while the canary was closed.
    pub fn record_proxy<'s>(
        &mut self,
        address: &str,
        release: &str,
        sample: &'s Sample,
        now: Timestamp,
    ) -> Vec<(Tag<'s>, ArmCounts)> {
        // In order, a release's own series stand beside each other.
        let first = SeriesKey { tag: format!("{release}/"), metric: String::new(), class: String::new() };
        let of_release =
            sample.totals.range(&first..).take_while(|(series, _)| series.tag.starts_with(&first.tag));
        let of_interest = of_release.filter_map(|(series, &value)| {
            let tag = Tag::parse(&series.tag).filter(|tag| tag.release == release && matters(tag.group))?;
            let adds_to = Number::of_the_filter(&series.metric, &series.class)?;
            Some(Total { tag, adds_to, series, value })
        });
        let place = Place { name: address, replica: "", uptime_s: Some(sample.uptime_s) };
        let is_born = self.past(place, now) == Past::Born;
        let mut news = self.record(place, of_interest, now);
        for (tag, new) in self.times.take_in(address, release, sample, is_born) {
            if !matters(tag.group) {
                continue;
            }
            match news.iter_mut().find(|(known, _)| *known == tag) {
                Some((_, counts)) => counts.add(new),
                None => news.push((tag, new)),
            }
        }
        news
    }

    fn past(&self, Place { name, replica, uptime_s }: Place<'_>, now: Timestamp) -> Past {
        match self.places.get(name) {
            Some(totals_of_place) if totals_of_place.replica != replica => Past::Unknown,
            Some(totals_of_place) => totals_of_place.past(uptime_s, now),
            None if self.is_younger_than_us(uptime_s, now) => Past::Born,
            None => Past::Unknown,
        }
    }

    fn is_younger_than_us(&self, uptime_s: Option<u64>, now: Timestamp) -> bool {
        let watched = self.began.map(|began| now.duration_since(began).as_secs());
        watched
            .and_then(|watched| u64::try_from(watched).ok())
            .is_some_and(|watched| uptime_s.is_none_or(|uptime_s| uptime_s < watched))
    }

    /// All places have been looked at, at `now`.
    pub fn looked(&mut self, now: Timestamp) {
        self.began.get_or_insert(now);
        self.latest = self.latest.max(Some(now));
        let is_gone = |latest: Timestamp| now.duration_since(latest) > FORGOTTEN_AFTER;
        self.places.retain(|_, totals_of_place| !totals_of_place.latest.is_some_and(is_gone));
        self.times.retain(|place| self.places.contains_key(place));
    }

    /// Whether totals as they were at `now` can be recorded: totals of an earlier time would count twice.
    ///
    /// # Errors
    /// When the last look was later.
    pub fn accepts(&self, now: Timestamp) -> Result<(), ClockWentBack> {
        match self.latest {
            Some(latest) if latest > now => Err(ClockWentBack { latest, now }),
            _ => Ok(()),
        }
    }
}

/// Whether requests of this group are for the planner to know of.
pub(super) fn matters(group: Group<'_>) -> bool {
    !matches!(group, Group::Closed | Group::Lapsed)
}

impl fmt::Display for SeriesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{{{}}}/{}", self.metric, self.class, self.tag)
    }
}

#[cfg(test)]
mod tests;
