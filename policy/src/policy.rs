/*!
A policy that has been checked and is ready to decide.
*/
use std::borrow::Cow;

use serde::Serialize;

use crate::cookie::CookieSpec;
use crate::decision::{Arm, Cohort, Reason};
use crate::document::{Caches, CountsSpec, PolicySpec};
use crate::flags::Flags;
use crate::fuse::FuseSpec;
use crate::host::Hosts;
use crate::identity::Source;
use crate::lanes::Extras;
use crate::links::Links;
use crate::marks::Marks;
use crate::matching::{Override, Segment, SegmentSpec};
use crate::place::Place;
use crate::refusal::{Kind, Refusal};
use crate::retries::Retries;
use crate::rule::{self, check_length};
use crate::versions::{Names, versions};
use crate::weight::Weight;

/// One release's rules, checked. Made by [`Policy::compile`], so every one there is makes sense.
#[derive(Debug, Clone)]
pub struct Policy {
    name: String,
    revision: u64,
    pub(crate) names: Names,
    pub(crate) weight: Weight,
    pub(crate) extras: Extras,
    pub(crate) closed: bool,
    pub(crate) promoted: bool,
    pub(crate) salt: String,
    run: Option<String>,
    pub(crate) steps: Vec<Weight>,
    pub(crate) identity: Vec<Source>,
    pub(crate) cookie: Option<CookieSpec>,
    pub(crate) baggage: Option<String>,
    pub(crate) preview: Hosts,
    pub(crate) overrides: Vec<Override>,
    pub(crate) links: Option<Links>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) flags: Flags,
    pub(crate) marks: Marks,
    request_header: String,
    response_header: Option<String>,
    access_log: bool,
    counts: Option<CountsSpec>,
    fuse: Option<FuseSpec>,
    retries: Option<Retries>,
    caches: Caches,
}

impl Policy {
    /// The most steps a release may have; with two versions each, this bounds the number of series.
    pub const MAX_STEPS: usize = 100;
    /// What to write where the steps' weights do not rise.
    pub const RISING: &str = "list weights in rising order, each above the one before";
    /// The most places to look for an id.
    pub const MAX_SOURCES: usize = 16;
    /// The most hosts by which testers get the canary.
    pub const MAX_PREVIEW_HOSTS: usize = 16;
    /// The most ways to override the version.
    pub const MAX_OVERRIDES: usize = 16;
    /// The most feature flags.
    pub const MAX_FLAGS: usize = 32;
    /// The most marks.
    pub const MAX_MARKS: usize = 32;
    /// The most segments; each has series of its own.
    pub const MAX_SEGMENTS: usize = 32;

    /// Checks `spec`, for a proxy that stands at `place`.
    ///
    /// # Errors
    /// The first field whose value makes no sense, with what to write instead.
    pub fn compile(spec: PolicySpec, place: Place) -> Result<Self, Refusal> {
        check_name(&spec.name)?;
        check_salt("salt", &spec.salt)?;
        if let Some(run) = &spec.run {
            check_salt("run", run)?;
        }
        check_steps(&spec.steps)?;
        check_identity(&spec.identity)?;
        if let Some(cookie) = &spec.cookie {
            cookie.check(&spec.identity).map_err(|refusal| refusal.within("cookie", None))?;
        }
        if let Some(key) = &spec.baggage {
            rule::TOKEN.check("baggage", key)?;
        }
        check_header("requestHeader", &spec.request_header)?;
        if let Some(header) = &spec.response_header {
            check_header("responseHeader", header)?;
        }
        check_length("previewHosts", &spec.preview_hosts, Self::MAX_PREVIEW_HOSTS)?;
        let preview = Hosts::of(&spec.preview_hosts, "previewHosts")?;
        check_length("overrides", &spec.overrides, Self::MAX_OVERRIDES)?;
        let overrides = spec.overrides.iter().enumerate().map(|(i, one)| {
            Override::compile(one).map_err(|refusal| refusal.within(&format!("overrides[{i}]"), None))
        });
        let overrides: Vec<_> = overrides.collect::<Result<_, _>>()?;
        check_openness(&overrides)?;
        let links = spec.links.as_ref().map(|links| {
            Links::compile(links, &spec.name, spec.cookie.as_ref())
                .map_err(|refusal| refusal.within("links", None))
        });
        // Inside a mesh services call, and no browser does.
        let links = links.transpose()?.filter(|_| place != Place::Inside);
        check_length("segments", &spec.segments, Self::MAX_SEGMENTS)?;
        for (i, segment) in spec.segments.iter().enumerate() {
            segment.check().map_err(|refusal| refusal.within(&format!("segments[{i}]"), None))?;
            if spec.segments.iter().take(i).any(|earlier| earlier.name == segment.name) {
                let field = format!("segments[{i}].name");
                return Err(Refusal::new(
                    Kind::Invalid,
                    field,
                    as_json(&segment.name),
                    SegmentSpec::OWN_NAME,
                ));
            }
        }
        let (names, weight) = versions(&spec)?;
        let extras = Extras::compile(spec.versions.get(2..).unwrap_or_default())?;
        let segments = spec.segments.into_iter().enumerate().map(|(i, segment)| {
            Segment::compile(segment, &names)
                .map_err(|refusal| refusal.within(&format!("segments[{i}]"), None))
        });
        let segments = segments.collect::<Result<_, _>>()?;
        let flags = Flags::compile(spec.flags, &spec.name)?;
        let marks = Marks::compile(spec.marks, &names)?;
        let fuse = spec.fuse.map(FuseSpec::check).transpose()?;
        let retries = spec.retries.as_ref().map(Retries::compile).transpose()?;
        Ok(Self {
            name: spec.name,
            revision: spec.revision,
            names,
            weight,
            extras,
            closed: spec.closed,
            promoted: spec.promoted,
            salt: spec.salt,
            run: spec.run,
            steps: spec.steps,
            identity: place.sources(spec.identity, spec.baggage.as_deref()),
            cookie: spec.cookie.map(|cookie| place.cookie(cookie)),
            baggage: spec.baggage,
            preview,
            overrides,
            links,
            segments,
            flags,
            marks,
            request_header: spec.request_header,
            response_header: spec.response_header,
            access_log: spec.access_log,
            counts: spec.counts,
            fuse,
            retries,
            caches: place.caches(spec.caches),
        })
    }

