/*!
One release, one look: how things are, what the planner says, and the carrying out of it.

The order is what a crash must find sound: a decision is saved in the Release's status before any proxy hears of it,
and what is in force is read from the `WasmPlugin`s, never remembered.
*/
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::adoption::past_the_filter;
use super::arriving::{self, Arriving};
use super::carry_out::{policy_state, push, touch_if_bypassed, write_routes};
use super::commands::{self, Given};
use super::memory::{Memory, SaveError};
use super::plugins::WriteError;
use super::routes::leaving::Leaving;
use super::snapshot::Snapshot;
use super::templates::names::are_same;
use super::{Cluster, api_resources, cluster_name, configs, hooks, messages};
use crate::journal::Entry;
use crate::observe::prometheus::{collector::Collected, counts::Subject};
use crate::told::{conditions::Rejection, report};
use crate::view::board::{Look, Written};
use serin_policy::Lease;
use serin_release::delivery::{Delivery, PromotionMode};
use serin_release::resource::DeletionPolicy;
use serin_release::{CountSource, Release, ReleaseError, ReleaseObject};
use serin_rollout::{
    Command, CommandKind, Emptying, Environment, HandoverState, InForce, Observation, Phase, Plan,
    ProxyState, Push, Roles, Status, plan,
};

/// How often a release is looked at that has nothing under way.
const AT_REST: Duration = Duration::from_secs(10);

/// How often a release is looked at that is not admitted: what keeps it out may be a matter of seconds, of which no watch
/// tells.
const NOT_ADMITTED: Duration = Duration::from_secs(2);

/// How often a release is looked at, at least, while a few have gone back to stable first.
const WITH_PROBE: Duration = Duration::from_secs(1);

/// The longest that a deleted Release waits for requests under way on the canary.
const LEAVING: Duration = Duration::from_secs(30);

