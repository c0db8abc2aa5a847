/*!
Which version a request gets, and why.

The order is fixed: a closed canary takes nobody, nor does one whose lease has run out; then a tester's override, by a header, a link or the host; then the first segment that matches;
then the caller's point. Only the last, and a segment strictly between none and all, is random assignment: only
that traffic may be compared.
*/
use std::fmt;

use crate::identity::{Id, Identity, identify};
use crate::lease::Lease;
use crate::point::Point;
use crate::policy::Policy;
use crate::request::{Asked, Request};
use crate::users::User;
use crate::weight::Weight;

/// One of the two versions a policy chooses between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arm {
    /// The version everybody is on before and after a release.
    Stable,
    /// The version being released.
    Canary,
}

impl Arm {
    /// Both, in the order of a document's `versions`.
    pub const ALL: [Self; 2] = [Self::Stable, Self::Canary];

    /// This version's name among `names`.
    pub fn name(self, names: &[String; 2]) -> &str {
        let [stable, canary] = names;
        match self {
            Self::Stable => stable,
            Self::Canary => canary,
        }
    }

    /// The word for it in text and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
        }
    }
}

/// Callers whom the same step moves: those a step's weight reaches and no earlier one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cohort {
    /// Index of the first step whose weight covers the caller's point, from 0.
    Step(usize),
    /// No step reaches the caller; the promotion does.
    Rest,
}

/// Why a version was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The canary takes no traffic.
    Closed,
    /// The agent has not been heard of for as long as the canary may go without: it takes no traffic.
    Lapsed,
    /// A tester asked for the version, by a header, by a link or by the host.
    Override,
    /// The segment of this index pins its members to one version.
    Segment(usize),
    /// The caller's point against the weight of the segment of this index.
    Split(usize),
    /// The caller's point against the release's weight.
    Bucket(Cohort),
    /// The caller has no id and was given none: stable, unless everybody is on the canary.
    NoIdentity,
    /// Whatever chose the version: a fault is injected, and what becomes of the request is not the version's doing.
    Fault,
    /// Whatever chose the version: a copy of the request goes to the canary. It counts by what chose it, and so once more.
    Copied,
}

impl Reason {
    /// Whether chance chose: only such traffic may be compared between versions.
    pub const fn is_random(self) -> bool {
        matches!(self, Self::Split(_) | Self::Bucket(_))
    }
}

impl fmt::Display for Reason {
    /// Steps count from 1, as people count them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed: the canary takes no traffic"),
            Self::Lapsed => {
                f.write_str("lapsed: the canary's lease has run out, and no agent has renewed it")
            }
            Self::Override => f.write_str("override: a tester's header, link or host asks for it"),
            Self::Segment(i) => write!(f, "segment {}: its members are all on one version", i + 1),
            Self::Split(i) => write!(f, "segment {}: point against the segment's weight", i + 1),
            Self::Bucket(Cohort::Step(i)) => {
                write!(f, "bucket: point against weight; moved by step {}", i + 1)
            }
            Self::Bucket(Cohort::Rest) => f.write_str("bucket: point against weight; moved by the promotion"),
            Self::NoIdentity => f.write_str("no identity: nothing to be sticky by"),
            Self::Fault => f.write_str("fault: injected on purpose"),
            Self::Copied => f.write_str("copied: the canary gets a copy"),
        }
    }
}

/// The answer for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The version the request gets.
    pub arm: Arm,
    /// Why.
    pub reason: Reason,
    /// Who asked, where that was looked for.
    pub identity: Option<Identity>,
    /// Where they stand, where that mattered.
    pub point: Option<Point>,
    /// Whom they count as, where that mattered.
    pub user: Option<User>,
    /// The feature flags they have, as the application reads them; none where there are none to have.
    pub flags: Option<String>,
}

/// What the rules before the draw say.
enum Rule {
    Fixed(Arm, Reason),
    Draw(Weight, Draw),
}

enum Draw {
    Release,
    Segment(usize),
}

