/*!
Which version a request gets, and why.

The order is fixed: a closed canary takes nobody, nor does one whose lease has run out; then a tester's override, by a header, a link or the host; then the first segment that matches;
then the caller's point. Only the last, and a segment strictly between none and all, is random assignment: only
that traffic may be compared.
*/
use std::fmt;

use crate::identity::{Id, Identity, identify};
use crate::lanes::Extra;
use crate::lease::Lease;
use crate::point::Point;
use crate::policy::Policy;
use crate::request::{Asked, Request};
use crate::users::User;
use crate::weight::Weight;

/// One of the versions a policy chooses between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arm {
    /// The version everybody is on before and after a release.
    Stable,
    /// The version being released.
    Canary,
    /// A version beside the two, with a share of its own.
    Extra(Extra),
}

impl Arm {
    /// The two that every policy has, in the order of a document's `versions`; further ones come after them.
    pub const BOTH: [Self; 2] = [Self::Stable, Self::Canary];

    /// How many there can be.
    pub const MOST: usize = 2 + Extra::MOST;

    /// Every one that there can be, in the order of a document's `versions`.
    pub fn all() -> impl Iterator<Item = Self> + Clone {
        Self::BOTH.into_iter().chain(Extra::ALL.into_iter().map(Self::Extra))
    }

    /// Its place in a document's `versions`.
    pub const fn index(self) -> usize {
        match self {
            Self::Stable => 0,
            Self::Canary => 1,
            Self::Extra(extra) => 2 + extra.index(),
        }
    }

    /// The word for it in text and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
            Self::Extra(extra) => extra.as_str(),
        }
    }

    /// The one that this is the word for.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::all().find(|arm| arm.as_str() == word)
    }
}

/// Callers whom the same decision moves: those a step's weight reaches and no earlier one does, or those of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cohort {
    /// Index of the first step whose weight covers the caller's point, from 0.
    Step(usize),
    /// No step reaches the caller; the promotion does.
    Rest,
    /// The caller's point is in the lane of this version, whether it takes traffic or not.
    Lane(Extra),
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
            Self::Bucket(Cohort::Lane(extra)) => {
                write!(f, "bucket: point in a lane; moved by the share of {}", extra.as_str())
            }
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
#[derive(Clone, Copy)]
enum Rule {
    Fixed(Arm, Reason),
    Draw(Draw),
}

#[derive(Clone, Copy)]
enum Draw {
    /// By the release's own weight and lanes; the canary takes no traffic if it `is_closed`.
    Release { is_closed: bool },
    /// Between stable and `arm`, by the `weight` of the segment of this index.
    Segment { index: usize, arm: Arm, weight: Weight },
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
        let rule = if lease == Lease::Lapsed && (!self.closed || !self.extras.is_empty()) {
            Rule::Fixed(Arm::Stable, Reason::Lapsed)
        } else {
            self.rule(&asked, self.closed)
        };
        self.decide_by(rule, &asked, mint)
    }

    /// The same as if the canary took no traffic.
    pub fn decide_closed<R: Request>(&self, request: &R, mint: impl FnOnce() -> Option<Id>) -> Decision {
        let asked = Asked::new(request);
        self.decide_by(self.rule(&asked, true), &asked, mint)
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
            Rule::Draw(draw) => {
                let identity = who();
                let placed = identity.as_ref().map(|identity| Point::with_user(&self.salt, &identity.id));
                let (point, user) = placed.unzip();
                let (arm, reason) = match point {
                    Some(point) => self.drawn(point, draw),
                    None => self.undrawn(draw),
                };
                let flags = self.flags_of(asked, identity.as_ref());
                Decision { arm, reason, identity, point, user, flags }
            }
        }
    }

    /// What a caller at `point` gets.
    fn drawn(&self, point: Point, draw: Draw) -> (Arm, Reason) {
        match draw {
            Draw::Segment { index, arm, weight } => {
                let arm = if point.is_covered_by(weight) { arm } else { Arm::Stable };
                (arm, Reason::Split(index))
            }
            Draw::Release { is_closed } => {
                let cohort = self.cohort(point);
                let arm = match cohort {
                    Cohort::Lane(extra) if self.extras.are_open(extra) => Arm::Extra(extra),
                    Cohort::Step(_) | Cohort::Rest if is_closed => return (Arm::Stable, Reason::Closed),
                    Cohort::Step(_) | Cohort::Rest if point.is_covered_by(self.weight) => Arm::Canary,
                    _ => Arm::Stable,
                };
                (arm, Reason::Bucket(cohort))
            }
        }
    }

    /// What a caller gets who has no point.
    fn undrawn(&self, draw: Draw) -> (Arm, Reason) {
        let is_on_canary = match draw {
            Draw::Segment { arm, .. } => arm == Arm::Canary && self.promoted,
            Draw::Release { is_closed } => !is_closed && (self.promoted || self.weight == Weight::FULL),
        };
        (if is_on_canary { Arm::Canary } else { Arm::Stable }, Reason::NoIdentity)
    }

    fn flags_of<R: Request>(&self, request: &Asked<'_, R>, caller: Option<&Identity>) -> Option<String> {
        (!self.flags.is_empty()).then(|| self.flags.of(request, caller))
    }

    /// What the rules before the draw say, if the canary takes no traffic for `is_closed`.
    fn rule<R: Request>(&self, request: &Asked<'_, R>, is_closed: bool) -> Rule {
        if is_closed && self.extras.is_empty() {
            return CLOSED;
        }
        let pinned = |arm, reason| match arm {
            Arm::Canary if is_closed => CLOSED,
            Arm::Extra(extra) if !self.extras.are_open(extra) => Rule::Fixed(Arm::Stable, Reason::Closed),
            arm => Rule::Fixed(arm, reason),
        };
        if let Some(arm) = self.overrides.iter().find_map(|one| one.asks_for(request, &self.names)) {
            return pinned(arm, Reason::Override);
        }
        if let Some(arm) = self.links.as_ref().and_then(|links| links.granted(request, self)) {
            return pinned(arm, Reason::Override);
        }
        if !self.preview.is_empty()
            && request.header(":authority").is_some_and(|host| self.preview.have(&host))
        {
            return pinned(Arm::Canary, Reason::Override);
        }
        match self.segments.iter().enumerate().find(|(_, segment)| segment.holds(request)) {
            None => Rule::Draw(Draw::Release { is_closed }),
            Some((index, segment)) => match (pinned(segment.arm, Reason::Segment(index)), segment.weight) {
                (Rule::Fixed(arm, reason), Weight::FULL) => Rule::Fixed(arm, reason),
                (Rule::Fixed(_, Reason::Closed), _) => CLOSED,
                (_, weight) if weight.is_split() => {
                    Rule::Draw(Draw::Segment { index, arm: segment.arm, weight })
                }
                _ => Rule::Fixed(Arm::Stable, Reason::Segment(index)),
            },
        }
    }

    fn cohort(&self, point: Point) -> Cohort {
        if let Some(extra) = self.extras.at(point) {
            return Cohort::Lane(extra);
        }
        self.steps.iter().position(|&weight| point.is_covered_by(weight)).map_or(Cohort::Rest, Cohort::Step)
    }
}
