/*!
Where a Release may have the agent send something. Whoever writes one may name an address, and the agent is in another place
than they are: it would go there with its own network, to what they cannot reach.

So the operator says which addresses there may be. Without a word of theirs these are the providers of messages that everybody
knows, over HTTPS. A Service of the Release's own namespace may always be called, as its people can call it themselves.
*/
use url::Url;

/// The addresses that there may be where the operator says nothing else.
pub const KNOWN: [&str; 8] = [
    "https://hooks.slack.com",
    "https://slack.com",
    "https://*.webhook.office.com",
    "https://*.powerplatform.com",
    "https://discord.com",
    "https://chat.googleapis.com",
    "https://events.pagerduty.com",
    "https://api.github.com",
];

/// What may be spoken there: HTTP, and to mail servers SMTP.
const SCHEMES: [&str; 4] = ["http", "https", "smtp", "smtps"];

/// The port of an address, or the usual one.
pub fn port_of(url: &Url) -> Option<u16> {
    let usual = match url.scheme() {
        "smtp" => Some(587),
        "smtps" => Some(465),
        _ => None,
    };
    url.port_or_known_default().or(usual)
}

/// An address that there may be: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    /// Without its star, and whether it had one: any host below this one.
    host: String,
    is_parent: bool,
    port: u16,
}

/// What to write for an [`Origin`].
const HINT: &str = "write a scheme and a host, and a port if it is another than the usual one, such as \
                    https://hooks.example.com, https://*.example.com or http://alertmanager.monitoring:9093";

impl Origin {
    /// Reads one.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (is_parent, plain) = match text.split_once("://*.") {
            Some((scheme, rest)) => (true, format!("{scheme}://{rest}")),
            None => (false, text.to_owned()),
        };
        let url = Url::parse(&plain).map_err(|_| HINT)?;
        let (Some(host), Some(port)) = (url.host_str(), port_of(&url)) else {
            return Err(HINT);
        };
        let is_bare = matches!(url.path(), "/" | "") && url.query().is_none() && !text.ends_with('/');
        if !is_bare || !SCHEMES.contains(&url.scheme()) || !url.username().is_empty() || host.contains('*') {
            return Err(HINT);
        }
        Ok(Self { scheme: url.scheme().to_owned(), host: host.to_owned(), is_parent, port })
    }

    fn has(&self, url: &Url) -> bool {
        let found = url.host_str().unwrap_or_default();
        let below = found.strip_suffix(&self.host).and_then(|rest| rest.strip_suffix('.'));
        let is_host =
            if self.is_parent { below.is_some_and(|rest| !rest.is_empty()) } else { found == self.host };
        is_host && url.scheme() == self.scheme && port_of(url) == Some(self.port)
    }
}

/// The addresses that Releases may have called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach(Vec<Origin>);

impl Default for Reach {
    fn default() -> Self {
        Self(KNOWN.iter().filter_map(|text| Origin::parse(text).ok()).collect())
    }
}

/// An address that is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The address.
    pub url: Url,
    /// Whether it is a Service of the Release's own namespace: its people may know what it says.
    pub is_own: bool,
}

/// Why an address is not called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is none.
    #[error("it is no address: begin with https://, and give a host")]
    NoAddress,
    /// Nobody allows it.
    #[error(
        "{0} is not among the addresses that the agent's operator allows: have it added to allowedAddresses in the agent's \
         configuration, or use a Service of this namespace, as http://NAME.NAMESPACE"
    )]
    NotAllowed(String),
}

impl Reach {
    /// These alone.
    pub const fn of(origins: Vec<Origin>) -> Self {
        Self(origins)
    }

