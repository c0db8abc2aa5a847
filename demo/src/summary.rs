/*!
What the demo came to: for people, and for programs as one JSON object.
*/
use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serin_policy::{Arm, Weight};

use crate::format::{count, share, thousands};
use crate::record::Failure;
use crate::script;
use crate::stats::{Division, Move, Performance, Stats, Window};
use crate::term_line::wrap;
use crate::timeline::Timeline;
use serin_local::shop::Build;

/// What the demo came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Summary {
    /// The weights of the good version, with what was served at each.
    pub(super) steps: Vec<Step>,
    /// How many users moved to the good version.
    #[serde(skip)]
    moved: usize,
    /// How the bad version ended.
    pub(super) rollback: Rollback,
    /// What both versions did while the database was away, which took nothing back.
    pub(super) outage: Outage,
    #[serde(flatten)]
    pub(super) promises: Promises,
}

/// Whether the promises were kept that hold for every play.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Promises {
    /// What chance was seeded with.
    pub(super) seed: u64,
    /// Requests that went wrong without the shop's doing.
    pub(super) failed_by_serin: usize,
    /// Users who were taken from a version to an earlier one while nothing was rolled back.
    pub(super) moved_back_users: usize,
    /// How long all of it took.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub(super) took: Duration,
    #[serde(skip)]
    details: Details,
}

/// A weight and what was served at it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Step {
    #[serde(rename = "weight_ppm")]
    pub(super) weight: Weight,
    #[serde(flatten)]
    pub(super) division: Division,
}

/// How the bad version ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Rollback {
    /// From its first bad answer to its last.
    #[serde(rename = "first_bad_to_last_s", serialize_with = "seconds")]
    pub(super) bad_for: Duration,
    /// Its errors and slow answers.
    pub(super) errors_met: usize,
    /// How many users met one.
    pub(super) users_met: usize,
    /// The agent's words.
    pub(super) reason: String,
}

/// What both versions did while the database was away.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Outage {
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub(super) lasted: Duration,
    /// Requests to the stable version, and those that failed.
    pub(super) stable: (usize, usize),
    /// Requests to the canary, and those that failed.
    pub(super) canary: (usize, usize),
}

#[derive(Debug, Clone, PartialEq)]
struct Details {
    requests: usize,
    failures: Vec<(Failure, usize)>,
    moved_back: Vec<String>,
    turned_away: u64,
}

fn describe(Move { user, from, to, at }: &Move, began: Timestamp) -> String {
    format!("user {user} went from {from} to {to} after {:.3} s", at.duration_since(began).as_secs_f64())
}

pub(super) fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    // Milliseconds are as much as anybody can tell.
    let whole = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
    serializer.serialize_f64(f64::from(whole) / 1000.0)
}

impl Outage {
    fn new(stats: &Stats, window: Window) -> Self {
        let of = |arm, build: Build| {
            let Performance { requests, errors, .. } = stats.performance(arm, build.version, window);
            (requests, errors)
        };
        let lasted = window.until.map(|until| until.duration_since(window.from).unsigned_abs());
        Self {
            lasted: lasted.unwrap_or_default(),
            stable: of(Arm::Stable, script::GOOD),
            canary: of(Arm::Canary, script::SHAKEN),
        }
    }
}

impl Rollback {
    /// How the bad version ended, in the agent's words for the `reason`.
    pub(super) fn of(stats: &Stats, reason: String) -> Result<Self> {
        let bad = stats.bad_answers(script::BAD.version).context("the bad version met nobody")?;
        Ok(Self {
            bad_for: bad.last.duration_since(bad.first).unsigned_abs(),
            errors_met: bad.count,
            users_met: bad.users,
            reason,
        })
    }

    /// Says why, on as many lines as it takes.
    pub(super) fn tell_reason(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Beside the indent, on a terminal of 80 columns.
        const WIDTH: usize = 76;
        wrap(&self.reason, WIDTH).iter().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

impl Promises {
    /// What was promised and what was kept, in a play that is over.
    pub(super) fn new(seed: u64, timeline: &Timeline, stats: &Stats, turned_away: u64) -> Self {
        let moved_back = stats.moved_back(&timeline.rollbacks);
        let failures: Vec<_> = stats.failures().into_iter().collect();
        Self {
            seed,
            failed_by_serin: failures.iter().map(|(_, count)| count).sum(),
            moved_back_users: moved_back.len(),
            took: Timestamp::now().duration_since(timeline.began).unsigned_abs(),
            details: Details {
                requests: stats.requests(),
                failures,
                moved_back: moved_back.iter().map(|one| describe(one, timeline.began)).collect(),
                turned_away,
            },
        }
    }

    /// Whether all were kept.
    pub(super) const fn are_kept(&self) -> bool {
        self.failed_by_serin == 0 && self.moved_back_users == 0
    }
}

impl fmt::Display for Promises {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { details, .. } = self;
        let users = usize::try_from(script::USERS.get()).unwrap_or(usize::MAX);
        writeln!(
            f,
            "Of {}, Serin failed {}.",
            count(details.requests, "request"),
            thousands(self.failed_by_serin)
        )?;
        for (failure, number) in &details.failures {
            writeln!(f, "    {failure}: {}", thousands(*number))?;
        }
        let back = thousands(self.moved_back_users);
        writeln!(
            f,
            "Of {}, Serin moved {back} to an older version, going back aside.",
            count(users, "user")
        )?;
        for one in details.moved_back.iter().take(5) {
            writeln!(f, "    {one}")?;
        }
        if details.turned_away > 0 {
            let never = count(usize::try_from(details.turned_away).unwrap_or(usize::MAX), "request");
            writeln!(f, "This machine was too slow for the users: {never} never made.")?;
        }
        write!(f, "{:.0} s in all, seed {}", self.took.as_secs_f64(), self.seed)
    }
}

impl Summary {
    /// Draws the sum of a timeline that was played to its end.
    pub(super) fn new(
        timeline: &Timeline,
        stats: &Stats,
        promises: Promises,
        (reason, outage): (String, Window),
    ) -> Result<Self> {
        let good = script::GOOD.version;
        let chapters = timeline.chapters.iter().filter(|chapter| chapter.run == good.to_string());
        let steps = chapters.filter_map(|chapter| {
            Some(Step { weight: chapter.weight, division: stats.division(chapter.window()?) })
        });
        Ok(Self {
            steps: steps.collect(),
            moved: stats.users_of(good),
            rollback: Rollback::of(stats, reason)?,
            outage: Outage::new(stats, outage),
            promises,
        })
    }

