/*!
Messages of a release in a cluster: to whom, with which secrets, and what came of them.

A look never waits for one. What is to be told enters the outbox before the status is saved, is sent by a task of its own
afterwards, and what comes of it is taken in at a later look, which the task asks for.
*/
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, ResourceExt};
use serin_policy::Weight;
use serin_release::delivery::Delivery as Delivered;
use serin_release::notification::Channel;
use serin_release::resource::SecretKey;
use serin_release::status::NotificationStatus;
use serin_release::{Problem, ReleaseObject};
use serin_rollout::{Plan, Reason};
use tokio::task::JoinSet;
use url::Url;

use super::memory::Memory;
use super::snapshot::Snapshot;
use super::workloads::get;
use super::{Cluster, cluster_name};
use crate::config::{SecretFile, unknown_events};
use crate::errors::chain;
use crate::notify::{Courier, Delivery, Due, Failure, Key, Message, Outbox};
use crate::reach::Reach;
use crate::view::View;

/// What is under way of a release's messages.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// What is to be sent as soon as it is saved that it will be.
    due: Vec<Due>,
    /// What is being sent. It ends with the leadership of this agent.
    under_way: JoinSet<Delivery>,
    /// Whether something came of one that is not saved yet.
    is_news: bool,
}

impl Messages {
    /// Whether there is something to be saved.
    pub(super) const fn is_to_be_saved(&self) -> bool {
        self.is_news || !self.due.is_empty()
    }

    /// Nothing was saved: nothing is sent.
    pub(super) fn not_saved(&mut self) {
        self.due.clear();
    }
}

/// Takes in what came of messages since the last look.
pub(super) fn take_in(cluster: &Cluster, object: &ReleaseObject, memory: &mut Memory, now: Timestamp) {
    while let Some(ended) = memory.messages.under_way.try_join_next() {
        let Ok(delivery) = ended else { continue };
        memory.messages.is_news = true;
        let Some(event) = memory.state.outbox.end(&delivery, now) else {
            note(memory, &delivery, None, now);
            continue;
        };
        let outcome = if delivery.outcome.is_ok() { "sent" } else { "failed" };
        cluster.metrics.message(&cluster_name(object), outcome);
        if let Err(failure) = &delivery.outcome {
            let (release, channel) = (cluster_name(object), &delivery.channel);
            tracing::warn!(release, code = "message-failed", %channel, event, "{failure}");
        }
        note(memory, &delivery, Some(event), now);
    }
}

/// Says in the status how a channel of the Release's own does. What the operator's answer is nobody's business there.
fn note(memory: &mut Memory, delivery: &Delivery, event: Option<String>, now: Timestamp) {
    let Key::Release(name) = &delivery.channel else { return };
    let shown = &mut memory.shown.notifications;
    let index = shown.iter().position(|status| status.name == *name).unwrap_or_else(|| {
        shown.push(NotificationStatus { name: name.clone(), ..NotificationStatus::default() });
        shown.len() - 1
    });
    let status = &mut shown[index];
    match &delivery.outcome {
        Ok(_) => (status.event, status.at, status.error) = (event, Some(now), None),
        Err(failure) => status.error = Some(failure.why.clone()),
    }
}

/// Puts what is new in `planned` into the outbox, and says what is to be sent now. The status that people read is that of
/// this look already.
pub(super) fn look(
    cluster: &Cluster,
    object: &ReleaseObject,
    memory: &mut Memory,
    snapshot: &Snapshot,
    planned: &Plan,
    now: Timestamp,
) {
    let namespace = object.namespace().unwrap_or_default();
    let own = &snapshot.delivery.notifications;
    let is_own = |name: &str| own.iter().any(|notification| notification.name == name);
    memory.shown.notifications.retain(|status| is_own(&status.name));
    let operators = || cluster.operator.messages.channels(&namespace);
    if own.is_empty() && operators().next().is_none() {
        memory.state.outbox = Outbox::default();
        return;
    }
    memory.state.outbox.keep_only(|key| match key {
        Key::Release(name) => is_own(name),
        Key::Operator(_) => operators().any(|(there, _)| there == *key),
    });
    let (run, weight) = (planned.status.run.as_str(), planned.status.weight());
    enter(cluster, object, memory, &snapshot.delivery, (&planned.reasons, run, weight), now);
    memory.messages.due = memory.state.outbox.begin(now);
}

fn enter(
    cluster: &Cluster,
    object: &ReleaseObject,
    memory: &mut Memory,
    delivery: &Delivered,
    (reasons, run, weight): (&[Reason], &str, Weight),
    now: Timestamp,
) {
    let namespace = object.namespace().unwrap_or_default();
    let mut view = None;
    for news in memory.state.outbox.news(reasons, run, weight, now) {
        let own = delivery.notifications.iter();
        let own = own.map(|channel| (Key::Release(channel.name.clone()), channel));
        let mut to = Outbox::audience(&news, own);
        to.extend(Outbox::audience(&news, cluster.operator.messages.channels(&namespace)));
        if to.is_empty() {
            continue;
        }
        let view = view.get_or_insert_with(|| view_of(cluster, object, memory));
        let id = memory.state.outbox.next_id(&object.uid().unwrap_or_default());
        let page = cluster.operator.messages.page_of(&namespace, &object.name_any());
        let message = Message::of(id, &news, view, page, now);
        let dropped = memory.state.outbox.put(message, to);
        for channel in dropped {
            let release = cluster_name(object);
            cluster.metrics.message(&release, "dropped");
            tracing::warn!(release, code = "message-dropped", %channel, "too many messages wait: the oldest is left out");
        }
    }
}

