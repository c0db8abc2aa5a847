/*!
Deployments for the planner to be tested with: they follow what is wanted of them a tick later, unless told otherwise.
*/
use std::fmt;

use super::{Handover, Phase, Replicas, Wanted, Workload, Workloads};
use serin_release::ReleaseObject;
use serin_release::delivery::PromotionMode;

/// What the planner's world has in a cluster besides.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    pub(super) object: ReleaseObject,
    pub(super) stable: Model,
    pub(super) canary: Model,
    pub(super) obstacles: Vec<String>,
    /// Whether the routes of stable lead to the canary's pods.
    swapped: bool,
    /// Where versions have changed places: what stable had until then.
    retired: Option<String>,
}

/// A Deployment.
#[derive(Debug, Clone)]
pub(super) struct Model {
    /// What its pod template says.
    pub(super) image: String,
    /// What its pods run.
    running: String,
    pub(super) desired: u32,
    ready: u32,
    /// Whether the template or the size was changed and no pod has followed yet.
    seen: bool,
    /// How many pods get ready at most.
    pub(super) at_most: u32,
    pub(super) stuck: Option<String>,
    pub(super) trouble: Option<String>,
    pub(super) gone: bool,
}

impl Cluster {
    /// Both of one version: three pods of stable, none of the canary.
    pub(super) fn new(yaml: &str) -> Self {
        let (stable, canary) = (Model::new("v1", 3), Model::new("v1", 0));
        let object = serde_saphyr::from_str(yaml).unwrap();
        Self { object, stable, canary, obstacles: Vec::new(), swapped: false, retired: None }
    }

    pub(super) fn promotion(&self) -> PromotionMode {
        self.object.spec.strategy.canary.promotion.mode
    }

    pub(super) const fn side(&mut self, stable: bool) -> &mut Model {
        if stable { &mut self.stable } else { &mut self.canary }
    }

    /// The run that the canary's pod template makes; the last one where it makes none.
    pub(super) fn run(&self, last: &str) -> String {
        let makes_none = self.canary.gone || self.retired.as_ref() == Some(&self.canary.image);
        let run = if makes_none { last } else { &self.canary.image };
        if run.is_empty() { "none".to_owned() } else { run.to_owned() }
    }

    pub(super) fn workloads(&self) -> Workloads {
        Workloads {
            stable: self.stable.workload("shop"),
            canary: self.canary.workload("shop-canary"),
            same_version: !self.stable.gone && !self.canary.gone && self.stable.image == self.canary.image,
            swapped: self.swapped,
        }
    }

    /// A tick's time goes by: pods follow.
    pub(super) fn follow(&mut self, before: &Phase) {
        self.stable.follow();
        self.canary.follow();
        self.swapped = matches!(before, Phase::HandingOver(_)) && self.promotion() == PromotionMode::Swap;
    }

    /// Versions that have been handed over change places.
    pub(super) fn note(&mut self, before: &Phase, after: &Phase) {
        let returns = matches!(before, Phase::HandingOver(_)) && *after == Phase::CuttingBack;
        if returns && self.promotion() == PromotionMode::Swap {
            self.retired = Some(self.stable.image.clone());
            std::mem::swap(&mut self.stable, &mut self.canary);
            self.swapped = false;
        }
    }

    /// Carries out what is wanted.
    pub(super) fn carry_out(&mut self, wanted: &Wanted) {
        if let Some(floor) = wanted.stable_at_least {
            self.stable.scale(self.stable.desired.max(floor));
        }
        match wanted.canary {
            Some(Replicas::AtLeast(floor)) => self.canary.scale(self.canary.desired.max(floor)),
            Some(Replicas::Zero) => self.canary.scale(0),
            None => {}
        }
        if wanted.handover == Some(Handover::CopyTemplate) && !self.canary.gone {
            self.stable.set_image(&self.canary.image.clone());
        }
    }
}

impl Model {
    fn new(image: &str, pods: u32) -> Self {
        Self {
            image: image.to_owned(),
            running: image.to_owned(),
            desired: pods,
            ready: pods,
            seen: true,
            at_most: u32::MAX,
            stuck: None,
            trouble: None,
            gone: false,
        }
    }

    /// Another pod template, which may do better.
    pub(super) fn set_image(&mut self, image: &str) {
        if self.gone || self.image != image {
            let pods = if self.gone { 0 } else { self.ready };
            *self = Self {
                image: image.to_owned(),
                running: self.running.clone(),
                seen: false,
                ready: pods,
                ..Self::new(image, self.desired)
            };
        }
    }

    fn scale(&mut self, to: u32) {
        if to != self.desired && !self.gone {
            (self.desired, self.seen) = (to, false);
        }
    }

    /// As by hand, and long ago.
    pub(super) fn scale_now(&mut self, to: u32) {
        self.scale(to);
        self.follow();
    }

    /// From now on no more than `pods` are ready.
    pub(super) fn get_ready(&mut self, pods: u32) {
        self.at_most = pods;
        self.ready = self.ready.min(pods);
    }

    pub(super) fn recover(&mut self) {
        (self.at_most, self.stuck, self.trouble) = (u32::MAX, None, None);
    }

    fn follow(&mut self) {
        self.running.clone_from(&self.image);
        self.ready = self.desired.min(self.at_most);
        self.seen = true;
    }

    fn workload(&self, name: &str) -> Workload {
        if self.gone {
            let stuck = Some(format!("Deployment {name} does not exist"));
            return Workload { stuck, ..Workload::default() };
        }
        Workload {
            desired: self.desired,
            ready: self.ready,
            rolled_out: self.seen && self.running == self.image,
            stuck: self.stuck.clone(),
            trouble: self.trouble.clone(),
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.gone {
            return f.write_str("gone");
        }
        write!(f, "{} {}/{}", self.image, self.ready, self.desired)
    }
}

/// What is wanted of the Deployments, in words.
pub(super) fn in_words(wanted: &Wanted) -> String {
    let stable = wanted.stable_at_least.map(|floor| format!("stable at least {floor}"));
    let canary = wanted.canary.map(|replicas| match replicas {
        Replicas::AtLeast(floor) => format!("canary at least {floor}"),
        Replicas::Zero => "canary none".to_owned(),
    });
    let handover = wanted.handover.map(|handover| match handover {
        Handover::CopyTemplate => "stable takes the canary's template".to_owned(),
        Handover::SwapRoutes => "stable's routes lead to the canary".to_owned(),
    });
    let all: Vec<_> = [stable, canary, handover].into_iter().flatten().collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
}
