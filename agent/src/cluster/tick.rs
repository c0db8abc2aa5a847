/*!
One release, one look: how things are, what the planner says, and the carrying out of it.

The order is what a crash must find sound: a decision is saved in the Release's status before any proxy hears of it,
and what is in force is read from the `WasmPlugin`s, never remembered.
*/
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::Timestamp;
use kube::ResourceExt;

use super::memory::{Memory, SaveError};
use super::plugins::WriteError;
use super::snapshot::Snapshot;
use super::workloads::{get, run_of};
use super::{Cluster, api_resources, commands, report};
use crate::observe::ProxyReport;
use crate::observe::prometheus::counts::Subject;
use serin_release::delivery::PromotionMode;
use serin_release::{Release, ReleaseError, ReleaseObject};
use serin_rollout::{
    Command, CommandKind, HandoverState, InForce, Observation, Outcome, Phase, ProxyState, Status, plan,
};

/// How often a release is looked at that has nothing under way.
const AT_REST: Duration = Duration::from_secs(10);

/// How often a release is looked at, at least, while a few have gone back to stable first.
const WITH_PROBE: Duration = Duration::from_secs(1);

/// For how long a proxy may be without the filter before it is told to fetch it again.
const TOUCH_AFTER: Duration = Duration::from_secs(5);

