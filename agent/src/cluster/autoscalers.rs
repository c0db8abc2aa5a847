/*!
The floor of an autoscaler, Kubernetes' own or KEDA's: raised while a release needs it, and given back as its owner wants it.

What its owner writes meanwhile is their floor from then on: it is never lowered, and it is what they get back. So both
are noted on the autoscaler, what was theirs and what it was raised to.
*/
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::ResourceExt;
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use serde_json::{Value, json};
use serin_release::delivery::{self, AutoscalerKind};

use super::api_resources::scaled_object;
use super::on_demand::Known;
use super::stores::Stores;
use super::watching::Unseen;
use super::workloads::get;

/// Its owner's floor, while Serin has raised it.
const OWN_FLOOR: &str = "serin.dev/min-replicas";

/// What Serin has raised it to.
const RAISED_TO: &str = "serin.dev/raised-min-replicas";

/// An owner's floor that is not written.
const LEFT_OUT: &str = "none";

/// Has KEDA keep so many pods, whatever its triggers say.
const PAUSED_AT: &str = "autoscaling.keda.sh/paused-replicas";

/// Has KEDA leave the pods alone.
const PAUSED: &str = "autoscaling.keda.sh/paused";

/// On an autoscaler of KEDA's that Serin has paused.
const PAUSED_BY_SERIN: &str = "serin.dev/paused";

/// What scales a Deployment besides Serin, as far as that is known.
#[derive(Debug, Clone)]
pub(super) enum Scaler {
    /// Nothing does.
    Nobody,
    /// This.
    Autoscaler(Autoscaler),
    /// Something is to, and nobody knows how: why not, with the mend.
    Unknown(String),
}

/// An autoscaler, as it is.
#[derive(Debug, Clone)]
pub(super) struct Autoscaler {
    kind: AutoscalerKind,
    pub(super) name: String,
    resource_version: Option<String>,
    annotations: BTreeMap<String, String>,
    /// None where its owner leaves it out, which the API server fills in for its own kind.
    min: Option<i32>,
    /// The most pods that it allows.
    pub(super) max: i32,
    /// How many pods there are while no trigger of KEDA's asks for any, whatever the floor is.
    idle: Option<i32>,
}

/// The floor of an autoscaler, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Floor {
    /// Its owner's.
    Own(Option<i32>),
    /// Serin's, over one of its owner's.
    Raised { own: Option<i32>, to: i32 },
}

/// How an autoscaler is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    floor: Floor,
    /// Whether Serin has it keep no pods at all.
    is_paused: bool,
}

/// What a Deployment is to have of its autoscaler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// As many pods as its owner wants.
    Own,
    /// At least so many pods.
    Pods(u32),
    /// No pods, whatever it would make of that.
    Nothing,
    /// Whatever its owner wants, from now on without Serin.
    Released,
}

impl Scaler {
    /// The one that a Release names, if it names one. One of Kubernetes' that belongs to KEDA is written by KEDA, so that
    /// KEDA's counts.
    pub(super) fn find(stores: &Stores, namespace: &str, named: Option<&delivery::Autoscaler>) -> Self {
        let Some(delivery::Autoscaler { kind, name }) = named else { return Self::Nobody };
        let found = match kind {
            AutoscalerKind::ScaledObject => scaled_object_of(stores, namespace, name),
            AutoscalerKind::HorizontalPodAutoscaler => match get(&stores.autoscalers, namespace, name) {
                None => Err(missing("HorizontalPodAutoscaler", namespace, name)),
                Some(found) => match keda_behind(&found) {
                    Some(behind) => scaled_object_of(stores, namespace, behind)
                        .map_err(|why| format!("HorizontalPodAutoscaler {name} belongs to KEDA: {why}")),
                    None => Ok(Autoscaler::of_kubernetes(&found)),
                },
            },
        };
        found.map_or_else(Self::Unknown, Self::Autoscaler)
    }

