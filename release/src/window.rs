/*!
Times at which users are moved to a new version, and times at which nobody is: windows that make sense, and what they come to
at a moment.
*/
use std::time::Duration;

use cronexpr::{Crontab, MakeTimestamp};
use jiff::{SignedDuration, Timestamp};

use crate::resource::WindowKind;

/// Times, again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// What it is called.
    pub name: String,
    /// Whether nobody is moved in it, or nobody outside of it.
    pub kind: WindowKind,
    /// When it begins.
    pub schedule: Schedule,
    /// How long it lasts then.
    pub duration: Duration,
    /// Whether it is the agent's operator's, and not the Release's own.
    pub is_operators: bool,
    /// Whether a person may have a run go on all the same.
    pub may_be_overridden: bool,
}

/// Moments that a line of cron names, in a time zone.
#[derive(Debug, Clone)]
pub struct Schedule {
    line: String,
    crontab: Crontab,
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.line == other.line
    }
}

impl Eq for Schedule {}

impl Schedule {
    /// Reads the five fields of `cron`, to be understood in `time_zone`.
    ///
    /// # Errors
    /// Why they are none, in a few words.
    pub fn parse(cron: &str, time_zone: &str) -> Result<Self, String> {
        let fields: Vec<_> = cron.split_whitespace().collect();
        let [_, _, day, _, weekday] = fields[..] else {
            return Err("there are not five fields".to_owned());
        };
        // cronexpr 1.7 finds no last day of a December.
        if day.contains(['L', 'l', 'W', 'w']) || weekday.contains(['L', 'l']) {
            return Err("L and W are not understood".to_owned());
        }
        let line = format!("{cron} {time_zone}");
        let crontab = cronexpr::parse_crontab(&line).map_err(|error| {
            // It shows the text before it says what is wrong.
            let text = error.to_string();
            let why = text.rsplit_once("^ ").map_or(text.as_str(), |(_, why)| why);
            why.to_owned()
        })?;
        let schedule = Self { line, crontab };
        if schedule.next_after(Timestamp::UNIX_EPOCH).is_none() {
            return Err("there is no such day".to_owned());
        }
        Ok(schedule)
    }

    /// The first moment after `time`.
    fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        self.crontab.find_next(MakeTimestamp(time)).ok().map(|next| next.timestamp())
    }
}

/// How many openings of one window that follow upon each other are looked at for their end.
const MOST_OPENINGS: usize = 500;

/// How many windows that follow upon each other are looked at for the end of a freeze.
const MOST_CHANGES: usize = 100;

/// When something is over; none if no such time was found.
type End = Option<Timestamp>;

impl Window {
    /// When it is over, if `time` is in it. Openings that follow upon each other without a gap are one.
    fn open_until(&self, time: Timestamp) -> Option<End> {
        let duration = SignedDuration::try_from(self.duration).ok()?;
        let earliest = time.checked_sub(duration).ok()?;
        let mut start = self.schedule.next_after(earliest).filter(|start| *start <= time)?;
        for _ in 0..MOST_OPENINGS {
            let Ok(end) = start.checked_add(duration) else { break };
            match self.schedule.next_after(start).filter(|next| *next <= end) {
                Some(next) => start = next,
                None => return Some(Some(end)),
            }
        }
        Some(None)
    }
}

/// That nobody is moved at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freeze<'w> {
    /// The window that denies it, or the next in which it is allowed.
    pub window: &'w Window,
    /// When it is over; none if no such time was found.
    pub until: End,
}

