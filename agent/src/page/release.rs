/*!
The page of one Release.
*/
use jiff::Timestamp;
use maud::{Markup, html};

use super::controls::{Controls, controls};
use super::{evidence, history, part, parts, share};
use crate::view::board::Shown;

/// What a Release is like `now`, part by part. `given` are the means to give it commands, where that is possible.
pub fn release(shown: &Shown, given: Option<&Controls>, now: Timestamp) -> Markup {
    html! {
        (parts::head(shown, now))
        @if let Some(given) = given { (controls(&shown.view, given)) }
        @if let Some(steps) = parts::steps(shown, now) { (steps) }
        div .columns {
            div {
                @if let Some(share) = share::share(shown, now) { (part("share", "Share", &share)) }
                (parts::versions(shown))
                (parts::proxies(shown))
                @if let Some(news) = history::news(shown, now) { (news) }
            }
            div {
                @if let Some(evidence) = evidence::evidence(shown) { (evidence) }
                @if let Some(cohorts) = evidence::cohorts(shown) { (cohorts) }
            }
        }
        @if let Some(runs) = history::runs(shown, now) { (runs) }
    }
}
