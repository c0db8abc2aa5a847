/*!
What the planner remembers from tick to tick. It is saved after each, so it holds no more than the next needs.
*/
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serin_policy::Weight;

use super::analysis::{
    CohortRatio, Evidence, Finding, Forecast, Injected, MirrorFinding, ReadingFinding, SegmentFinding,
    Unjudged, UsersFinding, Verdict,
};
use super::approvals::Approvals;
use super::brought::Brought;
use super::handover::HandoverState;
use super::hooks::Question;
use super::phase::{BakeState, KeepState, Phase, StepState, elapsed};
use super::reason::Reason;
use super::receding::RecedeState;
use super::roles::{Roles, RouteTargets};
use super::versions::{VersionProgress, Versions};
use super::{Besides, Push};
use serin_release::{Pause, Release};

/// How far a release is. The default is that of a release never seen before.
///
/// What is only of use in one phase is kept with that phase.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The run this is about; empty before the first tick.
    pub run: String,
    /// Where the run stands.
    pub phase: Phase,
    /// What the run has shown so far.
    pub evidence: Box<Evidence>,
    /// Revision of the policy that is wanted in front of the proxies. It never falls.
    pub revision: u64,
    /// The Release's fingerprint when that policy was made.
    pub fingerprint: u64,
    /// How the versions beside the two stand.
    #[serde(default, skip_serializing_if = "Versions::are_none")]
    pub versions: Versions,
    /// In a cluster: the pods that the run has the two versions keep.
    #[serde(default)]
    pub pods: Pods,
    /// In a cluster: the version that stable had when the run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_run: Option<String>,
    /// In a cluster: which of the two Deployments is the stable one.
    #[serde(default)]
    pub roles: Roles,
    /// In a cluster: where the routes of the two versions are to lead.
    #[serde(default)]
    pub routes: RouteTargets,
    /// In a cluster: what hooks were asked in this run, and what they have answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<Question>,
    /// How far a wait for people's approval is, while the run is where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<Approvals>,
    /// Who has this run go on although a window freezes it, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze_overridden_by: Option<String>,
    /// The last time the run, the weight or the closedness of what is wanted changed.
    pub last_change: Option<Change>,
}

/// The pods that a run has the two versions keep. Of use from its beginning until everybody is back on stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pods {
    /// How many stable had when the run began, or since: as many it keeps, so that going back works.
    pub stable_floor: u32,
    /// The weight for which the canary is being given pods, if that is a higher one than the present.
    pub canary_for: Option<Weight>,
    /// Since when the run has been waiting for these pods without a break, and for nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacking_since: Option<Timestamp>,
    /// What rules bring to the canary besides its weight. It outlasts the run.
    #[serde(default)]
    pub brought: Brought,
}

/// A change of what is wanted in front of the proxies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// Who decided it.
    pub by: Actor,
    /// Why.
    pub reason: Reason,
    /// The run it belongs to.
    pub run: String,
    /// The canary's share until then.
    pub weight_before: Weight,
    /// The canary's share from then on.
    pub weight_after: Weight,
    /// Whether the canary takes no traffic at all from then on.
    pub closed: bool,
    /// Revision of the policy that carries it.
    pub revision: u64,
}

/// Who decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// The planner, on evidence.
    Planner,
    /// A person.
    Operator(String),
}

/// How far the present step is, for people to look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The step, from 1; none before the first and after the last.
    pub step: Option<usize>,
    /// How many steps there are.
    pub of: usize,
    /// The canary's share that is wanted.
    pub weight: Weight,
    /// How long the step was observed, pauses left out.
    pub elapsed: Duration,
    /// How long it is observed at least; none when time does not matter.
    pub duration: Option<Duration>,
    /// Requests to the canary that the next verdict goes by: copies of stable's, before it has users.
    pub have: u64,
    /// Requests that a good verdict takes.
    pub need: u64,
    /// What the judge makes of the run.
    pub verdict: Verdict,
    /// How each metric stands.
    pub findings: Vec<Finding>,
    /// How users fared; none where no proxy tells.
    pub users: Option<UsersFinding>,
    /// How users of segments fare that have the canary as a whole.
    pub segments: Vec<SegmentFinding>,
    /// What is not judged at present.
    pub unjudged: Vec<Unjudged>,
    /// Requests that met a fault that was injected on purpose: they are not judged either.
    #[serde(default, skip_serializing_if = "Injected::is_none")]
    pub injected: Injected,
    /// How the answers to copies of stable's requests stand, where the canary got any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies: Option<MirrorFinding>,
    /// How long faults would take to be caught, by step.
    pub forecasts: Vec<Forecast>,
    /// How people's own metrics stand.
    pub readings: Vec<ReadingFinding>,
    /// Those whom each step moves, compared with the rest while both were on stable: their errors.
    pub cohorts: Vec<CohortRatio>,
    /// The share of requests at weight 0 whose caller has an id or can be given one; none before there were any.
    pub assignable: Option<f64>,
    /// How new callers were drawn.
    pub draw: Draw,
    /// How the versions beside stable and canary stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<VersionProgress>,
}

