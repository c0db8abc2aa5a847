/*!
Rules that look at a request: overrides for testers, segments for groups of users.
*/
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::decision::Arm;
use crate::refusal::{Kind, Refusal};
use crate::request::{Asked, Request};
use crate::rule::{self, check_length};
use crate::versions::Names;
use crate::weight::Weight;

/// A header by which a tester names the version they want: `canary`, or `canary:<token>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OverrideSpec {
    /// The header's name.
    pub header: String,
    /// SHA-256 of the token that must follow the version, as 64 hexadecimal digits; open to all without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_sha256: Option<String>,
}

/// An override ready for use.
#[derive(Debug, Clone)]
pub(crate) struct Override {
    header: String,
    token_sha256: Option<[u8; 32]>,
}

impl Override {
    /// What to do where the same header is open to all besides.
    pub(crate) const OPEN: &str =
        "leave out the override of the same header without a token: it lets everybody in";

    /// What to do where the token is empty.
    const EMPTY_TOKEN: &str =
        "this is the SHA-256 of an empty token, which everybody knows: give that of at least 16 random bytes";

    pub(crate) const fn is_open(&self) -> bool {
        self.token_sha256.is_none()
    }

    pub(crate) fn is_by_header_of(&self, other: &Self) -> bool {
        self.header == other.header
    }

    pub(crate) fn compile(spec: &OverrideSpec) -> Result<Self, Refusal> {
        rule::HEADER.check("header", &spec.header)?;
        let token_sha256 = match &spec.token_sha256 {
            None => None,
            Some(hex) => Some(from_hex(hex).ok_or_else(|| {
                // It may be the token itself, which is not to be shown.
                let (value, hint) = (format!("{} characters", hex.len()), rule::TOKEN_SHA256.hint());
                Refusal::new(Kind::Invalid, "tokenSha256", value, hint)
            })?),
        };
        if token_sha256 == Some(Sha256::digest(b"").into()) {
            let hint = Self::EMPTY_TOKEN;
            return Err(Refusal::new(Kind::Invalid, "tokenSha256", "of an empty text", hint));
        }
        Ok(Self { header: spec.header.clone(), token_sha256 })
    }

    /// The version this request asks for and may ask for.
    pub(crate) fn asks_for<R: Request>(&self, request: &Asked<'_, R>, names: &Names) -> Option<Arm> {
        let value = request.header(&self.header)?;
        let (name, token) = match value.iter().position(|&byte| byte == b':') {
            Some(colon) => (value.get(..colon)?, value.get(colon + 1..)?),
            None => (value.as_slice(), &b""[..]),
        };
        if let Some(expected) = &self.token_sha256 {
            // Digests are compared in constant time: how long it takes says nothing of how much was right.
            let given: [u8; 32] = Sha256::digest(token).into();
            if !bool::from(given.ct_eq(expected)) {
                return None;
            }
        }
        names.find(name)
    }
}

fn from_hex(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    // `from_str_radix` would take a sign for a digit.
    if !rule::TOKEN_SHA256.accepts(hex) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// A group of users with a weight of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentSpec {
    /// Name of the segment, for reasons and labels.
    pub name: String,
    /// A request belongs to the segment when any of these matches.
    pub matches: Vec<Match>,
    /// The share of the segment that gets the canary, or [`version`](Self::version).
    pub weight: Weight,
    /// The version that the share gets, by its name; the canary without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl SegmentSpec {
    /// The most matches.
    pub const MAX_MATCHES: usize = 16;
    /// What to write where two segments have one name.
    pub const OWN_NAME: &str = "give every segment a name of its own";

    pub(crate) fn check(&self) -> Result<(), Refusal> {
        rule::LABEL.check("name", &self.name)?;
        if self.matches.is_empty() {
            let hint = "give at least one match: the share of everybody else is the steps'";
            return Err(Refusal::new(Kind::Invalid, "matches", "[]", hint));
        }
        check_length("matches", &self.matches, Self::MAX_MATCHES)?;
        for (i, one) in self.matches.iter().enumerate() {
            one.check().map_err(|refusal| refusal.within(&format!("matches[{i}]"), None))?;
        }
        Ok(())
    }
}

