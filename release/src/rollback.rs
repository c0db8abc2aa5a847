/*!
How users of a bad canary go back, where not all of them do so at once.
*/
use std::time::Duration;

use serin_policy::Weight;

use crate::Percent;

/// A way back in steps, for what is wrong and not grave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gradual {
    /// The canary's shares on the way back: falling, none of them nothing.
    pub weights: Vec<Weight>,
    /// How long each of them lasts.
    pub each: Duration,
    /// The metrics that are not grave.
    pub metrics: Vec<String>,
    /// Of how many of the canary's requests it is grave all the same.
    pub grave_above: Percent,
}

impl Gradual {
    /// The first share below `weight`, if there is one.
    pub fn below(&self, weight: Weight) -> Option<Weight> {
        self.weights.iter().copied().find(|step| *step < weight)
    }
}
