/*!
The Deployments behind the two versions: whether they can bear what is asked of them, and what becomes of them.

Outside a cluster there are none, and nothing here holds anything. In one, no share of the callers is given to a
canary that lacks the pods for it, stable keeps what it takes to go back, and pods are only taken away from a version
when every proxy has long stopped sending to it.
*/
use std::fmt;

use serde::{Deserialize, Serialize};
use serin_policy::Weight;

use super::Tick;
use super::reason::{Hold, Outcome};
use super::status::{Actor, Cause, Phase, elapsed};
use serin_release::delivery::{Delivery, PromotionMode};

/// The two versions' Deployments, as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workloads {
    /// Stable's.
    pub stable: Workload,
    /// The canary's.
    pub canary: Workload,
    /// Whether both have the same pod template, labels aside: then there is nothing to release.
    pub same_version: bool,
    /// Whether the routes of stable lead to the canary's Deployment already.
    pub swapped: bool,
}

/// One Deployment, as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workload {
    /// How many pods it is to have.
    pub desired: u32,
    /// How many can take requests, of whatever template.
    pub ready: u32,
    /// Whether all its pods are of the present template and none of another is left.
    pub rolled_out: bool,
    /// Why it will not get ready, if its own deadline has passed or it is gone.
    pub stuck: Option<String>,
    /// What its pods complain of, if they do.
    pub trouble: Option<String>,
}

/// How the Deployments are wanted. Whoever carries it out changes only what differs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// How many pods stable is to have at least; none when that is its own business again.
    pub stable_at_least: Option<u32>,
    /// How many pods the canary is to have.
    pub canary: Option<Replicas>,
    /// What is to be done for the promotion.
    pub handover: Option<Handover>,
}

/// How many pods a Deployment is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replicas {
    /// This many, or more if its autoscaler says so.
    AtLeast(u32),
    /// None.
    Zero,
}

/// What is to be done for the promotion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handover {
    /// Stable's Deployment takes the canary's pod template.
    CopyTemplate,
    /// The routes of stable lead to the canary's Deployment from now on.
    SwapRoutes,
}

/// What the canary lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lack {
    /// Pods that can take requests; none while it is not known which of them are of the new version.
    pub ready: Option<u32>,
    /// Pods that it takes.
    pub need: u32,
    /// What its pods complain of.
    pub trouble: Option<String>,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ready {
            Some(ready) => write!(f, "{ready} of {} pods are ready", self.need)?,
            None => f.write_str("its Deployment is still rolling out")?,
        }
        self.trouble.as_ref().map_or(Ok(()), |trouble| write!(f, " ({trouble})"))
    }
}

impl<'t> Tick<'t> {
    /// The Deployments, in a cluster.
    pub(super) fn workloads(&self) -> Option<(&'t Delivery, &'t Workloads)> {
        self.release.delivery.as_ref().zip(self.observation.workloads.as_ref())
    }

    /// Whether there is a run at all: two Deployments of one version have nothing to release.
    pub(super) fn nothing_to_release(&self) -> bool {
        self.workloads().is_some_and(|(_, workloads)| workloads.same_version)
    }

    /// Takes the canary off the air when it cannot serve at all, whatever the evidence. Returns whether it did.
    pub(super) fn leave_what_is_gone(&mut self) -> bool {
        let Some((_, workloads)) = self.workloads() else { return false };
        let at_risk = match &self.status.phase {
            Phase::Preparing | Phase::Starting { .. } => workloads.canary.stuck.is_some(),
            Phase::Progressing(_) | Phase::OffPlan { .. } => {
                workloads.canary.stuck.is_some() || workloads.canary.ready == 0
            }
            // What was good enough to be promoted has everybody: it goes when it serves nobody at all.
            Phase::Promoting | Phase::HandingOver(_) => workloads.canary.ready == 0,
            _ => false,
        };
        if !at_risk || !self.stable_can_take_all() {
            return false;
        }
        let Workload { stuck, trouble, .. } = workloads.canary.clone();
        let why = stuck.or(trouble).unwrap_or_else(|| "no pod of it is ready".to_owned());
        let cause = Cause::Down { weight: self.status.weight(), why };
        self.turn(Actor::Planner, Phase::RolledBack { cause: cause.clone() }, Outcome::RolledBack { cause });
        true
    }

    /// Whether going back leads to anybody. A canary that fails some requests is better than a stable that fails all.
    pub(super) fn stable_can_take_all(&mut self) -> bool {
        let can = self.workloads().is_none_or(|(_, workloads)| workloads.stable.ready > 0);
        self.no_way_back |= !can;
        if !can && !self.reasons.contains(&Hold::StableDown.into()) {
            self.say(Hold::StableDown);
        }
        can
    }

    /// Whether a new run must wait: it begins by sending everybody to stable, and there is nobody.
    pub(super) fn stays_in_its_run(&mut self) -> bool {
        let (in_force, run) = (&self.observation.in_force, self.release.run());
        let is_on_another = in_force.share() > Weight::ZERO && in_force.share_of(run) == Weight::ZERO;
        let stays = self.status.run != run && is_on_another && !self.stable_can_take_all();
        if stays {
            self.say(Hold::RunWaits { run: run.to_owned() });
        }
        stays
    }

