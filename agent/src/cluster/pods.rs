/*!
The cluster's pods, found by their labels: there may be tens of thousands, and every look at a release asks for some.

A watch keeps the index up; a question costs what it finds, not what there is.
*/
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateWaiting, ContainerStatus, Pod, PodCondition, PodStatus,
};
use kube::ResourceExt;
use kube::api::Api;
use kube::runtime::watcher::Event;
use tokio::sync::watch;

use super::watching::{self, Sight};
use crate::mesh::object::{Labels, selects};

/// What Istio calls its container, in gateways and beside applications.
const PROXY_CONTAINER: &str = "istio-proxy";

/// The label of a pod whose proxy nobody waits for: it can never run the filter, or never be asked.
const IGNORED: (&str, &str) = ("serin.dev/proxy", "ignored");

/// All pods that are watched.
#[derive(Clone)]
pub(super) struct Pods {
    index: Arc<RwLock<Index>>,
    /// How many watches do not know yet all there is.
    unready: watch::Receiver<usize>,
}

/// A pod, as far as it matters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KnownPod {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) labels: Labels,
    /// Whether it is about to end.
    pub(super) ends: bool,
    /// Where it takes requests, if it is ready to.
    pub(super) ready_at: Option<IpAddr>,
    /// Where its proxy is asked, if it has one that takes requests.
    pub(super) proxy: Option<IpAddr>,
    /// Whether its node is gone, as far as the cluster knows: it is not ready, and yet its containers were when they were
    /// last heard of.
    pub(super) is_cut_off: bool,
    /// Its containers that wait for something: for what, and what is said of it.
    pub(super) waiting: Vec<(String, Option<String>)>,
    /// How often a container of it was started again, and what it last ended of; none if none was.
    pub(super) restarted: Option<(i32, String)>,
    /// What is not so, of what should be.
    pub(super) unmet: Vec<PodCondition>,
}

type Key = (String, String);

#[derive(Debug, Default)]
struct Index {
    pods: BTreeMap<Key, Arc<KnownPod>>,
    by_label: HashMap<(String, String), BTreeSet<Key>>,
}

impl Pods {
    /// Watches the pods of each of `scopes`: a namespace, or all of them.
    pub(super) fn watch(scopes: Vec<(Option<String>, Api<Pod>)>) -> Self {
        let index = Arc::<RwLock<Index>>::default();
        let (ready, unready) = watch::channel(scopes.len());
        for (namespace, api) in scopes {
            tokio::spawn(follow(namespace, api, Arc::clone(&index), ready.clone()));
        }
        Self { index, unready }
    }

    /// Waits until all pods are known.
    pub(super) async fn wait_until_ready(&self) {
        // The watches last as long as the process.
        let _ = self.unready.clone().wait_for(|unready| *unready == 0).await;
    }

    /// The pods in `namespace`, in the order of their names.
    pub(super) fn in_namespace(&self, namespace: &str) -> Vec<Arc<KnownPod>> {
        self.read(|index| index.in_namespace(namespace))
    }

    /// The pods of all namespaces that have `labels`, in the order of their names.
    pub(super) fn with(&self, labels: &Labels) -> Vec<Arc<KnownPod>> {
        self.read(|index| index.with(labels))
    }

