//! What whoever reaches the agent's port can have done: nothing.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use tokio::net::TcpListener;

use super::modules::Modules;
use super::*;
use crate::standalone::View;
use serin_release::Release;
use serin_rollout::Status;

/// Asks `pages` for each path by each method, and says which are answered by any method but GET and HEAD.
async fn writable(pages: Router, paths: &[&str]) -> BTreeSet<String> {
    crate::http::install_crypto();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(axum::serve(listener, pages).into_future());
    let client = crate::http::plain().build().unwrap();
    let mut writable = BTreeSet::new();
    for path in paths {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let url = format!("http://{address}{path}?by=eve");
            let status = client.request(method.clone(), url).send().await.unwrap().status();
            if ![StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_FOUND].contains(&status) {
                writable.insert(format!("{method} {path}: {status}"));
            }
        }
    }
    server.abort();
    writable
}

#[tokio::test]
async fn whoever_reaches_the_port_can_only_read() {
    let (metrics, (_ready, is_ready)) = (Arc::new(Metrics::new()), watch::channel(true));
    let module = cluster::module_path();
    let paths = [
        "/livez",
        "/readyz",
        "/metrics",
        &module,
        "/releases/shop/shop",
        "/page/",
        "/page/shop/shop",
        "/page/shop/shop/abort",
        "/commands/abort",
    ];
    crate::http::install_crypto();
    let client = kube::Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
    let (modules, board) = (Modules::new(None).unwrap(), Arc::default());
    let in_cluster = cluster::pages(
        Arc::clone(&metrics),
        is_ready,
        modules,
        board,
        Some(site::PageAccess::Anyone),
        client,
    );
    assert_eq!(writable(in_cluster, &paths).await, BTreeSet::new());
    let release = Release::from_yaml(include_str!("../../../manifests/examples/minimal.yaml")).unwrap();
    let (_, view) = watch::channel(View::new(&release, &Status::default()));
    let shown = Shown { view, metrics, board: Arc::default(), interval: Duration::from_secs(1) };
    let paths =
        ["/healthz", "/readyz", "/metrics", "/status", "/page/", "/page/shop/shop/abort", "/commands/abort"];
    assert_eq!(writable(pages(shown), &paths).await, BTreeSet::new());
}