    /// Notes how many pods stable has when a run begins: as many it keeps, so that going back works.
    ///
    /// What another run had it keep is kept on: while others were on the canary, its size said little.
    pub(super) fn note_floor(&mut self) {
        if let Some((_, workloads)) = self.workloads() {
            let kept = if self.is_stable_kept() { self.status.floor } else { 1 };
            self.status.floor = workloads.stable.desired.max(kept);
        }
        self.status.preparing = None;
        self.status.quiet_since = None;
        self.status.ready_since = None;
        self.status.canary_is_down = false;
    }

    /// While everybody is on stable, its size is what all of them take.
    pub(super) fn raise_floor(&mut self) {
        if let Some((_, workloads)) = self.workloads() {
            self.status.floor = self.status.floor.max(workloads.stable.desired);
        }
    }

    /// Whether stable keeps its size: until everybody is back on it.
    fn is_stable_kept(&self) -> bool {
        match &self.status.phase {
            Phase::CuttingBack => true,
            Phase::RolledBack { .. } | Phase::Aborted { .. } => self.status.quiet_since.is_none(),
            phase => phase.is_under_way(),
        }
    }

    /// Waits until nobody can be on the canary any more, and until it has no pods. Returns whether that is so.
    pub(super) fn canary_is_down(&mut self) -> bool {
        let Some((delivery, workloads)) = self.workloads() else { return true };
        if self.status.canary_is_down {
            return true;
        }
        if !self.all_report() {
            return false;
        }
        self.status.quiet_since.get_or_insert(self.now);
        let Workload { desired, ready, .. } = workloads.canary;
        self.status.canary_is_down = desired == 0 && (ready == 0 || self.is_drained());
        if !self.status.canary_is_down {
            self.say(Hold::Draining { delay: delivery.scale_down_delay });
        }
        self.status.canary_is_down
    }

    /// Whether requests that were under way on the canary have had their time.
    fn is_drained(&self) -> bool {
        let Some(((delivery, _), since)) = self.workloads().zip(self.status.quiet_since) else {
            return false;
        };
        self.all_report() && elapsed(Some(since), None, self.now) >= delivery.scale_down_delay
    }

    /// How the Deployments are wanted, at the end of the tick.
    pub(super) fn wanted(&self) -> Wanted {
        let Some((delivery, _)) = self.workloads() else { return Wanted::default() };
        let running = |weight| Wanted {
            stable_at_least: Some(self.status.floor.max(1)),
            canary: Some(Replicas::AtLeast(self.need(weight))),
            handover: None,
        };
        if self.status.run != self.release.run() {
            // Another run is to begin and cannot: what this one has is kept, and nothing is handed over.
            return running(self.status.weight());
        }
        let preparing = self.status.preparing.unwrap_or_default();
        match &self.status.phase {
            Phase::Waiting | Phase::Promoted | Phase::Settled => Wanted::default(),
            Phase::Preparing | Phase::Starting { .. } => {
                running(self.next_weight(Weight::ZERO).max(preparing))
            }
            Phase::Progressing(_) | Phase::OffPlan { .. } => running(self.status.weight().max(preparing)),
            Phase::Promoting => running(Weight::FULL),
            Phase::HandingOver(_) => Wanted {
                handover: match delivery.promotion {
                    _ if delivery.suspended => None,
                    PromotionMode::Copy => Some(Handover::CopyTemplate),
                    PromotionMode::Swap => Some(Handover::SwapRoutes),
                    PromotionMode::Wait => None,
                },
                ..running(Weight::FULL)
            },
            Phase::CuttingBack | Phase::RolledBack { .. } | Phase::Aborted { .. } => Wanted {
                stable_at_least: self.is_stable_kept().then_some(self.status.floor),
                canary: (!self.status.canary_is_down && self.is_drained()).then_some(Replicas::Zero),
                handover: None,
            },
        }
    }

    /// Whether the canary can bear `weight`. If not, says what it lacks, and has it prepared.
    pub(super) fn capacity_allows(&mut self, weight: Weight) -> bool {
        let lack = self.lack(weight);
        let allows = lack.is_none();
        // Pods for more than that may be on their way because a person has asked for it.
        let more = self.status.preparing.filter(|more| *more > weight);
        self.status.preparing = more.or((!allows).then_some(weight));
        self.reasons.extend(lack.map(|lack| Hold::AwaitsCapacity { weight, lack }.into()));
        allows
    }

    /// What the canary lacks for `weight`, if it lacks anything.
    fn lack(&self, weight: Weight) -> Option<Lack> {
        let (_, Workloads { canary, .. }) = self.workloads()?;
        let need = self.need(weight);
        // Pods of an older template are ready as well, and are no canary.
        let ready = canary.rolled_out.then_some(canary.ready);
        (ready < Some(need)).then(|| Lack { ready, need, trouble: canary.trouble.clone() })
    }

    /// How many pods the canary needs for `weight`: its share of stable's, rounded up.
    fn need(&self, weight: Weight) -> u32 {
        // What stable has now counts when it is more: its autoscaler may have had to raise it.
        let desired = self.workloads().map_or(0, |(_, workloads)| workloads.stable.desired);
        let pods = u64::from(self.status.floor.max(desired).max(1)) * u64::from(weight.ppm());
        u32::try_from(pods.div_ceil(u64::from(Weight::FULL.ppm()))).unwrap_or(u32::MAX).max(1)
    }
}
