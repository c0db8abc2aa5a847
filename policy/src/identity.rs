/*!
Who is asking: the sticky id of a caller, looked for in the configured places in their order.
*/
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::cookie::CookieSpec;
use crate::request::{Asked, Request};
use crate::{baggage, rule};

/// A caller's sticky id: 1 to 128 characters that may stand in a cookie and in baggage alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Id(Box<str>);

impl Id {
    /// The longest id taken, in bytes. Longer ones are passed over like other junk.
    pub const MAX_LEN: usize = 128;

    /// The most bytes that others' ids may have, such as a session's or a token.
    pub const MAX_FOREIGN: usize = 4096;

    /// An id made of 128 random bits, as 32 hexadecimal digits.
    pub fn from_random(bits: u128) -> Self {
        Self(format!("{bits:032x}").into_boxed_str())
    }

    /// The id of whoever others know by `bytes`: the first 128 bits of their SHA-256. An application's session, a token or an
    /// address may be any text, and is nobody else's business: this is what travels on in its place. None for what is
    /// empty or longer than [`MAX_FOREIGN`](Self::MAX_FOREIGN).
    pub fn of_foreign(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.trim_ascii();
        if bytes.is_empty() || bytes.len() > Self::MAX_FOREIGN {
            return None;
        }
        let digest = Sha256::digest(bytes);
        Some(Self::from_random(digest.iter().take(16).fold(0, |sum, &byte| (sum << 8) | u128::from(byte))))
    }

    /// The id's bytes, all of them printable ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// What a client sent is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an id is 1 to 128 printable ASCII characters, without space, comma, semicolon, backslash and quotes"
)]
pub struct NotAnId;

impl TryFrom<&[u8]> for Id {
    type Error = NotAnId;

    fn try_from(bytes: &[u8]) -> Result<Self, NotAnId> {
        if bytes.is_empty() || bytes.len() > Self::MAX_LEN || !bytes.iter().copied().all(is_id_byte) {
            return Err(NotAnId);
        }
        std::str::from_utf8(bytes).map(|text| Self(text.into())).map_err(|_| NotAnId)
    }
}

/// cookie-octet of RFC 6265, which is also baggage-octet of W3C baggage.
const fn is_id_byte(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2B | 0x2D..=0x3A | 0x3C..=0x5B | 0x5D..=0x7E)
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place to look for an id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// A request header that something trustworthy in front has set: a user id, a claim of a verified JWT.
    Header(String),
    /// A cookie, ours or the application's.
    Cookie(String),
    /// A baggage member, set by a proxy nearer to the edge. An edge proxy does not list this.
    Baggage(String),
    /// `x-request-id`: one answer for all services that a request passes, but no stickiness between requests.
    RequestId,
}

impl Source {
    /// What the source's name must be, if that is not what it is.
    pub(crate) fn broken_rule(&self) -> Option<&'static rule::Text> {
        let (name, rule) = match self {
            Self::Header(name) => (name, &rule::HEADER),
            Self::Cookie(name) | Self::Baggage(name) => (name, &rule::TOKEN),
            Self::RequestId => return None,
        };
        (!rule.accepts(name)).then_some(rule)
    }
}

/// Where an id came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A trusted request header.
    Header,
    /// A cookie.
    Cookie,
    /// A baggage member.
    Baggage,
    /// `x-request-id`: not sticky.
    RequestId,
    /// Made just now; the response should carry it in a cookie.
    Issued,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Cookie => "cookie",
            Self::Baggage => "baggage",
            Self::RequestId => "request id",
            Self::Issued => "new",
        })
    }
}

/// A caller's id and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The id.
    pub id: Id,
    /// Where it was found.
    pub origin: Origin,
}

/// The first valid id in `sources`.
///
/// What Serin has issued is taken as it is, from its own cookie and from baggage; what others call a caller is
/// [digested](Id::of_foreign). A request id is no substitute for stickiness: where a cookie can be issued, that is done before falling back
/// to it. `mint` makes the new id.
pub(crate) fn identify<R: Request>(
    request: &Asked<'_, R>,
    sources: &[Source],
    cookie: Option<&CookieSpec>,
    mint: impl FnOnce() -> Option<Id>,
) -> Option<Identity> {
    let valid = |bytes: &[u8]| Id::try_from(bytes).ok();
    let sticky = sources.iter().find_map(|source| {
        let is_own = |name: &str| cookie.is_some_and(|cookie| cookie.name == name);
        let (id, origin) = match source {
            Source::Header(name) => (Id::of_foreign(&request.header(name)?), Origin::Header),
            Source::Cookie(name) if is_own(name) => (request.cookie(name, valid), Origin::Cookie),
            Source::Cookie(name) => (request.cookie(name, Id::of_foreign), Origin::Cookie),
            Source::Baggage(key) => {
                (baggage::find(&request.header_list("baggage")?, key, valid), Origin::Baggage)
            }
            Source::RequestId => return None,
        };
        Some(Identity { id: id?, origin })
    });
    if sticky.is_some() {
        return sticky;
    }
    if cookie.is_some_and(|cookie| cookie.issue && request.may_start_identity(cookie)) {
        return mint().map(|id| Identity { id, origin: Origin::Issued });
    }
    if sources.contains(&Source::RequestId) {
        let id = valid(&request.header("x-request-id")?)?;
        return Some(Identity { id, origin: Origin::RequestId });
    }
    None
}
