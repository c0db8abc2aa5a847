/*!
How a canary stands, as tables for people: what `serin status` and `serin analyze` print.
*/
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use serin_policy::evidence::Tally;

use serin_agent::observe::latency::Percentiles;
use serin_agent::standalone::View;
use serin_release::Metric;
use serin_rollout::{
    ArmCounts, CohortRatio, Counts, Draw, Finding, Grouped, MetricValue, OneIn, ReadingFinding, Share,
    Verdict,
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
                bad(Metric::RequestSuccessRate, counts),
                bad(Metric::RequestDuration, counts),
                ms(|latency| latency.p50),
                ms(|latency| latency.p90),
                ms(|latency| latency.p99),
            ]);
        }
        right_from_second(table)
    }

    /// How unlikely what was seen is, by what the canary may be like.
    fn evidence(&self) -> Table {
        let mut table = table(&[
            "chance to look like this",
            "within its limit",
            "no worse than allowed",
            "worse",
            "rolled back at",
        ]);
        for finding in &self.findings {
            let chances = [finding.over, finding.worse, finding.no_worse, finding.needed].map(chance);
            table.add_row(std::iter::once(finding.metric.to_string()).chain(chances));
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
        for Finding { metric, limit, allowance, dispersion, promise, catches_threefold_after, .. } in
            &self.findings
        {
            let (ratio, slack) = (allowance.ratio(), allowance.slack() * 100.0);
            notes.push(format!(
                "{metric}: at most {limit} may be bad, and at most {ratio:.2} × stable + {slack:.1}%; {promise}"
            ));
            if *dispersion > 1.05 {
                notes
                    .push(format!("{metric}: bad requests come {dispersion:.1} at a time, and count as one"));
            }
            if let Some(after) = catches_threefold_after {
                let after = friendly(*after);
                notes.push(format!(
                    "{metric}: a canary three times as bad as stable would be caught after about {after}"
                ));
            }
        }
        if let Some(assignable) = self.assignable {
            notes.push(format!(
                "{:.1}% of the requests at weight 0 came from callers who can be assigned",
                assignable * 100.0
            ));
        }
        for CohortRatio { step, requests, ratio } in &self.cohorts {
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

fn bad(metric: Metric, counts: ArmCounts) -> String {
    let tally = counts.tally(metric);
    format!("{} ({})", Share(tally), Grouped(tally.bad))
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
