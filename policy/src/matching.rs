/*!
Rules that look at a request: overrides for testers, segments for groups of users.
*/
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::decision::Arm;
use crate::policy::{is_header_name, is_name, is_token};
use crate::refusal::{Kind, Refusal};
use crate::request::{Asked, Request};
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
    pub(crate) fn compile(spec: &OverrideSpec) -> Result<Self, Refusal> {
        if !is_header_name(&spec.header) {
            return Err(bad_header("header", &spec.header));
        }
        let token_sha256 = match &spec.token_sha256 {
            None => None,
            Some(hex) => Some(from_hex(hex).ok_or_else(|| {
                let hint = "give the token's SHA-256 as 64 hexadecimal digits, never the token itself";
                Refusal::new(Kind::Invalid, "tokenSha256", format!("{} characters", hex.len()), hint)
            })?),
        };
        Ok(Self { header: spec.header.clone(), token_sha256 })
    }

    /// The version this request asks for and may ask for.
    pub(crate) fn asks_for<R: Request>(&self, request: &Asked<'_, R>, names: &[String; 2]) -> Option<Arm> {
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
        Arm::ALL.into_iter().find(|&arm| arm.name(names).as_bytes() == name)
    }
}

fn from_hex(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    // `from_str_radix` would take a sign for a digit.
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
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
    /// The share of the segment that gets the canary.
    pub weight: Weight,
}

impl SegmentSpec {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let invalid =
            |field: String, value: &str, hint: &str| Err(Refusal::new(Kind::Invalid, field, value, hint));
        if !is_name(&self.name) {
            return invalid(
                "name".into(),
                &format!("{:?}", self.name),
                "use lower-case letters, digits and -",
            );
        }
        if self.matches.is_empty() {
            return invalid(
                "matches".into(),
                "[]",
                "give at least one match; a segment of all is the steps' business",
            );
        }
        for (i, one) in self.matches.iter().enumerate() {
            one.check().map_err(|refusal| refusal.within(&format!("matches[{i}]"), None))?;
        }
        Ok(())
    }

    pub(crate) fn holds<R: Request>(&self, request: &Asked<'_, R>) -> bool {
        self.matches.iter().any(|one| one.holds(request))
    }
}

/// Conditions on a request, all of which must hold. The words are the Gateway API's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(extend("minProperties" = 1)))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Match {
    /// Conditions on headers, all of which must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Named>,
    /// Conditions on cookies, all of which must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cookies: Vec<Named>,
    /// Condition on the path, without its query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Condition>,
    /// The method, e.g. `GET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

/// A condition on the header or cookie of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.type) && self.type == 'Present' ? !has(self.value) : has(self.value) && self.value != ''",
    "message": "value: give a value to compare with, or leave it out with {type: Present}",
}])))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Named {
    /// Name of the header, in lower case, or of the cookie.
    pub name: String,
    /// How to compare: the value is this (`Exact`), begins with it (`Prefix`), has it somewhere (`Contains`), or is there at
    /// all (`Present`). The default is `Exact`.
    #[serde(rename = "type", default)]
    pub how: How,
    /// What to compare with. Not with `Present`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// A condition on one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Condition {
    /// How to compare: the value is this (`Exact`), begins with it (`Prefix`) or has it somewhere (`Contains`). The default is
    /// `Exact`.
    #[serde(rename = "type", default)]
    pub how: How,
    /// What to compare with.
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

impl Named {
    fn check(&self, kind_of_name: impl Fn(&str) -> bool) -> Result<(), Refusal> {
        if !kind_of_name(&self.name) {
            return Err(bad_header("name", &self.name));
        }
        check_value(self.how, self.value.as_deref())
    }

    fn holds(&self, actual: &[u8]) -> bool {
        self.how.holds(actual, self.value.as_deref().unwrap_or_default().as_bytes())
    }
}

impl Match {
    fn check(&self) -> Result<(), Refusal> {
        if *self == Self::default() {
            let hint = "give headers, cookies, path or method; an empty match would take everybody";
            return Err(Refusal::new(Kind::Invalid, "", "{}", hint));
        }
        for (i, header) in self.headers.iter().enumerate() {
            header.check(is_header_name).map_err(|refusal| refusal.within(&format!("headers[{i}]"), None))?;
        }
        for (i, cookie) in self.cookies.iter().enumerate() {
            cookie.check(is_token).map_err(|refusal| refusal.within(&format!("cookies[{i}]"), None))?;
        }
        if let Some(path) = &self.path {
            if path.how == How::Present {
                let hint = "use Exact, Prefix or Contains: every request has a path";
                return Err(Refusal::new(Kind::Invalid, "path.type", "\"Present\"", hint));
            }
            if path.value.is_empty() {
                return Err(Refusal::new(Kind::Invalid, "path.value", "\"\"", "give a path to compare with"));
            }
        }
        match &self.method {
            Some(method) if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                let hint = "write the method in capitals, like GET";
                Err(Refusal::new(Kind::Invalid, "method", format!("{method:?}"), hint))
            }
            _ => Ok(()),
        }
    }

    fn holds<R: Request>(&self, request: &Asked<'_, R>) -> bool {
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

fn check_value(how: How, value: Option<&str>) -> Result<(), Refusal> {
    match (how, value) {
        (How::Present, None) => Ok(()),
        (How::Present, Some(value)) => Err(Refusal::new(
            Kind::Invalid,
            "value",
            format!("{value:?}"),
            "leave it out: Present compares nothing",
        )),
        (_, Some(value)) if !value.is_empty() => Ok(()),
        _ => Err(Refusal::new(
            Kind::Invalid,
            "value",
            "empty",
            "give a value to compare with, or use type Present",
        )),
    }
}

fn bad_header(field: &str, value: &str) -> Refusal {
    Refusal::new(
        Kind::Invalid,
        field,
        format!("{value:?}"),
        "use letters, digits, - and _, headers in lower case",
    )
}
