/*!
Shares as a status has them: a number of percent, exact to the ppm.
*/
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serin_policy::Weight;

use crate::percent::Percent;

/// A share of callers or of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Share {
    /// In percent, with at most 4 decimals.
    #[serde(serialize_with = "number::serialize")]
    #[schemars(with = "f64", range(min = 0, max = 100))]
    pub percent: Percent,
}

/// Requests that a version served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Served {
    /// Their share of all, in percent, with one decimal.
    #[serde(with = "number")]
    #[schemars(with = "f64", range(min = 0, max = 100))]
    pub percent: Percent,
    /// How many there were.
    pub requests: u64,
}

impl Served {
    /// So many requests, of `all`; none where there were none at all.
    pub fn of(requests: u64, all: u64) -> Option<Self> {
        /// The ppm in a tenth of a percent.
        const TENTH: u128 = 1_000;
        let (part, whole) = (u128::from(requests), u128::from(all));
        let tenths = (part * TENTH + whole / 2).checked_div(whole)?;
        let ppm = u32::try_from(tenths * TENTH).ok()?;
        Some(Self { percent: Weight::from_ppm(ppm).ok()?.into(), requests })
    }
}

impl From<Weight> for Share {
    fn from(weight: Weight) -> Self {
        Self { percent: weight.into() }
    }
}

impl From<Percent> for Share {
    fn from(percent: Percent) -> Self {
        Self { percent }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.percent.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Share {
    /// Earlier agents wrote a share as a text, as in `10%`.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Object {
                #[serde(with = "number")]
                percent: Percent,
            },
            Text(String),
        }
        let percent = match Written::deserialize(from)? {
            Written::Object { percent } => percent,
            Written::Text(text) => Percent::parse(&text).map_err(serde::de::Error::custom)?,
        };
        Ok(Self { percent })
    }
}

/// A percentage as a JSON number.
mod number {
    use serde::{Deserialize, Deserializer, Serializer};
    use serin_policy::Weight;

    use crate::percent::Percent;

    const PPM: f64 = 10_000.0;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    pub(super) fn serialize<S: Serializer>(percent: &Percent, to: S) -> Result<S::Ok, S::Error> {
        match percent.ppm() {
            whole if whole % 10_000 == 0 => to.serialize_u32(whole / 10_000),
            ppm => to.serialize_f64(f64::from(ppm) / PPM),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Percent, D::Error> {
        let ppm = (f64::deserialize(from)? * PPM).round();
        let wrong = || serde::de::Error::custom("a percentage is a number from 0 to 100");
        if !(0.0..=100.0 * PPM).contains(&ppm) {
            return Err(wrong());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to a million")]
        let ppm = ppm as u32;
        Weight::from_ppm(ppm).map(Percent::from).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_share_is_a_number_that_comes_back_as_it_was() {
        for ppm in (0..=1_000_000).step_by(7).chain([1_000_000]) {
            let share = Share::from(Weight::from_ppm(ppm).unwrap());
            let text = serde_json::to_string(&share).unwrap();
            assert_eq!(serde_json::from_str::<Share>(&text).unwrap(), share, "{text}");
            let decimals =
                text.split_once('.').map_or(0, |(_, decimals)| decimals.trim_end_matches('}').len());
            assert!(decimals <= 4, "{text}");
        }
        let share = |ppm| json!(Share::from(Weight::from_ppm(ppm).unwrap()));
        assert_eq!(share(100_000), json!({"percent": 10}));
        assert_eq!(share(1), json!({"percent": 0.0001}));
        for wrong in [json!({"percent": -1}), json!({"percent": 100.1}), json!("much"), json!(5)] {
            assert!(serde_json::from_value::<Share>(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_served_has_one_decimal() {
        for (requests, all, expected) in
            [(0, 7, json!(0)), (1, 3, json!(33.3)), (98, 1_000, json!(9.8)), (7, 7, json!(100))]
        {
            let served = Served::of(requests, all).unwrap();
            assert_eq!(json!(served), json!({"percent": expected, "requests": requests}));
        }
        assert_eq!(Served::of(0, 0), None);
    }
}
