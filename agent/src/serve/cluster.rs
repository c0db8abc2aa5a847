/*!
What an agent in a cluster answers, whether or not it leads: health, metrics, and the module for the proxies.
*/
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;

use super::metrics_of;
use super::modules::{ASKED_BY_AGENT, Modules, is_digest, sha256};
use crate::MODULE;
use crate::metrics::Metrics;

#[derive(Debug, Clone)]
struct Shown {
    metrics: Arc<Metrics>,
    is_ready: watch::Receiver<bool>,
    modules: Arc<Modules>,
}

/// The SHA-256 of the module, in hexadecimal digits.
pub fn module_sha256() -> String {
    sha256(MODULE)
}

/// The path under which the module is served. Another module has another path.
pub fn module_path() -> String {
    format!("/module/{}.wasm", module_sha256())
}

/// The pages.
pub fn pages(metrics: Arc<Metrics>, is_ready: watch::Receiver<bool>, modules: Arc<Modules>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_page))
        .route("/module/{name}", get(module))
        .with_state(Shown { metrics, is_ready, modules })
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

/// Another agent that asks has asked this one because it has no other way; it is not asked in turn.
async fn module(State(shown): State<Shown>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let digest = name.strip_suffix(".wasm").unwrap_or_default();
    let asked_by_agent = headers.contains_key(ASKED_BY_AGENT);
    let module =
        if asked_by_agent { shown.modules.get(digest) } else { shown.modules.get_or_fetch(digest).await };
    if module.is_none() && is_digest(digest) && !asked_by_agent {
        shown.metrics.module_missing();
    }
    match module {
        Some(module) => ([(header::CONTENT_TYPE, "application/wasm")], module).into_response(),
        None => (StatusCode::NOT_FOUND, format!("the module of this agent is at {}\n", module_path()))
            .into_response(),
    }
}
