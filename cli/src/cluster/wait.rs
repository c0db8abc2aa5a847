/*!
`serin wait NAME`: a pipeline waits for the run of its image, and of no other.

A run is named by a hash of the pod template that makes it. So the run of an image is that of the Deployment that has it, by the
name that the agent gives that template; whatever the status says of another run, such as that the last one was promoted,
is not about it.
*/
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use serin_agent::cluster::runs::Runs;
use serin_agent::errors::chain;
use serin_agent::view::View;
use serin_release::ReleaseObject;
use serin_release::duration;
use serin_release::status::{ReleasePhase, ReleaseStatus, Role, RunOutcome};
use tokio::time::{Instant, timeout_at};

use super::access::{Access, Cluster, deployment_of};
use super::watch::Watch;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 it has come to it, 1 the run has ended otherwise, 2 it could not be told, 64 wrong usage, 124 not in time."
)]
pub(crate) struct Args {
    /// The Release.
    name: String,
    /// What to wait for: `promoted`, `rolled-back`, `step=N`, or `approval`: that nothing speaks against the version, and a
    /// step, the cutover or the old version's end waits for `resume`, or the promotion for Git (`promotion.mode: Wait`).
    #[arg(long = "for", value_name = "WHAT")]
    goal: Goal,
    /// The image that is released, as it is written in a Deployment of the Release. If it is not there yet, it is waited for
    /// [default: whatever the canary's Deployment has].
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// How long to wait, such as `90s` or `1h`.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration::parse)]
    timeout: Duration,
    #[command(flatten)]
    access: Access,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// Everybody is on the version.
    Promoted,
    /// Everybody is on stable again, because of the evidence or of a person.
    RolledBack,
    /// The step of this number has begun in front of every proxy, or is over.
    Step(u32),
    /// Nothing speaks against the version, and what comes next waits for somebody's word, or for a commit.
    Approval,
}

impl FromStr for Goal {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "promoted" => Ok(Self::Promoted),
            "rolled-back" => Ok(Self::RolledBack),
            "approval" => Ok(Self::Approval),
            _ => {
                let step = text.strip_prefix("step=").and_then(|step| step.parse().ok());
                step.filter(|step| *step > 0).map(Self::Step).ok_or(
                    "write promoted, rolled-back, approval, or step=N with the number of a step, from 1",
                )
            }
        }
    }
}

/// How the run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    /// It has come to what is waited for.
    Met(String),
    /// It has ended, and not so.
    Over(String),
    /// It may yet come to it.
    Pending(String),
}

const COULD_NOT_TELL: u8 = 2;
const NOT_IN_TIME: u8 = 124;

pub(crate) async fn wait(args: &Args) -> ExitCode {
    match standing(args).await {
        Ok(Standing::Met(how)) => {
            println!("{how}");
            ExitCode::SUCCESS
        }
        Ok(Standing::Over(how)) => {
            eprintln!("serin: {how}");
            ExitCode::FAILURE
        }
        Ok(Standing::Pending(last)) => {
            eprintln!("serin: not within {:?}: {last}", args.timeout);
            ExitCode::from(NOT_IN_TIME)
        }
        Err(error) => {
            eprintln!("serin: {}", chain(error.as_ref()));
            ExitCode::from(COULD_NOT_TELL)
        }
    }
}

/// How the run stands in the end, or when the time is up.
async fn standing(args: &Args) -> anyhow::Result<Standing> {
    let began = Instant::now();
    let deadline = began + args.timeout;
    let in_time = timeout_at(deadline, args.access.connect()).await;
    let cluster = in_time.context("the API server does not answer")??;
    let mut watch = Watch::begin(&cluster, &args.name);
    let mut progress = Progress { began, told: None };
    let mut followed = None;
    let mut last = "the API server does not answer".to_owned();
    loop {
        let Ok(look) = timeout_at(deadline, look(&cluster, &mut watch)).await else {
            return Ok(Standing::Pending(last));
        };
        let (release, deployments) = look?;
        let subject = Subject { release: &release, deployments: &deployments, image: args.image.as_deref() };
        let now = subject.standing(args.goal, &mut followed);
        let Standing::Pending(how) = now else { return Ok(now) };
        progress.tell(&release, &how);
        last = how;
    }
}

