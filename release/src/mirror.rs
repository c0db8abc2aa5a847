/*!
Copies of stable's requests to a canary that has no users yet.

They are a mark of the policy and a route that stands for as long as the Release has it: the filter draws the requests, the
proxy answers them from stable and sends the canary a copy, whose answer goes nowhere.
*/
use std::time::Duration;

use serin_policy::marks::MarkSpec;
use serin_policy::matching::Match;
use serin_policy::{Arm, PolicySpec, Weight};

use super::Release;

/// The mark of requests of which the canary gets a copy. The copy carries it too, so that an application can tell.
pub const MARK: &str = "mirror";

/// Which of stable's requests the canary gets copies of, before it has users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The share of them.
    pub share: Weight,
    /// For how long, at least.
    pub duration: Duration,
    /// Those of these methods; at least one.
    pub methods: Vec<String>,
}

impl Mirror {
    /// The mark, which no request has yet.
    pub(super) fn mark(&self) -> MarkSpec {
        let of_method = |method: &String| Match { method: Some(method.clone()), ..Match::default() };
        MarkSpec {
            name: MARK.to_owned(),
            version: Arm::Stable.as_str().to_owned(),
            matches: self.methods.iter().map(of_method).collect(),
            weight: Weight::ZERO,
            until_seconds: None,
            apart: false,
        }
    }
}

impl Release {
    /// `policy`, by which the canary gets its copies.
    #[must_use]
    pub fn mirroring(&self, mut policy: PolicySpec) -> PolicySpec {
        let mark = policy.marks.iter_mut().find(|mark| mark.name == MARK);
        if let (Some(mark), Some(mirror)) = (mark, &self.mirror) {
            mark.weight = mirror.share;
        }
        policy
    }
}
