/*!
A watch that goes on: how soon it is begun again where it was interrupted, what is told of that, and whether what it watches
can be seen at all.
*/
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use kube::Resource;
use kube::api::Api;
use kube::runtime::watcher::{self, Event, watcher};
use serde::de::DeserializeOwned;

/// How soon an interrupted watch is begun again at first.
const SOON: Duration = Duration::from_millis(200);

/// It is never so late that anybody goes by what was half a minute ago. A few watches of few agents are no burden.
const LATEST: Duration = Duration::from_secs(3);

/// The same of objects that cannot be seen until somebody installs them, or gives the right to.
const UNSEEN: Duration = Duration::from_secs(30);

/// Why nobody knows which objects there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unseen {
    /// The API server has not answered yet.
    NotYet,
    /// The cluster does not know their kind.
    NoSuchKind,
    /// The agent may not see them.
    Forbidden,
}

/// Whether all objects of a watch are known.
#[derive(Debug, Clone)]
pub(super) struct Sight(Arc<Mutex<Result<(), Unseen>>>);

impl Default for Sight {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Err(Unseen::NotYet))))
    }
}

impl Sight {
    /// # Errors
    /// Why they are not.
    pub(super) fn get(&self) -> Result<(), Unseen> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, sight: Result<(), Unseen>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sight;
    }
}

/// What keeps a watch from going on, at the moment.
#[derive(Debug, Default)]
struct Interruption {
    /// How often it was begun again in vain.
    in_vain: u32,
    /// What was told.
    told: Option<String>,
}

impl Interruption {
    /// How long to wait after `error`, of which this is told if it is news.
    fn after(&mut self, error: &watcher::Error) -> (Duration, Option<String>) {
        let latest = if unseen(error).is_some() { UNSEEN } else { LATEST };
        let wait = SOON.saturating_mul(2_u32.saturating_pow(self.in_vain)).min(latest);
        self.in_vain = self.in_vain.saturating_add(1);
        let text = error.to_string();
        let is_news = self.told.as_ref() != Some(&text);
        self.told = Some(text.clone());
        (wait, is_news.then_some(text))
    }
}

/// What is watched by `api`, for as long as the process lasts. `sight` is told where it cannot be seen.
pub(super) fn watch<K>(api: Api<K>, sight: Sight) -> impl Stream<Item = Event<K>> + Send
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let kind = api.resource_url().to_owned();
    let events = watcher(api, watcher::Config::default()).boxed();
    stream::unfold((events, Interruption::default()), move |(mut events, mut interruption)| {
        let (sight, kind) = (sight.clone(), kind.clone());
        async move {
            loop {
                match events.next().await? {
                    Ok(event) => {
                        // That a list is asked for is no sign that there will be one.
                        if !matches!(event, Event::Init) {
                            interruption = Interruption::default();
                        }
                        return Some((event, (events, interruption)));
                    }
                    Err(error) => {
                        if let Some(unseen) = unseen(&error) {
                            sight.set(Err(unseen));
                        }
                        let (wait, news) = interruption.after(&error);
                        if let Some(news) = news {
                            tracing::warn!("watching {kind} is interrupted: {news}");
                        }
                        tokio::time::sleep(wait).await;
                    }
                }
            }
        }
    })
}

/// Why none of the objects can be seen, if an error says so.
fn unseen(error: &watcher::Error) -> Option<Unseen> {
    let watcher::Error::InitialListFailed(kube::Error::Api(status)) = error else { return None };
    match status.code {
        404 => Some(Unseen::NoSuchKind),
        403 => Some(Unseen::Forbidden),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    /// How long is waited after each of these answers of the API server, in ms, with a `!` where it is told.
    #[track_caller]
    fn check(codes: &[u16], expected: &str) {
        let mut interruption = Interruption::default();
        let waits = codes.iter().map(|code| {
            let status = Status::failure(&format!("answer {code}"), "Any").with_code(*code);
            let error = watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)));
            let (wait, news) = interruption.after(&error);
            format!("{}{}", wait.as_millis(), if news.is_some() { "!" } else { "" })
        });
        assert_eq!(waits.collect::<Vec<_>>().join(" "), expected, "{codes:?}");
    }

    #[test]
    fn what_cannot_be_seen_is_asked_for_ever_more_rarely_and_told_once() {
        check(&[404; 10], "200! 400 800 1600 3200 6400 12800 25600 30000 30000");
        check(&[503; 7], "200! 400 800 1600 3000 3000 3000");
        check(&[503, 403, 403, 503], "200! 400! 800 1600!");
    }
}
