/*!
What happens in ordinary life, to good versions and to bad ones: the scenarios of the table in docs/verdicts.md.

Each is described by what it changes in a world where requests fail by themselves. The figures are those in which
judges of canaries were found wanting.
*/
use std::time::Duration;

use serin_policy::Weight;
use serin_release::Percent;

use super::fault::{Change, Fault};
use super::population::{Spread, Traffic};

/// What is not as in a quiet world. The default is a quiet one.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Life {
    /// A failed request is tried again after [`RETRIES_S`], and fails again.
    pub retries: bool,
    /// Clients that fail for a while, now and then.
    pub sessions: Option<Sessions>,
    /// Something that both versions suffer from.
    pub trouble: Option<Trouble>,
    /// Both versions get slow for a quarter of an hour: 8 % of the requests.
    pub peak: bool,
    /// The canary's pods are slow at first.
    pub cold: Option<Cold>,
    /// When the canary's fault begins.
    pub onset: Onset,
    /// What the canary does wrong besides its fault.
    pub wrong: Wrong,
    /// How long requests take: the median and the p99, in milliseconds; none for 50 ms and what the slow share makes it.
    pub times_ms: Option<(f64, f64)>,
    /// How many times as long they take on the canary; 0 for as long.
    pub slower: f64,
    /// A metric of people's own is out of range for this share of the time, in excursions.
    pub own_metric: f64,
}

/// What a canary does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wrong {
    /// Nothing.
    #[default]
    Nothing,
    /// A route with 0.5 % of the requests fails.
    Route,
    /// 3 % of users fail 30 % of their requests.
    Segment,
    /// It answers every request with a client's error.
    ClientErrors,
    /// It does not answer, and callers leave.
    Silent,
}

/// Clients that fail for a while, now and then.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sessions {
    /// How many there are.
    pub clients: u32,
    /// What each does, in requests per second.
    pub rps: f64,
    /// For how long they fail, once an hour.
    pub failing: Duration,
}

/// Something that both versions suffer from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trouble {
    /// The share of requests that fails.
    pub errors: f64,
    /// Begins so long after the beginning of this step; 0 is the baseline.
    pub step: usize,
    /// See there.
    pub after: Duration,
    /// For how long.
    pub lasts: Duration,
}

/// The canary's pods are slow for half a minute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cold {
    /// The share of requests that is slow.
    pub share: f64,
    /// At the beginning of each step, or only of the first.
    pub at_each_step: bool,
}

/// When a fault begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Onset {
    /// With the first request.
    #[default]
    AtOnce,
    /// When the canary has this share of users.
    At(Weight),
    /// It grows from nothing to all within this time.
    Within(Duration),
}

/// When a failed request is tried again, in seconds after it failed.
pub(super) const RETRIES_S: [f64; 4] = [1.0, 3.0, 7.0, 15.0];

/// How long pods are cold.
pub(super) const COLD: Duration = Duration::from_secs(30);

/// The share of requests that is slow at the peak.
pub(super) const PEAK: f64 = 0.08;

