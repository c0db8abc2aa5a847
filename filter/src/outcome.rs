/*!
What became of a request, by what the proxy knows of it when it is over.
*/
use serin_policy::series::Metric;

use crate::host::Host;

/// Where an answer says what became of a gRPC call.
pub const GRPC_STATUS: &str = "grpc-status";

/// What an answer ends with, and the gRPC status there.
#[derive(Debug)]
pub enum Ending {
    /// Its body, as far as is known.
    Body,
    /// Its headers: there is nothing else.
    Headers(Option<Vec<u8>>),
    /// Trailers.
    Trailers(Option<Vec<u8>>),
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its caller left before there was an answer.
    Left,
    /// It was answered.
    Answered {
        /// The class of its status, 1 to 5.
        class: u8,
        /// What else is to be counted of the answer, and makes it a failure or a client's error.
        fault: Option<Metric>,
        /// The connection became something else, which lasts as long as its user likes.
        is_switched: bool,
    },
}

impl Outcome {
    /// How the request at hand ended, whose answer has this `ending`.
    pub fn of(host: &impl Host, ending: &Ending) -> Self {
        const SWITCHING_PROTOCOLS: u16 = 101;
        let Some(status) = host.response_header(":status").as_deref().and_then(status_code) else {
            return Self::Left;
        };
        let class = u8::try_from(status / 100).unwrap_or(5);
        let is_switched = status == SWITCHING_PROTOCOLS;
        let fault = match class {
            5 => None,
            4 => broken(host),
            _ if is_switched => None,
            _ => match grpc_status(host, ending).and_then(Metric::of_grpc_status) {
                Some(blamed) => Some(blamed),
                None => broken(host),
            },
        };
        Self::Answered { class, fault, is_switched }
    }

    /// Whether the version failed.
    pub const fn is_failure(self) -> bool {
        match self {
            Self::Left => false,
            Self::Answered { class, fault, .. } => {
                class == 5 || matches!(fault, Some(Metric::GrpcServerErrors | Metric::Broken))
            }
        }
    }
}

/// [`Metric::Broken`], if the answer broke off in the middle, and not because the caller left.
///
/// The bits are those of Envoy's `CoreResponseFlag`. A stream that was idle, or had lasted, for longer than the proxy
/// allows is not among them: that is how streams end where nobody ends them.
fn broken(host: &impl Host) -> Option<Metric> {
    const UPSTREAM_REQUEST_TIMEOUT: u64 = 1 << 2;
    const LOCAL_RESET: u64 = 1 << 3;
    const UPSTREAM_REMOTE_RESET: u64 = 1 << 4;
    const UPSTREAM_CONNECTION_FAILURE: u64 = 1 << 5;
    const UPSTREAM_CONNECTION_TERMINATION: u64 = 1 << 6;
    const UPSTREAM_PROTOCOL_ERROR: u64 = 1 << 23;
    const BY_THE_VERSION: u64 = UPSTREAM_REQUEST_TIMEOUT
        | LOCAL_RESET
        | UPSTREAM_REMOTE_RESET
        | UPSTREAM_CONNECTION_FAILURE
        | UPSTREAM_CONNECTION_TERMINATION
        | UPSTREAM_PROTOCOL_ERROR;
    const DOWNSTREAM_CONNECTION_TERMINATION: u64 = 1 << 14;
    const DOWNSTREAM_REMOTE_RESET: u64 = 1 << 28;
    const BY_THE_CALLER: u64 = DOWNSTREAM_CONNECTION_TERMINATION | DOWNSTREAM_REMOTE_RESET;
    let flags = host.response_flags()?;
    let is_broken = flags & BY_THE_VERSION != 0 && flags & BY_THE_CALLER == 0;
    // A tunnel ends when either side hangs up.
    let is_tunnel = || {
        host.request_header("upgrade").is_some_and(|value| !value.is_empty())
            || host.request_header(":method").is_some_and(|method| method == b"CONNECT")
    };
    (is_broken && !is_tunnel()).then_some(Metric::Broken)
}

/// `grpc-status`, from the trailers or, where they have none, from the headers. What is not a number is none of gRPC's own
/// codes: UNKNOWN, as gRPC clients take it.
fn grpc_status(host: &impl Host, ending: &Ending) -> Option<u32> {
    const UNKNOWN: u32 = 2;
    let value = match ending {
        Ending::Headers(status) => status.clone(),
        Ending::Trailers(Some(status)) if !status.is_empty() => Some(status.clone()),
        Ending::Body | Ending::Trailers(_) => host.response_header(GRPC_STATUS),
    };
    let value = value.filter(|value| !value.is_empty())?;
    Some(std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok()).unwrap_or(UNKNOWN))
}

fn status_code(value: &[u8]) -> Option<u16> {
    let code = std::str::from_utf8(value).ok()?.parse().ok()?;
    (100..=599).contains(&code).then_some(code)
}
