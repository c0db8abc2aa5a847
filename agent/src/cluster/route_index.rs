/*!
Everybody's VirtualServices and DestinationRules, found by the hosts they have: a release looks at those of its own hosts
again when one of these has changed, and not whenever anybody's has.
*/
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use futures::StreamExt;
use kube::ResourceExt;
use kube::api::Api;
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::runtime::watcher::Event;
use serde_json::Value;
use tokio::sync::watch;

use super::api_resources;
use super::watching::{self, Sight};
use crate::mesh::routing::hosts_had_by;

/// All VirtualServices and DestinationRules that are watched.
#[derive(Clone)]
pub(super) struct RouteIndex {
    index: Arc<RwLock<Index>>,
    /// How many kinds do not know yet all there is.
    unready: watch::Receiver<usize>,
}

/// A kind, a namespace and a name.
type Key = (String, String, String);

#[derive(Debug)]
struct Known {
    object: Arc<Value>,
    hosts: Vec<String>,
}

#[derive(Debug, Default)]
struct Index {
    objects: HashMap<Key, Known>,
    by_host: HashMap<String, BTreeSet<Key>>,
    /// Those with a wildcard among their hosts: they may have anybody's.
    wild: BTreeSet<Key>,
    /// Of hosts that something has: which change of all was the last that concerned it.
    changes: HashMap<String, u64>,
    /// The last change of all that concerned something with a wildcard, or took a host's last object away.
    changes_of_any: u64,
    /// How often anything has changed.
    all_changes: u64,
}

impl RouteIndex {
    /// Watches objects of each of `kinds`. `on_change` is given what has changed, or nothing when all of it may have.
    pub(super) fn watch(
        kinds: Vec<(ApiResource, Api<DynamicObject>)>,
        on_change: impl Fn(Option<&DynamicObject>) + Clone + Send + 'static,
    ) -> Self {
        let index = Arc::<RwLock<Index>>::default();
        let (ready, unready) = watch::channel(kinds.len());
        for (kind, api) in kinds {
            tokio::spawn(follow(kind.kind, api, Arc::clone(&index), ready.clone(), on_change.clone()));
        }
        Self { index, unready }
    }

    /// Waits until all are known.
    pub(super) async fn wait_until_ready(&self) {
        // The watches last as long as the process.
        let _ = self.unready.clone().wait_for(|unready| *unready == 0).await;
    }

    /// The object of this kind and name.
    pub(super) fn get(&self, kind: &ApiResource, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let key = (kind.kind.clone(), namespace.to_owned(), name.to_owned());
        self.read(|index| index.objects.get(&key).map(|known| Arc::clone(&known.object)))
    }

    /// All objects of a kind, in no order.
    pub(super) fn all(&self, kind: &ApiResource) -> Vec<Arc<Value>> {
        self.read(|index| {
            let of_kind = index.objects.iter().filter(|((of, _, _), _)| *of == kind.kind);
            of_kind.map(|(_, known)| Arc::clone(&known.object)).collect()
        })
    }

    /// All objects, of either kind, that may have one of `hosts`.
    pub(super) fn with(&self, hosts: &[String]) -> Vec<Arc<Value>> {
        self.read(|index| index.with(hosts))
    }

    /// Another number whenever something has changed that may have one of `hosts`.
    pub(super) fn version(&self, hosts: &[String]) -> u64 {
        self.read(|index| index.version(hosts))
    }

    /// Another number whenever anything has changed.
    pub(super) fn version_of_all(&self) -> u64 {
        self.read(|index| index.all_changes)
    }

