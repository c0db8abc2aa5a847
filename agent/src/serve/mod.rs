/*!
What the agent answers: health, readiness, metrics and status over HTTP for anybody, commands over a Unix socket in
the agent's own folder for those whom the file system lets in.

Whoever can reach a port can read; only whoever may write the agent's folder can change a release.
*/
mod access;
pub mod cluster;
pub mod control;
pub mod modules;
pub mod site;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::metrics::Metrics;
use crate::standalone::View;
use crate::view::board::Board;

/// Below which path the pages for people are.
pub const PAGE: &str = "/page";

/// What the answers are made from.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The agent's view.
    pub view: watch::Receiver<View>,
    /// The agent's metrics.
    pub metrics: Arc<Metrics>,
    /// The same for people.
    pub board: Arc<Board>,
    /// How often the agent looks at its proxies.
    pub interval: Duration,
}

/// The read-only pages.
pub fn pages(shown: Shown) -> Router {
    let site = site::site(PAGE, Arc::clone(&shown.board), site::Access::Anyone, None);
    Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .with_state(shown)
        .merge(site)
}

/// Alive: the loop has come round not long ago.
async fn health(State(shown): State<Shown>) -> Response {
    let looked_at = shown.view.borrow().looked_at;
    let age = looked_at
        .and_then(|at| Duration::try_from(Timestamp::now().duration_since(at)).ok())
        .unwrap_or_default();
    // A look waits up to two seconds for each silent proxy, all at once.
    if age > shown.interval * 10 + Duration::from_secs(10) {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("the loop stands still for {} s\n", age.as_secs()))
            .into_response();
    }
    "ok\n".into_response()
}

/// Ready: the last look was taken and what followed from it was carried out.
async fn ready(State(shown): State<Shown>) -> Response {
    let view = shown.view.borrow();
    match (&view.trouble, view.looked_at) {
        (Some(trouble), _) => (StatusCode::SERVICE_UNAVAILABLE, format!("{trouble}\n")).into_response(),
        (None, None) => (StatusCode::SERVICE_UNAVAILABLE, "no look at the proxies yet\n").into_response(),
        (None, Some(_)) => "ok\n".into_response(),
    }
}

async fn metrics(State(shown): State<Shown>) -> Response {
    metrics_of(&shown.metrics)
}

fn metrics_of(metrics: &Metrics) -> Response {
    match metrics.encode() {
        Ok(text) => {
            ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
                .into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn status(State(shown): State<Shown>) -> Json<View> {
    Json(shown.view.borrow().clone())
}

#[cfg(test)]
mod tests;
