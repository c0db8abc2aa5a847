/*!
What has happened, by whom and why.
*/
use jiff::Timestamp;
use maud::{Markup, html};

use super::plot::since;
use super::share::changes;
use super::{class, moment, part};
use crate::view::board::Shown;
use crate::view::words::{age, outcome, tone_of_outcome};
use crate::view::{News, PastRun};

/// How much of what was told is shown.
const NEWS: usize = 20;

/// What was told, the latest first.
pub(super) fn news(shown: &Shown, now: Timestamp) -> Option<Markup> {
    let news = &shown.view.news;
    if news.is_empty() {
        return None;
    }
    let line = |News { at, message, warning, .. }: &News| {
        html! {
            li .doubtful[*warning] { (moment(*at, &format!("{} ago", age(*at, now)))) span { (message) } }
        }
    };
    let content = html! { ol .news reversed { @for news in news.iter().rev().take(NEWS) { (line(news)) } } };
    Some(part("news", "What happened", &content))
}

/// The last runs.
pub(super) fn runs(shown: &Shown, now: Timestamp) -> Option<Markup> {
    if shown.runs.is_empty() {
        return None;
    }
    let content = html! { @for (i, run) in shown.runs.iter().enumerate() { (self::run(i, run, now)) } };
    Some(part("runs", "Runs", &content))
}

fn run(i: usize, run: &PastRun, now: Timestamp) -> Markup {
    let end = run.last_change.filter(|_| run.outcome.is_some()).unwrap_or(now);
    html! {
        details id={ "run-" (i) } {
            summary {
                b .name { (run.run) } " "
                span .(class(tone_of_outcome(run.outcome))) { (outcome(run)) }
                span .quiet {
                    ", reached " (run.reached) ", begun " (moment(run.started, &format!("{} ago", age(run.started, now))))
                    ", lasted " (since(end.duration_since(run.started)))
                }
            }
            (changes(run))
        }
    }
}