    /// The autoscaler, if it is known.
    pub(super) const fn autoscaler(&self) -> Option<&Autoscaler> {
        match self {
            Self::Autoscaler(autoscaler) => Some(autoscaler),
            Self::Nobody | Self::Unknown(_) => None,
        }
    }

    /// Why the Deployment cannot be scaled, if it cannot: something else would scale it too.
    pub(super) fn unknown(&self) -> Option<&str> {
        match self {
            Self::Unknown(why) => Some(why),
            Self::Nobody | Self::Autoscaler(_) => None,
        }
    }
}

/// KEDA's autoscaler of this name, or why nobody knows it.
fn scaled_object_of(stores: &Stores, namespace: &str, name: &str) -> Result<Autoscaler, String> {
    let unseen = |why: &str| Err(format!("ScaledObject {name} in {namespace} cannot be seen: {why}"));
    match stores.scaled_objects.get(namespace, name) {
        Known::There(found) => Ok(Autoscaler::of_scaled_object(&found)),
        Known::Missing => Err(missing("ScaledObject", namespace, name)),
        Known::Unseen(Unseen::NotYet) => unseen("the API server has not answered yet"),
        Known::Unseen(Unseen::NoSuchKind) => {
            unseen("the cluster does not know ScaledObjects: install KEDA, or take autoscalerRef out")
        }
        Known::Unseen(Unseen::Forbidden) => {
            unseen("the agent has no right to: apply manifests/base/rbac.yaml, or take autoscalerRef out")
        }
    }
}

fn missing(kind: &str, namespace: &str, name: &str) -> String {
    format!(
        "there is no {kind} {name} in {namespace}, which scales by autoscalerRef: create it, name another, or take \
         autoscalerRef out"
    )
}

impl Autoscaler {
    fn of_kubernetes(found: &HorizontalPodAutoscaler) -> Self {
        let spec = found.spec.as_ref();
        Self {
            kind: AutoscalerKind::HorizontalPodAutoscaler,
            name: found.name_any(),
            resource_version: found.resource_version(),
            annotations: found.annotations().clone(),
            min: Some(spec.and_then(|spec| spec.min_replicas).unwrap_or(1)),
            max: spec.map_or(i32::MAX, |spec| spec.max_replicas),
            idle: None,
        }
    }

    fn of_scaled_object(found: &DynamicObject) -> Self {
        let count = |field: &str| {
            let value = found.data.pointer(&format!("/spec/{field}")).and_then(Value::as_i64)?;
            i32::try_from(value).ok()
        };
        Self {
            kind: AutoscalerKind::ScaledObject,
            name: found.name_any(),
            resource_version: found.resource_version(),
            annotations: found.annotations().clone(),
            min: count("minReplicaCount"),
            // KEDA's default.
            max: count("maxReplicaCount").unwrap_or(100),
            idle: count("idleReplicaCount"),
        }
    }

    /// Why nobody can be moved while it is as it is: stable has no requests while everybody is on the canary, and must have
    /// its pods all the same.
    pub(super) fn obstacle(&self) -> Option<String> {
        let idle = self.idle?;
        Some(format!(
            "ScaledObject {} has idleReplicaCount {idle}: KEDA goes down to it while nothing asks for pods, whatever \
             minReplicaCount is, and there would be nobody to go back to. Take idleReplicaCount out",
            self.name
        ))
    }

    /// The kind of object that it is.
    pub(super) fn resource(&self) -> ApiResource {
        match self.kind {
            AutoscalerKind::HorizontalPodAutoscaler => ApiResource::erase::<HorizontalPodAutoscaler>(&()),
            AutoscalerKind::ScaledObject => scaled_object(),
        }
    }

    /// Its field with the fewest pods and the one with the most.
    pub(super) const fn fields(&self) -> [&'static str; 2] {
        match self.kind {
            AutoscalerKind::HorizontalPodAutoscaler => ["minReplicas", "maxReplicas"],
            AutoscalerKind::ScaledObject => ["minReplicaCount", "maxReplicaCount"],
        }
    }

