/*!
Those who are asked at points of a run: [`resource::Hook`](crate::resource::Hook)s that make sense.
*/
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::Percent;
use crate::resource::{Header, HookFailure, JsonPointer, SecretKey, Through, When};

/// Somebody who is asked at a point of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// What it is called.
    pub name: String,
    /// When it is asked.
    pub when: When,
    /// Who is asked.
    pub asked: Asked,
    /// How long an answer may take.
    pub timeout: Duration,
    /// The time until it is asked again.
    pub interval: Duration,
    /// How often in a row it may fail before `failure` counts.
    pub retries: u32,
    /// What becomes of the run then.
    pub failure: HookFailure,
}

/// Who is asked, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Whoever is at an address, as Flagger asks.
    Url {
        /// The address.
        url: String,
        /// What is sent along.
        metadata: BTreeMap<String, String>,
    },
    /// The new version itself: the answers to all of these must be right.
    Checks(Vec<Check>),
    /// A Job, which has to complete.
    Job(Job),
    /// The new version, by many requests at once.
    Load(Box<Load>),
}

/// A Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its pod's template, as Kubernetes has it.
    pub template: Value,
    /// How long it may take.
    pub timeout: Duration,
}

/// Load, and how much of it may go wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// Each of its requests; what its answer is to be is said here.
    pub request: Check,
    /// How many a second, 1 at least.
    pub rate: u32,
    /// For how long.
    pub duration: Duration,
    /// How many may fail.
    pub max_failures: Percent,
    /// How long 99 % of the good answers may take.
    pub max_latency: Option<Duration>,
}

/// A request to the new version, and what its answer is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The path, with its query.
    pub path: String,
    /// How the new version is reached.
    pub through: Through,
    /// The method.
    pub method: String,
    /// What is sent along.
    pub headers: Vec<Header>,
    /// Where the tester's token is, if it takes one.
    pub token: Option<SecretKey>,
    /// The status that is right.
    pub status: u16,
    /// A header that the answer must have.
    pub header: Option<Header>,
    /// What must be in the answer's JSON.
    pub json_pointer: Option<JsonPointer>,
    /// How long it may take.
    pub max_latency: Option<Duration>,
    /// How often it is asked; each pod once at least.
    pub repeat: u32,
}