/// A segment ready for use.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    name: String,
    matches: Vec<Match>,
    pub(crate) weight: Weight,
    /// The version that the share gets.
    pub(crate) arm: Arm,
}

impl Segment {
    const VERSION: &str = "give the name of a version that is not stable, or leave it out for the canary";

    pub(crate) fn compile(spec: SegmentSpec, names: &Names) -> Result<Self, Refusal> {
        let SegmentSpec { name, matches, weight, version } = spec;
        let arm = match &version {
            None => Some(Arm::Canary),
            Some(version) => names.find(version.as_bytes()).filter(|arm| *arm != Arm::Stable),
        };
        let arm = arm.ok_or_else(|| {
            Refusal::new(
                Kind::Invalid,
                "version",
                format!("{:?}", version.unwrap_or_default()),
                Self::VERSION,
            )
        })?;
        Ok(Self { name, matches, weight, arm })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn holds<R: Request>(&self, request: &Asked<'_, R>) -> bool {
        self.matches.iter().any(|one| one.holds(request))
    }
}

/// Conditions on a request, all of which must hold. The words are the Gateway API's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.path) || has(self.method) || (has(self.headers) && self.headers.size() > 0) \
             || (has(self.cookies) && self.cookies.size() > 0)",
    "message": Match::EMPTY,
}])))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Match {
    /// Conditions on headers, all of which must hold.
    #[cfg_attr(feature = "schema", schemars(length(max = Match::MAX_CONDITIONS)))]
    #[cfg_attr(feature = "schema", schemars(extend("x-kubernetes-validations" = [names(&rule::HEADER)])))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Named>,
    /// Conditions on cookies, all of which must hold.
    #[cfg_attr(feature = "schema", schemars(length(max = Match::MAX_CONDITIONS)))]
    #[cfg_attr(feature = "schema", schemars(extend("x-kubernetes-validations" = [names(&rule::TOKEN)])))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cookies: Vec<Named>,
    /// Condition on the path, without its query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Condition>,
    /// The method, e.g. `GET`.
    #[cfg_attr(feature = "schema", schemars(length(max = rule::METHOD.most())))]
    #[cfg_attr(feature = "schema", schemars(extend("x-kubernetes-validations" = [rule::METHOD.validation()])))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

/// A condition on the header or cookie of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.type) && self.type == 'Present' ? !has(self.value) : has(self.value) && self.value != ''",
    "message": Named::VALUE,
    "fieldPath": ".value",
}])))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Named {
    /// Name of the header, in lower case, or of the cookie.
    #[cfg_attr(feature = "schema", schemars(length(max = rule::TOKEN.most())))]
    pub name: String,
    /// How to compare: the value is this (`Exact`), begins with it (`Prefix`), has it somewhere (`Contains`), or is there at
    /// all (`Present`). The default is `Exact`.
    #[serde(rename = "type", default)]
    pub how: How,
    /// What to compare with. Not with `Present`.
    #[cfg_attr(feature = "schema", schemars(length(max = rule::WANTED.most())))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// A condition on the path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.type) || self.type != 'Present'",
    "message": Condition::HOW,
    "fieldPath": ".type",
}])))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Condition {
    /// How to compare: the value is this (`Exact`), begins with it (`Prefix`) or has it somewhere (`Contains`). The default is
    /// `Exact`.
    #[serde(rename = "type", default)]
    pub how: How,
    /// What to compare with.
    #[cfg_attr(feature = "schema", schemars(length(max = rule::WANTED.most())))]
    #[cfg_attr(feature = "schema", schemars(extend("x-kubernetes-validations" = [rule::WANTED.validation()])))]
    pub value: String,
}

