/*!
What is wrong with a simulated canary.
*/
use std::fmt;
use std::str::FromStr;

use serin_release::Percent;

/// What is wrong with the canary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    /// What becomes of the share of requests that fails.
    pub errors: Change,
    /// What becomes of the share of requests that is slow.
    pub slow: Change,
}

impl Fault {
    /// A canary like stable.
    pub const NONE: Self = Self { errors: Change::Times(1.0), slow: Change::Times(1.0) };
}

/// What becomes of a share of requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// So many times what it was, from 1.
    Times(f64),
    /// This share, if it is more than before.
    To(Percent),
}

impl Change {
    /// By how much a share grows.
    pub(super) fn growth(self, share: f64) -> f64 {
        let bad = match self {
            Self::Times(factor) => (share * factor).min(1.0),
            Self::To(percent) => percent.share(),
        };
        (bad - share).max(0.0)
    }
}

impl FromStr for Change {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const HINT: &str = "write x10 for ten times as many, or 5% for that share of requests";
        match text.strip_prefix(['x', '×']) {
            Some(factor) => {
                let factor: f64 = factor.parse().map_err(|_| HINT)?;
                let possible = factor.is_finite() && factor >= 1.0;
                possible.then_some(Self::Times(factor)).ok_or("give a factor from 1, such as x10")
            }
            None if text.ends_with('%') => Percent::parse(text).map(Self::To).map_err(|_| HINT),
            None => Err(HINT),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(factor) => write!(f, "x{factor}"),
            Self::To(percent) => percent.fmt(f),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { errors, slow } = self;
        match (*errors == Self::NONE.errors, *slow == Self::NONE.slow) {
            (true, true) => f.write_str("none"),
            (false, true) => write!(f, "errors {errors}"),
            (true, false) => write!(f, "slow {slow}"),
            (false, false) => write!(f, "errors {errors}, slow {slow}"),
        }
    }
}
