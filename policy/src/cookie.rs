/*!
Cookies: reading one out of whatever a client sends, and deciding whether and how to issue ours.

Reading follows RFC 6265 section 5.4 where clients do and survives where they do not. Issuing keeps two promises:
no sub-resource fetch starts an identity, and no response that a shared cache may keep ever carries one, for
then one visitor's cookie would be handed to everybody.
*/
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::identity::{Id, Source};
use crate::lenient_int;
use crate::refusal::{Kind, Refusal};
use crate::rule;

/// The first value of the cookie `name` in one line of a `cookie` header that `accept` takes.
///
/// Pairs are separated by `;`. Values may be quoted, and may hold commas. Bytes need not be UTF-8, and what is not a pair is
/// passed over.
pub fn find<T>(line: &[u8], name: &str, accept: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    line.split(|&byte| byte == b';').find_map(|pair| value_of(pair, name).and_then(&accept))
}

/// The same in several lines, which a proxy has joined by commas. A comma begins a line where a pair follows it; otherwise it
/// is part of a value.
pub fn find_in_lines<T>(lines: &[u8], name: &str, accept: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    lines.split(|&byte| byte == b';').find_map(|part| {
        let pieces: Vec<_> = part.split(|&byte| byte == b',').collect();
        pieces.iter().enumerate().find_map(|(i, piece)| {
            let value = value_of(piece, name)?;
            let rest = pieces.iter().skip(i + 1).take_while(|piece| !piece.contains(&b'='));
            let whole = rest.fold(value.to_vec(), |whole, piece| [&whole, &b","[..], piece].concat());
            accept(&whole)
        })
    })
}

/// The value of a pair, if it is that cookie's.
fn value_of<'p>(pair: &'p [u8], name: &str) -> Option<&'p [u8]> {
    let pair = pair.trim_ascii();
    let value = pair.strip_prefix(name.as_bytes())?.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    Some(value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value))
}

/// Whether an `expires` header names a time after `now_ns`, in nanoseconds since 1970. What is no date is a time gone by (RFC
/// 9111 section 5.3).
pub fn is_to_come(expires: &[u8], now_ns: u64) -> bool {
    let text = std::str::from_utf8(expires).ok();
    let date = text.and_then(|text| httpdate::parse_http_date(text.trim()).ok());
    date.is_some_and(|date| date > UNIX_EPOCH + Duration::from_nanos(now_ns))
}