/// Why a tick came to nothing. The next one tries again.
#[derive(Debug, thiserror::Error)]
pub(super) enum TickError {
    #[error(transparent)]
    Invalid(#[from] ReleaseError),
    #[error("{}", .0.text())]
    Rejected(Rejection),
    #[error(transparent)]
    Save(#[from] SaveError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Api(#[from] kube::Error),
}

/// Looks at `object` once, and does what follows. Says when to look again.
///
/// `unreadable` says why the Release's present spec cannot be read, if it cannot; `object` has the last good one, then.
pub(super) async fn tick(
    cluster: &Cluster,
    object: &Arc<ReleaseObject>,
    unreadable: Option<&str>,
    memory: &mut Memory,
) -> Result<Duration, TickError> {
    if memory.command_off.is_some_and(|version| api_resources::version(&**object) > version) {
        // Whatever command is there now was given since, though it may look like the one before it.
        (memory.command_off, memory.state.heard) = (None, None);
    }
    let given = commands::hear(&cluster.client, object, memory.state.heard.as_deref()).await;
    // One that was heard is on its way off.
    let new = given.as_ref().filter(|given| memory.state.heard.as_ref() != Some(&given.id));
    if let Some(Given { command: Err(why), .. }) = new {
        cluster.tell_command_refused(object, memory, why.clone()).await;
    }
    let command = new.and_then(|given| given.command.as_ref().ok().cloned());
    let again = Box::pin(tick_with(cluster, object, unreadable, memory, command, new)).await;
    let is_heard = |id: &String| !memory.is_ahead && memory.state.heard.as_ref() == Some(id);
    if let Some(heard) = given.map(|given| given.id).filter(is_heard)
        && let Some(version) = cluster.take_command_off(object, &heard).await
    {
        memory.command_off = Some(version);
    }
    again
}

/// Goes on to leave the mesh on stable, because the Release was deleted. Says whether that is done.
pub(super) async fn leave(
    cluster: &Cluster,
    object: &Arc<ReleaseObject>,
    memory: &mut Memory,
) -> Result<bool, TickError> {
    let abort =
        || Command { kind: CommandKind::Abort, by: "whoever deleted the Release".to_owned(), person: None };
    let command = memory.state.status.phase.is_under_way().then(abort);
    Box::pin(tick_with(cluster, object, None, memory, command, None)).await?;
    Ok(is_at_rest(&memory.state.status) || memory.state.status.phase == Phase::Waiting)
}

/// What becomes of the routes of a deleted Release that is at rest. Where another Release has been waiting for its host,
/// they are there until that one's are.
pub(super) fn leaving(cluster: &Cluster, object: &Arc<ReleaseObject>, memory: &mut Memory) -> Leaving {
    if object.spec.routing.deletion_policy == DeletionPolicy::Delete && !cluster.is_awaited(object) {
        return Leaving::NOTHING;
    }
    let Ok(snapshot) = Snapshot::take(cluster, object, None, memory) else { return Leaving::AS_IT_IS };
    let targets = memory.state.status.routes;
    snapshot.needed().map_or(Leaving::AS_IT_IS, |needed| Leaving::to_stable(&needed, targets))
}

/// Leaves the autoscalers of a deleted Release to their owners. Returns whether they are left to them already.
pub(super) async fn release_autoscalers(
    cluster: &Cluster,
    object: &Arc<ReleaseObject>,
    memory: &mut Memory,
) -> Result<bool, TickError> {
    // Whose Deployments cannot be told has had nothing written there.
    let Ok(snapshot) = Snapshot::take(cluster, object, None, memory) else { return Ok(true) };
    Ok(snapshot.pair.release_autoscalers(&cluster.client, &cluster.repairs).await?)
}

/// One tick, with a `command`. One that people have `given` counts as heard when what comes of it is saved.
async fn tick_with(
    cluster: &Cluster,
    object: &Arc<ReleaseObject>,
    unreadable: Option<&str>,
    memory: &mut Memory,
    command: Option<Command>,
    given: Option<&Given>,
) -> Result<Duration, TickError> {
    let now = Timestamp::now();
    memory.look(now);
    messages::take_in(cluster, object, memory, now);
    let (names, tracked) = (memory.state.names.clone(), memory.state.configs.tracked.clone());
    configs::look(cluster, object, memory).await;
    let mut snapshot = match Snapshot::take(cluster, object, unreadable, memory) {
        Err(TickError::Invalid(error)) => {
            // Since this agent has known the Release, its spec never made sense: nobody can tell what to watch for.
            let rejection = Rejection::InvalidSpec(error.to_string());
            return rest(cluster, object, memory, given, &rejection, now).await;
        }
        Err(TickError::Rejected(rejection)) => {
            return rest(cluster, object, memory, given, &rejection, now).await;
        }
        other => other?,
    };
    if object.metadata.deletion_timestamp.is_some() {
        // It is not kept for hours, nor are the canary's pods left behind.
        let delay = &mut snapshot.delivery.scale_down_delay;
        *delay = LEAVING.min(*delay);
    }
    if snapshot.invalid.is_none() {
        memory.state.last_good = Some(Arc::clone(&snapshot.object));
    }
    let before = (memory.state.clone(), memory.shown.clone());
    // A word that is no command is heard as well: it is answered once.
    let is_heard = given.is_some() || command.is_some();
    // What a version is called must outlive the agent that knows it.
    let is_to_be_saved =
        is_heard || !are_same(&names, &memory.state.names) || tracked != memory.state.configs.tracked;
    memory.state.heard = given.map(|given| given.id.clone()).or(memory.state.heard.take());
    let observation = observe(cluster, memory, &snapshot, command, now).await;
    snapshot.warnings.extend(memory.arriving.past().map(|percent| past_the_filter(&snapshot, percent)));
    let planned = plan(&snapshot.release, &memory.state.status, &observation, now);
    let news = memory.journal.news(&planned, now);
    memory.shown.command = given.map(|given| given.answer(&planned, now)).or(memory.shown.command.take());
    let saved =
        save(cluster, object, memory, &snapshot, &observation, &planned, &news, is_to_be_saved, now).await;
    let unsaved = match saved {
        Ok(()) => None,
        // Users do not wait for a status. Whoever finds a closed canary and no word of it leaves it closed.
        Err(error @ SaveError::Api(_)) if takes_everybody_back(&planned) => {
            memory.is_ahead = true;
            memory.messages.not_saved();
            Some(error)
        }
        Err(error) => {
            memory.messages.not_saved();
            // Nothing of this was decided, then: what was counted and asked for counts again in the next tick.
            (memory.state, memory.shown) = before;
            return Err(error.into());
        }
    };
    memory.observer.saved();
    if unsaved.is_none() {
        memory.hooks.saved();
        hooks::ask(cluster, object, memory, &snapshot, &planned);
        messages::send(cluster, object, memory, &snapshot);
    }
    if goes_back(&planned.status) && !goes_back(&before.0.status) {
        // However long a quarrel over something has lasted.
        cluster.repairs.hurry(|object| snapshot.concerns(object));
    }
    let snapshot = snapshot.in_planned_roles(&planned.status.roles);
    if let (Some(wanted), None) = (&planned.wanted, &unsaved) {
        write_routes(cluster, object, memory, &snapshot, wanted.routes).await;
    }
    cluster.plugins.vouch(snapshot.release.name(), planned.term, now);
    let pushed = push(cluster, object, memory, &snapshot, &planned).await;
    let is_pushed = pushed.is_ok();
    cluster.tell(object, memory, &snapshot.release, &observation, &planned, &news, is_pushed, now).await;
    cluster.tell_warnings(object, memory, &snapshot.warnings).await;
    let (told, status, counted) = (memory.told(), &memory.state.status, &observation.counted[..]);
    cluster.board.note(Look {
        written: Written::Object(Arc::clone(object)),
        told,
        news: &news,
        release: &snapshot.release,
        status,
        counted,
        deployments: snapshot.pair.deployments(),
        proxies: &observation.proxies,
        latency: memory.observer.latency(),
        now,
    });
    // Whatever cannot be written: an agent that looks is there.
    let (points, name) = (&snapshot.attachments, snapshot.release.name());
    let renewed = cluster.plugins.renew(points, name, planned.term, now).await;
    pushed.and(renewed)?;
    unsaved.map_or(Ok(()), Err)?;
    if let Some(wanted) = &planned.wanted {
        let run = snapshot.release.run();
        snapshot.pair.carry_out(&cluster.client, &cluster.repairs, wanted, run).await?;
    }
    touch_if_bypassed(cluster, memory, &snapshot, &observation, now).await?;
    let every = interval(&snapshot.release, &memory.state.status, &observation);
    let every = if memory.routes.is_halfway() { every.min(WITH_PROBE) } else { every };
    let message = memory.state.outbox.next().map(|due| now.duration_until(due).max(SignedDuration::ZERO));
    let look = next_look(cluster, &snapshot, every);
    Ok(message.map_or(look, |message| look.min(message.unsigned_abs().max(WITH_PROBE))))
}

/// Nothing can be planned: says why, once.
async fn rest(
    cluster: &Cluster,
    object: &Arc<ReleaseObject>,
    memory: &mut Memory,
    given: Option<&Given>,
    rejection: &Rejection,
    now: Timestamp,
) -> Result<Duration, TickError> {
    let why = rejection.text();
    report::reject(&mut memory.shown, object.metadata.generation, rejection, now);
    cluster.board.rest(&cluster_name(object));
    cluster.tell_unfit(object, memory, why).await;
    let before = (memory.state.heard.clone(), memory.shown.command.clone());
    if let Some(given) = given {
        let refused = format!("{} refused, for nothing is done for this Release: {why}", given.word);
        cluster.tell_command_refused(object, memory, refused.clone()).await;
        memory.state.heard = Some(given.id.clone());
        memory.shown.command = Some(given.refused(refused, now));
    }
    if let Err(error) = memory.save(&cluster.client, object, given.is_some()).await {
        // It is not heard, then, and stays where it is.
        (memory.state.heard, memory.shown.command) = before;
        return Err(error.into());
    }
    Ok(match rejection {
        Rejection::InvalidSpec(_) => AT_REST,
        Rejection::NotAdmitted(_) | Rejection::NotYetAdmitted(_) => NOT_ADMITTED,
    })
}

async fn observe(
    cluster: &Cluster,
    memory: &mut Memory,
    snapshot: &Snapshot,
    command: Option<Command>,
    now: Timestamp,
) -> Observation {
    let samples = cluster.proxies.look(&snapshot.points).await;
    let outage =
        snapshot.no_prometheus.as_ref().filter(|_| snapshot.release.analysis.source != CountSource::Proxies);
    let collected = match outage {
        Some(why) => Some(Collected::Outage(why.clone())),
        None => Subject::of(&snapshot.release)
            .map(|(access, subject)| cluster.collectors.latest(access, &subject)),
    };
    let complaint = cluster.plugins.complaint(&snapshot.attachments);
    let Memory { state, observer, .. } = &mut *memory;
    let mut report =
        observer.report(&snapshot.release, &mut state.deltas, &samples, collected, complaint.as_deref(), now);
    arriving::take_in(cluster, memory, snapshot, &mut report, &samples, now).await;
    let status = &memory.state.status;
    let is_wanted = |found: &InForce| match found {
        InForce::Policy { run, revision, weight, closed, lease } => {
            let wanted = (&status.run, status.revision, status.weight(), status.is_closed());
            (run, *revision, *weight, *closed) == wanted && *lease != Lease::Lapsed
        }
        InForce::Nothing | InForce::Unreadable { .. } => false,
    };
    let (plugins, attachments, name) = (&cluster.plugins, &snapshot.attachments, snapshot.release.name());
    let mut in_cluster = snapshot.in_cluster();
    let wanted = policy_state(status, &snapshot.release);
    in_cluster.policy_waits = plugins.policy_waits(attachments, name, is_wanted, wanted, now).await;
    in_cluster.answers = memory.hooks.answers();
    in_cluster.contested = cluster.repairs.contested(|object| snapshot.concerns(object));
    Observation {
        in_force: plugins.in_force(attachments, name, is_wanted, now),
        proxies: report.proxies,
        counted: report.counted,
        at_proxies: report.at_proxies,
        chosen: report.chosen,
        mirrored: report.mirrored,
        blown_fuses: report.blown_fuses,
        unassignable: report.unassignable,
        users: report.users,
        users_of_extras: report.users_of_extras,
        readings: report.readings,
        outage: report.outage,
        commands: command.into_iter().collect(),
        environment: Environment::Cluster(Box::new(in_cluster)),
    }
}

/// Whether everybody is taken back to stable.
const fn goes_back(status: &Status) -> bool {
    matches!(status.phase, Phase::RolledBack { .. } | Phase::Aborted { .. } | Phase::CuttingBack { .. })
}

/// Whether `planned` closes the canary, which a person or the evidence is against.
const fn takes_everybody_back(planned: &Plan) -> bool {
    let is_closing = matches!(planned.push, Some(Push { closed: true, .. }));
    is_closing && matches!(planned.status.phase, Phase::RolledBack { .. } | Phase::Aborted { .. })
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
#[expect(clippy::too_many_arguments, reason = "each is something to save or to show")]
async fn save(
    cluster: &Cluster,
    object: &ReleaseObject,
    memory: &mut Memory,
    snapshot: &Snapshot,
    observation: &Observation,
    planned: &Plan,
    news: &[Entry],
    is_to_be_saved: bool,
    now: Timestamp,
) -> Result<(), SaveError> {
    let before = std::mem::replace(&mut memory.state.status, planned.status.clone());
    let status = &memory.state.status;
    if before.run != status.run {
        memory.observer.clear_latency();
        memory.arriving = Arriving::default();
    }
    memory.shown.stable_deployment = live_deployment(snapshot, &status.roles);
    let decided = planned.push.is_some()
        || std::mem::discriminant(&before.phase) != std::mem::discriminant(&status.phase)
        || (&before.run, &before.roles, before.routes) != (&status.run, &status.roles, status.routes)
        || before.questions != status.questions
        || is_to_be_saved;
    let rejection = snapshot.invalid.clone().map(Rejection::InvalidSpec);
    let (release, rejection) = (&snapshot.release, rejection.as_ref());
    let warnings = &snapshot.warnings;
    let tick = report::Tick { release, observation, planned, news, rejection, warnings, now };
    report::show(&mut memory.shown, object.metadata.generation, &tick);
    messages::look(cluster, object, memory, snapshot, planned, now);
    let decided = decided || memory.messages.is_to_be_saved();
    memory.save(&cluster.client, object, decided).await
}

/// The Deployment that is the stable one by `planned` roles, where versions change places.
fn live_deployment(snapshot: &Snapshot, planned: &Roles) -> Option<String> {
    let Delivery { promotion, stable, canary, .. } = &snapshot.delivery;
    let present = snapshot.roles.as_ref().ok()?;
    let live = if present.swapped == planned.swapped { stable } else { canary };
    (*promotion == PromotionMode::Swap).then(|| live.deployment.clone())
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
        Phase::RolledBack { canary, .. } | Phase::Aborted { canary, .. } => matches!(canary, Emptying::Empty),
        _ => false,
    }
}
