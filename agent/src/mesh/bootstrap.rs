/*!
A complete bootstrap for a plain Envoy that serves one release: what istiod and a stock Istio proxy are to a
release in a mesh.

Routes and clusters in it never change during a release. All that does is the filter's configuration, which Envoy
takes from a file in the ECDS folder; that file must be there before Envoy starts, or Envoy gives up.
*/
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use serde_json::{Value, json};
use serin_policy::Arm;
use serin_policy::document::VERSION_HEADER;
use serin_policy::marks::MARK_HEADER;
use serin_policy::series::{self, Group, Metric, Tag};
use serin_release::Release;
use serin_release::faults::Injection;
use serin_release::mirror::MARK;

use super::{injected, telemetry};

/// The filter's name, in the filter chain and in the ECDS file.
pub const FILTER: &str = "serin";

/// The listener's name, by which the admin interface tells its address.
pub const LISTENER: &str = "serin";

/// The cluster of the collector of traces.
const COLLECTOR: &str = "traces";

/// The cluster of the canary for copies of stable's requests.
const COPIES: &str = "copies";

/// The file in the ECDS folder that holds the filter's configuration.
pub const ECDS_FILE: &str = "serin.json";

/// Upper ends of the latency histogram's buckets in milliseconds: those of a stock Istio proxy, up to 30 s. The agent tells
/// times only where all of its own edges are among them (`serin_rollout::EDGES_MS`).
const BUCKETS_MS: [f64; 14] =
    [0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 30_000.0];

/// What a bootstrap is made for.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    /// Where the admin interface listens. It can stop the proxy, so it is no place for strangers.
    pub admin: SocketAddr,
    /// Where clients are served.
    pub listen: SocketAddr,
    /// The proxy's own id.
    pub node: String,
    /// What is asked for of the release.
    pub routes: Routes,
    /// Where the stable version runs.
    pub stable: Upstream,
    /// Where the canary runs.
    pub canary: Upstream,
    /// Where each version beside the two runs, by its name.
    pub others: Vec<(String, Upstream)>,
    /// The folder in which the agent keeps [`ECDS_FILE`].
    pub ecds_dir: PathBuf,
    /// Where traces go, by OTLP over HTTP, if any are made.
    pub traces: Option<Endpoint>,
}

/// What of a release stands in the routes.
#[derive(Debug, Clone)]
pub struct Routes {
    /// Its hosts, `*` for any, `*.example.com` for all below.
    pub hosts: Vec<String>,
    /// Where its callers are assigned.
    pub path_prefix: String,
    /// What is injected into answers on purpose.
    pub injections: Vec<Injection>,
    /// The name of the release, if the canary gets copies of stable's requests.
    pub mirrored: Option<String>,
    /// Whether requests are logged, with what was decided.
    pub access_log: bool,
}

impl From<&Release> for Routes {
    fn from(release: &Release) -> Self {
        Self {
            hosts: release.hosts.clone(),
            path_prefix: release.path_prefix.clone(),
            injections: release.injections().collect(),
            mirrored: release.mirror.as_ref().map(|_| release.name().to_owned()),
            access_log: release.access_log,
        }
    }
}

/// Where one version of the service runs.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Its addresses, all equal.
    pub endpoints: Vec<Endpoint>,
    /// What it speaks.
    pub protocol: Protocol,
}

/// What an upstream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 in clear text, as gRPC wants it.
    Http2,
}

/// A host, by name or address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
}

/// A text that is not `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write host:port, with an IPv6 address in brackets")]
pub struct NotAnEndpoint;

impl FromStr for Endpoint {
    type Err = NotAnEndpoint;

