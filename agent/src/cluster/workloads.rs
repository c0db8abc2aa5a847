/*!
The Deployments behind the two versions: how they are, and what the planner wants of them.
*/
use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{Api, Patch, PostParams};
use kube::discovery::ApiResource;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Resource, ResourceExt};
use serde_json::{Value, json};
use xxhash_rust::xxh64::xxh64;

use super::api_resources::version;
use super::autoscalers::Floor;
use super::repairs::{Object, Repairs, fingerprint};
use super::stores::Stores;
use super::trouble::trouble;
use super::{FIELD_MANAGER, as_serin};
use crate::mesh::object::Labels;
use crate::mesh::routing::{self, Subsets};
use serin_release::delivery::{Delivery, Target};
use serin_rollout::{PodLimit, Replicas, Wanted, Workload, Workloads};

/// Set by `kubectl rollout restart`: the same version, started again.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";

/// The two Deployments of a release.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) namespace: String,
    stable: Side,
    canary: Side,
}

#[derive(Debug)]
struct Side {
    target: Target,
    deployment: Option<std::sync::Arc<Deployment>>,
    autoscaler: Option<std::sync::Arc<HorizontalPodAutoscaler>>,
    trouble: Option<String>,
}

/// The name of the run that a Deployment's pod template makes: its image's tag, for people, and a hash.
pub(super) fn run_of(deployment: &Deployment) -> Option<String> {
    let template = &deployment.spec.as_ref()?.template;
    let image = template.spec.as_ref()?.containers.first()?.image.as_deref().unwrap_or_default();
    let name = image.rsplit_once('/').map_or(image, |(_, name)| name);
    let tag = name.split_once(['@', ':']).map_or("latest", |(_, tag)| tag);
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '-' };
    let tag: String = tag.chars().map(safe).take(40).collect();
    let hash = xxh64(version_of(template).to_string().as_bytes(), 0) >> 32;
    Some(format!("{tag}-{hash:08x}"))
}

/// The labels of a Deployment's pod template.
pub(super) fn pod_labels(deployment: &Deployment) -> Labels {
    let template = deployment.spec.as_ref().map(|spec| &spec.template);
    template.and_then(|template| template.metadata.as_ref()?.labels.clone()).unwrap_or_default()
}

/// What makes a pod template another version: all of it but its labels, which tell the two Deployments apart.
fn version_of(template: &PodTemplateSpec) -> Value {
    json!([own_annotations(template), template.spec])
}

fn own_annotations(template: &PodTemplateSpec) -> BTreeMap<String, String> {
    let mut annotations =
        template.metadata.as_ref().and_then(|metadata| metadata.annotations.clone()).unwrap_or_default();
    annotations.remove(RESTARTED);
    annotations
}

impl Pair {
    /// The two as they are.
    pub(super) fn read(stores: &Stores, namespace: &str, delivery: &Delivery) -> Self {
        let side = |target: &Target| {
            let deployment = get(&stores.deployments, namespace, &target.deployment);
            let name = target.autoscaler.as_deref();
            let autoscaler = name.and_then(|name| get(&stores.autoscalers, namespace, name));
            let trouble =
                deployment.as_ref().and_then(|deployment| trouble(&stores.pods, namespace, deployment));
            Side { target: target.clone(), deployment, autoscaler, trouble }
        };
        Self {
            namespace: namespace.to_owned(),
            stable: side(&delivery.stable),
            canary: side(&delivery.canary),
        }
    }

    /// The same with the two in each other's places.
    pub(super) fn swapped(self) -> Self {
        Self { stable: self.canary, canary: self.stable, ..self }
    }

    /// As the planner sees them.
    pub(super) fn workloads(&self) -> Workloads {
        let version = |side: &Side| side.template().map(version_of);
        let same_version = version(&self.stable).is_some_and(|stable| version(&self.canary) == Some(stable));
        Workloads { stable: self.stable.workload(), canary: self.canary.workload(), same_version }
    }

    /// The pods of the two, as routes find them; none while a Deployment is missing.
    pub(super) fn subsets(&self) -> Option<Subsets> {
        Some(Subsets { stable: self.stable.pods()?, canary: self.canary.pods()? })
    }

