/*!
The server in a plain pod: it says who it is and what it was asked, and fails and dawdles as it was told to.
*/
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
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
}

impl Backend {
    pub(super) fn new(identity: Answer, manners: Manners) -> Self {
        Self { identity, state: Mutex::new((manners, StdRng::seed_from_u64(manners.seed))) }
    }

    /// Changes its manners from the next request on.
    pub(super) fn hint(&self, manners: Manners) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 != manners {
            *state = (manners, StdRng::seed_from_u64(manners.seed));
        }
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

async fn answer(State(backend): State<Arc<Backend>>, headers: HeaderMap) -> Response {
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
    if fails {
        let mark = [(ERROR_HEADER, HeaderValue::from_static("drawn"))];
        (StatusCode::INTERNAL_SERVER_ERROR, mark, axum::Json(answer)).into_response()
    } else {
        axum::Json(answer).into_response()
    }
}