    /// The address `text` of a Release in `namespace`. `is_service` says whether the namespace has a Service of this name
    /// with pods of its own: one that only stands for another host is none.
    ///
    /// # Errors
    /// When it may not be called. The path is not shown: it may be secret.
    pub fn check(
        &self,
        text: &str,
        namespace: &str,
        is_service: impl FnOnce(&str) -> bool,
    ) -> Result<Reached, Refused> {
        let url = Url::parse(text.trim()).map_err(|_| Refused::NoAddress)?;
        if !url.has_host() || !SCHEMES.contains(&url.scheme()) {
            return Err(Refused::NoAddress);
        }
        let host = url.host_str().unwrap_or_default();
        let is_own = own_service(host, namespace).is_some_and(is_service);
        if is_own || self.0.iter().any(|origin| origin.has(&url)) {
            return Ok(Reached { url, is_own });
        }
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Err(Refused::NotAllowed(format!("{}://{host}{port}", url.scheme())))
    }
}

/// The Service that `host` names, if it is one of the namespace: `NAME.NAMESPACE`, with or without what follows inside the
/// cluster.
fn own_service<'h>(host: &'h str, namespace: &str) -> Option<&'h str> {
    let (name, rest) = host.split_once('.')?;
    let rest = rest.strip_prefix(namespace)?;
    matches!(rest, "" | ".svc" | ".svc.cluster.local").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a Release of team-a may have `url` called, where its namespace has the Service `tester`.
    #[track_caller]
    fn check(reach: &Reach, url: &str, expected: bool) {
        let found = reach.check(url, "team-a", |name| name == "tester");
        assert_eq!(found.is_ok(), expected, "{url}: {found:?}");
    }

    #[test]
    fn only_what_the_operator_allows_and_services_of_the_namespace_are_called() {
        let known = Reach::default();
        assert_eq!(known.0.len(), KNOWN.len());
        for (url, expected) in [
            ("https://hooks.slack.com/services/T/B/x", true),
            ("http://hooks.slack.com/services/T/B/x", false),
            ("https://hooks.slack.com:8443/x", false),
            ("https://hooks.slack.com.evil.example/x", false),
            ("https://hooks.slack.com@evil.example/x", false),
            ("https://contoso.webhook.office.com/x", true),
            ("https://webhook.office.com/x", false),
            ("https://evilwebhook.office.com/x", false),
            ("http://169.254.169.254/latest/meta-data", false),
            ("https://kubernetes.default.svc/api", false),
            ("http://[::1]:8080/", false),
            ("http://tester.team-a/gate", true),
            ("http://tester.team-a.svc:8080/gate", true),
            ("http://tester.team-a.svc.cluster.local/gate", true),
            ("http://tester.team-a.evil.example/gate", false),
            ("http://other.team-a/gate", false),
            ("http://tester.team-b/gate", false),
            ("file:///etc/passwd", false),
            ("nonsense", false),
        ] {
            check(&known, url, expected);
        }
        let own = Reach::of(vec![Origin::parse("http://alertmanager.monitoring:9093").unwrap()]);
        check(&own, "http://alertmanager.monitoring:9093/api/v2/alerts", true);
        check(&own, "http://alertmanager.monitoring/api/v2/alerts", false);
        check(&own, "https://hooks.slack.com/services/T/B/x", false);
        let mail = Reach::of(vec![Origin::parse("smtp://mail.example.com").unwrap()]);
        check(&mail, "smtp://mail.example.com:587", true);
        check(&mail, "smtp://mail.example.com:25", false);
        check(&mail, "smtps://mail.example.com", false);
        check(&mail, "smtp://tester.team-a:2525", true);
    }

    #[test]
    fn what_is_no_origin_is_refused_and_a_refusal_keeps_the_path_to_itself() {
        for text in
            ["hooks.example.com", "https://a/b", "https://a/", "ftp://a", "https://u@a", "https://*", ""]
        {
            assert_eq!(Origin::parse(text), Err(HINT), "{text}");
        }
        let refused = Reach::default().check("https://a.example/secret", "team-a", |_| false).unwrap_err();
        assert!(refused.to_string().starts_with("https://a.example is not among"), "{refused}");
        assert!(!refused.to_string().contains("secret"));
    }
}
