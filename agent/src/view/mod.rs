/*!
A Release as people are told of it. Terminals, pages and messages are made from this one value, so that nothing is told in
two ways.

It is made from the Release, its Deployments and what was told of it, all as they are in the cluster; it reads no clock.
*/
mod about;
pub mod board;
mod evidence;
mod report;
mod todo;
pub mod words;

use std::cmp::Ordering;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::{Deserialize, Serialize};
use serin_policy::Weight;

pub(crate) use self::about::{About, steps_of};
pub use self::evidence::{Counted, Tally, TestView, VerdictView};
pub use self::report::{Latest, PastRun, RunReport};
pub use self::todo::Todo;
use serin_release::status::{
    CommandStatus, NotificationStatus, ProxyCounts, ReleasePhase, ReleaseStatus, Role, RunOutcome, RunRecord,
    Served, Share, StepStatus, Strategy, VerdictStatus,
};
use serin_release::{Pause, ReleaseObject, Step};
use serin_rollout::{Awaits, Hold};

/// A Release, for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The service under release.
    pub service: String,
    /// Whether an agent has seen the present spec: the rest is about an earlier one otherwise.
    pub is_current: bool,
    /// Where it stands.
    pub phase: ReleasePhase,
    /// How the new version comes in.
    pub strategy: Strategy,
    /// Why it stands there.
    pub message: String,
    /// The present run, or the last one.
    pub run: Option<RunView>,
    /// The steps of the spec, and the promotion after them. Empty where the spec makes no sense.
    pub steps: Vec<StepView>,
    /// The present step.
    pub step: Option<StepStatus>,
    /// The share of callers that is to get the new version.
    pub weight: Share,
    /// What the new version served in this step.
    pub served: Option<Served>,
    /// The versions, stable first.
    pub versions: Vec<VersionView>,
    /// The proxies that assign callers.
    pub proxies: ProxyCounts,
    /// What the evidence says; none while nothing is judged.
    pub verdict: Option<VerdictView>,
    /// The users whom the new version has had in this run, where proxies tell.
    pub users: Option<UsersView>,
    /// What it waits for; none where nothing is under way.
    pub waits: Option<WaitView>,
    /// What people can do.
    pub todo: Option<Todo>,
    /// The last command, and what came of it.
    pub command: Option<CommandStatus>,
    /// How those do who are told by messages.
    #[serde(default)]
    pub notifications: Vec<NotificationStatus>,
    /// What was told last, the latest last.
    pub news: Vec<News>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    /// What it is called.
    pub name: String,
    /// When it began, if it did.
    pub started: Option<Timestamp>,
    /// How it ended; none while it lasts.
    pub outcome: Option<RunOutcome>,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepView {
    /// The share of callers.
    pub weight: Share,
    /// Whether a person approves it.
    pub approval: bool,
    /// Where the run is with it.
    pub state: StepState,
}

/// Where a run is with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepState {
    /// It is over.
    Done,
    /// The run is there.
    Now,
    /// It comes.
    Ahead,
    /// The run was there when it was taken back.
    TakenBack,
}

/// A version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionView {
    /// What the filter calls it.
    pub name: String,
    /// What it is in this release.
    pub role: Role,
    /// The share of callers that is to get it.
    pub weight: Share,
    /// What it served in this step.
    pub served: Option<Served>,
    /// Its Deployment.
    pub deployment: Option<String>,
    /// The image of the Deployment's first container, where it may be read.
    pub image: Option<String>,
    /// The commit that the version was made of, where its pod template says: the annotation [`COMMIT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Its pods, where the Deployment may be read.
    pub pods: Option<Pods>,
    /// What the evidence says of a version beside stable and canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<VerdictStatus>,
    /// How such a version stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The pods of a Deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pods {
    /// How many are ready.
    pub ready: i32,
    /// How many there are to be.
    pub wanted: i32,
}

/// Users of the new version, each counted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsersView {
    /// About how many have had it.
    pub seen: u64,
    /// About how many of them have met a failure.
    pub failed: u64,
}

/// What a release waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaitView {
    /// What, in a word: one of `docs/status.md`.
    pub reason: String,
    /// What, for people.
    pub message: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Whose turn it is.
    pub on: WaitsOn,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WaitsOn {
    /// Nobody's: it takes its time.
    Course,
    /// What comes by itself.
    Others,
    /// A person's word.
    Person,
    /// Somebody's who mends something.
    Mending,
}

