/*!
`serin simulate --table`: every scenario of ordinary life, under every rule.
*/
use std::fmt;
use std::num::NonZeroU32;

use comfy_table::Table;
use serde::Serialize;

use super::figures::{Bad, Good};
use super::life::Named;
use super::report::{number, share, short, table};
use super::{Kind, Scenario};
use serin_release::Release;

/// What became of every scenario.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LifeReport {
    /// What chance was seeded with.
    pub seed: u64,
    /// How many releases of each were played under each rule.
    pub runs: u32,
    /// The scenarios with a good canary.
    pub good: Vec<Row<Good>>,
    /// Those with a bad one.
    pub bad: Vec<Row<Bad>>,
}

/// What became of a scenario.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row<F> {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What happens.
    pub what: &'static str,
    /// By rule, in the order of [`RULES`].
    pub rules: Vec<F>,
}

/// The rules of the table.
pub const RULES: [&str; 3] = ["Serin", "Flagger", "sequential"];
const KINDS: [Kind; 3] = [Kind::Serin, Kind::Flagger, Kind::Sequential];

/// The same with a metric of one's own.
const WITH_OWN_METRIC: &str = "{apiVersion: serin.dev/v1alpha1, kind: Release, metadata: {name: simulated}, spec: \
                               {service: {name: simulated}, canary: {version: simulated}, analysis: {prometheus: \
                               {address: 'http://prometheus'}, metrics: [{name: request-success-rate}, {name: \
                               request-duration}, {name: own, query: x, thresholdRange: {max: 1}}]}}}";

impl LifeReport {
    /// Plays the scenarios; `progress` is told of each before it is played.
    ///
    /// # Errors
    /// When the Release that is simulated makes no sense, which is Serin's fault.
    pub fn play(
        scenarios: &[Named],
        runs: NonZeroU32,
        seed: u64,
        mut progress: impl FnMut(&Named),
    ) -> anyhow::Result<Self> {
        let mut report = Self { seed, runs: runs.get(), good: Vec::new(), bad: Vec::new() };
        for named @ Named { name, what, .. } in scenarios {
            progress(named);
            let scenario = named.scenario(runs, seed)?;
            match named.fault {
                None => {
                    let rules = KINDS.map(|kind| Good::of(&scenario.plays(kind, scenario.fault))).into();
                    report.good.push(Row { name, what, rules });
                }
                Some(fault) => {
                    let rules = KINDS.map(|kind| Bad::of(&scenario.plays(kind, fault))).into();
                    report.bad.push(Row { name, what, rules });
                }
            }
        }
        Ok(report)
    }
}

impl Named {
    /// The scenario with every default.
    pub(super) fn scenario(&self, runs: NonZeroU32, seed: u64) -> anyhow::Result<Scenario> {
        let yaml = if self.life.own_metric > 0.0 { WITH_OWN_METRIC } else { super::DEFAULT_RELEASE };
        Ok(Scenario {
            release: Release::from_yaml(yaml)?,
            traffic: self.traffic,
            life: self.life,
            fault: self.fault.unwrap_or(super::Fault::NONE),
            runs,
            seed,
            interval: None,
            threshold: 5,
        })
    }
}

impl fmt::Display for LifeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.good.is_empty() {
            writeln!(f, "{}\n", self.good())?;
        }
        if !self.bad.is_empty() {
            writeln!(f, "{}\n", self.bad())?;
        }
        write!(
            f,
            "{} releases each, seed {}, every default. Held: neither out nor taken back after four times as long as a \
             release takes at least. After: the median from the beginning of the fault. Answers: how many the fault made \
             bad, on average.",
            self.runs, self.seed
        )
    }
}

impl LifeReport {
    fn good(&self) -> Table {
        let header = ["a good canary", "taken back (95%)", "held", "out after", RULES[1], RULES[2]];
        table(
            header,
            self.good.iter().map(|row| {
                let back =
                    |rule: usize| row.rules.get(rule).map(|good| share(good.thrown_away)).unwrap_or_default();
                let serin = row.rules.first();
                let held = serin.map(|good| share(good.held)).unwrap_or_default();
                let out =
                    serin.and_then(|good| good.seconds).map_or("–".to_owned(), |range| short(range.median));
                [row.what.to_owned(), back(0), held, out, back(1), back(2)]
            }),
        )
    }

    fn bad(&self) -> Table {
        let header = ["a bad canary", "caught (95%)", "after", "p90", "answers", "users", RULES[1], RULES[2]];
        table(
            header,
            self.bad.iter().map(|row| {
                let first = |rule: usize| {
                    row.rules.get(rule).map(|bad: &Bad| {
                        let after = bad.seconds.map_or("–".to_owned(), |range| short(range.median));
                        format!("{:.0}%, {after}", bad.caught.share() * 100.0)
                    })
                };
                let serin = row.rules.first();
                let caught = serin.map(|bad| share(bad.caught)).unwrap_or_default();
                let range = serin.and_then(|bad| bad.seconds);
                let time = |pick: fn(super::Range) -> f64| {
                    range.map_or("–".to_owned(), |range| short(pick(range)))
                };
                [
                    row.what.to_owned(),
                    caught,
                    time(|range| range.median),
                    time(|range| range.p90),
                    serin.map(|bad| number(bad.answers)).unwrap_or_default(),
                    serin.map(|bad| number(bad.users)).unwrap_or_default(),
                    first(1).unwrap_or_default(),
                    first(2).unwrap_or_default(),
                ]
            }),
        )
    }
}
