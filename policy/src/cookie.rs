/*!
Cookies: reading one out of whatever a client sends, and deciding whether and how to issue ours.

Reading follows RFC 6265 section 5.4 where clients do and survives where they do not. Issuing keeps two promises:
no sub-resource fetch starts an identity, and no response that a shared cache may keep ever carries one, for
then one visitor's cookie would be handed to everybody.
*/
use serde::{Deserialize, Serialize};

use crate::identity::{Id, Source};
use crate::lenient_int;
use crate::refusal::{Kind, Refusal};
use crate::rule;

/// The first value of the cookie `name` in a `cookie` header that `accept` takes.
///
/// Pairs are separated by `;`, or by `,` where a proxy has joined several header lines. Values may be quoted.
/// Bytes need not be UTF-8, and what is not a pair is passed over.
pub fn find<T>(header: &[u8], name: &str, accept: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    header.split(|&byte| byte == b';' || byte == b',').find_map(|pair| {
        let pair = pair.trim_ascii();
        let value =
            pair.strip_prefix(name.as_bytes())?.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
        let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        accept(unquoted)
    })
}

/// The cookie that a browser-facing proxy issues to callers without an identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CookieSpec {
    /// Name of the cookie; also to be listed as a source, or nobody would ever be recognised by it.
    pub name: String,
    /// `Max-Age` in seconds.
    #[serde(deserialize_with = "lenient_int::u32")]
    pub max_age_seconds: u32,
    /// `Path`.
    #[serde(default = "root")]
    pub path: String,
    /// `Domain`; without one the cookie stays with the host that set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// `SameSite`.
    #[serde(default)]
    pub same_site: SameSite,
    /// `HttpOnly`: scripts cannot read the cookie.
    #[serde(default = "yes")]
    pub http_only: bool,
    /// `Secure`: the cookie travels over https only.
    #[serde(default)]
    pub secure: Secure,
}

fn root() -> String {
    "/".to_owned()
}

const fn yes() -> bool {
    true
}

/// The `SameSite` attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum SameSite {
    /// Not sent on any cross-site request.
    Strict,
    /// Sent when a link from another site is followed.
    #[default]
    Lax,
    /// Sent always; browsers want `Secure` with it.
    None,
}

/// When the cookie carries `Secure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Secure {
    /// When the request came by https.
    #[default]
    Auto,
    /// Always: for proxies behind something that ends TLS without saying so.
    Always,
}

impl CookieSpec {
    /// The longest `Max-Age` browsers keep: 400 days (RFC 6265bis section 5.5).
    pub const MAX_AGE_SECONDS: u32 = 400 * 24 * 60 * 60;

    /// What to write where browsers would drop the cookie.
    pub const SECURE: &str = "write always: browsers drop a cookie with SameSite=None that is not Secure";

    /// What to do where the cookie of this name is issued and not looked for.
    pub fn unlisted(name: &str) -> String {
        format!("list {{cookie: {name}}} among the sources too, or nobody is recognised by the cookie")
    }

    /// Checks the cookie. It must be among `sources`.
    pub(crate) fn check(&self, sources: &[Source]) -> Result<(), Refusal> {
        rule::TOKEN.check("name", &self.name)?;
        if !sources.contains(&Source::Cookie(self.name.clone())) {
            let value = format!("{:?}", self.name);
            return Err(Refusal::new(Kind::Invalid, "name", value, Self::unlisted(&self.name)));
        }
        if !(1..=Self::MAX_AGE_SECONDS).contains(&self.max_age_seconds) {
            let hint = format!("give 1 to {} (400 days)", Self::MAX_AGE_SECONDS);
            return Err(Refusal::new(Kind::Invalid, "maxAgeSeconds", self.max_age_seconds, hint));
        }
        rule::COOKIE_PATH.check("path", &self.path)?;
        if let Some(domain) = &self.domain {
            rule::COOKIE_DOMAIN.check("domain", domain)?;
        }
        if self.same_site == SameSite::None && self.secure != Secure::Always {
            return Err(Refusal::new(Kind::Invalid, "secure", "\"auto\"", Self::SECURE));
        }
        Ok(())
    }

    /// The value of the `set-cookie` header that gives `id` to the caller.
    pub fn set_cookie(&self, id: &Id, https: bool) -> String {
        let domain = self.domain.as_ref().map(|domain| format!("; Domain={domain}")).unwrap_or_default();
        let same_site = match self.same_site {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
            SameSite::None => "None",
        };
        let secure = if https || self.secure == Secure::Always { "; Secure" } else { "" };
        let http_only = if self.http_only { "; HttpOnly" } else { "" };
        format!(
            "{}={id}; Max-Age={}; Path={}{domain}; SameSite={same_site}{secure}{http_only}",
            self.name, self.max_age_seconds, self.path
        )
    }
}