    /// `namespace/release`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The revision every proxy reports.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// What the points are salted with.
    pub fn salt(&self) -> &str {
        &self.salt
    }

    /// What the release calls this run, which its salt ends in; the whole salt where that is somebody else's.
    pub fn run(&self) -> &str {
        if let Some(run) = &self.run {
            return run;
        }
        let own = self.salt.strip_prefix(&self.name).and_then(|rest| rest.strip_prefix('/'));
        own.unwrap_or(&self.salt)
    }

    /// What tells this run from every other: its salt, unless callers keep their points from run to run.
    pub fn run_key(&self) -> Cow<'_, str> {
        match &self.run {
            None => Cow::Borrowed(&self.salt),
            Some(run) => Cow::Owned(format!("{}/{run}", self.salt)),
        }
    }

    /// The canary's share of the users that no segment takes.
    pub const fn weight(&self) -> Weight {
        self.weight
    }

    /// The canary's share of those who are on it or on stable.
    pub fn weight_beside_stable(&self) -> Weight {
        self.extras.without(self.weight)
    }

    /// Whether the canary takes no traffic at all.
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether the canary is to become stable.
    pub const fn is_promoted(&self) -> bool {
        self.promoted
    }

    /// The name of a version, as it stands in headers.
    pub fn version_name(&self, arm: Arm) -> &str {
        self.names.of(arm)
    }

    /// The cookie to issue.
    pub const fn cookie(&self) -> Option<&CookieSpec> {
        self.cookie.as_ref()
    }

    /// The baggage member in which ids travel on.
    pub fn baggage(&self) -> Option<&str> {
        self.baggage.as_deref()
    }

    /// Whether ids in the baggage member in which they travel on are taken; where they are not, it came from a client.
    pub fn trusts_baggage(&self) -> bool {
        let own = self.baggage.as_deref();
        self.identity.iter().any(|source| matches!(source, Source::Baggage(key) if Some(&**key) == own))
    }

    /// The header that carries the chosen version upstream.
    pub fn request_header(&self) -> &str {
        &self.request_header
    }

    /// The header that shows the chosen version to the caller.
    pub fn response_header(&self) -> Option<&str> {
        self.response_header.as_deref()
    }

    /// Whether the proxy's access log is told what was decided.
    pub const fn tells_access_log(&self) -> bool {
        self.access_log
    }

    /// What to count.
    pub const fn counts(&self) -> Option<&CountsSpec> {
        self.counts.as_ref()
    }

    /// What is done for caches in front of the proxies.
    pub const fn caches(&self) -> Caches {
        self.caches
    }

    /// How requests are tried again for a while after this has come into force.
    pub const fn retries(&self) -> Option<&Retries> {
        self.retries.as_ref()
    }

    /// When a proxy closes the canary by itself, while both versions are in use by the draw and stable is the one to go back
    /// to: without a share that chance gives there is nothing to compare.
    pub fn fuse(&self) -> Option<FuseSpec> {
        self.fuse.filter(|_| !self.closed && !self.promoted && self.weight.is_split())
    }

    /// How many different [`slots`](Self::slot) there are.
    pub const fn slots(&self) -> usize {
        (2 + self.extras.len()) * self.reasons()
    }

    /// A number below [`slots`](Self::slots) for each pair of version and reason, to keep counters in a list.
    pub const fn slot(&self, arm: Arm, reason: Reason) -> usize {
        let of_steps = 7 + self.steps.len();
        let of_segments = of_steps + self.extras.len();
        let reason = match reason {
            Reason::Closed => 0,
            Reason::Override => 1,
            Reason::NoIdentity => 2,
            Reason::Bucket(Cohort::Rest) => 3,
            Reason::Fault => 4,
            Reason::Lapsed => 5,
            Reason::Copied => 6,
            Reason::Bucket(Cohort::Step(i)) => 7 + i,
            Reason::Bucket(Cohort::Lane(extra)) => of_steps + extra.index(),
            Reason::Segment(i) => of_segments + 2 * i,
            Reason::Split(i) => of_segments + 2 * i + 1,
        };
        arm.index() * self.reasons() + reason
    }

    const fn reasons(&self) -> usize {
        7 + self.steps.len() + self.extras.len() + 2 * self.segments.len()
    }

    /// Name of the segment of this index, for labels.
    pub(crate) fn segment_name(&self, index: usize) -> &str {
        self.segments.get(index).map_or("unknown", |segment| segment.name())
    }
}

