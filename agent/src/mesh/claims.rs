/*!
Who has which host: of two Releases that claim the same requests at the same place, the older one; and no Release what
the Gateway itself would not let its namespace have.
*/
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use super::hosts;
use super::object::{full_name, list, namespace, text, texts};
use serin_release::Release;
use serin_release::delivery::{AttachPoint, Delivery};

/// A claim that an older Release has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contested {
    /// Who has it: `namespace/name`.
    pub by: String,
    /// Where.
    pub place: AttachPoint,
    /// The host.
    pub host: String,
    /// The path prefix.
    pub path: String,
}

impl fmt::Display for Contested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, place, host, path } = self;
        write!(f, "Release {by} is older and has {host} with path {path} at {place}: ")?;
        write!(
            f,
            "give spec.routing.hosts or spec.routing.pathPrefix another value, or delete one of the two"
        )
    }
}

/// The Releases that claim what an older one has, by name. Age is the time of creation, then the name. A Release that
/// has lost one claim gets no policy, so it holds none of its other claims against those who come after it.
pub fn contested(releases: &[(String, Timestamp, &(Release, Delivery))]) -> BTreeMap<String, Contested> {
    let mut by_age: Vec<_> = releases.iter().collect();
    by_age.sort_by_key(|(name, created, _)| (*created, name));
    let mut held: HashMap<Claim<'_>, &str> = HashMap::new();
    let mut losers = BTreeMap::new();
    for (name, _, release) in by_age {
        let claims = claims(release);
        let lost = claims.iter().find_map(|claim| Some((claim, *held.get(claim)?)));
        if let Some(((place, host, path), by)) = lost {
            let (place, host, path) = ((*place).clone(), host.clone(), (*path).to_owned());
            losers.insert(name.clone(), Contested { by: by.to_owned(), place, host, path });
        } else {
            held.extend(claims.into_iter().map(|claim| (claim, name.as_str())));
        }
    }
    losers
}

type Claim<'r> = (&'r AttachPoint, String, &'r str);

fn claims((release, delivery): &(Release, Delivery)) -> Vec<Claim<'_>> {
    let points = &delivery.routing.attach_points;
    // `/shop/` and `/shop` are the same prefix.
    let path = match release.path_prefix.as_str() {
        "/" => "/",
        path => path.strip_suffix('/').unwrap_or(path),
    };
    points
        .iter()
        .flat_map(|point| release.hosts.iter().map(move |host| (point, hosts::canonical(host), path)))
        .collect()
}

/// Whether `gateway`, an Istio Gateway, lets a VirtualService in `namespace` have `host`: by `servers[].hosts`, whose
/// entries may name the namespace before the host.
///
/// # Errors
/// One sentence with the Gateway, what it lets in, and the hint.
pub fn gateway_allows(gateway: &Value, of: &str, host: &str) -> Result<(), String> {
    let host = hosts::canonical(hosts::without_port(host));
    let name = full_name(gateway);
    let servers: Vec<_> = list(gateway, "/spec/servers").iter().filter(|server| is_http(server)).collect();
    let entries: Vec<_> = servers.iter().flat_map(|server| texts(server, "/hosts")).collect();
    if entries.iter().any(|entry| lets_in(gateway, entry, of, &host)) {
        return Ok(());
    }
    let has = if entries.is_empty() {
        "has no HTTP server that ends TLS itself".to_owned()
    } else {
        format!("lets in {}", entries.join(", "))
    };
    Err(format!(
        "Gateway {name} {has}, and nothing of it lets namespace {of} have {host}: add {of}/{host} to its \
         spec.servers[].hosts, or take {host} out of spec.routing.hosts"
    ))
}

/// A server of a Gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// The port of the Gateway's Service.
    pub port: u16,
    /// Whether it ends TLS.
    pub is_tls: bool,
}

/// The servers of `gateway` that let a VirtualService in `of` have `host`, and do not send on to another.
pub fn servers_for(gateway: &Value, of: &str, host: &str) -> Vec<Server> {
    let host = hosts::canonical(host);
    let of_host = |server: &&Value| {
        texts(server, "/hosts").any(|entry| lets_in(gateway, entry, of, &host))
            && server.pointer("/tls/httpsRedirect") != Some(&Value::Bool(true))
    };
    let servers = list(gateway, "/spec/servers").iter().filter(|server| is_http(server)).filter(of_host);
    let server = |server: &Value| {
        let port = server.pointer("/port/number")?.as_u64()?;
        let is_tls = text(server, "/port/protocol").eq_ignore_ascii_case("HTTPS");
        Some(Server { port: u16::try_from(port).ok()?, is_tls })
    };
    servers.filter_map(server).collect()
}

/// Whether an entry of a server's hosts lets a VirtualService in `of` have `host`.
fn lets_in(gateway: &Value, entry: &str, of: &str, host: &str) -> bool {
    let (place, pattern) = entry.split_once('/').unwrap_or(("*", entry));
    let place = if place == "." { namespace(gateway) } else { place };
    (place == "*" || place == of) && hosts::overlap(&pattern.to_ascii_lowercase(), host)
}

