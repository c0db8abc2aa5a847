/*!
A policy that has been checked and is ready to decide.
*/
use serde::Serialize;

use crate::cookie::CookieSpec;
use crate::decision::{Arm, Cohort, Reason};
use crate::document::{CountsSpec, PolicySpec};
use crate::identity::Source;
use crate::matching::{Override, SegmentSpec};
use crate::refusal::{Kind, Refusal};
use crate::weight::Weight;

/// One release's rules, checked. Made by [`Policy::compile`], so every one there is makes sense.
#[derive(Debug, Clone)]
pub struct Policy {
    name: String,
    revision: u64,
    pub(crate) names: [String; 2],
    pub(crate) weight: Weight,
    pub(crate) closed: bool,
    pub(crate) promoted: bool,
    pub(crate) salt: String,
    pub(crate) steps: Vec<Weight>,
    pub(crate) identity: Vec<Source>,
    pub(crate) cookie: Option<CookieSpec>,
    pub(crate) baggage: Option<String>,
    pub(crate) overrides: Vec<Override>,
    pub(crate) segments: Vec<SegmentSpec>,
    request_header: String,
    response_header: Option<String>,
    counts: Option<CountsSpec>,
}

impl Policy {
    /// The most steps a release may have; with two versions each, this bounds the number of series.
    pub const MAX_STEPS: usize = 100;

