/*!
The leases of policies: this agent vouches for those releases that it looks at, and writes until when.

A plugin holds many releases. Whoever writes it writes all that this agent vouches for meanwhile, so that there is one
write for all of them at a third of their leases, and not one for each.
*/
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::Value;
use serin_policy::Leases;
use serin_rollout::Term;

use super::{Plugin, Plugins, WriteError};
use crate::mesh::plugin::Attachment;
use crate::mesh::plugin::contents;
use crate::mesh::plugin::shards::Write;

/// Until when this agent vouches for releases, by name, in seconds since 1970; none where nothing is to run out.
#[derive(Default)]
pub(super) struct Vouched(Mutex<HashMap<String, Option<u64>>>);

impl Vouched {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Option<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing more is to be said of `release`.
    pub(super) fn forget(&self, release: &str) {
        self.lock().remove(release);
    }

    /// The leases of `policies`, where `plugins` have what was written last. Those of `own` releases are as they are to be. Of
    /// others only those are prolonged that are there, since another agent may have led meanwhile, and that have not run
    /// out: who goes on is for their own look to say.
    pub(super) fn leases(
        &self,
        plugins: &[(usize, Arc<Plugin>)],
        policies: &[Value],
        own: &[&str],
    ) -> Leases {
        let (vouched, now) = (self.lock(), Timestamp::now().as_second());
        let is_held = |until: u64| i64::try_from(until).is_ok_and(|until| now < until);
        let found = |name: &str| plugins.iter().filter_map(|(_, plugin)| plugin.until(name)).max();
        let lease = |name: &str| match (vouched.get(name), found(name)) {
            (Some(until), _) if own.contains(&name) => *until,
            (Some(Some(until)), Some(found)) if is_held(found) => Some(found.max(*until)),
            (_, found) => found,
        };
        let names = policies.iter().filter_map(contents::name);
        names.filter_map(|name| Some((name.to_owned(), lease(name)?))).collect()
    }
}

impl Plugins {
    /// Takes note that `release` was looked at `now`, and that what is in force after this look may stay for `term`.
    pub(in crate::cluster) fn vouch(&self, release: &str, term: Term, now: Timestamp) {
        match term {
            // What is found is left as it is.
            Term::AsItIs => self.vouched.forget(release),
            Term::Open | Term::For(_) => {
                self.vouched.lock().insert(release.to_owned(), term.lease(None, now));
            }
        }
    }

    /// Renews the lease of `release` at `attachments`, where it is due.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub(in crate::cluster) async fn renew(
        &self,
        attachments: &[Attachment],
        release: &str,
        term: Term,
        now: Timestamp,
    ) -> Result<(), WriteError> {
        let is_due = |plugin: &Plugin| plugin.holds(release) && term.is_due(plugin.until(release), now);
        for attachment in attachments {
            if !self.of(attachment).iter().any(|(_, plugin)| is_due(plugin)) {
                continue;
            }
            let lock = self.lock(attachment);
            let _only_one = lock.lock().await;
            // Another release's look may have seen to it meanwhile.
            let plugins = self.of(attachment);
            for (shard, plugin) in plugins.iter().filter(|(_, plugin)| is_due(plugin)) {
                let write = Write { shard: *shard, policies: plugin.policies().to_vec() };
                self.write_shard(attachment, &plugins, write, &[release]).await?;
            }
        }
        Ok(())
    }
}
