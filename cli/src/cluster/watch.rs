/*!
A Release as it changes, by the API server's watch.
*/
use anyhow::{Context, bail};
use futures::stream::{BoxStream, StreamExt};
use kube::core::DynamicObject;
use kube::runtime::{WatchStreamExt, watcher};
use serin_agent::errors::chain;
use serin_release::ReleaseObject;

use super::access::{Cluster, read};

/// A Release that is watched.
pub(super) struct Watch {
    changes: BoxStream<'static, watcher::Result<Option<DynamicObject>>>,
    name: String,
    namespace: String,
    is_seen: bool,
}

impl Watch {
    /// Watches the Release `name`.
    pub(super) fn begin(cluster: &Cluster, name: &str) -> Self {
        let changes = watcher::watch_object(cluster.releases(), name).default_backoff().boxed();
        Self { changes, name: name.to_owned(), namespace: cluster.namespace.clone(), is_seen: false }
    }

    /// The Release as it is, and then whenever it has changed.
    ///
    /// # Errors
    /// When it is not there, is deleted or may not be watched. A watch that is interrupted begins anew by itself.
    pub(super) async fn next(&mut self) -> anyhow::Result<ReleaseObject> {
        loop {
            match self.changes.next().await {
                Some(Ok(Some(object))) => {
                    self.is_seen = true;
                    return Ok(read(object));
                }
                Some(Ok(None)) if self.is_seen => bail!("{} is deleted", self.what()),
                Some(Ok(None)) => bail!("there is no {}", self.what()),
                Some(Err(error)) if self.is_seen => {
                    eprintln!("serin: the watch begins anew: {}", chain(&cause(error)));
                }
                Some(Err(error)) => {
                    return Err(cause(error)).with_context(|| format!("cannot watch {}", self.what()));
                }
                None => bail!("the watch of {} has ended", self.what()),
            }
        }
    }

    /// The Release's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn what(&self) -> String {
        format!("release {} in namespace {}", self.name, self.namespace)
    }
}

/// What has interrupted a watch.
pub(super) fn cause(error: watcher::Error) -> kube::Error {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => error,
        WatchError(status) => kube::Error::Api(status),
        NoResourceVersion => kube::Error::Service("the API server names no version".into()),
    }
}