    fn from_str(text: &str) -> Result<Self, NotAnEndpoint> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(address.into());
        }
        let (host, port) = text.rsplit_once(':').ok_or(NotAnEndpoint)?;
        let port = port.parse().map_err(|_| NotAnEndpoint)?;
        if host.is_empty() || host.contains([':', '/', ' ']) || port == 0 {
            return Err(NotAnEndpoint);
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse() {
            Ok(IpAddr::V6(host)) => write!(f, "[{host}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

impl Endpoint {
    fn is_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }
}

/// The bootstrap that `options` ask for.
pub fn bootstrap(options: &Bootstrap) -> Value {
    let both = [(Arm::Stable, &options.stable), (Arm::Canary, &options.canary)];
    let both = both.map(|(arm, upstream)| cluster(arm.as_str(), &upstream.endpoints, upstream.protocol));
    let others = options.others.iter();
    let others =
        others.map(|(name, upstream)| cluster(&beside(name), &upstream.endpoints, upstream.protocol));
    let copies = options.routes.mirrored.as_ref().map(|release| copies(release, &options.canary));
    let collector = options.traces.as_ref();
    let collector = collector.map(|at| cluster(COLLECTOR, std::slice::from_ref(at), Protocol::Http1));
    json!({
        "node": {"id": options.node, "cluster": FILTER},
        "admin": {"address": socket(options.admin)},
        "stats_config": stats(),
        "static_resources": {
            "listeners": [listener(options)],
            "clusters": both.into_iter().chain(others).chain(copies).chain(collector).collect::<Vec<_>>(),
        },
    })
}

/// The rules of a stock Istio proxy for the names that the filter counts under, so that the agent, dashboards and
/// alerts find the same labels everywhere. Envoy's default rules would call the status class by another name.
fn stats() -> Value {
    json!({
        "use_all_default_tags": false,
        "stats_tags": [
            {"tag_name": "tag", "regex": r"(tag\.(.+?);\.)"},
            {"tag_name": "response_code_class", "regex": r"_rq(_(\dxx))$"},
            {"tag_name": "cluster_name", "regex": r"^cluster\.((.+?)\.)"},
        ],
        "histogram_bucket_settings": [
            {"match": {"suffix": Metric::Time.prometheus_name()}, "buckets": BUCKETS_MS},
        ],
    })
}

fn listener(options: &Bootstrap) -> Value {
    let access_log = options.routes.access_log.then(telemetry::access_log);
    let tracing = options.traces.as_ref().map(|at| telemetry::tracing(COLLECTOR, &at.to_string()));
    json!({
        "name": LISTENER,
        "address": socket(options.listen),
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                // Not the filter's name, which a scrape may ask for.
                "stat_prefix": "ingress",
                "codec_type": "AUTO",
                "generate_request_id": true,
                // At the edge a client's own x-request-id and x-envoy-* headers count for nothing.
                "use_remote_address": true,
                "upgrade_configs": [{"upgrade_type": "websocket"}],
                "route_config": route_config(&options.routes, &options.others),
                "http_filters": http_filters(options),
                "access_log": access_log.into_iter().collect::<Vec<_>>(),
                "tracing": tracing,
            },
        }]}],
    })
}

/// The fault filter comes after the filter, which chooses the route that says what it does.
fn http_filters(options: &Bootstrap) -> Vec<Value> {
    let fault = (!options.routes.injections.is_empty()).then(injected::filter);
    [filter(options)].into_iter().chain(fault).chain([router()]).collect()
}

