/*!
How a canary stands, as tables for people: what `serin status` and `serin analyze` print.
*/
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle, presets};
use serde::Serialize;
use serin_policy::Arm;
use serin_policy::evidence::{Interval, Tally};

use serin_agent::observe::latency::Percentiles;
use serin_agent::standalone::View;
use serin_rollout::{
    CohortRatio, Counts, Draw, Finding, Forecast, Grouped, Injected, Limit, MetricValue, OneIn,
    ReadingFinding, SegmentFinding, Share, Unjudged, UsersFinding, Verdict, VersionProgress,
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
    pub(super) segments: Vec<SegmentFinding>,
    pub(super) unjudged: Vec<Unjudged>,
    #[serde(skip_serializing_if = "Injected::is_none")]
    pub(super) injected: Injected,
    pub(super) forecasts: Vec<Forecast>,
    pub(super) readings: Vec<ReadingFinding>,
    pub(super) cohorts: Vec<CohortRatio>,
    pub(super) assignable: Option<f64>,
    pub(super) draw: Draw,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) versions: Vec<VersionProgress>,
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
            segments: progress.segments,
            unjudged: progress.unjudged,
            injected: progress.injected,
            forecasts: progress.forecasts,
            readings: progress.readings,
            cohorts: progress.cohorts,
            assignable: progress.assignable,
            draw: progress.draw,
            versions: progress.versions,
        }
    }
}

impl Report {
    /// The tables, without the verdict.
    pub(super) fn tables(&self) -> String {
        let mut tables = vec![self.versions()];
        if !self.findings.is_empty() {
            tables.extend([self.evidence(), self.limits()]);
        }
        if !self.forecasts.is_empty() {
            tables.push(self.steps());
        }
        if !self.readings.is_empty() {
            tables.push(self.own_metrics());
        }
        let mut parts: Vec<_> = tables.iter().map(Table::trim_fmt).collect();
        let notes = self.notes();
        if !notes.is_empty() {
            parts.push(paragraphs(&notes));
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
        for VersionProgress { name, counted: Counts { canary: own, .. }, .. } in &self.versions {
            let none = || "–".to_owned();
            let requests = Grouped(own.requests).to_string();
            let (failed, slow) = (bad(own.failed()), bad(own.too_slow()));
            table.add_row([name.clone(), requests, failed, slow, none(), none(), none()]);
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
            "chance\nif good:\n1 in",
            "rolled\nback at:\n1 in",
            "chance\nif bad:\n1 in",
        ]);
        for finding in &self.findings {
            let Finding { metric, canary, stable, ratio, over, worse, no_worse, needed, .. } = finding;
            let against = over.map_or(*worse, |over| over.max(*worse));
            let ratio = ratio.map(|Interval { estimate, low, high }| {
                format!("{}× ({}–{})", digits(estimate), digits(low), digits(high))
            });
            table.add_row([
                metric.to_string(),
                bad(*canary),
                bad(*stable),
                ratio.unwrap_or_default(),
                odds(against),
                odds(*needed),
                no_worse.map_or_else(String::new, odds),
            ]);
        }
        if let Some(UsersFinding { canary, stable, evidence, needed, .. }) = self.users {
            let (canary, stable) = (Grouped(canary).to_string(), Grouped(stable).to_string());
            let name = "users failing first".to_owned();
            let nothing = String::new;
            table.add_row([name, canary, stable, nothing(), odds(evidence), odds(needed), nothing()]);
        }
        for SegmentFinding { segment, metric, canary, evidence, needed, .. } in &self.segments {
            let name = format!("{metric}\n  of segment {segment}");
            let nothing = String::new;
            table.add_row([
                name,
                bad(*canary),
                nothing(),
                nothing(),
                odds(*evidence),
                odds(*needed),
                nothing(),
            ]);
        }
        right_from_second(table)
    }

