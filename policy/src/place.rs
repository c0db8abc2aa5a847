/*!
Where a proxy stands, and what that makes of a policy: one document is for all proxies that a release is attached to.

At the edge callers come in from outside: whatever baggage they bring is their own word, and those without an id are given one
in a cookie. Inside the mesh a proxy beside one service calls another: whoever the edge has recognised is named in baggage,
no cookie would come back, and a request that nobody can be made responsible for is drawn by itself, as one request through
all services that it passes.
*/
use crate::cookie::CookieSpec;
use crate::document::Caches;
use crate::identity::Source;

/// A proxy, as far as it matters to policies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proxy {
    /// Its namespace, in a mesh.
    pub namespace: Option<String>,
    /// Where it stands.
    pub place: Place,
}

/// Where a proxy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Place {
    /// In no mesh: sources are what its operator has written.
    #[default]
    Plain,
    /// Where callers come in: a gateway.
    Edge,
    /// Beside a service that calls others: a sidecar or a waypoint.
    Inside,
}

impl Proxy {
    /// The proxy whose Envoy has this node id, in this namespace. Istio's ids begin with the kind of proxy and a `~`.
    pub fn of(node_id: &str, namespace: Option<&str>) -> Self {
        let place = match node_id.split_once('~') {
            Some(("router", _)) => Place::Edge,
            Some(("sidecar" | "waypoint", _)) => Place::Inside,
            _ => Place::Plain,
        };
        Self { namespace: namespace.map(str::to_owned), place }
    }
}

impl Place {
    /// Where an id is looked for here, if `sources` are written and ids travel on in the member `baggage`.
    pub(crate) fn sources(self, sources: Vec<Source>, baggage: Option<&str>) -> Vec<Source> {
        match self {
            Self::Plain => sources,
            Self::Edge => {
                sources.into_iter().filter(|source| !matches!(source, Source::Baggage(_))).collect()
            }
            Self::Inside => {
                let own = baggage.map(|key| Source::Baggage(key.to_owned()));
                let others = sources.into_iter().filter(|source| Some(source) != own.as_ref());
                let mut all: Vec<_> = own.clone().into_iter().chain(others).collect();
                if !all.contains(&Source::RequestId) {
                    all.push(Source::RequestId);
                }
                all
            }
        }
    }

    /// What is done for caches here: between services there are none.
    pub(crate) fn caches(self, caches: Caches) -> Caches {
        if self == Self::Inside { Caches::default() } else { caches }
    }

    /// The cookie, as it is dealt with here.
    pub(crate) fn cookie(self, cookie: CookieSpec) -> CookieSpec {
        CookieSpec { issue: cookie.issue && self != Self::Inside, ..cookie }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(node_id: &str, baggage: Option<&str>, expected: &str) {
        let written: Vec<Source> =
            serde_json::from_str(r#"[{"cookie": "serin"}, {"baggage": "serin"}]"#).unwrap();
        let found = Proxy::of(node_id, None).place.sources(written, baggage);
        assert_eq!(serde_json::to_string(&found).unwrap(), expected, "{node_id}");
    }

    #[test]
    fn ids_are_looked_for_where_they_can_be_trusted() {
        check("gateway-1", Some("serin"), r#"[{"cookie":"serin"},{"baggage":"serin"}]"#);
        check("router~10.0.0.1~gw.ns~ns.svc", Some("serin"), r#"[{"cookie":"serin"}]"#);
        let inside = r#"[{"baggage":"serin"},{"cookie":"serin"},"requestId"]"#;
        check("sidecar~10.0.0.1~a.ns~ns.svc", Some("serin"), inside);
        check(
            "sidecar~10.0.0.1~a.ns~ns.svc",
            None,
            r#"[{"cookie":"serin"},{"baggage":"serin"},"requestId"]"#,
        );
    }
}
