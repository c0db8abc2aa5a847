/*!
The policy document: what the agent writes and the filter reads, as JSON.

A document holds one policy for each release attached to a proxy. A reader ignores fields it does not know, so
that a newer agent can talk to an older filter, except those a policy lists as `critical`: ignoring these would
send people to the wrong version, so the policy is refused instead. That, the document's `version` and the list of
`versions` (a reader refuses more than it can serve) are the seats for what comes later.
*/
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cookie::CookieSpec;
use crate::flags::FlagSpec;
use crate::fuse::FuseSpec;
use crate::identity::Source;
use crate::lease::Leases;
use crate::lenient_int;
use crate::links::LinkSpec;
use crate::marks::MarkSpec;
use crate::matching::{OverrideSpec, SegmentSpec};
use crate::refusal::{Kind, Refusal};
use crate::retries::RetriesSpec;
use crate::weight::Weight;

/// The request header that carries the chosen version, unless a policy names another.
pub const VERSION_HEADER: &str = "x-serin-version";

/// Policies for all releases attached to a proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// Version of the document's format.
    #[serde(deserialize_with = "lenient_int::u32")]
    pub version: u32,
    /// The policies, most important first: where two claim the same host and path, the earlier has it.
    pub policies: Vec<PolicySpec>,
    /// Until when those hold that hold only for so long.
    #[serde(default, skip_serializing_if = "Leases::is_empty")]
    pub leases: Leases,
}

impl Document {
    /// The format this build reads and writes.
    pub const VERSION: u32 = 1;

    /// A document of this build's format, whose policies hold for as long as it is there.
    pub fn new(policies: Vec<PolicySpec>) -> Self {
        Self { version: Self::VERSION, policies, leases: Leases::default() }
    }
}

/// One release's rules, as they travel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicySpec {
    /// `namespace/release`.
    pub name: String,
    /// Rises with every change of this policy; each proxy reports the one it runs.
    #[serde(deserialize_with = "lenient_int::u64")]
    pub revision: u64,
    /// Fields of this policy that a reader must know or refuse the policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub critical: Vec<String>,
    /// Hosts this policy answers for: `shop.example.com`, `*.example.com`, `*`, with a port or without. An
    /// in-mesh host (`shop.ns.svc.cluster.local`) stands for all its spellings.
    pub hosts: Vec<String>,
    /// Path prefix this policy answers for, matched by whole segments.
    #[serde(default = "root", skip_serializing_if = "is_root")]
    pub path_prefix: String,
    /// The stable version, then the canary with its weight, then versions beside the two, each with a share of its
    /// [own](crate::lanes).
    pub versions: Vec<VersionSpec>,
    /// The canary takes no traffic at all: rolled back, or not ready.
    #[serde(default, skip_serializing_if = "is_false")]
    pub closed: bool,
    /// The canary is to become stable: callers without an id, who cannot be drawn, get it too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub promoted: bool,
    /// What the points of this release are salted with.
    pub salt: String,
    /// What the release calls this run, where its salt does not end in that: with versions beside stable and canary, callers
    /// keep their points from run to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The canary weights the release goes through, rising; they define the cohorts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Weight>,
    /// Where to look for a caller's id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identity: Vec<Source>,
    /// The cookie for callers without an id; none is issued without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<CookieSpec>,
    /// The baggage member in which the id travels on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baggage: Option<String>,
    /// Those of the hosts by which everybody gets the canary, unless it takes no traffic: for testers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preview_hosts: Vec<String>,
    /// How testers choose a version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<OverrideSpec>,
    /// How testers choose a version in a plain browser: by addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<LinkSpec>,
    /// Groups with weights of their own; the first that matches counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<SegmentSpec>,
    /// Feature flags, which the application finds in [`FLAGS_HEADER`](crate::flags::FLAGS_HEADER).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<FlagSpec>,
    /// Marks, which the route finds in [`MARK_HEADER`](crate::marks::MARK_HEADER).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<MarkSpec>,
    /// The request header that carries the chosen version to the route and the application.
    #[serde(default = "version_header")]
    pub request_header: String,
    /// A response header that shows the chosen version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_header: Option<String>,
    /// Whether the proxy's access log is told [what was decided](crate::access_log).
    #[serde(default, skip_serializing_if = "is_false")]
    pub access_log: bool,
    /// What to count; nothing without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<CountsSpec>,
    /// When a proxy closes the canary by itself; never without it, or where nothing is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuse: Option<FuseSpec>,
    /// How proxies try requests again for a while after this came into force; as the routes say, without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<RetriesSpec>,
    /// What is done for caches in front of the proxies.
    #[serde(default, skip_serializing_if = "Caches::are_left_alone")]
    pub caches: Caches,
}

