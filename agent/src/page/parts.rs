/*!
The parts of a Release's page that are as it is now: the sentence on top, the steps, the versions, the proxies.
*/
use jiff::Timestamp;
use maud::{Markup, html};
use serin_rollout::{Grouped, Proxy, ProxyState};

use super::numbers::{Px, milliseconds};
use super::plot::since;
use super::{class, moment, part, table};
use crate::observe::latency::Percentiles;
use crate::view::board::Shown;
use crate::view::words::{Tone, age, proxy_state, tone_of_verdict};
use crate::view::{StepState, StepView, VersionView, View};
use serin_release::status::{CommandOutcome, Role};

/// So many proxies are listed; of more, those that are not as they are to be.
const PROXIES: usize = 40;

/// What one wants to know first: where it stands and why, what it waits for, what to do.
pub(super) fn head(shown: &Shown, now: Timestamp) -> Markup {
    let view = &shown.view;
    let (sentence, tone) = sentence(view);
    html! {
        section #head aria-labelledby="head-title" data-part data-title=(tab_title(view)) {
            div .title {
                h1 #head-title { (view.name) }
                span .badge.(class(view.tone())) { (view.phase) }
                @if let Some(run) = &view.run {
                    span .quiet {
                        "run " b { (run.name) }
                        @if let Some(started) = run.started {
                            ", begun " (moment(started, &format!("{} ago", age(started, now))))
                        }
                    }
                }
            }
            p .verdict.(class(tone)) { (sentence) }
            @if !view.is_current {
                p .note.doubtful { "No agent has seen the present spec yet: what stands here is about an earlier one." }
            }
            @if let Some(waits) = &view.waits {
                p .note {
                    b { (waits.reason) }
                    @if let Some(since) = waits.since { " for " (moment(since, &age(since, now))) }
                    ", for " (waits.on.as_str())
                    @if waits.message != sentence { ": " (waits.message) }
                }
            }
            @if let Some(todo) = &view.todo { p .note.todo { b { "To do: " } (todo.text) "." } }
            @if let Some(command) = &view.command {
                @let refused = command.outcome == CommandOutcome::Refused;
                p .note.doubtful[refused].quiet[!refused] {
                    (moment(command.at, &format!("{} ago", age(command.at, now)))) ": " (command.message)
                    @if !refused { ": taken" }
                }
            }
            @for told in &view.notifications {
                @if let Some(error) = &told.error { p .note.doubtful { (told.name) " is not told: " (error) } }
            }
        }
    }
}

/// The sentence that says how it is: the verdict's while there is one, and how it stands otherwise.
pub(super) fn sentence(view: &View) -> (&str, Tone) {
    match &view.verdict {
        Some(verdict) if view.tone() != Tone::Bad => (&verdict.message, tone_of_verdict(verdict.verdict)),
        _ if view.message.is_empty() => ("No agent has looked at it yet.", Tone::Doubtful),
        _ => (&view.message, view.tone()),
    }
}

/// How the tab is called: what there is to see there comes first.
fn tab_title(view: &View) -> String {
    format!("{} {} {} – Serin", view.weight, view.name, view.phase)
}

/// The steps, each with how long the run was there.
pub(super) fn steps(shown: &Shown, now: Timestamp) -> Option<Markup> {
    let steps = &shown.view.steps;
    if steps.is_empty() {
        return None;
    }
    let content = html! {
        ol .steps {
            @for step in steps {
                li .(state_class(step.state)) aria-current=[(step.state == StepState::Now).then_some("step")] {
                    (mark(step.state))
                    b .number { (step.weight) }
                    span .quiet {
                        @if let Some(spent) = spent(shown, step, now) { (spent) } @else { (state_word(step.state)) }
                        @if step.approval { br; "by approval" }
                    }
                }
            }
        }
    };
    Some(part("steps", "Steps", &content))
}

/// The mark of a step: drawn, since not every font has one.
fn mark(state: StepState) -> Markup {
    html! {
        svg .step-mark viewBox="0 0 16 16" aria-hidden="true" {
            @match state {
                StepState::Done => { path d="M3 8.5L6.5 12L13 4.5" {} }
                StepState::Now => { circle .full cx="8" cy="8" r="5" {} }
                StepState::Ahead => { circle cx="8" cy="8" r="4.5" {} }
                StepState::TakenBack => { path d="M4 4L12 12M12 4L4 12" {} }
            }
        }
    }
}

/// How long the run was at a step, or has been.
fn spent(shown: &Shown, step: &StepView, now: Timestamp) -> Option<String> {
    if step.state == StepState::Ahead {
        return None;
    }
    let changes = &shown.runs.first()?.changes;
    let at = changes.iter().rposition(|change| change.to == step.weight)?;
    let began = changes.get(at)?.at;
    let is_over = step.state != StepState::Now;
    let end = changes.get(at + 1).map(|next| next.at).filter(|_| is_over);
    Some(since(end.unwrap_or(now).duration_since(began))).filter(|_| end.is_some() || !is_over)
}

const fn state_class(state: StepState) -> &'static str {
    match state {
        StepState::Done => "done",
        StepState::Now => "now",
        StepState::Ahead => "ahead",
        StepState::TakenBack => "back",
    }
}

