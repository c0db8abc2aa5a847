/*!
A small shop, as a real server: one instance for each version of it that is out.

It says in every answer which version it is, so that nobody has to take a proxy's word for it, and it fails and
dawdles exactly as much as it was told to.
*/
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use serin_policy::Arm;
use serin_policy::document::VERSION_HEADER;
use serin_policy::flags::FLAGS_HEADER;
use serin_policy::marks::MARK_HEADER;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// Marks the errors that the shop itself made.
pub const ERROR_HEADER: HeaderName = HeaderName::from_static("x-shop-error");

/// A version of the shop: `v2`. A later one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(pub u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

/// A text that is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no version: write v and a number")]
pub struct NotAVersion(String);

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let number = text.strip_prefix('v').and_then(|number| number.parse().ok());
        number.map(Self).ok_or_else(|| NotAVersion(text.to_owned()))
    }
}

impl TryFrom<String> for Version {
    type Error = NotAVersion;

    fn try_from(text: String) -> Result<Self, NotAVersion> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

/// What is deployed: a version with its virtues and vices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Build {
    /// Which version it says it is.
    pub version: Version,
    /// The share of requests that it answers with 500, from 0 to 1.
    pub error_share: f64,
    /// How long an answer takes on average; each takes between half and one and a half times as long.
    pub delay: Duration,
}

/// What every answer of the shop says, errors included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// Which of the two deployments answers: `stable` or `canary`.
    pub deployment: String,
    /// The version that is deployed there.
    pub version: Version,
    /// The version header that came with the request.
    pub x_serin_version: Option<String>,
    /// The feature flags that came with the request.
    pub x_serin_flags: Option<String>,
}

/// A running shop. It is closed when this is dropped.
#[derive(Debug)]
pub struct Shop {
    address: SocketAddr,
    inside: Arc<Inside>,
    server: AbortHandle,
}

#[derive(Debug)]
struct Inside {
    deployment: Arm,
    state: Mutex<(Build, StdRng)>,
    /// How many requests have come, by method, and by what came in [`MARK_HEADER`].
    came: Mutex<HashMap<(Method, String), u64>>,
}

impl Shop {
    /// Opens a shop that is the `deployment` of that name, on a port of the kernel's choice. Its errors and delays
    /// are drawn from `seed`.
    pub async fn start(deployment: Arm, build: Build, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let listener = listener.tap_io(|connection| {
            // A connection that it cannot be set for is slower, and no worse.
            let _ = connection.set_nodelay(true);
        });
        let state = Mutex::new((build, StdRng::seed_from_u64(seed)));
        let inside = Arc::new(Inside { deployment, state, came: Mutex::default() });
        let shop = Router::new().fallback(answer).with_state(Arc::clone(&inside));
        let server = tokio::spawn(axum::serve(listener, shop).into_future()).abort_handle();
        Ok(Self { address, inside, server })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is deployed now.
    pub fn build(&self) -> Build {
        self.inside.state.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// How many requests of this method have come so far that were marked so; without a mark it is empty.
    pub fn came(&self, method: &Method, mark: &str) -> u64 {
        let came = self.inside.came.lock().unwrap_or_else(PoisonError::into_inner);
        came.get(&(method.clone(), mark.to_owned())).copied().unwrap_or_default()
    }

    /// Puts `build` in the place of what was deployed, from the next request on.
    pub fn deploy(&self, build: Build) {
        self.inside.state.lock().unwrap_or_else(PoisonError::into_inner).0 = build;
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(inside): State<Arc<Inside>>, method: Method, headers: HeaderMap) -> Response {
    let told = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let kind = (method, told(MARK_HEADER).unwrap_or_default());
    *inside.came.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default() += 1;
    let (version, fails, delay) = {
        let mut state = inside.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (build, chance) = &mut *state;
        (
            build.version,
            chance.random::<f64>() < build.error_share,
            build.delay.mul_f64(chance.random_range(0.5..1.5)),
        )
    };
    // The delay is the shop's work, not a wait for something.
    sleep(delay).await;
    let deployment = inside.deployment.as_str().to_owned();
    let (x_serin_version, x_serin_flags) = (told(VERSION_HEADER), told(FLAGS_HEADER));
    let answer = Answer { deployment, version, x_serin_version, x_serin_flags };
    // The line's end is for those who look at it with curl.
    let line = format!("{}\n", serde_json::to_string(&answer).unwrap_or_default());
    let answer = ([(CONTENT_TYPE, "application/json")], line);
    if fails {
        let mark = [(ERROR_HEADER, HeaderValue::from_static("drawn"))];
        (StatusCode::INTERNAL_SERVER_ERROR, mark, answer).into_response()
    } else {
        answer.into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(version: u32, error_share: f64) -> Build {
        Build { version: Version(version), error_share, delay: Duration::from_millis(1) }
    }

    async fn visit(shop: &Shop) -> (u16, bool, Answer) {
        let client = serin_agent::http::plain().build().unwrap();
        let request = client.get(format!("http://{}/", shop.address())).header(VERSION_HEADER, "canary");
        let response = request.send().await.unwrap();
        let (status, marked) = (response.status().as_u16(), response.headers().contains_key(ERROR_HEADER));
        (status, marked, response.json().await.unwrap())
    }

    #[tokio::test]
    async fn it_says_who_it_is_and_what_it_was_asked_for() {
        let shop = Shop::start(Arm::Canary, build(2, 0.0), 1).await.unwrap();
        let (status, marked, answer) = visit(&shop).await;
        assert_eq!((status, marked), (200, false));
        let expected = Answer {
            deployment: "canary".to_owned(),
            version: Version(2),
            x_serin_version: Some("canary".to_owned()),
            x_serin_flags: None,
        };
        assert_eq!(answer, expected);
    }

    #[tokio::test]
    async fn another_build_takes_over_from_the_next_request_on() {
        let shop = Shop::start(Arm::Stable, build(1, 0.0), 1).await.unwrap();
        shop.deploy(build(2, 1.0));
        let (status, marked, answer) = visit(&shop).await;
        assert_eq!((status, marked, answer.version), (500, true, Version(2)));
    }

    #[tokio::test]
    async fn errors_come_at_the_share_that_was_asked_for_and_the_same_for_the_same_seed() {
        let mut runs = Vec::new();
        for _ in 0..2 {
            let shop = Shop::start(Arm::Stable, build(1, 0.3), 7).await.unwrap();
            let mut statuses = Vec::new();
            for _ in 0..100 {
                statuses.push(visit(&shop).await.0);
            }
            runs.push(statuses);
        }
        let errors = runs[0].iter().filter(|&&status| status == 500).count();
        assert!((15..=45).contains(&errors), "{errors} of 100");
        assert_eq!(runs[0], runs[1]);
    }

    #[test]
    fn later_versions_are_greater_and_read_as_they_are_written() {
        assert!("v10".parse::<Version>().unwrap() > Version(9));
        for wrong in ["", "2", "v", "v-1", "version"] {
            assert_eq!(wrong.parse::<Version>(), Err(NotAVersion(wrong.to_owned())));
        }
    }
}
