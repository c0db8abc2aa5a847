/*!
The list of Releases: those that need somebody first, unless one sorts otherwise.
*/
use std::cmp::Reverse;

use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::{caption, class, moment};
use crate::view::View;
use crate::view::words::{Tone, age, tone_of_verdict};

/// What of the list is shown, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Listing {
    /// Only those with each of these words in their name, namespace, phase, run or what they wait for.
    pub q: String,
    /// In which order.
    pub sort: Sort,
}

/// An order of the list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// Those that wait for somebody first, then those under way.
    #[default]
    Need,
    /// By namespace and name.
    Name,
    /// By phase.
    Phase,
    /// The largest share first.
    Share,
    /// Those that have waited longest first.
    Since,
}

impl Listing {
    /// The same as the query of an address; empty for what is so by itself.
    pub fn query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if !self.q.is_empty() {
            query.append_pair("q", &self.q);
        }
        if self.sort != Sort::default() {
            query.append_pair("sort", self.sort.as_str());
        }
        let query = query.finish();
        if query.is_empty() { query } else { format!("?{query}") }
    }

    /// Those of `views` that are meant, in order.
    fn pick<'v>(&self, views: &'v [View]) -> Vec<&'v View> {
        let words: Vec<_> = self.q.split_whitespace().map(str::to_lowercase).collect();
        let mut picked: Vec<_> = views.iter().filter(|view| is_of(view, &words)).collect();
        let name = |view: &&View| (view.namespace.clone(), view.name.clone());
        match self.sort {
            Sort::Need => picked.sort_by_cached_key(|view| (need(view), name(view))),
            Sort::Name => picked.sort_by_cached_key(name),
            Sort::Phase => picked.sort_by_cached_key(|view| (view.phase.as_str(), name(view))),
            Sort::Share => picked.sort_by_cached_key(|view| (Reverse(view.weight), name(view))),
            Sort::Since => picked.sort_by_cached_key(|view| {
                let since = view.waits.as_ref().and_then(|waits| waits.since);
                (since.is_none(), since, name(view))
            }),
        }
        picked
    }
}

impl Sort {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Need => "need",
            Self::Name => "name",
            Self::Phase => "phase",
            Self::Share => "share",
            Self::Since => "since",
        }
    }

    /// In which direction that goes, as `aria-sort` has it.
    const fn direction(self) -> &'static str {
        match self {
            Self::Share => "descending",
            Self::Need | Self::Name | Self::Phase | Self::Since => "ascending",
        }
    }
}

/// Whether each of the words is in what one sees of it.
fn is_of(view: &View, words: &[String]) -> bool {
    let run = view.run.as_ref().map_or("", |run| &run.name);
    let waits = view.waits.as_ref().map_or("", |waits| &waits.reason);
    let text = format!("{}/{} {} {run} {waits}", view.namespace, view.name, view.phase).to_lowercase();
    words.iter().all(|word| text.contains(word))
}

/// Who needs somebody most.
fn need(view: &View) -> u8 {
    match view.tone() {
        _ if view.waits_for_somebody() => 0,
        Tone::Bad => 1,
        Tone::Doubtful => 2,
        Tone::Plain => 3,
        Tone::Good => 4,
    }
}

/// The list as it is `now`.
pub fn list(views: &[View], listing: &Listing, now: Timestamp) -> Markup {
    let picked = listing.pick(views);
    html! {
        div .title { h1 { "Releases" } }
        form #filter method="get" action="./" role="search" {
            label for="q" { "Only with these words" }
            input #q name="q" type="search" value=(listing.q) placeholder="name, namespace, phase, run" autocomplete="off";
            @if listing.sort != Sort::default() { input type="hidden" name="sort" value=(listing.sort.as_str()); }
            button { "Filter" }
            @if !listing.q.is_empty() { a href={ "./" (Listing { q: String::new(), ..listing.clone() }.query()) } { "All" } }
        }
        section #list aria-label="List of Releases" data-part data-title=(tab_title(views)) {
            p .quiet { (counts(views, picked.len())) }
            @if !picked.is_empty() { (table(&picked, listing, now)) }
        }
    }
}

fn tab_title(views: &[View]) -> String {
    match views.iter().filter(|view| view.waits_for_somebody()).count() {
        0 => "Releases – Serin".to_owned(),
        waiting => format!("({waiting}) Releases – Serin"),
    }
}

fn counts(views: &[View], picked: usize) -> String {
    let waiting = views.iter().filter(|view| view.waits_for_somebody()).count();
    let under_way = views.iter().filter(|view| view.tone() == Tone::Plain).count();
    match (views.len(), picked) {
        (0, _) => "There is no Release here that you may see. One begins with: serin adopt".to_owned(),
        (all, 0) => format!("None of {all} has these words."),
        (all, picked) if all == picked => {
            format!("{all}: {waiting} wait for somebody, {under_way} under way")
        }
        (all, picked) => format!("{picked} of {all}"),
    }
}

fn table(views: &[&View], listing: &Listing, now: Timestamp) -> Markup {
    let heading = |sort: Option<Sort>, name: &str| {
        let is_so = sort.is_some_and(|sort| sort == listing.sort);
        let direction = sort.filter(|_| is_so).map(Sort::direction);
        html! {
            th scope="col" aria-sort=[direction] {
                @if let Some(sort) = sort { a href={ "./" (by(listing, sort)) } { (name) } } @else { (name) }
            }
        }
    };
    html! {
        div .wide tabindex="0" role="group" aria-label="Releases" {
            table .list {
                (caption("Releases. A heading with a link sorts by it."))
                thead {
                    tr {
                        (heading(Some(Sort::Name), "release"))
                        (heading(Some(Sort::Phase), "phase"))
                        (heading(None, "step"))
                        (heading(Some(Sort::Share), "share"))
                        (heading(None, "of requests"))
                        (heading(None, "verdict"))
                        (heading(Some(Sort::Need), "waits for"))
                        (heading(Some(Sort::Since), "since"))
                        (heading(None, "proxies"))
                        (heading(None, "run"))
                    }
                }
                tbody { @for view in views { (row(view, now)) } }
            }
        }
    }
}

fn by(listing: &Listing, sort: Sort) -> String {
    let query = Listing { sort, ..listing.clone() }.query();
    // The address alone would be the page itself as it is.
    if query.is_empty() { "?sort=need".to_owned() } else { query }
}

fn row(view: &View, now: Timestamp) -> Markup {
    html! {
        tr {
            th scope="row" {
                span .quiet { (view.namespace) "/" } wbr;
                a href={ (view.namespace) "/" (view.name) } { (view.name) }
            }
            td { span .badge.(class(view.tone())) { (view.phase) } }
            td .number { @if let Some(step) = view.step { (step.index) "/" (step.of) } }
            td .number { (view.weight) }
            td .number { @if let Some(served) = view.served { (served.percent) } }
            td {
                @if let Some(verdict) = &view.verdict {
                    span .(class(tone_of_verdict(verdict.verdict))) { (verdict.verdict.as_str()) }
                }
            }
            td { @if let Some(waits) = &view.waits { (waits.reason) } }
            td .number {
                @if let Some(since) = view.waits.as_ref().and_then(|waits| waits.since) { (moment(since, &age(since, now))) }
            }
            td .number { span .doubtful[!view.proxies.all_current()] { (view.proxies.current) "/" (view.proxies.total) } }
            td .name { @if let Some(run) = &view.run { (run.name) } }
        }
    }
}
