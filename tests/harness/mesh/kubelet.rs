/*!
The one node of the mesh: it takes every pod there is, runs what is in it, and says how that goes.

A pod's containers are servers of this process, named by their images ([`super::image`]), except the one called
`istio-proxy`, which is a real one, and those whose image is a program ([`super::program`]). Pods without either listen on
addresses that are local here; a pod with one has a network of its own, and with a sidecar iptables there that hand it
whatever comes in.
*/
mod containers;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use self::containers::Containers;
use super::inside::{HOST, Inside};
use super::program;
use super::proxy::{self, Role};
use super::status::Report;

/// How long to wait before the API server is asked again.
const AGAIN: Duration = Duration::from_millis(200);

const NODE: &str = "node";

/// The node at work. It stops, with all of its pods, when this is dropped.
#[derive(Debug)]
pub(super) struct Kubelet {
    work: AbortHandle,
}

impl Kubelet {
    /// Registers the node and takes up work.
    pub(super) async fn start(client: Client, inside: Arc<Inside>) -> Result<Self> {
        let nodes: Api<Node> = Api::all(client.clone());
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}});
        nodes.create(&PostParams::default(), &serde_json::from_value(node)?).await?;
        let status = json!({"status": {
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            "addresses": [{"type": "InternalIP", "address": HOST}],
        }});
        nodes.patch_status(NODE, &PatchParams::default(), &Patch::Merge(status)).await?;
        let host = Arc::new(Host { client, inside, plain: AtomicU32::new(0), own: AtomicU32::new(0) });
        Ok(Self { work: tokio::spawn(work(host)).abort_handle() })
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.work.abort();
    }
}

/// What pods are run with.
struct Host {
    client: Client,
    inside: Arc<Inside>,
    plain: AtomicU32,
    own: AtomicU32,
}

impl Host {
    /// An address for a pod; `behind_bridge` if it has a network of its own. None is ever given twice.
    fn address(&self, behind_bridge: bool) -> Ipv4Addr {
        let (counter, block) = if behind_bridge { (&self.own, 129) } else { (&self.plain, 1) };
        let number = counter.fetch_add(1, Ordering::Relaxed);
        // 250 to a block, so that none ends in 0 or 255.
        let offset = number / 250 * 256 + number % 250 + 1;
        Ipv4Addr::from_bits(Ipv4Addr::new(10, 244, block, 0).to_bits() + offset)
    }
}

/// Hands every pod to a task of its own, and tells that task of every change.
async fn work(host: Arc<Host>) {
    let mut tasks = JoinSet::new();
    let mut pods: HashMap<String, watch::Sender<Pod>> = HashMap::new();
    let mut listed = Vec::new();
    let mut events = pin!(watcher(Api::all(host.client.clone()), watcher::Config::default()));
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitDone) => pods.retain(|uid, _| listed.contains(uid)),
            Ok(Event::Apply(pod)) => take(&host, &mut tasks, &mut pods, pod),
            Ok(Event::InitApply(pod)) => {
                listed.extend(pod.uid());
                take(&host, &mut tasks, &mut pods, pod);
            }
            // Its task hears that nobody will tell it anything any more.
            Ok(Event::Delete(pod)) => drop(pods.remove(&pod.uid().unwrap_or_default())),
            Err(_) => sleep(AGAIN).await,
        }
        while tasks.try_join_next().is_some() {}
    }
}

fn take(host: &Arc<Host>, tasks: &mut JoinSet<()>, pods: &mut HashMap<String, watch::Sender<Pod>>, pod: Pod) {
    let uid = pod.uid().unwrap_or_default();
    if let Some(known) = pods.get(&uid) {
        known.send_replace(pod);
        return;
    }
    let (sender, updates) = watch::channel(pod);
    pods.insert(uid, sender);
    let host = Arc::clone(host);
    tasks.spawn(async move {
        let name = updates.borrow().name_any();
        if let Err(error) = live(&host, updates).await {
            eprintln!("pod {name}: {error:#}");
        }
    });
}

