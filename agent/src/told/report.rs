/*!
What people are shown of a release: its status.
*/
use jiff::Timestamp;
use serin_policy::evidence::{Interval, Tally};
use serin_policy::{Arm, Weight};

use super::conditions::{self, Facts, Rejection};
use super::history;
use crate::journal::Entry;
use serin_release::delivery::Delivery;
use serin_release::status::{
    AnalysisStatus, ForecastStatus, InjectedStatus, MetricStatus, MetricVersion, NotJudged, Odds,
    ProxyCounts, RaisedBy, RatioStatus, ReleasePhase, ReleaseStatus, RequestsStatus, Role, SegmentStatus,
    Served, Share, StepStatus, Strategy, Unit, UsersStatus, VerdictStatus, VersionStatus,
};
use serin_release::{CustomMetric, Percent, Release};
use serin_rollout::{
    Cause, Counts, Emptying, Environment, Finding, Forecast, InCluster, Injected, MetricValue, MirrorFinding,
    Observation, OneIn, Outcome, Phase, Plan, Progress, ProxyState, Raise, ReadingFinding, Reason,
    RecedeState, SegmentFinding, Status, Unjudged, Verdict, VersionProgress, Wait, WhyNot,
};

/// What there is to show after a tick.
pub(crate) struct Tick<'t> {
    pub(crate) release: &'t Release,
    pub(crate) observation: &'t Observation,
    pub(crate) planned: &'t Plan,
    pub(crate) news: &'t [Entry],
    /// What is wrong with the present spec, where the last good one counts.
    pub(crate) rejection: Option<&'t Rejection>,
    /// What people should know of, and what stands in nobody's way.
    pub(crate) warnings: &'t [String],
    pub(crate) now: Timestamp,
}

/// Says in `shown` how the release is.
pub(crate) fn show(shown: &mut ReleaseStatus, generation: Option<i64>, tick: &Tick<'_>) {
    let Tick { release, observation, planned, news, rejection, warnings, now } = *tick;
    let status = &planned.status;
    history::record(&mut shown.history, status, news, now);
    let progress = status.progress(release, now);
    shown.observed_generation = generation;
    let replaced = planned.reasons.iter().find(|reason| is_stable_replaced(reason));
    // Of a run that has ended well and is stable no more, nobody is to read that it is promoted.
    let undone = replaced.filter(|_| had_run(status, shown)).map(ToString::to_string);
    shown.phase = if undone.is_some() { ReleasePhase::Idle } else { phase(status, shown) };
    if matches!(observation.environment, Environment::Standalone) {
        shown.phase = without_pods(status, shown.phase);
    }
    shown.message = planned.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    shown.run = Some(status.run.clone()).filter(|run| !run.is_empty());
    shown.strategy = if release.blue_green.is_some() { Strategy::BlueGreen } else { Strategy::Canary };
    shown.weight = status.weight().into();
    shown.step = progress.step.map(|step| StepStatus { index: whole(step), of: whole(progress.of) });
    let delivery = delivery(observation, status);
    shown.versions = versions(delivery.as_ref(), status, &progress.versions);
    let canary = shown.versions.iter().find(|version| version.role == Role::Canary);
    shown.served = canary.and_then(|canary| canary.served);
    shown.analysis = analysis(status, &progress);
    shown.proxies = count(observation, status.revision);
    let verdict = shown.analysis.as_ref().map(|analysis| (analysis.verdict, analysis.message.as_str()));
    let in_order = in_order(warnings);
    let facts = Facts {
        rejection,
        in_order: &in_order,
        phase: shown.phase,
        failed: matches!(status.phase, Phase::RolledBack { .. }),
        verdict,
        undone: undone.as_deref(),
        reasons: &planned.reasons,
        obstacles: match &observation.environment {
            Environment::Standalone => &[],
            Environment::Cluster(cluster) => &cluster.obstacles,
        },
        message: &shown.message,
    };
    facts.show(&mut shown.conditions, generation, now);
}

