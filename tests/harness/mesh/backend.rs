/*!
The server in a plain pod: it says who it is and what it was asked, and fails and dawdles as it was told to.

It counts what it has answered as Istio has a sidecar count it, which no stock Envoy does.
*/
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use serin_local::shop::ERROR_HEADER;
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::image::Manners;

/// What every answer of a pod says, errors included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The namespace it runs in.
    pub namespace: String,
    /// The Deployment it belongs to.
    pub deployment: String,
    /// Its name.
    pub pod: String,
    /// The tag of its image.
    pub version: String,
    /// The headers of the request; the values of one that came several times are joined by a comma.
    pub headers: BTreeMap<String, String>,
}

/// A server, on as many ports as its pod has.
#[derive(Debug)]
pub(super) struct Backend {
    /// What it says, but for the headers.
    identity: Answer,
    state: Mutex<(Manners, StdRng)>,
    began: Instant,
    /// What it has answered, by status.
    answered: Mutex<BTreeMap<u16, u64>>,
}

impl Backend {
    pub(super) fn new(identity: Answer, manners: Manners) -> Self {
        let state = Mutex::new((manners, StdRng::seed_from_u64(manners.seed)));
        Self { identity, state, began: Instant::now(), answered: Mutex::default() }
    }

    /// Changes its manners from the next request on.
    pub(super) fn hint(&self, manners: Manners) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 != manners {
            *state = (manners, StdRng::seed_from_u64(manners.seed));
        }
    }

    /// What a sidecar in front of it would say, whose Service is called as its Deployment begins.
    fn stats(&self) -> String {
        let service = self.identity.deployment.split('-').next().unwrap_or_default();
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let series = answered.iter().map(|(status, count)| {
            format!(
                "istio_requests_total{{reporter=\"destination\",destination_service_name=\"{service}\",response_code=\"{status}\"}} {count}\n"
            )
        });
        let uptime = self.began.elapsed().as_secs();
        let types = "# TYPE istio_requests_total counter\n# TYPE envoy_server_uptime gauge\n";
        format!("{types}{}envoy_server_uptime{{}} {uptime}\n", series.collect::<String>())
    }

    /// Serves for as long as this is polled.
    pub(super) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let listener = listener.tap_io(|connection| {
            // A connection that it cannot be set for is slower, and no worse.
            let _ = connection.set_nodelay(true);
        });
        let router = Router::new().fallback(answer).with_state(self);
        // It serves for ever: what can be wrong with a connection is the connection's own business.
        let _ = axum::serve(listener, router).await;
    }
}

async fn answer(State(backend): State<Arc<Backend>>, uri: Uri, headers: HeaderMap) -> Response {
    if uri.path() == "/stats/prometheus" {
        return backend.stats().into_response();
    }
    let (fails, delay) = {
        let mut state = backend.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (manners, chance) = &mut *state;
        (chance.random::<f64>() < manners.errors, manners.delay.mul_f64(chance.random_range(0.5..1.5)))
    };
    // The delay is the server's work, not a wait for something.
    sleep(delay).await;
    let mut answer = backend.identity.clone();
    for (name, value) in &headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let seen = answer.headers.entry(name.to_string()).or_default();
        if !seen.is_empty() {
            seen.push(',');
        }
        seen.push_str(&value);
    }
    let status = if fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
    *backend.answered.lock().unwrap_or_else(PoisonError::into_inner).entry(status.as_u16()).or_default() += 1;
    if fails {
        let mark = [(ERROR_HEADER, HeaderValue::from_static("drawn"))];
        (status, mark, axum::Json(answer)).into_response()
    } else {
        axum::Json(answer).into_response()
    }
}
