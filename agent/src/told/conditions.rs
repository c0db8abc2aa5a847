/*!
The conditions of a Release, with the meaning that kstatus gives them, so that whoever knows other controllers' reads
them right: `kubectl wait`, Flux, Argo CD. `docs/status.md` lists every reason there is.

`Ready` is unknown while something is under way. `Reconciling` and `Stalled` are only there while they are true, and never
both: whoever finds `Stalled` has to do something, or to release something else.
*/
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use serin_release::status::{ReleasePhase, VerdictStatus};
use serin_rollout::{Awaits, Hold, Reason, Severity};

/// A condition's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The spec makes sense and the Release may be driven.
    Accepted,
    /// Nothing is under way, and the last run ended well.
    Ready,
    /// Something is under way.
    Reconciling,
    /// It does not go on by itself.
    Stalled,
    /// Both versions can be reached by their routes.
    Routed,
    /// The run goes on, or goes back.
    Progressing,
    /// What the evidence says of the version in use.
    Healthy,
}

/// Why a condition is as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    Accepted,
    InvalidSpec,
    NotAdmitted,
    NotYetAdmitted,
    RoutesInPlace,
    RoutesNotInPlace,
    NothingWrong,
    /// The phase says it all.
    Phase(ReleasePhase),
    Verdict(VerdictStatus),
    StableReplaced,
    /// What holds the run, by its name.
    Hold(&'static str),
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Routed => "Routed",
            Self::Progressing => "Progressing",
            Self::Healthy => "Healthy",
        }
    }
}

impl Why {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::InvalidSpec => "InvalidSpec",
            Self::NotAdmitted => "NotAdmitted",
            Self::NotYetAdmitted => "NotYetAdmitted",
            Self::RoutesInPlace => "RoutesInPlace",
            Self::RoutesNotInPlace => "RoutesNotInPlace",
            Self::NothingWrong => "NothingWrong",
            Self::Phase(phase) => phase.as_str(),
            Self::Verdict(verdict) => verdict.as_str(),
            Self::StableReplaced => "StableReplaced",
            Self::Hold(name) => name,
        }
    }
}

/// Why a Release is not driven by its present spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// The spec makes no sense.
    InvalidSpec(String),
    /// It makes sense, and others or the cluster are against it.
    NotAdmitted(String),
    /// It makes sense, and what is against it passes by itself.
    NotYetAdmitted(String),
}

impl Rejection {
    const fn why(&self) -> Why {
        match self {
            Self::InvalidSpec(_) => Why::InvalidSpec,
            Self::NotAdmitted(_) => Why::NotAdmitted,
            Self::NotYetAdmitted(_) => Why::NotYetAdmitted,
        }
    }

    pub(crate) fn text(&self) -> &str {
        match self {
            Self::InvalidSpec(text) | Self::NotAdmitted(text) | Self::NotYetAdmitted(text) => text,
        }
    }
}

/// How a release is, as far as conditions say it.
#[derive(Debug)]
pub(crate) struct Facts<'f> {
    pub(crate) rejection: Option<&'f Rejection>,
    /// What to say where there is none.
    pub(crate) in_order: &'f str,
    pub(crate) phase: ReleasePhase,
    /// The canary was rolled back, and not by a person.
    pub(crate) failed: bool,
    /// The verdict and its sentence, while something is judged.
    pub(crate) verdict: Option<(VerdictStatus, &'f str)>,
    /// How somebody has undone the last run's promotion, if they have.
    pub(crate) undone: Option<&'f str>,
    pub(crate) reasons: &'f [Reason],
    pub(crate) obstacles: &'f [String],
    /// Everything there is to say.
    pub(crate) message: &'f str,
}

/// A condition as it should be: its status (`None` for `Unknown`), why, and a sentence.
type Wanted<'f> = (Kind, Option<bool>, Why, &'f str);