/// The filter's headers choose the route; without one, or with an unknown one, it is stable's. Where the filter assigns
/// nobody, a client's own header chooses nothing.
fn route_config(routes: &Routes, others: &[(String, Upstream)]) -> Value {
    let asks = |name: &str, value: &str| json!({"name": name, "string_match": {"exact": value}});
    let condition = |headers: Value| {
        let (by, prefix) = match routes.path_prefix.trim_end_matches('/') {
            "" => ("prefix", "/"),
            prefix => ("path_separated_prefix", prefix),
        };
        json!({by: prefix, "headers": headers})
    };
    let marked = routes.injections.iter().map(|it| {
        json!({
            "name": it.mark,
            "match": condition(json!([asks(VERSION_HEADER, it.arm.as_str()), asks(MARK_HEADER, &it.mark)])),
            "route": route(it.arm.as_str()),
            "typed_per_filter_config": {injected::FAULT_FILTER: injected::for_envoy(it.injected)},
        })
    });
    let copied = routes.mirrored.is_some().then(|| {
        let mut route = route(Arm::Stable.as_str());
        // The copy is to be what the request was, its host included.
        route["request_mirror_policies"] =
            json!([{"cluster": COPIES, "disable_shadow_host_suffix_append": true}]);
        let headers = json!([asks(VERSION_HEADER, Arm::Stable.as_str()), asks(MARK_HEADER, MARK)]);
        json!({"name": MARK, "match": condition(headers), "route": route})
    });
    let canary = json!({
        "name": Arm::Canary.as_str(),
        "match": condition(json!([asks(VERSION_HEADER, Arm::Canary.as_str())])),
        "route": route(Arm::Canary.as_str()),
    });
    let others = others.iter().map(|(name, _)| {
        json!({
            "name": beside(name),
            "match": condition(json!([asks(VERSION_HEADER, name)])),
            "route": route(&beside(name)),
        })
    });
    let rest = json!({
        "name": Arm::Stable.as_str(),
        "match": {"prefix": "/"},
        "route": route(Arm::Stable.as_str()),
    });
    json!({
        "name": FILTER,
        "ignore_port_in_host_matching": true,
        "virtual_hosts": [{
            "name": FILTER,
            "domains": domains(&routes.hosts),
            "routes": marked.chain(copied).chain([canary]).chain(others).chain([rest]).collect::<Vec<_>>(),
        }],
    })
}

/// No time limit, as in Istio: a download or a stream may take as long as it takes. No retries either.
fn route(cluster: &str) -> Value {
    json!({"cluster": cluster, "timeout": "0s"})
}

/// The cluster of a version beside stable and canary: no other's name.
fn beside(version: &str) -> String {
    format!("version-{version}")
}

/// The canary once more, for copies of stable's requests: what it answers to those is counted by itself, under the name that the
/// filter would have for it.
fn copies(release: &str, canary: &Upstream) -> Value {
    let tag = Tag { release, arm: Arm::Canary, group: Group::Copied };
    let mut cluster = cluster(COPIES, &canary.endpoints, canary.protocol);
    cluster["alt_stat_name"] = json!(format!("{}.tag.{tag};", series::COPIES));
    cluster
}

/// Envoy wants each domain once, and without a port when the request's port is left out of the comparison.
fn domains(hosts: &[String]) -> Vec<String> {
    let mut domains: Vec<String> = Vec::new();
    for host in hosts {
        let domain = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let domain = domain.to_ascii_lowercase();
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    domains
}

fn filter(options: &Bootstrap) -> Value {
    json!({
        "name": FILTER,
        "config_discovery": {
            "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"],
            "config_source": {
                "resource_api_version": "V3",
                "path_config_source": {"path": options.ecds_dir.join(ECDS_FILE).to_string_lossy()},
            },
        },
    })
}

fn router() -> Value {
    json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    })
}

fn cluster(name: &str, endpoints: &[Endpoint], protocol: Protocol) -> Value {
    let fixed = endpoints.iter().all(Endpoint::is_address);
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|Endpoint { host, port }| {
            json!({"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}})
        })
        .collect();
    let protocol = match protocol {
        Protocol::Http1 => json!({"http_protocol_options": {}}),
        Protocol::Http2 => json!({"http2_protocol_options": {}}),
    };
    json!({
        "name": name,
        "type": if fixed { "STATIC" } else { "STRICT_DNS" },
        // A name with addresses of both families is often served on one of them only, and that is mostly IPv4.
        "dns_lookup_family": "V4_PREFERRED",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": protocol,
            },
        },
    })
}

fn socket(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}