    /// Carries out what differs from `wanted`, for the run of this name.
    ///
    /// # Errors
    /// When the API server refuses; the next tick tries again.
    pub(super) async fn carry_out(
        &self,
        client: &Client,
        repairs: &Repairs,
        wanted: &Wanted,
        run: &str,
    ) -> Result<(), kube::Error> {
        let stable_floor = wanted.stable_at_least.map(Replicas::AtLeast);
        self.scale(client, repairs, &self.stable, stable_floor).await?;
        self.scale(client, repairs, &self.canary, wanted.canary).await?;
        // The canary may have been given another template a moment ago, which nobody has judged.
        let is_of_run = self.canary.deployment.as_deref().and_then(run_of).as_deref() == Some(run);
        if wanted.copy_template && is_of_run {
            self.copy_template(client, repairs).await?;
        }
        Ok(())
    }

    /// Whether one of its objects has this name.
    pub(super) fn has(&self, name: &str) -> bool {
        [&self.stable, &self.canary].into_iter().any(|Side { target, .. }| {
            target.deployment == name || target.autoscaler.as_deref() == Some(name)
        })
    }

    /// A part of the object `name`, as it is contested.
    fn part<K: Resource<DynamicType = ()>>(&self, name: &str, part: &str) -> Object {
        let kind = ApiResource::erase::<K>(&());
        Object { kind, namespace: self.namespace.clone(), name: name.to_owned(), part: Some(part.to_owned()) }
    }

    async fn scale(
        &self,
        client: &Client,
        repairs: &Repairs,
        side: &Side,
        wanted: Option<Replicas>,
    ) -> Result<(), kube::Error> {
        let Some(deployment) = &side.deployment else { return Ok(()) };
        let desired = desired(deployment);
        let floor = match wanted {
            Some(Replicas::AtLeast(floor)) => Some(floor),
            Some(Replicas::Zero) | None => None,
        };
        if let Some(autoscaler) = &side.autoscaler {
            self.set_floor(client, repairs, autoscaler, floor).await?;
        }
        let object = self.part::<Deployment>(&deployment.name_any(), "spec.replicas");
        let to = match wanted {
            // An autoscaler that is at work brings it up to its floor by itself; at 0 it is not.
            Some(Replicas::AtLeast(floor))
                if desired < floor && (side.autoscaler.is_none() || desired == 0) =>
            {
                floor
            }
            Some(Replicas::Zero) if desired > 0 => 0,
            _ => {
                repairs.is_right(&object);
                return Ok(());
            }
        };
        let wanted = fingerprint(&to);
        if !repairs.is_due(&object, Some(version(&**deployment)), wanted).await {
            return Ok(());
        }
        tracing::info!(deployment = deployment.name_any(), from = desired, to, "scaling");
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), &self.namespace);
        let planned_from = json!({"resourceVersion": deployment.resource_version()});
        let scale = Patch::Merge(json!({"metadata": planned_from, "spec": {"replicas": to}}));
        let scaled = deployments.patch_scale(&deployment.name_any(), &as_serin(), &scale).await;
        if let Some(scaled) = unless_overtaken(scaled)? {
            repairs.written(&object, version(&scaled), wanted);
        }
        Ok(())
    }

    /// Raises an autoscaler's floor to what is `needed`, or gives its owner theirs back.
    async fn set_floor(
        &self,
        client: &Client,
        repairs: &Repairs,
        autoscaler: &HorizontalPodAutoscaler,
        needed: Option<u32>,
    ) -> Result<(), kube::Error> {
        let most = autoscaler.spec.as_ref().map_or(i32::MAX, |spec| spec.max_replicas);
        let floor = Floor::of(autoscaler).wanted(needed, most);
        let object = self.part::<HorizontalPodAutoscaler>(&autoscaler.name_any(), "spec.minReplicas");
        let Some(patch) = floor.patch(autoscaler) else {
            repairs.is_right(&object);
            return Ok(());
        };
        let wanted = fingerprint(&floor);
        if !repairs.is_due(&object, Some(version(autoscaler)), wanted).await {
            return Ok(());
        }
        let autoscalers: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), &self.namespace);
        let patched = autoscalers.patch(&autoscaler.name_any(), &as_serin(), &Patch::Merge(patch)).await;
        if let Some(patched) = unless_overtaken(patched)? {
            repairs.written(&object, version(&patched), wanted);
        }
        Ok(())
    }

    /// Gives stable the canary's pod template. Labels stay stable's own: by them the two are told apart.
    async fn copy_template(&self, client: &Client, repairs: &Repairs) -> Result<(), kube::Error> {
        let (Some(stable), Some(from), Some(to)) =
            (&self.stable.deployment, self.canary.template(), self.stable.template())
        else {
            return Ok(());
        };
        let object = self.part::<Deployment>(&stable.name_any(), "spec.template");
        if version_of(from) == version_of(to) {
            repairs.is_right(&object);
            return Ok(());
        }
        let wanted = fingerprint(&version_of(from).to_string());
        if !repairs.is_due(&object, Some(version(&**stable)), wanted).await {
            return Ok(());
        }
        tracing::info!(deployment = stable.name_any(), "takes the canary's pod template");
        // As a whole, and only over what was looked at: a merge would keep what the canary has left out.
        let mut updated = Deployment::clone(stable);
        updated.metadata.managed_fields = None;
        if let Some(spec) = &mut updated.spec {
            spec.template.spec.clone_from(&from.spec);
            let annotations = Some(own_annotations(from)).filter(|annotations| !annotations.is_empty());
            spec.template.metadata.get_or_insert_default().annotations = annotations;
        }
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), &self.namespace);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let replaced = deployments.replace(&stable.name_any(), &params, &updated).await;
        if let Some(replaced) = unless_overtaken(replaced)? {
            repairs.written(&object, version(&replaced), wanted);
        }
        Ok(())
    }
}

