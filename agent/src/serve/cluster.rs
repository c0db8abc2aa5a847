/*!
What an agent in a cluster answers, whether or not it leads: health, metrics, and the module for the proxies.
*/
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::metrics_of;
use crate::MODULE;
use crate::metrics::Metrics;

#[derive(Debug, Clone)]
struct Shown {
    metrics: Arc<Metrics>,
    is_ready: watch::Receiver<bool>,
}

/// The SHA-256 of the module, in hexadecimal digits.
pub fn module_sha256() -> String {
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16));
    Sha256::digest(MODULE).iter().flat_map(digits).flatten().collect()
}

/// The path under which the module is served. Another module has another path.
pub fn module_path() -> String {
    format!("/module/{}.wasm", module_sha256())
}

/// The pages.
pub fn pages(metrics: Arc<Metrics>, is_ready: watch::Receiver<bool>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_page))
        .route("/module/{name}", get(module))
        .with_state(Shown { metrics, is_ready })
}

/// Ready: everything the cluster has is known. The module is served before that.
async fn ready(State(shown): State<Shown>) -> Response {
    if *shown.is_ready.borrow() {
        "ok\n".into_response()
    } else {
        let why = "not everything in the cluster is known yet: are Istio's CRDs installed, and may this agent watch them?\n";
        (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
    }
}

async fn metrics_page(State(shown): State<Shown>) -> Response {
    metrics_of(&shown.metrics)
}

async fn module(Path(name): Path<String>) -> Response {
    if format!("/module/{name}") != module_path() {
        return (StatusCode::NOT_FOUND, format!("the module of this agent is at {}\n", module_path()))
            .into_response();
    }
    ([(header::CONTENT_TYPE, "application/wasm")], MODULE).into_response()
}
