/*!
Those who are asked at points of a run: [`resource::Hook`](crate::resource::Hook)s that make sense.
*/
use std::collections::BTreeMap;
use std::time::Duration;

use crate::resource::{HookFailure, When};

/// Somebody who is asked at a point of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// What it is called.
    pub name: String,
    /// When it is asked.
    pub when: When,
    /// The address.
    pub url: String,
    /// How long an answer may take.
    pub timeout: Duration,
    /// The time until it is asked again.
    pub interval: Duration,
    /// How often in a row it may fail before `failure` counts.
    pub retries: u32,
    /// What becomes of the run then.
    pub failure: HookFailure,
    /// What is sent along.
    pub metadata: BTreeMap<String, String>,
}