    /// Whether every promise was kept.
    pub(super) const fn is_good(&self) -> bool {
        self.promises.are_kept()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps, rollback, .. } = self;
        let (good, bad) = (script::GOOD.version, script::BAD.version);
        let users = usize::try_from(script::USERS.get()).unwrap_or(usize::MAX);
        writeln!(f, "{good} was good: it went to everybody.")?;
        writeln!(f, "     set   of users   of requests")?;
        for Step { weight, division } in steps {
            let Division { users, users_on_canary, requests, served_canary } = *division;
            let (of_users, of_requests) = (share(users_on_canary, users), share(served_canary, requests));
            writeln!(f, "    {:>4}   {of_users:>8}   {of_requests:>11}", weight.to_string())?;
        }
        writeln!(f, "    {} moved to {good}", count(self.moved, "user"))?;
        writeln!(f)?;
        let bad_for = rollback.bad_for.as_secs_f64();
        writeln!(f, "{bad} was bad: it was off the air {bad_for:.1} s after its first bad answer.")?;
        rollback.tell_reason(f)?;
        let (met, answers) = (count(rollback.users_met, "user"), count(rollback.errors_met, "bad answer"));
        writeln!(f, "    {met} of {} met {answers}", thousands(users))?;
        writeln!(f)?;
        let shaken = script::SHAKEN.version;
        let (away, (requests, errors), (of_canary, by_canary)) =
            (self.outage.lasted.as_secs_f64(), self.outage.stable, self.outage.canary);
        writeln!(
            f,
            "{shaken} was good, and both versions failed for {away:.1} s: it stayed, and went to everybody."
        )?;
        writeln!(
            f,
            "    meanwhile {good} failed {} of {}, and {shaken} {} of {}",
            thousands(errors),
            count(requests, "request"),
            thousands(by_canary),
            thousands(of_canary)
        )?;
        writeln!(f)?;
        self.promises.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        Summary {
            steps: vec![Step {
                weight: Weight::from_ppm(10_000).unwrap(),
                division: Division { users: 1_990, users_on_canary: 21, requests: 9_800, served_canary: 101 },
            }],
            moved: 2_000,
            rollback: Rollback {
                bad_for: Duration::from_millis(812),
                errors_met: 7,
                users_met: 6,
                reason: "rolled back at 1%: canary fails 5%".to_owned(),
            },
            outage: Outage { lasted: Duration::from_millis(2_100), stable: (2_160, 640), canary: (240, 71) },
            promises: Promises {
                seed: 7,
                failed_by_serin: 2,
                moved_back_users: 0,
                took: Duration::from_millis(41_234),
                details: Details {
                    requests: 50_000,
                    failures: vec![(Failure::Status(503), 2)],
                    moved_back: Vec::new(),
                    turned_away: 0,
                },
            },
        }
    }

    #[test]
    fn programs_get_one_object_with_plain_numbers() {
        let expected = serde_json::json!({
            "seed": 7,
            "steps": [
                {"weight_ppm": 10_000, "users": 1_990, "users_on_canary": 21, "requests": 9_800, "served_canary": 101},
            ],
            "failed_by_serin": 2,
            "moved_back_users": 0,
            "rollback": {
                "first_bad_to_last_s": 0.812,
                "errors_met": 7,
                "users_met": 6,
                "reason": "rolled back at 1%: canary fails 5%",
            },
            "outage": {"seconds": 2.1, "stable": [2_160, 640], "canary": [240, 71]},
            "seconds": 41.234,
        });
        assert_eq!(serde_json::to_value(summary()).unwrap(), expected);
    }

    #[test]
    fn a_failed_request_breaks_the_promise() {
        assert!(!summary().is_good());
        let promises = Promises { failed_by_serin: 0, ..summary().promises };
        assert!(Summary { promises, ..summary() }.is_good());
    }

    #[test]
    fn people_get_the_same_in_words() {
        let text = summary().to_string();
        for words in [
            "1.1%",
            "0.8 s after",
            "6 users of 2,000 met 7 bad answers",
            "v4 71 of 240",
            "status 503",
            "seed 7",
        ] {
            assert!(text.contains(words), "{words:?} is missing in\n{text}");
        }
    }
}
