/*!
The `WasmPlugin`s in the cluster: what is in force, and the writing of one release's policy into it.

Every write names the version of the object that it was planned from. Whoever comes late, an agent that has lost its
lease say, is refused and changes nothing.
*/
mod leases;
mod modules;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::DynamicObject;
use kube::{Client, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};
use serin_policy::{Leases, PolicySpec};
use tokio::sync::oneshot;

use super::plugin_cache::{Plugin, PluginCache};
use super::repairs::{Object, Repairs, fingerprint};
use super::stores::MultiStore;
use super::{FIELD_MANAGER, api_resources, as_serin};
use crate::mesh::object::removal;
use crate::mesh::plugin::contents::{self, Contents};
use crate::mesh::plugin::shards::{Batch, Shards, TooLarge, Write};
use crate::mesh::plugin::{self, Attachment, ModuleSource};
use crate::serve::modules::Modules;
use leases::Vouched;
use serin_rollout::InForce;

/// All plugins of Serin.
pub(super) struct Plugins {
    client: Client,
    cache: PluginCache,
    module: ModuleSource,
    modules: Arc<Modules>,
    repairs: Arc<Repairs>,
    /// One writer at a time for each attachment.
    locks: Mutex<HashMap<Attachment, Arc<tokio::sync::Mutex<()>>>>,
    /// Policies that wait for the writer before them: the next one writes them all, for one write has room for many.
    waiting: Mutex<HashMap<Attachment, Vec<Waiting>>>,
    vouched: Vouched,
}

/// A policy that waits to be written.
struct Waiting {
    policy: PolicySpec,
    told: oneshot::Sender<Result<(), Arc<WriteError>>>,
}

/// Why a policy could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// The API server refuses, or does not answer.
    #[error("WasmPlugin {0}: {1}")]
    Api(String, #[source] kube::Error),
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// Another release's tick wrote it, or tried to.
    #[error(transparent)]
    Together(Arc<WriteError>),
    #[error("the policy was not written: whoever was about to has ended")]
    GivenUp,
}

impl Plugins {
    pub(super) fn new(
        client: Client,
        store: MultiStore<DynamicObject>,
        module: ModuleSource,
        modules: Arc<Modules>,
        repairs: Arc<Repairs>,
    ) -> Self {
        Self {
            client,
            cache: PluginCache::new(store),
            module,
            modules,
            repairs,
            locks: Mutex::default(),
            waiting: Mutex::default(),
            vouched: Vouched::default(),
        }
    }