impl Facts<'_> {
    /// Says so in `conditions`.
    pub(crate) fn show(&self, conditions: &mut Vec<Condition>, generation: Option<i64>, now: Timestamp) {
        let holds: Vec<_> =
            self.reasons.iter().filter_map(hold).map(|hold| (hold, hold.to_string())).collect();
        let stalled = self.stalled(&holds);
        let wanted = [
            Some(self.accepted()),
            Some(self.ready(stalled)),
            self.reconciling(stalled),
            stalled.map(|(why, text)| (Kind::Stalled, Some(true), why, text)),
            Some(self.routed()),
            Some(self.progressing(&holds)),
            Some(self.healthy(&holds)),
        ];
        conditions.retain(|found| wanted.iter().flatten().any(|(kind, ..)| kind.as_str() == found.type_));
        for wanted in wanted.into_iter().flatten() {
            set(conditions, wanted, generation, now);
        }
    }

    fn accepted(&self) -> Wanted<'_> {
        match self.rejection {
            Some(rejection) => (Kind::Accepted, Some(false), rejection.why(), rejection.text()),
            None => (Kind::Accepted, Some(true), Why::Accepted, self.in_order),
        }
    }

    /// What keeps the release from going on until somebody does something.
    fn stalled<'f>(&'f self, holds: &'f [(&Hold, String)]) -> Option<(Why, &'f str)> {
        use ReleasePhase::{Aborted, RolledBack, RollingBack};
        // On the way back nobody has to do anything, unless there is nobody to go to.
        if self.phase == RollingBack && !holds.iter().any(|(hold, _)| matches!(hold, Hold::StableDown)) {
            return None;
        }
        if let Some(rejection) = self.rejection {
            return Some((rejection.why(), rejection.text()));
        }
        if matches!(self.phase, RolledBack | Aborted) {
            return Some((Why::Phase(self.phase), self.message));
        }
        if let Some(text) = self.undone {
            return Some((Why::StableReplaced, text));
        }
        let broken = holds.iter().find(|(hold, _)| hold.awaits() == Awaits::Mending);
        broken
            .map(|(hold, text)| (Why::Hold(hold.name()), text.as_str()))
            .or_else(|| Some((Why::RoutesNotInPlace, self.obstacle()?)))
    }

    fn ready<'f>(&'f self, stalled: Option<(Why, &'f str)>) -> Wanted<'f> {
        match (stalled, self.phase) {
            (Some((why, text)), _) => (Kind::Ready, Some(false), why, text),
            (None, phase @ (ReleasePhase::Idle | ReleasePhase::Keeping | ReleasePhase::Promoted)) => {
                (Kind::Ready, Some(true), Why::Phase(phase), self.message)
            }
            (None, phase @ ReleasePhase::RollingBack) => {
                (Kind::Ready, Some(false), Why::Phase(phase), self.message)
            }
            (None, phase) => (Kind::Ready, None, Why::Phase(phase), self.message),
        }
    }

    fn reconciling<'f>(&'f self, stalled: Option<(Why, &'f str)>) -> Option<Wanted<'f>> {
        let is_under_way = stalled.is_none() && self.is_under_way();
        is_under_way.then_some((Kind::Reconciling, Some(true), Why::Phase(self.phase), self.message))
    }

    const fn is_under_way(&self) -> bool {
        use ReleasePhase::{Aborted, Idle, Keeping, Promoted, RolledBack};
        !matches!(self.phase, Idle | Keeping | Promoted | RolledBack | Aborted)
    }

    fn routed(&self) -> Wanted<'_> {
        match self.obstacle() {
            Some(why) => (Kind::Routed, Some(false), Why::RoutesNotInPlace, why),
            None => {
                (Kind::Routed, Some(true), Why::RoutesInPlace, "both versions can be reached by their routes")
            }
        }
    }

    /// What stands in the way of moving anybody, besides a spec that makes no sense.
    fn obstacle(&self) -> Option<&str> {
        let rejected = self.rejection.map(Rejection::text);
        self.obstacles.iter().map(String::as_str).find(|obstacle| Some(*obstacle) != rejected)
    }

    fn progressing<'f>(&'f self, holds: &'f [(&Hold, String)]) -> Wanted<'f> {
        let in_the_way = holds.iter().find(|(hold, _)| hold.is_obstacle());
        let is_held = |hold: &Hold| match self.phase {
            ReleasePhase::RollingBack => false,
            // Everybody has the new version. What people are asked is whether the old one may go.
            ReleasePhase::Keeping => hold.awaits() == Awaits::Person,
            _ => self.is_under_way(),
        };
        match in_the_way.filter(|(hold, _)| is_held(hold)) {
            Some((hold, _)) => (Kind::Progressing, Some(false), Why::Hold(hold.name()), self.message),
            None => (Kind::Progressing, Some(self.is_under_way()), Why::Phase(self.phase), self.message),
        }
    }

    fn healthy<'f>(&'f self, holds: &'f [(&Hold, String)]) -> Wanted<'f> {
        if self.failed {
            return (Kind::Healthy, Some(false), Why::Phase(ReleasePhase::RolledBack), self.message);
        }
        if let Some(text) = self.undone {
            // Nobody has judged what stable has now.
            return (Kind::Healthy, None, Why::StableReplaced, text);
        }
        if let Some((hold, text)) = holds.iter().find(|(hold, _)| hold.severity() == Severity::Critical) {
            return (Kind::Healthy, Some(false), Why::Hold(hold.name()), text);
        }
        match (self.verdict, self.phase) {
            (Some((verdict, text)), _) => {
                let is_healthy = match verdict {
                    VerdictStatus::Pass => Some(true),
                    VerdictStatus::Fail => Some(false),
                    VerdictStatus::NotEnoughData
                    | VerdictStatus::Unclear
                    | VerdictStatus::SharedTrouble
                    | VerdictStatus::SampleRatio
                    | VerdictStatus::TrafficShare => None,
                };
                (Kind::Healthy, is_healthy, Why::Verdict(verdict), text)
            }
            (None, phase @ ReleasePhase::Preparing) => {
                (Kind::Healthy, None, Why::Phase(phase), "nobody has the new version yet")
            }
            (None, _) => {
                let text = "nothing speaks against the version in use";
                (Kind::Healthy, Some(true), Why::NothingWrong, text)
            }
        }
    }
}