    fn read<T>(&self, read: impl FnOnce(&Index) -> T) -> T {
        read(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn follow(
    namespace: Option<String>,
    api: Api<Pod>,
    index: Arc<RwLock<Index>>,
    ready: watch::Sender<usize>,
) {
    let mut events = watching::watch(api, Sight::default()).boxed();
    let mut listed = Vec::new();
    let mut is_ready = false;
    let write = || index.write().unwrap_or_else(PoisonError::into_inner);
    while let Some(event) = events.next().await {
        match event {
            Event::Apply(pod) => write().put(KnownPod::from(&pod)),
            Event::Delete(pod) => write().remove(&key(&KnownPod::from(&pod))),
            Event::Init => listed.clear(),
            Event::InitApply(pod) => listed.push(KnownPod::from(&pod)),
            Event::InitDone => {
                write().replace(namespace.as_deref(), std::mem::take(&mut listed));
                if !std::mem::replace(&mut is_ready, true) {
                    ready.send_modify(|unready| *unready -= 1);
                }
            }
        }
    }
}

fn key(pod: &KnownPod) -> Key {
    (pod.namespace.clone(), pod.name.clone())
}

impl Index {
    fn put(&mut self, pod: KnownPod) {
        let key = key(&pod);
        self.remove(&key);
        for (name, value) in &pod.labels {
            self.by_label.entry((name.clone(), value.clone())).or_default().insert(key.clone());
        }
        self.pods.insert(key, Arc::new(pod));
    }

    fn remove(&mut self, key: &Key) {
        let Some(pod) = self.pods.remove(key) else { return };
        for (name, value) in &pod.labels {
            let label = (name.clone(), value.clone());
            if let Some(keys) = self.by_label.get_mut(&label) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_label.remove(&label);
                }
            }
        }
    }

    /// Has `pods`, and no others in `namespace`, or in all of them.
    fn replace(&mut self, namespace: Option<&str>, pods: Vec<KnownPod>) {
        let is_old = |(of, _): &&Key| namespace.is_none_or(|namespace| of == namespace);
        let old: Vec<_> = self.pods.keys().filter(is_old).cloned().collect();
        for key in old {
            self.remove(&key);
        }
        for pod in pods {
            self.put(pod);
        }
    }

    fn in_namespace(&self, namespace: &str) -> Vec<Arc<KnownPod>> {
        let from = (namespace.to_owned(), String::new());
        let own = self.pods.range(from..).take_while(|((of, _), _)| of == namespace);
        own.map(|(_, pod)| Arc::clone(pod)).collect()
    }

    fn with(&self, labels: &Labels) -> Vec<Arc<KnownPod>> {
        let having = |(name, value): (&String, &String)| self.by_label.get(&(name.clone(), value.clone()));
        // A label that nobody has finds nobody; no label finds nobody either.
        let found = labels.iter().map(having).collect::<Option<Vec<_>>>();
        let fewest = found.and_then(|found| found.into_iter().min_by_key(|keys| keys.len()));
        let pods = fewest.into_iter().flatten().filter_map(|key| self.pods.get(key));
        pods.filter(|pod| selects(labels, &pod.labels)).cloned().collect()
    }
}

impl From<&Pod> for KnownPod {
    fn from(pod: &Pod) -> Self {
        let status = pod.status.clone().unwrap_or_default();
        let ends = pod.metadata.deletion_timestamp.is_some();
        // One that ends takes no new requests, and may answer no question any more.
        let is_ignored = pod.labels().get(IGNORED.0).is_some_and(|value| value == IGNORED.1);
        let is_running = !ends && status.phase.as_deref() == Some("Running");
        let takes_requests = is_running && has_proxy(&status) && !is_ignored;
        let is_so = |kind: &str, so: &str| {
            status
                .conditions
                .iter()
                .flatten()
                .any(|condition| condition.type_ == kind && condition.status == so)
        };
        // A gate is another reason for the one without the other.
        let has_gates =
            pod.spec.as_ref().is_some_and(|spec| spec.readiness_gates.iter().flatten().count() > 0);
        let is_cut_off = !has_gates && is_so("Ready", "False") && is_so("ContainersReady", "True");
        let address = status.pod_ip.as_deref().and_then(|ip| ip.parse().ok());
        let containers = || status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
        let waits = |container: &ContainerStatus| match &container.state {
            Some(ContainerState { waiting: Some(ContainerStateWaiting { reason, message }), .. }) => {
                reason.clone().map(|reason| (reason, message.clone()))
            }
            _ => None,
        };
        let unmet = |condition: &PodCondition| condition.status == "False";
        Self {
            namespace: pod.namespace().unwrap_or_default(),
            name: pod.name_any(),
            labels: pod.labels().clone(),
            ends,
            ready_at: address.filter(|_| is_running && is_so("Ready", "True")),
            proxy: address.filter(|_| takes_requests),
            is_cut_off,
            waiting: containers().filter_map(waits).collect(),
            restarted: containers().filter_map(restarted).max(),
            unmet: status.conditions.into_iter().flatten().filter(unmet).collect(),
        }
    }
}

/// How often a container was started again, if it was, and what it last ended of.
fn restarted(container: &ContainerStatus) -> Option<(i32, String)> {
    let ended = container.last_state.as_ref()?.terminated.as_ref()?;
    let reason = ended.reason.as_deref().unwrap_or("an end");
    Some((container.restart_count, format!("{reason}, exit code {}", ended.exit_code)))
}

/// Whether a proxy in it is ready: beside the application or, as a native sidecar, before it.
fn has_proxy(status: &PodStatus) -> bool {
    let containers = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    let mut proxies = containers.filter(|container| container.name == PROXY_CONTAINER);
    proxies.any(|container| container.ready)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(namespace: &str, name: &str, labels: &[(&str, &str)], more: serde_json::Value) -> KnownPod {
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        let metadata = json!({"namespace": namespace, "name": name, "labels": labels});
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {}});
        pod["status"] = more;
        KnownPod::from(&serde_json::from_value::<Pod>(pod).unwrap())
    }

    fn plain(namespace: &str, name: &str, labels: &[(&str, &str)]) -> KnownPod {
        pod(namespace, name, labels, json!({}))
    }

    fn labels(labels: &[(&str, &str)]) -> Labels {
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn names(pods: &[Arc<KnownPod>]) -> Vec<&str> {
        pods.iter().map(|pod| &*pod.name).collect()
    }

    fn shops() -> Index {
        let mut index = Index::default();
        index.replace(
            None,
            vec![
                plain("shop", "b", &[("app", "shop"), ("version", "v2")]),
                plain("shop", "a", &[("app", "shop"), ("version", "v1")]),
                plain("cart", "c", &[("app", "cart"), ("version", "v1")]),
            ],
        );
        index
    }

    #[test]
    fn pods_are_found_by_all_of_the_labels_and_by_their_namespace() {
        let index = shops();
        for (wanted, expected) in [
            (&[("app", "shop")] as &[_], &["a", "b"] as &[_]),
            (&[("version", "v1")], &["c", "a"]),
            (&[("app", "shop"), ("version", "v1")], &["a"]),
            (&[("app", "cart"), ("version", "v2")], &[]),
            (&[("app", "nobody")], &[]),
            (&[], &[]),
        ] {
            assert_eq!(names(&index.with(&labels(wanted))), expected, "{wanted:?}");
        }
        assert_eq!(names(&index.in_namespace("shop")), ["a", "b"]);
        assert_eq!(names(&index.in_namespace("sho")), [""; 0]);
    }

    #[test]
    fn a_pod_is_not_found_by_what_it_was() {
        let mut index = shops();
        index.put(plain("shop", "a", &[("app", "shop"), ("version", "v3")]));
        assert_eq!(names(&index.with(&labels(&[("version", "v1")]))), ["c"]);
        assert_eq!(names(&index.with(&labels(&[("version", "v3")]))), ["a"]);
        index.remove(&("shop".to_owned(), "a".to_owned()));
        assert_eq!(names(&index.in_namespace("shop")), ["b"]);
        index.replace(Some("shop"), vec![plain("shop", "d", &[("app", "shop")])]);
        assert_eq!(names(&index.with(&labels(&[("app", "shop")]))), ["d"]);
        assert_eq!(names(&index.in_namespace("cart")), ["c"]);
        index.replace(None, Vec::new());
        assert!(index.by_label.is_empty() && index.pods.is_empty(), "{index:?}");
    }

    #[test]
    fn a_proxy_is_asked_while_it_takes_requests() {
        let status = |phase: &str, field: &str, name: &str, ready: bool| {
            let container =
                json!({"name": name, "ready": ready, "image": "", "imageID": "", "restartCount": 0});
            json!({"phase": phase, "podIP": "10.0.0.7", field: [container]})
        };
        for (status, expected) in [
            (status("Running", "containerStatuses", "istio-proxy", true), true),
            (status("Running", "initContainerStatuses", "istio-proxy", true), true),
            (status("Running", "containerStatuses", "istio-proxy", false), false),
            (status("Running", "containerStatuses", "shop", true), false),
            (status("Succeeded", "containerStatuses", "istio-proxy", true), false),
        ] {
            assert_eq!(pod("shop", "a", &[], status.clone()).proxy.is_some(), expected, "{status}");
        }
        let asked = status("Running", "containerStatuses", "istio-proxy", true);
        assert_eq!(pod("shop", "a", &[IGNORED], asked).proxy, None);
    }

    #[test]
    fn a_pod_is_cut_off_when_only_its_containers_are_said_to_be_ready() {
        for (ready, containers, expected) in
            [("False", "True", true), ("True", "True", false), ("False", "False", false)]
        {
            let condition = |kind: &str, status: &str| json!({"type": kind, "status": status});
            let status =
                json!({"conditions": [condition("Ready", ready), condition("ContainersReady", containers)]});
            assert_eq!(pod("shop", "a", &[], status).is_cut_off, expected, "{ready} {containers}");
        }
    }
}