impl Life {
    /// How much of the peak there is, 0 to 1, so long after the canary's first request.
    pub(super) fn peak(&self, exposed: Duration) -> f64 {
        const RISE: f64 = 300.0;
        const LASTS: f64 = 900.0;
        let seconds = exposed.as_secs_f64();
        if self.peak { (seconds / RISE).min((LASTS + RISE - seconds) / RISE).clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// A scenario of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Named {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What happens, for people.
    pub what: &'static str,
    /// What users do.
    pub traffic: Traffic,
    /// What is not as in a quiet world.
    pub life: Life,
    /// What is wrong with the canary; nothing where a good one is looked at.
    pub fault: Option<Fault>,
}

impl Named {
    /// Every scenario of the table: those with a good canary first.
    pub fn all() -> Vec<Self> {
        let mut all = good();
        all.extend(bad());
        all
    }

    /// The scenario of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|scenario| scenario.name == name)
    }
}

fn traffic(errors_ppm: u32, spread: Spread) -> Traffic {
    let percent = |ppm: u32| Percent::at_least(f64::from(ppm) / 1e6).unwrap_or_default();
    Traffic {
        rps: 100.0,
        users: 2_000,
        activity: 2.0,
        errors: percent(errors_ppm),
        slow: percent(10_000),
        spread,
    }
}

fn good() -> Vec<Named> {
    let usual = traffic(5_000, Spread::Independent);
    let quiet = Life::default();
    let seconds = Duration::from_secs;
    let trouble = |errors, step, after, lasts| Life {
        trouble: Some(Trouble { errors, step, after: seconds(after), lasts: seconds(lasts) }),
        ..quiet
    };
    let sessions = |clients, rps, failing| Life {
        sessions: Some(Sessions { clients, rps, failing: seconds(failing) }),
        ..quiet
    };
    let cold = |share, at_each_step| Life { cold: Some(Cold { share, at_each_step }), ..quiet };
    let list = [
        ("independent", "every request fails by itself", usual, quiet),
        ("sticky", "1 % of users fail 30 % of their requests", traffic(5_000, Spread::Sticky), quiet),
        (
            "whales",
            "a few users make most of the requests (σ = 3)",
            Traffic { activity: 3.0, ..usual },
            quiet,
        ),
        ("many", "20,000 requests a second", Traffic { rps: 20_000.0, users: 200_000, ..usual }, quiet),
        (
            "retries",
            "failed requests are tried again after 1, 3, 7, 15 s",
            usual,
            Life { retries: true, ..quiet },
        ),
        (
            "retries-more",
            "the same, with 0.8 % errors",
            traffic(8_000, Spread::Independent),
            Life { retries: true, ..quiet },
        ),
        ("sessions", "30 clients fail for 2 min an hour, at 0.5 rps", usual, sessions(30, 0.5, 120)),
        ("pollers", "60 clients fail for 5 min an hour, at 0.1 rps", usual, sessions(60, 0.1, 300)),
        ("outage-1", "both versions fail 20 % for 30 s in step 1", usual, trouble(0.2, 1, 30, 30)),
        ("outage-2", "both versions fail 20 % for 30 s in step 2", usual, trouble(0.2, 2, 60, 30)),
        ("outage-mild", "both versions fail 5 % for 60 s in step 2", usual, trouble(0.05, 2, 60, 60)),
        ("peak", "both versions get slow for 15 min: 1 to 8 %", usual, Life { peak: true, ..quiet }),
        ("cold-80", "the canary's pods are cold for 30 s: 80 % slow", usual, cold(0.8, false)),
        ("cold-20", "the canary's pods are cold for 30 s: 20 % slow", usual, cold(0.2, false)),
        ("cold-steps", "half of its pods are cold at each step: 40 % slow", usual, cold(0.4, true)),
        (
            "own-metric-2",
            "a metric of one's own, 2 % of the time out of range",
            usual,
            Life { own_metric: 0.02, ..quiet },
        ),
        (
            "own-metric-5",
            "a metric of one's own, 5 % of the time out of range",
            usual,
            Life { own_metric: 0.05, ..quiet },
        ),
        ("base-5", "5 % errors on both versions", traffic(50_000, Spread::Independent), quiet),
        ("clean", "no errors, and 1 % of users who always fail", traffic(0, Spread::Sticky), quiet),
    ];
    list.map(|(name, what, traffic, life)| Named { name, what, traffic, life, fault: None }).into()
}

fn bad() -> Vec<Named> {
    let usual = traffic(5_000, Spread::Independent);
    let quiet = Life::default();
    let times = |factor| Fault { errors: Change::Times(factor), ..Fault::NONE };
    let half = Weight::from_ppm(500_000).unwrap_or(Weight::FULL);
    let blip = Life {
        trouble: Some(Trouble {
            errors: 0.5,
            step: 0,
            after: Duration::from_mins(2),
            lasts: Duration::from_secs(10),
        }),
        ..quiet
    };
    let slower = |median: f64, p99: f64, slower: f64| Life { times_ms: Some((median, p99)), slower, ..quiet };
    let list = [
        ("x10", "×10 errors", usual, quiet, times(10.0)),
        ("x3", "×3 errors", usual, quiet, times(3.0)),
        ("x50-clean", "0.01 → 0.5 % errors", traffic(100, Spread::Independent), quiet, times(50.0)),
        ("x20-clean", "0.01 → 0.2 % errors", traffic(100, Spread::Independent), quiet, times(20.0)),
        (
            "x10-sticky",
            "×10 errors, 1 % of users fail 30 % anyway",
            traffic(5_000, Spread::Sticky),
            quiet,
            times(10.0),
        ),
        ("x10-blip", "×10 errors, after 10 s of 50 % in the baseline", usual, blip, times(10.0)),
        ("x3-blip", "×3 errors, after 10 s of 50 % in the baseline", usual, blip, times(3.0)),
        (
            "x3-late",
            "×3 errors from the 50 % step on",
            usual,
            Life { onset: Onset::At(half), ..quiet },
            times(3.0),
        ),
        (
            "leak",
            "errors grow ten times within 30 min",
            usual,
            Life { onset: Onset::Within(Duration::from_mins(30)), ..quiet },
            times(10.0),
        ),
        ("p99-600", "p99 400 → 600 ms", usual, slower(80.0, 400.0, 1.5), Fault::NONE),
        ("p99-300", "p99 200 → 300 ms", usual, slower(50.0, 200.0, 1.5), Fault::NONE),
        (
            "route",
            "a route with 0.5 % of the requests is dead",
            usual,
            Life { wrong: Wrong::Route, ..quiet },
            Fault::NONE,
        ),
        ("segment", "3 % of users fail 30 %", usual, Life { wrong: Wrong::Segment, ..quiet }, Fault::NONE),
        (
            "unauthorized",
            "401 to everybody",
            usual,
            Life { wrong: Wrong::ClientErrors, ..quiet },
            Fault::NONE,
        ),
        (
            "silent",
            "never answers, callers leave after 0.4 s",
            usual,
            Life { wrong: Wrong::Silent, ..quiet },
            Fault::NONE,
        ),
    ];
    list.map(|(name, what, traffic, life, fault)| Named { name, what, traffic, life, fault: Some(fault) })
        .into()
}