/// Whether routes by header are possible behind a server: not where bytes are passed through.
fn is_http(server: &Value) -> bool {
    match text(server, "/port/protocol").to_ascii_uppercase().as_str() {
        "HTTP" | "HTTP2" | "GRPC" | "GRPC-WEB" => true,
        "HTTPS" => !text(server, "/tls/mode").ends_with("PASSTHROUGH"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mesh::fixtures;

    /// Checks who loses what to whom among Releases `(name, second of creation, routing)`.
    fn check(releases: &[(&str, i64, Value)], expected: &[(&str, &str, &str)]) {
        let releases: Vec<_> = releases
            .iter()
            .map(|(name, at, routing)| (*name, *at, fixtures::release(name, routing)))
            .collect();
        let listed: Vec<_> = releases
            .iter()
            .map(|(_, at, release)| {
                (release.0.name().to_owned(), Timestamp::from_second(*at).unwrap(), release)
            })
            .collect();
        let found = contested(&listed);
        let found: Vec<_> = found
            .iter()
            .map(|(name, lost)| (name.as_str(), lost.by.as_str(), format!("{}{}", lost.host, lost.path)))
            .collect();
        let found: Vec<_> = found.iter().map(|(name, by, what)| (*name, *by, what.as_str())).collect();
        assert_eq!(found, expected);
    }

    fn at(gateway: &str, host: &str, path: &str) -> Value {
        json!({"gateways": [gateway], "hosts": [host], "pathPrefix": path})
    }

    #[test]
    fn the_older_release_has_the_host() {
        let (a, b) = (at("edge/gw", "a.com", "/"), at("edge/gw", "A.com.", "/"));
        check(&[("x", 2, a.clone()), ("y", 1, b.clone())], &[("shop/x", "shop/y", "a.com/")]);
        check(&[("x", 1, a.clone()), ("y", 1, b)], &[("shop/y", "shop/x", "a.com/")]);
        check(&[("x", 1, a.clone()), ("y", 2, at("edge/other", "a.com", "/"))], &[]);
        check(&[("x", 1, a.clone()), ("y", 2, at("edge/gw", "a.com", "/y"))], &[]);
        check(&[("x", 1, a), ("y", 2, at("edge/gw", "*.com", "/"))], &[]);
        check(
            &[("x", 1, at("edge/gw", "a.com", "/y")), ("y", 2, at("edge/gw", "a.com", "/y/"))],
            &[("shop/y", "shop/x", "a.com/y")],
        );
    }

    #[test]
    fn sidecars_contest_only_in_the_same_namespace() {
        let mesh = |of: &[&str]| json!({"meshNamespaces": of});
        check(&[("x", 1, mesh(&["a", "b"])), ("y", 2, mesh(&["c"]))], &[]);
        check(
            &[("x", 1, mesh(&["a", "b"])), ("y", 2, mesh(&["b"]))],
            &[("shop/y", "shop/x", "shop.shop.svc.cluster.local/")],
        );
    }

    #[test]
    fn who_has_lost_holds_nothing_against_others() {
        let two = json!({"gateways": ["edge/gw"], "hosts": ["a.com", "b.com"]});
        check(
            &[("x", 1, at("edge/gw", "a.com", "/")), ("y", 2, two), ("z", 3, at("edge/gw", "b.com", "/"))],
            &[("shop/y", "shop/x", "a.com/")],
        );
    }

    #[test]
    fn a_gateway_decides_who_has_its_hosts() {
        let gateway = |hosts: &[&str], protocol: &str, tls: &str| {
            json!({
                "metadata": {"namespace": "edge", "name": "gw"},
                "spec": {"servers": [{"hosts": hosts, "port": {"protocol": protocol}, "tls": {"mode": tls}}]},
            })
        };
        for (entry, host, allowed) in [
            ("a.com", "a.com", true),
            ("a.com", "A.com:8080", true),
            ("a.com", "b.com", false),
            ("*", "a.com", true),
            ("*.com", "a.com", true),
            ("a.com", "*.com", true),
            ("*.a.com", "a.com", false),
            ("shop/a.com", "a.com", true),
            ("other/a.com", "a.com", false),
            ("*/a.com", "a.com", true),
            ("./a.com", "a.com", false),
            ("shop/*", "a.com", true),
        ] {
            let found = gateway_allows(&gateway(&[entry], "HTTP", ""), "shop", host);
            assert_eq!(found.is_ok(), allowed, "{entry} {host}: {found:?}");
        }
        assert_eq!(gateway_allows(&gateway(&["./a.com"], "HTTP", ""), "edge", "a.com"), Ok(()));
        assert_eq!(gateway_allows(&gateway(&["a.com"], "HTTPS", "SIMPLE"), "shop", "a.com"), Ok(()));
        assert_eq!(
            gateway_allows(&gateway(&["x/a.com", "b.com"], "HTTP", ""), "shop", "a.com").unwrap_err(),
            "Gateway edge/gw lets in x/a.com, b.com, and nothing of it lets namespace shop have a.com: add shop/a.com to \
             its spec.servers[].hosts, or take a.com out of spec.routing.hosts"
        );
        let passed_through = gateway_allows(&gateway(&["a.com"], "HTTPS", "PASSTHROUGH"), "shop", "a.com");
        assert!(passed_through.unwrap_err().contains("has no HTTP server"));
    }
}