/// What is done for caches in front of the proxies, in which a page of one version may be when its callers have another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Caches {
    /// Nothing.
    #[default]
    LeftAlone,
    /// Shared ones are kept from the canary's answers: they would give them to everybody.
    PrivateCanary,
    /// Nobody is told that a page has not changed since a time: theirs may be the canary's, and younger than stable's.
    WholeAnswers,
}

impl Caches {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn are_left_alone(&self) -> bool {
        *self == Self::LeftAlone
    }
}

/// One version of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionSpec {
    /// The value of the version header.
    pub name: String,
    /// The share of users this version gets; none for the first, which gets the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Weight>,
    /// A version beside stable and canary takes no traffic at all. Its callers are on stable, and counted apart.
    #[serde(default, skip_serializing_if = "is_false")]
    pub closed: bool,
}

/// What the filter counts per version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CountsSpec {
    /// Requests that take longer than this many milliseconds are counted as slow.
    #[serde(deserialize_with = "lenient_int::u32")]
    pub objective_ms: u32,
}

fn root() -> String {
    "/".to_owned()
}

fn is_root(prefix: &str) -> bool {
    prefix == "/"
}

fn version_header() -> String {
    VERSION_HEADER.to_owned()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// A policy as it stands in a document: read, or refused but for its name.
pub(crate) struct Entry {
    pub(crate) name: Option<String>,
    pub(crate) spec: Result<PolicySpec, Refusal>,
}

/// A document taken apart.
pub(crate) struct Parts<'d> {
    /// The policies, each to be [read](read_policy) by itself, so that one bad policy does not take the others with it.
    pub(crate) policies: Vec<&'d RawValue>,
    /// The leases, which are no reason to refuse a policy.
    pub(crate) leases: Result<Leases, Refusal>,
}

/// Takes a document apart.
///
/// # Errors
/// When the document as a whole cannot be read.
pub(crate) fn parts(json: &[u8]) -> Result<Parts<'_>, Refusal> {
    // The version by itself, for what else there is belongs to it.
    #[derive(Deserialize)]
    struct Head {
        #[serde(deserialize_with = "lenient_int::u32")]
        version: u32,
    }
    #[derive(Deserialize)]
    struct Body<'d> {
        #[serde(borrow)]
        policies: Vec<&'d RawValue>,
        #[serde(borrow, default)]
        leases: Option<&'d RawValue>,
    }
    let malformed = |error: serde_json::Error| {
        let hint = format!("{error}; want {{\"version\": 1, \"policies\": […]}}");
        Refusal::new(Kind::Malformed, "document", String::from_utf8_lossy(json), hint)
    };
    let head: Head = serde_json::from_slice(json).map_err(malformed)?;
    if head.version != Document::VERSION {
        let hint = format!("this filter reads version {}: update the module or the agent", Document::VERSION);
        return Err(Refusal::new(Kind::Unsupported, "version", head.version, hint));
    }
    let Body { policies, leases } = serde_json::from_slice(json).map_err(malformed)?;
    let leases = leases.map_or_else(|| Ok(Leases::default()), read_leases);
    Ok(Parts { policies, leases })
}

fn read_leases(raw: &RawValue) -> Result<Leases, Refusal> {
    serde_json::from_str(raw.get()).map_err(|error| {
        let hint = format!("{error}; want {{\"namespace/release\": seconds since 1970}}");
        Refusal::new(Kind::Malformed, "leases", raw.get(), hint)
    })
}

/// Reads one policy of a document.
pub(crate) fn read_policy(raw: &RawValue) -> Entry {
    match serde_json::from_str::<PolicySpec>(raw.get()) {
        Ok(spec) if unknown_critical(&spec.critical).is_none() => {
            Entry { name: Some(spec.name.clone()), spec: Ok(spec) }
        }
        other => refuse(raw, other.err()),
    }
}

fn unknown_critical(critical: &[String]) -> Option<&String> {
    critical.iter().find(|field| !KNOWN_FIELDS.contains(&field.as_str()))
}

