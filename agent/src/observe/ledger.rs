/*!
Running totals → what is new.

Each series of each proxy is differenced by itself: rates and sums over series that come and go would lose the
first errors of a canary, whose series is born with them.
*/
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serin_policy::Arm;
use serin_policy::series::{Group, Metric, Tag};

use crate::rollout::{ArmCounts, Drawn};

use super::scrape::{Sample, SeriesKey};

/// The totals as they were at the last look, kept with the agent's state so that a restart loses nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// When the proxies were first looked at.
    began: Option<Timestamp>,
    proxies: BTreeMap<String, Page>,
}

/// What is new of one series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Requests whose version was drawn.
    Drawn(Arm, Drawn, ArmCounts),
    /// Requests whose caller has no id and can be given none.
    Unassignable(u64),
}

/// One proxy's totals.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Page {
    uptime_s: u64,
    totals: BTreeMap<String, u64>,
}

/// What is known of a proxy before this look.
enum Past<'p> {
    /// It was looked at, and has not started again since.
    Known(&'p BTreeMap<String, u64>),
    /// It began within our time: all it has counted is new.
    Born,
    /// It was there before us: what it has counted may be anybody's.
    Unknown,
}

impl Past<'_> {
    fn new_of(&self, series: &str, total: u64) -> u64 {
        match self {
            Self::Unknown => 0,
            Self::Born => total,
            // Without a restart a total never falls; should one, it began again from zero.
            Self::Known(totals) => {
                let before = totals.get(series).copied().unwrap_or_default();
                total.checked_sub(before).unwrap_or(total)
            }
        }
    }
}

impl Ledger {
    /// Books `sample` of the proxy at `address` and returns what is new of `release`.
    ///
    /// A proxy that has started again counts from zero. One seen for the first time has its past left out, unless
    /// all of its life lies within ours.
    pub fn book(&mut self, address: &str, release: &str, sample: &Sample, now: Timestamp) -> Vec<News> {
        let past = match self.proxies.get(address) {
            Some(page) if page.uptime_s <= sample.uptime_s => Past::Known(&page.totals),
            Some(_) => Past::Born,
            None if self.is_younger_than_us(sample, now) => Past::Born,
            None => Past::Unknown,
        };
        let mut page = Page { uptime_s: sample.uptime_s, totals: BTreeMap::new() };
        let mut news = Vec::new();
        for (key, &total) in &sample.totals {
            let Some(series) = of_interest(key, release) else { continue };
            let spelled = key.to_string();
            let new = past.new_of(&spelled, total);
            if new > 0 {
                news.push(series.of(new));
            }
            page.totals.insert(spelled, total);
        }
        self.proxies.insert(address.to_owned(), page);
        news
    }

    fn is_younger_than_us(&self, sample: &Sample, now: Timestamp) -> bool {
        let watched = self.began.map(|began| now.duration_since(began).as_secs());
        watched
            .and_then(|watched| u64::try_from(watched).ok())
            .is_some_and(|watched| sample.uptime_s < watched)
    }

    /// All proxies have been looked at, at `now`.
    pub fn looked(&mut self, now: Timestamp) {
        self.began.get_or_insert(now);
    }
}

impl std::fmt::Display for SeriesKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{{{}}}/{}", self.metric, self.class, self.tag)
    }
}

/// A series that the planner wants to know of.
enum Series {
    Drawn(Arm, Drawn, Field),
    Unassignable,
}

/// Which of the planner's numbers a series adds to.
#[derive(Debug, Clone, Copy)]
enum Field {
    Requests,
    Errors,
    RequestsAndErrors,
    Slow,
    Issued,
}

impl Series {
    fn of(self, new: u64) -> News {
        match self {
            Self::Unassignable => News::Unassignable(new),
            Self::Drawn(arm, drawn, field) => News::Drawn(arm, drawn, field.of(new)),
        }
    }
}

impl Field {
    fn of(self, new: u64) -> ArmCounts {
        let none = ArmCounts::default();
        match self {
            Self::Requests => ArmCounts { requests: new, ..none },
            Self::Errors => ArmCounts { errors: new, ..none },
            Self::RequestsAndErrors => ArmCounts { requests: new, errors: new, ..none },
            Self::Slow => ArmCounts { slow: new, ..none },
            Self::Issued => ArmCounts { issued: new, ..none },
        }
    }
}

