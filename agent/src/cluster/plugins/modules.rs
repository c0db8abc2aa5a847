/*!
The modules that plugins name: which of them agents have, and having proxies fetch one again.
*/
use std::collections::BTreeSet;

use jiff::Timestamp;
use kube::ResourceExt;

use super::{Plugins, WriteError};
use crate::mesh::plugin::{self, Attachment, ModuleSource};

impl Plugins {
    /// Has the modules served that proxies are told to fetch from agents: those of this agent's predecessors, from whoever
    /// still has them.
    pub(in crate::cluster) async fn serve_all(&self) {
        let plugins = self.cache.all();
        let modules: BTreeSet<_> = plugins
            .iter()
            .filter_map(|plugin| plugin.module().filter(|module| module.base() == self.module.base()))
            .map(|module| module.sha256().to_owned())
            .collect();
        for digest in modules {
            if self.modules.get_or_fetch(&digest).await.is_none() {
                tracing::warn!(digest, "no agent has the module that some proxies are told to fetch");
            }
        }
    }

    /// Changes the plugins at `attachment` so that proxies without a module fetch it once more: this agent's, where the one
    /// that they were told of is not served any more.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub(in crate::cluster) async fn touch(
        &self,
        attachment: &Attachment,
        now: Timestamp,
    ) -> Result<(), WriteError> {
        let lock = self.lock(attachment);
        let _only_one = lock.lock().await;
        for (shard, plugin) in self.of(attachment) {
            let is_served = |module: &ModuleSource| {
                module.base() == self.module.base() && self.modules.get(module.sha256()).is_some()
            };
            let module = plugin.module().filter(is_served).unwrap_or_else(|| self.module.clone());
            let mut wanted = plugin::plugin(attachment, shard, &module, plugin.policies(), &plugin.leases());
            plugin::touch(&mut wanted, now);
            self.apply(&wanted, plugin.object().resource_version()).await?;
        }
        Ok(())
    }
}