/// Says what is wrong with a policy that gave `error`, or has a critical field that is unknown here.
fn refuse(raw: &RawValue, error: Option<serde_json::Error>) -> Entry {
    #[derive(Deserialize)]
    struct Head<'p> {
        // A name is worth having even where nothing else can be read: by it the last good policy is kept.
        #[serde(borrow, default)]
        name: Option<&'p RawValue>,
        #[serde(borrow, default)]
        critical: Option<&'p RawValue>,
    }
    let head = serde_json::from_str::<Head>(raw.get()).ok();
    let name = head.as_ref().and_then(|head| serde_json::from_str(head.name?.get()).ok());
    let critical = head.and_then(|head| serde_json::from_str::<Vec<String>>(head.critical?.get()).ok());
    // A critical field of tomorrow may change the type of one of today: it is the better explanation.
    let refusal = match (unknown_critical(&critical.unwrap_or_default()), error) {
        (None, Some(error)) => Refusal::new(Kind::Malformed, "", raw.get(), error.to_string()),
        (unknown, _) => {
            let hint = "this filter does not know the field and must not ignore it: update the module";
            Refusal::new(
                Kind::Unsupported,
                "critical",
                format!("{:?}", unknown.map_or("", String::as_str)),
                hint,
            )
        }
    };
    Entry { name, spec: Err(refusal) }
}

/// The fields of [`PolicySpec`] as they are spelled in JSON.
const KNOWN_FIELDS: [&str; 26] = [
    "name",
    "revision",
    "critical",
    "hosts",
    "pathPrefix",
    "versions",
    "closed",
    "promoted",
    "salt",
    "steps",
    "identity",
    "cookie",
    "baggage",
    "previewHosts",
    "overrides",
    "links",
    "segments",
    "flags",
    "marks",
    "requestHeader",
    "responseHeader",
    "accessLog",
    "counts",
    "fuse",
    "retries",
    "caches",
];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_known_fields_are_those_of_a_full_policy() {
        let full = json!({
            "name": "shop/shop",
            "revision": 1,
            "critical": ["salt"],
            "hosts": ["shop"],
            "pathPrefix": "/shop",
            "versions": [{"name": "stable"}, {"name": "canary", "weight": 1}],
            "closed": true,
            "promoted": true,
            "salt": "shop/shop/1",
            "steps": [1],
            "identity": [{"header": "x-user"}, {"cookie": "c"}, {"baggage": "b"}, "requestId"],
            "cookie": {"name": "c", "maxAgeSeconds": 1, "path": "/", "domain": "a", "sameSite": "Lax",
                "httpOnly": true, "secure": "always"},
            "baggage": "b",
            "previewHosts": ["preview"],
            "overrides": [{"header": "x-canary", "tokenSha256": "0"}],
            "links": {"query": "serin", "key": "0"},
            "segments": [{"name": "s", "matches": [{"headers": [{"name": "a", "type": "Exact", "value": "1"}],
                "cookies": [{"name": "b", "type": "Present"}], "path": {"type": "Prefix", "value": "/"},
                "method": "GET"}], "weight": 1}],
            "flags": [{"name": "f", "weight": 1, "matches": [{"method": "GET"}]}],
            "marks": [{"name": "m", "version": "canary", "matches": [{"method": "GET"}], "weight": 1, "untilSeconds": 2,
                "apart": true}],
            "requestHeader": "x-version",
            "responseHeader": "x-served-by",
            "accessLog": true,
            "counts": {"objectiveMs": 500},
            "fuse": {"ratioPercent": 200, "slack": 50_000},
            "retries": {"attempts": 3, "retryOn": "5xx", "perTryTimeoutMs": 250, "seconds": 120},
            "caches": "PrivateCanary",
        });
        let spec: PolicySpec = serde_json::from_value(full.clone()).unwrap();
        // Whatever is lost on the way there and back is misspelled above or below.
        let back = serde_json::to_value(&spec).unwrap();
        assert_eq!(back, full);
        let Value::Object(fields) = back else { panic!("{back}") };
        let (mut written, mut known) = (fields.keys().collect::<Vec<_>>(), KNOWN_FIELDS.to_vec());
        written.sort();
        known.sort_unstable();
        assert_eq!(written, known);
    }

    #[test]
    fn what_this_build_writes_it_reads() {
        let written = json!([{"name": "shop/shop", "revision": 1, "hosts": ["shop"], "salt": "s",
            "versions": [{"name": "stable"}, {"name": "canary", "weight": 1}]}]);
        let document = Document::new(serde_json::from_value(written).unwrap());
        let json = serde_json::to_vec(&document).unwrap();
        let [policy] = parts(&json).unwrap().policies[..] else { panic!("one was written") };
        assert_eq!(read_policy(policy).spec, Ok(document.policies[0].clone()));
    }
}
