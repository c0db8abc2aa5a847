/*!
How proxies try requests again while users go back: for a while after the policy that says so has come into force, and then as
the routes say.

A proxy takes it from headers of the request (`x-envoy-retry-on` and its like), so no route has to be written for it. They add
to what a route says: conditions of both hold, and the number of attempts is this one.
*/
use serde::{Deserialize, Serialize};

use crate::lenient_int;
use crate::refusal::{Kind, Refusal};

/// How requests are tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetriesSpec {
    /// How often at most, after the first try.
    #[serde(deserialize_with = "lenient_int::u32")]
    pub attempts: u32,
    /// When: some of [`CONDITIONS`] and [`GRPC_CONDITIONS`], with commas between them.
    pub retry_on: String,
    /// How long each try may take, in milliseconds; as long as the request, without it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient_int::optional_u64"
    )]
    pub per_try_timeout_ms: Option<u64>,
    /// For how many seconds after the policy has come into force in a proxy.
    #[serde(deserialize_with = "lenient_int::u32")]
    pub seconds: u32,
}

/// What Envoy takes for a condition of HTTP requests by itself: all but those that name headers or codes besides.
pub const CONDITIONS: [&str; 9] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "envoy-ratelimited",
    "retriable-4xx",
    "refused-stream",
    "http3-post-connect-failure",
];

/// What Envoy takes for a condition of gRPC calls.
pub const GRPC_CONDITIONS: [&str; 5] =
    ["cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"];

impl RetriesSpec {
    /// The most attempts.
    pub const MAX_ATTEMPTS: u32 = 10;
    /// What to write where there are none, or more.
    pub const ATTEMPTS: &str = "give 1 to 10";
    /// What to write where a condition is none.
    pub const CONDITION: &str = "give some of 5xx, gateway-error, reset, reset-before-request, connect-failure, envoy-ratelimited, \
        retriable-4xx, refused-stream, http3-post-connect-failure, cancelled, deadline-exceeded, internal, resource-exhausted and \
        unavailable, with commas between them";

    /// Those of the conditions that are among `known`, as a header has them; none if none is.
    fn conditions(&self, known: &[&str]) -> Option<String> {
        let found: Vec<_> =
            conditions(&self.retry_on).filter(|condition| known.contains(condition)).collect();
        (!found.is_empty()).then(|| found.join(","))
    }
}

/// The conditions in a text.
fn conditions(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim)
}

/// Whether a text is nothing but conditions.
pub fn are_conditions(text: &str) -> bool {
    conditions(text).all(|condition| CONDITIONS.contains(&condition) || GRPC_CONDITIONS.contains(&condition))
}

/// The same ready for use.
#[derive(Debug, Clone)]
pub struct Retries {
    headers: Vec<(&'static str, String)>,
    seconds: u32,
}

impl Retries {
    pub(crate) fn compile(spec: &RetriesSpec) -> Result<Self, Refusal> {
        let invalid = |field, value: String, hint| Err(Refusal::new(Kind::Invalid, field, value, hint));
        if !(1..=RetriesSpec::MAX_ATTEMPTS).contains(&spec.attempts) {
            return invalid("retries.attempts", spec.attempts.to_string(), RetriesSpec::ATTEMPTS);
        }
        if !are_conditions(&spec.retry_on) {
            return invalid("retries.retryOn", format!("{:?}", spec.retry_on), RetriesSpec::CONDITION);
        }
        let headers = [
            ("x-envoy-retry-on", spec.conditions(&CONDITIONS)),
            ("x-envoy-retry-grpc-on", spec.conditions(&GRPC_CONDITIONS)),
            ("x-envoy-max-retries", Some(spec.attempts.to_string())),
            ("x-envoy-upstream-rq-per-try-timeout-ms", spec.per_try_timeout_ms.map(|ms| ms.to_string())),
        ];
        let headers = headers.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        Ok(Self { headers, seconds: spec.seconds })
    }

    /// The request headers by which the proxy is told.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.headers.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// When they end where the policy came into force at `since_ns`, both in nanoseconds since 1970.
    pub fn end_ns(&self, since_ns: u64) -> u64 {
        since_ns.saturating_add(u64::from(self.seconds) * 1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(attempts: u32, retry_on: &str) -> RetriesSpec {
        RetriesSpec { attempts, retry_on: retry_on.to_owned(), per_try_timeout_ms: Some(250), seconds: 60 }
    }

    /// Compares the headers, a line each.
    fn check(attempts: u32, retry_on: &str, expected: &[&str]) {
        let retries = Retries::compile(&spec(attempts, retry_on)).expect(retry_on);
        let headers: Vec<_> = retries.headers().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(headers, expected, "{retry_on}");
    }

    #[test]
    fn conditions_of_both_kinds_go_into_headers_of_their_own() {
        let tail = ["x-envoy-max-retries: 3", "x-envoy-upstream-rq-per-try-timeout-ms: 250"];
        let with = |head: &[&'static str]| [head, &tail[..]].concat();
        check(3, "connect-failure", &with(&["x-envoy-retry-on: connect-failure"]));
        check(3, "unavailable", &with(&["x-envoy-retry-grpc-on: unavailable"]));
        check(
            3,
            "5xx, reset,cancelled,connect-failure",
            &with(&["x-envoy-retry-on: 5xx,reset,connect-failure", "x-envoy-retry-grpc-on: cancelled"]),
        );
    }

    #[test]
    fn what_no_proxy_would_take_is_refused() {
        for (attempts, retry_on, field) in [
            (0, "5xx", "retries.attempts"),
            (11, "5xx", "retries.attempts"),
            (3, "", "retries.retryOn"),
            (3, "5xx,", "retries.retryOn"),
            (3, "503", "retries.retryOn"),
            (3, "retriable-status-codes", "retries.retryOn"),
        ] {
            let refusal = Retries::compile(&spec(attempts, retry_on)).expect_err(retry_on);
            assert_eq!(refusal.field, field, "{attempts} {retry_on}");
        }
    }
}
