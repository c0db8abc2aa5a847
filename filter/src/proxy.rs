/*!
The filter in a real proxy: the SDK's callbacks on one side, [`Host`] on the other.

The SDK panics on much that a proxy may do, so only those of its calls are used that cannot: headers by name and
as bytes (a name or value that is not UTF-8 panics in the others), properties by `hostcalls`, each in the phase in
which the proxy answers it. What workers share and the tick can only fail by addresses outside the module's memory.

A stream ends with the log phase and is deleted after that. Over HTTP/3 Envoy deletes it first, for it logs when the client
has acknowledged the answer, and finds no filter any more: such a stream is booked when it is deleted.
*/
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, BufferType, ContextType, LogLevel, MapType, MetricType};

use serin_policy::Proxy;

use crate::exchange::{Exchange, Onward};
use crate::host::{Host, MetricId, MetricKind};
use crate::vm::Vm;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}

/// What one plugin of the proxy knows.
type Shared = Rc<RefCell<Vm>>;

thread_local! {
    /// By plugin. Two plugins of one code run in one module, and each has policies of its own.
    static VMS: RefCell<BTreeMap<Vec<u8>, Shared>> = RefCell::default();
}

/// What is known to the plugin that the proxy is at work for. A new configuration of it finds what the last one left.
fn shared() -> Shared {
    let plugin = property(&["plugin_root_id"]).unwrap_or_default();
    VMS.with(|vms| {
        vms.try_borrow_mut().map(|mut vms| Rc::clone(vms.entry(plugin).or_default())).unwrap_or_default()
    })
}

/// Runs `work` on a plugin's state. The proxy never calls in while it is being called, so the state is free.
fn with(vm: &Shared, work: impl FnOnce(&mut Vm)) {
    if let Ok(mut vm) = vm.try_borrow_mut() {
        work(&mut vm);
    }
}

#[derive(Default)]
struct Root {
    vm: Shared,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        let json = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, usize::MAX).ok().flatten();
        let node = |path: &[&str]| {
            property(&[&["xds", "node"], path].concat()).and_then(|bytes| String::from_utf8(bytes).ok())
        };
        let namespace = node(&["metadata", "NAMESPACE"]);
        let proxy = Proxy::of(&node(&["id"]).unwrap_or_default(), namespace.as_deref());
        self.vm = shared();
        with(&self.vm, |vm| vm.configure(&ProxyHost::InPhase, json.as_deref().unwrap_or_default(), &proxy));
        true
    }

    fn on_tick(&mut self) {
        with(&self.vm, |vm| vm.on_tick(&ProxyHost::InPhase));
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream { exchange: Exchange::default(), vm: Rc::clone(&self.vm) }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Stream {
    exchange: Exchange,
    vm: Shared,
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _headers: usize, _end_of_stream: bool) -> Action {
        let mut onward = Onward::Upstream;
        with(&self.vm, |vm| onward = self.exchange.on_request_headers(vm, &ProxyHost::InPhase));
        match onward {
            Onward::Upstream => Action::Continue,
            Onward::Answered => Action::Pause,
        }
    }

    fn on_http_response_headers(&mut self, _headers: usize, end_of_stream: bool) -> Action {
        with(&self.vm, |vm| self.exchange.on_response_headers(vm, &ProxyHost::InPhase, end_of_stream));
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _trailers: usize) -> Action {
        self.exchange.on_response_trailers(&ProxyHost::InPhase);
        Action::Continue
    }

    fn on_log(&mut self) {
        with(&self.vm, |vm| self.exchange.on_log(vm, &ProxyHost::InPhase));
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // There is nothing left to book after a log phase.
        with(&self.vm, |vm| self.exchange.on_log(vm, &ProxyHost::Deleting));
    }
}

/// The proxy, as it answers at the moment.
enum ProxyHost {
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

/// A property of the request or the proxy. An absent one is not an error to anybody here.
fn property(path: &[&str]) -> Option<Vec<u8>> {
    hostcalls::get_property(path.to_vec()).ok().flatten()
}
