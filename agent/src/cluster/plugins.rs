/*!
The `WasmPlugin`s in the cluster: what is in force, and the writing of one release's policy into it.

Every write names the version of the object that it was planned from. Whoever comes late, an agent that has lost its
lease say, is refused and changes nothing.
*/
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::DynamicObject;
use kube::runtime::reflector::ObjectRef;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use serin_policy::PolicySpec;

use super::stores::Several;
use super::{FIELD_MANAGER, kinds};
use crate::mesh::plugin::contents::{self, Contents};
use crate::mesh::plugin::shards::{Shards, TooLarge, Write};
use crate::mesh::plugin::{self, Attachment, ModuleSource};
use crate::rollout::InForce;

/// All plugins of Serin.
pub(super) struct Plugins {
    client: Client,
    store: Several<DynamicObject>,
    module: ModuleSource,
    /// What was written here and has perhaps not come back through the watch yet.
    written: Mutex<Written>,
    /// One writer at a time for each attachment.
    locks: Mutex<HashMap<Attachment, Arc<tokio::sync::Mutex<()>>>>,
}

/// Objects by namespace and name, and when they were written.
type Written = HashMap<(String, String), (Arc<DynamicObject>, Instant)>;

/// How long a watch may take to show what was written. Whoever deletes an object just then is noticed after that.
const WATCH_DELAY: Duration = Duration::from_secs(5);

