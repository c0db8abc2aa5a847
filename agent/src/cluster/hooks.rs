/*!
Hooks of a release in a cluster: asking what the planner wants to know, and taking in the answers.

A look never waits for one. What is asked is saved first, as a part of the status, and is asked by a task of its own afterwards;
the answer comes in at the next look, which the task asks for. One that takes over asks what has no answer yet, by the same key.
*/
mod job;
mod targets;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, ResourceExt};
use serin_release::ReleaseObject;
use serin_release::delivery::Delivery;
use serin_release::hook::{Asked, Check, Hook, Load};
use serin_release::resource::When;
use serin_rollout::{Answer, Phase, Plan, Question, Status};
use tokio::task::JoinSet;

use super::Cluster;
use super::memory::Memory;
use super::messages::{is_own_service, secret};
use super::snapshot::Snapshot;
use crate::hooks::checks::{self, Target};
use crate::hooks::{Asker, Payload};
use crate::reach::Reach;

/// What is under way of a release's hooks.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    /// Who is being asked. It ends with the leadership of this agent.
    under_way: JoinSet<Answer>,
    /// By these keys.
    asked: BTreeSet<String>,
    /// What was answered, and what came of it is not saved yet.
    unsaved: Vec<Answer>,
}

impl Hooks {
    /// What was answered since what was last saved.
    pub(super) fn answers(&mut self) -> Vec<Answer> {
        while let Some(ended) = self.under_way.try_join_next() {
            match ended {
                Ok(answer) => {
                    self.asked.remove(&answer.key);
                    self.unsaved.push(answer);
                }
                // Nobody knows which it was: all that is open is asked again, by the same keys.
                Err(_) => self.asked.clear(),
            }
        }
        self.unsaved.clone()
    }

    /// What came of the answers is saved.
    pub(super) fn saved(&mut self) {
        self.unsaved.clear();
    }
}

/// The questions that are open, each with its hook.
pub(super) fn under_way<'s>(
    status: &'s Status,
    delivery: &'s Delivery,
) -> impl Iterator<Item = (&'s Question, &'s Hook)> {
    let open = status.questions.iter().filter(|question| question.is_open);
    open.filter_map(|question| {
        Some((question, delivery.hooks.iter().find(|hook| hook.name == question.hook)?))
    })
}

/// Asks what is to be asked, now that it is saved that it is.
pub(super) fn ask(
    cluster: &Cluster,
    object: &ReleaseObject,
    memory: &mut Memory,
    snapshot: &Snapshot,
    planned: &Plan,
) {
    let namespace = object.namespace().unwrap_or_default();
    for (question, hook) in under_way(&planned.status, &snapshot.delivery) {
        let (key, hook) = (question.key(), hook.clone());
        if !memory.hooks.asked.insert(key.clone()) {
            continue;
        }
        let find = |check: &Check| targets::find(&cluster.stores, snapshot, check);
        let (wake, release) = (cluster.wake.clone(), ObjectRef::new(&object.name_any()).within(&namespace));
        let errand = Errand {
            client: cluster.client.clone(),
            services: cluster.stores.services.clone(),
            reach: cluster.operator.reach.clone(),
            asker: cluster.asker.clone(),
            namespace: namespace.clone(),
            name: object.name_any(),
            run: planned.status.run.clone(),
            phase: planned.status.phase.clone(),
            work: match hook.asked {
                Asked::Url { url, metadata } => Work::Url { url, metadata },
                Asked::Checks(checks) => {
                    let of = |check: Check| find(&check).map(|target| (check, target));
                    Work::Checks(checks.into_iter().map(of).collect())
                }
                Asked::Load(load) => {
                    let target = find(&load.request);
                    Work::Load(Box::new((*load, target)))
                }
                Asked::Job(job) => Work::Job(job::Errand::of(object, &hook.name, &job, &key)),
            },
            when: hook.when,
            patience: hook.timeout,
        };
        memory.hooks.under_way.spawn(async move {
            let outcome = errand.run(&key).await;
            // Whoever listens lives as long as the controller.
            let _ = wake.send(release);
            Answer { key, outcome }
        });
    }
}

/// All that it takes to ask.
struct Errand {
    client: Client,
    services: Store<Service>,
    reach: Reach,
    asker: Asker,
    namespace: String,
    name: String,
    run: String,
    phase: Phase,
    when: When,
    patience: Duration,
    work: Work,
}

/// What is asked. Where a request to the new version has nowhere to go, that is the answer.
enum Work {
    Url { url: String, metadata: BTreeMap<String, String> },
    Checks(Result<Vec<(Check, Target)>, String>),
    Load(Box<(Load, Result<Target, String>)>),
    Job(job::Errand),
}

impl Errand {
    async fn run(self, key: &str) -> Result<Option<String>, String> {
        let Self { client, services, reach, asker, namespace, name, run, phase, when, patience, work } = self;
        match work {
            Work::Url { url, metadata } => {
                let is_service = |service: &str| is_own_service(&services, &namespace, service);
                let reached = reach.check(&url, &namespace, is_service);
                let reached = reached.map_err(|refused| refused.to_string())?;
                let payload = Payload::of(when, &metadata, (&namespace, &name), &run, &phase);
                asker.ask(reached, &payload, key, patience).await.map(|()| None)
            }
            Work::Checks(targets) => {
                let mut targets = targets?;
                for (check, target) in &mut targets {
                    give_token(&client, &namespace, check, target).await?;
                }
                checks::run(&targets, patience).await.map(|()| None)
            }
            Work::Load(load) => {
                let (load, target) = *load;
                let mut target = target?;
                give_token(&client, &namespace, &load.request, &mut target).await?;
                asker.load(&load, &target, patience).await.map(Some)
            }
            Work::Job(job) => job.run(&client).await,
        }
    }
}

/// Adds the tester's token, if it takes one.
async fn give_token(
    client: &Client,
    namespace: &str,
    check: &Check,
    target: &mut Target,
) -> Result<(), String> {
    let (Some(key), Some((_, version))) = (&check.token, &mut target.tester) else { return Ok(()) };
    let token = secret(client, namespace, key).await.map_err(|failure| failure.why)?;
    *version = format!("{version}:{}", token.trim());
    Ok(())
}
