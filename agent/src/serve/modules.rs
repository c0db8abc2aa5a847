/*!
The modules that this agent serves: its own, and those of agents of other versions, which it fetches from them. While agents
are replaced, proxies ask whichever of them the Service leads to.
*/
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use reqwest::Client;
use reqwest::header::CONNECTION;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use crate::MODULE;
use crate::errors::chain;

/// In a request of one agent to another, which is not handed on.
pub const ASKED_BY_AGENT: &str = "x-serin-agent";

/// How often another agent is asked: the Service may lead to this one.
const ATTEMPTS: usize = 4;

/// How long one of them may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The largest module that is taken from another agent, in bytes.
const LARGEST: u64 = 16 * 1024 * 1024;

/// All modules that this agent serves.
#[derive(Debug)]
pub struct Modules {
    own: String,
    /// Where proxies reach agents; none where they have the module from elsewhere.
    base: Option<String>,
    others: RwLock<HashMap<String, Bytes>>,
    client: Client,
    /// One is fetched at a time.
    fetching: Mutex<()>,
}

impl Modules {
    /// Its own. `base` is the URL at which proxies reach this agent and all others.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub fn new(base: Option<&str>) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            own: sha256(MODULE),
            base: base.map(str::to_owned),
            others: RwLock::default(),
            client: crate::http::plain().timeout(PATIENCE).build()?,
            fetching: Mutex::default(),
        }))
    }

    /// The module with this digest, if it is served here.
    pub fn get(&self, digest: &str) -> Option<Bytes> {
        if digest == self.own {
            return Some(Bytes::from_static(MODULE));
        }
        self.others.read().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    /// The same; one that is not served here is fetched from another agent and kept.
    pub async fn get_or_fetch(&self, digest: &str) -> Option<Bytes> {
        if let Some(known) = self.get(digest) {
            return Some(known);
        }
        let base = self.base.as_deref().filter(|_| is_digest(digest))?;
        let _only_one = self.fetching.lock().await;
        if let Some(known) = self.get(digest) {
            return Some(known);
        }
        let url = format!("{base}/module/{digest}.wasm");
        for _ in 0..ATTEMPTS {
            match self.fetch(&url).await {
                Ok(module) if sha256(&module) == digest => {
                    tracing::info!(digest, "another agent's module is served as well");
                    let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
                    others.insert(digest.to_owned(), module.clone());
                    return Some(module);
                }
                Ok(_) => tracing::debug!(digest, "another agent has answered with another module"),
                Err(error) => tracing::debug!(digest, "another agent's module: {}", chain(&error)),
            }
        }
        None
    }

    async fn fetch(&self, url: &str) -> Result<Bytes, reqwest::Error> {
        // Each time by another connection, which may lead to another agent.
        let request = self.client.get(url).header(ASKED_BY_AGENT, "1").header(CONNECTION, "close");
        let answer = request.send().await?.error_for_status()?;
        if answer.content_length().is_none_or(|length| length > LARGEST) {
            return Ok(Bytes::new());
        }
        answer.bytes().await
    }
}

/// Whether a module can be called so at all.
pub(super) fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The SHA-256 of a module, in hexadecimal digits.
pub fn sha256(module: &[u8]) -> String {
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16));
    Sha256::digest(module).iter().flat_map(digits).flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::get;
    use tokio::net::TcpListener;

    use super::*;

    /// Agents behind one address, of which every second request meets one that has `module`.
    async fn agents(module: &'static [u8]) -> String {
        let asked = Arc::new(AtomicUsize::new(0));
        let answer = async move |headers: HeaderMap| {
            let is_hit = asked.fetch_add(1, Ordering::Relaxed) % 2 == 1;
            if is_hit && headers.contains_key(ASKED_BY_AGENT) {
                (StatusCode::OK, module)
            } else {
                (StatusCode::NOT_FOUND, &b"not here"[..])
            }
        };
        let router = Router::new().fallback(get(answer));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        base
    }

    #[tokio::test]
    async fn another_agents_module_is_fetched_and_served() {
        let digest = sha256(b"theirs");
        let modules = Modules::new(Some(&agents(b"theirs").await)).unwrap();
        assert_eq!(modules.get(&digest), None);
        assert_eq!(modules.get_or_fetch(&digest).await.as_deref(), Some(&b"theirs"[..]));
        assert_eq!(modules.get(&digest).as_deref(), Some(&b"theirs"[..]));
        assert_eq!(modules.get(&sha256(MODULE)).as_deref(), Some(MODULE));
    }

    #[tokio::test]
    async fn what_is_not_what_was_asked_for_is_not_served() {
        let modules = Modules::new(Some(&agents(b"another one").await)).unwrap();
        for digest in [&*sha256(b"theirs"), "../livez"] {
            assert_eq!(modules.get_or_fetch(digest).await, None, "{digest}");
        }
        assert_eq!(Modules::new(None).unwrap().get_or_fetch(&sha256(b"theirs")).await, None);
    }
}
