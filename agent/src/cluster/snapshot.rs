/*!
What a tick looks at: the release as it stands, its Deployments, its routes, the places where it is attached. Looking
writes nothing.
*/
use std::sync::Arc;

use kube::ResourceExt;

use super::adoption::Adoption;
use super::configs::Noted;
use super::memory::{Memory, State};
use super::plugins::policy_part;
use super::pods::KnownPod;
use super::proxies::{Attached, find};
use super::repairs::Object;
use super::stores::Stores;
use super::templates::names::{Named, Names};
use super::tick::TickError;
use super::workloads::{Pair, desired, get, pod_labels};
use super::{Cluster, api_resources, configs, istio_versions, messages, metric_templates, routes};
use crate::mesh::object::label;
use crate::mesh::plugin::{Attachment, uncovered};
use crate::mesh::routing::{RETIRED, STABLE, Surroundings, object_name};
use crate::told::conditions::Rejection;
use serin_policy::Weight;
use serin_release::delivery::{AttachPoint, Delivery};
use serin_release::prometheus::Workload;
use serin_release::{CountSource, Release, ReleaseObject, resource};
use serin_rollout::{Candidate, InCluster, Live, Roles, RolesUnclear, Status, Traces};

/// What a tick looks at besides the proxies.
pub(super) struct Snapshot {
    /// The Release as it counts, with its templates filled in: what is written there no longer depends on anything.
    pub(super) object: Arc<ReleaseObject>,
    pub(super) release: Release,
    /// In the `roles` of this snapshot, as everything else here.
    pub(super) delivery: Delivery,
    pub(super) pair: Pair,
    pub(super) roles: Result<Roles, RolesUnclear>,
    pub(super) points: Vec<(AttachPoint, Attached)>,
    pub(super) attachments: Vec<Attachment>,
    pub(super) routes: routes::Found,
    pub(super) around: Option<Surroundings>,
    pub(super) obstacles: Vec<String>,
    /// Why there is no Prometheus to ask, if the release needs one.
    pub(super) no_prometheus: Option<String>,
    /// What people should know of, and what stands in nobody's way.
    pub(super) warnings: Vec<String>,
    /// What is wrong with the present spec, if the one before it counts.
    pub(super) invalid: Option<String>,
}

impl Snapshot {
    /// What is there: Deployments, routes, attach points. `unreadable` says why the present spec cannot be read, if it
    /// cannot: `object` has the last one that could, then.
    ///
    /// # Errors
    /// When there is nothing to go by: the spec makes no sense and none before it did, or the Release is not admitted.
    pub(super) fn take(
        cluster: &Cluster,
        object: &Arc<ReleaseObject>,
        unreadable: Option<&str>,
        memory: &mut Memory,
    ) -> Result<Self, TickError> {
        let State { status, names: known, configs, .. } = &memory.state;
        let mut invalid = unreadable.map(str::to_owned);
        let mut read = Read::of(cluster, object, status, known, configs);
        if let (Err(TickError::Invalid(error)), Some(last_good)) = (&read, &memory.state.last_good) {
            // What is under way is still watched over, by what was right before, and goes no further.
            invalid = Some(error.to_string());
            read = Read::of(cluster, last_good, status, known, configs);
        }
        let Read { object: whole, mut release, delivery, roles, names } = read?;
        let mut obstacles: Vec<_> = invalid.iter().cloned().collect();
        let is_driven = status.is_driven();
        if let Some(why) = cluster.refusal(object, &release, &delivery) {
            if !is_driven {
                return Err(not_admitted(why));
            }
            obstacles.push(why);
        }
        let named = delivery.prometheus.as_ref();
        let access = named
            .map(|named| cluster.operator.sources.access(named, &object.namespace().unwrap_or_default()));
        let no_prometheus = match access.transpose() {
            Ok(access) => {
                release.analysis.prometheus = access.cloned();
                None
            }
            Err(why) if !is_driven => return Err(not_admitted(why)),
            Err(why) => Some(why),
        };
        obstacles.extend(no_prometheus.clone());
        let mut points = Vec::new();
        for point in &delivery.routing.attach_points {
            match find(&cluster.stores, point) {
                Ok(found) => points.push((point.clone(), found)),
                Err(why) => obstacles.push(why),
            }
        }
        // Gateways first: one that stands in a namespace whose sidecars count as well is one proxy, and a gateway.
        points.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut attachments =
            uncovered(points.iter().flat_map(|(_, found)| found.attachments.iter().cloned()).collect());
        if attachments.is_empty() && is_driven {
            // Its Gateway went in mid-run: proxies may still have the policy where it is.
            attachments = cluster.plugins.attachments_of(release.name());
        }
        if attachments.is_empty() {
            return Err(not_admitted(obstacles.join("; ")));
        }
        let Adoption { errors, passes, mut warnings, around, taken_over } =
            cluster.adoption(object, &release, &delivery, &points);
        if !errors.is_empty() && !is_driven && !taken_over {
            let why = errors.join("; ");
            return Err(TickError::Rejected(if passes {
                Rejection::NotYetAdmitted(why)
            } else {
                Rejection::NotAdmitted(why)
            }));
        }
        obstacles.extend(errors);
        let namespace = object.namespace().unwrap_or_default();
        let pair = Pair::read(&cluster.stores, &namespace, &delivery, &names);
        if let Some(why) = pair.unknown_scaler().filter(|_| !is_driven) {
            return Err(not_admitted(why.to_owned()));
        }
        memory.state.names = names;
        obstacles.extend(pair.obstacles());
        if release.mirror.is_some() && memory.state.status.weight() == Weight::ZERO {
            obstacles.extend(uncounted_copies(&release, &pods_of_canary(&pair, &cluster.stores)));
        }
        warnings.extend(messages::warnings(&delivery));
        warnings.extend(configs::warnings(cluster, object, &release, &delivery, memory));
        let mut routes = routes::Found::default();
        if let Some(subsets) = pair.subsets() {
            let retired = roles.as_ref().ok().and_then(|roles| roles.retired.as_deref());
            let around = around.as_ref();
            let needed = routes::Needed { release: &release, delivery: &delivery, subsets, around, retired };
            routes = memory.routes.look(&cluster.stores, &needed, object.metadata.generation);
        }
        obstacles.extend(routes.obstacles.iter().chain(&routes.pending).cloned());
        obstacles
            .extend(memory.routes.failure().map(|error| format!("the routes cannot be written: {error}")));
        Ok(Self {
            object: whole,
            release,
            delivery,
            pair,
            roles,
            points,
            attachments,
            routes,
            around,
            obstacles,
            no_prometheus,
            warnings,
            invalid,
        })
    }