/// Why a policy could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// The API server refuses, or does not answer.
    #[error("WasmPlugin {0}: {1}")]
    Api(String, #[source] kube::Error),
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

impl Plugins {
    pub(super) fn new(client: Client, store: Several<DynamicObject>, module: ModuleSource) -> Self {
        Self { client, store, module, written: Mutex::default(), locks: Mutex::default() }
    }

    /// What all `attachments` say of `release`, taken together. Where they differ, the one that is furthest from
    /// `wanted` counts: it is to be set right.
    pub(super) fn in_force(
        &self,
        attachments: &[Attachment],
        release: &str,
        is_wanted: impl Fn(&InForce) -> bool,
    ) -> InForce {
        let mut found: Option<InForce> = None;
        for attachment in attachments {
            let here = self.in_force_at(attachment, release);
            if !matches!(here, InForce::Policy { .. }) {
                return here;
            }
            let replace = found.as_ref().is_none_or(&is_wanted);
            if replace {
                found = Some(here);
            }
        }
        found.unwrap_or(InForce::Nothing)
    }

    fn in_force_at(&self, attachment: &Attachment, release: &str) -> InForce {
        for (_, object) in self.of(attachment) {
            let contents = match contents::read(&kinds::json(&object)) {
                Ok(contents) => contents,
                Err(error) => return InForce::Unreadable { why: error.to_string() },
            };
            if let Some(in_force) = in_force(&contents, release) {
                return in_force;
            }
        }
        InForce::Nothing
    }

    /// What is wrong with the policy of `release` that proxies may complain of.
    pub(super) fn complaint(&self, attachments: &[Attachment]) -> Option<String> {
        let contents = attachments.iter().flat_map(|attachment| self.of(attachment));
        contents.filter_map(|(_, object)| contents::read(&kinds::json(&object)).ok()).find_map(|contents| {
            let lines: Vec<_> = contents.refusals().iter().map(ToString::to_string).collect();
            (!lines.is_empty()).then(|| lines.join("; "))
        })
    }

    /// Puts `policy` in force at `attachment`.
    ///
    /// # Errors
    /// When someone else has written meanwhile, the API server does not answer, or the policy has no room.
    pub(super) async fn write(&self, attachment: &Attachment, policy: &PolicySpec) -> Result<(), WriteError> {
        let lock = self.lock(attachment);
        let _only_one = lock.lock().await;
        let plugins = self.of(attachment);
        for write in shards(&plugins).place(policy)? {
            self.write_shard(attachment, &plugins, write).await?;
        }
        Ok(())
    }

    /// Takes the policy of `release` out of every plugin that is at none of `but`.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub(super) async fn remove(&self, release: &str, but: &[Attachment]) -> Result<(), WriteError> {
        for (attachment, plugins) in self.all() {
            if but.contains(&attachment) {
                continue;
            }
            let lock = self.lock(&attachment);
            let _only_one = lock.lock().await;
            for write in shards(&plugins).remove(release) {
                self.write_shard(&attachment, &plugins, write).await?;
            }
        }
        Ok(())
    }

    /// Releases that have a policy somewhere.
    pub(super) fn releases(&self) -> Vec<String> {
        let plugins = self.all().into_values().flatten();
        let mut names: Vec<_> = plugins
            .flat_map(|(_, object)| policies(&object))
            .filter_map(|policy| contents::name(&policy).map(str::to_owned))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Changes the plugins at `attachment` so that proxies without a module fetch it once more: this agent's, which is
    /// served for sure. The one that was there may be an older agent's, and gone with it.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub(super) async fn touch(&self, attachment: &Attachment, now: Timestamp) -> Result<(), WriteError> {
        let lock = self.lock(attachment);
        let _only_one = lock.lock().await;
        for (shard, object) in self.of(attachment) {
            let mut wanted = plugin::plugin(attachment, shard, &self.module, &policies(&object));
            plugin::touch(&mut wanted, now);
            self.apply(&wanted, object.resource_version()).await?;
        }
        Ok(())
    }

    /// Sets right what others have changed in the plugins at `attachment` besides the policies, and says what it was.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub(super) async fn set_right(
        &self,
        attachment: &Attachment,
        may_change_module: bool,
    ) -> Result<Vec<String>, WriteError> {
        let lock = self.lock(attachment);
        let _only_one = lock.lock().await;
        let mut edits = Vec::new();
        for (shard, object) in self.of(attachment) {
            let module = if may_change_module { self.module.clone() } else { self.module_of(&object) };
            let wanted = plugin::plugin(attachment, shard, &module, &policies(&object));
            let found = plugin::drift(&wanted, &kinds::json(&object));
            if !found.is_empty() {
                edits.extend(found.iter().map(|edit| format!("{}: {edit}", object.name_any())));
                self.apply(&wanted, object.resource_version()).await?;
            }
        }
        Ok(edits)
    }

    /// The module that a plugin was given.
    fn module_of(&self, object: &DynamicObject) -> ModuleSource {
        plugin::module_of(&kinds::json(object)).unwrap_or_else(|| self.module.clone())
    }

    async fn write_shard(
        &self,
        attachment: &Attachment,
        plugins: &[(usize, Arc<DynamicObject>)],
        Write { shard, policies }: Write,
    ) -> Result<(), WriteError> {
        let present = plugins.iter().find(|(at, _)| *at == shard).map(|(_, object)| object);
        if policies.is_empty() {
            return match present {
                Some(object) => self.delete(object).await,
                None => Ok(()),
            };
        }
        let module = present.map_or_else(|| self.module.clone(), |object| self.module_of(object));
        let wanted = plugin::plugin(attachment, shard, &module, &policies);
        self.apply(&wanted, present.and_then(|object| object.resource_version())).await
    }

    async fn apply(&self, wanted: &Value, version: Option<String>) -> Result<(), WriteError> {
        let mut wanted = wanted.clone();
        // Without a version this makes a new object, or overwrites one that nobody has seen yet.
        if let (Some(version), Some(metadata)) = (version, wanted["metadata"].as_object_mut()) {
            metadata.insert("resourceVersion".to_owned(), json!(version));
        }
        let text = |field: &str| wanted["metadata"][field].as_str().unwrap_or_default().to_owned();
        let (namespace, name) = (text("namespace"), text("name"));
        let params = PatchParams::apply(FIELD_MANAGER).force();
        match self.api(&namespace).patch(&name, &params, &Patch::Apply(&wanted)).await {
            Ok(object) => {
                self.note(object);
                Ok(())
            }
            Err(error) => {
                self.look_again(&namespace, &name).await;
                Err(WriteError::Api(format!("{namespace}/{name}"), error))
            }
        }
    }

    async fn delete(&self, object: &DynamicObject) -> Result<(), WriteError> {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let preconditions = Preconditions { resource_version: object.resource_version(), uid: object.uid() };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match self.api(&namespace).delete(&name, &params).await {
            Ok(_) => {
                self.lock_written().remove(&(namespace, name));
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(WriteError::Api(format!("{namespace}/{name}"), error)),
        }
    }

    /// A refused write means that what is known is old: the next plan is to go by what is there.
    async fn look_again(&self, namespace: &str, name: &str) {
        match self.api(namespace).get_opt(name).await {
            Ok(Some(object)) => self.note(object),
            Ok(None) => {
                self.lock_written().remove(&(namespace.to_owned(), name.to_owned()));
            }
            // Not to be known now: the watch will tell.
            Err(_) => {}
        }
    }

    fn note(&self, object: DynamicObject) {
        let key = (object.namespace().unwrap_or_default(), object.name_any());
        self.lock_written().insert(key, (Arc::new(object), Instant::now()));
    }

    /// The plugins at `attachment`, by shard, each in the latest version anybody here has seen.
    fn of(&self, attachment: &Attachment) -> Vec<(usize, Arc<DynamicObject>)> {
        let mut found: Vec<_> = self
            .known()
            .into_iter()
            .filter(|object| object.namespace().as_deref() == Some(&attachment.namespace))
            .filter_map(|object| Some((attachment.shard(&object.name_any())?, object)))
            .collect();
        found.sort_by_key(|(shard, _)| *shard);
        found
    }

    /// All plugins of Serin's, by attachment.
    fn all(&self) -> HashMap<Attachment, Vec<(usize, Arc<DynamicObject>)>> {
        let mut all: HashMap<_, Vec<_>> = HashMap::new();
        for object in self.known() {
            let Some(attachment) = plugin::attachment_of(&kinds::json(&object)) else { continue };
            if let Some(shard) = attachment.shard(&object.name_any()) {
                all.entry(attachment).or_default().push((shard, object));
            }
        }
        all
    }

    fn known(&self) -> Vec<Arc<DynamicObject>> {
        let mut written = self.lock_written();
        // What the watch has seen as well, or has seen a later version of, need not be kept here.
        written.retain(|(namespace, name), (object, at)| {
            let seen = self.store.get(&ObjectRef::new_with(name, kinds::wasm_plugin()).within(namespace));
            at.elapsed() < WATCH_DELAY && seen.is_none_or(|seen| version(&seen) < version(object))
        });
        let key = |object: &DynamicObject| (object.namespace().unwrap_or_default(), object.name_any());
        let mut known: HashMap<_, _> =
            self.store.state().into_iter().map(|object| (key(&object), object)).collect();
        known.extend(written.iter().map(|(key, (object, _))| (key.clone(), Arc::clone(object))));
        known.into_values().collect()
    }

    fn lock(&self, attachment: &Attachment) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(attachment.clone()).or_default())
    }

    fn lock_written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn api(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kinds::wasm_plugin())
    }
}

fn in_force(contents: &Contents, release: &str) -> Option<InForce> {
    if let Some(policy) = contents.policy(release) {
        return Some(InForce::of(policy));
    }
    let refusals: Vec<_> = contents.refusals().iter().map(ToString::to_string).collect();
    contents.raw(release).map(|_| InForce::Unreadable { why: refusals.join("; ") })
}

fn shards(plugins: &[(usize, Arc<DynamicObject>)]) -> Shards {
    Shards::new(plugins.iter().map(|(shard, object)| (*shard, policies(object))))
}

fn policies(object: &DynamicObject) -> Vec<Value> {
    let policies = object.data.pointer("/spec/pluginConfig/policies").and_then(Value::as_array);
    policies.cloned().unwrap_or_default()
}

/// Later versions of an object have higher numbers.
fn version(object: &DynamicObject) -> u64 {
    object.resource_version().and_then(|version| version.parse().ok()).unwrap_or_default()
}
