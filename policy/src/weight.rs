/*!
A share of users, in parts per million.

Percent with four decimals, held as a whole number: 0.1 % is 1,000 ppm, and no rounding ever stands between the
share that was asked for and the share that is served.
*/
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::lenient_int;

/// A share of users in ppm, from 0 to 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "lenient_int::Whole", into = "u32")]
pub struct Weight(u32);

impl Weight {
    /// Nobody.
    pub const ZERO: Self = Self(0);
    /// Everybody: 1,000,000 ppm.
    pub const FULL: Self = Self(1_000_000);

    /// A weight of `ppm` parts per million.
    ///
    /// # Errors
    /// More than 1,000,000 ppm is more than everybody; the value comes back as the error.
    pub const fn from_ppm(ppm: u32) -> Result<Self, OutOfRange> {
        if ppm > Self::FULL.0 { Err(OutOfRange(ppm as u64)) } else { Ok(Self(ppm)) }
    }

    /// The weight as a share, 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.0) / f64::from(Self::FULL.0)
    }

    /// The weight in parts per million.
    pub const fn ppm(self) -> u32 {
        self.0
    }

    /// Whether this share is strictly between nobody and everybody, so that chance decides.
    pub const fn is_split(self) -> bool {
        0 < self.0 && self.0 < Self::FULL.0
    }
}

impl fmt::Display for Weight {
    /// Percent, with as many decimals as it takes: `25%`, `0.1%`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (percent, rest) = (self.0 / 10_000, self.0 % 10_000);
        if rest == 0 {
            return write!(f, "{percent}%");
        }
        let decimals = format!("{rest:04}");
        write!(f, "{percent}.{}%", decimals.trim_end_matches('0'))
    }
}

/// A share above everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} ppm is more than everybody: give 0 to 1000000")]
pub struct OutOfRange(pub u64);

impl TryFrom<lenient_int::Whole> for Weight {
    type Error = OutOfRange;

    fn try_from(value: lenient_int::Whole) -> Result<Self, OutOfRange> {
        u32::try_from(value.0).map_or(Err(OutOfRange(value.0)), Self::from_ppm)
    }
}

impl From<Weight> for u32 {
    fn from(value: Weight) -> Self {
        value.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_reads_as_percent() {
        for (ppm, text) in
            [(0, "0%"), (1, "0.0001%"), (1_000, "0.1%"), (125_000, "12.5%"), (1_000_000, "100%")]
        {
            assert_eq!(Weight::from_ppm(ppm).unwrap().to_string(), text);
        }
    }

    #[test]
    fn json_weights_may_be_doubles_because_istio_sends_doubles() {
        assert_eq!(serde_json::from_str::<Weight>("1e+06").unwrap(), Weight::FULL);
        assert_eq!(serde_json::from_str::<Weight>("1000.0").unwrap(), Weight::from_ppm(1_000).unwrap());
        for wrong in ["1000001", "-1", "0.5", "\"10\""] {
            assert!(serde_json::from_str::<Weight>(wrong).is_err(), "{wrong}");
        }
    }
}
