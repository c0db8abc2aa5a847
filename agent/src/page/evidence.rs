/*!
What the evidence says: each test with how far it is to a rollback, and how that came about, on a logarithmic axis. Evidence grows
by factors.
*/
use maud::{Markup, html};
use serin_rollout::{Grouped, History};

use super::numbers::{Px, real, two_digits};
use super::parts::sentence;
use super::plot::Plot;
use super::{class, part, table};
use crate::view::board::Shown;
use crate::view::words::{odds, tally, tone_of_verdict};
use crate::view::{TestView, VerdictView, View};
use serin_release::status::VerdictStatus;

/// How long a bar is that has come to a rollback.
const BAR: f64 = 120.0;

/// Evidence below this (ln E) speaks for the canary; how much is no matter.
const LOWEST: f64 = -1.2;

/// Kinds of tests beyond this many look like others.
const STYLES: usize = 6;

/// All of it; nothing where nothing is judged.
pub(super) fn evidence(shown: &Shown) -> Option<Markup> {
    let verdict = shown.view.verdict.as_ref()?;
    let requests = verdict.requests;
    let content = html! {
        @if verdict.verdict != VerdictStatus::Fail && sentence(&shown.view).0 != verdict.message {
            p .(class(tone_of_verdict(verdict.verdict))) { (verdict.message) }
        }
        @if requests.need > 0 {
            p .quiet {
                (Grouped(requests.have)) " requests to the canary in this step; a verdict takes " (Grouped(requests.need)) "."
            }
        }
        (tests(verdict))
        @if let Some(curves) = curves(&shown.view, &shown.history) { (curves) }
        @if !verdict.not_judged.is_empty() || !verdict.injected.is_empty() {
            ul .quiet {
                @for not in &verdict.not_judged { li { "Not judged: " (not.what) ": " (not.why) } }
                @for of in &verdict.injected {
                    li { "Not judged: " (Grouped(of.requests)) " requests of " (of.name) " that met a fault on purpose" }
                }
            }
        }
    };
    Some(part("evidence", "Evidence", &content))
}

fn tests(verdict: &VerdictView) -> Markup {
    let shows = "Each test. A good canary looks this bad at most once in so many releases.";
    let rows = html! { @for test in &verdict.tests { (row(test)) } };
    table("Tests", shows, &["test", "against the canary", "canary", "stable"], &rows)
}

fn row(test: &TestView) -> Markup {
    html! {
        tr {
            th scope="row" { (test.name) br; span .quiet { (test.counts.as_str()) } }
            td .number { (bar(test)) br; span .quiet { "1 in " (odds(test.odds.now)) ", " (test.back()) } }
            td .number {
                (tally(test.canary)) br;
                span .quiet { @if let Some(limit) = test.limit { "limit " (limit) } }
            }
            td .number {
                @if let Some(stable) = test.stable { (tally(stable)) }
                br;
                span .quiet { @if let Some(ratio) = test.ratio_in_words() { (ratio) } }
            }
        }
    }
}

/// How far a test is, with a mark at each factor of ten.
fn bar(test: &TestView) -> Markup {
    let decades = real(test.odds.needed.max(2)).log10();
    let marks = (1..).map(f64::from).take_while(|decade| *decade < decades);
    let says = format!("1 in {}, {}", odds(test.odds.now), test.back());
    let is_back = test.against >= 1.0 && !test.dry_run;
    html! {
        svg .bar viewBox={ "0 0 " (BAR + 2.0) " 14" } role="img" aria-label=(says) {
            rect .room x="0" y="3" width=(Px(BAR)) height="8" {}
            rect .won.bad[is_back] x="0" y="3" width=(Px(BAR * test.against)) height="8" {}
            @for decade in marks {
                line .decade x1=(Px(BAR * decade / decades)) x2=(Px(BAR * decade / decades)) y1="3" y2="11" {}
            }
            line .threshold x1=(Px(BAR)) x2=(Px(BAR)) y1="0" y2="14" {}
        }
    }
}

