/*!
The Deployments behind the two versions: whether they can bear what is asked of them, and what becomes of them.

Outside a cluster there are none, and nothing here holds anything. In one, no share of the callers is given to a
canary that lacks the pods for it, stable keeps what it takes to go back, and pods are only taken away from a version
when every proxy has long stopped sending to it.
*/
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serin_policy::Weight;

use super::Tick;
use super::cause::Cause;
use super::messages::friendly;
use super::observation::{Environment, InCluster};
use super::phase::{Emptying, Phase, elapsed};
use super::reason::Hold;
use super::roles::RouteTargets;
use super::status::Pods;
use serin_release::delivery::Delivery;

/// The two versions' Deployments, as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workloads {
    /// Stable's.
    pub stable: Workload,
    /// The canary's.
    pub canary: Workload,
    /// Whether both have the same pod template, labels aside: then there is nothing to release.
    pub same_version: bool,
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
    /// The most pods that its autoscaler allows, if it has one.
    pub limit: Option<PodLimit>,
    /// Why its pods are left alone, if they are: it has an autoscaler, and nobody knows what that does.
    pub unscalable: Option<String>,
    /// The run that its pod template makes; none while there is no Deployment.
    pub run: Option<String>,
    /// Whose pod template Serin has given it last, if it ever did.
    pub given: Option<Given>,
    /// Who has changed it last besides Serin and the cluster's own controllers, if they leave a name.
    pub changed_by: Option<String>,
}

/// A run whose pod template stable was given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Given {
    /// The run.
    pub run: String,
    /// How often somebody had said until then that stable is to be given it again.
    pub insisted: u32,
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, insisted } = self;
        write!(f, "{run}/{insisted}")
    }
}

impl FromStr for Given {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (run, insisted) = text.rsplit_once('/').ok_or(())?;
        Ok(Self { run: run.to_owned(), insisted: insisted.parse().map_err(|_| ())? })
    }
}

/// The most pods that an autoscaler allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodLimit {
    /// How many.
    pub pods: u32,
    /// The autoscaler, by its kind and name.
    pub autoscaler: String,
    /// Its field that says so.
    pub field: &'static str,
}

impl fmt::Display for PodLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pods, autoscaler, field } = self;
        write!(f, "{autoscaler} allows {pods} at most: raise its {field}")
    }
}

/// How the Deployments and the routes are wanted, in the roles of the planned status. Whoever carries it out changes only
/// what differs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// How many pods stable is to have at least; none when that is its own business again.
    pub stable_at_least: Option<u32>,
    /// How many pods the canary is to have.
    pub canary: Option<Replicas>,
    /// Whether stable's Deployment is to take the canary's pod template, and how often somebody has said so again.
    pub copy_template: Option<u32>,
    /// Where the routes are to lead.
    pub routes: RouteTargets,
}

/// How many pods a Deployment is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replicas {
    /// This many, or more if its autoscaler says so.
    AtLeast(u32),
    /// None.
    Zero,
}

