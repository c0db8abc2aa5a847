/*!
Releases as pages: HTML made from what the [board](crate::view::board) shows, and from nothing else. It reads no clock and fetches
nothing.

A page is whole without a script. The one script there is takes in its parts anew as they change, and says when it cannot.
There is no style and no script within a page, so that it can be forbidden; every link is relative, so that a page can be
anywhere below a proxy.
*/
mod controls;
mod evidence;
mod history;
mod list;
mod numbers;
mod parts;
mod plot;
mod release;
mod share;
#[cfg(test)]
mod tests;

use maud::{DOCTYPE, Markup, html};

pub use self::controls::{Controls, confirm, named, refused};
pub use self::list::{Listing, Sort, list};
pub use self::release::release;
use crate::view::words::Tone;

/// How pages look, in light and in darkness.
pub const STYLE: &str = include_str!("page.css");

/// What keeps a page up to date.
pub const SCRIPT: &str = include_str!("page.js");

/// The icon of the tab.
pub const ICON: &str = include_str!("icon.svg");

/// Where a page is below the list of Releases, and what it is called.
#[derive(Debug)]
pub struct Shell<'s> {
    /// The title.
    pub title: &'s str,
    /// The way up to the list, such as `../`; empty for the list itself.
    pub root: &'s str,
    /// What follows the list on the way to this page: names, each with its address where there is one.
    pub trail: &'s [(&'s str, Option<&'s str>)],
    /// Where the parts come from as they change; none of a page that does not change.
    pub live: Option<&'s str>,
}

/// A whole page around its parts.
pub fn document(shell: &Shell<'_>, main: &Markup) -> String {
    let Shell { title, root, trail, live } = shell;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="stylesheet" href={ (root) "-/page.css" };
                link rel="icon" type="image/svg+xml" href={ (root) "-/icon.svg" };
                @if live.is_some() { script src={ (root) "-/page.js" } defer {} }
            }
            body {
                a .skip href="#main" { "To the content" }
                header {
                    nav aria-label="Place" {
                        ol .trail {
                            li {
                                @if trail.is_empty() { span aria-current="page" { "Releases" } }
                                @else { a href={ "./" (root) } { "Releases" } }
                            }
                            @for (i, (name, address)) in trail.iter().enumerate() {
                                li {
                                    @if let Some(address) = address { a href=(address) { (name) } }
                                    @else if i + 1 == trail.len() { span aria-current="page" { (name) } }
                                    @else { (name) }
                                }
                            }
                        }
                    }
                    @if live.is_some() {
                        p #connection role="status" {}
                        p #announced .unseen role="status" {}
                    }
                }
                main #main tabindex="-1" data-live=[live] { (main) }
            }
        }
    };
    page.into_string()
}

/// That there is no such Release here.
pub fn missing(namespace: &str, name: &str, why: &str) -> Markup {
    html! {
        section #head aria-labelledby="head-title" data-part data-title={ (name) " – Serin" } {
            h1 #head-title { "There is no release " (namespace) "/" (name) " here" }
            p .note { (why) }
        }
    }
}

/// A part of a page, which is taken in anew when it has changed.
fn part(id: &str, title: &str, content: &Markup) -> Markup {
    html! {
        section id=(id) aria-labelledby={ (id) "-title" } data-part {
            h2 id={ (id) "-title" } { (title) }
            (content)
        }
    }
}

/// What a table shows. It stays in sight where the table is wider than the window.
fn caption(text: &str) -> Markup {
    html! { caption .quiet { span { (text) } } }
}

/// A table under its headings. Who has no mouse moves what is wider than the window by keys.
fn table(label: &str, shows: &str, headings: &[&str], rows: &Markup) -> Markup {
    html! {
        div .wide tabindex="0" role="group" aria-label=(label) {
            table {
                (caption(shows))
                thead { tr { @for heading in headings { th scope="col" { (heading) } } } }
                tbody { (rows) }
            }
        }
    }
}

/// The class for how something is.
const fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Doubtful => "doubtful",
        Tone::Bad => "bad",
        Tone::Plain => "plain",
    }
}

/// A moment, with how long ago it was.
fn moment(at: jiff::Timestamp, text: &str) -> Markup {
    html! { time datetime=(format!("{at:.0}")) title=(format!("{at:.0}")) { (text) } }
}