/// Something that was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// When, the last time.
    pub at: Timestamp,
    /// What, in a word.
    pub reason: String,
    /// What, for people.
    pub message: String,
    /// Whether somebody should look at it.
    pub warning: bool,
}

impl View {
    /// The view of `object`, whose Deployments are among `deployments` as far as they may be read, and of which `told` was
    /// told, in any order.
    pub fn of(object: &ReleaseObject, deployments: &[Deployment], told: Vec<News>) -> Self {
        let unknown = ReleaseStatus::default();
        let status = object.status.as_ref().unwrap_or(&unknown);
        let steps = steps_of(object);
        let view = Self::made(About::object(object, steps.as_deref()), status, deployments, told);
        Self { is_current: view.is_current && object.status.is_some(), ..view }
    }

    /// The view of a release that has this `status`.
    pub(crate) fn made(
        about: About<'_>,
        status: &ReleaseStatus,
        deployments: &[Deployment],
        told: Vec<News>,
    ) -> Self {
        let waits = waits(status);
        Self {
            name: about.name.to_owned(),
            namespace: about.namespace.to_owned(),
            service: about.service.to_owned(),
            is_current: status.observed_generation == about.generation,
            phase: status.phase,
            strategy: status.strategy,
            message: status.message.clone(),
            run: run(status),
            steps: about.steps.map(|written| steps(written, status)).unwrap_or_default(),
            step: status.step,
            weight: status.weight,
            served: status.served,
            versions: versions(status, deployments),
            proxies: status.proxies,
            verdict: status.analysis.as_ref().map(evidence::verdict),
            users: status
                .analysis
                .as_ref()
                .and_then(|analysis| analysis.users)
                .map(|users| UsersView { seen: users.canary_users, failed: users.canary_users_failed }),
            todo: todo::todo(status, waits.as_ref()),
            waits,
            command: status.command.clone(),
            notifications: status.notifications.clone(),
            news: news(status, told),
        }
    }

    /// What the status of `object` alone says.
    pub fn of_status(object: &ReleaseObject) -> Self {
        Self::of(object, &[], Vec::new())
    }

    /// `namespace/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// What the history has of the present run.
fn record(status: &ReleaseStatus) -> Option<&RunRecord> {
    status.history.first().filter(|latest| Some(&latest.run) == status.run.as_ref())
}

fn run(status: &ReleaseStatus) -> Option<RunView> {
    let name = status.run.clone()?;
    let record = record(status);
    Some(RunView {
        started: record.map(|record| record.started),
        outcome: record.and_then(|record| record.outcome),
        name,
    })
}

fn steps(written: &[Step], status: &ReleaseStatus) -> Vec<StepView> {
    use ReleasePhase::{
        Aborted, Baking, Keeping, OffPlan, Progressing, Promoted, Promoting, RolledBack, RollingBack,
    };
    let reached = record(status).and_then(|run| run.changes.iter().map(|change| change.to).max());
    let full = Share::from(Weight::FULL);
    let state = |weight: Share| match status.phase {
        Promoted | Keeping => StepState::Done,
        Baking | Promoting if weight < full => StepState::Done,
        Baking | Promoting => StepState::Now,
        Progressing | OffPlan => match weight.cmp(&status.weight) {
            Ordering::Less => StepState::Done,
            Ordering::Equal => StepState::Now,
            Ordering::Greater => StepState::Ahead,
        },
        RollingBack | RolledBack | Aborted => match reached.map(|reached| weight.cmp(&reached)) {
            Some(Ordering::Less) => StepState::Done,
            Some(Ordering::Equal) => StepState::TakenBack,
            Some(Ordering::Greater) | None => StepState::Ahead,
        },
        _ => StepState::Ahead,
    };
    let steps = written.iter().map(|step| (step.weight.into(), step.pause == Pause::UntilApproved));
    let promotion = written.last().is_none_or(|step| step.weight < Weight::FULL);
    let all = steps.chain(promotion.then_some((full, false)));
    all.map(|(weight, approval)| StepView { weight, approval, state: state(weight) }).collect()
}

fn versions(status: &ReleaseStatus, deployments: &[Deployment]) -> Vec<VersionView> {
    let view = |version: &serin_release::status::VersionStatus| {
        let is_its = |found: &&Deployment| found.metadata.name == version.deployment;
        let found = deployments.iter().find(is_its).filter(|_| version.deployment.is_some());
        VersionView {
            name: version.name.clone(),
            role: version.role,
            weight: version.weight,
            served: version.served,
            deployment: version.deployment.clone(),
            image: found.and_then(image).map(str::to_owned),
            commit: found.and_then(commit).map(str::to_owned),
            pods: found.map(Pods::of),
            verdict: version.verdict,
            message: version.message.clone(),
        }
    };
    status.versions.iter().map(view).collect()
}

/// The annotation of a pod template that says of which commit its image was made, as images have it as a label.
pub const COMMIT: &str = "org.opencontainers.image.revision";

/// The commit of a Deployment's pod template: hexadecimal digits, as it becomes a part of an address.
fn commit(deployment: &Deployment) -> Option<&str> {
    let annotations = deployment.spec.as_ref()?.template.metadata.as_ref()?.annotations.as_ref()?;
    let commit = annotations.get(COMMIT)?;
    let is_one = (7..=64).contains(&commit.len()) && commit.bytes().all(|it| it.is_ascii_hexdigit());
    is_one.then_some(commit)
}

/// The image of a Deployment's first container.
pub fn image(deployment: &Deployment) -> Option<&str> {
    deployment.spec.as_ref()?.template.spec.as_ref()?.containers.first()?.image.as_deref()
}

impl Pods {
    /// Those of a Deployment.
    pub fn of(deployment: &Deployment) -> Self {
        Self {
            ready: deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0),
            wanted: deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
        }
    }
}

