/*!
What a hook may have run besides asking somebody, as people write it: a Job, or load.
*/
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Header, Scalar, SecretKey, Through, schema};
use crate::rule::{hook, request};

/// A Job of the Release's namespace, which the agent makes where the namespace's people let it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HookJob {
    /// The pod's template, as in Kubernetes' Job: `{spec: {containers: [{name, image, command}]}}`. It has no other ServiceAccount
    /// than `default`, and is not tried again but by the hook's `retries`.
    #[schemars(with = "schema::PodTemplate")]
    pub template: Value,
    /// How long it may take, 10s to 6h, in place of the hook's own `timeout`. The default is `10m`.
    #[serde(default = "ten_minutes")]
    #[schemars(with = "schema::Duration")]
    pub timeout: Scalar,
}

/// Load for the new version before it has users. Each answer may take the hook's `timeout`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HookLoad {
    /// The path of each request, a `GET`, with its query if it has one.
    #[schemars(with = "schema::RequestPath")]
    pub path: String,
    /// How many requests a second, 1 to 100. The default is 10.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = hook::MAX_RATE))]
    pub rate: u32,
    /// For how long, 1s to 10m. The default is `1m`.
    #[serde(default = "one_minute")]
    #[schemars(with = "schema::Duration")]
    pub duration: Scalar,
    /// How the new version is reached, as by `checks`. The default is `Canary`.
    #[serde(default)]
    pub through: Through,
    /// Headers that are sent along. The default is none.
    #[serde(default)]
    #[schemars(length(max = request::MAX_HEADERS))]
    pub headers: Vec<Header>,
    /// With `Gateway`: where the token is, if the override takes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKey>,
    /// How many may fail, in percent: those that get no answer in time, or another than 2xx and 3xx. The default is 1.
    #[serde(default = "one_percent")]
    #[schemars(with = "schema::Percentage")]
    pub max_failures: Scalar,
    /// How long 99 % of the good answers may take, 1ms to 10m. The default is as long as the hook's `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Duration>")]
    pub max_latency: Option<Scalar>,
}

fn ten_minutes() -> Scalar {
    Scalar::from("10m")
}

fn one_minute() -> Scalar {
    Scalar::from("1m")
}

fn one_percent() -> Scalar {
    Scalar::from("1")
}

const fn ten() -> u32 {
    10
}
