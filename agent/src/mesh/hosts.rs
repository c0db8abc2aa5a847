/*!
Hosts as Istio compares them: with wildcards, and with short names that mean a service of the writer's namespace.
*/

/// The suffix of a service's full name.
const CLUSTER: &str = "svc.cluster.local";

/// The full name of `service`.
pub fn service_host(service: &str, namespace: &str) -> String {
    format!("{service}.{namespace}.{CLUSTER}")
}

/// What Istio takes `host` for in an object of `namespace`: a name without a dot is a service there.
pub fn resolve(host: &str, namespace: &str) -> String {
    let host = without_port(host).to_ascii_lowercase();
    if host == "*" || host.contains('.') || host.contains(':') {
        host
    } else {
        service_host(&host, namespace)
    }
}

/// One spelling for all that clients may use: lower case, no dot at the end, and a service's full name if that much
/// can be told from the host alone. The port stays: a policy for one port is not a policy for all.
pub fn canonical(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    let name = without_port(&host);
    let port = host.get(name.len()..).unwrap_or_default();
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut labels = name.split('.');
    match (labels.next(), labels.next(), labels.next(), labels.next()) {
        (Some(service), Some(namespace), Some("svc"), None) => {
            format!("{}{port}", service_host(service, namespace))
        }
        _ => format!("{name}{port}"),
    }
}

/// Whether some host is meant by both, as Istio's `host.Name.Matches` has it.
pub fn overlap(one: &str, other: &str) -> bool {
    covers(one, other) || covers(other, one)
}

/// Whether `pattern` means every host that `host` does, as Istio's `host.Name.SubsetOf` has it.
pub fn covers(pattern: &str, host: &str) -> bool {
    match (pattern.strip_prefix('*'), host.strip_prefix('*')) {
        (Some(suffix), Some(host)) => host.ends_with(suffix),
        (Some(suffix), None) => host.ends_with(suffix),
        (None, Some(_)) => false,
        (None, None) => pattern == host,
    }
}

/// The host without its port, if it has one. The colons of an IPv6 address are none.
pub fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|byte| byte.is_ascii_digit())
                && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_overlap_as_in_istio() {
        // The table of istio's own tests for host.Name.
        for (one, other, overlaps, covered) in [
            ("foo.com", "foo.com", true, true),
            ("foo.com", "bar.com", false, false),
            ("*.com", "foo.com", true, true),
            ("bar.com", "*.com", true, false),
            ("*.foo.com", "foo.com", false, false),
            ("*", "foo.com", true, true),
            ("*", "*.com", true, true),
            ("*.com", "*", true, false),
            ("*.foo.com", "*.bar.com", false, false),
            ("*.com", "*.foo.com", true, true),
        ] {
            assert_eq!(overlap(one, other), overlaps, "{one} {other}");
            assert_eq!(covers(one, other), covered, "{one} {other}");
        }
    }

    #[test]
    fn a_name_without_a_dot_is_a_service_of_the_writers_namespace() {
        for (host, resolved) in [
            ("shop", "shop.ns.svc.cluster.local"),
            ("shop:80", "shop.ns.svc.cluster.local"),
            ("shop.other", "shop.other"),
            ("Shop.example.com:443", "shop.example.com"),
            ("*", "*"),
            ("[::1]:80", "[::1]"),
        ] {
            assert_eq!(resolve(host, "ns"), resolved, "{host}");
        }
    }

    #[test]
    fn spellings_of_a_host_come_to_the_same() {
        for (host, same) in [
            ("Shop.Example.com.", "shop.example.com"),
            ("shop.ns.svc", "shop.ns.svc.cluster.local"),
            ("shop.ns.svc:80", "shop.ns.svc.cluster.local:80"),
            ("shop.example.com:8080", "shop.example.com:8080"),
        ] {
            assert_eq!(canonical(host), same, "{host}");
        }
    }
}
