/*!
Faults that are injected into the answers of one version, on purpose and for a time.

Each way of going wrong is a mark of the policy and a route that stands for as long as the Release has it: the filter draws
the requests, the route delays or ends them.
*/
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serin_policy::marks::MarkSpec;
use serin_policy::matching::Match;
use serin_policy::{Arm, Weight};

use super::Release;

/// A fault of one version.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// The version.
    pub arm: Arm,
    /// Which of its requests meet it: all of them without any.
    pub matches: Vec<Match>,
    /// The answers that come late, if any are to.
    pub delay: Option<Share<Duration>>,
    /// The requests that are answered in the version's place, if any are to.
    pub abort: Option<Share<Abort>>,
    /// When it ends.
    pub until: Timestamp,
}

/// What a share of the requests meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share<T> {
    /// The share.
    pub of: Weight,
    /// What it meets.
    pub what: T,
}

/// The answer that a request gets in the version's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abort {
    /// An HTTP status, 200 to 599.
    Http(u16),
    /// A gRPC status.
    Grpc(GrpcStatus),
}

/// A gRPC status, by the name that gRPC and Istio have for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names are gRPC's own")]
pub enum GrpcStatus {
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl GrpcStatus {
    /// The number of it.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// What the route does to a request with a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injection {
    /// The mark.
    pub mark: String,
    /// The version to which the request goes.
    pub arm: Arm,
    /// What happens to it.
    pub injected: Injected,
}

/// What happens to a request on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Injected {
    /// It is sent on so much later.
    Delay(Duration),
    /// It is answered without having been sent on.
    Abort(Abort),
}

impl Fault {
    /// What its requests meet, and which share of them: late answers first.
    fn shares(&self) -> impl Iterator<Item = (&'static str, Weight, Injected)> {
        let delay = self.delay.map(|it| ("delay", it.of, Injected::Delay(it.what)));
        let abort = self.abort.map(|it| ("abort", it.of, Injected::Abort(it.what)));
        delay.into_iter().chain(abort)
    }
}

impl Release {
    /// What the routes do to requests with a mark.
    pub fn injections(&self) -> impl Iterator<Item = Injection> {
        each(&self.faults).map(|(mark, fault, _, injected)| Injection { mark, arm: fault.arm, injected })
    }

    /// Whether anything is injected into answers at `now`.
    pub fn injects_at(&self, now: Timestamp) -> bool {
        each(&self.faults).any(|(_, fault, of, _)| of > Weight::ZERO && now < fault.until)
    }
}

/// The marks of `faults`. Where everybody gets the canary there are no two versions to try one of: their shares are nothing
/// then, and what clients write is no mark.
pub(super) fn marks(faults: &[Fault], promoted: bool) -> Vec<MarkSpec> {
    let mark = |(name, fault, of, _): (String, &Fault, Weight, Injected)| MarkSpec {
        name,
        version: fault.arm.as_str().to_owned(),
        matches: fault.matches.clone(),
        weight: if promoted { Weight::ZERO } else { of },
        until_seconds: Some(u64::try_from(fault.until.as_second()).unwrap_or_default()),
        apart: true,
    };
    each(faults).map(mark).collect()
}

/// Each of what `faults` inject, with its mark and its share. Faults are called by their number, from 1.
fn each(faults: &[Fault]) -> impl Iterator<Item = (String, &Fault, Weight, Injected)> {
    faults.iter().zip(1_u32..).flat_map(|(fault, number)| {
        let named = move |(kind, of, injected)| (format!("fault-{number}-{kind}"), fault, of, injected);
        fault.shares().map(named)
    })
}
