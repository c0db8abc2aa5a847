/*!
What is asked of others at points of a run, as people write it. The words are Flagger's, so that its load tester is asked as it is.
*/
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Check, HookJob, HookLoad, Scalar, schema};
use crate::rule::{self, request};

/// Somebody who is asked at a point of a run.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules()))]
pub struct Hook {
    /// What it is called. No two have one name.
    #[schemars(with = "schema::Label")]
    pub name: String,
    /// When it is asked, and what its answer means.
    pub when: When,
    /// The address, which is sent a POST of `{name, namespace, phase, checksum, metadata}`. The agent's operator says which hosts
    /// there may be, but for those of the Release's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Address>")]
    pub url: Option<String>,
    /// Instead of `url`: requests that the agent makes to the new version itself, one after the other. Yes is that all answers
    /// are right, in `timeout` together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = request::MAX_CHECKS))]
    pub checks: Option<Vec<Check>>,
    /// Instead of `url`: a Job in the Release's namespace. Yes is that it completes. The agent makes it where the namespace's people
    /// let it, as docs/hooks.md has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<HookJob>,
    /// Instead of `url`, of a `pre-rollout` hook: so many requests a second to the new version, for a time. Yes is that few enough of
    /// them fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<HookLoad>,
    /// How long an answer may take, 1s to 10m. Whoever takes longer has failed. The default is `10s`.
    #[serde(default = "ten_seconds")]
    #[schemars(with = "schema::Duration")]
    pub timeout: Scalar,
    /// The time until it is asked again, where it is: 1s to 1h. The default is `10s`.
    #[serde(default = "ten_seconds")]
    #[schemars(with = "schema::Duration")]
    pub interval: Scalar,
    /// How often in a row a `pre-rollout` or `rollout` hook may fail before `failure` says what becomes of the run, 0 to 100. The
    /// default is 2.
    #[serde(default = "two")]
    #[schemars(range(max = rule::hook::MAX_RETRIES))]
    pub retries: u32,
    /// What a failed `pre-rollout` or `rollout` hook does: `Hold` has the run wait until it passes, `Rollback` takes the canary
    /// back, `Ignore` goes on. The default is `Hold`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<HookFailure>,
    /// What is sent along to `url`, such as `{type: bash, cmd: "curl -sf http://myapp-canary/healthz"}`. The default is nothing.
    #[serde(default)]
    #[schemars(length(max = rule::hook::MAX_METADATA))]
    pub metadata: BTreeMap<String, String>,
}

/// When a hook is asked. An answer of 200, 201 or 202 is a yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Until yes: the canary gets no pods before.
    ConfirmRollout,
    /// Until yes: when the canary's pods are ready, and before it has users.
    PreRollout,
    /// Again and again while it has some of the users.
    Rollout,
    /// Until yes: before it gets more of them.
    ConfirmTrafficIncrease,
    /// Until yes: before it gets all of them.
    ConfirmPromotion,
    /// Once when the run is over, however it ended.
    PostRollout,
    /// Again and again during the run: yes takes the canary back.
    Rollback,
}

/// What a failed hook does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HookFailure {
    /// The run waits until it passes.
    #[default]
    Hold,
    /// The canary is taken back.
    Rollback,
    /// Nothing.
    Ignore,
}

impl When {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConfirmRollout => "confirm-rollout",
            Self::PreRollout => "pre-rollout",
            Self::Rollout => "rollout",
            Self::ConfirmTrafficIncrease => "confirm-traffic-increase",
            Self::ConfirmPromotion => "confirm-promotion",
            Self::PostRollout => "post-rollout",
            Self::Rollback => "rollback",
        }
    }

    /// Whether the canary has its pods then, and keeps them whatever the answer.
    pub const fn has_pods(self) -> bool {
        !matches!(self, Self::ConfirmRollout | Self::PostRollout | Self::Rollback)
    }

    /// Whether it tests the canary: it passes or fails.
    pub const fn is_test(self) -> bool {
        matches!(self, Self::PreRollout | Self::Rollout)
    }
}

fn ten_seconds() -> Scalar {
    Scalar::from("10s")
}

const fn two() -> u32 {
    2
}

fn rules() -> Value {
    json!([
        schema::validation(
            ".url",
            "[has(self.url), has(self.checks), has(self.job), has(self.load)].exists_one(given, given)",
            rule::hook::ONE_KIND,
        ),
        schema::validation(".when", "!has(self.job) || self.when != 'rollback'", rule::hook::JOB_IS_NO_ALARM),
        schema::validation(
            ".when",
            "!has(self.load) || self.when == 'pre-rollout'",
            rule::hook::LOAD_IS_BEFORE
        ),
        schema::validation(
            ".metadata",
            "!has(self.metadata) || self.metadata.size() == 0 || has(self.url)",
            rule::hook::METADATA_OF_URL,
        ),
        schema::validation(
            ".when",
            "!has(self.checks) || !(self.when in ['confirm-rollout', 'post-rollout', 'rollback'])",
            rule::hook::CHECKS_NEED_PODS,
        ),
        schema::validation(
            ".failure",
            "!has(self.failure) || self.when in ['pre-rollout', 'rollout']",
            rule::hook::FAILURE_OF_TESTS,
        ),
    ])
}
