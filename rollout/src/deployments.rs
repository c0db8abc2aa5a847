/*!
Deployments for the planner to be tested with: they follow what is wanted of them a tick later, unless told otherwise.
*/
use std::collections::BTreeMap;
use std::fmt;

use super::{
    Answer, Candidate, Contested, Given, InCluster, Live, Plan, PodLimit, Question, Replicas, Roles,
    RolesUnclear, RouteTargets, Status, Traces, Wanted, Workload, Workloads,
};
use serin_release::delivery::PromotionMode;
use serin_release::{Release, ReleaseObject};

/// What the planner's world has in a cluster besides.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    pub(super) object: ReleaseObject,
    /// The Deployment that the Release names as stable's.
    pub(super) stable: Model,
    /// The one that it names as the canary's.
    pub(super) canary: Model,
    pub(super) obstacles: Vec<String>,
    pub(super) contested: Vec<Contested>,
    pub(super) policy_waits: bool,
    /// What hooks answer from now on, by their names; whoever is not here is silent.
    pub(super) hooks: BTreeMap<String, Result<Option<String>, String>>,
    /// Where the routes lead, and which Deployment their label calls live; none before they are written.
    pub(super) routes: Option<(RouteTargets, Live)>,
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
    /// The most pods that its autoscaler allows.
    pub(super) limit: Option<PodLimit>,
    /// Why it is left alone.
    pub(super) unscalable: Option<String>,
    /// Who has changed it last.
    pub(super) changed_by: Option<String>,
    /// Whose image it was given last.
    given: Option<Given>,
}

const NAMES: [&str; 2] = ["shop", "shop-canary"];

impl Cluster {
    /// Both of one version: three pods of stable, none of the canary.
    pub(super) fn new(yaml: &str) -> Self {
        let (stable, canary) = (Model::new("v1", 3), Model::new("v1", 0));
        let object = serde_saphyr::from_str(yaml).unwrap();
        let (obstacles, contested, hooks) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { object, stable, canary, obstacles, contested, policy_waits: false, hooks, routes: None }
    }

    pub(super) fn promotion(&self) -> PromotionMode {
        self.object.spec.strategy.promotion()
    }

    pub(super) const fn side(&mut self, stable: bool) -> &mut Model {
        if stable { &mut self.stable } else { &mut self.canary }
    }

    /// The live Deployment and the other one.
    pub(super) const fn in_roles(&mut self, swapped: bool) -> (&mut Model, &mut Model) {
        if swapped { (&mut self.canary, &mut self.stable) } else { (&mut self.stable, &mut self.canary) }
    }

    fn roles(&self, status: &Status) -> Result<Roles, RolesUnclear> {
        let candidate = |name: &str, model: &Model| Candidate {
            name: name.to_owned(),
            desired: model.desired,
            ready: model.ready,
            run: model.run(),
        };
        let traces = Traces {
            label: self.routes.as_ref().map(|(_, live)| live.clone()),
            named_stable: candidate(NAMES[0], &self.stable),
            named_canary: candidate(NAMES[1], &self.canary),
        };
        Roles::of(status, self.promotion(), &traces)
    }

    /// The run that the Release is in.
    pub(super) fn run(&self, status: &Status) -> String {
        let roles = self.roles(status).unwrap_or_default();
        let (stable, canary) =
            if roles.swapped { (&self.canary, &self.stable) } else { (&self.stable, &self.canary) };
        let (stable, canary) = (stable.run(), canary.run());
        roles.run(&status.run, canary.as_deref(), stable.as_deref()).unwrap_or("none").to_owned()
    }

    /// As the planner sees it.
    pub(super) fn observe(&self, status: &Status) -> InCluster {
        let delivery = Release::from_object(&self.object, &self.run(status)).unwrap().1;
        let roles = self.roles(status);
        let swapped = roles.as_ref().is_ok_and(|roles| roles.swapped);
        let workloads = self.workloads(swapped);
        let routes = self.routes.as_ref().map(|(targets, _)| *targets);
        let delivery = if swapped { delivery.swapped() } else { delivery };
        let Self { obstacles, contested, policy_waits, .. } = self.clone();
        let answer = |question: &Question| {
            let outcome = self.hooks.get(&question.hook)?.clone();
            Some(Answer { key: question.key(), outcome })
        };
        let answers =
            status.questions.iter().filter(|question| question.is_open).filter_map(answer).collect();
        InCluster { delivery, workloads, roles, routes, obstacles, contested, answers, policy_waits }
    }