/// Says in `conditions` that nothing can be planned. What else they say is about an earlier spec.
pub(crate) fn reject(
    conditions: &mut Vec<Condition>,
    rejection: &Rejection,
    generation: Option<i64>,
    now: Timestamp,
) {
    let (is_ready, told, other) = match rejection {
        Rejection::NotYetAdmitted(_) => (None, Kind::Reconciling, Kind::Stalled),
        Rejection::InvalidSpec(_) | Rejection::NotAdmitted(_) => {
            (Some(false), Kind::Stalled, Kind::Reconciling)
        }
    };
    conditions.retain(|condition| condition.type_ != other.as_str());
    for (kind, is) in [(Kind::Accepted, Some(false)), (Kind::Ready, is_ready), (told, Some(true))] {
        set(conditions, (kind, is, rejection.why(), rejection.text()), generation, now);
    }
}

const fn hold(reason: &Reason) -> Option<&Hold> {
    match reason {
        Reason::Hold(hold) => Some(hold),
        Reason::Event(_) | Reason::Outcome(_) => None,
    }
}

/// Sets one of `conditions`. Its time changes with its status, and with nothing else.
fn set(
    conditions: &mut Vec<Condition>,
    (kind, is, why, text): Wanted<'_>,
    generation: Option<i64>,
    now: Timestamp,
) {
    /// The API's own limit is 32,768.
    const LONGEST: usize = 1_000;
    let status = is.map_or("Unknown", |is| if is { "True" } else { "False" });
    let found = conditions.iter_mut().find(|condition| condition.type_ == kind.as_str());
    let since = found.as_ref().filter(|found| found.status == status);
    let condition = Condition {
        type_: kind.as_str().to_owned(),
        status: status.to_owned(),
        reason: why.as_str().to_owned(),
        message: text.chars().take(LONGEST).collect(),
        observed_generation: generation,
        last_transition_time: since.map_or_else(|| Time(now), |found| found.last_transition_time.clone()),
    };
    match found {
        Some(present) => *present = condition,
        None => conditions.push(condition),
    }
}

#[cfg(test)]
mod tests;