    fn read<T>(&self, read: impl FnOnce(&Index) -> T) -> T {
        read(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn follow(
    kind: String,
    api: Api<DynamicObject>,
    index: Arc<RwLock<Index>>,
    ready: watch::Sender<usize>,
    on_change: impl Fn(Option<&DynamicObject>),
) {
    let mut events = watching::watch(api, Sight::default()).boxed();
    let mut listed = Vec::new();
    let mut is_ready = false;
    let write = || index.write().unwrap_or_else(PoisonError::into_inner);
    while let Some(event) = events.next().await {
        match event {
            Event::Apply(object) => {
                write().put(key(&kind, &object), api_resources::json(&object));
                on_change(Some(&object));
            }
            Event::Delete(object) => {
                write().remove(&key(&kind, &object));
                on_change(Some(&object));
            }
            Event::Init => listed.clear(),
            Event::InitApply(object) => {
                listed.push((key(&kind, &object), api_resources::json(&object)));
            }
            Event::InitDone => {
                write().replace(&kind, std::mem::take(&mut listed));
                on_change(None);
                if !std::mem::replace(&mut is_ready, true) {
                    ready.send_modify(|unready| *unready -= 1);
                }
            }
        }
    }
}

fn key(kind: &str, object: &DynamicObject) -> Key {
    (kind.to_owned(), object.namespace().unwrap_or_default(), object.name_any())
}

fn is_wild(host: &str) -> bool {
    host.starts_with('*')
}

impl Index {
    fn put(&mut self, key: Key, object: Value) {
        let had = self.detach(&key);
        let hosts = hosts_had_by(&object);
        self.changed(&hosts);
        for host in &hosts {
            if is_wild(host) {
                self.wild.insert(key.clone());
            } else {
                self.by_host.entry(host.clone()).or_default().insert(key.clone());
            }
        }
        self.objects.insert(key, Known { object: Arc::new(object), hosts });
        self.forget_unused(&had);
    }

    fn remove(&mut self, key: &Key) {
        let had = self.detach(key);
        self.forget_unused(&had);
    }

    /// Takes an object out, and says which hosts it had.
    fn detach(&mut self, key: &Key) -> Vec<String> {
        let Some(known) = self.objects.remove(key) else { return Vec::new() };
        self.changed(&known.hosts);
        self.wild.remove(key);
        for host in &known.hosts {
            if let Some(keys) = self.by_host.get_mut(host) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_host.remove(host);
                }
            }
        }
        known.hosts
    }

    /// What is known of hosts that nobody has any more goes, and so everybody looks again.
    fn forget_unused(&mut self, hosts: &[String]) {
        for host in hosts.iter().filter(|host| !self.by_host.contains_key(*host)) {
            if self.changes.remove(host).is_some() {
                self.changes_of_any = self.all_changes;
            }
        }
    }

    /// Has `objects`, and no others of `kind`.
    fn replace(&mut self, kind: &str, objects: Vec<(Key, Value)>) {
        let old: Vec<_> = self.objects.keys().filter(|(of, _, _)| of == kind).cloned().collect();
        for key in old {
            self.remove(&key);
        }
        for (key, object) in objects {
            self.put(key, object);
        }
    }

    fn changed(&mut self, hosts: &[String]) {
        self.all_changes += 1;
        for host in hosts {
            if is_wild(host) {
                self.changes_of_any = self.all_changes;
            } else {
                self.changes.insert(host.clone(), self.all_changes);
            }
        }
    }

    fn with(&self, hosts: &[String]) -> Vec<Arc<Value>> {
        if hosts.iter().any(|host| is_wild(host)) {
            return self.objects.values().map(|known| Arc::clone(&known.object)).collect();
        }
        let exact = hosts.iter().filter_map(|host| self.by_host.get(host)).flatten();
        let keys: BTreeSet<_> = exact.chain(&self.wild).collect();
        keys.into_iter().filter_map(|key| Some(Arc::clone(&self.objects.get(key)?.object))).collect()
    }

    fn version(&self, hosts: &[String]) -> u64 {
        if hosts.iter().any(|host| is_wild(host)) {
            return self.all_changes;
        }
        let exact = hosts.iter().filter_map(|host| self.changes.get(host)).copied();
        exact.max().unwrap_or_default().max(self.changes_of_any)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn put(index: &mut Index, name: &str, hosts: &[&str]) {
        let object = json!({
            "kind": "VirtualService",
            "metadata": {"namespace": "shop", "name": name},
            "spec": {"hosts": hosts},
        });
        index.put(("VirtualService".to_owned(), "shop".to_owned(), name.to_owned()), object);
    }

    fn names(found: &[Arc<Value>]) -> Vec<&str> {
        let mut names: Vec<_> =
            found.iter().filter_map(|object| object["metadata"]["name"].as_str()).collect();
        names.sort_unstable();
        names
    }

    fn hosts(hosts: &[&str]) -> Vec<String> {
        hosts.iter().map(|host| (*host).to_owned()).collect()
    }

    #[test]
    fn an_object_is_found_by_its_hosts_and_one_with_a_wildcard_by_all() {
        let mut index = Index::default();
        put(&mut index, "a", &["a.com", "b.com"]);
        put(&mut index, "c", &["c.com"]);
        put(&mut index, "wild", &["*.com"]);
        for (wanted, expected) in [
            (&["a.com"] as &[_], &["a", "wild"] as &[_]),
            (&["b.com", "c.com"], &["a", "c", "wild"]),
            (&["d.com"], &["wild"]),
            (&["*.com"], &["a", "c", "wild"]),
        ] {
            assert_eq!(names(&index.with(&hosts(wanted))), expected, "{wanted:?}");
        }
        index.replace("VirtualService", Vec::new());
        assert_eq!(names(&index.with(&hosts(&["*"]))), [""; 0]);
        assert!(index.by_host.is_empty() && index.wild.is_empty() && index.changes.is_empty(), "{index:?}");
    }

    #[test]
    fn a_look_holds_until_something_with_one_of_its_hosts_changes() {
        let mut index = Index::default();
        put(&mut index, "a", &["a.com"]);
        put(&mut index, "b", &["b.com"]);
        let own = hosts(&["a.com"]);
        let before = index.version(&own);
        put(&mut index, "b", &["b.com", "c.com"]);
        assert_eq!(index.version(&own), before, "another host's object");
        // It takes the host, and gives it up again.
        put(&mut index, "b", &["a.com"]);
        let taken = index.version(&own);
        assert_ne!(taken, before);
        put(&mut index, "b", &["b.com"]);
        let given_up = index.version(&own);
        assert_ne!(given_up, taken);
        put(&mut index, "wild", &["*"]);
        assert_ne!(index.version(&own), given_up);
        // Its own object goes, and is no longer counted; a later one is news.
        let before = index.version(&own);
        index.remove(&("VirtualService".to_owned(), "shop".to_owned(), "a".to_owned()));
        let gone = index.version(&own);
        assert_ne!(gone, before);
        put(&mut index, "a", &["a.com"]);
        assert_ne!(index.version(&own), gone);
    }

    #[test]
    fn of_two_hosts_each_change_is_seen() {
        let mut index = Index::default();
        put(&mut index, "a", &["a.com"]);
        put(&mut index, "b", &["b.com"]);
        let both = hosts(&["a.com", "b.com"]);
        for name in ["a", "b"] {
            let before = index.version(&both);
            index.remove(&("VirtualService".to_owned(), "shop".to_owned(), name.to_owned()));
            assert_ne!(index.version(&both), before, "{name}");
        }
    }
}
