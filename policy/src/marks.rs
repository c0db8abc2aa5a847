/*!
Marks: a share of a version's requests that their route treats in a way of its own.

The route stands from the beginning and looks for its mark in one request header; what moves is the share of the requests
that the filter gives the mark to. Chance chooses them one by one: a mark says nothing of the caller.
*/
use serde::{Deserialize, Serialize};

use crate::decision::Arm;
use crate::lenient_int;
use crate::matching::Match;
use crate::policy::Policy;
use crate::refusal::{Kind, Refusal};
use crate::request::{Asked, Request};
use crate::rule::{self, check_length};
use crate::versions::Names;
use crate::weight::Weight;

/// The request header that carries a request's mark to its route.
pub const MARK_HEADER: &str = "x-serin-mark";

/// A mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MarkSpec {
    /// What the route looks for.
    pub name: String,
    /// The version whose requests are marked, by its name.
    pub version: String,
    /// Which of them: those that any of these holds for, all of them without one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<Match>,
    /// The share of these that is marked.
    pub weight: Weight,
    /// When the mark ends, in seconds since 1970: the filter sees to it, whatever becomes of the agent.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient_int::optional_u64"
    )]
    pub until_seconds: Option<u64>,
    /// Whether what becomes of the marked requests is the route's doing and not the version's, so that it counts apart.
    /// Otherwise they count as ever, and once more as those that are copied.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub apart: bool,
}

impl MarkSpec {
    /// The most matches.
    pub const MAX_MATCHES: usize = 16;
    const OWN_NAME: &str = "give every mark a name of its own";

    fn check(&self) -> Result<(), Refusal> {
        rule::LABEL.check("name", &self.name)?;
        check_length("matches", &self.matches, Self::MAX_MATCHES)?;
        for (i, one) in self.matches.iter().enumerate() {
            one.check().map_err(|refusal| refusal.within(&format!("matches[{i}]"), None))?;
        }
        Ok(())
    }

    fn is_for<R: Request>(&self, request: &Asked<'_, R>, now_seconds: u64) -> bool {
        self.weight > Weight::ZERO
            && self.until_seconds.is_none_or(|until| now_seconds < until)
            && (self.matches.is_empty() || self.matches.iter().any(|one| one.holds(request)))
    }
}

/// Marks ready for use, each with the version that it is of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks(Vec<(Arm, MarkSpec)>);

impl Marks {
    pub(crate) fn compile(marks: Vec<MarkSpec>, names: &Names) -> Result<Self, Refusal> {
        check_length("marks", &marks, Policy::MAX_MARKS)?;
        for (i, mark) in marks.iter().enumerate() {
            mark.check().map_err(|refusal| refusal.within(&format!("marks[{i}]"), None))?;
            if marks.iter().take(i).any(|earlier| earlier.name == mark.name) {
                let (field, value) = (format!("marks[{i}].name"), format!("{:?}", mark.name));
                return Err(Refusal::new(Kind::Invalid, field, value, MarkSpec::OWN_NAME));
            }
        }
        let of_version = |(i, mark): (usize, MarkSpec)| {
            let arm = names.find(mark.version.as_bytes());
            arm.map(|arm| (arm, mark.clone())).ok_or_else(|| {
                let (field, value) = (format!("marks[{i}].version"), format!("{:?}", mark.version));
                Refusal::new(Kind::Invalid, field, value, "give the name of one of the versions")
            })
        };
        marks.into_iter().enumerate().map(of_version).collect::<Result<_, _>>().map(Self)
    }
}

impl Policy {
    /// Whether requests may have marks: then every one says which, or that it has none.
    pub const fn has_marks(&self) -> bool {
        !self.marks.0.is_empty()
    }

    /// The marks of which `request`, which `arm` gets, may have one, in order.
    pub fn possible_marks<R: Request>(&self, request: &R, arm: Arm, now_seconds: u64) -> Vec<&MarkSpec> {
        self.marks_of(&Asked::new(request), arm, now_seconds).collect()
    }

    fn marks_of<'p, R: Request>(
        &'p self,
        asked: &Asked<'_, R>,
        arm: Arm,
        now_seconds: u64,
    ) -> impl Iterator<Item = &'p MarkSpec> {
        let of_arm = self.marks.0.iter().filter(move |(of, _)| *of == arm).map(|(_, mark)| mark);
        of_arm.filter(move |mark| mark.is_for(asked, now_seconds))
    }

    /// The mark of `request`, which `arm` gets, if it has one. `draw` is a number below 1,000,000, each as likely.
    ///
    /// A request has one mark at most, and each mark its exact share: they stand side by side on the line, in order. What
    /// does not fit on it any more is cut off.
    pub fn mark<R: Request>(
        &self,
        request: &R,
        arm: Arm,
        now_seconds: u64,
        draw: impl FnOnce() -> Option<u32>,
    ) -> Option<&MarkSpec> {
        let asked = Asked::new(request);
        let mut open = self.marks_of(&asked, arm, now_seconds).peekable();
        open.peek()?;
        let (drawn, mut end) = (draw()?, 0_u32);
        open.find(|mark| {
            end = end.saturating_add(mark.weight.ppm());
            drawn < end
        })
    }
}