fn check_name(name: &str) -> Result<(), Refusal> {
    match name.split_once('/') {
        Some((namespace, release)) if rule::LABEL.accepts(namespace) && rule::LABEL.accepts(release) => {
            Ok(())
        }
        _ => {
            let hint = "write namespace/release, each of 1 to 63 lower-case letters, digits and -";
            Err(Refusal::new(Kind::Invalid, "name", format!("{name:?}"), hint))
        }
    }
}

fn check_salt(field: &str, salt: &str) -> Result<(), Refusal> {
    if salt.is_empty() || salt.contains('\0') {
        let hint = "give a text without zero bytes, such as namespace/release/run";
        return Err(Refusal::new(Kind::Invalid, field, format!("{salt:?}"), hint));
    }
    Ok(())
}

fn check_steps(steps: &[Weight]) -> Result<(), Refusal> {
    check_length("steps", steps, Policy::MAX_STEPS)?;
    let falls = steps.iter().zip(steps.iter().skip(1)).position(|(before, after)| before >= after);
    if let Some((i, step)) = falls.and_then(|i| steps.get(i + 1).map(|step| (i + 1, step))) {
        return Err(Refusal::new(Kind::Invalid, format!("steps[{i}]"), step.ppm(), Policy::RISING));
    }
    Ok(())
}

/// A header that is open to all is open whatever tokens are asked for it elsewhere.
fn check_openness(overrides: &[Override]) -> Result<(), Refusal> {
    let opened = |one: &Override| overrides.iter().any(|other| other.is_open() && other.is_by_header_of(one));
    match overrides.iter().position(|one| !one.is_open() && opened(one)) {
        Some(i) => {
            Err(Refusal::new(Kind::Invalid, format!("overrides[{i}].tokenSha256"), "set", Override::OPEN))
        }
        None => Ok(()),
    }
}

fn check_identity(sources: &[Source]) -> Result<(), Refusal> {
    check_length("identity", sources, Policy::MAX_SOURCES)?;
    let broken = sources.iter().enumerate().find_map(|(i, source)| Some((i, source, source.broken_rule()?)));
    match broken {
        Some((i, source, rule)) => {
            Err(Refusal::new(Kind::Invalid, format!("identity[{i}]"), as_json(source), rule.hint()))
        }
        None => Ok(()),
    }
}

fn as_json(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Headers that carry the message itself: overwriting one would break the request, not mark it.
pub const STRUCTURAL_HEADERS: [&str; 25] = [
    "accept",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-security-policy",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expires",
    "grpc-message",
    "grpc-status",
    "host",
    "last-modified",
    "location",
    "range",
    "set-cookie",
    "strict-transport-security",
    "te",
    "transfer-encoding",
    "upgrade",
    "vary",
    "www-authenticate",
];

/// What to write where a structural header stands.
pub const OWN_HEADER: &str = "name a header that HTTP itself does not use, such as x-served-by";

fn check_header(field: &str, name: &str) -> Result<(), Refusal> {
    rule::HEADER.check(field, name)?;
    if STRUCTURAL_HEADERS.contains(&name) {
        return Err(Refusal::new(Kind::Invalid, field, format!("{name:?}"), OWN_HEADER));
    }
    Ok(())
}
