/*!
Which of the two Deployments is the stable one, and where the routes of the two versions lead.

A Release names two Deployments. With the promotion `Swap` they change places at the end of each run, so which one is
live is part of the status. It is also kept with the routes, as a label: a status can be lost, by a backup that is
restored or a Release that Git makes again, and everybody must stay on the Deployment that serves them.
*/
use std::fmt;

use serde::{Deserialize, Serialize};
use serin_release::delivery::PromotionMode;

use super::Tick;
use super::phase::Phase;
use super::status::Status;
use super::workloads::Workload;

/// Which of the two Deployments is the stable one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Roles {
    /// Whether it is the one that the Release names as the canary's.
    pub swapped: bool,
    /// The run that the present canary's Deployment was when it was stable: no new version. None before versions have
    /// changed places for the first time.
    pub retired: Option<String>,
}

/// Where the routes of the two versions lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteTargets {
    /// Each to the pods of its own Deployment.
    #[default]
    Apart,
    /// Both to the canary's, which is about to become stable.
    BothToCanary,
    /// Both to stable's: some proxy may still send somebody by the canary's route.
    BothToStable,
}

/// What is known of roles where the status of a Release was lost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Traces {
    /// What the routes' label says: the live Deployment, and the run that the other one was when it was stable.
    pub label: Option<Live>,
    /// The Deployment that the Release names as stable's.
    pub named_stable: Candidate,
    /// The one that it names as the canary's.
    pub named_canary: Candidate,
}

/// What the label of the routes says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// The name of the live Deployment.
    pub deployment: String,
    /// The run that the other one was when it was stable.
    pub retired: Option<String>,
}

/// A Deployment that may be the stable one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// How many pods it is to have.
    pub desired: u32,
    /// How many of them are ready.
    pub ready: u32,
    /// The run that its pod template makes.
    pub run: Option<String>,
}

/// Why nobody can say which Deployment is the stable one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolesUnclear {
    /// What the label of the routes says.
    pub label: String,
    /// The Deployment that has ready pods, if one has; not the one of the label.
    pub with_pods: Option<String>,
}

impl fmt::Display for RolesUnclear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { label, with_pods } = self;
        match with_pods {
            Some(with_pods) => write!(
                f,
                "the status was lost. The routes' label serin.dev/stable says that Deployment {label} is live, and only \
                 {with_pods} has ready pods: scale {label} up, or set the label to {with_pods}"
            ),
            None => write!(
                f,
                "the status was lost. The routes' label serin.dev/stable names {label}, which the Release does not: set \
                 the label to the Deployment that is live"
            ),
        }
    }
}

impl Candidate {
    /// Whether it was scaled to nothing.
    const fn is_retired(&self) -> bool {
        self.desired == 0 && self.ready == 0
    }
}

impl Roles {
    /// The roles where `status` says which: it was saved once. Otherwise they are read from the `traces` of an earlier
    /// life, which only a promotion by `Swap` leaves.
    ///
    /// # Errors
    /// When the traces contradict each other.
    pub fn of(status: &Status, promotion: PromotionMode, traces: &Traces) -> Result<Self, RolesUnclear> {
        if !status.run.is_empty() || promotion != PromotionMode::Swap {
            return Ok(status.roles.clone());
        }
        let Traces { label, named_stable, named_canary } = traces;
        let Some(Live { deployment, retired }) = label else {
            // The routes went with the Release. A stable that is to have no pods, beside a canary that has some, is none;
            // one whose pods are merely not ready is, and waits for them.
            let swapped = named_stable.is_retired() && named_canary.ready > 0;
            let retired = if swapped { named_stable.run.clone() } else { None };
            return Ok(Self { swapped, retired });
        };
        let swapped = *deployment == named_canary.name;
        let (live, other) = if swapped { (named_canary, named_stable) } else { (named_stable, named_canary) };
        let unclear = |with_pods| RolesUnclear { label: deployment.clone(), with_pods };
        if live.name != *deployment {
            return Err(unclear(None));
        }
        if live.ready == 0 && other.ready > 0 {
            return Err(unclear(Some(other.name.clone())));
        }
        Ok(Self { swapped, retired: retired.clone() })
    }

    /// The run that a Release is in: what the canary's pod template makes, unless that is what was stable until lately.
    /// Where it makes none, the run goes on that is saved, or else the one that `stable` is of.
    pub fn run<'r>(
        &self,
        saved: &'r str,
        canary: Option<&'r str>,
        stable: Option<&'r str>,
    ) -> Option<&'r str> {
        let new = canary.filter(|run| self.retired.as_deref() != Some(*run));
        let saved = Some(saved).filter(|run| !run.is_empty());
        let promoted = stable.filter(|_| self.retired.is_some());
        new.or(saved).or(promoted)
    }
}

impl Tick<'_> {
    /// Where the routes are to lead in the phase that the tick ends in.
    pub(super) fn route_targets(&self) -> RouteTargets {
        let Some((delivery, _)) = self.workloads() else { return RouteTargets::Apart };
        if delivery.promotion != PromotionMode::Swap {
            return RouteTargets::Apart;
        }
        match &self.status.phase {
            // A person holds it: what has not begun does not begin.
            Phase::HandingOver(_) if delivery.suspended => self.status.routes,
            Phase::HandingOver(_) => RouteTargets::BothToCanary,
            Phase::CuttingBack { canary } if canary.is_in_use() => RouteTargets::BothToStable,
            // Some proxy may still think of the run before.
            Phase::Preparing { reported: false } => RouteTargets::BothToStable,
            _ => RouteTargets::Apart,
        }
    }

    /// The two versions change places: the canary's Deployment is stable from now on.
    pub(super) fn change_places(&mut self, stable: &Workload) {
        let Roles { swapped, .. } = self.status.roles;
        // What its owner has given it since the run began is a new version.
        let retired = self.status.stable_run.clone().or_else(|| stable.run.clone());
        self.status.roles = Roles { swapped: !swapped, retired };
    }
}
