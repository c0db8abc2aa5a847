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
use super::observation::{ArmCounts, Counts, InCluster};
use super::phase::{Emptying, Phase, elapsed};
use super::reason::{Event, Hold, Reason};
use super::roles::RouteTargets;
use super::status::Actor;
use serin_release::delivery::PromotionMode;

/// For how long pods are ready before anybody is sent to them for whom they are new; with stable's in a handing over, twice as
/// long after each time in vain.
pub(super) const HEARD_OF: Duration = Duration::from_secs(5);

/// It is never tried again later than after this.
const AT_LATEST: Duration = Duration::from_mins(1);

/// So many answers to the few are proof.
const ENOUGH: u64 = 20;

/// How long the few are watched where they do not ask so often. Nobody hears that a pod is gone sooner than after three
/// attempts to connect of 10 s each, which are Istio's defaults.
const LONG_ENOUGH: Duration = Duration::from_secs(30);

/// So many requests of the few are no accident any more: that failed, or that were to be expected.
const NO_ACCIDENT: u64 = 3;

/// So much greater a share of failed requests (0 to 1) than the canary's at the same time is stable's doing.
const MORE_THAN_CANARY: f64 = 0.05;

/// How far the handing over is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandoverState {
    /// How often a few went back to stable in vain.
    #[serde(default)]
    pub in_vain: u32,
    /// How often somebody has said that stable is to take the canary's pod template again.
    #[serde(default)]
    pub insisted: u32,
    /// How often somebody had said so when stable was last seen to have it; none if it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<u32>,
    /// Since when stable has been ready to take everybody back, with the new version.
    #[serde(default)]
    pub ready_since: Option<Timestamp>,
    /// The few who have gone back to stable first, if they have.
    #[serde(default, alias = "few")]
    pub probe: Option<Probe>,
}

/// Those who go back to stable first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// When every proxy had sent them there.
    pub since: Option<Timestamp>,
    /// What they have got, and the others on the canary meanwhile.
    pub counts: Box<Counts>,
}

/// Whether stable serves those of the probe.
enum Served {
    Yes,
    No,
    NotYet,
}

impl HandoverState {
    /// The canary's share while a few have gone back to stable.
    pub const ALL_BUT_PROBE: Weight = match Weight::from_ppm(Weight::FULL.ppm() - Probe::SHARE.ppm()) {
        Ok(weight) => weight,
        Err(_) => Weight::FULL,
    };

    /// How long stable's pods are to be ready before a few are sent to them.
    fn patience(&self) -> Duration {
        HEARD_OF.saturating_mul(2_u32.saturating_pow(self.in_vain)).min(AT_LATEST)
    }
}

impl Probe {
    /// Their share of the callers: one in twenty.
    const SHARE: Weight = match Weight::from_ppm(50_000) {
        Ok(weight) => weight,
        Err(_) => Weight::ZERO,
    };

    fn are_served(&self, now: Timestamp) -> Served {
        let Counts { stable, canary } = *self.counts;
        if stable.errors >= NO_ACCIDENT && share(stable) > share(canary) + MORE_THAN_CANARY {
            return Served::No;
        }
        if self.since.is_some() && stable.requests >= ENOUGH {
            return Served::Yes;
        }
        if elapsed(self.since, None, now) < LONG_ENOUGH {
            return Served::NotYet;
        }
        let is_missed = self.expected() >= NO_ACCIDENT && stable.requests < self.expected() / 3;
        let all_failed = stable.requests > 0 && stable.errors == stable.requests;
        if is_missed || all_failed { Served::No } else { Served::Yes }
    }

    /// How many requests of theirs must have come, by what came from the others.
    const fn expected(&self) -> u64 {
        self.counts.canary.requests * Probe::SHARE.ppm() as u64 / HandoverState::ALL_BUT_PROBE.ppm() as u64
    }
}

