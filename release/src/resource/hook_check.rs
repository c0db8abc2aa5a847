/*!
A request to the new version and what its answer is to be, as people write it: what a hook of `checks` is made of.
*/
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Scalar, SecretKey, schema};
use crate::rule::request;

/// A request to the new version, and what its answer is to be.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Check {
    /// The path, with its query if it has one, such as `/healthz`.
    #[schemars(with = "schema::RequestPath")]
    pub path: String,
    /// How the new version is reached. `Canary`: straight at its pods, each in turn, past the mesh, at the port that the Service
    /// leads to. `Gateway`: as a tester comes in, by the first Gateway of `routing`, at the first of `routing.hosts`, with the
    /// first of `overrides`. The default is `Canary`.
    #[serde(default)]
    pub through: Through,
    /// The method. The default is `GET`.
    #[serde(default = "get")]
    #[schemars(with = "schema::Method")]
    pub method: String,
    /// Headers that are sent along. The default is none.
    #[serde(default)]
    #[schemars(length(max = request::MAX_HEADERS))]
    pub headers: Vec<Header>,
    /// With `Gateway`: where the token is, if the override takes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKey>,
    /// The status that is right, 100 to 599. The default is 200.
    #[serde(default = "ok")]
    #[schemars(range(min = 100, max = 599))]
    pub status: u16,
    /// A header that the answer must have, with this value. The default is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Header>,
    /// What must be in the answer's JSON. The default is anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_pointer: Option<JsonPointer>,
    /// How long the answer may take, with all of its body, 1ms to 10m. The default is as long as the hook's `timeout` allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Duration>")]
    pub max_latency: Option<Scalar>,
    /// How often it is asked, 1 to 100; each pod once at least. Every answer must be right. The default is 1.
    #[serde(default = "once")]
    #[schemars(range(min = 1, max = request::MAX_REPEAT))]
    pub repeat: u32,
}

/// How the new version is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Through {
    /// Straight at its pods.
    #[default]
    Canary,
    /// By a Gateway, as a tester.
    Gateway,
}

/// A header with its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The name, in lower case.
    #[schemars(with = "schema::RequestHeader")]
    pub name: String,
    /// The value.
    #[schemars(with = "schema::HeaderText")]
    pub value: String,
}

/// A place in JSON (RFC 6901), and what must be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonPointer {
    /// The place, such as `/status` or `/checks/0/ok`.
    #[schemars(with = "schema::JsonPath")]
    pub path: String,
    /// The text that must be there. A number or a truth value is compared as JSON writes it, such as `"3"` and `"true"`.
    #[schemars(length(max = request::MAX_JSON_VALUE))]
    pub value: String,
}

fn get() -> String {
    "GET".to_owned()
}

const fn ok() -> u16 {
    200
}

const fn once() -> u32 {
    1
}
