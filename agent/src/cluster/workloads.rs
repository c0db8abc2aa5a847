/*!
The Deployments behind the two versions: how they are, and what the planner wants of them.
*/
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{Api, Patch};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, ResourceExt};
use serde_json::json;

use super::api_resources::version;
use super::autoscalers::{Autoscaler, Need, Scaler};
use super::repairs::{Object, Repairs, fingerprint};
use super::stores::Stores;
use super::templates::Template;
use super::templates::names::Names;
use super::trouble::trouble;
use super::{FIELD_MANAGER, as_serin};
use crate::mesh::object::Labels;
use crate::mesh::routing::{self, Subsets};
use serin_release::delivery::{Delivery, PodTemplate, Target};
use serin_rollout::{Given, PodLimit, Replicas, Wanted, Workload, Workloads};

/// On a Deployment that has taken a pod template: of which run, and how often somebody had said that it is to take it again.
const GIVEN: &str = "serin.dev/given";

/// The two Deployments of a release.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) namespace: String,
    stable: Side,
    canary: Side,
    rules: PodTemplate,
}

#[derive(Debug)]
struct Side {
    target: Target,
    deployment: Option<std::sync::Arc<Deployment>>,
    scaler: Scaler,
    trouble: Option<String>,
    /// The run that its pod template makes.
    run: Option<String>,
    /// The hash of its configuration, where that is tracked.
    config: Option<String>,
}

/// The labels of a Deployment's pod template.
pub(super) fn pod_labels(deployment: &Deployment) -> Labels {
    let template = deployment.spec.as_ref().map(|spec| &spec.template);
    template.and_then(|template| template.metadata.as_ref()?.labels.clone()).unwrap_or_default()
}

impl Pair {
    /// The two as they are, whose versions have these `names`.
    pub(super) fn read(stores: &Stores, namespace: &str, delivery: &Delivery, names: &Names) -> Self {
        let side = |target: &Target| {
            let deployment = get(&stores.deployments, namespace, &target.deployment);
            let scaler = Scaler::find(stores, namespace, target.autoscaler.as_ref());
            let trouble =
                deployment.as_ref().and_then(|deployment| trouble(&stores.pods, namespace, deployment));
            let version = names.get(&target.deployment);
            let (run, config) = (version.map(|it| it.run.clone()), version.and_then(|it| it.config.clone()));
            Side { target: target.clone(), deployment, scaler, trouble, run, config }
        };
        Self {
            namespace: namespace.to_owned(),
            stable: side(&delivery.stable),
            canary: side(&delivery.canary),
            rules: delivery.pod_template.clone(),
        }
    }

    /// The two Deployments, as far as they are there.
    pub(super) fn deployments(&self) -> Vec<std::sync::Arc<Deployment>> {
        [&self.stable, &self.canary].into_iter().filter_map(|side| side.deployment.clone()).collect()
    }

    /// Why nobody can be moved while their autoscalers are as they are.
    pub(super) fn obstacles(&self) -> impl Iterator<Item = String> {
        [&self.stable, &self.canary].into_iter().filter_map(|side| side.scaler.autoscaler()?.obstacle())
    }

    /// Why one of the two cannot be scaled, if so.
    pub(super) fn unknown_scaler(&self) -> Option<&str> {
        [&self.stable, &self.canary].into_iter().find_map(|side| side.scaler.unknown())
    }

    /// The same with the two in each other's places.
    pub(super) fn swapped(self) -> Self {
        Self { stable: self.canary, canary: self.stable, ..self }
    }

    /// As the planner sees them.
    pub(super) fn workloads(&self) -> Workloads {
        let same_version = self.is_same_version();
        Workloads { stable: self.stable.workload(), canary: self.canary.workload(), same_version }
    }

    /// Whether both pod templates make the same version.
    fn is_same_version(&self) -> bool {
        let template = |side: &Side| {
            Template::of(&json!(side.deployment.as_deref()?), &self.rules, side.config.as_deref())
        };
        match (template(&self.stable), template(&self.canary)) {
            (Some(stable), Some(canary)) => stable.is_same_version(&canary),
            _ => false,
        }
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
        if let Some(insisted) = wanted.copy_template
            && self.canary.run.as_deref() == Some(run)
        {
            let given = Given { run: run.to_owned(), insisted };
            self.copy_template(client, repairs, &given).await?;
        }
        Ok(())
    }

    /// Leaves both autoscalers to their owners, because the Release goes. Returns whether they are left to them already.
    ///
    /// # Errors
    /// When the API server refuses.
    pub(super) async fn release_autoscalers(
        &self,
        client: &Client,
        repairs: &Repairs,
    ) -> Result<bool, kube::Error> {
        let mut are_released = true;
        for side in [&self.stable, &self.canary] {
            let Some(autoscaler) = side.scaler.autoscaler() else { continue };
            are_released &= autoscaler.patch(autoscaler.wanted(Need::Released)).is_none();
            self.set_floor(client, repairs, autoscaler, Need::Released).await?;
        }
        Ok(are_released)
    }

    /// What the canary's pods are made of.
    pub(super) fn canary_pods(&self) -> Option<&PodSpec> {
        self.canary.deployment.as_deref()?.spec.as_ref()?.template.spec.as_ref()
    }

    /// Whether one of its objects has this name.
    pub(super) fn has(&self, name: &str) -> bool {
        [&self.stable, &self.canary].into_iter().any(|Side { target, scaler, .. }| {
            target.deployment == name || scaler.autoscaler().is_some_and(|autoscaler| autoscaler.name == name)
        })
    }

