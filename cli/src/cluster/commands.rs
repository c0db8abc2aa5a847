/*!
Commands to the agent of a cluster, by the annotations of a Release. One is given, taken or refused, and what it moves is
waited for in the status.
*/
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use serin_agent::cluster::commands::{BY, COMMAND, ID, REASON};
use serin_agent::view::{UsersView, View};
use serin_release::status::{CommandOutcome, CommandStatus};
use serin_rollout::{CommandKind, Grouped};
use tokio::time::timeout;

use super::access::{Access, Cluster};
use super::confirm::confirmed;
use super::watch::Watch;

/// How the API server knows this program.
pub(super) const FIELD_MANAGER: &str = "serin-cli";

/// How often a command is written again where the agent has changed the Release in between.
const TRIES: usize = 10;

/// A command to a Release.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) kind: CommandKind,
    pub(crate) name: &'a str,
    /// Who gives it, if not whoever the cluster takes the caller for.
    pub(crate) by: Option<&'a str>,
    pub(crate) reason: Option<&'a str>,
}

/// A command, and how it is given.
#[derive(Debug)]
pub(crate) struct Given<'a> {
    pub(crate) order: Order<'a>,
    /// Whether nobody is asked.
    pub(crate) yes: bool,
    /// Whether proxies are waited for.
    pub(crate) wait: bool,
    pub(crate) timeout: Duration,
    pub(crate) access: &'a Access,
}

/// Gives a command and says what came of it.
pub(crate) async fn give(given: &Given<'_>) -> anyhow::Result<ExitCode> {
    let Order { kind, name, .. } = &given.order;
    let cluster = given.access.connect().await?;
    let before = View::of_status(&cluster.release(name).await?);
    if let Some(what) = before.moves_everybody(*kind)
        && !confirmed(&what, given.yes)?
    {
        eprintln!("serin: nothing was done");
        return Ok(ExitCode::FAILURE);
    }
    let id = write(&cluster, &given.order).await?;
    let mut watch = Watch::begin(&cluster, name);
    let mut users = before.users;
    let (after, answer) = answered(&cluster, &mut watch, &id, &mut users, given.timeout).await?;
    if answer.outcome == CommandOutcome::Refused {
        eprintln!("serin: {}", answer.message);
        return Ok(ExitCode::FAILURE);
    }
    println!("taken: {}", answer.message);
    if !matches!(kind, CommandKind::Promote | CommandKind::Abort | CommandKind::Retry) {
        return Ok(ExitCode::SUCCESS);
    }
    println!("weight: {} to {}", before.weight, after.weight);
    if *kind == CommandKind::Abort
        && let Some(UsersView { seen, failed }) = users
    {
        println!("about {} users had the version, {} of them met a failure", Grouped(seen), Grouped(failed));
    }
    if given.wait {
        let mut view = after;
        let all_report = timeout(given.timeout, all_report(&mut watch, &mut view)).await;
        let counts = view.proxies;
        if let Ok(done) = all_report {
            done?;
            println!("proxies: {} of {} report it", counts.current, counts.total);
        } else {
            bail!(
                "it is taken, and after {:?} only {} of {} proxies report it: serin status {name} shows more",
                given.timeout,
                counts.current,
                counts.total
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Gives a command and returns what came of it, which an agent has `patience` to say.
pub(super) async fn order(
    cluster: &Cluster,
    order: &Order<'_>,
    patience: Duration,
) -> anyhow::Result<CommandStatus> {
    let id = write(cluster, order).await?;
    let mut watch = Watch::begin(cluster, order.name);
    let (_, answer) = answered(cluster, &mut watch, &id, &mut None, patience).await?;
    Ok(answer)
}

/// Writes the command as annotations. Returns what it is known by.
async fn write(cluster: &Cluster, order: &Order<'_>) -> anyhow::Result<String> {
    let Order { kind, name, .. } = order;
    let id = format!("{:016x}", RandomState::new().build_hasher().finish());
    let by = match order.by {
        Some(by) => Some(by.to_owned()),
        None => own_name(cluster).await,
    };
    let words = [
        (COMMAND, Some(kind.to_string())),
        (ID, Some(id.clone())),
        (BY, by),
        (REASON, order.reason.map(str::to_owned)),
    ];
    let annotations: BTreeMap<_, _> =
        words.into_iter().filter_map(|(name, word)| Some((name, word?))).collect();
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    for _ in 0..TRIES {
        let present = cluster.release(name).await?;
        if let Some(other) = present.annotations().get(COMMAND) {
            bail!(
                "release {name} carries the command {other}, which no agent has taken yet: wait, or take it off by \
                 kubectl annotate release {name} -n {} {COMMAND}-",
                cluster.namespace
            );
        }
        // What is written beside another command would be that one's.
        let metadata = json!({"resourceVersion": present.resource_version(), "annotations": annotations});
        match cluster.releases().patch(name, &params, &Patch::Merge(json!({"metadata": metadata}))).await {
            Ok(_) => return Ok(id),
            Err(kube::Error::Api(status)) if status.is_conflict() => {}
            Err(error) => return Err(error).with_context(|| cluster.cannot(&kind.to_string(), name)),
        }
    }
    bail!("release {name} changed {TRIES} times while {kind} was being written: try again")
}

/// The name that the API server knows whoever calls by, if it says.
async fn own_name(cluster: &Cluster) -> Option<String> {
    let reviews: Api<SelfSubjectReview> = Api::all(cluster.client.clone());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await.ok()?;
    review.status?.user_info?.username
}

/// The same as [`answer`], which an agent has `patience` to say.
async fn answered(
    cluster: &Cluster,
    watch: &mut Watch,
    id: &str,
    users: &mut Option<UsersView>,
    patience: Duration,
) -> anyhow::Result<(View, CommandStatus)> {
    let answered = timeout(patience, answer(watch, id, users)).await;
    answered.with_context(|| {
        let (name, namespace) = (watch.name(), &cluster.namespace);
        format!(
            "no agent has taken it within {patience:?}. It stays on the release until one does: \
             kubectl annotate release {name} -n {namespace} {COMMAND}- takes it off, serin doctor says what is wrong"
        )
    })?
}

/// Waits for the answer to the command `id`; meanwhile keeps in `users` whom the version has had.
async fn answer(
    watch: &mut Watch,
    id: &str,
    users: &mut Option<UsersView>,
) -> anyhow::Result<(View, CommandStatus)> {
    loop {
        let view = View::of_status(&watch.next().await?);
        if let Some(answer) = view.command.clone().filter(|answer| answer.id == id) {
            return Ok((view, answer));
        }
        *users = view.users.or(*users);
    }
}

/// Waits until every proxy reports what is wanted, as `view` has it last.
async fn all_report(watch: &mut Watch, view: &mut View) -> anyhow::Result<()> {
    while !view.proxies.all_current() {
        *view = View::of_status(&watch.next().await?);
    }
    Ok(())
}
