/*!
Clients of the API server, which notice when it answers no more.

A connection can die without a word: a node that is gone, a table of flows that was emptied. Left alone, the kernel
tries for a quarter of an hour. So each one is probed while nothing goes on, and given up where sent bytes find nobody;
and a request that gets no answer in time has failed.
*/
use std::time::Duration;

use axum::http::Response;
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::{Client, Config};
use tower::timeout::TimeoutLayer;
use tower::{BoxError, ServiceBuilder};

use crate::metrics::Requests;

/// How long a connection may be without an answer of the other side's kernel.
const DEAD_AFTER: Duration = Duration::from_secs(3);

/// How long a connection is left alone before it is probed, and between two probes.
const IDLE: Duration = Duration::from_secs(2);
const BETWEEN_PROBES: Duration = Duration::from_secs(1);

/// How long a request of a tick, or of the lease, may take until its answer begins.
const ANSWER: Duration = Duration::from_secs(3);

/// How long the beginning of a watch may take: in a large cluster it is preceded by long lists.
const LIST: Duration = Duration::from_secs(30);

/// The clients of an agent.
pub(super) struct Clients {
    /// For ticks and the lease.
    pub(super) requests: Client,
    /// For watches.
    pub(super) watches: Client,
}

impl Clients {
    /// Clients for the cluster that this process runs in, or that its kubeconfig names.
    ///
    /// # Errors
    /// When there is neither, or its certificates or credentials are unusable.
    pub(super) async fn infer(counted: &Requests) -> anyhow::Result<Self> {
        let config = Config::infer().await?;
        Ok(Self { requests: client(&config, ANSWER, counted)?, watches: client(&config, LIST, counted)? })
    }
}

/// No request is retried: a tick that cannot be carried out is planned anew a second later, and must not hang in
/// retries of an old one.
fn client(config: &Config, answer: Duration, counted: &Requests) -> kube::Result<Client> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(DEAD_AFTER));
    tcp.set_keepalive(Some(IDLE));
    tcp.set_keepalive_interval(Some(BETWEEN_PROBES));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(DEAD_AFTER));
    let tls = config.rustls_https_connector_with_connector(tcp)?;
    let http: Http<_, Body> = Http::builder(TokioExecutor::new()).build(tls);
    let counted = counted.clone();
    let service = ServiceBuilder::new()
        .map_result(move |answer: Result<Response<_>, BoxError>| {
            counted.count(answer.as_ref().ok().map(|answer| answer.status().as_u16()));
            answer
        })
        .layer(TimeoutLayer::new(answer))
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}