    pub(super) fn version(&self) -> Option<u64> {
        self.resource_version.as_ref()?.parse().ok()
    }

    /// Whether it keeps the pods to its floor by itself.
    pub(super) fn is_at_work(&self) -> bool {
        !self.annotations.contains_key(PAUSED_AT)
            && self.annotations.get(PAUSED).is_none_or(|it| it == "false")
    }

    fn floor(&self) -> Floor {
        let noted = |name| self.annotations.get(name).map(String::as_str);
        let own = match noted(OWN_FLOOR) {
            Some(LEFT_OUT) => Some(None),
            note => note.and_then(|note| note.parse().ok()).map(Some),
        };
        // Earlier agents did not note what they had raised it to: what is there is taken for that.
        let is_serins = noted(RAISED_TO).is_none_or(|to| to.parse().ok() == self.min);
        match (own, self.min) {
            (Some(own), Some(to)) if is_serins => Floor::Raised { own, to },
            // Nobody has raised it, or its owner has changed it since.
            (_, present) => Floor::Own(present),
        }
    }

    /// How it is to be for what a Deployment is to have of it.
    pub(super) fn wanted(&self, need: Need) -> Wanted {
        let floor = self.floor();
        let (Floor::Own(own) | Floor::Raised { own, .. }) = floor;
        let needed = match need {
            Need::Pods(pods) => Some(i32::try_from(pods).unwrap_or(i32::MAX).min(self.max)),
            Need::Own | Need::Nothing | Need::Released => None,
        };
        let floor = match needed {
            Some(to) if to > own.unwrap_or_default() => Floor::Raised { own, to },
            _ => Floor::Own(own),
        };
        let is_paused = match need {
            Need::Own => self.is_paused_by_serin(),
            Need::Pods(_) | Need::Released => false,
            // Kubernetes' own leaves a Deployment without pods alone. Who has paused KEDA's had their reasons.
            Need::Nothing => {
                self.kind == AutoscalerKind::ScaledObject && (self.is_at_work() || self.is_paused_by_serin())
            }
        };
        Wanted { floor, is_paused }
    }

    fn is_paused_by_serin(&self) -> bool {
        self.annotations.contains_key(PAUSED_BY_SERIN) && self.annotations.contains_key(PAUSED_AT)
    }

    /// What it lacks to be as it is `wanted`, as a merge patch that is refused if it has changed meanwhile.
    pub(super) fn patch(&self, wanted: Wanted) -> Option<Value> {
        let (min, own, to) = match wanted.floor {
            Floor::Own(own) => (own, None, None),
            Floor::Raised { own, to } => {
                let own = own.map_or_else(|| LEFT_OUT.to_owned(), |own| own.to_string());
                (Some(to), Some(own), Some(to.to_string()))
            }
        };
        let noted = |name| self.annotations.get(name);
        let was_paused = self.is_paused_by_serin();
        if self.min == min
            && noted(OWN_FLOOR) == own.as_ref()
            && noted(RAISED_TO) == to.as_ref()
            && was_paused == wanted.is_paused
        {
            return None;
        }
        let mut annotations = json!({OWN_FLOOR: own, RAISED_TO: to});
        if was_paused != wanted.is_paused {
            let is_paused = wanted.is_paused;
            annotations[PAUSED_AT] = json!(is_paused.then_some("0"));
            annotations[PAUSED_BY_SERIN] = json!(is_paused.then_some("true"));
        }
        let [fewest, _] = self.fields();
        Some(json!({
            "metadata": {"resourceVersion": self.resource_version, "annotations": annotations},
            "spec": {fewest: min},
        }))
    }
}

/// The name of KEDA's autoscaler that one of Kubernetes' belongs to.
fn keda_behind(autoscaler: &HorizontalPodAutoscaler) -> Option<&str> {
    let owners = autoscaler.metadata.owner_references.iter().flatten();
    owners.filter(|owner| owner.kind == scaled_object().kind).map(|owner| &*owner.name).next()
}