/// A pod's life.
async fn live(host: &Host, mut updates: watch::Receiver<Pod>) -> Result<()> {
    let pod = updates.borrow_and_update().clone();
    let api: Api<Pod> =
        Api::namespaced(host.client.clone(), &pod.namespace().context("pods are namespaced")?);
    bind(&api, &pod).await;
    let has_proxy = containers::has_proxy(&pod);
    let token = if has_proxy { Some(proxy::token(&host.client, &pod).await?) } else { None };
    if has_proxy && Role::of(&pod) == Role::Sidecar {
        mark(&api, &pod).await;
    }
    if containers::has_program(&pod) {
        program::furnish(&host.client, &host.inside, &pod).await?;
    }
    let address = host.address(containers::has_network(&pod));
    let (say, mut said) = mpsc::unbounded_channel();
    let containers = Containers::start(&host.inside, &pod, address, token.as_deref(), &say).await?;
    let mut report = Report { address, began: Timestamp::now(), containers: containers.states() };
    loop {
        write_status(&api, &pod, &report.status()).await;
        // Whatever happened while that was under way goes into one report.
        tokio::select! {
            Some((index, state)) = said.recv() => {
                report.containers[index].state = state;
                while let Ok((index, state)) = said.try_recv() {
                    report.containers[index].state = state;
                }
            }
            end = end_of_life(&containers, &mut updates) => {
                end?;
                break;
            }
        }
    }
    tokio::select! {
        () = sleep(containers.stop_after()) => {}
        () = removed(&mut updates) => {}
    }
    drop(containers);
    delete(&api, &pod).await;
    Ok(())
}

/// Comes back when the pod is to end; until then, hands on how its servers are to behave.
async fn end_of_life(containers: &Containers, updates: &mut watch::Receiver<Pod>) -> Result<()> {
    while updates.changed().await.is_ok() {
        let pod = updates.borrow_and_update();
        if pod.metadata.deletion_timestamp.is_some() {
            break;
        }
        containers.hint(&pod)?;
    }
    Ok(())
}

/// Comes back when the pod is gone.
async fn removed(updates: &mut watch::Receiver<Pod>) {
    while updates.changed().await.is_ok() {}
}

async fn bind(api: &Api<Pod>, pod: &Pod) {
    if pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()) {
        return;
    }
    let name = pod.name_any();
    let binding = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": name},
        "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
    });
    let params = PostParams::default();
    persist(|| api.create_subresource::<_, Value>("binding", &name, &params, &binding)).await;
}

/// Istio's injector does this, and nothing else that matters here.
async fn mark(api: &Api<Pod>, pod: &Pod) {
    let (label, value) = proxy::SPEAKS_MTLS;
    let patch = Patch::Merge(json!({"metadata": {"uid": pod.uid(), "labels": {label: value}}}));
    let (name, params) = (pod.name_any(), PatchParams::default());
    persist(|| api.patch(&name, &params, &patch)).await;
}

async fn write_status(api: &Api<Pod>, pod: &Pod, status: &Value) {
    // With the uid, it is never written to another pod of the same name.
    let patch = Patch::Merge(json!({"metadata": {"uid": pod.uid()}, "status": status}));
    let (name, params) = (pod.name_any(), PatchParams::default());
    persist(|| api.patch_status(&name, &params, &patch)).await;
}

async fn delete(api: &Api<Pod>, pod: &Pod) {
    let params = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(Preconditions { uid: pod.uid(), resource_version: None }),
        ..DeleteParams::default()
    };
    let name = pod.name_any();
    persist(|| api.delete(&name, &params)).await;
}

/// Tries until the API server has given an answer, be it that the pod is gone.
async fn persist<T, F: Future<Output = kube::Result<T>>>(attempt: impl Fn() -> F) {
    loop {
        match attempt().await {
            Ok(_) => return,
            Err(kube::Error::Api(status)) if [404, 409, 422].contains(&status.code) => return,
            Err(_) => sleep(AGAIN).await,
        }
    }
}