/// The rule of a canary that takes no traffic.
const CLOSED: Rule = Rule::Fixed(Arm::Stable, Reason::Closed);

impl Policy {
    /// Decides `request`, this being how it is with the policy's `lease`. `mint` makes an id for a caller who has none and may
    /// be given one.
    pub fn decide<R: Request>(
        &self,
        request: &R,
        lease: Lease,
        mint: impl FnOnce() -> Option<Id>,
    ) -> Decision {
        let asked = Asked::new(request);
        self.decide_by(self.rule(&asked, lease), &asked, mint)
    }

    /// The same as if the canary took no traffic.
    pub fn decide_closed<R: Request>(&self, request: &R, mint: impl FnOnce() -> Option<Id>) -> Decision {
        self.decide_by(CLOSED, &Asked::new(request), mint)
    }

    fn decide_by<R: Request>(
        &self,
        rule: Rule,
        asked: &Asked<'_, R>,
        mint: impl FnOnce() -> Option<Id>,
    ) -> Decision {
        let who = || identify(asked, &self.identity, self.cookie.as_ref(), mint);
        match rule {
            Rule::Fixed(arm, reason) => {
                // Services behind may still draw: their share of the identity is sent on. And flags are drawn in any version.
                let is_wanted = self.baggage.is_some() || !self.flags.is_empty();
                let identity = is_wanted.then(who).flatten();
                let flags = self.flags_of(asked, identity.as_ref());
                Decision { arm, reason, identity, point: None, user: None, flags }
            }
            Rule::Draw(weight, draw) => {
                let identity = who();
                let placed = identity.as_ref().map(|identity| Point::with_user(&self.salt, &identity.id));
                let (point, user) = placed.unzip();
                let covered = point
                    .map_or(self.promoted || weight == Weight::FULL, |point| point.is_covered_by(weight));
                let reason = match (point, draw) {
                    (None, _) => Reason::NoIdentity,
                    (Some(_), Draw::Segment(i)) => Reason::Split(i),
                    (Some(point), Draw::Release) => Reason::Bucket(self.cohort(point)),
                };
                let flags = self.flags_of(asked, identity.as_ref());
                let arm = if covered { Arm::Canary } else { Arm::Stable };
                Decision { arm, reason, identity, point, user, flags }
            }
        }
    }

    fn flags_of<R: Request>(&self, request: &Asked<'_, R>, caller: Option<&Identity>) -> Option<String> {
        (!self.flags.is_empty()).then(|| self.flags.of(request, caller))
    }

    fn rule<R: Request>(&self, request: &Asked<'_, R>, lease: Lease) -> Rule {
        if self.closed {
            return CLOSED;
        }
        if lease == Lease::Lapsed {
            return Rule::Fixed(Arm::Stable, Reason::Lapsed);
        }
        if let Some(arm) = self.overrides.iter().find_map(|one| one.asks_for(request, &self.names)) {
            return Rule::Fixed(arm, Reason::Override);
        }
        if let Some(arm) = self.links.as_ref().and_then(|links| links.granted(request, self)) {
            return Rule::Fixed(arm, Reason::Override);
        }
        if !self.preview.is_empty()
            && request.header(":authority").is_some_and(|host| self.preview.have(&host))
        {
            return Rule::Fixed(Arm::Canary, Reason::Override);
        }
        match self.segments.iter().enumerate().find(|(_, segment)| segment.holds(request)) {
            None => Rule::Draw(self.weight, Draw::Release),
            Some((i, segment)) if segment.weight.is_split() => Rule::Draw(segment.weight, Draw::Segment(i)),
            Some((i, segment)) => {
                let arm = if segment.weight == Weight::FULL { Arm::Canary } else { Arm::Stable };
                Rule::Fixed(arm, Reason::Segment(i))
            }
        }
    }

    fn cohort(&self, point: Point) -> Cohort {
        self.steps.iter().position(|&weight| point.is_covered_by(weight)).map_or(Cohort::Rest, Cohort::Step)
    }
}