    pub(super) fn workloads(&self, swapped: bool) -> Workloads {
        let (mut stable, mut canary) = (self.stable.workload(NAMES[0]), self.canary.workload(NAMES[1]));
        if swapped {
            std::mem::swap(&mut stable, &mut canary);
        }
        let same_version = stable.run.is_some() && stable.run == canary.run;
        Workloads { stable, canary, same_version }
    }

    /// A tick's time goes by: pods follow.
    pub(super) fn follow(&mut self) {
        self.stable.follow();
        self.canary.follow();
    }

    /// Carries out what is wanted.
    pub(super) fn carry_out(&mut self, Plan { status, wanted, .. }: &Plan) {
        let swapped = status.roles.swapped;
        let Some(wanted) = wanted else { return };
        let deployment = NAMES[usize::from(swapped)].to_owned();
        self.routes = Some((wanted.routes, Live { deployment, retired: status.roles.retired.clone() }));
        let (stable, canary) = self.in_roles(swapped);
        if let Some(floor) = wanted.stable_at_least {
            stable.scale(stable.desired.max(floor));
        }
        match wanted.canary {
            Some(Replicas::AtLeast(floor)) => canary.scale(canary.desired.max(floor)),
            Some(Replicas::Zero) => canary.scale(0),
            None => {}
        }
        if let Some(insisted) = wanted.copy_template
            && !canary.gone
        {
            stable.set_image(&canary.image.clone());
            stable.given = Some(Given { run: status.run.clone(), insisted });
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
            limit: None,
            unscalable: None,
            changed_by: None,
            given: None,
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
                given: self.given.clone(),
                ..Self::new(image, self.desired)
            };
        }
    }

    /// Deleted, and created by somebody: nothing is known there of what it was given.
    pub(super) fn make_again(&mut self, image: &str, by: &str) {
        let changed_by = Some(by.to_owned());
        *self = Self { ready: 0, seen: false, changed_by, ..Self::new(image, self.desired) };
    }

    fn scale(&mut self, to: u32) {
        if to != self.desired && !self.gone && self.unscalable.is_none() {
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
        (self.limit, self.unscalable) = (None, None);
    }

    fn follow(&mut self) {
        self.running.clone_from(&self.image);
        self.ready = self.desired.min(self.at_most);
        self.seen = true;
    }

    /// The run that its pod template makes.
    fn run(&self) -> Option<String> {
        (!self.gone).then(|| self.image.clone())
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
            run: self.run(),
            limit: self.limit.clone(),
            unscalable: self.unscalable.clone(),
            changed_by: self.changed_by.clone(),
            given: self.given.clone(),
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
pub(super) fn in_words(wanted: Option<Wanted>) -> String {
    let Some(wanted) = wanted else { return "all as it is".to_owned() };
    let stable = wanted.stable_at_least.map(|floor| format!("stable at least {floor}"));
    let canary = wanted.canary.map(|replicas| match replicas {
        Replicas::AtLeast(floor) => format!("canary at least {floor}"),
        Replicas::Zero => "canary none".to_owned(),
    });
    let copy = wanted.copy_template.map(|insisted| match insisted {
        0 => "stable takes the canary's template".to_owned(),
        again => format!("stable takes the canary's template (again: {again})"),
    });
    let routes = match wanted.routes {
        RouteTargets::Apart => "routes apart",
        RouteTargets::BothToCanary => "both routes lead to the canary",
        RouteTargets::BothToStable => "both routes lead to stable",
    };
    let all: Vec<_> = [stable, canary, copy, Some(routes.to_owned())].into_iter().flatten().collect();
    all.join(", ")
}
