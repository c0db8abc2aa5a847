/*!
How a canary stands, as tables for people: what `serin status` and `serin analyze` print.
*/
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use serin_policy::evidence::{Interval, Tally};

use serin_agent::observe::latency::Percentiles;
use serin_agent::standalone::View;
use serin_rollout::{
    CohortRatio, Counts, Draw, Finding, Forecast, Grouped, MetricValue, OneIn, ReadingFinding, Share,
    UsersFinding, Verdict,
};

/// How a canary stands.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) release: String,
    pub(super) verdict: Verdict,
    /// The verdict in one sentence.
    pub(super) because: String,
    pub(super) counted: Counts,
    pub(super) stable_latency: Option<Percentiles>,
    pub(super) canary_latency: Option<Percentiles>,
    pub(super) findings: Vec<Finding>,
    pub(super) users: Option<UsersFinding>,
    pub(super) forecasts: Vec<Forecast>,
    pub(super) readings: Vec<ReadingFinding>,
    pub(super) cohorts: Vec<CohortRatio>,
    pub(super) assignable: Option<f64>,
    pub(super) draw: Draw,
}

impl From<&View> for Report {
    fn from(view: &View) -> Self {
        let progress = view.progress.clone();
        Self {
            release: view.release.clone(),
            because: progress.verdict.to_string(),
            verdict: progress.verdict,
            counted: view.counted,
            stable_latency: view.stable_latency,
            canary_latency: view.canary_latency,
            findings: progress.findings,
            users: progress.users,
            forecasts: progress.forecasts,
            readings: progress.readings,
            cohorts: progress.cohorts,
            assignable: progress.assignable,
            draw: progress.draw,
        }
    }
}

impl Report {
    /// The tables, without the verdict.
    pub(super) fn tables(&self) -> String {
        let mut parts = vec![self.versions().to_string()];
        if !self.findings.is_empty() {
            parts.push(self.evidence().to_string());
        }
        if !self.readings.is_empty() {
            parts.push(self.own_metrics().to_string());
        }
        let notes = self.notes();
        if !notes.is_empty() {
            parts.push(notes.join("\n"));
        }
        parts.join("\n\n")
    }

    fn versions(&self) -> Table {
        let mut table = table(&["version", "requests", "failed", "too slow", "p50", "p90", "p99"]);
        for (name, counts, latency) in [
            ("stable", self.counted.stable, self.stable_latency),
            ("canary", self.counted.canary, self.canary_latency),
        ] {
            let ms = |pick: fn(&Percentiles) -> f64| {
                latency.as_ref().map(pick).map_or_else(|| "–".to_owned(), milliseconds)
            };
            table.add_row([
                name.to_owned(),
                Grouped(counts.requests).to_string(),
                bad(counts.failed()),
                bad(counts.too_slow()),
                ms(|latency| latency.p50),
                ms(|latency| latency.p90),
                ms(|latency| latency.p99),
            ]);
        }
        right_from_second(table)
    }

    /// What each metric shows, and how unlikely that is, by what the canary may be like.
    fn evidence(&self) -> Table {
        let mut table = table(&[
            "metric",
            "canary",
            "stable",
            "ratio (95%)",
            "chance if good",
            "rolled back at",
            "chance if bad",
        ]);
        for finding in &self.findings {
            let Finding { metric, canary, stable, ratio, over, worse, no_worse, needed, .. } = finding;
            let against = over.map_or(*worse, |over| over.max(*worse));
            let ratio = ratio.map(|Interval { estimate, low, high }| {
                format!("{} ({}–{})", times(estimate), times(low), times(high))
            });
            table.add_row([
                metric.to_string(),
                bad(*canary),
                bad(*stable),
                ratio.unwrap_or_default(),
                chance(against),
                chance(*needed),
                no_worse.map_or_else(String::new, chance),
            ]);
        }
        if let Some(UsersFinding { canary, stable, evidence, needed }) = self.users {
            let (canary, stable) = (Grouped(canary).to_string(), Grouped(stable).to_string());
            table.add_row([
                "users who failed first".to_owned(),
                canary,
                stable,
                String::new(),
                chance(evidence),
                chance(needed),
                String::new(),
            ]);
        }
        right_from_second(table)
    }

