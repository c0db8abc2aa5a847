/*!
What a bootstrap says, looked at field by field. Real Envoys read it in `tests/envoy/`.
*/
use std::time::Duration;

use serin_release::faults::{Abort, GrpcStatus, Injected};

use super::*;

fn options(hosts: &[&str], endpoint: &str) -> Bootstrap {
    let upstream = Upstream { endpoints: vec![endpoint.parse().unwrap()], protocol: Protocol::Http1 };
    Bootstrap {
        admin: "127.0.0.1:9901".parse().unwrap(),
        listen: "[::]:8080".parse().unwrap(),
        node: "edge-1".to_owned(),
        routes: Routes {
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            path_prefix: "/".to_owned(),
            injections: Vec::new(),
            mirrored: None,
            access_log: false,
        },
        stable: upstream.clone(),
        canary: Upstream { protocol: Protocol::Http2, ..upstream },
        others: Vec::new(),
        ecds_dir: "/var/lib/serin".into(),
        traces: None,
    }
}

fn at<'v>(value: &'v Value, pointer: &str) -> &'v Value {
    value.pointer(pointer).unwrap_or_else(|| panic!("nothing at {pointer} in {value:#}"))
}

const MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";

#[test]
fn only_the_filters_own_word_leads_to_the_canary() {
    let bootstrap = bootstrap(&options(&["shop.example.com"], "127.0.0.1:1"));
    let routes = at(&bootstrap, &format!("{MANAGER}/route_config/virtual_hosts/0/routes"));
    assert_eq!(at(routes, "/0/match/headers/0/name"), "x-serin-version");
    assert_eq!(at(routes, "/0/match/headers/0/string_match/exact"), "canary");
    assert_eq!(at(routes, "/0/route/cluster"), "canary");
    assert_eq!(*at(routes, "/1/match"), json!({"prefix": "/"}));
    assert_eq!(at(routes, "/1/route/cluster"), "stable");
}

#[test]
fn what_is_injected_is_for_marked_requests_of_its_version_alone() {
    let mut options = options(&["*"], "127.0.0.1:1");
    let injection = |arm, injected| Injection { mark: "m".to_owned(), arm, injected };
    options.routes.path_prefix = "/api/".to_owned();
    options.routes.injections = vec![
        injection(Arm::Canary, Injected::Delay(Duration::from_millis(1_500))),
        injection(Arm::Stable, Injected::Abort(Abort::Grpc(GrpcStatus::Unavailable))),
    ];
    let bootstrap = bootstrap(&options);
    let filters = at(&bootstrap, &format!("{MANAGER}/http_filters"));
    assert_eq!(at(filters, "/1/name"), "envoy.filters.http.fault");
    let routes = at(&bootstrap, &format!("{MANAGER}/route_config/virtual_hosts/0/routes"));
    for (i, arm, pointer, expected) in
        [(0, "canary", "delay/fixed_delay", json!("1.500s")), (1, "stable", "abort/grpc_status", json!(14))]
    {
        let route = at(routes, &format!("/{i}"));
        let headers = [("x-serin-version", arm), ("x-serin-mark", "m")]
            .map(|(name, value)| json!({"name": name, "string_match": {"exact": value}}));
        assert_eq!(at(route, "/match"), &json!({"path_separated_prefix": "/api", "headers": headers}));
        assert_eq!(at(route, "/route/cluster"), arm);
        let config = format!("/typed_per_filter_config/envoy.filters.http.fault/{pointer}");
        assert_eq!(at(route, &config), &expected);
    }
    assert_eq!(at(routes, "/2/match/path_separated_prefix"), "/api");
    assert_eq!(at(routes, "/3/match"), &json!({"prefix": "/"}));
}

#[test]
fn copies_are_of_marked_requests_of_stable_and_counted_by_themselves() {
    let mut options = options(&["*"], "127.0.0.1:1");
    options.routes.mirrored = Some("shop/shop".to_owned());
    let bootstrap = bootstrap(&options);
    let routes = at(&bootstrap, &format!("{MANAGER}/route_config/virtual_hosts/0/routes"));
    assert_eq!(at(routes, "/0/match/headers/0/string_match/exact"), "stable");
    assert_eq!(at(routes, "/0/match/headers/1/string_match/exact"), "mirror");
    assert_eq!(at(routes, "/0/route/cluster"), "stable");
    assert_eq!(at(routes, "/0/route/request_mirror_policies/0/cluster"), "copies");
    assert_eq!(at(routes, "/1/route/cluster"), "canary");
    let cluster = at(&bootstrap, "/static_resources/clusters/2");
    assert_eq!(at(cluster, "/name"), "copies");
    assert_eq!(at(cluster, "/alt_stat_name"), "serin_copies.tag.shop/shop/canary/copied;");
    let protocol = "/typed_extension_protocol_options/envoy.extensions.upstreams.http.v3.HttpProtocolOptions/explicit_http_config";
    assert_eq!(at(cluster, protocol), &json!({"http2_protocol_options": {}}));
}

#[test]
fn the_filter_comes_from_the_ecds_folder_and_before_the_router() {
    let bootstrap = bootstrap(&options(&["*"], "127.0.0.1:1"));
    let filters = at(&bootstrap, &format!("{MANAGER}/http_filters"));
    let path = at(filters, "/0/config_discovery/config_source/path_config_source/path");
    assert_eq!(path, "/var/lib/serin/serin.json");
    assert_eq!(at(filters, "/1/name"), "envoy.filters.http.router");
}

#[test]
fn a_host_is_listed_once_however_it_was_spelled() {
    let hosts = ["shop.example.com", "Shop.example.com:8080", "*.example.com", "*", "[::1]:80"];
    let bootstrap = bootstrap(&options(&hosts, "127.0.0.1:1"));
    let domains = at(&bootstrap, &format!("{MANAGER}/route_config/virtual_hosts/0/domains"));
    assert_eq!(*domains, json!(["shop.example.com", "*.example.com", "*", "[::1]"]));
}

#[test]
fn names_are_looked_up_and_addresses_are_not() {
    for (endpoint, host, kind) in [
        ("127.0.0.1:80", "127.0.0.1", "STATIC"),
        ("[::1]:80", "::1", "STATIC"),
        ("shop.internal:80", "shop.internal", "STRICT_DNS"),
    ] {
        let bootstrap = bootstrap(&options(&["*"], endpoint));
        let cluster = at(&bootstrap, "/static_resources/clusters/0");
        assert_eq!(at(cluster, "/type"), kind, "{endpoint}");
        let address = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/address";
        assert_eq!(at(cluster, address), host, "{endpoint}");
    }
}

#[test]
fn what_is_no_endpoint_is_refused_by_its_text() {
    for wrong in ["shop", "shop:", ":80", "shop:http", "shop:0", "http://shop:80", "::1:80"] {
        assert_eq!(wrong.parse::<Endpoint>(), Err(NotAnEndpoint), "{wrong:?}");
    }
}