    /// Checks `spec`.
    ///
    /// # Errors
    /// The first field whose value makes no sense, with what to write instead.
    pub fn compile(spec: PolicySpec) -> Result<Self, Refusal> {
        check_name(&spec.name)?;
        check_salt(&spec.salt)?;
        check_steps(&spec.steps)?;
        check_identity(&spec.identity)?;
        if let Some(cookie) = &spec.cookie {
            cookie.check().map_err(|refusal| refusal.within("cookie", None))?;
            if !spec.identity.contains(&Source::Cookie(cookie.name.clone())) {
                let hint =
                    format!("add {{\"cookie\": {:?}}}, or nobody is recognised by the cookie", cookie.name);
                return Err(Refusal::new(Kind::Invalid, "identity", as_json(&spec.identity), hint));
            }
        }
        if let Some(key) = spec.baggage.as_ref().filter(|key| !is_token(key)) {
            let hint = "use letters, digits, - and _ for the baggage key";
            return Err(Refusal::new(Kind::Invalid, "baggage", format!("{key:?}"), hint));
        }
        check_header("requestHeader", &spec.request_header)?;
        if let Some(header) = &spec.response_header {
            check_header("responseHeader", header)?;
        }
        let overrides = spec.overrides.iter().enumerate().map(|(i, one)| {
            Override::compile(one).map_err(|refusal| refusal.within(&format!("overrides[{i}]"), None))
        });
        let overrides = overrides.collect::<Result<_, _>>()?;
        for (i, segment) in spec.segments.iter().enumerate() {
            segment.check().map_err(|refusal| refusal.within(&format!("segments[{i}]"), None))?;
            if spec.segments.iter().take(i).any(|earlier| earlier.name == segment.name) {
                let hint = "give every segment a name of its own";
                return Err(Refusal::new(
                    Kind::Invalid,
                    format!("segments[{i}].name"),
                    as_json(&segment.name),
                    hint,
                ));
            }
        }
        let (names, weight) = versions(&spec)?;
        Ok(Self {
            name: spec.name,
            revision: spec.revision,
            names,
            weight,
            closed: spec.closed,
            promoted: spec.promoted,
            salt: spec.salt,
            steps: spec.steps,
            identity: spec.identity,
            cookie: spec.cookie,
            baggage: spec.baggage,
            overrides,
            segments: spec.segments,
            request_header: spec.request_header,
            response_header: spec.response_header,
            counts: spec.counts,
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

    /// The canary's share of the users that no segment takes.
    pub const fn weight(&self) -> Weight {
        self.weight
    }

    /// Whether the canary takes no traffic at all.
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// The name of a version, as it stands in headers.
    pub fn version_name(&self, arm: Arm) -> &str {
        arm.name(&self.names)
    }

    /// The cookie to issue.
    pub const fn cookie(&self) -> Option<&CookieSpec> {
        self.cookie.as_ref()
    }

    /// The baggage member in which ids travel on.
    pub fn baggage(&self) -> Option<&str> {
        self.baggage.as_deref()
    }

    /// Whether ids in inbound baggage are taken; where they are not, such a member came from a client.
    pub fn trusts_baggage(&self) -> bool {
        self.identity.iter().any(|source| matches!(source, Source::Baggage(_)))
    }

    /// The header that carries the chosen version upstream.
    pub fn request_header(&self) -> &str {
        &self.request_header
    }

    /// The header that shows the chosen version to the caller.
    pub fn response_header(&self) -> Option<&str> {
        self.response_header.as_deref()
    }

    /// What to count.
    pub const fn counts(&self) -> Option<&CountsSpec> {
        self.counts.as_ref()
    }

    /// How many different [`slots`](Self::slot) there are.
    pub const fn slots(&self) -> usize {
        2 * self.reasons()
    }

    /// A number below [`slots`](Self::slots) for each pair of version and reason, to keep counters in a list.
    pub const fn slot(&self, arm: Arm, reason: Reason) -> usize {
        let reason = match reason {
            Reason::Closed => 0,
            Reason::Override => 1,
            Reason::NoIdentity => 2,
            Reason::Bucket(Cohort::Rest) => 3,
            Reason::Bucket(Cohort::Step(i)) => 4 + i,
            Reason::Segment(i) => 4 + self.steps.len() + 2 * i,
            Reason::Split(i) => 4 + self.steps.len() + 2 * i + 1,
        };
        match arm {
            Arm::Stable => reason,
            Arm::Canary => self.reasons() + reason,
        }
    }

    const fn reasons(&self) -> usize {
        4 + self.steps.len() + 2 * self.segments.len()
    }

    /// Name of the segment of this index, for labels.
    pub(crate) fn segment_name(&self, index: usize) -> &str {
        self.segments.get(index).map_or("unknown", |segment| &segment.name)
    }
}

fn versions(spec: &PolicySpec) -> Result<([String; 2], Weight), Refusal> {
    let [stable, canary] = spec.versions.as_slice() else {
        let hint = "this filter serves exactly two versions: stable first, then the canary";
        return Err(Refusal::new(
            Kind::Unsupported,
            "versions",
            format!("{} of them", spec.versions.len()),
            hint,
        ));
    };
    for (i, version) in [stable, canary].into_iter().enumerate() {
        if !is_name(&version.name) {
            let hint = "use lower-case letters, digits and -, at most 63 of them";
            let field = format!("versions[{i}].name");
            return Err(Refusal::new(Kind::Invalid, field, format!("{:?}", version.name), hint));
        }
    }
    if stable.name == canary.name {
        let hint = "give the canary a name of its own";
        return Err(Refusal::new(Kind::Invalid, "versions[1].name", format!("{:?}", canary.name), hint));
    }
    if let Some(weight) = stable.weight {
        let hint = "leave it out: the first version gets what the others leave";
        return Err(Refusal::new(Kind::Invalid, "versions[0].weight", weight.ppm(), hint));
    }
    let Some(weight) = canary.weight else {
        return Err(Refusal::new(
            Kind::Invalid,
            "versions[1].weight",
            "none",
            "give its share in ppm, 0 to 1000000",
        ));
    };
    Ok(([stable.name.clone(), canary.name.clone()], weight))
}

fn check_name(name: &str) -> Result<(), Refusal> {
    match name.split_once('/') {
        Some((namespace, release)) if is_name(namespace) && is_name(release) => Ok(()),
        _ => {
            let hint = "write namespace/release, each of lower-case letters, digits and -";
            Err(Refusal::new(Kind::Invalid, "name", format!("{name:?}"), hint))
        }
    }
}

fn check_salt(salt: &str) -> Result<(), Refusal> {
    if salt.is_empty() || salt.contains('\0') {
        let hint = "give a text without zero bytes, such as namespace/release/run";
        return Err(Refusal::new(Kind::Invalid, "salt", format!("{salt:?}"), hint));
    }
    Ok(())
}

fn check_steps(steps: &[Weight]) -> Result<(), Refusal> {
    if steps.len() > Policy::MAX_STEPS {
        let hint = format!("give at most {} steps", Policy::MAX_STEPS);
        return Err(Refusal::new(Kind::Invalid, "steps", format!("{} steps", steps.len()), hint));
    }
    let falls = steps.iter().zip(steps.iter().skip(1)).position(|(before, after)| before >= after);
    if let Some((i, step)) = falls.and_then(|i| steps.get(i + 1).map(|step| (i + 1, step))) {
        let hint = "list weights in rising order, each above the one before";
        return Err(Refusal::new(Kind::Invalid, format!("steps[{i}]"), step.ppm(), hint));
    }
    Ok(())
}

fn check_identity(sources: &[Source]) -> Result<(), Refusal> {
    match sources.iter().enumerate().find(|(_, source)| !source.has_valid_name()) {
        Some((i, source)) => {
            let hint = "use letters, digits, - and _, headers in lower case";
            Err(Refusal::new(Kind::Invalid, format!("identity[{i}]"), as_json(source), hint))
        }
        None => Ok(()),
    }
}

fn as_json(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Headers that carry the message itself: overwriting one would break the request, not mark it.
const STRUCTURAL: [&str; 10] = [
    "host",
    "cookie",
    "set-cookie",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
    "upgrade",
    "te",
    "authorization",
];

fn check_header(field: &str, name: &str) -> Result<(), Refusal> {
    if is_header_name(name) && !STRUCTURAL.contains(&name) {
        return Ok(());
    }
    let hint = "use a header of its own in lower-case letters, digits, - and _, such as x-serin-version";
    Err(Refusal::new(Kind::Invalid, field, format!("{name:?}"), hint))
}

/// A DNS label, so that it is safe in headers, metric labels and Kubernetes names alike.
pub(crate) fn is_name(name: &str) -> bool {
    let inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// A header name as HTTP/2 writes it.
pub(crate) fn is_header_name(name: &str) -> bool {
    is_token(name) && !name.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// A safe subset of RFC 9110 `token`.
pub(crate) fn is_token(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= 128 && name.bytes().all(inner)
}
