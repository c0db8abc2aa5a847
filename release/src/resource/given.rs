/*!
A field whose absence is a decision: an override without a token is open to all, a step without a pause goes on. A key
with nothing behind it (a template's empty variable, say) must not be taken for that, so it is kept, to be refused.
*/
use serde::de::Deserializer;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// What stands at a key whose absence is a decision.
#[derive(Debug, Clone, Default)]
pub enum Given<T> {
    /// The key is not there.
    #[default]
    LeftOut,
    /// The key is there, and nothing behind it.
    Empty,
    /// The key is there with a value.
    Value(T),
}

impl<T> Given<T> {
    /// For serde: whether the key is not there.
    pub const fn is_left_out(&self) -> bool {
        matches!(self, Self::LeftOut)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|found| found.map_or(Self::Empty, Self::Value))
    }
}

impl<T: Serialize> Serialize for Given<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::LeftOut | Self::Empty => serializer.serialize_none(),
            Self::Value(value) => value.serialize(serializer),
        }
    }
}