    /// As the planner sees it.
    pub(super) fn in_cluster(&self) -> InCluster {
        InCluster {
            delivery: self.delivery.clone(),
            workloads: self.pair.workloads(),
            roles: self.roles.clone(),
            routes: self.routes.targets,
            obstacles: self.obstacles.clone(),
            contested: Vec::new(),
            answers: Vec::new(),
            policy_waits: false,
        }
    }

    /// The canary's pods.
    pub(super) fn canary_pods(&self, stores: &Stores) -> Vec<Arc<KnownPod>> {
        pods_of_canary(&self.pair, stores)
    }

    /// The Services by which the canary may be reached.
    pub(super) fn services(&self) -> Vec<&str> {
        let own = self.delivery.routing.services.as_ref().map(|services| services.canary.as_str());
        std::iter::once(self.release.service.name.as_str()).chain(own).collect()
    }

    /// Whether Serin writes `object` for this release.
    pub(super) fn concerns(&self, object: &Object) -> bool {
        let Object { kind, namespace, name, part } = object;
        if *kind == api_resources::wasm_plugin() {
            let is_at = |point: &Attachment| point.namespace == *namespace && point.shard(name).is_some();
            return self.attachments.iter().any(is_at)
                && part.as_ref().is_none_or(|part| *part == policy_part(self.release.name()));
        }
        let is_route = || {
            routes::own_names(&self.release, &self.delivery)
                .iter()
                .any(|own| own == &(kind.clone(), name.clone()))
        };
        let services = self.delivery.routing.services.as_ref();
        let is_service =
            || *kind == api_resources::service() && services.is_some_and(|own| own.canary == *name);
        *namespace == self.pair.namespace && (self.pair.has(name) || is_route() || is_service())
    }

    /// The same in the roles that were planned: versions may have changed places by the plan.
    pub(super) fn in_planned_roles(mut self, planned: &Roles) -> Self {
        if self.roles.as_ref().is_ok_and(|roles| roles.swapped != planned.swapped) {
            self.delivery = self.delivery.swapped();
            self.pair = self.pair.swapped();
        }
        self.roles = Ok(planned.clone());
        self
    }

    /// What the routes depend on; none while a Deployment is missing, or nobody knows which of the two is stable.
    pub(super) fn needed(&self) -> Option<routes::Needed<'_>> {
        let Self { release, delivery, around, .. } = self;
        let (subsets, roles) = (self.pair.subsets()?, self.roles.as_ref().ok()?);
        let (around, retired) = (around.as_ref(), roles.retired.as_deref());
        Some(routes::Needed { release, delivery, subsets, around, retired })
    }
}

/// A Release as its words and the two Deployments have it.
struct Read {
    object: Arc<ReleaseObject>,
    release: Release,
    delivery: Delivery,
    roles: Result<Roles, RolesUnclear>,
    /// What the versions of the two Deployments are called.
    names: Names,
}

