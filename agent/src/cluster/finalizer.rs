/*!
The end of a Release: the mesh is left on stable, and nothing of it stays in any proxy.

A finalizer keeps the deleted object until that is done. It never keeps it for long: not where the whole namespace
goes, and not where something that is needed for it does not answer. How long that is, this agent measures itself: its
clock may be another than the API server's.
*/
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::api::Api;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use serde_json::json;

use super::memory::Memory;
use super::routes::leaving::Leaving;
use super::tick::{self, TickError};
use super::{Cluster, FINALIZER, cluster_name};
use serin_release::ReleaseObject;
use serin_release::resource::DeletionPolicy;

/// How long a deleted Release may be kept.
const LONGEST: Duration = Duration::from_mins(1);

/// How long proxies are given to take the routes that are there without it.
const UNROUTED: Duration = Duration::from_secs(2);

/// How often policies of Releases that are gone are looked for.
const SWEEP: Duration = Duration::from_secs(30);

/// Goes on with the finalizer of `object`.
///
/// # Errors
/// When the API server refuses or does not answer; it is tried again then.
pub(super) async fn finalize(
    cluster: &Cluster,
    object: &Arc<ReleaseObject>,
    memory: &mut Option<Memory>,
) -> Result<Action, TickError> {
    if !object.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
        return Ok(Action::await_change());
    }
    let open = memory.get_or_insert_with(|| Memory::open(object));
    let is_late = open.leaving_since.get_or_insert_with(Instant::now).elapsed() > LONGEST;
    let is_given_up = is_late || namespace_goes(cluster, object).await;
    // Whoever does not know what there is can do nothing about it.
    if !is_given_up && !*cluster.is_known.borrow() {
        return Ok(Action::requeue(super::AGAIN));
    }
    if !is_given_up {
        let wait = leave(cluster, object, open).await.unwrap_or_else(|error| {
            tracing::warn!(release = cluster_name(object), "still to be left on stable: {error}");
            Some(super::AGAIN)
        });
        if let Some(wait) = wait {
            return Ok(Action::requeue(wait));
        }
    }
    let name = cluster_name(object);
    if is_late && let Err(error) = tick::release_autoscalers(cluster, object, open).await {
        tracing::error!(release = name, "its autoscalers could not be left to their owners: {error}");
    }
    if is_late && object.spec.routing.deletion_policy == DeletionPolicy::Delete {
        let Cluster { client, stores, .. } = cluster;
        let route = Leaving::NOTHING.deal_with_route(client, stores, object).await.map(drop);
        for gone in [route, Leaving::NOTHING.deal_with_targets(client, stores, object).await] {
            if let Err(error) = gone {
                tracing::error!(release = name, "not all of its routes could be deleted: {error}");
            }
        }
    }
    if let Err(error) = cluster.plugins.remove(&name, &[]).await {
        if !is_late {
            return Err(error.into());
        }
        // The sweep goes on with it.
        tracing::error!(release = name, "its policy could not be taken out of the proxies: {error}");
    }
    let finalizers: Vec<_> = object.finalizers().iter().filter(|one| *one != FINALIZER).collect();
    cluster.patch_metadata(object, json!({"finalizers": finalizers})).await?;
    cluster.metrics.forget(&name);
    cluster.memories.forget(&object.uid().unwrap_or_default());
    cluster.board.forget(&name);
    if is_given_up {
        let why = if is_late { "60 s have not been enough for that" } else { "its namespace goes" };
        tracing::warn!(release = name, "the Release is gone without everybody known to be on stable: {why}");
    } else {
        tracing::info!(release = name, "the Release is gone: everybody is on stable");
    }
    Ok(Action::await_change())
}

/// Goes on to leave everybody on stable, and then to deal with the routes. Says when to look again, if that is not done.
///
/// What the routes lead to comes after them, when proxies have taken what is there instead: a route that leads to a subset
/// that is gone answers 503.
async fn leave(
    cluster: &Cluster,
    object: &Arc<ReleaseObject>,
    memory: &mut Memory,
) -> Result<Option<Duration>, TickError> {
    let Cluster { client, stores, .. } = cluster;
    let since = if let Some(since) = memory.unrouted_since {
        Some(since)
    } else {
        if !tick::leave(cluster, object, memory).await? {
            return Ok(Some(Duration::from_millis(500)));
        }
        let leaving = tick::leaving(cluster, object, memory);
        let was_there = leaving.deal_with_route(client, stores, object).await?;
        was_there.then(|| *memory.unrouted_since.insert(Instant::now()))
    };
    let left = since.map_or(Duration::ZERO, |since| UNROUTED.saturating_sub(since.elapsed()));
    if !left.is_zero() {
        return Ok(Some(left));
    }
    let leaving = tick::leaving(cluster, object, memory);
    leaving.deal_with_targets(client, stores, object).await?;
    // The canary's may bring pods by itself then.
    let are_released = tick::release_autoscalers(cluster, object, memory).await?;
    Ok((!are_released).then_some(Duration::from_millis(500)))
}

/// Whether the namespace is being deleted: then there is nobody left to be sent anywhere.
async fn namespace_goes(cluster: &Cluster, object: &ReleaseObject) -> bool {
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let namespace = namespaces.get_opt(&object.namespace().unwrap_or_default()).await;
    // Whoever may not read namespaces takes the longer way.
    namespace.is_ok_and(|namespace| namespace.is_none_or(|it| it.metadata.deletion_timestamp.is_some()))
}

/// Takes policies out of the proxies whose Release went without a finalizer.
pub(super) async fn sweep(cluster: &Cluster) {
    cluster.known().await;
    loop {
        tokio::time::sleep(SWEEP).await;
        if !*cluster.leads.borrow() {
            continue;
        }
        cluster.metrics.forget_all_but(|name| is_there(cluster, name));
        let uids: HashSet<_> = cluster.stores.releases.state().iter().filter_map(|it| it.uid()).collect();
        cluster.memories.forget_all_but(&uids);
        for name in cluster.plugins.releases() {
            let Some((namespace, _)) = name.split_once('/') else { continue };
            // Another namespace's are another agent's business, if only one namespace is ours.
            if cluster.namespace.as_ref().is_some_and(|own| own != namespace) {
                continue;
            }
            if !is_there(cluster, &name) {
                tracing::warn!(
                    release = name,
                    "there is no such Release: its policy is taken out of the proxies"
                );
                if let Err(error) = cluster.plugins.remove(&name, &[]).await {
                    tracing::warn!(release = name, "{error}");
                }
            }
        }
    }
}

/// Whether there is a Release `namespace/name`.
fn is_there(cluster: &Cluster, name: &str) -> bool {
    let (namespace, release) = name.split_once('/').unwrap_or_default();
    cluster.stores.releases.get(&ObjectRef::new(release).within(namespace)).is_some()
}
