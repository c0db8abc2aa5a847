/*!
Hosts: the ways a client may spell one, and the keys a policy is found by.
*/
use std::borrow::Cow;

use crate::refusal::{Kind, Refusal};

/// Every key that a policy for `host` is found by, for a proxy in `namespace`.
///
/// `shop.ns.svc.cluster.local` is also `shop.ns.svc`, `shop.ns` and, to proxies in `ns` and nowhere else, `shop`.
///
/// # Errors
/// When `host` is no host name, wildcard or `*`.
pub(crate) fn keys(host: &str, namespace: Option<&str>) -> Result<Vec<String>, Refusal> {
    let hint = "write a host (shop.example.com, with :port or without), a wildcard (*.example.com) or *";
    let refusal = || Refusal::new(Kind::Invalid, "", format!("{host:?}"), hint);
    let host = host.to_ascii_lowercase();
    let (name, port) = split_port(&host);
    let name = name.strip_suffix('.').unwrap_or(name);
    let suffix = match port {
        None => String::new(),
        // Numbers parse with a sign as well, but no client sends one.
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!(":{}", port.parse::<u16>().map_err(|_| refusal())?)
        }
        Some(_) => return Err(refusal()),
    };
    if !is_host(name) {
        return Err(refusal());
    }
    Ok(spellings(name, namespace).into_iter().map(|spelling| format!("{spelling}{suffix}")).collect())
}

fn spellings<'h>(name: &'h str, namespace: Option<&str>) -> Vec<&'h str> {
    let mut all = vec![name];
    let mut labels = name.splitn(4, '.');
    if let (Some(service), Some(of), Some("svc"), rest) =
        (labels.next(), labels.next(), labels.next(), labels.next())
    {
        let upto = |length: usize| name.get(..length);
        let short = service.len() + 1 + of.len();
        all.extend(rest.and_then(|_| upto(short + ".svc".len())));
        all.extend(upto(short));
        // The short form of a wildcard would be `*`: everybody's requests.
        all.extend(upto(service.len()).filter(|&service| namespace == Some(of) && service != "*"));
    }
    all
}

fn is_host(name: &str) -> bool {
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    if let Some(address) = literal {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    if name == "*" {
        return true;
    }
    let name = name.strip_prefix("*.").unwrap_or(name);
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// The keys that policies for just this host are found by: with its port, if it has one, then without.
pub(crate) fn exact(authority: &str) -> [Option<Cow<'_, str>>; 2] {
    let (name, port) = split_port(authority);
    let (with_port, name) = match (port, name.strip_suffix('.')) {
        (None, short) => (None, short.unwrap_or(name)),
        (Some(_), None) => (Some(Cow::Borrowed(authority)), name),
        (Some(port), Some(short)) => (Some(Cow::Owned(format!("{short}:{port}"))), short),
    };
    [with_port, Some(Cow::Borrowed(name))]
}

/// The keys that policies for many hosts are found by: ever shorter wildcards, then `*`.
pub(crate) fn wildcards(authority: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let (name, _) = split_port(authority);
    let name = name.strip_suffix('.').unwrap_or(name);
    // Host names have at most 127 labels; what has more is no host, and is not worth the walk.
    let suffixes = name.match_indices('.').take(127).filter_map(move |(at, _)| name.get(at..));
    suffixes.map(|suffix| Cow::Owned(format!("*{suffix}"))).chain([Cow::Borrowed("*")])
}

/// Whether this is what Envoy makes of a host for copies of its requests: those are nobody's, and their answers go nowhere.
pub(crate) fn is_shadow(authority: &str) -> bool {
    split_port(authority).0.ends_with("-shadow")
}

/// Hosts, to see whether a request is to one of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts(Vec<String>);

impl Hosts {
    /// Reads `hosts`, as they are written in the field of this name.
    ///
    /// # Errors
    /// When one is no host name, wildcard or `*`.
    pub(crate) fn of(hosts: &[String], field: &str) -> Result<Self, Refusal> {
        let keys = hosts.iter().enumerate().map(|(i, host)| {
            keys(host, None).map_err(|refusal| refusal.within(&format!("{field}[{i}]"), None))
        });
        Ok(Self(keys.collect::<Result<Vec<_>, _>>()?.concat()))
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `authority` is one of them.
    pub(crate) fn have(&self, authority: &[u8]) -> bool {
        let authority = std::str::from_utf8(authority).unwrap_or_default().to_ascii_lowercase();
        let mut spellings = exact(&authority).into_iter().flatten().chain(wildcards(&authority));
        spellings.any(|spelling| self.0.iter().any(|host| *host == spelling))
    }
}

/// Splits `host:port`, leaving the colons of an IPv6 literal alone.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') && (!name.contains(':') || name.ends_with(']')) => {
            (name, Some(port))
        }
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_in_mesh_host_stands_for_every_spelling() {
        let all = |host, namespace| keys(host, namespace).unwrap().join(" ");
        let fqdn = "shop.ns.svc.cluster.local";
        assert_eq!(all(fqdn, None), "shop.ns.svc.cluster.local shop.ns.svc shop.ns");
        assert_eq!(all(fqdn, Some("ns")), "shop.ns.svc.cluster.local shop.ns.svc shop.ns shop");
        assert_eq!(all(fqdn, Some("other")), "shop.ns.svc.cluster.local shop.ns.svc shop.ns");
        assert_eq!(all("Shop.ns.svc:80", None), "shop.ns.svc:80 shop.ns:80");
        assert_eq!(all("shop.example.com.", Some("example")), "shop.example.com");
        assert_eq!(all("[::1]:8080", None), "[::1]:8080");
        assert_eq!(all("*.example.com", None), "*.example.com");
        assert_eq!(all("*.ns.svc.cluster.local", Some("ns")), "*.ns.svc.cluster.local *.ns.svc *.ns");
        assert_eq!(all("shop:080", None), "shop:80");
    }

    #[test]
    fn what_is_no_host_is_refused_with_the_mend() {
        for wrong in
            ["", "a..b", "a b", "http://a", "*.*", "a*", "a:99999", "a:x", "a:", "a:+80", "[::1", "a/b"]
        {
            let refusal = keys(wrong, None).unwrap_err();
            assert!(refusal.to_string().contains("shop.example.com"), "{wrong:?}: {refusal}");
        }
    }

    #[test]
    fn a_host_is_looked_up_from_the_exact_to_the_wild() {
        let all = |authority| {
            let exact = exact(authority).into_iter().flatten();
            exact.chain(wildcards(authority)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(all("a.b.c:80"), "a.b.c:80 a.b.c *.b.c *.c *");
        assert_eq!(all("a.b.:80"), "a.b:80 a.b *.b *");
        assert_eq!(all("a.b."), "a.b *.b *");
        assert_eq!(all("[::1]:80"), "[::1]:80 [::1] *");
        assert_eq!(all("[::1]"), "[::1] *");
        assert_eq!(all(""), " *");
    }
}