/// The Release when it has changed, and its Deployments as they are then.
async fn look(cluster: &Cluster, watch: &mut Watch) -> anyhow::Result<(ReleaseObject, Vec<Deployment>)> {
    let release = watch.next().await?;
    let deployments = cluster.deployments(&release).await.context("cannot read the release's deployments")?;
    Ok((release, deployments))
}

/// What is looked at.
struct Subject<'s> {
    release: &'s ReleaseObject,
    deployments: &'s [Deployment],
    image: Option<&'s str>,
}

/// The run that is meant.
struct Meant {
    run: String,
    deployment: String,
    /// Whether the present stable version is the one that is meant.
    is_stable: bool,
}

impl Subject<'_> {
    /// How the run stands. `followed` is its name once it has been under way.
    fn standing(&self, goal: Goal, followed: &mut Option<String>) -> Standing {
        let unknown = ReleaseStatus::default();
        let status = self.release.status.as_ref().unwrap_or(&unknown);
        if let Some(run) = followed.as_deref().filter(|run| status.run.as_deref() != Some(*run)) {
            let replaced = status.history.iter().find(|record| record.run == run);
            if replaced.is_some_and(|record| record.outcome == Some(RunOutcome::Replaced)) {
                return Standing::Over(format!("run {run} was replaced by another before it ended"));
            }
        }
        let meant = match self.meant() {
            Ok(meant) => meant,
            Err(why) => return Standing::Pending(why),
        };
        let Meant { run, deployment, is_stable } = &meant;
        if status.observed_generation != self.release.metadata.generation {
            return Standing::Pending("no agent has seen the present spec yet".to_owned());
        }
        if status.run.as_deref() == Some(run) {
            if is_under_way(status.phase) {
                *followed = Some(run.clone());
            }
            return at(goal, run, status);
        }
        if *is_stable {
            let has = format!("stable has it: deployment/{deployment}, run {run}");
            return match goal {
                Goal::Promoted | Goal::Step(_) => Standing::Met(has),
                Goal::RolledBack | Goal::Approval => Standing::Over(has),
            };
        }
        let present = status.run.as_ref().map_or_else(String::new, |run| format!(", the last one is {run}"));
        let why = if status.message.is_empty() { String::new() } else { format!(": {}", status.message) };
        Standing::Pending(format!(
            "run {run}, by the pod template of deployment/{deployment}, has not begun{present}{why}"
        ))
    }

    /// Which run is meant, or why there is none yet.
    fn meant(&self) -> Result<Meant, String> {
        let runs = Runs::of(self.release);
        let meant = |deployment: &Deployment, role| {
            runs.of_deployment(deployment).map(|run| Meant {
                run,
                deployment: deployment.name_any(),
                is_stable: role == Role::Stable,
            })
        };
        let canary = self.deployment(Role::Canary);
        let stable = self.deployment(Role::Stable);
        let missing = || "the release's Deployments are not there".to_owned();
        let Some(image) = self.image else {
            // Where versions change places, the canary's Deployment has the old one afterwards, which nobody releases.
            let of_canary = canary.and_then(|canary| meant(canary, Role::Canary));
            let released = of_canary.filter(|canary| runs.retired() != Some(&canary.run));
            let of_stable = || stable.and_then(|stable| meant(stable, Role::Stable));
            return released.or_else(of_stable).ok_or_else(missing);
        };
        for (deployment, role) in [(canary, Role::Canary), (stable, Role::Stable)] {
            if let Some(deployment) = deployment.filter(|deployment| has_image(deployment, image))
                && let Some(meant) = meant(deployment, role)
            {
                return Ok(meant);
            }
        }
        let canary = canary.ok_or_else(missing)?;
        let images = images(canary).collect::<Vec<_>>().join(", ");
        Err(format!("deployment/{} has {images}, not {image}", canary.name_any()))
    }

    /// The Deployment that has a role at present.
    fn deployment(&self, role: Role) -> Option<&Deployment> {
        let name = deployment_of(self.release, role)?;
        self.deployments.iter().find(|found| found.metadata.name.as_deref() == Some(name))
    }
}

