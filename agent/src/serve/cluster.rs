/*!
What an agent in a cluster answers, whether or not it leads: health, metrics, and the module for the proxies. Of a release the
one that leads answers, to those who may read it.
*/
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use kube::Client;
use tokio::sync::watch;

use super::access::may_read;
use super::modules::{ASKED_BY_AGENT, Modules, is_digest, sha256};
use super::site::{Access, PageAccess, site};
use super::{PAGE, metrics_of};
use crate::MODULE;
use crate::metrics::Metrics;
use crate::view::board::Board;

#[derive(Clone)]
struct Shown {
    metrics: Arc<Metrics>,
    is_ready: watch::Receiver<bool>,
    modules: Arc<Modules>,
    board: Arc<Board>,
    client: Client,
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
///
/// `client` is asked who may read of the releases on `board`. Those who have the `access` have the pages for people besides.
pub fn pages(
    metrics: Arc<Metrics>,
    is_ready: watch::Receiver<bool>,
    modules: Arc<Modules>,
    board: Arc<Board>,
    access: Option<PageAccess>,
    client: Client,
) -> Router {
    let access = access.map(|access| match access {
        PageAccess::Anyone => Access::Anyone,
        PageAccess::Viewers => Access::Viewers(client.clone()),
    });
    let site = access.map(|access| site(PAGE, Arc::clone(&board), access, None));
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_page))
        .route("/module/{name}", get(module))
        .route("/releases/{namespace}/{name}", get(release))
        .with_state(Shown { metrics, is_ready, modules, board, client })
        .merge(site.unwrap_or_default())
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

/// A release, with its run from look to look.
async fn release(
    State(shown): State<Shown>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Err(refused) = may_read(&shown.client, &headers, &namespace, &name).await {
        return refused.into_response();
    }
    let why = "this agent does not know such a Release: is it spelled right?\n";
    let found = shown.board.of(&format!("{namespace}/{name}"));
    found.map_or_else(|| (StatusCode::NOT_FOUND, why).into_response(), |found| Json(found).into_response())
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
