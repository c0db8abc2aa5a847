/*!
Links: addresses that give one browser a version until an hour, and a way out.

Whoever opens `https://shop.example.com/cart?serin=canary.…` has the [grant](crate::grant) in it put into a cookie by the proxy,
and is sent on to the same address without it; `?serin=off` takes the cookie away again. From then on the cookie is asked as a
tester's header is.

What a client writes leads nowhere else: the way on is a path of the same host, whatever it looks like.
*/
use serde::{Deserialize, Serialize};

use crate::cookie::CookieSpec;
use crate::decision::Arm;
use crate::grant::{Grant, Key};
use crate::policy::Policy;
use crate::refusal::{Kind, Refusal};
use crate::request::{Asked, Request};
use crate::rule;

/// How links are told from other addresses, and those from this release's token from others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkSpec {
    /// Name of the parameter in an address's query.
    #[serde(default = "default_query")]
    pub query: String,
    /// The key by which grants are known to be right, as [`Granter::key`](crate::grant::Granter::key) gives it.
    pub key: String,
}

/// The parameter where none is named.
pub fn default_query() -> String {
    "serin".to_owned()
}

/// The value of the parameter by which a browser is like others again.
const OFF: &[u8] = b"off";

/// A policy's links, checked.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    query: String,
    key: Key,
    /// The cookie's name. Two releases may be behind one host, by paths.
    cookie: String,
    domain: Option<String>,
}

/// What a request's address is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visit {
    /// No link.
    Plain,
    /// A link that is not right, or has ended: the request is like any other.
    Refused,
    /// A link: the browser is to be sent on.
    Follow {
        /// The path without what was in it of the link.
        location: String,
        /// The cookie that keeps the grant, or takes it away.
        set_cookie: String,
    },
}

impl Links {
    pub(crate) fn compile(
        spec: &LinkSpec,
        policy: &str,
        cookie: Option<&CookieSpec>,
    ) -> Result<Self, Refusal> {
        rule::TOKEN.check("query", &spec.query)?;
        // It may be the token itself, which is not to be shown.
        let unfit = || {
            let value = format!("{} characters", spec.key.chars().count());
            Refusal::new(Kind::Invalid, "key", value, rule::LINK_KEY.hint())
        };
        let key = Key::parse(&spec.key).ok_or_else(unfit)?;
        let release = policy.rsplit('/').next().unwrap_or(policy);
        // Where users are one person on several hosts, so are testers.
        let domain = cookie.and_then(|cookie| cookie.domain.clone());
        Ok(Self { query: spec.query.clone(), key, cookie: format!("serin-link-{release}"), domain })
    }

    /// The version that the request's cookie grants.
    pub(crate) fn granted<R: Request>(&self, asked: &Asked<'_, R>, policy: &Policy) -> Option<Arm> {
        // One of them, however many there are: to see whether it is right takes some work.
        let value = asked.cookie(&self.cookie, |value| Some(value.to_vec()))?;
        let grant = self.grant(asked, policy, &value)?;
        Arm::all().nth(grant.version)
    }

    fn grant<'g, R: Request>(
        &self,
        asked: &Asked<'_, R>,
        policy: &Policy,
        text: &'g [u8],
    ) -> Option<Grant<'g>> {
        self.key.check(policy.name(), policy.names.all(), text, || asked.now_seconds())
    }

    fn visit<R: Request>(&self, asked: &Asked<'_, R>, policy: &Policy) -> Visit {
        let path = asked.path();
        let Some(value) = parameters(path).find_map(|one| self.value_of(one)) else { return Visit::Plain };
        // A person goes there, and no page's script or picture.
        let is_read = asked.header(":method").is_some_and(|method| method == b"GET" || method == b"HEAD");
        let is_page = || asked.header("sec-fetch-mode").is_none_or(|mode| mode == b"navigate");
        if !is_read || !is_page() {
            return Visit::Plain;
        }
        let (value, seconds) = if value == OFF {
            (String::new(), 0)
        } else if let Some(grant) = self.grant(asked, policy, value) {
            (grant.to_string(), grant.until.saturating_sub(asked.now_seconds()))
        } else {
            return Visit::Refused;
        };
        match self.without_link(path) {
            None => Visit::Refused,
            Some(location) => {
                let https = asked.header(":scheme").is_some_and(|scheme| scheme == b"https");
                Visit::Follow { location, set_cookie: self.set_cookie(&value, seconds, https) }
            }
        }
    }

    /// The value of a part of a query, if it is the link's.
    fn value_of<'p>(&self, parameter: &'p [u8]) -> Option<&'p [u8]> {
        parameter.strip_prefix(self.query.as_bytes())?.strip_prefix(b"=")
    }

    /// Where `path` leads without the link, as a reference to the same host; none if it is not what browsers write.
    fn without_link(&self, path: &[u8]) -> Option<String> {
        // Browsers leave out tabs and line ends, and take what is left for the address.
        if !path.starts_with(b"/") || !path.iter().all(|byte| matches!(byte, b'!'..=b'~')) {
            return None;
        }
        let place = path.split(|&byte| byte == b'?').next().unwrap_or_default();
        let others: Vec<_> = parameters(path).filter(|one| self.value_of(one).is_none()).collect();
        // A reference that begins with two slashes names another host, and browsers take the other kind for a slash.
        let same_host: &[u8] = if matches!(place.get(1), Some(b'/' | b'\\')) { b"/." } else { b"" };
        let query: &[u8] = if others.is_empty() { b"" } else { b"?" };
        String::from_utf8([same_host, place, query, &others.join(&b'&')].concat()).ok()
    }

    fn set_cookie(&self, value: &str, seconds: u64, https: bool) -> String {
        let domain = self.domain.as_ref().map(|domain| format!("; Domain={domain}")).unwrap_or_default();
        let secure = if https { "; Secure" } else { "" };
        let name = &self.cookie;
        format!("{name}={value}; Max-Age={seconds}; Path=/{domain}; SameSite=Lax{secure}; HttpOnly")
    }
}

/// The parts of the query of `path`.
fn parameters(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let query = path.iter().position(|&byte| byte == b'?').and_then(|at| path.get(at + 1..));
    query.into_iter().flat_map(|query| query.split(|&byte| byte == b'&'))
}

impl Policy {
    /// What the request's address is. Only where a policy has links is it asked for.
    pub fn visit<R: Request>(&self, request: &R) -> Visit {
        self.links.as_ref().map_or(Visit::Plain, |links| links.visit(&Asked::new(request), self))
    }

    /// Whether there are links to it.
    pub const fn has_links(&self) -> bool {
        self.links.is_some()
    }
}
