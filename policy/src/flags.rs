/*!
Feature flags: what of an application a caller gets, whichever version serves them.

A caller's place for a flag is a hash of their id and the flag, not of the run: they keep a flag from release to release, and
one flag says nothing of another. The application reads the names in one request header.
*/
use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::matching::Match;
use crate::point::Point;
use crate::policy::Policy;
use crate::refusal::{Kind, Refusal};
use crate::request::{Asked, Request};
use crate::rule::{self, check_length};
use crate::weight::Weight;

/// The request header in which the application finds the flags a caller has, by name, with commas between them.
pub const FLAGS_HEADER: &str = "x-serin-flags";

/// A feature flag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlagSpec {
    /// What the application calls it.
    pub name: String,
    /// The share of callers that has it.
    pub weight: Weight,
    /// Who has it whatever their place: whoever makes a request that any of these holds for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<Match>,
}

impl FlagSpec {
    /// The most matches.
    pub const MAX_MATCHES: usize = 16;
    /// What to write where two flags have one name.
    pub const OWN_NAME: &str = "give every flag a name of its own";

    pub(crate) fn check(&self) -> Result<(), Refusal> {
        rule::LABEL.check("name", &self.name)?;
        check_length("matches", &self.matches, Self::MAX_MATCHES)?;
        for (i, one) in self.matches.iter().enumerate() {
            one.check().map_err(|refusal| refusal.within(&format!("matches[{i}]"), None))?;
        }
        Ok(())
    }

    /// What callers' places for it are salted with.
    fn salt(&self, policy: &str) -> String {
        format!("{policy}/flag/{}", self.name)
    }
}

/// Flags ready for use, each with its salt.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags(Vec<(FlagSpec, String)>);

impl Flags {
    pub(crate) fn compile(flags: Vec<FlagSpec>, policy: &str) -> Result<Self, Refusal> {
        check_length("flags", &flags, Policy::MAX_FLAGS)?;
        for (i, flag) in flags.iter().enumerate() {
            flag.check().map_err(|refusal| refusal.within(&format!("flags[{i}]"), None))?;
            if flags.iter().take(i).any(|earlier| earlier.name == flag.name) {
                let (field, value) = (format!("flags[{i}].name"), format!("{:?}", flag.name));
                return Err(Refusal::new(Kind::Invalid, field, value, FlagSpec::OWN_NAME));
            }
        }
        let salted = |flag: FlagSpec| {
            let salt = flag.salt(policy);
            (flag, salt)
        };
        Ok(Self(flags.into_iter().map(salted).collect()))
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that the caller has, as the application reads them. A caller without an id has what everybody has.
    pub(crate) fn of<R: Request>(&self, request: &Asked<'_, R>, caller: Option<&Identity>) -> String {
        let is_on = |flag: &FlagSpec, salt: &str| {
            flag.weight == Weight::FULL
                || caller.is_some_and(|it| Point::of(salt, &it.id).is_covered_by(flag.weight))
                || flag.matches.iter().any(|one| one.holds(request))
        };
        let on = self.0.iter().filter(|(flag, salt)| is_on(flag, salt));
        on.map(|(flag, _)| flag.name.as_str()).collect::<Vec<_>>().join(",")
    }
}