    fn own_metrics(&self) -> Table {
        let mut table =
            table(&["metric", "canary", "stable", "out of range", "chance if good", "rolled back at"]);
        for reading in &self.readings {
            let ReadingFinding { name, canary, stable, seen, evidence, needed, dry_run } = reading;
            let needed = if *dry_run { "only shown".to_owned() } else { chance(*needed) };
            table.add_row([
                name.clone(),
                value(canary),
                stable.as_ref().map_or_else(String::new, value),
                format!("{} of {}", Grouped(seen.bad), Grouped(seen.requests)),
                chance(*evidence),
                needed,
            ]);
        }
        right_from_second(table)
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for Finding { metric, limit, allowance, dispersion, promise, .. } in &self.findings {
            let (ratio, slack) = (allowance.ratio(), allowance.slack() * 100.0);
            let limit = limit.map(|limit| format!("at most {limit} may be bad, and ")).unwrap_or_default();
            notes.push(format!("{metric}: {limit}at most {ratio:.2} × stable + {slack:.2}%; {promise}"));
            if *dispersion > 1.05 {
                notes
                    .push(format!("{metric}: bad requests come {dispersion:.1} at a time, and count as one"));
            }
        }
        for Forecast { step, weight, threefold, tenfold } in &self.forecasts {
            let after = |time: &Option<Duration>| time.map_or_else(|| "never".to_owned(), friendly);
            notes.push(format!(
                "step {step} at {weight}: ten times as many failures would be caught after about {}, three times as many \
                 after {}",
                after(tenfold),
                after(threefold)
            ));
        }
        if let Some(assignable) = self.assignable {
            notes.push(format!(
                "{:.1}% of the requests at weight 0 came from callers who can be assigned",
                assignable * 100.0
            ));
        }
        for CohortRatio { step, requests, ratio, .. } in &self.cohorts {
            if *requests > 0 {
                notes.push(format!(
                    "step {step}: {:.2} × the errors of the rest are allowed for, by {} requests of its users while all \
                     were on stable",
                    ratio.max(1.0),
                    Grouped(*requests)
                ));
            }
        }
        if self.draw.seen > 0 {
            let Draw { evidence, seen, canary } = self.draw;
            let share = Share(Tally { requests: seen, bad: canary });
            notes.push(format!(
                "{share} of {} new callers got the canary; by chance alone it is this far from what was asked for in {}",
                Grouped(seen),
                chance(evidence)
            ));
        }
        notes
    }
}

/// A table with these columns.
pub(super) fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_HORIZONTAL_ONLY).set_header(columns);
    table
}

fn right_from_second(mut table: Table) -> Table {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// How unlikely something is at most.
fn chance(ln_e: f64) -> String {
    format!("1 in {}", OneIn(ln_e))
}

fn bad(tally: Tally) -> String {
    format!("{} ({})", Share(tally), Grouped(tally.bad))
}

/// A factor, with two digits that count.
fn times(factor: f64) -> String {
    if factor < 9.95 { format!("{factor:.1}×") } else { format!("{factor:.0}×") }
}

fn value(value: &MetricValue) -> String {
    match value {
        MetricValue::Number(number) => format!("{number}"),
        MetricValue::NotANumber => "NaN".to_owned(),
        MetricValue::Empty => "no series".to_owned(),
        MetricValue::Failed(why) => why.clone(),
    }
}

fn milliseconds(ms: f64) -> String {
    if ms < 10.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

/// A duration to two digits or so.
fn friendly(duration: Duration) -> String {
    let rounded = match duration.as_secs() {
        seconds @ 0..120 => seconds,
        seconds @ 120..7200 => seconds / 60 * 60,
        seconds => seconds / 3600 * 3600,
    };
    jiff::fmt::friendly::SpanPrinter::new().unsigned_duration_to_string(&Duration::from_secs(rounded))
}