impl Side {
    fn template(&self) -> Option<&PodTemplateSpec> {
        Some(&self.deployment.as_ref()?.spec.as_ref()?.template)
    }

    fn pods(&self) -> Option<routing::Pods> {
        let deployment = self.deployment.as_deref()?;
        let selector = deployment.spec.as_ref()?.selector.match_labels.clone().unwrap_or_default();
        Some(routing::Pods { selector, labels: pod_labels(deployment) })
    }

    fn workload(&self) -> Workload {
        let Some(deployment) = &self.deployment else {
            let stuck = Some(format!("Deployment {} does not exist", self.target.deployment));
            return Workload { stuck, ..Workload::default() };
        };
        let status = deployment.status.clone().unwrap_or_default();
        let seen = status.observed_generation >= deployment.metadata.generation;
        let updated = status.updated_replicas.unwrap_or_default();
        // Whoever gives pods a time to prove themselves wants it to go by before they count.
        let proves_itself = deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds) > Some(0);
        let ready = if proves_itself { status.available_replicas } else { status.ready_replicas };
        let condition =
            |kind: &str| status.conditions.iter().flatten().find(|condition| condition.type_ == kind);
        let late =
            condition("Progressing").filter(|it| it.reason.as_deref() == Some("ProgressDeadlineExceeded"));
        Workload {
            desired: desired(deployment),
            ready: count(ready),
            rolled_out: seen && updated == status.replicas.unwrap_or_default(),
            stuck: late.filter(|_| seen).map(|condition| {
                let said = condition.message.clone().unwrap_or_default();
                self.trouble.as_ref().map_or_else(|| said.clone(), |trouble| format!("{said} {trouble}"))
            }),
            trouble: self.trouble.clone(),
            limit: self.autoscaler.as_deref().and_then(limit),
            run: run_of(deployment),
            changed_by: changed_by(deployment),
        }
    }
}

/// The most pods that an autoscaler allows.
fn limit(autoscaler: &HorizontalPodAutoscaler) -> Option<PodLimit> {
    let most = autoscaler.spec.as_ref()?.max_replicas;
    Some(PodLimit { pods: count(Some(most)), autoscaler: autoscaler.name_any() })
}

/// Who has changed a Deployment last besides Serin, by their own account. Status and scale are others' business.
fn changed_by(deployment: &Deployment) -> Option<String> {
    let is_other = |entry: &&ManagedFieldsEntry| {
        entry.subresource.is_none() && entry.manager.as_deref() != Some(FIELD_MANAGER)
    };
    let others = deployment.managed_fields().iter().filter(is_other);
    others.max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?.manager.clone()
}

/// What was written; none if somebody was quicker. What is to be done then, the next tick says.
fn unless_overtaken<T>(written: Result<T, kube::Error>) -> Result<Option<T>, kube::Error> {
    match written {
        Err(kube::Error::Api(status)) if status.is_conflict() => Ok(None),
        other => other.map(Some),
    }
}

/// How many pods a Deployment is to have.
pub(super) fn desired(deployment: &Deployment) -> u32 {
    count(Some(deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)))
}

fn count(found: Option<i32>) -> u32 {
    u32::try_from(found.unwrap_or_default()).unwrap_or_default()
}

/// The object of this name that a store knows.
pub(super) fn get<K>(store: &Store<K>, namespace: &str, name: &str) -> Option<std::sync::Arc<K>>
where
    K: kube::Resource<DynamicType = ()> + Clone + 'static,
{
    store.get(&ObjectRef::new(name).within(namespace))
}
