/*!
What a tick looks at: the release as it stands, its Deployments, its routes, the places where it is attached.
*/
use std::sync::Arc;

use kube::{Resource, ResourceExt};
use serde_json::json;

use super::memory::Memory;
use super::proxies::{Attached, find};
use super::routes::Wanted;
use super::tick::TickError;
use super::workloads::{Pair, get, run_of};
use super::{Cluster, routes};
use crate::mesh::plugin::{Attachment, uncovered};
use crate::mesh::routing::{Pods, Subsets};
use serin_release::delivery::{AttachPoint, Delivery, PromotionMode};
use serin_release::{Release, ReleaseObject, resource};
use serin_rollout::{Phase, Status};

/// What a tick looks at besides the release itself.
pub(super) struct Snapshot {
    pub(super) release: Release,
    pub(super) pair: Pair,
    pub(super) points: Vec<(AttachPoint, Attached)>,
    pub(super) attachments: Vec<Attachment>,
    pub(super) obstacles: Vec<String>,
    pub(super) swapped: bool,
    /// What is wrong with the present spec, if the one before it counts.
    pub(super) invalid: Option<String>,
}

impl Snapshot {
    /// What is there: Deployments, routes, attach points.
    pub(super) async fn take(
        cluster: &Cluster,
        object: &Arc<ReleaseObject>,
        memory: &mut Memory,
    ) -> Result<Self, TickError> {
        let namespace = object.namespace().unwrap_or_default();
        let (mut points, mut obstacles) = (Vec::new(), Vec::new());
        let mut invalid = None;
        let (release, delivery) = match (release(cluster, object, memory, &namespace), &memory.last_good) {
            // What is under way is still watched over, by what was right before, and goes no further.
            (Err(TickError::Invalid(error)), Some(last_good)) => {
                obstacles.push(invalid.insert(error.to_string()).clone());
                release(cluster, last_good, memory, &namespace)?
            }
            (other, _) => other?,
        };
        if let Some(why) = cluster.refusal(object, &release, &delivery) {
            return Err(TickError::NotAdmitted(why));
        }
        for point in &delivery.routing.attach_points {
            match find(&cluster.stores, point) {
                Ok(found) => points.push((point.clone(), found)),
                Err(why) => obstacles.push(why),
            }
        }
        // Gateways first: one that stands in a namespace whose sidecars count as well is one proxy, and a gateway.
        points.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let attachments =
            uncovered(points.iter().flat_map(|(_, found)| found.attachments.iter().cloned()).collect());
        if attachments.is_empty() {
            return Err(TickError::NotAdmitted(obstacles.join("; ")));
        }
        let pair = Pair::read(&cluster.stores, &namespace, &delivery);
        let mut swapped = false;
        if let Some(subsets) = pair.subsets() {
            swapped = routes::lead_to_canary(&cluster.stores, &release, &subsets);
            let both = both_to(&memory.state.status, &delivery, &subsets);
            let owner = json!(object.controller_owner_ref(&()));
            let routes =
                Wanted { release: &release, delivery: &delivery, owner: &owner, subsets: &subsets, both };
            let generation = object.metadata.generation;
            let found =
                routes::ensure(&cluster.client, &cluster.stores, &routes, generation, &mut memory.routes)
                    .await;
            match found {
                Ok(routes) => {
                    obstacles.extend(routes.obstacles);
                    cluster.tell_routes_repaired(object, memory, &routes.repaired).await;
                }
                // What is under way is still watched over.
                Err(error) => obstacles.push(format!("its routes cannot be written: {error}")),
            }
        }
        Ok(Self { release, pair, points, attachments, obstacles, swapped, invalid })
    }
}

/// Where versions change places, both subsets are the new version's pods for as long as anybody may be on either.
fn both_to(status: &Status, delivery: &Delivery, subsets: &Subsets) -> Option<Pods> {
    if delivery.promotion != PromotionMode::Swap {
        return None;
    }
    match status.phase {
        Phase::HandingOver(_) => Some(subsets.canary.clone()),
        // They have changed places by now. Before a run begins, some proxy may still think of the one before.
        Phase::CuttingBack | Phase::Preparing if status.quiet_since.is_none() => Some(subsets.stable.clone()),
        _ => None,
    }
}

/// The release as it stands: its run named by the canary's pod template, and the two versions in their present places.
fn release(
    cluster: &Cluster,
    object: &ReleaseObject,
    memory: &Memory,
    namespace: &str,
) -> Result<(Release, Delivery), TickError> {
    let name = |version: &resource::Version| version.target_ref.as_ref().map(|target| target.name.clone());
    let (mut stable, mut canary) = (name(&object.spec.stable), name(&object.spec.canary));
    let changed_places = memory.shown.stable_deployment.is_some() && memory.shown.stable_deployment == canary;
    if changed_places {
        std::mem::swap(&mut stable, &mut canary);
    }
    let find = |name: &Option<String>| {
        name.as_ref().and_then(|name| get(&cluster.stores.deployments, namespace, name))
    };
    let last_run = Some(memory.state.status.run.clone()).filter(|run| !run.is_empty());
    let mut run = find(&canary).as_deref().and_then(run_of);
    if run.is_some() && run == memory.state.retired {
        // What was stable until lately is no new version.
        run.clone_from(&last_run);
    }
    let (mut release, mut delivery) =
        Release::from_object(object, run.as_deref().or(last_run.as_deref()).unwrap_or("none"))?;
    if last_run.is_none() {
        for (path, name) in [("spec.stable", &stable), ("spec.canary", &canary)] {
            if find(name).is_none() {
                let name = name.as_deref().unwrap_or_default();
                return Err(TickError::NotAdmitted(format!(
                    "{path}.targetRef.name: {name:?}: there is no such Deployment in {namespace}: create it, or name another"
                )));
            }
        }
    }
    if changed_places {
        std::mem::swap(&mut delivery.stable, &mut delivery.canary);
        release.delivery = Some(delivery.clone());
    }
    Ok((release, delivery))
}
