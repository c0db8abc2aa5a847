/*!
How far the release is, in four lines.
*/
use console::Style;
use serin_policy::Weight;
use serin_policy::evidence::as_f64;

use crate::term_line::{TermLine, bad, dim, good, plain};
use serin_agent::standalone::View;
use serin_rollout::{Cause, Finding, OneIn, Phase};

/// How far the release is: its steps, the present one, what it waits for, and the evidence.
pub(super) fn progress(view: &View, width: usize) -> Vec<String> {
    let mut track = TermLine::new(width);
    for &weight in view.steps.iter().chain([&Weight::FULL]) {
        let (style, mark) = mark(&view.status.phase, weight);
        track = track.add(&style, &format!("{mark} {weight}   "));
    }
    vec![track.text, bar(view, width), standing(view, width), evidence(view, width)]
}

/// How a step looks from where the release is.
fn mark(phase: &Phase, step: Weight) -> (Style, char) {
    let at = match phase {
        Phase::RolledBack { cause: Cause::Failed { weight, .. } | Cause::NoData { weight, .. }, .. }
            if *weight == step =>
        {
            return (bad(), '✗');
        }
        Phase::RolledBack { cause: Cause::Failed { weight, .. } | Cause::NoData { weight, .. }, .. } => {
            *weight
        }
        Phase::Progressing(state) => state.weight,
        Phase::Promoting | Phase::Baking(_) => Weight::FULL,
        Phase::Keeping(_) | Phase::Promoted => return (good(), '✓'),
        _ => Weight::ZERO,
    };
    match step.cmp(&at) {
        std::cmp::Ordering::Less => (good(), '✓'),
        std::cmp::Ordering::Equal => (Style::new().bold(), '●'),
        std::cmp::Ordering::Greater => (dim(), '○'),
    }
}

fn bar(view: &View, width: usize) -> String {
    let progress = &view.progress;
    let Some(step) = progress.step else {
        let line = TermLine::new(width);
        return match &view.status.phase {
            Phase::Promoted => line.add(&good(), "promoted: everybody is on the new version").text,
            Phase::Promoting => line.add(&plain(), "promotion: everybody goes to the new version").text,
            Phase::Baking(_) => {
                let left = progress.duration.unwrap_or_default().saturating_sub(progress.elapsed);
                let text =
                    format!("bake: everybody is on the new version, {:.0} s to go", left.as_secs_f64());
                line.add(&plain(), &text).text
            }
            Phase::Keeping(_) => {
                let left = progress.duration.unwrap_or_default().saturating_sub(progress.elapsed);
                let text = format!(
                    "everybody is on the new version, and the old one is kept for {:.0} s",
                    left.as_secs_f64()
                );
                line.add(&good(), &text).text
            }
            Phase::RolledBack { .. } | Phase::Aborted { .. } => {
                line.add(&bad(), "rolled back: everybody is on the old version").text
            }
            _ => line.add(&plain(), "about to begin: everybody is on the old version").text,
        };
    };
    let elapsed = progress.elapsed.as_secs_f64();
    let (time, share_of_time) = match progress.duration {
        Some(duration) => {
            let whole = duration.as_secs_f64();
            (format!("{:.1} of {whole:.0} s", elapsed.min(whole)), elapsed / whole.max(f64::EPSILON))
        }
        None => (format!("{elapsed:.1} s"), 1.0),
    };
    // A verdict goes by the latest requests: what is more than it takes is of no interest.
    let have = progress.have.min(progress.need);
    let share_of_requests = as_f64(have) / as_f64(progress.need.max(1));
    let before = format!("step {step} of {}  ", progress.of);
    let after = format!("  {time}, {have} of {} requests", progress.need);
    let length = width.saturating_sub(before.chars().count() + after.chars().count()).min(60);
    let done = portion(length, share_of_time.min(share_of_requests));
    TermLine::new(width)
        .add(&plain(), &before)
        .add(&Style::new().cyan(), &"█".repeat(done))
        .add(&dim(), &"░".repeat(length - done))
        .add(&plain(), &after)
        .text
}

/// `share` of `length`, rounded down: a bar is full when all is done, and not before.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share between 0 and 1 of a terminal's width"
)]
fn portion(length: usize, share: f64) -> usize {
    ((length as f64 * share.clamp(0.0, 1.0)) as usize).min(length)
}

/// The strongest evidence against the new version.
fn evidence(view: &View, width: usize) -> String {
    let findings = &view.progress.findings;
    let against = findings
        .iter()
        .map(|finding| finding.over.map_or(finding.worse, |over| over.max(finding.worse)))
        .reduce(f64::max);
    let line = TermLine::new(width);
    match (&view.status.phase, against, findings.first()) {
        (Phase::Progressing(_), Some(against), Some(Finding { needed, .. })) => {
            let line = if against < LITTLE {
                line.add(&plain(), "nothing speaks against the new version")
            } else {
                line.add(&plain(), "a good version looks this bad once in ")
                    .add(&Style::new().bold(), &OneIn(against).to_string())
                    .add(&plain(), " releases")
            };
            line.add(&dim(), &format!(" (it is rolled back at {})", OneIn(*needed))).text
        }
        _ => line.text,
    }
}

/// Evidence (ln E) below this every other good version has at some time.
const LITTLE: f64 = std::f64::consts::LN_2;

/// What the agent waits for, or what troubles it.
fn standing(view: &View, width: usize) -> String {
    let line = TermLine::new(width);
    if let Some(trouble) = &view.trouble {
        return line.add(&bad(), trouble).text;
    }
    match view.status.phase {
        // Its reasons stand in the journal.
        Phase::Promoted | Phase::RolledBack { .. } | Phase::Aborted { .. } => line.text,
        _ => {
            let reasons: Vec<_> = view.standing.iter().map(ToString::to_string).collect();
            line.add(&dim(), &reasons.join("; ")).text
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bar_is_full_when_all_is_done_and_not_before() {
        assert_eq!([0.0, 0.5, 0.999, 1.0, 7.0].map(|share| portion(10, share)), [0, 5, 9, 10, 10]);
    }

    #[test]
    fn a_failed_step_is_crossed_out_and_those_before_it_are_done() {
        let weight = |percent: u32| Weight::from_ppm(percent * 10_000).unwrap();
        let cause = Cause::NoData { weight: weight(10), after: Duration::from_mins(1), why: String::new() };
        let phase = Phase::RolledBack { cause, canary: serin_rollout::Emptying::InUse };
        assert_eq!([1, 10, 25].map(|percent| mark(&phase, weight(percent)).1), ['✓', '✗', '○']);
        assert_eq!(mark(&Phase::Promoted, Weight::FULL).1, '✓');
    }
}