    /// What all `attachments` say of `release`, taken together. Where they differ, the one that is furthest from
    /// `wanted` counts: it is to be set right.
    pub(super) fn in_force(
        &self,
        attachments: &[Attachment],
        release: &str,
        is_wanted: impl Fn(&InForce) -> bool,
        now: Timestamp,
    ) -> InForce {
        let mut found: Option<InForce> = None;
        for attachment in attachments {
            let here = self.in_force_at(attachment, release, now);
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

    fn in_force_at(&self, attachment: &Attachment, release: &str, now: Timestamp) -> InForce {
        for (_, plugin) in self.of(attachment) {
            match &plugin.contents {
                Err(error) => return InForce::Unreadable { why: error.to_string() },
                Ok(contents) => {
                    if let Some(in_force) = in_force(contents, release, now) {
                        return in_force;
                    }
                }
            }
        }
        InForce::Nothing
    }

    /// Takes note of how the policy of `release` is found at `attachments`, where all that `is_wanted` is to be in the state
    /// `wanted`. Says whether it is to be left alone for now, because somebody keeps changing it.
    pub(super) async fn policy_waits(
        &self,
        attachments: &[Attachment],
        release: &str,
        is_wanted: impl Fn(&InForce) -> bool,
        wanted: u64,
        now: Timestamp,
    ) -> bool {
        let mut waits = false;
        for attachment in attachments {
            let object = self.policy_at(attachment, release);
            if is_wanted(&self.in_force_at(attachment, release, now)) {
                self.repairs.is_right(&object);
            } else {
                waits |= !self.repairs.is_due(&object, None, wanted).await;
            }
        }
        waits
    }

    /// The policy of `release` at `attachment`, as somebody may keep changing it.
    fn policy_at(&self, attachment: &Attachment, release: &str) -> Object {
        let plugins = self.of(attachment);
        let shard = plugins.iter().find(|(_, plugin)| plugin.holds(release)).map_or(0, |(shard, _)| *shard);
        contested(attachment, shard, Some(policy_part(release)))
    }

    /// What is wrong with the policies at `attachments` that proxies may complain of.
    pub(super) fn complaint(&self, attachments: &[Attachment]) -> Option<String> {
        let plugins = attachments.iter().flat_map(|attachment| self.of(attachment));
        let refusals = plugins.flat_map(|(_, plugin)| {
            let refusals = plugin.contents.as_ref().map_or(&[][..], Contents::refusals);
            refusals.iter().map(ToString::to_string).collect::<Vec<_>>()
        });
        Some(refusals.collect::<Vec<_>>().join("; ")).filter(|refusals| !refusals.is_empty())
    }

    /// Puts `policy` in force at `attachment`, which is then in the state `wanted`.
    ///
    /// # Errors
    /// When someone else has written meanwhile, the API server does not answer, or the policy has no room.
    pub(super) async fn write(
        &self,
        attachment: &Attachment,
        policy: &PolicySpec,
        wanted: u64,
    ) -> Result<(), WriteError> {
        let (told, outcome) = oneshot::channel();
        let waiting = Waiting { policy: policy.clone(), told };
        self.lock_waiting().entry(attachment.clone()).or_default().push(waiting);
        let lock = self.lock(attachment);
        let only_one = lock.lock().await;
        self.write_waiting(attachment).await;
        drop(only_one);
        outcome.await.map_err(|_| WriteError::GivenUp)?.map_err(WriteError::Together)?;
        self.repairs.written(&self.policy_at(attachment, &policy.name), 0, wanted);
        Ok(())
    }

    /// Writes all policies that wait at `attachment`. Whoever calls it is the only one who does.
    async fn write_waiting(&self, attachment: &Attachment) {
        let mut waiting = self.lock_waiting().remove(attachment).unwrap_or_default();
        while !waiting.is_empty() {
            let plugins = self.of(attachment);
            let Batch { placed, writes } =
                shards(&plugins).batch(waiting.iter().map(|waiting| &waiting.policy));
            let own: Vec<_> = waiting.iter().map(|waiting| waiting.policy.name.as_str()).collect();
            let mut outcome = Ok(());
            for write in writes {
                if let Err(error) = self.write_shard(attachment, &plugins, write, &own).await {
                    outcome = Err(Arc::new(error));
                    break;
                }
            }
            for (Waiting { told, .. }, placed) in waiting.drain(..placed.len()).zip(placed) {
                // Nobody may be left to hear it.
                drop(
                    told.send(placed.map_err(|error| Arc::new(error.into())).and_then(|()| outcome.clone())),
                );
            }
        }
    }

    /// Takes the policy of `release` out of every plugin that is at none of `but`.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub(super) async fn remove(&self, release: &str, but: &[Attachment]) -> Result<(), WriteError> {
        let mut attachments = self.attachments_of(release);
        attachments.retain(|attachment| !but.contains(attachment));
        for attachment in attachments {
            let lock = self.lock(&attachment);
            let _only_one = lock.lock().await;
            let plugins = self.of(&attachment);
            for write in shards(&plugins).remove(release) {
                self.write_shard(&attachment, &plugins, write, &[]).await?;
            }
        }
        if but.is_empty() {
            self.vouched.forget(release);
        }
        Ok(())
    }

    /// Where `release` has a policy.
    pub(super) fn attachments_of(&self, release: &str) -> Vec<Attachment> {
        let all = self.cache.all().into_iter().filter(|plugin| plugin.holds(release));
        let all: HashSet<_> = all.filter_map(|plugin| plugin.attachment()).collect();
        all.into_iter().collect()
    }

    /// Releases that have a policy somewhere.
    pub(super) fn releases(&self) -> BTreeSet<String> {
        let all = self.cache.all();
        let policies = all.iter().flat_map(|plugin| plugin.policies());
        policies.filter_map(|policy| contents::name(policy).map(str::to_owned)).collect()
    }

    /// Sets right what others have changed in the plugins at `attachment` besides the policies, and says what it was.
    /// Between releases they get this agent's module, if they have another's.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub(super) async fn repair(
        &self,
        attachment: &Attachment,
        may_change_module: bool,
    ) -> Result<Vec<String>, WriteError> {
        let is_right = |(shard, plugin): &(usize, Arc<Plugin>)| {
            let is_unedited = plugin.edits(attachment, *shard, &self.module).is_empty();
            let has_module = !may_change_module || plugin.module().as_ref() == Some(&self.module);
            plugin.contents.is_err() || is_unedited && has_module
        };
        let (right, wrong): (Vec<_>, Vec<_>) = self.of(attachment).into_iter().partition(is_right);
        for (shard, _) in right {
            self.repairs.is_right(&contested(attachment, shard, None));
        }
        if wrong.is_empty() {
            return Ok(Vec::new());
        }
        let lock = self.lock(attachment);
        let _only_one = lock.lock().await;
        let mut told = Vec::new();
        for (shard, plugin) in self.of(attachment).iter().filter(|plugin| !is_right(plugin)) {
            let present = plugin.module().filter(|_| !may_change_module);
            let module = present.unwrap_or_else(|| self.module.clone());
            let wanted = plugin::plugin(attachment, *shard, &module, plugin.policies(), &plugin.leases());
            let object = contested(attachment, *shard, None);
            // Policies come and go without anybody's meddling.
            let bare = plugin::plugin(attachment, *shard, &module, &[], &Leases::default());
            let state = fingerprint(&bare.to_string());
            if !self.repairs.is_due(&object, None, state).await {
                continue;
            }
            let name = plugin.object().name_any();
            told.extend(
                plugin.edits(attachment, *shard, &self.module).iter().map(|edit| format!("{name}: {edit}")),
            );
            let applied = self.apply(&wanted, plugin.object().resource_version()).await?;
            self.repairs.written(&object, api_resources::version(&*applied), state);
            // What somebody else has put in is still theirs.
            if let Some(removal) = removal(&wanted, &api_resources::json(&applied)) {
                self.patch(&wanted, &as_serin(), &Patch::Merge(removal)).await?;
            }
        }
        Ok(told)
    }