fn condition<'s>(status: &'s ReleaseStatus, kind: &str, is: &str) -> Option<&'s Condition> {
    status.conditions.iter().find(|found| found.type_ == kind && found.status == is)
}

/// What it waits for, as its conditions say.
fn waits(status: &ReleaseStatus) -> Option<WaitView> {
    let named = |found: &Condition| {
        let hold = Hold::AWAITS.iter().find(|(name, _)| *name == found.reason);
        hold.map(|(_, awaits)| match awaits {
            Awaits::Course => WaitsOn::Course,
            Awaits::Others => WaitsOn::Others,
            Awaits::Person => WaitsOn::Person,
            Awaits::Mending => WaitsOn::Mending,
        })
    };
    let wait = |found: &Condition, on, since| WaitView {
        reason: found.reason.clone(),
        message: found.message.clone(),
        since,
        on,
    };
    let is_end = |reason: &str| matches!(reason, "RolledBack" | "Aborted" | "StableReplaced");
    if let Some(stalled) = condition(status, "Stalled", "True").filter(|found| !is_end(&found.reason)) {
        let on = named(stalled).unwrap_or(WaitsOn::Mending);
        return Some(wait(stalled, on, Some(stalled.last_transition_time.0)));
    }
    let held = condition(status, "Progressing", "False");
    if let Some((held, on)) = held.and_then(|held| Some((held, named(held)?))) {
        return Some(wait(held, on, Some(held.last_transition_time.0)));
    }
    let under_way = condition(status, "Reconciling", "True")?;
    let since = record(status).map(|run| run.changes.last().map_or(run.started, |change| change.at));
    Some(wait(under_way, WaitsOn::Course, since))
}

/// What was told, and before that what the history has: events do not last.
fn news(status: &ReleaseStatus, mut told: Vec<News>) -> Vec<News> {
    told.sort_by_key(|news| news.at);
    let first = told.first().map(|news| news.at);
    let runs = status.history.iter().rev();
    let changes =
        runs.flat_map(|run| &run.changes).filter(|change| first.is_none_or(|first| change.at < first));
    let of_history = changes.map(|change| News {
        at: change.at,
        reason: change.reason.clone(),
        message: change.message.clone(),
        warning: matches!(change.reason.as_str(), "RolledBack" | "Aborted" | "ProbeFailed"),
    });
    of_history.chain(told).collect()
}

#[cfg(test)]
pub(crate) mod tests;
