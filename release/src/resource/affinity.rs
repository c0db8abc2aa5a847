/*!
How callers are recognised, as people write it.
*/
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serin_policy::cookie::{CookieSpec, OnCacheable, SameSite, Secure, Start};
use serin_policy::{Policy, Source};

use super::{Scalar, schema};

/// How callers are recognised, so that each of them stays with one version.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionAffinity {
    /// Where a caller's id is looked for, in this order; the first id wins. Each is `{header: NAME}`, `{cookie: NAME}`,
    /// `{baggage: KEY}` or the word `requestId`, which keeps a request on one version through all services it passes, but not
    /// a caller from one request to the next. The default is `[{cookie: serin}]`. Sidecars look into the baggage that
    /// `propagation` sends on before all of these, and last at the request id; gateways never look into baggage.
    #[schemars(with = "Vec<schema::Source>", length(min = 1, max = Policy::MAX_SOURCES))]
    pub sources: Vec<Source>,
    /// The cookie that a caller without an id is given. The default is one called `serin`, if that is among the sources, for 7
    /// days. A cookie of the application's own is never given unless it is named here.
    pub cookie: Option<Cookie>,
    /// How the id reaches the services behind this one: `Baggage` puts it into the W3C baggage member `serin`, which is sent
    /// on by every service that forwards trace context; `None` does not send it on. The default is `Baggage`. What others call
    /// a caller, in a header or in the application's cookie, goes on as a digest only.
    pub propagation: Propagation,
}

impl Default for SessionAffinity {
    fn default() -> Self {
        let sources = vec![Source::Cookie("serin".to_owned())];
        Self { sources, cookie: None, propagation: Propagation::default() }
    }
}

/// How the id reaches the services behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Propagation {
    /// In the `baggage` member `serin`, which is sent on by every service that forwards trace context.
    #[default]
    Baggage,
    /// Not at all.
    None,
}

/// The cookie that a caller without an id is given.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [schema::validation(
    ".secure",
    "!has(self.sameSite) || self.sameSite != 'None' || (has(self.secure) && self.secure == 'always')",
    CookieSpec::SECURE,
)]))]
pub struct Cookie {
    /// The cookie's name, which must be among the sources. The default is `serin`.
    #[schemars(with = "Option<schema::CookieName>")]
    pub name: Option<String>,
    /// How long browsers keep the cookie, 1s to 400d. The default is `7d`.
    #[schemars(with = "schema::Duration")]
    pub max_age: Scalar,
    /// The cookie's `Path`. The default is `/`.
    #[schemars(with = "schema::CookiePath")]
    pub path: String,
    /// The cookie's `Domain`. Without one the cookie stays with the host that set it, which is the default.
    #[schemars(with = "Option<schema::CookieDomain>")]
    pub domain: Option<String>,
    /// When browsers send the cookie on requests from other sites: `Strict` never, `Lax` when a link is followed, `None`
    /// always. The default is `Lax`.
    pub same_site: SameSite,
    /// Whether the cookie is hidden from scripts. The default is true.
    pub http_only: bool,
    /// When the cookie is `Secure`, so that browsers send it over https only: `auto` when the request came over https,
    /// `always` on every cookie, for where TLS ends in front of the proxies and they are not told. The default is `auto`.
    pub secure: Secure,
    /// Which requests without an id start one: `Navigation` those for pages, and of clients that are no browsers; `Any` all of
    /// them, for a host that only scripts ask, such as an API's. The default is `Navigation`.
    pub start: Start,
    /// What becomes of an answer to a new caller that shared caches may keep, such as a page with `max-age=60`: it cannot carry
    /// anybody's cookie, and the caller's next request is a new caller's. `Hold` leaves it as it is, and holds a release at its
    /// beginning where that is more than a few; `MakePrivate` makes it `private`, with the cookie; `Ignore` leaves it as it is.
    /// While only some callers get the canary, what shared caches may keep of it is made `private` whoever asks, unless this is
    /// `Ignore`: a CDN would hand it to everybody, also after a rollback. The default is `Hold`.
    pub on_cacheable: OnCacheable,
}

impl Default for Cookie {
    fn default() -> Self {
        Self {
            name: None,
            max_age: Scalar::from("7d"),
            path: "/".to_owned(),
            domain: None,
            same_site: SameSite::default(),
            http_only: true,
            secure: Secure::default(),
            start: Start::default(),
            on_cacheable: OnCacheable::default(),
        }
    }
}