/// The Release as people are told of it.
fn view_of(cluster: &Cluster, object: &ReleaseObject, memory: &mut Memory) -> View {
    let object = ReleaseObject { status: Some(memory.told()), ..object.clone() };
    let namespace = object.namespace().unwrap_or_default();
    let named = memory.shown.versions.iter().filter_map(|version| version.deployment.as_deref());
    let deployments: Vec<Deployment> = named
        .filter_map(|name| get(&cluster.stores.deployments, &namespace, name))
        .map(Arc::unwrap_or_clone)
        .collect();
    View::of(&object, &deployments, Vec::new())
}

/// Sends what is due, now that it is saved that it is.
pub(super) fn send(cluster: &Cluster, object: &ReleaseObject, memory: &mut Memory, snapshot: &Snapshot) {
    memory.messages.is_news = false;
    let namespace = object.namespace().unwrap_or_default();
    for due in std::mem::take(&mut memory.messages.due) {
        let way = match &due.channel {
            Key::Release(name) => {
                let mut own = snapshot.delivery.notifications.iter();
                let channel = own.find(|notification| notification.name == *name);
                channel.map(|notification| Way::Release(notification.channel.clone()))
            }
            key @ Key::Operator(_) => {
                let mut channels = cluster.operator.messages.channels(&namespace);
                let channel = channels.find(|(there, _)| there == key);
                channel.map(|(_, notification)| Way::Operator(notification.channel.clone()))
            }
        };
        // One that has gone since is forgotten at the next look.
        let Some(way) = way else { continue };
        let errand = Errand {
            courier: cluster.courier.clone(),
            client: cluster.client.clone(),
            services: cluster.stores.services.clone(),
            reach: cluster.operator.reach.clone(),
            namespace: namespace.clone(),
        };
        let (wake, release) = (cluster.wake.clone(), ObjectRef::new(&object.name_any()).within(&namespace));
        memory.messages.under_way.spawn(async move {
            let outcome = errand.run(&due, &way).await;
            // Whoever listens lives as long as the controller.
            let _ = wake.send(release);
            Delivery { channel: due.channel, message: due.message.id, outcome }
        });
    }
}

/// What a Release names among events, and is none: it would never be told.
pub(super) fn warnings(delivery: &Delivered) -> impl Iterator<Item = String> {
    let paths = delivery.notifications.iter().enumerate();
    let unknown =
        paths.flat_map(|(i, notification)| unknown_events(&format!("spec.notifications[{i}]"), notification));
    unknown.map(|problem: Problem| problem.to_string())
}

/// A channel, by where its secret is.
enum Way {
    Release(Channel<SecretKey>),
    Operator(Channel<SecretFile>),
}

/// All that it takes to send a message.
struct Errand {
    courier: Courier,
    client: Client,
    services: Store<Service>,
    reach: Reach,
    namespace: String,
}

impl Errand {
    async fn run(&self, due: &Due, way: &Way) -> Result<Option<String>, Failure> {
        match way {
            Way::Release(channel) => {
                let secret = match channel.secret() {
                    Some(key) => Some(secret(&self.client, &self.namespace, key).await?),
                    None => None,
                };
                let check = |address: &str| {
                    let checked = self.reach.check(address, &self.namespace, |name| {
                        is_own_service(&self.services, &self.namespace, name)
                    });
                    checked.map(|reached| reached.url).map_err(|refused| refused.to_string())
                };
                self.courier.bring(due, channel, secret.as_deref(), check).await
            }
            Way::Operator(channel) => {
                let secret = match channel.secret() {
                    Some(SecretFile { file }) => {
                        let read = tokio::fs::read_to_string(file).await;
                        Some(read.map_err(|error| {
                            Failure::passing(format!("{}: it cannot be read: {error}", file.display()))
                        })?)
                    }
                    None => None,
                };
                let check = |address: &str| {
                    Url::parse(address).map_err(|error| format!("its address is none: {error}"))
                };
                self.courier.bring(due, channel, secret.as_deref(), check).await
            }
        }
    }
}

/// What is in a Secret of a Release's namespace. Nothing of it is kept.
pub(super) async fn secret(
    client: &Client,
    namespace: &str,
    SecretKey { name, key }: &SecretKey,
) -> Result<String, Failure> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let found = secrets.get_opt(name).await.map_err(|error| match error {
        kube::Error::Api(status) if status.code == 403 => Failure::passing(format!(
            "the agent may not read Secret {name}: call it serin-notifications, or give the agent's ServiceAccount a Role \
             with get on it"
        )),
        error => Failure::passing(format!("Secret {name} cannot be read: {}", chain(&error))),
    })?;
    let data = found.ok_or_else(|| Failure::passing(format!("there is no Secret {name}: create it")))?.data;
    let value = data.unwrap_or_default().remove(key);
    let value = value.ok_or_else(|| Failure::passing(format!("Secret {name} has no key {key}: add it")))?;
    String::from_utf8(value.0).map_err(|_| Failure::lasting(format!("key {key} of Secret {name} is no text")))
}

/// Whether the namespace has a Service of this name with pods of its own.
pub(super) fn is_own_service(services: &Store<Service>, namespace: &str, name: &str) -> bool {
    let spec = get(services, namespace, name).and_then(|service| service.spec.clone());
    spec.is_some_and(|spec| {
        spec.type_.as_deref() != Some("ExternalName")
            && spec.selector.is_some_and(|selector| !selector.is_empty())
    })
}
