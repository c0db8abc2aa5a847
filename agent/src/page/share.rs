/*!
The share of callers that each version was to have, over time, with what it got, and where it was changed.
*/
use jiff::Timestamp;
use maud::{Markup, html};

use super::numbers::{Px, real};
use super::plot::{Plot, since};
use super::table;
use crate::view::PastRun;
use crate::view::board::Shown;
use serin_release::status::{Share, WeightChange};

/// Looks with fewer requests say too little about a share to be shown.
const ENOUGH: u64 = 20;

/// How much room a mark takes.
const ROOM: f64 = 38.0;

/// The picture of the latest run as it is `now`; none before there was one.
pub(super) fn share(shown: &Shown, now: Timestamp) -> Option<Markup> {
    let run = shown.runs.first()?;
    let to = end(run, now);
    let plot = Plot {
        id: "share-plot",
        title: "Share of callers over time",
        description: description(run),
        from: run.started,
        to,
        low: 0.0,
        high: 100.0,
        marks: [0.0, 25.0, 50.0, 75.0, 100.0].map(|percent| (percent, format!("{percent}%"))).to_vec(),
    };
    let steps = steps(run, to);
    let edge = plot.line(steps.iter().copied());
    let (left, bottom) = (plot.x(run.started), Plot::bottom());
    let below = format!("{edge}L{} {}L{} {}Z", Px(Plot::right()), Px(bottom), Px(left), Px(bottom));
    let content = html! {
        rect .stable-band x=(Px(left)) y=(Px(Plot::top())) width=(Px(Plot::right() - left)) height=(Px(bottom - Plot::top())) {}
        path .canary-band d=(below) {}
        path .canary-line d=(edge) {}
        @for (at, got) in served(shown) {
            circle .served cx=(Px(plot.x(at))) cy=(Px(plot.y(got))) r="2" {}
        }
        @for change in marked(run, &plot) {
            line .mark.back[change.to < change.from]
                x1=(Px(plot.x(change.at))) x2=(Px(plot.x(change.at))) y1=(Px(Plot::top())) y2=(Px(bottom)) {}
            (label(change, &plot))
        }
    };
    let is_served = served(shown).next().is_some();
    Some(html! {
        figure {
            (plot.draw(&content))
            figcaption .legend {
                span .key.canary { "canary" }
                span .key.stable { "stable" }
                @if is_served { span .key.dots { "of requests, as served" } }
            }
        }
        details #share-table {
            summary { "As a table" }
            (changes(run))
        }
    })
}

/// What the share was changed to, beside the mark: to its left where there is no room to its right.
fn label(change: &WeightChange, plot: &Plot<'_>) -> Markup {
    let (x, is_last) = (plot.x(change.at), plot.x(change.at) > Plot::right() - ROOM);
    let (x, anchor) = if is_last { (x - 3.0, "end") } else { (x + 3.0, "start") };
    html! { text .mark x=(Px(x)) y=(Px(Plot::top() + 11.0)) text-anchor=(anchor) { (change.to) } }
}

/// Until when a run is drawn: a little beyond its end, so that this can be seen.
fn end(run: &PastRun, now: Timestamp) -> Timestamp {
    let Some(last) = run.last_change.filter(|_| run.outcome.is_some()) else { return now };
    let lasted = last.duration_since(run.started);
    last.checked_add(lasted / 12).unwrap_or(now).min(now)
}

/// The corners of the canary's share.
fn steps(run: &PastRun, to: Timestamp) -> Vec<(Timestamp, f64)> {
    let mut corners = vec![(run.started, run.changes.first().map_or(0.0, |change| percent(change.from)))];
    for change in &run.changes {
        corners.extend([(change.at, percent(change.from)), (change.at, percent(change.to))]);
    }
    let last = corners.last().map_or(0.0, |(_, percent)| *percent);
    corners.push((to, last));
    corners
}

/// What the canary got of the requests at each look that had enough of them.
fn served(shown: &Shown) -> impl Iterator<Item = (Timestamp, f64)> {
    let is_its = shown.runs.first().is_some_and(|run| run.run == shown.history.run);
    let points = shown.history.points.iter().filter(move |_| is_its);
    points.filter_map(|point| {
        let all = point.canary + point.stable;
        (all >= ENOUGH).then(|| (point.at, real(point.canary) / real(all) * 100.0))
    })
}

/// The changes that have room for their mark.
fn marked<'r>(run: &'r PastRun, plot: &Plot<'_>) -> Vec<&'r WeightChange> {
    let mut marked: Vec<&WeightChange> = Vec::new();
    for change in run.changes.iter().rev() {
        let before = marked.last().map_or(f64::INFINITY, |last| plot.x(last.at));
        if before - plot.x(change.at) >= ROOM {
            marked.push(change);
        }
    }
    marked
}

fn percent(share: Share) -> f64 {
    f64::from(share.percent.ppm()) / 10_000.0
}

fn description(run: &PastRun) -> String {
    let steps: Vec<_> = run.changes.iter().map(|change| change.to.to_string()).collect();
    match steps.as_slice() {
        [] => format!("Run {} has nobody on the canary yet.", run.run),
        steps => format!(
            "In run {} the canary's share went to {}. Stable had the rest.",
            run.run,
            steps.join(", ")
        ),
    }
}

/// Every change of the share, with who and why.
pub(super) fn changes(run: &PastRun) -> Markup {
    let shows = format!("Changes of the canary's share in run {}", run.run);
    let rows = html! {
        @for change in &run.changes {
            tr {
                td .number { (super::moment(change.at, &since(change.at.duration_since(run.started)))) }
                td .number { (change.from) " to " (change.to) }
                td { (change.by) }
                td { (change.message) }
            }
        }
    };
    table(&format!("Changes of run {}", run.run), &shows, &["after", "share", "by", "why"], &rows)
}