/// How a run stands that the `status` is about.
fn at(goal: Goal, run: &str, status: &ReleaseStatus) -> Standing {
    use ReleasePhase::{Aborted, Baking, Idle, Keeping, Promoted, Promoting, RolledBack, RollingBack};
    let how = format!("run {run}: {}", status.message);
    let is_replaced = status.conditions.iter().any(|found| found.reason == "StableReplaced");
    let has_ended_so = match (status.phase, goal) {
        (Idle, _) if is_replaced => Some(false),
        (Idle, Goal::Promoted | Goal::Step(_)) => {
            return Standing::Met(format!("run {run}: stable has this version already"));
        }
        (_, Goal::Approval) if awaits_approval(status) => Some(true),
        (Keeping, Goal::Approval) => None,
        (Promoted | Keeping | Idle, _) => Some(!matches!(goal, Goal::RolledBack | Goal::Approval)),
        (RolledBack | Aborted, _) => Some(goal == Goal::RolledBack),
        (RollingBack, Goal::Promoted | Goal::Step(_) | Goal::Approval) => Some(false),
        (Baking | Promoting, Goal::Step(_)) => Some(true),
        (_, Goal::Step(wanted)) if has_step(wanted, status) => Some(true),
        _ => None,
    };
    match has_ended_so {
        Some(true) => Standing::Met(how),
        Some(false) => Standing::Over(how),
        None => Standing::Pending(how),
    }
}

/// Whether the step is over, or has begun in front of every proxy.
fn has_step(wanted: u32, status: &ReleaseStatus) -> bool {
    let all_report = status.proxies.all_current();
    status.step.is_some_and(|step| step.index > wanted || step.index == wanted && all_report)
}

/// Whether all is ready for what comes next, and somebody is to say so, or to give stable's Deployment the new version.
fn awaits_approval(status: &ReleaseStatus) -> bool {
    let reasons = ["AwaitsApproval", "AwaitsCutover", "AwaitsCleanup", "HandingOver"];
    let is_held = |found: &&Condition| found.type_ == "Progressing" && found.status == "False";
    status.conditions.iter().find(is_held).is_some_and(|found| reasons.contains(&&*found.reason))
}

const fn is_under_way(phase: ReleasePhase) -> bool {
    use ReleasePhase::{Baking, OffPlan, Preparing, Progressing, Promoting, Starting};
    matches!(phase, Preparing | Starting | Progressing | OffPlan | Baking | Promoting)
}

fn images(deployment: &Deployment) -> impl Iterator<Item = &str> {
    let pod = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let containers =
        pod.into_iter().flat_map(|pod| pod.containers.iter().chain(pod.init_containers.iter().flatten()));
    containers.filter_map(|container| container.image.as_deref())
}

fn has_image(deployment: &Deployment, image: &str) -> bool {
    images(deployment).any(|found| found == image)
}

/// Lines that a pipeline's log can show: one for each thing that has changed.
struct Progress {
    began: Instant,
    told: Option<String>,
}

impl Progress {
    fn tell(&mut self, release: &ReleaseObject, how: &str) {
        let view = View::of_status(release);
        let step = view.step.map_or_else(String::new, |step| format!(" step {} of {}", step.index, step.of));
        let waits = view.waits.map_or_else(String::new, |waits| format!(" ({})", waits.reason));
        let line = format!("{}{step} {}{waits}", view.phase, view.weight);
        // Sentences have numbers that change with every look.
        let words = how.split(':').next().unwrap_or_default();
        let key = format!("{line} {words}");
        if self.told.as_ref() != Some(&key) {
            println!("{:>6}s  {line}: {how}", self.began.elapsed().as_secs());
            self.told = Some(key);
        }
    }
}

#[cfg(test)]
mod tests;