/// How a value is compared. There are no regular expressions: their engine would quadruple the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum How {
    /// The value is this.
    #[default]
    Exact,
    /// The value begins with this.
    Prefix,
    /// The value has this in it.
    Contains,
    /// There is a value, whatever it is.
    Present,
}

impl How {
    fn holds(self, actual: &[u8], wanted: &[u8]) -> bool {
        match self {
            Self::Exact => actual == wanted,
            Self::Prefix => actual.starts_with(wanted),
            Self::Contains => actual.windows(wanted.len()).any(|window| window == wanted),
            Self::Present => true,
        }
    }
}

/// The rule for the names in a list of conditions.
#[cfg(feature = "schema")]
fn names(name: &rule::Text) -> serde_json::Value {
    let rule = format!("self.all(one, {})", name.cel("one.name"));
    serde_json::json!({"rule": rule, "message": name.hint()})
}

impl Named {
    /// What to write where there is no value to compare with, or one too many.
    pub const VALUE: &str = "give a value to compare with, or leave it out with {type: Present}";

    fn check(&self, name: &rule::Text) -> Result<(), Refusal> {
        name.check("name", &self.name)?;
        let invalid = |value: String| Err(Refusal::new(Kind::Invalid, "value", value, Self::VALUE));
        match (self.how, self.value.as_deref()) {
            (How::Present, None) => Ok(()),
            (How::Present, Some(value)) => invalid(format!("{value:?}")),
            (_, Some(value)) if rule::WANTED.accepts(value) => Ok(()),
            (_, Some(value)) => invalid(format!("{value:?}")),
            (_, None) => invalid("missing".to_owned()),
        }
    }

    fn holds(&self, actual: &[u8]) -> bool {
        self.how.holds(actual, self.value.as_deref().unwrap_or_default().as_bytes())
    }
}

impl Condition {
    /// What to write where a path is only to be there.
    pub const HOW: &str = "write Exact, Prefix or Contains: every request has a path";

    fn check(&self) -> Result<(), Refusal> {
        if self.how == How::Present {
            return Err(Refusal::new(Kind::Invalid, "type", "\"Present\"", Self::HOW));
        }
        rule::WANTED.check("value", &self.value)
    }
}

impl Match {
    /// The most conditions on headers, and on cookies.
    pub const MAX_CONDITIONS: usize = 16;
    /// What to write where there is no condition.
    pub const EMPTY: &str = "give headers, cookies, path or method: an empty match would take everybody";

    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if *self == Self::default() {
            return Err(Refusal::new(Kind::Invalid, "", "{}", Self::EMPTY));
        }
        for (field, conditions, name) in
            [("headers", &self.headers, &rule::HEADER), ("cookies", &self.cookies, &rule::TOKEN)]
        {
            check_length(field, conditions, Self::MAX_CONDITIONS)?;
            for (i, one) in conditions.iter().enumerate() {
                one.check(name).map_err(|refusal| refusal.within(&format!("{field}[{i}]"), None))?;
            }
        }
        if let Some(path) = &self.path {
            path.check().map_err(|refusal| refusal.within("path", None))?;
        }
        self.method.as_ref().map_or(Ok(()), |method| rule::METHOD.check("method", method))
    }

    pub(crate) fn holds<R: Request>(&self, request: &Asked<'_, R>) -> bool {
        self.headers
            .iter()
            .all(|header| request.header(&header.name).is_some_and(|actual| header.holds(&actual)))
            && self.cookies.iter().all(|cookie| {
                request.cookie(&cookie.name, |actual| cookie.holds(actual).then_some(())).is_some()
            })
            && self
                .path
                .as_ref()
                .is_none_or(|path| path.how.holds(without_query(request.path()), path.value.as_bytes()))
            && self
                .method
                .as_ref()
                .is_none_or(|method| request.header(":method").is_some_and(|m| m == method.as_bytes()))
    }
}

/// The path up to its query.
pub(crate) fn without_query(path: &[u8]) -> &[u8] {
    path.split(|&byte| byte == b'?' || byte == b'#').next().unwrap_or_default()
}