fn of_interest(key: &SeriesKey, release: &str) -> Option<Series> {
    let tag = Tag::parse(&key.tag).filter(|tag| tag.release == release)?;
    let name = |metric: Metric| metric.prometheus_name();
    let field = match key.metric.as_str() {
        metric if metric == name(Metric::Requests(5)) && key.class == "5xx" => Field::RequestsAndErrors,
        metric if metric == name(Metric::Requests(5)) => Field::Requests,
        metric if metric == name(Metric::GrpcServerErrors) => Field::Errors,
        metric if metric == name(Metric::Slow) => Field::Slow,
        metric if metric == name(Metric::Issued) => Field::Issued,
        _ => return None,
    };
    match (tag.group, field) {
        (Group::Cohort(cohort), field) => Some(Series::Drawn(tag.arm, Drawn::Cohort(cohort), field)),
        (Group::Split(name), field) => Some(Series::Drawn(tag.arm, Drawn::Split(name.to_owned()), field)),
        (Group::NoIdentity, Field::Requests | Field::RequestsAndErrors) => Some(Series::Unassignable),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASE: &str = "shop/shop";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A sample in which the canary's first cohort has had `good` answers below 500 and `bad` above.
    fn sample(uptime_s: u64, good: u64, bad: u64) -> Sample {
        let key = |class: &str| SeriesKey {
            tag: "shop/shop/canary/step-1".to_owned(),
            metric: "serin_rq".to_owned(),
            class: class.to_owned(),
        };
        let totals = [(key("2xx"), good), (key("5xx"), bad)];
        let totals = totals.into_iter().filter(|&(_, total)| total > 0).collect();
        Sample { uptime_s, totals, ..Sample::default() }
    }

    /// Books one sample after another, each a second later, and says what was new: requests and errors.
    fn check(samples: &[Sample], expected: &[(u64, u64)]) {
        let mut ledger = Ledger::default();
        for (second, (sample, &expected)) in (100..).zip(samples.iter().zip(expected)) {
            let news = ledger.book("a", RELEASE, sample, at(second));
            ledger.looked(at(second));
            let sum = news.iter().fold((0, 0), |sum, news| match news {
                News::Drawn(_, _, new) => (sum.0 + new.requests, sum.1 + new.errors),
                News::Unassignable(_) => sum,
            });
            assert_eq!(sum, expected, "at {second}");
        }
    }

    #[test]
    fn the_past_of_a_proxy_that_was_there_before_us_is_left_out() {
        check(&[sample(500, 1000, 50), sample(501, 1010, 50)], &[(0, 0), (10, 0)]);
    }

    #[test]
    fn a_series_born_with_the_first_error_counts_from_its_first_value() {
        check(&[sample(500, 10, 0), sample(501, 10, 3)], &[(0, 0), (3, 3)]);
    }

    #[test]
    fn a_proxy_that_started_again_counts_from_zero() {
        check(&[sample(500, 10, 1), sample(1, 12, 2), sample(2, 13, 2)], &[(0, 0), (14, 2), (1, 0)]);
    }

    #[test]
    fn a_proxy_that_came_up_while_we_watched_counts_from_zero() {
        let mut ledger = Ledger::default();
        ledger.looked(at(100));
        assert_eq!(ledger.book("new", RELEASE, &sample(3, 5, 0), at(110)).len(), 1);
        assert_eq!(ledger.book("old", RELEASE, &sample(300, 5, 0), at(110)).len(), 0);
    }

    #[test]
    fn only_randomly_assigned_traffic_of_this_release_is_booked() {
        let mut ledger = Ledger::default();
        ledger.looked(at(100));
        let tags =
            ["shop/shop/canary/override", "shop/shop/stable/closed", "shop/other/canary/step-1", "foreign"];
        let key = |tag: &str| SeriesKey { tag: tag.into(), metric: "serin_rq".into(), class: "5xx".into() };
        let totals = tags.iter().map(|tag| (key(tag), 9)).collect();
        let sample = Sample { uptime_s: 1, totals, ..Sample::default() };
        assert_eq!(ledger.book("a", RELEASE, &sample, at(110)), []);
    }

    #[test]
    fn requests_that_could_not_be_assigned_are_told_apart() {
        let mut ledger = Ledger::default();
        ledger.looked(at(100));
        let key = SeriesKey {
            tag: "shop/shop/stable/no-id".into(),
            metric: "serin_rq".into(),
            class: "2xx".into(),
        };
        let sample = Sample { uptime_s: 1, totals: [(key, 7)].into(), ..Sample::default() };
        assert_eq!(ledger.book("a", RELEASE, &sample, at(110)), [News::Unassignable(7)]);
    }
}
