/*!
Handing over: everybody is on the canary, its version becomes stable, and everybody goes there.

Stable's pods are new then. Proxies hear of them by a way of their own, through controllers and Istio's control plane,
which takes a second mostly and a minute after an outage; nobody reports that they have. So a few go first, and what
they get is the proof: everybody follows when they are served, and they are taken back when they are not.
*/
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serin_policy::Weight;

use super::Tick;
use super::observation::{ArmCounts, Counts};
use super::reason::Reason;
use super::status::{Actor, Phase, elapsed};
use super::workloads::{Workload, Workloads};
use crate::release::delivery::{Delivery, PromotionMode};

/// For how long stable's pods are ready before anybody is sent to them; twice as long after each time in vain.
const HEARD_OF: Duration = Duration::from_secs(5);

/// It is never tried again later than after this.
const AT_LATEST: Duration = Duration::from_mins(1);

/// So many requests of the few must have been answered before everybody follows.
const ENOUGH: u64 = 20;

/// Where so few requests come that there are not enough of them, everybody follows after this: few would meet it.
const LONG_ENOUGH: Duration = Duration::from_secs(10);

/// So many failed requests of the few are no accident any more.
const NO_ACCIDENT: u64 = 3;

/// So much greater a share of failed requests than the canary's at the same time is stable's doing.
const MORE_THAN_CANARY: f64 = 0.1;

/// How far the handing over is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandoverState {
    /// How often a few went back to stable in vain.
    #[serde(default)]
    pub in_vain: u32,
    /// The few who have gone back to stable first, if they have.
    #[serde(default)]
    pub few: Option<Few>,
}

/// Those who go back to stable first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Few {
    /// When every proxy had sent them there.
    pub since: Option<Timestamp>,
    /// What they have got, and the others on the canary meanwhile.
    pub counts: Counts,
}

impl HandoverState {
    /// The canary's share while a few have gone back to stable: one in twenty.
    pub const ALL_BUT_FEW: Weight = match Weight::from_ppm(950_000) {
        Ok(weight) => weight,
        Err(_) => Weight::FULL,
    };

    /// How long stable's pods are to be ready before a few are sent to them.
    fn patience(&self) -> Duration {
        HEARD_OF.saturating_mul(2_u32.saturating_pow(self.in_vain)).min(AT_LATEST)
    }
}

impl Phase {
    /// The handing over as it begins.
    pub(super) const HANDING_OVER: Self = Self::HandingOver(HandoverState { in_vain: 0, few: None });
}

impl Tick<'_> {
    /// Every proxy sends everybody to the canary for good, but for a few: its version becomes stable.
    pub(super) fn hand_over(&mut self, mut state: HandoverState) {
        let Some((delivery, workloads)) = self.workloads() else { return };
        let Workload { desired, ready, rolled_out, .. } = workloads.stable;
        let has_its_pods = match delivery.promotion {
            PromotionMode::Copy | PromotionMode::Wait => {
                rolled_out && ready >= desired.max(self.status.floor).max(1)
            }
            // They are the canary's.
            PromotionMode::Swap => true,
        };
        let done = has_new_version(delivery.promotion, workloads) && has_its_pods;
        if done {
            self.status.ready_since.get_or_insert(self.now);
        } else {
            self.status.ready_since = None;
            let trouble = workloads.stable.stuck.clone().or_else(|| workloads.stable.trouble.clone());
            self.reasons.push(Reason::HandingOver { mode: delivery.promotion, trouble });
            return;
        }
        let Some(few) = &mut state.few else {
            if elapsed(self.status.ready_since, None, self.now) >= state.patience() {
                state.few = Some(Few::default());
                let reason = Reason::FewReturn { share: few_share() };
                self.turn(Actor::Planner, Phase::HandingOver(state), reason);
            } else {
                self.reasons.push(Reason::HandingOver { mode: delivery.promotion, trouble: None });
            }
            return;
        };
        if let Some(why) = &self.observation.outage {
            few.since = None;
            self.reasons.push(Reason::AwaitsData { why: why.clone() });
            self.status.phase = Phase::HandingOver(state);
            return;
        }
        let since = *few.since.get_or_insert(self.now);
        let are_served =
            few.counts.stable.requests >= ENOUGH || elapsed(Some(since), None, self.now) >= LONG_ENOUGH;
        self.status.phase = Phase::HandingOver(state);
        if are_served {
            self.turn(Actor::Planner, Phase::Returning, Reason::HandedOver);
        } else {
            self.reasons.push(Reason::FewReturn { share: few_share() });
        }
    }

    /// Takes those who went back to stable first to the canary again, at once, if stable does not serve them.
    pub(super) fn take_the_few_back(&mut self) {
        let Phase::HandingOver(HandoverState { in_vain, few: Some(few) }) = &mut self.status.phase else {
            return;
        };
        few.counts.add(&Counts::of(&self.observation.counted));
        let Counts { stable, canary } = few.counts;
        let again = HandoverState { in_vain: in_vain.saturating_add(1), few: None };
        let Some((delivery, workloads)) = self.workloads() else { return };
        let has_no_pods = delivery.promotion != PromotionMode::Swap && workloads.stable.ready == 0;
        let reason = if has_no_pods || !has_new_version(delivery.promotion, workloads) {
            Reason::HandingOver { mode: delivery.promotion, trouble: workloads.stable.trouble.clone() }
        } else if stable.errors >= NO_ACCIDENT && share(stable) > share(canary) + MORE_THAN_CANARY {
            let ArmCounts { requests, errors, .. } = stable;
            Reason::FewNotServed { requests, errors, again_after: again.patience() }
        } else {
            return;
        };
        if self.lack(Weight::FULL).is_none() {
            self.status.ready_since = None;
            self.turn(Actor::Planner, Phase::HandingOver(again), reason);
        }
    }

    /// Where a run is found whose state was lost: whether a few have gone back to stable, which has its version.
    pub(super) fn few_are_back(&self, weight: Weight) -> bool {
        let has_it =
            |(delivery, workloads): (&Delivery, &Workloads)| has_new_version(delivery.promotion, workloads);
        weight == HandoverState::ALL_BUT_FEW && self.workloads().is_some_and(has_it)
    }

    /// Whether stable has its old version for as long as nobody gives it the new one: then there is a way back.
    pub(super) fn awaits_stable(&self) -> bool {
        self.workloads().is_some_and(|(delivery, workloads)| {
            delivery.promotion == PromotionMode::Wait && !workloads.same_version
        })
    }
}

/// Whether those who are sent to stable get the new version there.
const fn has_new_version(mode: PromotionMode, workloads: &Workloads) -> bool {
    match mode {
        PromotionMode::Copy | PromotionMode::Wait => workloads.same_version,
        PromotionMode::Swap => workloads.swapped,
    }
}

fn few_share() -> Weight {
    let few = Weight::FULL.ppm() - HandoverState::ALL_BUT_FEW.ppm();
    Weight::from_ppm(few).unwrap_or_default()
}

/// The share of failed requests, 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "a share of at most some thousand requests")]
fn share(counts: ArmCounts) -> f64 {
    if counts.requests == 0 { 0.0 } else { counts.errors as f64 / counts.requests as f64 }
}