    async fn write_shard(
        &self,
        attachment: &Attachment,
        plugins: &[(usize, Arc<Plugin>)],
        Write { shard, policies }: Write,
        own: &[&str],
    ) -> Result<(), WriteError> {
        let present = plugins.iter().find(|(at, _)| *at == shard).map(|(_, plugin)| plugin);
        if policies.is_empty() {
            return match present {
                Some(plugin) => self.delete(plugin.object()).await,
                None => Ok(()),
            };
        }
        let module = present.and_then(|plugin| plugin.module()).unwrap_or_else(|| self.module.clone());
        let leases = self.vouched.leases(plugins, &policies, own);
        let wanted = plugin::plugin(attachment, shard, &module, &policies, &leases);
        self.apply(&wanted, present.and_then(|plugin| plugin.object().resource_version())).await.map(drop)
    }

    async fn apply(&self, wanted: &Value, version: Option<String>) -> Result<Arc<DynamicObject>, WriteError> {
        let mut wanted = wanted.clone();
        // Without a version this makes a new object, or overwrites one that nobody has seen yet.
        if let (Some(version), Some(metadata)) = (version, wanted["metadata"].as_object_mut()) {
            metadata.insert("resourceVersion".to_owned(), json!(version));
        }
        self.patch(&wanted, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&wanted)).await
    }

    /// Patches the plugin of the same name as `wanted`, and returns it as it is then.
    async fn patch(
        &self,
        wanted: &Value,
        params: &PatchParams,
        patch: &Patch<impl Serialize + Debug>,
    ) -> Result<Arc<DynamicObject>, WriteError> {
        let text = |field: &str| wanted["metadata"][field].as_str().unwrap_or_default().to_owned();
        let (namespace, name) = (text("namespace"), text("name"));
        match self.api(&namespace).patch(&name, params, patch).await {
            Ok(object) => {
                let object = Arc::new(object);
                self.cache.note(Arc::clone(&object));
                Ok(object)
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
                self.cache.forget(&namespace, &name);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(WriteError::Api(format!("{namespace}/{name}"), error)),
        }
    }

    /// A refused write means that what is known is old: the next plan is to go by what is there.
    async fn look_again(&self, namespace: &str, name: &str) {
        match self.api(namespace).get_opt(name).await {
            Ok(Some(object)) => self.cache.note(Arc::new(object)),
            Ok(None) => self.cache.forget(namespace, name),
            // Not to be known now: the watch will tell.
            Err(_) => {}
        }
    }

    /// The plugins at `attachment`, by shard.
    fn of(&self, attachment: &Attachment) -> Vec<(usize, Arc<Plugin>)> {
        let all = self.cache.all().into_iter();
        let mut found: Vec<_> = all.filter_map(|plugin| Some((plugin.shard(attachment)?, plugin))).collect();
        found.sort_by_key(|(shard, _)| *shard);
        found
    }

    fn lock_waiting(&self) -> MutexGuard<'_, HashMap<Attachment, Vec<Waiting>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self, attachment: &Attachment) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(attachment.clone()).or_default())
    }

    fn api(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &api_resources::wasm_plugin())
    }
}

/// What the policy of `release` is called in a plugin that holds others as well.
pub(super) fn policy_part(release: &str) -> String {
    format!("the policy of {release}")
}

fn contested(attachment: &Attachment, shard: usize, part: Option<String>) -> Object {
    let kind = api_resources::wasm_plugin();
    Object { kind, namespace: attachment.namespace.clone(), name: attachment.name(shard), part }
}

fn in_force(contents: &Contents, release: &str, now: Timestamp) -> Option<InForce> {
    if let Some(policy) = contents.policy(release) {
        return Some(InForce::of(policy, contents.until(release), now));
    }
    let refusals: Vec<_> = contents.refusals().iter().map(ToString::to_string).collect();
    contents.raw(release).map(|_| InForce::Unreadable { why: refusals.join("; ") })
}

fn shards(plugins: &[(usize, Arc<Plugin>)]) -> Shards {
    Shards::new(plugins.iter().map(|(shard, plugin)| (*shard, plugin.policies().to_vec())))
}