/// Whether the `set-cookie` lines of a response, joined by commas, set the cookie `name`.
pub fn is_set(lines: &[u8], name: &str) -> bool {
    lines.split(|&byte| byte == b',').any(|line| {
        let pair = line.split(|&byte| byte == b';').next().unwrap_or_default();
        value_of(pair, name).is_some()
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
    /// Whether callers without an id are given one here. Elsewhere it says which cookie is Serin's own.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub issue: bool,
    /// Which requests may start an identity.
    #[serde(default, skip_serializing_if = "Start::is_default")]
    pub start: Start,
    /// What becomes of a response that shared caches may keep.
    #[serde(default, skip_serializing_if = "OnCacheable::is_default")]
    pub on_cacheable: OnCacheable,
}

fn root() -> String {
    "/".to_owned()
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_yes(value: &bool) -> bool {
    *value
}

/// Which requests without an id start an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Start {
    /// Navigations, and requests of clients that are no browsers.
    #[default]
    Navigation,
    /// Every request: for hosts that scripts alone ask, such as an API's.
    Any,
}

impl Start {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of a response to a new caller that shared caches may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum OnCacheable {
    /// It goes out as it is, without the cookie, and is counted: the agent holds a release where there are many.
    #[default]
    Hold,
    /// It is made `private`, and carries the cookie.
    MakePrivate,
    /// It goes out as it is, without the cookie.
    Ignore,
}

impl OnCacheable {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
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

    /// What to write where browsers would drop the cookie for its name.
    pub const PREFIXED: &str = "browsers keep a cookie called __Secure-… only with secure: always, and one called __Host-… only \
                                with path / and without a domain besides";

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
        if !self.is_kept() {
            return Err(Refusal::new(Kind::Invalid, "name", format!("{:?}", self.name), Self::PREFIXED));
        }
        Ok(())
    }

    /// Whether browsers keep a cookie of such a name with these attributes (RFC 6265bis section 4.1.3).
    pub fn is_kept(&self) -> bool {
        let is_secure = self.secure == Secure::Always;
        let begins = |prefix: &str| {
            self.name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        (!begins("__Secure-") || is_secure)
            && (!begins("__Host-") || (is_secure && self.domain.is_none() && self.path == "/"))
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
    /// Reads a response's `cache-control`, and whether its `expires` is a time to come.
    pub fn of(cache_control: Option<&[u8]>, expires: bool) -> Self {
        let (mut public, mut lasting, mut limited) = (false, false, false);
        let directives = cache_control.unwrap_or_default().split(|&byte| byte == b',');
        for directive in directives.map(|directive| directive.trim_ascii().to_ascii_lowercase()) {
            let (name, value) = match directive.iter().position(|&byte| byte == b'=') {
                Some(at) => directive.split_at(at),
                None => (directive.as_slice(), &b""[..]),
            };
            let is_some_time = || value.iter().any(|byte| matches!(byte, b'1'..=b'9'));
            match name {
                // `private="field"` limits only that field; the response itself may be kept.
                b"private" if value.is_empty() => return Self::Never,
                b"no-store" => return Self::Never,
                b"public" => public = true,
                b"max-age" | b"s-maxage" if is_some_time() => lasting = true,
                b"max-age" | b"s-maxage" | b"no-cache" => limited = true,
                _ => {}
            }
        }
        // They override Expires (RFC 9111 section 5.3), and what is stale at once need not be kept.
        if lasting || ((public || expires) && !limited) { Self::Wanted } else { Self::Unsaid }
    }

    /// The same `cache-control`, but `private`.
    pub fn made_private(cache_control: &[u8]) -> Vec<u8> {
        let is_of_shared = |directive: &[u8]| {
            let name = directive.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii();
            name.eq_ignore_ascii_case(b"public") || name.eq_ignore_ascii_case(b"s-maxage") || name.is_empty()
        };
        let kept = cache_control.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        let all = std::iter::once(&b"private"[..]).chain(kept.filter(|directive| !is_of_shared(directive)));
        all.collect::<Vec<_>>().join(&b", "[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &[u8]) -> Option<String> {
        std::str::from_utf8(value).ok().map(str::to_owned)
    }

    /// What is found in one line, and in it as one of several.
    fn check_find(line: &[u8], expected: Option<&str>) {
        let shown = String::from_utf8_lossy(line);
        assert_eq!(find(line, "serin", text).as_deref(), expected, "{shown:?}");
        assert_eq!(find_in_lines(line, "serin", text).as_deref(), expected, "in lines: {shown:?}");
    }

    #[test]
    fn a_cookie_is_found_among_whatever_clients_send() {
        check_find(b"serin=a", Some("a"));
        check_find(b"a=b; serin=c; d=e", Some("c"));
        check_find(b"a=b;serin=c", Some("c"));
        check_find(b" ;; ; serin = \"q\" ", Some("q"));
        check_find(b"serin=v1,8f3e; a=b", Some("v1,8f3e"));
        check_find(b"serinx=1; xserin=2; serin=3", Some("3"));
        check_find(b"serin=1; serin=2", Some("1"));
        check_find(b"serin", None);
        check_find(b"", None);
        check_find(b"Serin=1", None);
        check_find(b"junk\xff\xfe=\x00; serin=ok", Some("ok"));
        check_find(b"serin=\xff; serin=ok", Some("ok"));
    }

    #[test]
    fn a_cookie_is_found_in_every_line() {
        for (lines, expected) in [
            (&b"a=b,serin=c"[..], Some("c")),
            (b"a=b,serin=v1,8f3e,c=d; e=f", Some("v1,8f3e")),
            (b"a=b; serin=\xff,serin=ok", Some("ok")),
            (b"a=serin,b=c", None),
        ] {
            let shown = String::from_utf8_lossy(lines);
            assert_eq!(find_in_lines(lines, "serin", text).as_deref(), expected, "{shown:?}");
        }
    }

    #[test]
    fn a_cookie_that_the_application_sets_is_seen() {
        for (lines, expected) in [
            (&b"session=1; Path=/"[..], true),
            (b"a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT,session=; Max-Age=0", true),
            (b"sessions=1,xsession=2; Path=/session=1", false),
        ] {
            assert_eq!(is_set(lines, "session"), expected, "{:?}", String::from_utf8_lossy(lines));
        }
    }

    #[test]
    fn what_has_expired_or_is_no_date_is_not_to_come() {
        let now_ns = 1_700_000_000_000_000_000;
        for (expires, expected) in [
            ("Tue, 14 Nov 2023 22:13:21 GMT", true),
            ("Tue, 14 Nov 2023 22:13:20 GMT", false),
            ("Thu, 01 Jan 1970 00:00:00 GMT", false),
            ("0", false),
            ("-1", false),
            ("", false),
        ] {
            assert_eq!(is_to_come(expires.as_bytes(), now_ns), expected, "{expires:?}");
        }
    }

    #[test]
    fn what_is_made_private_keeps_the_rest() {
        for (before, after) in [
            ("public, max-age=60", "private, max-age=60"),
            ("S-Maxage=60,must-revalidate", "private, must-revalidate"),
            ("", "private"),
        ] {
            assert_eq!(Cacheability::made_private(before.as_bytes()), after.as_bytes(), "{before}");
        }
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
            (Some("s-maxage=0"), false, Cacheability::Unsaid),
            (Some("public, max-age=0"), true, Cacheability::Unsaid),
            (Some("max-age=0, s-maxage=60"), false, Cacheability::Wanted),
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
