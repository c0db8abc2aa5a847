/*!
What the filter needs from the proxy it runs in.
*/

/// The proxy. Which questions may be asked when is the callbacks' business: request headers can be read and
/// written while the request is on its way in, response headers on the way out, and everything read at the end.
pub trait Host {
    /// The first value of a request header.
    fn request_header(&self, name: &str) -> Option<Vec<u8>>;
    /// All values of a request header, joined by commas.
    fn request_header_list(&self, name: &str) -> Option<Vec<u8>>;
    /// Sets a request header, in place of every copy there is.
    fn set_request_header(&self, name: &str, value: &[u8]);
    /// Takes every copy of a request header away.
    fn remove_request_header(&self, name: &str);
    /// Leaves a property of the request for whoever comes later, such as the access log.
    fn set_property(&self, name: &str, value: &[u8]);
    /// The first value of a response header.
    fn response_header(&self, name: &str) -> Option<Vec<u8>>;
    /// All values of a response header, joined by commas.
    fn response_header_list(&self, name: &str) -> Option<Vec<u8>>;
    /// Sets a response header, in place of every copy there is.
    fn set_response_header(&self, name: &str, value: &[u8]);
    /// Adds a response header beside those there are.
    fn add_response_header(&self, name: &str, value: &[u8]);
    /// A response trailer, while they are there.
    fn response_trailer(&self, name: &str) -> Option<Vec<u8>>;
    /// What the proxy has to say of how the answer came to its end: the bits of Envoy's `CoreResponseFlag`.
    fn response_flags(&self) -> Option<u64>;
    /// Answers the request with `status` and these headers, and no body. It goes no further.
    fn answer(&self, status: u32, headers: &[(&str, &str)]);
    /// The proxy's clock, in nanoseconds since 1970.
    fn now_ns(&self) -> u64;
    /// 32 random bytes, if there are any to be had.
    fn entropy(&self) -> Option<[u8; 32]>;
    /// Makes a metric, or finds the one of this name.
    fn define(&self, kind: MetricKind, name: &str) -> MetricId;
    /// Adds 1 to a counter.
    fn increment(&self, metric: MetricId);
    /// Sets a gauge, or adds a value to a histogram.
    fn record(&self, metric: MetricId, value: u64);
    /// What a worker has left under `key` for all others, and its version. There is none before the first.
    fn shared(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>);
    /// Leaves `value` under `key`, if what was left there is of `version` still; says whether it was.
    fn set_shared(&self, key: &str, value: &[u8], version: Option<u32>) -> bool;
    /// Has [`Vm::on_tick`](crate::Vm::on_tick) called once in so many milliseconds.
    fn tick_every(&self, milliseconds: u32);
    /// Writes a line into the proxy's log.
    fn warn(&self, line: &str);
}

/// A metric in the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MetricId(pub u32);

/// What kind of metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only ever rises.
    Counter,
    /// Holds the last value.
    Gauge,
    /// Counts values by size.
    Histogram,
}