/// How the evidence of each kind of tests came about; none before two looks at this run.
fn curves(view: &View, history: &History) -> Option<Markup> {
    let is_its = view.run.as_ref().is_some_and(|run| run.name == history.run);
    let points = &history.points;
    let (first, last) = (points.first()?, points.last()?);
    if !is_its || first.at == last.at {
        return None;
    }
    let together = || points.iter().filter_map(|point| Some((point.at, point.evidence?)));
    let highest = together().map(|(_, ln_e)| ln_e).fold(history.needed, f64::max);
    let high = highest + 0.8;
    let plot = Plot {
        id: "evidence-plot",
        title: "Evidence against the canary over time",
        description: description(history),
        from: first.at,
        to: last.at,
        low: LOWEST,
        high,
        marks: decades(high),
    };
    let threshold = plot.y(history.needed);
    let kinds = history.tests.iter().enumerate().map(|(i, kind)| {
        let won = points.iter().filter_map(move |point| Some((point.at, (*point.won.get(i)?)?)));
        (format!("kind kind-{}", i % STYLES), plot.line(won), kind.to_string())
    });
    let kinds: Vec<_> = kinds.filter(|(_, path, _)| !path.is_empty()).collect();
    let all = plot.line(together());
    let content = html! {
        @for (class, path, _) in &kinds { path class=(class) d=(path) {} }
        path .together d=(all) {}
        line .threshold x1=(Px(plot.x(first.at))) x2=(Px(Plot::right())) y1=(Px(threshold)) y2=(Px(threshold)) {}
        text .threshold x=(Px(Plot::right())) y=(Px(threshold - 4.0)) text-anchor="end" {
            "taken back at 1 in " (releases(history.needed))
        }
    };
    Some(html! {
        figure {
            (plot.draw(&content))
            figcaption .legend {
                span .key.together { "all tests together" }
                @for (class, _, name) in &kinds { span class={ "key " (class) } { (name) } }
            }
        }
        details #evidence-table {
            summary { "As a table" }
            (looks(history, &plot))
        }
    })
}

/// The last look, and a few before it.
fn looks(history: &History, plot: &Plot<'_>) -> Markup {
    const ROWS: usize = 12;
    let every = history.points.len().div_ceil(ROWS).max(1);
    let latest = history.points.iter().rev().step_by(every);
    let cell =
        |ln_e: Option<f64>| ln_e.map_or_else(|| "–".to_owned(), |ln_e| format!("1 in {}", releases(ln_e)));
    let kinds: Vec<_> = history.tests.iter().map(ToString::to_string).collect();
    let headings: Vec<_> =
        ["after", "all together"].into_iter().chain(kinds.iter().map(String::as_str)).collect();
    let rows = html! {
        @for point in latest {
            tr {
                td .number { (super::plot::since(point.at.duration_since(plot.from))) }
                td .number { (cell(point.evidence)) }
                @for i in 0..history.tests.len() {
                    td .number { (cell(point.won.get(i).copied().flatten())) }
                }
            }
        }
    };
    table("Evidence, look by look", "Evidence against the canary, the latest first", &headings, &rows)
}

/// A mark at each factor of ten, or of more where there is no room.
fn decades(high: f64) -> Vec<(f64, String)> {
    const MOST: i32 = 5;
    let ten = std::f64::consts::LN_10;
    #[expect(clippy::cast_possible_truncation, reason = "evidence has a few hundred digits")]
    let last = (high / ten).floor().max(1.0) as i32;
    let every = (last + MOST - 1) / MOST;
    let name = |decade: i32| match decade {
        0..=3 => format!("{}", 10_i32.pow(decade.unsigned_abs())),
        _ => format!("1e{decade}"),
    };
    (0..=last)
        .step_by(usize::try_from(every.max(1)).unwrap_or(1))
        .map(|decade| (f64::from(decade) * ten, name(decade)))
        .collect()
}

/// Evidence as one in so many releases.
fn releases(ln_e: f64) -> String {
    let one_in = ln_e.exp();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below a billion")]
    if one_in < 10.0 { two_digits(one_in.max(0.0)) } else { odds(one_in.min(1e9).round() as u64) }
}

fn description(history: &History) -> String {
    let now = history.points.iter().rev().find_map(|point| point.evidence);
    let now = now
        .map_or_else(|| "No test counts yet".to_owned(), |ln_e| format!("It is now 1 in {}", releases(ln_e)));
    format!("{now}; the canary is taken back at 1 in {}.", releases(history.needed))
}

/// How those whom each step moves fared before, on stable: nothing where they were not counted.
pub(super) fn cohorts(shown: &Shown) -> Option<Markup> {
    let seen: Vec<_> = shown.cohorts.iter().filter(|cohort| cohort.requests > 0).collect();
    if seen.is_empty() {
        return None;
    }
    let is_bounded = seen.iter().any(|cohort| cohort.bounds.is_some());
    let what = "How those whom each step moves fared on stable, beside those who stay. The canary is held against that.";
    let mut headings = vec!["step", "their requests", "failures, times the others'"];
    headings.extend(is_bounded.then_some("at least, at most"));
    let rows = html! {
        @for cohort in seen {
            tr {
                th scope="row" .number { (cohort.step) }
                td .number { (Grouped(cohort.requests)) }
                td .number { (format!("{:.2}", cohort.ratio)) }
                @if is_bounded {
                    td .number {
                        @if let Some(bounds) = cohort.bounds { (format!("{:.2} – {:.2}", bounds.low, bounds.high)) }
                    }
                }
            }
        }
    };
    Some(part("cohorts", "Baseline", &table("Baseline", what, &headings, &rows)))
}
