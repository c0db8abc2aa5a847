/*!
Whole numbers that may arrive as doubles.

Istio carries a plugin's configuration in a protobuf `Struct`, whose numbers are all doubles: what the agent
writes as `1000000` may reach the proxy as `1e+06`. Every number of the document is read through here.
*/
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// Largest whole number a double holds exactly: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A whole number ≥ 0, read from an integer or from a double without a fraction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole(pub(crate) u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WholeVisitor)
    }
}

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number of 0 or more")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Whole, E> {
        Ok(Whole(value))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be whole and in range"
    )]
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Whole, E> {
        if value.fract() == 0.0 && (0.0..=EXACT).contains(&value) {
            Ok(Whole(value as u64))
        } else {
            Err(E::invalid_value(de::Unexpected::Float(value), &self))
        }
    }
}

/// For `#[serde(deserialize_with)]` on `u64` fields.
pub(crate) fn u64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Whole::deserialize(deserializer).map(|whole| whole.0)
}

/// For `#[serde(deserialize_with)]` on fields that may be missing.
pub(crate) fn optional_u64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    u64(deserializer).map(Some)
}

/// For `#[serde(deserialize_with)]` on `u32` fields.
pub(crate) fn u32<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let whole = Whole::deserialize(deserializer)?.0;
    u32::try_from(whole)
        .map_err(|_| de::Error::invalid_value(de::Unexpected::Unsigned(whole), &"at most 4294967295"))
}
