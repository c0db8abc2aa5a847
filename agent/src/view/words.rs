/*!
The words and numbers of a [`View`], as terminals and pages have them alike.
*/
use jiff::{SignedDuration, Timestamp};
use serin_release::status::{ReleasePhase, RunOutcome, VerdictStatus};
use serin_rollout::{CommandKind, Grouped, ProxyState};

use super::{Counted, PastRun, StepState, Tally, TestView, View, WaitsOn};

/// How something stands, for the colour it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Somebody should look at it.
    Doubtful,
    /// It went wrong.
    Bad,
    /// It is under way.
    Plain,
}

/// How long ago `at` was, as kubectl has it.
pub fn age(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).max(SignedDuration::ZERO).as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// One in so many releases.
pub fn odds(releases: u64) -> String {
    if releases >= 1_000_000_000 { "a billion".to_owned() } else { Grouped(releases).to_string() }
}

/// How many were bad, of how many.
pub fn tally(tally: Tally) -> String {
    let value = tally.value.map_or_else(String::new, |value| format!(" (now {value})"));
    match tally.of {
        Some(of) => format!("{} of {}{value}", Grouped(tally.bad), Grouped(of)),
        None => Grouped(tally.bad).to_string(),
    }
}

/// What a proxy runs.
pub fn proxy_state(state: &ProxyState) -> String {
    match state {
        ProxyState::Silent { error } => format!("does not answer: {error}"),
        ProxyState::Bypassed => "does not run the filter".to_owned(),
        ProxyState::Runs { revision, refused: None, has_lapsed: false } => {
            format!("runs revision {revision}")
        }
        ProxyState::Runs { revision, refused: None, has_lapsed: true } => {
            format!("runs revision {revision}, and everybody is on stable: its lease has run out there")
        }
        ProxyState::Runs { revision, refused: Some(why), .. } => {
            format!("keeps revision {revision} and refuses the present one: {why}")
        }
    }
}

/// How a run ended.
pub fn outcome(run: &PastRun) -> String {
    run.outcome.map_or_else(|| "under way".to_owned(), |outcome| format!("{outcome:?}"))
}

/// How good that is.
pub const fn tone_of_outcome(outcome: Option<RunOutcome>) -> Tone {
    match outcome {
        Some(RunOutcome::Promoted) => Tone::Good,
        Some(RunOutcome::RolledBack | RunOutcome::Aborted) => Tone::Bad,
        Some(RunOutcome::Replaced) | None => Tone::Plain,
    }
}

/// How good a verdict is.
pub const fn tone_of_verdict(verdict: VerdictStatus) -> Tone {
    match verdict {
        VerdictStatus::Pass => Tone::Good,
        VerdictStatus::Fail => Tone::Bad,
        VerdictStatus::NotEnoughData => Tone::Plain,
        VerdictStatus::Unclear
        | VerdictStatus::SharedTrouble
        | VerdictStatus::SampleRatio
        | VerdictStatus::TrafficShare => Tone::Doubtful,
    }
}

impl View {
    /// How its phase is.
    pub fn tone(&self) -> Tone {
        use ReleasePhase::{Aborted, Idle, Keeping, Promoted, RolledBack, RollingBack, Unknown};
        match self.phase {
            RollingBack | RolledBack | Aborted | Unknown => Tone::Bad,
            _ if self.waits_for_somebody() => Tone::Doubtful,
            Idle | Keeping | Promoted => Tone::Good,
            _ => Tone::Plain,
        }
    }

    /// Whether somebody has to do something.
    pub fn waits_for_somebody(&self) -> bool {
        self.waits.as_ref().is_some_and(|waits| matches!(waits.on, WaitsOn::Person | WaitsOn::Mending))
    }

    /// What to ask before a command that moves everybody; none of others.
    pub fn moves_everybody(&self, kind: CommandKind) -> Option<String> {
        let run = self.run.as_ref().map_or("the new version", |run| &run.name);
        let (name, weight) = (self.full_name(), self.weight);
        match kind {
            CommandKind::Promote => Some(format!("{name}: everybody gets {run}, not {weight}")),
            CommandKind::Abort => Some(format!("{name}: everybody gets stable, nobody {run} ({weight} now)")),
            CommandKind::Pause | CommandKind::Resume | CommandKind::Retry | CommandKind::OverrideFreeze => {
                None
            }
        }
    }

    /// What share the new version is to have, has, and of whom.
    pub fn share(&self) -> String {
        let served =
            self.served.map_or_else(String::new, |served| format!(", of requests {}", served.percent));
        let users = self.users.map_or_else(String::new, |users| {
            format!(
                ", about {} users so far, {} of them with a failure",
                Grouped(users.seen),
                Grouped(users.failed)
            )
        });
        format!("set {}{served}{users}", self.weight)
    }

    /// How many proxies run what is wanted.
    pub fn proxies_in_words(&self) -> String {
        let counts = self.proxies;
        let text = format!("{} of {} report this weight", counts.current, counts.total);
        match counts.bypassed {
            0 => text,
            bypassed => format!("{text}, {bypassed} without the filter"),
        }
    }
}

impl StepState {
    /// The mark that a step has.
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Done => "✓",
            Self::Now => "●",
            Self::Ahead => "○",
            Self::TakenBack => "✗",
        }
    }
}

impl WaitsOn {
    /// Whose turn it is, in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Course => "its course",
            Self::Others => "what comes by itself",
            Self::Person => "a person's word",
            Self::Mending => "somebody who mends it",
        }
    }
}

impl Counted {
    /// What the bad ones are called.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "bad requests",
            Self::Readings => "readings out of range",
            Self::Users => "users",
        }
    }
}

impl TestView {
    /// What the evidence of this test has to reach for a rollback.
    pub fn back(&self) -> String {
        if self.dry_run {
            "only shown".to_owned()
        } else {
            format!("back at 1 in {}", odds(self.odds.needed))
        }
    }

    /// How many times as bad as stable the canary is, with its bounds.
    pub fn ratio_in_words(&self) -> Option<String> {
        self.ratio.map(|ratio| format!("{:.1}× stable ({:.1}–{:.1})", ratio.estimate, ratio.low, ratio.high))
    }
}
