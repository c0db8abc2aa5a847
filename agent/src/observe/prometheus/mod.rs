/*!
What a Prometheus knows of releases: an alternative to asking the proxies themselves, and the source of people's own
metrics.

[`Access`] says how to reach it and [`Client`] asks. [`counts`] are the raw counters of all releases, fetched in one
query a tick and differenced by the [`ledger`](super::ledger): of the filter, or of Istio's standard metrics.
[`custom`] metrics are PromQL that people write.
*/
mod access;
mod answer;
mod client;
pub mod counts;
pub mod custom;
mod error;
mod istio;
mod promql;
mod sorting;

pub use access::{Access, AccessError, BasicAuth, Settings};
pub use answer::{Answer, Sample};
pub use client::{Client, MOST_SERIES};
pub use error::QueryError;
pub use istio::{DEFAULT_VERSION_LABEL, Istio, Reporter};