    /// Where "bad" begins for each metric, and what would be seen of a fault.
    fn limits(&self) -> Table {
        let mut table = table(&[
            "metric",
            "may be bad",
            "raised because",
            "come at\na time",
            "smallest fault\nthis step sees",
        ]);
        for finding in &self.findings {
            let Finding { metric, limit, allowance, dispersion, smallest, .. } = finding;
            let (ratio, slack) = (allowance.ratio(), allowance.slack() * 100.0);
            let compared = format!("{ratio:.2} × stable + {slack:.2}%");
            let (may_be, because) = match limit {
                Some(limit) => (format!("{}, and {compared}", limit.share), because(*limit)),
                None => (compared, String::new()),
            };
            let sees = smallest.map_or_else(String::new, |share| share.to_string());
            table.add_row([metric.to_string(), may_be, because, format!("{dispersion:.1}"), sees]);
        }
        for SegmentFinding { segment, metric, limit, back_beyond, dispersion, .. } in &self.segments {
            let Some(limit) = limit else { continue };
            let name = format!("{metric}\n  of segment {segment}");
            let back = back_beyond.map_or_else(String::new, |share| format!("; goes back beyond {share}"));
            let may_be = format!("{}{back}", limit.share);
            table.add_row([name, may_be, because(*limit), format!("{dispersion:.1}"), String::new()]);
        }
        for column in table.column_iter_mut().skip(3) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    /// What each step would catch, and who is moved by it.
    fn steps(&self) -> Table {
        let mut table = table(&[
            "step",
            "weight",
            "10 × the failures\ncaught after",
            "3 × the failures\ncaught after",
            "its users failed\non stable",
            "in so many\nrequests",
        ]);
        for Forecast { step, weight, threefold, tenfold } in &self.forecasts {
            let after = |time: &Option<Duration>| time.map_or_else(|| "never".to_owned(), friendly);
            let cohort = self.cohorts.iter().find(|cohort| cohort.step == *step && cohort.requests > 0);
            let (ratio, requests) = cohort
                .map(|CohortRatio { ratio, requests, .. }| {
                    (format!("{ratio:.2} × the rest"), Grouped(*requests).to_string())
                })
                .unwrap_or_default();
            table.add_row([
                step.to_string(),
                weight.to_string(),
                after(tenfold),
                after(threefold),
                ratio,
                requests,
            ]);
        }
        right_from_second(table)
    }

    fn own_metrics(&self) -> Table {
        let mut table = table(&[
            "metric",
            "canary",
            "stable",
            "out of range",
            "chance\nif good:\n1 in",
            "rolled\nback at:\n1 in",
        ]);
        for reading in &self.readings {
            let ReadingFinding { name, canary, stable, seen, evidence, needed, dry_run } = reading;
            let needed = if *dry_run { "only shown".to_owned() } else { odds(*needed) };
            table.add_row([
                name.clone(),
                value(canary),
                stable.as_ref().map_or_else(String::new, value),
                format!("{} of {}", Grouped(seen.bad), Grouped(seen.requests)),
                odds(*evidence),
                needed,
            ]);
        }
        right_from_second(table)
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for version in &self.versions {
            notes.push(format!("{}, {}: {}.", version.name, version.weight, version.because()));
        }
        if let Some(UsersFinding { seen, failed, .. }) = self.users.filter(|users| users.seen > 0) {
            let errors = self.counted.canary.errors;
            notes.push(format!(
                "About {} of the canary's {} users have met a failure, in {} requests.",
                Grouped(failed),
                Grouped(seen),
                Grouped(errors)
            ));
        }
        let mut promises: Vec<_> = self.findings.iter().map(|finding| finding.promise).collect();
        promises.dedup();
        for promise in &promises {
            let of = self.findings.iter().filter(|finding| finding.promise == *promise);
            let metrics: Vec<_> = of.map(|finding| finding.metric.as_str()).collect();
            let which = if promises.len() == 1 { "All metrics".to_owned() } else { metrics.join(", ") };
            notes.push(format!("{which}: {promise}."));
        }
        let mut reasons: Vec<_> = self.unjudged.iter().map(|unjudged| unjudged.why).collect();
        reasons.sort_unstable();
        reasons.dedup();
        for why in reasons {
            let of = self.unjudged.iter().filter(|unjudged| unjudged.why == why);
            let what: Vec<_> = of.map(|unjudged| unjudged.what.to_string()).collect();
            notes.push(format!("Not judged: {}: {why}.", what.join(", ")));
        }
        let Injected { stable, canary } = self.injected;
        for (arm, requests) in [(Arm::Stable, stable), (Arm::Canary, canary)] {
            if requests > 0 {
                let (requests, arm) = (Grouped(requests), arm.as_str());
                notes.push(format!("Not judged: {requests} requests of {arm} that met a fault on purpose."));
            }
        }
        if let Some(assignable) = self.assignable {
            notes.push(format!(
                "{:.1}% of the requests at weight 0 came from callers who can be assigned.",
                assignable * 100.0
            ));
        }
        if self.draw.seen > 0 {
            let Draw { evidence, seen, canary } = self.draw;
            let share = Share(Tally { requests: seen, bad: canary });
            notes.push(format!(
                "{share} of {} new callers got the canary; by chance alone it is this far from what was asked for once in {} releases.",
                Grouped(seen),
                odds(evidence)
            ));
        }
        notes
    }
}

/// Why a limit is more than the Release says, where it is.
fn because(limit: Limit) -> String {
    limit.raised.map_or_else(String::new, |raised| raised.to_string())
}

/// Paragraphs, no line of them wider than [`WIDTH`].
fn paragraphs(notes: &[String]) -> String {
    let mut lines = Table::new();
    lines.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    for note in notes {
        lines.add_row([note]);
    }
    for column in lines.column_iter_mut() {
        column.set_padding((0, 0));
    }
    lines.trim_fmt()
}

/// What most terminals have room for.
const WIDTH: u16 = 100;

/// A table with these columns.
pub(super) fn table(columns: &[&str]) -> Table {
    const UNDER_HEADER: TableStyle =
        presets::NOTHING.header_separator(LineStyle::none().fill('-').junction('-'));
    let mut table = Table::new();
    table.load_style(UNDER_HEADER).set_header(columns);
    table
}

fn right_from_second(mut table: Table) -> Table {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// In how many releases something is seen at most once.
fn odds(ln_e: f64) -> String {
    OneIn(ln_e).to_string()
}

fn bad(tally: Tally) -> String {
    if tally.requests == 0 { "–".to_owned() } else { format!("{} ({})", Share(tally), Grouped(tally.bad)) }
}

/// A factor, with two digits that count.
fn digits(factor: f64) -> String {
    if factor < 9.95 { format!("{factor:.1}") } else { format!("{factor:.0}") }
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

#[cfg(test)]
mod tests;
