/*!
Hooks of a release in a cluster: asking what the planner wants to know, and taking in the answers.

A look never waits for one. What is asked is saved first, as a part of the status, and is asked by a task of its own afterwards;
the answer comes in at the next look, which the task asks for. One that takes over asks what has no answer yet, by the same key.
*/
use std::collections::BTreeSet;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use serin_release::ReleaseObject;
use serin_rollout::{Answer, Plan};
use tokio::task::JoinSet;

use super::Cluster;
use super::memory::Memory;
use super::messages::is_own_service;
use super::snapshot::Snapshot;
use crate::hooks::Payload;

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

/// Asks what is to be asked, now that it is saved that it is.
pub(super) fn ask(
    cluster: &Cluster,
    object: &ReleaseObject,
    memory: &mut Memory,
    snapshot: &Snapshot,
    planned: &Plan,
) {
    let namespace = object.namespace().unwrap_or_default();
    for question in planned.status.questions.iter().filter(|question| question.is_open) {
        let key = question.key();
        let mut hooks = snapshot.delivery.hooks.iter();
        let Some(hook) = hooks.find(|hook| hook.name == question.hook).cloned() else { continue };
        if !memory.hooks.asked.insert(key.clone()) {
            continue;
        }
        let (asker, services, reach) =
            (cluster.asker.clone(), cluster.stores.services.clone(), cluster.operator.reach.clone());
        let (namespace, name) = (namespace.clone(), object.name_any());
        let (run, phase) = (planned.status.run.clone(), planned.status.phase.clone());
        let (wake, release) = (cluster.wake.clone(), ObjectRef::new(&name).within(&namespace));
        memory.hooks.under_way.spawn(async move {
            let is_service = |service: &str| is_own_service(&services, &namespace, service);
            let outcome = match reach.check(&hook.url, &namespace, is_service) {
                Ok(reached) => {
                    let payload = Payload::of(&hook, &namespace, &name, &run, &phase);
                    asker.ask(reached, &payload, &key, hook.timeout).await
                }
                Err(refused) => Err(refused.to_string()),
            };
            // Whoever listens lives as long as the controller.
            let _ = wake.send(release);
            Answer { key, outcome }
        });
    }
}
