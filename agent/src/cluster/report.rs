/*!
What people are shown of a release: its status, its conditions, the history of its runs.
*/
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serin_policy::Weight;

use serin_release::Release;
use serin_release::status::{ProxyCounts, ReleaseStatus, RunRecord, WeightChange};
use serin_rollout::{
    Change, Counts, Environment, Hold, Observation, Phase, ProxyState, Reason, Status, Verdict,
};

/// How many runs are remembered.
const RUNS: usize = 10;

/// How many changes of the weight are remembered of a run: its steps may be a hundred.
const CHANGES: usize = 120;

/// Says in `shown` how the release is after a tick.
pub(super) fn show(
    shown: &mut ReleaseStatus,
    generation: Option<i64>,
    release: &Release,
    status: &Status,
    observation: &Observation,
    reasons: &[Reason],
    now: Timestamp,
) {
    shown.observed_generation = generation;
    "Canary".clone_into(&mut shown.strategy);
    phase_name(&status.phase).clone_into(&mut shown.phase);
    shown.message = reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    shown.run = Some(status.run.clone()).filter(|run| !run.is_empty());
    shown.weight = status.weight().to_string();
    let progress = status.progress(release, now);
    shown.step = progress.step.map(|step| format!("{step}/{}", progress.of));
    let in_progress = matches!(status.phase, Phase::Progressing(_) | Phase::OffPlan { .. });
    shown.served = in_progress.then(|| served(status.evidence.step())).flatten();
    let is_judged = in_progress || matches!(status.phase, Phase::Starting { .. });
    shown.verdict = is_judged.then(|| progress.verdict.to_string());
    let passes = is_judged && matches!(progress.verdict, Verdict::Pass);
    shown.proxies = count(observation, status.revision);
    conditions(shown, generation, status, observation, reasons, passes, now);
    record(&mut shown.history, status, now);
}

/// Nothing can be planned for the release as it is.
pub(super) fn show_unfit(
    shown: &mut ReleaseStatus,
    generation: Option<i64>,
    reason: &str,
    why: &str,
    now: Timestamp,
) {
    shown.observed_generation = generation;
    "Canary".clone_into(&mut shown.strategy);
    why.clone_into(&mut shown.message);
    ready(shown, generation, Err((reason, why)), now);
}

/// Whether the release goes by its present spec, or the reason why not, in a word and in a sentence.
pub(super) fn ready(
    shown: &mut ReleaseStatus,
    generation: Option<i64>,
    fit: Result<(), (&str, &str)>,
    now: Timestamp,
) {
    let (reason, why) = fit.err().unwrap_or(("Accepted", "the spec is in order"));
    set(&mut shown.conditions, "Ready", Some(fit.is_ok()), reason, why, generation, now);
}