const fn state_word(state: StepState) -> &'static str {
    match state {
        StepState::Done => "done",
        StepState::Now => "now",
        StepState::Ahead => "to come",
        StepState::TakenBack => "taken back",
    }
}

/// The versions: what each is to get and gets, its pods, and how long it takes.
pub(super) fn versions(shown: &Shown) -> Markup {
    let view = &shown.view;
    let latency = |version: &VersionView| match version.role {
        Role::Stable => shown.latency.stable,
        Role::Canary => shown.latency.canary,
        Role::Extra => None,
    };
    let slowest = [shown.latency.stable, shown.latency.canary].into_iter().flatten().map(|it| it.p99);
    let slowest = slowest.fold(10.0, f64::max);
    let has_latency = view.versions.iter().any(|version| latency(version).is_some());
    let mut headings = vec!["version", "set", "of requests", "pods"];
    headings.extend(has_latency.then_some("p50 · p90 · p99"));
    let rows = html! {
        @for version in &view.versions {
            tr {
                th scope="row" {
                    span .key.(version_class(version.role)) { (version.name) }
                    @if let Some(image) = &version.image { br; span .quiet { (image) } }
                    @else if let Some(message) = &version.message { br; span .quiet { (message) } }
                    @else if let Some(deployment) = &version.deployment { br; span .quiet { "deployment/" (deployment) } }
                }
                td .number { (version.weight) }
                td .number {
                    @if let Some(served) = version.served {
                        (served.percent) span .quiet { " (" (Grouped(served.requests)) ")" }
                    } @else { "–" }
                }
                td .number {
                    @if let Some(pods) = version.pods {
                        span .doubtful[pods.ready < pods.wanted] { (pods.ready) " of " (pods.wanted) }
                    } @else { "–" }
                }
                @if has_latency {
                    td .number {
                        @if let Some(it) = latency(version) {
                            (percentiles(&it)) br; (strip(&it, slowest, version.role))
                        } @else { "–" }
                    }
                }
            }
        }
    };
    let content = html! {
        (table("Versions", &format!("The canary: {}", view.share()), &headings, &rows))
        @if let Some(users) = view.users {
            p { "About " b { (Grouped(users.seen)) } " users have had the canary in this run, "
                b .bad[users.failed > 0] { (Grouped(users.failed)) } " of them with a failure." }
        }
    };
    part("versions", "Versions", &content)
}

const fn version_class(role: Role) -> &'static str {
    match role {
        Role::Stable => "stable",
        Role::Canary => "canary",
        Role::Extra => "extra",
    }
}

fn percentiles(latency: &Percentiles) -> String {
    let Percentiles { p50, p90, p99 } = latency;
    format!("{} · {} · {}", milliseconds(*p50), milliseconds(*p90), milliseconds(*p99))
}

/// From the median to the 99th percentile, on a logarithmic axis from a millisecond on.
fn strip(latency: &Percentiles, slowest: f64, role: Role) -> Markup {
    const LONG: f64 = 110.0;
    let Percentiles { p50, p90, p99 } = latency;
    let x = |ms: &f64| 4.0 + LONG * (ms.max(1.0).ln() / slowest.max(2.0).ln()).clamp(0.0, 1.0);
    html! {
        svg .strip.(version_class(role)) viewBox={ "0 0 " (LONG + 8.0) " 14" } aria-hidden="true" {
            line .axis x1="4" x2=(Px(LONG + 4.0)) y1="7" y2="7" {}
            line .range x1=(Px(x(p50))) x2=(Px(x(p99))) y1="7" y2="7" {}
            circle cx=(Px(x(p50))) cy="7" r="3.5" {}
            line .tick x1=(Px(x(p90))) x2=(Px(x(p90))) y1="3" y2="11" {}
            line .tick x1=(Px(x(p99))) x2=(Px(x(p99))) y1="3" y2="11" {}
        }
    }
}

/// The proxies, and which revision each runs.
pub(super) fn proxies(shown: &Shown) -> Markup {
    let (view, all) = (&shown.view, &shown.proxies);
    let is_as_wanted = |proxy: &&Proxy| {
        let wanted = ProxyState::Runs { revision: shown.revision, refused: None, has_lapsed: false };
        proxy.state == wanted
    };
    let mut listed: Vec<_> = all.iter().filter(|proxy| !is_as_wanted(proxy)).collect();
    let behind = listed.len();
    listed.extend(all.iter().filter(is_as_wanted));
    let more = listed.len().saturating_sub(PROXIES.max(behind));
    listed.truncate(PROXIES.max(behind));
    let content = html! {
        p .doubtful[!view.proxies.all_current()] { (view.proxies_in_words()) "." }
        @if !listed.is_empty() {
            details #proxies-list open[behind > 0] {
                summary { "Each by its revision; " (shown.revision) " is wanted" }
                ul .plain-list {
                    @for proxy in listed {
                        li .doubtful[!is_as_wanted(&proxy)] { span .name { (proxy.name) } ": " (proxy_state(&proxy.state)) }
                    }
                }
                @if more > 0 { p .quiet { "and " (more) " more that are as wanted" } }
            }
        }
    };
    part("proxies", "Proxies", &content)
}