/// What shared caches may do with a response (RFC 9111 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cacheability {
    /// The application keeps shared caches away: `private` or `no-store`.
    Never,
    /// Nothing forbids keeping it and nothing asks for it: adding `private` closes the gap.
    Unsaid,
    /// The application wants shared caches to keep it: it must carry nobody's cookie.
    Wanted,
}

impl Cacheability {
    /// Reads a response's `cache-control` and whether it has an `expires` header.
    pub fn of(cache_control: Option<&[u8]>, expires: bool) -> Self {
        let (mut wanted, mut limited) = (false, false);
        let directives = cache_control.unwrap_or_default().split(|&byte| byte == b',');
        for directive in directives.map(|directive| directive.trim_ascii().to_ascii_lowercase()) {
            let (name, value) = match directive.iter().position(|&byte| byte == b'=') {
                Some(at) => directive.split_at(at),
                None => (directive.as_slice(), &b""[..]),
            };
            match name {
                // `private="field"` limits only that field; the response itself may be kept.
                b"private" if value.is_empty() => return Self::Never,
                b"no-store" => return Self::Never,
                b"public" | b"s-maxage" => wanted = true,
                b"max-age" if value.iter().any(|byte| matches!(byte, b'1'..=b'9')) => wanted = true,
                b"max-age" | b"no-cache" => limited = true,
                _ => {}
            }
        }
        // max-age and no-cache override Expires (RFC 9111 section 5.3).
        if wanted || (expires && !limited) { Self::Wanted } else { Self::Unsaid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_find(header: &[u8], expected: Option<&str>) {
        let found = find(header, "serin", |value| std::str::from_utf8(value).ok().map(str::to_owned));
        assert_eq!(found.as_deref(), expected, "{:?}", String::from_utf8_lossy(header));
    }

    #[test]
    fn a_cookie_is_found_among_whatever_clients_send() {
        check_find(b"serin=a", Some("a"));
        check_find(b"a=b; serin=c; d=e", Some("c"));
        check_find(b"a=b;serin=c", Some("c"));
        check_find(b" ;; ; serin = \"q\" ", Some("q"));
        check_find(b"a=b,serin=c", Some("c"));
        check_find(b"serinx=1; xserin=2; serin=3", Some("3"));
        check_find(b"serin=1; serin=2", Some("1"));
        check_find(b"serin", None);
        check_find(b"", None);
        check_find(b"Serin=1", None);
        check_find(b"junk\xff\xfe=\x00; serin=ok", Some("ok"));
        check_find(b"serin=\xff; serin=ok", Some("ok"));
    }

    #[test]
    fn a_cookie_is_found_at_the_end_of_64_kilobytes() {
        let mut header = vec![b'x'; 64 * 1024];
        header.extend_from_slice(b"; serin=far");
        check_find(&header, Some("far"));
    }

    #[test]
    fn set_cookie_carries_its_attributes() {
        let spec: CookieSpec = serde_json::from_str(r#"{"name":"serin","maxAgeSeconds":60}"#).unwrap();
        let id = Id::try_from(&b"abc"[..]).unwrap();
        assert_eq!(spec.set_cookie(&id, false), "serin=abc; Max-Age=60; Path=/; SameSite=Lax; HttpOnly");
        assert_eq!(
            spec.set_cookie(&id, true),
            "serin=abc; Max-Age=60; Path=/; SameSite=Lax; Secure; HttpOnly"
        );
        let spec = CookieSpec { domain: Some("example.com".into()), http_only: false, ..spec };
        assert_eq!(
            spec.set_cookie(&id, false),
            "serin=abc; Max-Age=60; Path=/; Domain=example.com; SameSite=Lax"
        );
    }

    #[test]
    fn shared_caches_are_told_apart_from_private_ones() {
        for (cache_control, expires, expected) in [
            (None, false, Cacheability::Unsaid),
            (None, true, Cacheability::Wanted),
            (Some("no-cache"), false, Cacheability::Unsaid),
            (Some("max-age=0, must-revalidate"), true, Cacheability::Unsaid),
            (Some("private, max-age=60"), false, Cacheability::Never),
            (Some("PUBLIC"), false, Cacheability::Wanted),
            (Some("max-age=60"), false, Cacheability::Wanted),
            (Some("s-maxage=0"), false, Cacheability::Wanted),
            (Some("private=\"x-a\", max-age=60"), false, Cacheability::Wanted),
            (Some("no-store"), true, Cacheability::Never),
        ] {
            assert_eq!(
                Cacheability::of(cache_control.map(str::as_bytes), expires),
                expected,
                "{cache_control:?}"
            );
        }
    }
}