/// How new callers were drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Draw {
    /// Evidence (ln E) that the canary's share of them is another than was asked for.
    pub evidence: f64,
    /// New callers at the present weight.
    pub seen: u64,
    /// Those of them who got the canary.
    pub canary: u64,
}

impl Status {
    /// Whether the Release is driven: something may be under way. One whose status cannot be read is.
    pub fn is_driven(&self) -> bool {
        self.phase != Phase::Waiting
    }

    /// The canary's share that is wanted.
    pub const fn weight(&self) -> Weight {
        match &self.phase {
            Phase::Waiting
            | Phase::Preparing { .. }
            | Phase::Starting { .. }
            | Phase::CuttingBack { .. }
            | Phase::Settled
            | Phase::RolledBack { .. }
            | Phase::Aborted { .. } => Weight::ZERO,
            Phase::Progressing(StepState { weight, .. })
            | Phase::OffPlan { weight }
            | Phase::Receding(RecedeState { weight, .. })
            | Phase::Unreadable { weight, .. } => *weight,
            Phase::HandingOver(HandoverState { probe: Some(_), .. }) => HandoverState::ALL_BUT_PROBE,
            Phase::Promoting
            | Phase::Baking(_)
            | Phase::Keeping(_)
            | Phase::Promoted
            | Phase::HandingOver(_) => Weight::FULL,
        }
    }

    /// Whether the canary is to take no traffic at all.
    pub const fn is_closed(&self) -> bool {
        match self.phase {
            Phase::Preparing { .. }
            | Phase::CuttingBack { .. }
            | Phase::Settled
            | Phase::RolledBack { .. }
            | Phase::Aborted { .. } => true,
            Phase::Unreadable { closed, .. } => closed,
            _ => false,
        }
    }

    /// Whether segments are to be dropped: everybody goes to the canary, but for the few who go back to stable first.
    pub const fn is_promoted(&self) -> bool {
        matches!(
            self.phase,
            Phase::Promoting | Phase::Baking(_) | Phase::Keeping(_) | Phase::Promoted | Phase::HandingOver(_)
        )
    }

    /// Whether the canary is to get copies of stable's requests.
    pub const fn mirrors(&self) -> bool {
        matches!(self.phase, Phase::Starting { mirrors: true, .. })
    }

    /// The policy that is wanted in front of the proxies.
    pub const fn push(&self) -> Push {
        Push {
            revision: self.revision,
            weight: self.weight(),
            closed: self.is_closed(),
            promoted: self.is_promoted(),
            besides: match self.phase {
                Phase::Starting { mirrors: true, .. } => Besides::Mirror,
                Phase::RolledBack { .. } | Phase::Aborted { .. } => Besides::GoingBack,
                _ => Besides::Nothing,
            },
        }
    }

    /// How far the present step is.
    pub fn progress(&self, release: &Release, now: Timestamp) -> Progress {
        let mut progress = Progress {
            step: None,
            of: release.steps.len(),
            weight: self.weight(),
            elapsed: Duration::ZERO,
            duration: None,
            have: self.evidence.requests(),
            need: release.analysis.min_requests,
            verdict: self.evidence.verdict(&release.analysis, now),
            findings: self.evidence.findings(release, self.weight()),
            users: self.evidence.users(&release.analysis),
            segments: self.evidence.segments(&release.analysis),
            unjudged: self.evidence.unjudged(release, now),
            injected: self.evidence.injected(),
            copies: self.evidence.copies(&release.analysis),
            forecasts: self.evidence.forecasts(release),
            readings: self.evidence.readings(&release.analysis),
            cohorts: self.evidence.cohorts(&release.analysis),
            assignable: self.evidence.assignable(),
            draw: self.evidence.draw(),
            versions: self.progress_of_versions(release, now),
        };
        match &self.phase {
            Phase::Progressing(state) => {
                progress.step = Some(state.index + 1);
                progress.elapsed = state.elapsed(now);
                progress.duration = release.steps.get(state.index).and_then(|step| match step.pause {
                    Pause::For(duration) => Some(duration),
                    Pause::None | Pause::UntilApproved => None,
                });
            }
            Phase::Starting { since, paused, mirrors, .. } => {
                let mirror = release.mirror.as_ref().filter(|_| *mirrors);
                progress.elapsed = elapsed(*since, paused.as_ref(), now);
                if mirror.is_some() {
                    progress.have = self.evidence.mirrored().canary.requests;
                }
                progress.duration = Some(mirror.map_or(release.analysis.baseline, |mirror| mirror.duration));
            }
            Phase::Receding(RecedeState { since, .. }) => {
                progress.elapsed = elapsed(Some(*since), None, now);
                progress.duration = release.gradual.as_ref().map(|gradual| gradual.each);
            }
            Phase::Baking(BakeState { since, paused, .. }) => {
                progress.elapsed = elapsed(Some(*since), paused.as_ref(), now);
                progress.duration = Some(release.analysis.bake);
            }
            Phase::Keeping(KeepState { since, paused, .. }) => {
                progress.elapsed = elapsed(Some(*since), paused.as_ref(), now);
                progress.duration = release.blue_green.map(|blue_green| blue_green.keep);
            }
            _ => {}
        }
        progress
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Planner => f.write_str("the planner"),
            Self::Operator(name) => f.write_str(name),
        }
    }
}
