/*!
What a saved plan has written, each in an order that a crash leaves sound: the routes, the policy, and a touch for proxies
that have no filter. The pods are [`super::workloads`]' business.
*/
use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::Timestamp;

use super::Cluster;
use super::memory::Memory;
use super::plugins::WriteError;
use super::repairs::fingerprint;
use super::routes::leaving;
use super::snapshot::Snapshot;
use super::tick::TickError;
use serin_release::{Release, ReleaseObject};
use serin_rollout::{Observation, Phase, Plan, ProxyState, Push, RouteTargets, Status};

/// For how long a proxy may be without the filter before it is told to fetch it again.
const TOUCH_AFTER: Duration = Duration::from_secs(5);

/// The state in which `status` wants the policy of `release`. Another revision of the same is no other state.
pub(super) fn policy_state(status: &Status, release: &Release) -> u64 {
    let Push { weight, closed, promoted, besides, .. } = status.push();
    fingerprint(&(&status.run, weight.ppm(), closed, promoted, besides, release.fingerprint()))
}

/// Has the routes lead where they are planned to.
pub(super) async fn write_routes(
    cluster: &Cluster,
    object: &ReleaseObject,
    memory: &mut Memory,
    snapshot: &Snapshot,
    targets: RouteTargets,
) {
    let Some(needed) = snapshot.needed() else { return };
    let Cluster { client, stores, repairs, .. } = cluster;
    let written = memory.routes.lead_to(targets, client, stores, repairs, &needed, object).await;
    cluster.tell_routes_repaired(object, memory, &written).await;
    if snapshot.routes.targets == Some(targets)
        && let Err(error) = leaving::take_over(client, stores, needed.release, &needed.delivery.routing).await
    {
        tracing::warn!(release = needed.release.name(), "what was left behind is still there: {error}");
    }
}

/// Puts the policy in force wherever the release is attached, and nowhere else.
pub(super) async fn push(
    cluster: &Cluster,
    object: &ReleaseObject,
    memory: &Memory,
    snapshot: &Snapshot,
    planned: &Plan,
) -> Result<(), WriteError> {
    let release = &snapshot.release;
    if let Some(push) = &planned.push {
        let policy = push.policy(release);
        let wanted = policy_state(&planned.status, release);
        let writes =
            snapshot.attachments.iter().map(|attachment| cluster.plugins.write(attachment, &policy, wanted));
        join_all(writes).await.into_iter().collect::<Result<(), _>>()?;
    }
    cluster.plugins.remove(release.name(), &snapshot.attachments).await?;
    let between_releases = matches!(planned.status.phase, Phase::Settled | Phase::Promoted);
    for attachment in &snapshot.attachments {
        let edits = cluster.plugins.repair(attachment, between_releases).await?;
        cluster.tell_plugins_repaired(object, memory, &edits).await;
    }
    Ok(())
}

/// A proxy whose fetch of the module has failed does not try again by itself.
pub(super) async fn touch_if_bypassed(
    cluster: &Cluster,
    memory: &mut Memory,
    snapshot: &Snapshot,
    observation: &Observation,
    now: Timestamp,
) -> Result<(), TickError> {
    let is_bypassed = observation.proxies.iter().any(|proxy| proxy.state == ProxyState::Bypassed);
    if !is_bypassed {
        memory.bypassed_since = None;
        return Ok(());
    }
    // One that has just begun, or has just been told of the filter, needs a moment.
    let since = *memory.bypassed_since.get_or_insert_with(Instant::now);
    if since.elapsed() < TOUCH_AFTER {
        return Ok(());
    }
    memory.bypassed_since = Some(Instant::now());
    for attachment in &snapshot.attachments {
        tracing::info!(
            release = snapshot.release.name(),
            "a proxy does not run the filter: it is made to fetch it again"
        );
        cluster.plugins.touch(attachment, now).await?;
    }
    Ok(())
}