impl Read {
    /// The release as it stands: its run named by the canary's pod template, and the two versions in their present
    /// places.
    fn of(
        cluster: &Cluster,
        object: &Arc<ReleaseObject>,
        status: &Status,
        known: &Names,
        configs: &Noted,
    ) -> Result<Self, TickError> {
        let namespace = object.namespace().unwrap_or_default();
        let named = [("spec.stable", &object.spec.stable), ("spec.canary", &object.spec.canary)];
        let label = live(cluster, object);
        let saved = [
            Some(status.run.as_str()),
            status.roles.retired.as_deref(),
            label.as_ref().and_then(|label| label.retired.as_deref()),
        ];
        let saved: Vec<_> = saved.into_iter().flatten().collect();
        let tracked = configs.tracked.as_ref();
        let configs = [tracked.map(|it| it.stable.as_str()), tracked.map(|it| it.canary.as_str())];
        let versions: Names = named
            .into_iter()
            .zip(configs)
            .filter_map(|((_, version), config)| {
                let name = name(version);
                let deployment = get(&cluster.stores.deployments, &namespace, name)?;
                let rules = &object.spec.pod_template;
                Some((name.to_owned(), Named::of(&deployment, rules, config, known.get(name), &saved)?))
            })
            .collect();
        let [stable, canary] = named.map(|(_, version)| candidate(cluster, &namespace, version, &versions));
        let promotion = object.spec.strategy.promotion();
        let traces = Traces { label, named_stable: stable.clone(), named_canary: canary.clone() };
        let roles = Roles::of(status, promotion, &traces);
        let present = roles.clone().unwrap_or_default();
        let (stable, canary) = if present.swapped { (canary, stable) } else { (stable, canary) };
        let run = present.run(&status.run, canary.run.as_deref(), stable.run.as_deref());
        let object = metric_templates::filled_in(cluster, object)?;
        let (mut release, delivery) = Release::from_object(&object, run.unwrap_or("none"))?;
        release.windows.extend(cluster.operator.windows.of_namespace(&namespace).cloned());
        if !status.is_driven() {
            for (path, version) in named {
                let name = name(version);
                if get(&cluster.stores.deployments, &namespace, name).is_none() {
                    return Err(not_admitted(format!(
                        "{path}.targetRef.name: {name:?}: there is no such Deployment in {namespace}: create it, or name another"
                    )));
                }
            }
        }
        let delivery = if present.swapped { delivery.swapped() } else { delivery };
        let workloads = [&delivery.stable, &delivery.canary].map(|target| {
            let deployment = get(&cluster.stores.deployments, &namespace, &target.deployment);
            let labels = deployment.as_deref().map(pod_labels).unwrap_or_default();
            Workload { deployment: target.deployment.clone(), labels }
        });
        if let CountSource::Istio(istio) = &mut release.analysis.source {
            istio_versions::name(istio, &object.spec.analysis.istio, present.swapped, &workloads);
        }
        release.analysis.workloads = Some(workloads);
        Ok(Self { object, release, delivery, roles, names: versions })
    }
}

fn pods_of_canary(pair: &Pair, stores: &Stores) -> Vec<Arc<KnownPod>> {
    let selector = pair.subsets().map(|subsets| subsets.canary.selector);
    let mut pods = selector.map(|selector| stores.pods.with(&selector)).unwrap_or_default();
    pods.retain(|pod| pod.namespace == pair.namespace);
    pods
}

/// Why nobody would know what the canary makes of copies of stable's requests, if so.
fn uncounted_copies(release: &Release, pods: &[Arc<KnownPod>]) -> Option<String> {
    let is_deaf = |pod: &Arc<KnownPod>| pod.ready_at.is_some() && pod.proxy.is_none();
    pods.iter().any(is_deaf).then(|| {
        let field = if release.blue_green.is_some() { "blueGreen" } else { "canary" };
        format!(
            "spec.strategy.{field}.mirror: the canary has pods without a sidecar, whose answers to copies nobody counts: let Istio \
             inject one, or leave mirror out"
        )
    })
}

fn name(version: &resource::Version) -> &str {
    version.target_ref.as_ref().map(|target| target.name.as_str()).unwrap_or_default()
}

fn candidate(cluster: &Cluster, namespace: &str, version: &resource::Version, names: &Names) -> Candidate {
    let deployment = get(&cluster.stores.deployments, namespace, name(version));
    let ready = deployment.as_ref().and_then(|found| found.status.as_ref()?.ready_replicas);
    Candidate {
        name: name(version).to_owned(),
        desired: deployment.as_deref().map(desired).unwrap_or_default(),
        ready: ready.and_then(|ready| u32::try_from(ready).ok()).unwrap_or_default(),
        run: names.get(name(version)).map(|named| named.run.clone()),
    }
}

/// What the routes of `object` say of which Deployment is live.
fn live(cluster: &Cluster, object: &ReleaseObject) -> Option<Live> {
    let (kind, name) = (api_resources::destination_rule(), object_name(&object.name_any()));
    let rule = cluster.stores.routes.get(&kind, &object.namespace().unwrap_or_default(), &name)?;
    let retired =
        rule.pointer("/metadata/annotations").and_then(|annotations| annotations.get(RETIRED)?.as_str());
    Some(Live { deployment: label(&rule, STABLE)?.to_owned(), retired: retired.map(str::to_owned) })
}

const fn not_admitted(why: String) -> TickError {
    TickError::Rejected(Rejection::NotAdmitted(why))
}