    /// A part of an object, as it is contested.
    fn part(&self, kind: ApiResource, name: &str, part: &str) -> Object {
        Object { kind, namespace: self.namespace.clone(), name: name.to_owned(), part: Some(part.to_owned()) }
    }

    async fn scale(
        &self,
        client: &Client,
        repairs: &Repairs,
        side: &Side,
        wanted: Option<Replicas>,
    ) -> Result<(), kube::Error> {
        let Some(deployment) = side.deployment.as_ref().filter(|_| side.scaler.unknown().is_none()) else {
            return Ok(());
        };
        let desired = desired(deployment);
        let need = match wanted {
            Some(Replicas::AtLeast(pods)) => Need::Pods(pods),
            Some(Replicas::Zero) => Need::Nothing,
            None => Need::Own,
        };
        let autoscaler = side.scaler.autoscaler();
        if let Some(autoscaler) = autoscaler {
            self.set_floor(client, repairs, autoscaler, need).await?;
        }
        let keeps_floor = autoscaler.is_some_and(Autoscaler::is_at_work);
        let object =
            self.part(ApiResource::erase::<Deployment>(&()), &deployment.name_any(), "spec.replicas");
        let to = match wanted {
            // An autoscaler that is at work brings it up to its floor by itself; at 0 it is not.
            Some(Replicas::AtLeast(floor)) if desired < floor && (!keeps_floor || desired == 0) => floor,
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

    /// Has an autoscaler keep what is needed, or gives its owner theirs back.
    async fn set_floor(
        &self,
        client: &Client,
        repairs: &Repairs,
        autoscaler: &Autoscaler,
        need: Need,
    ) -> Result<(), kube::Error> {
        let (kind, [fewest, _]) = (autoscaler.resource(), autoscaler.fields());
        let object = self.part(kind.clone(), &autoscaler.name, &format!("spec.{fewest}"));
        let wanted = autoscaler.wanted(need);
        let Some(patch) = autoscaler.patch(wanted) else {
            repairs.is_right(&object);
            return Ok(());
        };
        let wanted = fingerprint(&wanted);
        if !repairs.is_due(&object, autoscaler.version(), wanted).await {
            return Ok(());
        }
        let autoscalers: Api<DynamicObject> = Api::namespaced_with(client.clone(), &self.namespace, &kind);
        let patched = autoscalers.patch(&autoscaler.name, &as_serin(), &Patch::Merge(patch)).await;
        if let Some(patched) = unless_overtaken(patched)? {
            repairs.written(&object, version(&patched), wanted);
        }
        Ok(())
    }

    /// Gives stable the canary's pod template, but for what is stable's own.
    async fn copy_template(
        &self,
        client: &Client,
        repairs: &Repairs,
        given: &Given,
    ) -> Result<(), kube::Error> {
        let (Some(stable), Some(canary)) = (&self.stable.deployment, &self.canary.deployment) else {
            return Ok(());
        };
        let object = self.part(ApiResource::erase::<Deployment>(&()), &stable.name_any(), "spec.template");
        if self.is_same_version() {
            repairs.is_right(&object);
            return Ok(());
        }
        let wanted = fingerprint(given);
        if !repairs.is_due(&object, Some(version(&**stable)), wanted).await {
            return Ok(());
        }
        // As they are written: this agent may not know every field.
        let kind = ApiResource::erase::<Deployment>(&());
        let deployments: Api<DynamicObject> = Api::namespaced_with(client.clone(), &self.namespace, &kind);
        let (names, rules) = ([stable.name_any(), canary.name_any()], &self.rules);
        let (to, from) = tokio::try_join!(deployments.get(&names[0]), deployments.get(&names[1]))?;
        if from.metadata.generation != canary.metadata.generation {
            // It has been given another template a moment ago, which nobody has judged.
            return Ok(());
        }
        let [of_stable, of_canary] = [&self.stable, &self.canary].map(|side| side.config.as_deref());
        let old = Template::of(&json!(to), rules, of_stable);
        let new = Template::of(&json!(from), rules, of_canary);
        let (Some(old), Some(new)) = (old, new) else {
            return Ok(());
        };
        tracing::info!(deployment = names[0], "takes the canary's pod template");
        // Only over what was looked at.
        let mut annotations = stable.annotations().clone();
        annotations.insert(GIVEN.to_owned(), given.to_string());
        let patch = json!([
            {"op": "replace", "path": "/metadata/resourceVersion", "value": stable.resource_version()},
            {"op": "add", "path": "/metadata/annotations", "value": annotations},
            {"op": "replace", "path": "/spec/template", "value": new.given_to(&old)},
        ]);
        let patch = serde_json::from_value(patch).map_err(kube::Error::SerdeError)?;
        let patched = deployments.patch(&names[0], &as_serin(), &Patch::Json::<()>(patch)).await;
        if let Some(patched) = unless_overtaken(patched)? {
            repairs.written(&object, version(&patched), wanted);
        }
        Ok(())
    }
}

impl Side {
    fn given(&self) -> Option<Given> {
        self.deployment.as_ref()?.annotations().get(GIVEN)?.parse().ok()
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
            limit: self.scaler.autoscaler().map(limit),
            unscalable: self.scaler.unknown().map(str::to_owned),
            run: self.run.clone(),
            given: self.given(),
            changed_by: changed_by(deployment),
        }
    }
}

/// The most pods that an autoscaler allows.
fn limit(autoscaler: &Autoscaler) -> PodLimit {
    let [_, field] = autoscaler.fields();
    let kind = autoscaler.resource().kind;
    PodLimit { pods: count(Some(autoscaler.max)), autoscaler: format!("{kind} {}", autoscaler.name), field }
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