fn phase_name(phase: &Phase) -> &'static str {
    match phase {
        Phase::Waiting => "Waiting",
        Phase::Unreadable { .. } => "Unreadable",
        Phase::Preparing { .. } => "Preparing",
        Phase::Starting { .. } => "Starting",
        Phase::Progressing(_) => "Progressing",
        Phase::OffPlan { .. } => "OffPlan",
        Phase::Promoting | Phase::HandingOver(_) | Phase::CuttingBack { .. } => "Promoting",
        Phase::Promoted | Phase::Settled => "Promoted",
        Phase::RolledBack { .. } => "RolledBack",
        Phase::Aborted { .. } => "Aborted",
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share in tenths of a percent")]
fn served(step: &Counts) -> Option<String> {
    let all = step.stable.requests + step.canary.requests;
    (all > 0).then(|| format!("{:.1}%", 100.0 * step.canary.requests as f64 / all as f64))
}

fn count(observation: &Observation, wanted: u64) -> ProxyCounts {
    let count = |of_interest: fn(&ProxyState, u64) -> bool| {
        let proxies = observation.proxies.iter().filter(|proxy| of_interest(&proxy.state, wanted));
        u32::try_from(proxies.count()).unwrap_or(u32::MAX)
    };
    ProxyCounts {
        current: count(
            |state, wanted| matches!(state, ProxyState::Runs { revision, .. } if *revision == wanted),
        ),
        total: count(|_, _| true),
        bypassed: count(|state, _| matches!(state, ProxyState::Bypassed)),
    }
}

fn conditions(
    shown: &mut ReleaseStatus,
    generation: Option<i64>,
    status: &Status,
    observation: &Observation,
    reasons: &[Reason],
    passes: bool,
    now: Timestamp,
) {
    let message = shown.message.clone();
    let holds = reasons.iter().find(|reason| is_obstacle(reason));
    let mut set = |kind: &str, is: Option<bool>, reason: &str, message: &str| {
        set(&mut shown.conditions, kind, is, reason, message, generation, now);
    };
    let obstacles = match &observation.environment {
        Environment::Standalone => &[],
        Environment::Cluster(cluster) => cluster.obstacles.as_slice(),
    };
    match obstacles.first() {
        Some(why) => set("Routed", Some(false), "Blocked", why),
        None => set("Routed", Some(true), "RoutesInPlace", "both versions can be reached by their routes"),
    }
    let (going, reason) = match (&status.phase, holds) {
        (Phase::Preparing { .. } | Phase::Starting { .. } | Phase::Progressing(_), Some(held)) => {
            (false, pascal(held.code()))
        }
        (Phase::OffPlan { .. }, _) => (false, "OffPlan".to_owned()),
        (Phase::Waiting | Phase::Promoted | Phase::Settled, _) => (false, "NothingToRelease".to_owned()),
        (Phase::RolledBack { .. }, _) => (false, "RolledBack".to_owned()),
        (Phase::Aborted { .. }, _) => (false, "Aborted".to_owned()),
        (phase, _) => (true, phase_name(phase).to_owned()),
    };
    set("Progressing", Some(going), &reason, &message);
    match &status.phase {
        Phase::RolledBack { .. } => set("Healthy", Some(false), "RolledBack", &message),
        Phase::Preparing { .. } | Phase::Starting { .. } | Phase::Progressing(_) | Phase::OffPlan { .. } => {
            let said = shown.verdict.clone().unwrap_or_default();
            let is = passes.then_some(true);
            set("Healthy", is, if passes { "VerdictGood" } else { "VerdictPending" }, &said);
        }
        _ => set("Healthy", Some(true), "NothingWrong", "nothing speaks against the version in use"),
    }
}

/// Whether a run cannot go on for this.
const fn is_obstacle(reason: &Reason) -> bool {
    let Reason::Hold(hold) = reason else { return false };
    matches!(
        hold,
        Hold::Paused { .. }
            | Hold::Suspended
            | Hold::Blocked { .. }
            | Hold::StableDown
            | Hold::AwaitsCapacity { .. }
            | Hold::AwaitsProxies { .. }
            | Hold::AwaitsData { .. }
            | Hold::AwaitsReading { .. }
            | Hold::AwaitsApproval { .. }
            | Hold::AwaitsRequests { .. }
            | Hold::Doubtful { .. }
            | Hold::SampleRatio { .. }
    )
}

fn set(
    conditions: &mut Vec<Condition>,
    kind: &str,
    is: Option<bool>,
    reason: &str,
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) {
    /// The API's own limit is 32,768.
    const LONGEST: usize = 1_000;
    let status = is.map_or("Unknown", |is| if is { "True" } else { "False" });
    let known = conditions.iter().find(|condition| condition.type_ == kind && condition.status == status);
    let condition = Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.chars().take(LONGEST).collect(),
        observed_generation: generation,
        last_transition_time: known.map_or_else(|| Time(now), |known| known.last_transition_time.clone()),
    };
    match conditions.iter_mut().find(|condition| condition.type_ == kind) {
        Some(present) => *present = condition,
        None => conditions.push(condition),
    }
}

/// `step-begun` → `StepBegun`, as Kubernetes has reasons.
pub(super) fn pascal(code: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    code.split('-').map(capital).collect()
}

/// Takes the last change of the weight down in the history.
fn record(history: &mut Vec<RunRecord>, status: &Status, now: Timestamp) {
    let has_run = !matches!(status.phase, Phase::Waiting) && !status.run.is_empty();
    // Where there was nothing to release, there was no run.
    let began = history.first().is_some_and(|latest| latest.run == status.run && latest.outcome.is_none())
        || matches!(status.phase, Phase::Preparing { .. } | Phase::Starting { .. });
    if has_run
        && began
        && history.first().is_none_or(|latest| latest.run != status.run || latest.outcome.is_some())
    {
        if let Some(latest) = history.first_mut() {
            latest.outcome.get_or_insert_with(|| "Replaced".to_owned());
        }
        history.insert(
            0,
            RunRecord { run: status.run.clone(), started: now, outcome: None, changes: Vec::new() },
        );
        history.truncate(RUNS);
    }
    let Some(latest) = history.first_mut().filter(|latest| latest.run == status.run) else { return };
    if let Some(change) = status.last_change.as_ref().filter(|change| change.run == latest.run) {
        let change = told(change);
        if latest.changes.last() != Some(&change) && change.from != change.to {
            if latest.changes.len() >= CHANGES {
                // How it began and how it ends is what people look for.
                latest.changes.remove(CHANGES / 2);
            }
            latest.changes.push(change);
        }
    }
    let outcome = match &status.phase {
        Phase::Promoted | Phase::Settled => "Promoted",
        Phase::RolledBack { .. } => "RolledBack",
        Phase::Aborted { .. } => "Aborted",
        _ => {
            latest.outcome = None;
            return;
        }
    };
    latest.outcome = Some(outcome.to_owned());
}

fn told(change: &Change) -> WeightChange {
    let Change { at, by, reason, weight_before, weight_after, .. } = change;
    let text = |weight: &Weight| weight.to_string();
    WeightChange {
        at: *at,
        by: by.to_string(),
        from: text(weight_before),
        to: text(weight_after),
        reason: reason.to_string(),
    }
}
