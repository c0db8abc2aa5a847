/*!
What Serin's two halves agree on, free of I/O.

The agent writes a [`Document`] of policies, the filter in every proxy reads it, and both must come to the same
answer for the same request. So the document, the rules that turn a request into a [`Decision`] and the names
of the series that count the outcome live here, and nothing here knows a proxy, a cluster, a clock or a file.

The way through the crate is the way of a request: [`Table`] finds the [`Policy`] for a host and path,
[`identity`] finds out who is asking, [`Point`] places them on the line, [`decision`] says which version they
get and why, and [`series`] names the counters the answer ends up in.
*/
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod access_log;
pub mod baggage;
pub mod cookie;
pub mod decision;
pub mod document;
pub mod evidence;
pub mod flags;
pub mod fuse;
pub mod grant;
pub mod host;
pub mod identity;
pub mod lanes;
pub mod lease;
mod lenient_int;
pub mod links;
pub mod marks;
pub mod matching;
pub mod place;
pub mod point;
pub mod policy;
pub mod refusal;
pub mod request;
pub mod retries;
pub mod route;
pub mod rule;
pub mod series;
pub mod table;
pub mod users;
mod versions;
pub mod weight;

pub use decision::{Arm, Cohort, Decision, Reason};
pub use document::{Document, PolicySpec};
pub use identity::{Id, Identity, Origin, Source};
pub use lanes::Extra;
pub use lease::{Lease, Leases};
pub use place::{Place, Proxy};
pub use point::Point;
pub use policy::Policy;
pub use refusal::Refusal;
pub use request::Request;
pub use table::Table;
pub use weight::Weight;
