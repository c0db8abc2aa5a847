/*!
What a Prometheus knows of releases: an alternative to asking the proxies themselves, and the source of people's own
metrics.

[`Client`] asks. [`counts`] are the raw counters of all releases, fetched in one query and differenced by the
[`counter_deltas`](super::counter_deltas): of the filter, or of Istio's standard metrics. A [`collector`] fetches them in
the background, for all releases at once. [`custom`] metrics are PromQL that people write.
*/
mod answer;
mod asker;
mod client;
pub mod collector;
pub mod counts;
pub mod custom;
mod error;
mod istio;
mod promql;
mod sample;
mod series_index;

pub use answer::{Answer, Sample};
pub(super) use asker::Asker;
pub use client::{Client, MOST_SERIES};
pub use error::QueryError;
pub use sample::{Count, PromSample};
