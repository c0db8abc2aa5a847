/*!
The latest version of each plugin that this agent has seen, by its watch or by its own writes, each read only once:
a plugin may be a megabyte, and two hundred releases look at it at every tick.
*/
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::Value;
use serin_policy::Leases;

use super::api_resources::{self, version};
use super::stores::MultiStore;
use crate::mesh::object::Edit;
use crate::mesh::plugin::contents::{self, Contents, Unreadable};
use crate::mesh::plugin::{self, Attachment, ModuleSource};

/// How long a watch may take to show what was written. Whoever deletes an object just then is noticed after that.
const WATCH_DELAY: Duration = Duration::from_secs(5);

/// One version of a plugin.
#[derive(Debug)]
pub(super) struct Plugin {
    object: Arc<DynamicObject>,
    json: Value,
    pub(super) contents: Result<Contents, Unreadable>,
    edits: OnceLock<Vec<Edit>>,
}

impl Plugin {
    fn read(object: Arc<DynamicObject>) -> Self {
        let json = api_resources::json(&object);
        let contents = contents::read(&json);
        Self { object, json, contents, edits: OnceLock::new() }
    }

    pub(super) fn object(&self) -> &DynamicObject {
        &self.object
    }

    /// Where it lives, if it is one of Serin's as Serin made it.
    pub(super) fn attachment(&self) -> Option<Attachment> {
        plugin::attachment_of(&self.json)
    }

    /// Which shard of the policies at `attachment` it holds. Its name alone tells, whatever others have made of it.
    pub(super) fn shard(&self, attachment: &Attachment) -> Option<usize> {
        let is_there = self.object.namespace().as_deref() == Some(&attachment.namespace);
        attachment.shard(&self.object.name_any()).filter(|_| is_there)
    }

    pub(super) fn policies(&self) -> &[Value] {
        self.contents.as_ref().map_or(&[], |contents| &contents.policies)
    }

    /// Until when those of them hold that hold only for so long.
    pub(super) fn leases(&self) -> Leases {
        self.contents.as_ref().map(|contents| contents.leases.clone()).unwrap_or_default()
    }

    /// The lease of `release` that is written there, in seconds since 1970.
    pub(super) fn until(&self, release: &str) -> Option<u64> {
        self.contents.as_ref().ok()?.leases.until(release)
    }

    /// Whether it has a policy of `release`.
    pub(super) fn holds(&self, release: &str) -> bool {
        self.policies().iter().any(|policy| contents::name(policy) == Some(release))
    }

    /// The module that it was given.
    pub(super) fn module(&self) -> Option<ModuleSource> {
        plugin::module_of(&self.json)
    }

    /// What others have changed in the plugin with this shard of `attachment`, besides its policies.
    pub(super) fn edits(&self, attachment: &Attachment, shard: usize, module: &ModuleSource) -> &[Edit] {
        self.edits.get_or_init(|| {
            let module = self.module().unwrap_or_else(|| module.clone());
            let wanted = plugin::plugin(attachment, shard, &module, self.policies(), &self.leases());
            plugin::drift(&wanted, &self.json)
        })
    }
}

/// A namespace and a name.
type Key = (String, String);

/// All plugins.
pub(super) struct PluginCache {
    store: MultiStore<DynamicObject>,
    /// What was written here and has perhaps not come back through the watch yet, and when.
    written: Mutex<HashMap<Key, (Arc<DynamicObject>, Instant)>>,
    read: Mutex<HashMap<Key, Arc<Plugin>>>,
}

impl PluginCache {
    pub(super) fn new(store: MultiStore<DynamicObject>) -> Self {
        Self { store, written: Mutex::default(), read: Mutex::default() }
    }

    /// Takes note of what was written or looked up.
    pub(super) fn note(&self, object: Arc<DynamicObject>) {
        lock(&self.written).insert(key(&object), (object, Instant::now()));
    }

    /// Takes note that an object is not there any more.
    pub(super) fn forget(&self, namespace: &str, name: &str) {
        lock(&self.written).remove(&(namespace.to_owned(), name.to_owned()));
    }

    /// All there are, in no order.
    pub(super) fn all(&self) -> Vec<Arc<Plugin>> {
        let objects = self.objects();
        let mut read = lock(&self.read);
        read.retain(|key, _| objects.contains_key(key));
        let newest = |(key, object): (Key, Arc<DynamicObject>)| {
            let known = read.get(&key).filter(|known| version(&*known.object) == version(&*object));
            let plugin = known.cloned().unwrap_or_else(|| Arc::new(Plugin::read(object)));
            read.insert(key, Arc::clone(&plugin));
            plugin
        };
        objects.into_iter().map(newest).collect()
    }

    fn objects(&self) -> HashMap<Key, Arc<DynamicObject>> {
        let mut objects: HashMap<_, _> =
            self.store.state().into_iter().map(|object| (key(&object), object)).collect();
        let mut written = lock(&self.written);
        // What the watch has seen as well, or has seen a later version of, need not be kept here.
        written.retain(|key, (object, at)| {
            let seen = objects.get(key);
            at.elapsed() < WATCH_DELAY && seen.is_none_or(|seen| version(&**seen) < version(&**object))
        });
        objects.extend(written.iter().map(|(key, (object, _))| (key.clone(), Arc::clone(object))));
        objects
    }
}

fn key(object: &DynamicObject) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