/// What the canary lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lack {
    /// Pods that can take requests; none while it is not known which of them are of the new version.
    pub ready: Option<u32>,
    /// Pods that it takes.
    pub need: u32,
    /// What keeps it from having them: its autoscaler, or what its pods complain of.
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
    /// How things are in the cluster, in one.
    pub(super) fn in_cluster(&self) -> Option<&'t InCluster> {
        match &self.observation.environment {
            Environment::Standalone => None,
            Environment::Cluster(cluster) => Some(cluster),
        }
    }

    /// The Deployments, in a cluster.
    pub(super) fn workloads(&self) -> Option<(&'t Delivery, &'t Workloads)> {
        self.in_cluster().map(|cluster| (&cluster.delivery, &cluster.workloads))
    }

    /// Why the pods of one of the two cannot be seen to, if so.
    pub(super) fn unscalable(&self) -> impl Iterator<Item = Hold> + use<> {
        let of_both = self.workloads().map(|(_, Workloads { stable, canary, .. })| {
            [stable, canary].map(|workload| workload.unscalable.clone().map(|why| Hold::Blocked { why }))
        });
        of_both.into_iter().flatten().flatten()
    }

    /// Whether there is a run at all: where stable has the version already, there is nothing to release.
    pub(super) fn nothing_to_release(&self) -> bool {
        self.workloads().is_some_and(|(_, workloads)| {
            workloads.same_version || workloads.stable.run.as_deref() == Some(self.release.run())
        })
    }

    /// Takes the canary off the air when it cannot serve at all, whatever the evidence. Returns whether it did.
    pub(super) fn leave_what_is_gone(&mut self) -> bool {
        let Some(why) = self.what_is_gone() else { return false };
        let weight = self.status.weight();
        self.roll_back(Cause::Down { weight, why })
    }

    /// Why the canary cannot serve at all, if it cannot and somebody is to be sent to it.
    pub(super) fn what_is_gone(&self) -> Option<String> {
        let (_, Workloads { canary, .. }) = self.workloads()?;
        let is_gone = match &self.status.phase {
            Phase::Preparing { .. } => canary.stuck.is_some(),
            // At 0 % there may be members of segments, and testers.
            Phase::Starting { .. } => {
                canary.stuck.is_some() || canary.ready == 0 && self.release.rules_fingerprint().is_some()
            }
            Phase::Progressing(_) | Phase::OffPlan { .. } | Phase::Receding(_) => {
                canary.stuck.is_some() || canary.ready == 0
            }
            // What was good enough to be promoted has everybody: it goes when it serves nobody at all.
            Phase::Promoting | Phase::Baking(_) | Phase::Keeping(_) | Phase::HandingOver(_) => {
                canary.ready == 0
            }
            _ => false,
        };
        if let Some(why) = self.past_deadline() {
            return Some(why);
        }
        let why = || canary.stuck.clone().or_else(|| canary.trouble.clone());
        is_gone.then(|| why().unwrap_or_else(|| "no pod of it is ready".to_owned()))
    }

    /// What the canary lacks, if it has lacked it for longer than it may.
    fn past_deadline(&self) -> Option<String> {
        let (delivery, _) = self.workloads()?;
        let may_lack = matches!(
            self.status.phase,
            Phase::Preparing { .. } | Phase::Starting { .. } | Phase::Progressing(_)
        );
        let deadline = delivery.progress_deadline;
        if !may_lack || elapsed(self.lacked_since, None, self.now) < deadline {
            return None;
        }
        let lack = self.lack(self.status.pods.canary_for?)?;
        Some(format!("{lack}, and the progressDeadline of {} is over", friendly(&deadline)))
    }

    /// Whether going back leads to anybody. A canary that fails some requests is better than a stable that fails all.
    pub(super) fn stable_can_take_all(&self) -> bool {
        self.workloads().is_none_or(|(_, workloads)| workloads.stable.ready > 0)
    }

    /// Whether a new run must wait: it begins by sending everybody to stable, and there is nobody.
    pub(super) fn stays_in_its_run(&self) -> bool {
        let (in_force, run) = (&self.observation.in_force, self.release.run());
        let is_on_another = in_force.share() > Weight::ZERO && in_force.share_of(run) == Weight::ZERO;
        self.status.run != run && is_on_another && !self.stable_can_take_all()
    }

    /// Notes what stable is when a run begins. As many pods it keeps, so that going back works.
    ///
    /// What another run had it keep is kept on: while others were on the canary, its size said little.
    pub(super) fn begin_with_stable(&mut self) {
        self.forget_answers();
        self.status.freeze_overridden_by = None;
        let kept = if self.is_stable_kept() { self.status.pods.stable_floor } else { 1 };
        let desired = self.workloads().map(|(_, workloads)| workloads.stable.desired);
        let stable_floor = desired.map_or(self.status.pods.stable_floor, |desired| desired.max(kept));
        self.status.pods = Pods { stable_floor, canary_for: None, lacking_since: None, ..self.status.pods };
        self.note_stable();
    }

    /// While everybody is on stable, its size is what all of them take.
    pub(super) fn raise_floor(&mut self) {
        if let Some((_, workloads)) = self.workloads() {
            let floor = &mut self.status.pods.stable_floor;
            *floor = (*floor).max(workloads.stable.desired);
        }
    }

    /// Whether stable keeps its size: until everybody is back on it.
    fn is_stable_kept(&self) -> bool {
        match &self.status.phase {
            Phase::CuttingBack { .. } => true,
            Phase::RolledBack { canary, .. } | Phase::Aborted { canary, .. } => canary.is_in_use(),
            phase => phase.is_under_way(),
        }
    }

    /// Goes on with a canary that nobody is to be sent to: says what it waits for, until it has no pods.
    pub(super) fn empty_canary(&mut self) {
        let Some((delivery, workloads)) = self.workloads() else { return };
        let (all_report, now) = (self.all_report(), self.now);
        let Some(canary) = self.status.phase.emptying() else { return };
        if *canary == Emptying::InUse && all_report {
            *canary = Emptying::Draining { since: now };
        }
        let Workload { desired, ready, ref unscalable, .. } = workloads.canary;
        let is_empty = *canary == Emptying::Empty;
        let Emptying::Draining { since } = *canary else {
            if is_empty && desired > 0 {
                // Whoever gave it pods may have a reason.
                self.say(Hold::CanaryScaled { pods: desired });
            }
            return;
        };
        let is_drained = all_report && elapsed(Some(since), None, now) >= delivery.scale_down_delay;
        if desired == 0 && (ready == 0 || is_drained) {
            *canary = Emptying::Empty;
        } else if let (true, Some(why)) = (is_drained, unscalable) {
            self.say(Hold::Blocked { why: why.clone() });
        } else {
            self.say(Hold::Draining { delay: delivery.scale_down_delay });
        }
    }

    /// Whether requests that were under way on the canary have had their time.
    fn is_drained(&self, canary: Emptying) -> bool {
        let Some((delivery, _)) = self.workloads() else { return false };
        let Emptying::Draining { since } = canary else { return false };
        self.all_report() && elapsed(Some(since), None, self.now) >= delivery.scale_down_delay
    }

    /// How the Deployments and the routes are wanted, at the end of the tick; none if all is to be left as it is.
    pub(super) fn wanted(&self) -> Option<Wanted> {
        let Some(InCluster { roles: Ok(_), .. }) = self.in_cluster() else {
            return None;
        };
        let routes = self.status.routes;
        let running = |weight| Wanted {
            stable_at_least: Some(self.status.pods.stable_floor.max(1)),
            canary: Some(Replicas::AtLeast(self.need(weight))),
            copy_template: None,
            routes,
        };
        if matches!(self.status.phase, Phase::Unreadable { .. }) {
            return None;
        }
        if self.is_suspended_at_rest() {
            return self.status.is_driven().then(|| Wanted { routes, ..Wanted::default() });
        }
        if self.status.run != self.release.run() {
            // Another run is to begin and cannot: what this one has is kept, and nothing is handed over.
            return Some(running(self.status.weight()));
        }
        let canary_for = self.status.pods.canary_for.unwrap_or_default();
        Some(match &self.status.phase {
            Phase::Waiting | Phase::Unreadable { .. } => return None,
            Phase::Promoted | Phase::Settled => Wanted { routes, ..Wanted::default() },
            Phase::Preparing { .. } if self.freeze().is_some() || !self.is_confirmed() => {
                Wanted { canary: None, ..running(Weight::ZERO) }
            }
            Phase::Preparing { .. } | Phase::Starting { .. } => {
                running(self.share_at_first().max(canary_for))
            }
            Phase::Progressing(_) | Phase::OffPlan { .. } | Phase::Receding(_) => {
                running(self.status.weight().max(canary_for))
            }
            Phase::Promoting | Phase::Baking(_) | Phase::Keeping(_) => running(Weight::FULL),
            Phase::HandingOver(state) => {
                Wanted { copy_template: self.copy_is_due(state), ..running(Weight::FULL) }
            }
            Phase::CuttingBack { canary }
            | Phase::RolledBack { canary, .. }
            | Phase::Aborted { canary, .. } => Wanted {
                stable_at_least: self.is_stable_kept().then_some(self.status.pods.stable_floor),
                canary: self.is_drained(*canary).then_some(Replicas::Zero),
                copy_template: None,
                routes,
            },
        })
    }

    /// What the canary lacks for `weight`, if it lacks anything.
    pub(super) fn lack(&self, weight: Weight) -> Option<Lack> {
        let (_, Workloads { canary, .. }) = self.workloads()?;
        let need = self.need(weight);
        // Pods of an older template are ready as well, and are no canary.
        let ready = canary.rolled_out.then_some(canary.ready);
        let limit = canary.limit.as_ref().filter(|limit| limit.pods < need);
        let trouble = || limit.map(ToString::to_string).or_else(|| canary.trouble.clone());
        (ready < Some(need)).then(|| Lack { ready, need, trouble: trouble() })
    }

    /// Has the canary given the pods for `weight`, and says what it lacks. Returns whether it has them.
    pub(super) fn provide_pods(&mut self, weight: Weight) -> bool {
        let lack = self.lack(weight);
        // Pods for more than that may be on their way because a person has asked for it.
        let more = self.status.pods.canary_for.filter(|more| *more > weight);
        self.status.pods.canary_for = more.or(lack.is_some().then_some(weight));
        let has_them = lack.is_none();
        if let Some(lack) = lack {
            self.status.pods.lacking_since = self.lacked_since.or(Some(self.now));
            self.say(Hold::AwaitsCapacity { weight: self.pods_for(weight), lack });
        }
        has_them
    }

    /// How many pods the canary needs for `weight`: its share of stable's, rounded up. For what rules bring besides, a tenth of
    /// a pod is not worth one.
    fn need(&self, weight: Weight) -> u32 {
        const TENTH: u64 = Weight::FULL.ppm() as u64 / 10;
        // What stable has now counts when it is more: its autoscaler may have had to raise it.
        let desired = self.workloads().map_or(0, |(_, workloads)| workloads.stable.desired);
        let of_stable = u64::from(self.status.pods.stable_floor.max(desired).max(1));
        let full = u64::from(Weight::FULL.ppm());
        let weight = self.pods_for(weight);
        let by_weight = (of_stable * u64::from(weight.ppm())).div_ceil(full);
        let by_all = (of_stable * self.status.pods.brought.with(weight)).saturating_sub(TENTH).div_ceil(full);
        u32::try_from(by_weight.max(by_all)).unwrap_or(u32::MAX).max(1)
    }
}