/// Why a tick came to nothing. The next one tries again.
#[derive(Debug, thiserror::Error)]
pub(super) enum TickError {
    #[error(transparent)]
    Invalid(#[from] ReleaseError),
    #[error("{0}")]
    NotAdmitted(String),
    #[error(transparent)]
    Save(#[from] SaveError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Api(#[from] kube::Error),
}

/// Looks at `object` once, and does what follows. Says when to look again.
pub(super) async fn tick(
    cluster: &Cluster,
    object: &Arc<ReleaseObject>,
    memory: &mut Memory,
) -> Result<Duration, TickError> {
    // One that was taken off is still there in what a watch had seen before.
    let command = commands::read(object)
        .filter(|_| api_resources::version(&**object) > memory.heard)
        .and_then(Result::ok);
    // What cannot be undone by being done twice is taken off first; what must not be lost, afterwards.
    let late = command.as_ref().is_some_and(|command| is_safe_twice(command.kind));
    if command.is_some() && !late {
        memory.heard = cluster.take_command_off(object).await?;
    }
    let again = tick_with(cluster, object, memory, command).await?;
    if late {
        memory.heard = cluster.take_command_off(object).await?;
    }
    Ok(again)
}

/// Goes on to leave the mesh on stable, because the Release was deleted. Says whether that is done.
pub(super) async fn leave(
    cluster: &Cluster,
    object: &Arc<ReleaseObject>,
    memory: &mut Memory,
) -> Result<bool, TickError> {
    let abort = || Command { kind: CommandKind::Abort, by: "whoever deleted the Release".to_owned() };
    let command = memory.state.status.phase.is_under_way().then(abort);
    tick_with(cluster, object, memory, command).await?;
    Ok(is_at_rest(&memory.state.status) || memory.state.status.phase == Phase::Waiting)
}

async fn tick_with(
    cluster: &Cluster,
    object: &Arc<ReleaseObject>,
    memory: &mut Memory,
    command: Option<Command>,
) -> Result<Duration, TickError> {
    let now = Timestamp::now();
    let snapshot = match Snapshot::take(cluster, object, memory).await {
        Err(TickError::Invalid(error)) => {
            // Since this agent has known the Release, its spec never made sense: nobody can tell what to watch for.
            report::show_unfit(
                &mut memory.shown,
                object.metadata.generation,
                "InvalidSpec",
                &error.to_string(),
                now,
            );
            return rest(cluster, object, memory, &error.to_string()).await;
        }
        Err(TickError::NotAdmitted(why)) => {
            report::show_unfit(&mut memory.shown, object.metadata.generation, "NotAdmitted", &why, now);
            return rest(cluster, object, memory, &why).await;
        }
        other => other?,
    };
    if snapshot.invalid.is_none() {
        memory.last_good = Some(Arc::clone(object));
    }
    let recorded = memory.state.deltas.clone();
    let observation = observe(cluster, memory, &snapshot, command, now).await;
    let outcome = plan(&snapshot.release, &memory.state.status, &observation, now);
    if let Err(error) = save(cluster, object, memory, &snapshot, &observation, &outcome, now).await {
        // What was counted counts again in the next tick.
        memory.state.deltas = recorded;
        return Err(error);
    }
    let pushed = push(cluster, object, &snapshot, &outcome).await;
    cluster.tell(object, memory, &snapshot.release, &observation, &outcome, pushed.is_ok(), now).await;
    pushed?;
    snapshot.pair.carry_out(&cluster.client, &outcome.wanted, snapshot.release.run()).await?;
    touch_if_bypassed(cluster, memory, &snapshot, &observation, now).await?;
    Ok(next_look(cluster, &snapshot, interval(&snapshot.release, &memory.state.status, &observation)))
}

/// Nothing can be planned: says why, once.
async fn rest(
    cluster: &Cluster,
    object: &Arc<ReleaseObject>,
    memory: &mut Memory,
    why: &str,
) -> Result<Duration, TickError> {
    cluster.tell_unfit(object, memory, why).await;
    memory.save(&cluster.client, object, false).await?;
    Ok(AT_REST)
}

async fn observe(
    cluster: &Cluster,
    memory: &mut Memory,
    snapshot: &Snapshot,
    command: Option<Command>,
    now: Timestamp,
) -> Observation {
    let samples = cluster.proxies.look(&snapshot.points).await;
    let collected =
        Subject::of(&snapshot.release).map(|(access, subject)| cluster.collectors.latest(access, &subject));
    let complaint = cluster.plugins.complaint(&snapshot.attachments);
    let Memory { state, observer, .. } = memory;
    let ProxyReport { proxies, counted, at_proxies, unassignable, readings, outage } =
        observer.report(&snapshot.release, &mut state.deltas, &samples, collected, complaint.as_deref(), now);
    let status = &state.status;
    let is_wanted = |found: &InForce| match found {
        InForce::Policy { run, revision, weight, closed } => {
            (run, *revision, *weight, *closed)
                == (&status.run, status.revision, status.weight(), status.is_closed())
        }
        InForce::Nothing | InForce::Unreadable { .. } => false,
    };
    Observation {
        in_force: cluster.plugins.in_force(&snapshot.attachments, snapshot.release.name(), is_wanted),
        proxies,
        counted,
        at_proxies,
        unassignable,
        readings,
        outage,
        commands: command.into_iter().collect(),
        workloads: Some(snapshot.pair.workloads(snapshot.swapped)),
        obstacles: snapshot.obstacles.clone(),
    }
}

/// Has what the next look goes by asked for once in `every`, and says how long until that look: just after it was asked
/// for. At rest nobody waits for anything new, and looks are not all at once.
fn next_look(cluster: &Cluster, snapshot: &Snapshot, every: Duration) -> Duration {
    cluster.proxies.want(&snapshot.points, every);
    if let Some((access, subject)) = Subject::of(&snapshot.release) {
        cluster.collectors.want(access, &subject, every);
    }
    if every == AT_REST { every } else { cluster.beat.until_look(every) }
}

/// Saves what was decided, before it is acted on.
async fn save(
    cluster: &Cluster,
    object: &ReleaseObject,
    memory: &mut Memory,
    snapshot: &Snapshot,
    observation: &Observation,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<(), TickError> {
    let before = std::mem::replace(&mut memory.state.status, outcome.status.clone());
    let status = &memory.state.status;
    if before.run != status.run {
        memory.observer.clear_latency();
    }
    let places = (memory.state.retired.clone(), memory.shown.stable_deployment.clone());
    let returns = matches!(before.phase, Phase::HandingOver(_))
        && status.phase == Phase::CuttingBack
        // The canary may also have been given stable's version back.
        && before.run == status.run
        && snapshot.swapped;
    if let Some(delivery) =
        snapshot.release.delivery.as_ref().filter(|it| returns && it.promotion == PromotionMode::Swap)
    {
        let namespace = object.namespace().unwrap_or_default();
        let stable = get(&cluster.stores.deployments, &namespace, &delivery.stable.deployment);
        memory.state.retired = stable.as_deref().and_then(run_of);
        memory.shown.stable_deployment = Some(delivery.canary.deployment.clone());
    }
    let decided = outcome.push.is_some()
        || std::mem::discriminant(&before.phase) != std::mem::discriminant(&status.phase)
        || before.run != status.run;
    report::show(
        &mut memory.shown,
        object.metadata.generation,
        &snapshot.release,
        status,
        observation,
        &outcome.reasons,
        now,
    );
    let fit = snapshot.invalid.as_ref().map_or(Ok(()), |why| Err(("InvalidSpec", why.as_str())));
    report::ready(&mut memory.shown, object.metadata.generation, fit, now);
    if let Err(error) = memory.save(&cluster.client, object, decided).await {
        // Nothing of this was decided, then: the same is found again in the next tick.
        memory.state.status = before;
        (memory.state.retired, memory.shown.stable_deployment) = places;
        return Err(error.into());
    }
    Ok(())
}

/// Puts the policy in force wherever the release is attached, and nowhere else.
async fn push(
    cluster: &Cluster,
    object: &ReleaseObject,
    snapshot: &Snapshot,
    outcome: &Outcome,
) -> Result<(), WriteError> {
    let release = &snapshot.release;
    if let Some(push) = &outcome.push {
        let policy = release.policy(push.revision, push.weight, push.closed, push.promoted);
        let writes = snapshot.attachments.iter().map(|attachment| cluster.plugins.write(attachment, &policy));
        join_all(writes).await.into_iter().collect::<Result<(), _>>()?;
    }
    cluster.plugins.remove(release.name(), &snapshot.attachments).await?;
    let between_releases = matches!(outcome.status.phase, Phase::Settled | Phase::Promoted);
    for attachment in &snapshot.attachments {
        let edits = cluster.plugins.repair(attachment, between_releases).await?;
        cluster.tell_plugins_repaired(object, &edits).await;
    }
    Ok(())
}

/// A proxy whose fetch of the module has failed does not try again by itself.
async fn touch_if_bypassed(
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
            "a proxy does not run the filter: it is told to fetch it again"
        );
        cluster.plugins.touch(attachment, now).await?;
    }
    Ok(())
}

/// Whether a command may be obeyed twice: one that must not be lost.
const fn is_safe_twice(kind: CommandKind) -> bool {
    matches!(kind, CommandKind::Abort | CommandKind::Pause)
}

fn interval(release: &Release, status: &Status, observation: &Observation) -> Duration {
    // Until every proxy has heard of the end, it is not the end.
    let all_know = observation
        .proxies
        .iter()
        .all(|proxy| matches!(proxy.state, ProxyState::Runs { revision, .. } if revision == status.revision));
    match &status.phase {
        _ if is_at_rest(status) && all_know => AT_REST,
        // Those who have gone first are not left to themselves.
        Phase::HandingOver(HandoverState { probe: Some(_), .. }) => release.analysis.interval.min(WITH_PROBE),
        _ => release.analysis.interval,
    }
}

/// Whether nothing is under way.
const fn is_at_rest(status: &Status) -> bool {
    match status.phase {
        Phase::Promoted | Phase::Settled => true,
        Phase::RolledBack { .. } | Phase::Aborted { .. } => status.canary_is_down,
        _ => false,
    }
}
