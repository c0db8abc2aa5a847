/*!
Commands to a Release, where a page may give them: as forms that nothing but a press of the button sends. What moves everybody is
asked about first.
*/
use maud::{Markup, html};
use serin_policy::Weight;
use serin_rollout::CommandKind;

use crate::view::{View, WaitView};
use serin_release::status::ReleasePhase;

/// What lets a page give commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controls {
    /// What only a page that was made here can know.
    pub token: String,
}

/// The buttons for what can be done now.
pub(super) fn controls(view: &View, given: &Controls) -> Markup {
    let offered = offered(view);
    html! {
        @if !offered.is_empty() {
            section #commands .controls aria-label="Commands" data-part {
                @for kind in offered {
                    @let label = named(kind, view);
                    @if view.moves_everybody(kind).is_some() || kind == CommandKind::OverrideFreeze {
                        a .button.danger[kind == CommandKind::Abort] #{ "do-" (kind) } href={ (view.name) "/" (kind) } { (label) "…" }
                    } @else {
                        form method="post" action={ (view.name) "/" (kind) } {
                            input type="hidden" name="token" value=(given.token);
                            button #{ "do-" (kind) } { (label) }
                        }
                    }
                }
            }
        }
    }
}

/// What makes sense now. Whatever is given all the same is refused by the planner, with its reason.
fn offered(view: &View) -> Vec<CommandKind> {
    use CommandKind::{Abort, OverrideFreeze, Pause, Promote, Resume, Retry};
    use ReleasePhase::{Baking, Keeping, OffPlan, Preparing, Progressing, Promoting, RollingBack, Starting};
    let is_to_do = |kind| view.todo.as_ref().is_some_and(|todo| todo.commands.contains(&kind));
    let is_paused = waits_for(view, "Paused");
    let offers = |kind: &CommandKind| match kind {
        Pause => matches!(view.phase, Starting | Progressing | Baking | Keeping) && !is_paused,
        Promote => matches!(view.phase, Preparing | Starting | Progressing | OffPlan | Baking),
        Abort => {
            let is_on_the_way_back = view.phase == RollingBack && view.weight > Weight::ZERO.into();
            is_on_the_way_back
                || matches!(
                    view.phase,
                    Preparing | Starting | Progressing | OffPlan | Baking | Keeping | Promoting
                )
        }
        Resume | Retry | OverrideFreeze => is_to_do(*kind),
    };
    [Resume, Retry, OverrideFreeze, Pause, Promote, Abort].into_iter().filter(offers).collect()
}

fn waits_for(view: &View, reason: &str) -> bool {
    view.waits.as_ref().is_some_and(|waits| waits.reason == reason)
}

/// What a command does here, in a word or two.
pub fn named(kind: CommandKind, view: &View) -> &'static str {
    let waits_for = view.waits.as_ref().map(|WaitView { reason, .. }| reason.as_str());
    match (kind, waits_for) {
        (CommandKind::Resume, Some("AwaitsApproval")) => "Approve the step",
        (CommandKind::Resume, Some("AwaitsCutover")) => "Begin the cutover",
        (CommandKind::Resume, Some("AwaitsCleanup")) => "Let the old version go",
        (CommandKind::Resume, _) => "Resume",
        (CommandKind::Pause, _) => "Pause",
        (CommandKind::Promote, _) => "Promote",
        (CommandKind::Abort, _) if view.phase == ReleasePhase::Keeping => "Switch back",
        (CommandKind::Abort, _) => "Abort",
        (CommandKind::Retry, _) => "Retry",
        (CommandKind::OverrideFreeze, _) => "Override the freeze",
    }
}

/// Asks whether a command is meant, and why it is given.
pub fn confirm(kind: CommandKind, view: &View, given: &Controls) -> Markup {
    let label = named(kind, view);
    let what = view.moves_everybody(kind);
    html! {
        section .narrow aria-labelledby="confirm-title" {
            h1 #confirm-title { (label) " " (view.name) "?" }
            @if let Some(what) = what { p .verdict { (what) "." } }
            form method="post" action=(kind) {
                input type="hidden" name="token" value=(given.token);
                label for="reason" { "Why" }
                input #reason name="reason" type="text" maxlength="200" autocomplete="off" aria-describedby="reason-for";
                p #reason-for .quiet { "It is told in the status, in the events and to those who get messages. It may be left out." }
                p .controls {
                    button .danger[kind == CommandKind::Abort] { (label) }
                    a .button href={ "../" (view.name) } { "Back" }
                }
            }
        }
    }
}

/// That something was not done, and why.
pub fn refused(title: &str, why: &str, back: &str) -> Markup {
    html! {
        section .narrow aria-labelledby="refused-title" {
            h1 #refused-title { (title) }
            p .verdict.doubtful { (why) }
            p .controls { a .button href=(back) { "Back" } }
        }
    }
}
