/*!
What the requests must be that a Release has the agent make.
*/
use std::time::Duration;

use serin_policy::rule::{HEADER, Text};

use super::Span;

/// The path of a request, with its query.
pub const PATH: Text = Text::of(
    &[b'!'..=b'"', b'$'..=b'~'],
    1..=2048,
    "begin with /, such as /healthz, and encode spaces and what is not ASCII",
)
.begin(&[b'/'..=b'/']);

/// A header's value.
pub const HEADER_TEXT: Text =
    Text::of(&[b' '..=b'~'], 1..=1024, "give a value of 1 to 1024 characters of ASCII");

/// A place in JSON.
pub const JSON_PATH: Text =
    Text::of(&[0x00..=0xFF], 1..=256, "write a JSON pointer, such as /status or /checks/0/ok")
        .begin(&[b'/'..=b'/']);

/// The longest text that JSON is compared with, in characters.
pub const MAX_JSON_VALUE: usize = 1024;
/// What to write where it is longer.
pub const JSON_VALUE: &str = "give at most 1024 characters";

/// Headers that are made by whoever sends a request.
pub const MADE_HEADERS: [&str; 6] =
    ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te"];
/// What to write where a header is none that may be sent along.
pub const HEADER_NAME: &str =
    "name a header in lower case, such as x-team, and none of those by which HTTP itself works";

/// Whether a header of this name may be sent along.
pub fn is_header_name(name: &str) -> bool {
    HEADER.accepts(name) && !MADE_HEADERS.contains(&name)
}

/// The most requests of one hook.
pub const MAX_CHECKS: usize = 16;
/// The most headers of a request.
pub const MAX_HEADERS: usize = 16;
/// How often a request is made at most.
pub const MAX_REPEAT: u32 = 100;
/// How long an answer may take.
pub const MAX_LATENCY: Span = Span::of(Duration::from_millis(1), Duration::from_mins(10));

/// What to write where there is no request.
pub const ONE_CHECK: &str = "give at least one, such as {path: /healthz}";
/// What to write where a status is none.
pub const NO_STATUS: &str = "give an HTTP status from 100 to 599, such as 200";
/// What to write where a token is of no use.
pub const TOKEN_OF_GATEWAY: &str =
    "write through: Gateway beside it, or leave it out: no tester's header is sent to the pods themselves";
/// What to write where there is no Gateway to go through.
pub const NO_GATEWAY: &str =
    "add a Gateway to spec.routing.gateways, or leave through out to ask the pods themselves";
/// What to write where nobody can choose the new version.
pub const NO_OVERRIDE: &str = "give spec.overrides a header by which testers get the new version, such as {header: x-canary}, or leave through out";
/// What to write where an override takes a token.
pub const TESTERS_TOKEN: &str =
    "name the Secret with the token of spec.overrides[0], such as {name: serin-notifications, key: tester}";
