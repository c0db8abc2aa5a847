/*!
A report for people, 80 columns wide, and for programs as one JSON object.
*/
use std::fmt;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use serde::{Serialize, Serializer};

use super::figures::{Bad, Good, Range, Share};
use super::trial::End;
use super::{Scenario, Traffic};
use serin_policy::Weight;
use serin_rollout::{CohortRatio, Grouped, History};

/// What a simulation came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What chance was seeded with.
    pub seed: u64,
    /// How many releases of each kind were played under each rule.
    pub runs: u32,
    /// The traffic and the steps, in words.
    pub scenario: String,
    /// The fault, in words.
    pub fault: String,
    /// What each rule made of it.
    pub rules: Vec<RuleReport>,
    /// A bad canary and a good one under Serin's rule, from look to look.
    pub examples: [Example; 2],
}

/// One release under Serin's rule, from look to look.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Example {
    /// The canary's fault, in words.
    pub fault: String,
    /// The weights of its steps.
    pub steps: Vec<Weight>,
    /// How it ended.
    pub end: End,
    /// The share and the evidence, look by look, as an agent's status page has them.
    pub history: History,
    /// Those whom each step moves, compared with the rest while both were on stable: their failures.
    pub cohorts: Vec<CohortRatio>,
}

/// What one rule made of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleReport {
    /// The rule.
    pub name: String,
    /// How often it looked, in seconds.
    #[serde(serialize_with = "seconds")]
    pub interval: Duration,
    /// What it made of bad canaries.
    pub bad: Bad,
    /// What it made of good ones.
    pub good: Good,
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

impl Report {
    pub(super) fn new(scenario: &Scenario, rules: Vec<RuleReport>, examples: [Example; 2]) -> Self {
        let Traffic { rps, users, errors, slow, spread, .. } = scenario.traffic;
        let steps: Vec<_> = scenario.release.steps.iter().map(|step| step.weight.to_string()).collect();
        Self {
            seed: scenario.seed,
            runs: scenario.runs.get(),
            scenario: format!(
                "{} users, {rps} requests a second, {}\non stable: errors {errors} ({spread}), slow {slow}",
                Grouped(users.into()),
                steps.join(" → ")
            ),
            fault: scenario.fault.to_string(),
            rules,
            examples,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, runs, scenario, fault, rules, .. } = self;
        let caught = table(
            ["a bad canary", "caught (95%)", "after", "quartiles", "p90", "users", "answers"],
            rules.iter().map(|RuleReport { name, bad, .. }| {
                let [median, quartiles, p90] = times(bad.seconds);
                let (users, answers) = (number(bad.users), number(bad.answers));
                [name.clone(), share(bad.caught), median, quartiles, p90, users, answers]
            }),
        );
        let thrown = table(
            ["a good canary", "thrown away (95%)", "held (95%)", "out after", "p90"],
            rules.iter().map(|RuleReport { name, good, .. }| {
                let [median, _, p90] = times(good.seconds);
                [name.clone(), share(good.thrown_away), share(good.held), median, p90]
            }),
        );
        let looks: Vec<_> = rules.iter().map(|rule| short(rule.interval.as_secs_f64())).collect();
        write!(
            f,
            "{scenario}\nthe fault: {fault}\n\n{caught}\n\n{thrown}\n\n\
             {runs} releases each, seed {seed}; the rules look every {}.\n\
             After: the median time from the canary's first share. Users and answers: how\n\
             many met the fault, on average, before it was taken back or everybody got it.",
            looks.join(", ")
        )
    }
}

pub(super) fn table<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, if column.index + 1 < N { 2 } else { 0 }));
        if column.index > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The share, and where it is with 95 % confidence: `27% (22–34)`.
pub(super) fn share(share: Share) -> String {
    let percent = |share: f64, finest: f64| {
        let decimals = usize::from(finest < 0.0995);
        format!("{:.decimals$}", share * 100.0)
    };
    let value = share.share();
    format!("{}% ({}–{})", percent(value, value), percent(share.low, value), percent(share.high, value))
}

/// The median, the quartiles and the 90th percentile.
fn times(range: Option<Range>) -> [String; 3] {
    range.map_or_else(
        || ["–", "–", "–"].map(str::to_owned),
        |Range { lower_quartile, median, upper_quartile, p90 }| {
            let unit = Unit::of(upper_quartile);
            let quartiles =
                format!("{}–{} {}", unit.number(lower_quartile), unit.number(upper_quartile), unit.name());
            [short(median), quartiles, short(p90)]
        },
    )
}

/// What a time is told in.
#[derive(Debug, Clone, Copy)]
enum Unit {
    Seconds,
    Minutes,
}

impl Unit {
    fn of(seconds: f64) -> Self {
        if seconds < 120.0 { Self::Seconds } else { Self::Minutes }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Minutes => "min",
        }
    }

    fn number(self, seconds: f64) -> String {
        match self {
            Self::Seconds => format!("{}", seconds.round()),
            Self::Minutes => number(seconds / 60.0),
        }
    }
}

/// `12 s`, from two minutes on `2.5 min`.
pub(super) fn short(seconds: f64) -> String {
    let unit = Unit::of(seconds);
    format!("{} {}", unit.number(seconds), unit.name())
}

/// Two digits that count, and no decimals from 10 on.
pub(super) fn number(number: f64) -> String {
    if number < 9.95 { format!("{number:.1}") } else { format!("{number:.0}") }
}