/// That the spec is in order, and what to know of besides.
fn in_order(warnings: &[String]) -> String {
    std::iter::once("the spec is in order")
        .chain(warnings.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join("; ")
}

/// Nothing can be planned for the release as it is.
pub(crate) fn reject(
    shown: &mut ReleaseStatus,
    generation: Option<i64>,
    rejection: &Rejection,
    now: Timestamp,
) {
    shown.observed_generation = generation;
    rejection.text().clone_into(&mut shown.message);
    conditions::reject(&mut shown.conditions, rejection, generation, now);
}

const fn is_stable_replaced(reason: &Reason) -> bool {
    matches!(reason, Reason::Outcome(Outcome::StableReplaced { .. }))
}

/// Whether what the status says is the end of a run, and not that there was none.
fn had_run(status: &Status, shown: &ReleaseStatus) -> bool {
    shown.history.first().is_some_and(|latest| latest.run == status.run)
}

/// The phase for people. Where nothing is under way, it depends on whether there was a run.
fn phase(status: &Status, shown: &ReleaseStatus) -> ReleasePhase {
    let had_run = had_run(status, shown);
    match &status.phase {
        Phase::Unreadable { .. } => ReleasePhase::Unknown,
        Phase::Preparing { .. } => ReleasePhase::Preparing,
        Phase::Starting { .. } => ReleasePhase::Starting,
        Phase::Progressing(_) => ReleasePhase::Progressing,
        Phase::OffPlan { .. } => ReleasePhase::OffPlan,
        Phase::Receding(_) => ReleasePhase::RollingBack,
        Phase::Baking(_) => ReleasePhase::Baking,
        Phase::Keeping(_) => ReleasePhase::Keeping,
        Phase::Promoting | Phase::HandingOver(_) => ReleasePhase::Promoting,
        Phase::CuttingBack { .. } if had_run => ReleasePhase::Promoting,
        Phase::Promoted => ReleasePhase::Promoted,
        Phase::Settled if had_run => ReleasePhase::Promoted,
        Phase::Waiting | Phase::Settled => ReleasePhase::Idle,
        Phase::RolledBack { canary: Emptying::Empty, .. } => ReleasePhase::RolledBack,
        Phase::Aborted { canary: Emptying::Empty, .. } => ReleasePhase::Aborted,
        // At the end of no run: somebody has given the canary stable's version.
        Phase::CuttingBack { .. } | Phase::RolledBack { .. } | Phase::Aborted { .. } => {
            ReleasePhase::RollingBack
        }
    }
}

/// Without a cluster nobody waits until the canary's pods are gone.
const fn without_pods(status: &Status, phase: ReleasePhase) -> ReleasePhase {
    match status.phase {
        Phase::RolledBack { .. } => ReleasePhase::RolledBack,
        Phase::Aborted { .. } => ReleasePhase::Aborted,
        _ => phase,
    }
}

/// The Deployments in the roles that are planned.
fn delivery(observation: &Observation, status: &Status) -> Option<Delivery> {
    let Environment::Cluster(cluster) = &observation.environment else { return None };
    let InCluster { delivery, roles, .. } = cluster.as_ref();
    let present = roles.as_ref().ok()?;
    let delivery = delivery.clone();
    Some(if present.swapped == status.roles.swapped { delivery } else { delivery.swapped() })
}

fn versions(delivery: Option<&Delivery>, status: &Status, others: &[VersionProgress]) -> Vec<VersionStatus> {
    let taken: u32 = others.iter().map(|other| other.weight.ppm()).sum();
    let left = Weight::FULL.ppm().saturating_sub(taken);
    let canary = Weight::from_ppm(status.weight().ppm().min(left)).unwrap_or_default();
    let stable = Weight::from_ppm(left - canary.ppm()).unwrap_or_default();
    let is_at_weight =
        matches!(status.phase, Phase::Progressing(_) | Phase::OffPlan { .. } | Phase::Receding(_));
    let Counts { stable: by_stable, canary: by_canary } = *status.evidence.step();
    let served = |requests| {
        let all = by_stable.requests + by_canary.requests;
        is_at_weight.then(|| Served::of(requests, all)).flatten()
    };
    let both = [
        VersionStatus {
            name: Arm::Stable.as_str().to_owned(),
            role: Role::Stable,
            deployment: delivery.map(|delivery| delivery.stable.deployment.clone()),
            weight: stable.into(),
            served: served(by_stable.requests),
            verdict: None,
            message: None,
        },
        VersionStatus {
            name: Arm::Canary.as_str().to_owned(),
            role: Role::Canary,
            deployment: delivery.map(|delivery| delivery.canary.deployment.clone()),
            weight: canary.into(),
            served: served(by_canary.requests),
            verdict: None,
            message: None,
        },
    ];
    both.into_iter().chain(others.iter().map(other)).collect()
}

/// A version beside the two.
fn other(found: &VersionProgress) -> VersionStatus {
    let Counts { stable, canary: own } = found.counted;
    VersionStatus {
        name: found.name.clone(),
        role: Role::Extra,
        deployment: None,
        weight: found.weight.into(),
        served: Served::of(own.requests, stable.requests + own.requests)
            .filter(|_| found.weight > Weight::ZERO),
        verdict: found.verdict.as_ref().map(verdict_status),
        message: Some(found.because()),
    }
}

/// What the evidence says, while a run is judged and after it was rolled back for it.
fn analysis(status: &Status, progress: &Progress) -> Option<AnalysisStatus> {
    let verdict = match &status.phase {
        Phase::Starting { .. } | Phase::Progressing(_) | Phase::OffPlan { .. } | Phase::Baking(_) => {
            progress.verdict.clone()
        }
        Phase::RolledBack { cause: Cause::Failed { failure, .. }, .. }
        | Phase::Receding(RecedeState { cause: Cause::Failed { failure, .. }, .. }) => {
            Verdict::Fail(failure.clone())
        }
        _ => return None,
    };
    let of_requests = progress.findings.iter().map(of_requests);
    Some(AnalysisStatus {
        message: verdict.to_string(),
        verdict: verdict_status(&verdict),
        requests: RequestsStatus { have: progress.have, need: progress.need },
        metrics: of_requests
            .chain(progress.copies.iter().map(of_copies))
            .chain(progress.readings.iter().map(of_readings))
            .collect(),
        users: progress.users.map(|users| UsersStatus {
            canary_failed: users.canary,
            stable_failed: users.stable,
            canary_users: users.seen,
            canary_users_failed: users.failed,
            odds: odds(users.evidence, users.needed),
        }),
        segments: progress.segments.iter().map(of_segment).collect(),
        not_judged: progress.unjudged.iter().filter_map(not_judged).collect(),
        injected: injected(progress.injected),
        forecasts: progress.forecasts.iter().map(forecast).collect(),
    })
}

const fn verdict_status(verdict: &Verdict) -> VerdictStatus {
    match verdict {
        Verdict::Pass => VerdictStatus::Pass,
        Verdict::Fail(_) => VerdictStatus::Fail,
        Verdict::NotYet(Wait::Requests { .. } | Wait::Reading { .. }) => VerdictStatus::NotEnoughData,
        Verdict::NotYet(Wait::Doubt { .. } | Wait::Success { .. }) => VerdictStatus::Unclear,
        Verdict::NotYet(Wait::SharedTrouble { .. }) => VerdictStatus::SharedTrouble,
        Verdict::NotYet(Wait::SampleRatio) => VerdictStatus::SampleRatio,
        Verdict::NotYet(Wait::TrafficShare) => VerdictStatus::TrafficShare,
    }
}

fn forecast(forecast: &Forecast) -> ForecastStatus {
    ForecastStatus {
        step: whole(forecast.step),
        threefold_seconds: forecast.threefold.map(|after| after.as_secs()),
        tenfold_seconds: forecast.tenfold.map(|after| after.as_secs()),
    }
}

fn of_requests(finding: &Finding) -> MetricStatus {
    let Finding { metric, canary, stable, over, worse, needed, limit, ratio, dispersion, smallest, .. } =
        finding;
    MetricStatus {
        name: metric.to_string(),
        unit: Unit::Requests,
        versions: vec![version(Arm::Stable, *stable), version(Arm::Canary, *canary)],
        limit: limit.map(|limit| limit.share.into()),
        limit_raised_by: limit.and_then(|limit| limit.raised).map(|raise| match raise {
            Raise::Stable => RaisedBy::Stable,
            Raise::Users => RaisedBy::Users,
        }),
        smallest_fault: smallest.map(Share::from),
        ratio: ratio.map(|Interval { estimate, low, high }| RatioStatus { estimate, low, high }),
        dispersion: Some(*dispersion),
        odds: odds(over.map_or(*worse, |over| over.max(*worse)), *needed),
        dry_run: false,
    }
}

fn version(arm: Arm, tally: Tally) -> MetricVersion {
    MetricVersion { name: arm.as_str().to_owned(), count: tally.requests, bad: tally.bad, value: None }
}

fn of_copies(finding: &MirrorFinding) -> MetricStatus {
    let MirrorFinding { canary, stable, evidence, needed } = finding;
    MetricStatus {
        name: "mirrored-requests".to_owned(),
        unit: Unit::Requests,
        versions: vec![version(Arm::Stable, *stable), version(Arm::Canary, *canary)],
        limit: None,
        limit_raised_by: None,
        smallest_fault: None,
        ratio: None,
        dispersion: None,
        odds: odds(*evidence, *needed),
        dry_run: false,
    }
}

fn of_segment(finding: &SegmentFinding) -> SegmentStatus {
    SegmentStatus {
        segment: finding.segment.clone(),
        metric: finding.metric.to_string(),
        count: finding.canary.requests,
        bad: finding.canary.bad,
        limit: finding.limit.map(|limit| limit.share.into()),
        back_beyond: finding.back_beyond.map(Share::from),
        odds: odds(finding.evidence, finding.needed),
    }
}

/// What the Release leaves out, its spec says already.
fn not_judged(Unjudged { what, why }: &Unjudged) -> Option<NotJudged> {
    let is_news = *why != WhyNot::LeftOut;
    is_news.then(|| NotJudged { what: what.to_string(), why: why.to_string() })
}

fn injected(found: Injected) -> Vec<InjectedStatus> {
    let of = |arm: Arm, requests| InjectedStatus { name: arm.as_str().to_owned(), requests };
    let all = [of(Arm::Stable, found.stable), of(Arm::Canary, found.canary)];
    all.into_iter().filter(|it| it.requests > 0).collect()
}

fn of_readings(finding: &ReadingFinding) -> MetricStatus {
    let ReadingFinding { name, canary, stable, seen, evidence, needed, dry_run } = finding;
    let number = |value: &MetricValue| match value {
        MetricValue::Number(number) => Some(*number),
        MetricValue::NotANumber | MetricValue::Empty | MetricValue::Failed(_) => None,
    };
    // Stable's readings are held against nothing.
    let of_stable = stable.as_ref().and_then(number).map(|value| MetricVersion {
        name: Arm::Stable.as_str().to_owned(),
        count: seen.requests,
        bad: 0,
        value: Some(value),
    });
    let of_canary = MetricVersion {
        name: Arm::Canary.as_str().to_owned(),
        count: seen.requests,
        bad: seen.bad,
        value: number(canary),
    };
    MetricStatus {
        name: name.clone(),
        unit: Unit::Readings,
        versions: of_stable.into_iter().chain([of_canary]).collect(),
        limit: Percent::at_least(CustomMetric::TOLERANCE).map(Share::from),
        limit_raised_by: None,
        smallest_fault: None,
        ratio: None,
        dispersion: None,
        odds: odds(*evidence, *needed),
        dry_run: *dry_run,
    }
}

fn odds(now: f64, needed: f64) -> Odds {
    Odds { now: OneIn(now).releases(), needed: OneIn(needed).releases() }
}

fn whole(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn count(observation: &Observation, wanted: u64) -> ProxyCounts {
    let count = |of_interest: fn(&ProxyState, u64) -> bool| {
        whole(observation.proxies.iter().filter(|proxy| of_interest(&proxy.state, wanted)).count())
    };
    ProxyCounts {
        current: count(
            |state, wanted| matches!(state, ProxyState::Runs { revision, .. } if *revision == wanted),
        ),
        total: count(|_, _| true),
        bypassed: count(|state, _| matches!(state, ProxyState::Bypassed)),
    }
}

#[cfg(test)]
mod tests;