impl<'w> Freeze<'w> {
    /// What freezes a run at `now`: a window that denies it, or, where there are windows that allow it, that none of them is
    /// open. Those of the operator and those of the Release are looked at apart, so that neither opens what the other closes.
    pub fn at(windows: &[&'w Window], now: Timestamp) -> Option<Self> {
        let first = Self::step(windows, now)?;
        let mut until = first.until;
        for _ in 0..MOST_CHANGES {
            let Some(time) = until else { break };
            match Self::step(windows, time) {
                Some(next) => until = next.until,
                None => return Some(Self { until, ..first }),
            }
        }
        Some(Self { until: None, ..first })
    }

    /// The same up to the end of the window that freezes it, or to the beginning of the one that allows it.
    fn step(windows: &[&'w Window], time: Timestamp) -> Option<Self> {
        let of_kind = |kind| windows.iter().copied().filter(move |window| window.kind == kind);
        for window in of_kind(WindowKind::Deny) {
            if let Some(until) = window.open_until(time) {
                return Some(Self { window, until });
            }
        }
        [true, false].into_iter().find_map(|operators| {
            let allowed = || of_kind(WindowKind::Allow).filter(|window| window.is_operators == operators);
            if allowed().any(|window| window.open_until(time).is_some()) {
                return None;
            }
            let opening = |window: &'w Window| Some((window.schedule.next_after(time)?, window));
            let next = allowed().filter_map(opening).min_by_key(|(at, _)| *at);
            next.map(|(at, window)| Self { window, until: Some(at) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `kind schedule/duration/time zone`, and `operator` before it where it is that one's.
    fn window(text: &str) -> Window {
        let (is_operators, rest) = text.strip_prefix("operator ").map_or((false, text), |rest| (true, rest));
        let (kind, rest) = rest.split_once(' ').unwrap();
        let [cron, duration, zone] = rest.split('|').collect::<Vec<_>>()[..] else { panic!("{text}") };
        Window {
            name: text.to_owned(),
            kind: if kind == "deny" { WindowKind::Deny } else { WindowKind::Allow },
            schedule: Schedule::parse(cron, zone).unwrap(),
            duration: crate::duration::parse(duration).unwrap(),
            is_operators,
            may_be_overridden: true,
        }
    }

    /// Which of `windows` freezes a run at `now`, and until when.
    #[track_caller]
    fn check(windows: &[&str], now: &str, expected: Option<(usize, &str)>) {
        let all: Vec<_> = windows.iter().map(|text| window(text)).collect();
        let refs: Vec<_> = all.iter().collect();
        let found = Freeze::at(&refs, now.parse().unwrap());
        let found = found.map(|Freeze { window, until }| {
            (window.name.as_str(), until.map_or("no end".to_owned(), |until| until.to_string()))
        });
        let found = found.as_ref().map(|(name, until)| (*name, until.as_str()));
        assert_eq!(found, expected.map(|(i, until)| (windows[i], until)), "{now}");
    }

    #[test]
    fn a_window_that_denies_freezes_from_its_beginning_to_its_end() {
        let night = ["deny 0 22 * * *|8h|UTC"];
        check(&night, "2026-12-01T21:59:59Z", None);
        check(&night, "2026-12-01T22:00:00Z", Some((0, "2026-12-02T06:00:00Z")));
        check(&night, "2026-12-02T05:59:59Z", Some((0, "2026-12-02T06:00:00Z")));
        check(&night, "2026-12-02T06:00:00Z", None);
        let christmas = ["deny 0 0 20 12 *|14d|UTC"];
        check(&christmas, "2026-12-31T12:00:00Z", Some((0, "2027-01-03T00:00:00Z")));
        check(&christmas, "2027-01-03T00:00:00Z", None);
    }

    #[test]
    fn windows_that_allow_freeze_all_other_times() {
        let office = ["allow 0 9 * * 1-5|8h|UTC", "allow 0 10 * * SAT|1h|UTC"];
        check(&office, "2026-12-01T10:00:00Z", None);
        check(&office, "2026-12-01T17:00:00Z", Some((0, "2026-12-02T09:00:00Z")));
        // A Friday.
        check(&office, "2026-12-04T18:00:00Z", Some((1, "2026-12-05T10:00:00Z")));
        check(&office, "2026-12-05T10:30:00Z", None);
    }

    #[test]
    fn a_freeze_lasts_until_nothing_freezes_any_more() {
        // The office opens at 9, which a window denies until 11 on that day.
        let windows = ["allow 0 9 * * 1-5|8h|UTC", "deny 0 8 1 * *|3h|UTC"];
        check(&windows, "2026-12-01T07:00:00Z", Some((0, "2026-12-01T11:00:00Z")));
        check(&windows, "2026-12-01T09:00:00Z", Some((1, "2026-12-01T11:00:00Z")));
        check(&windows, "2026-12-01T11:00:00Z", None);
        // Days that follow upon each other.
        check(&["deny 0 0 * * 1-5|1d|UTC"], "2026-12-02T10:00:00Z", Some((0, "2026-12-05T00:00:00Z")));
        check(&["deny * * * * *|1h|UTC"], "2026-12-02T10:00:00Z", Some((0, "no end")));
        check(
            &["allow 0 9 * * *|1h|UTC", "deny 0 8 * * *|4h|UTC"],
            "2026-12-02T10:00:00Z",
            Some((1, "no end")),
        );
    }

    #[test]
    fn neither_the_operator_nor_a_release_opens_what_the_other_closes() {
        let both = ["allow 0 0 * * *|1d|UTC", "operator allow 0 9 * * *|8h|UTC"];
        check(&both, "2026-12-01T08:00:00Z", Some((1, "2026-12-01T09:00:00Z")));
        check(&both, "2026-12-01T10:00:00Z", None);
        let both = ["allow 0 9 * * *|8h|UTC", "operator deny 0 10 * * *|1h|UTC"];
        check(&both, "2026-12-01T10:30:00Z", Some((1, "2026-12-01T11:00:00Z")));
    }

    #[test]
    fn a_window_opens_by_the_clocks_of_its_time_zone() {
        let office = ["allow 0 9 * * *|8h|Europe/Berlin"];
        check(&office, "2026-07-01T07:30:00Z", None);
        check(&office, "2026-12-01T07:30:00Z", Some((0, "2026-12-01T08:00:00Z")));
        // The night in which clocks are set back has an hour twice, and the window opens twice in it.
        let night = ["deny 30 2 * * *|1h|Europe/Berlin"];
        check(&night, "2026-10-25T00:45:00Z", Some((0, "2026-10-25T02:30:00Z")));
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_the_reason() {
        for (cron, why) in [
            ("0 9 * *", "there are not five fields"),
            ("0 9 * * * UTC", "there are not five fields"),
            ("61 9 * * *", "range"),
            ("0 9 * * 5-1", "ascending"),
            ("0 0 30 2 *", "there is no such day"),
            ("0 0 L * *", "L and W are not understood"),
            ("0 0 * * 5L", "L and W are not understood"),
        ] {
            let found = Schedule::parse(cron, "UTC").unwrap_err();
            assert!(found.contains(why), "{cron}: {found}");
        }
    }
}