impl Tick<'_> {
    /// Every proxy sends everybody to the canary for good, but for those of a probe: its version becomes stable.
    pub(super) fn hand_over(&mut self, mut state: HandoverState) {
        let Some(cluster) = self.in_cluster() else { return };
        let (mode, stable) = (cluster.delivery.promotion, &cluster.workloads.stable);
        let has_its_pods = match mode {
            PromotionMode::Copy | PromotionMode::Wait => {
                let need = stable.desired.max(self.status.pods.stable_floor).max(1);
                stable.rolled_out && stable.ready >= need
            }
            // They are the canary's, for whoever has heard of it. Others still get the old version, so a few prove less
            // here: that stable's route leads somewhere.
            PromotionMode::Swap => true,
        };
        if !(has_new_version(cluster) && has_its_pods) {
            let trouble = stable.stuck.clone().or_else(|| stable.trouble.clone());
            let hold = self.stables_owner(&state).unwrap_or(Hold::HandingOver { mode, trouble });
            self.status.phase = Phase::HandingOver(HandoverState { ready_since: None, ..state });
            self.say(hold);
            return;
        }
        let ready_since = *state.ready_since.get_or_insert(self.now);
        let Some(probe) = &mut state.probe else {
            let (duration, in_vain) = (state.patience(), state.in_vain);
            if elapsed(Some(ready_since), None, self.now) >= duration {
                state.probe = Some(Probe::default());
                let reason = Hold::ProbeBegun { share: Probe::SHARE };
                self.turn(Actor::Planner, Phase::HandingOver(state), reason);
            } else {
                self.status.phase = Phase::HandingOver(state);
                self.say(Hold::AwaitsEndpoints { duration, in_vain });
            }
            return;
        };
        if probe.since.is_none() {
            // What was served by proxies that knew first proves nothing of the others; what failed counts.
            probe.since = Some(self.now);
            probe.counts.stable.requests = probe.counts.stable.errors;
            probe.counts.canary = ArmCounts::default();
        }
        match probe.are_served(self.now) {
            Served::Yes => {
                if mode == PromotionMode::Swap {
                    self.change_places(stable);
                }
                let phase = Phase::CuttingBack { canary: Emptying::InUse };
                self.turn(Actor::Planner, phase, Event::HandedOver);
            }
            Served::No | Served::NotYet => {
                self.status.phase = Phase::HandingOver(state);
                self.say(Hold::ProbeBegun { share: Probe::SHARE });
            }
        }
    }

    /// Takes those who went back to stable first to the canary again, at once, if stable does not serve them.
    pub(super) fn end_failed_probe(&mut self) {
        let Phase::HandingOver(state @ HandoverState { probe: Some(_), .. }) = &mut self.status.phase else {
            return;
        };
        let again = HandoverState {
            in_vain: state.in_vain.saturating_add(1),
            ready_since: None,
            probe: None,
            ..state.clone()
        };
        let Some(probe) = &mut state.probe else { return };
        probe.counts.add(&self.observation.at_proxies);
        let probe = probe.clone();
        let Some(cluster) = self.in_cluster() else { return };
        let (mode, workloads) = (cluster.delivery.promotion, &cluster.workloads);
        let has_no_pods = mode != PromotionMode::Swap && workloads.stable.ready == 0;
        let reason: Reason = if has_no_pods || !has_new_version(cluster) {
            let trouble = workloads.stable.trouble.clone();
            self.stables_owner(&again).unwrap_or(Hold::HandingOver { mode, trouble }).into()
        } else if let Served::No = probe.are_served(self.now) {
            let (ArmCounts { requests, errors, .. }, expected) = (probe.counts.stable, probe.expected());
            Event::ProbeFailed { requests, errors, expected, again_after: again.patience() }.into()
        } else {
            return;
        };
        // A canary that has a pod too few for all of them is still better than a stable that does not serve them.
        if workloads.canary.ready > 0 {
            self.turn(Actor::Planner, Phase::HandingOver(again), reason);
        }
    }

    /// Whether what is wanted is the end of a try in vain, where the file still has the few on stable.
    pub(super) fn ends_failed_probe(&self, in_force: Weight) -> bool {
        matches!(self.status.phase, Phase::HandingOver(HandoverState { probe: None, .. }))
            && in_force == HandoverState::ALL_BUT_PROBE
    }

    /// Where a run is found whose state was lost: whether a few have gone back to stable, which has its version.
    pub(super) fn probe_is_out(&self, weight: Weight) -> bool {
        weight == HandoverState::ALL_BUT_PROBE && self.in_cluster().is_some_and(has_new_version)
    }

    /// Whether stable has its old version for as long as nobody gives it the new one: then there is a way back.
    pub(super) fn awaits_stable(&self) -> bool {
        let is_kept_by_its_owner =
            matches!(&self.status.phase, Phase::HandingOver(state) if self.stables_owner(state).is_some());
        is_kept_by_its_owner
            || self.workloads().is_some_and(|(delivery, workloads)| {
                delivery.promotion == PromotionMode::Wait && !workloads.same_version
            })
    }
}

/// Whether those who are sent to stable get the new version there.
fn has_new_version(cluster: &InCluster) -> bool {
    match cluster.delivery.promotion {
        PromotionMode::Copy | PromotionMode::Wait => cluster.workloads.same_version,
        PromotionMode::Swap => cluster.routes == Some(RouteTargets::BothToCanary),
    }
}

/// The share of failed requests, 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(counts: ArmCounts) -> f64 {
    if counts.requests == 0 { 0.0 } else { counts.errors as f64 / counts.requests as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_saved_that_knew_of_no_few_is_read() {
        let phase: Phase = serde_json::from_str(r#"{"name": "handing-over"}"#).unwrap();
        assert_eq!(phase, Phase::HandingOver(HandoverState::default()));
    }
}
