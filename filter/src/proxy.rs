/*!
The proxy, as [`Host`] has it: the SDK's calls.

The SDK panics on much that a proxy may do, so only those of its calls are used that cannot: headers by name and
as bytes (a name or value that is not UTF-8 panics in the others), properties by `hostcalls`, each in the phase in
which the proxy answers it. What workers share, the tick and an answer can only fail by addresses outside the module's memory.
*/
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, LogLevel, MapType, MetricType};

use crate::host::{Host, MetricId, MetricKind};

/// The proxy, as it answers at the moment.
pub(crate) enum ProxyHost {
    /// In one of a stream's phases, or in none.
    InPhase,
    /// While a stream is deleted: the status of the answer is known, and of an answer that broke off the headers too, as
    /// properties.
    Deleting,
}

impl ProxyHost {
    /// The first value of the header `name` in the map of this type, which is the property of this `side` as well.
    fn header(&self, map: MapType, side: &str, name: &str) -> Option<Vec<u8>> {
        match self {
            Self::InPhase => hostcalls::get_map_value_bytes(map, name).ok().flatten(),
            Self::Deleting if name == ":status" => {
                let code = property(&["response", "code"])?;
                Some(i64::from_le_bytes(code.try_into().ok()?).to_string().into_bytes())
            }
            Self::Deleting => property(&[side, "headers", name]),
        }
    }
}

impl Host for ProxyHost {
    fn request_header(&self, name: &str) -> Option<Vec<u8>> {
        self.header(MapType::HttpRequestHeaders, "request", name)
    }

    fn request_header_list(&self, name: &str) -> Option<Vec<u8>> {
        property(&["request", "headers", name])
    }

    fn set_request_header(&self, name: &str, value: &[u8]) {
        let _ = hostcalls::set_map_value_bytes(MapType::HttpRequestHeaders, name, Some(value));
    }

    fn remove_request_header(&self, name: &str) {
        let _ = hostcalls::set_map_value_bytes(MapType::HttpRequestHeaders, name, None);
    }

    fn set_property(&self, name: &str, value: &[u8]) {
        let _ = hostcalls::set_property(vec![name], Some(value));
    }

    fn response_header(&self, name: &str) -> Option<Vec<u8>> {
        self.header(MapType::HttpResponseHeaders, "response", name)
    }

    fn response_header_list(&self, name: &str) -> Option<Vec<u8>> {
        property(&["response", "headers", name])
    }

    fn set_response_header(&self, name: &str, value: &[u8]) {
        let _ = hostcalls::set_map_value_bytes(MapType::HttpResponseHeaders, name, Some(value));
    }

    fn add_response_header(&self, name: &str, value: &[u8]) {
        let _ = hostcalls::add_map_value_bytes(MapType::HttpResponseHeaders, name, value);
    }

    fn response_trailer(&self, name: &str) -> Option<Vec<u8>> {
        hostcalls::get_map_value_bytes(MapType::HttpResponseTrailers, name).ok().flatten()
    }

    fn response_flags(&self) -> Option<u64> {
        let bytes = property(&["response", "flags"])?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    fn answer(&self, status: u32, headers: &[(&str, &str)]) {
        let _ = hostcalls::send_http_response(status, headers.to_vec(), None);
    }

    fn now_ns(&self) -> u64 {
        let now = hostcalls::get_current_time().unwrap_or(SystemTime::UNIX_EPOCH);
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    fn entropy(&self) -> Option<[u8; 32]> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).ok().map(|()| bytes)
    }

    fn define(&self, kind: MetricKind, name: &str) -> MetricId {
        let kind = match kind {
            MetricKind::Counter => MetricType::Counter,
            MetricKind::Gauge => MetricType::Gauge,
            MetricKind::Histogram => MetricType::Histogram,
        };
        MetricId(hostcalls::define_metric(kind, name).unwrap_or_default())
    }

    fn increment(&self, metric: MetricId) {
        let _ = hostcalls::increment_metric(metric.0, 1);
    }

    fn record(&self, metric: MetricId, value: u64) {
        let _ = hostcalls::record_metric(metric.0, value);
    }

    fn shared(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>) {
        hostcalls::get_shared_data(key).unwrap_or_default()
    }

    fn set_shared(&self, key: &str, value: &[u8], version: Option<u32>) -> bool {
        hostcalls::set_shared_data(key, Some(value), version).is_ok()
    }

    fn tick_every(&self, milliseconds: u32) {
        let _ = hostcalls::set_tick_period(Duration::from_millis(milliseconds.into()));
    }

    fn warn(&self, line: &str) {
        let _ = hostcalls::log(LogLevel::Warn, line);
    }
}

/// The plugin's configuration, while it is handed over.
pub(crate) fn configuration() -> Vec<u8> {
    hostcalls::get_buffer(BufferType::PluginConfiguration, 0, usize::MAX).ok().flatten().unwrap_or_default()
}

/// A property of the request or the proxy. An absent one is not an error to anybody here.
pub(crate) fn property(path: &[&str]) -> Option<Vec<u8>> {
    hostcalls::get_property(path.to_vec()).ok().flatten()
}
