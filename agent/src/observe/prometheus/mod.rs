/*!
What a Prometheus knows of releases: an alternative to asking the proxies themselves, and the source of people's own
metrics.

[`Client`] asks. [`counts`] are the raw counters of all releases, fetched in one
query a tick and differenced by the [`counter_deltas`](super::counter_deltas): of the filter, or of Istio's standard metrics.
[`custom`] metrics are PromQL that people write.
*/
mod answer;
mod client;
pub mod counts;
pub mod custom;
mod error;
mod istio;
mod promql;
mod series_index;

pub use answer::{Answer, Sample};
pub use client::{Client, MOST_SERIES};
pub use error::QueryError;
