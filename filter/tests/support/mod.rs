/*!
A proxy in memory: headers as lists of lines, a clock that stands still, metrics by name. What its workers share, and its
metrics, are there for as many modules as a test wants.
*/
#![allow(dead_code, reason = "every test binary uses a part of it")]
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use serde_json::{Value, json};
pub(crate) use serin_filter::Vm;
use serin_filter::host::{MetricId, MetricKind};
use serin_filter::{Exchange, Host};
use serin_policy::Proxy;

type Lines = Vec<(String, Vec<u8>)>;

/// `name: value` on each line of `text`. A name may begin with the colon of a pseudo-header.
pub(crate) fn lines(text: &str) -> Lines {
    let line = |line: &str| {
        let end = line.get(1..).and_then(|rest| rest.find(':')).expect("name: value") + 1;
        (line[..end].to_owned(), line[end + 1..].trim().as_bytes().to_vec())
    };
    text.lines().map(str::trim).filter(|text| !text.is_empty()).map(line).collect()
}

#[derive(Debug, Default)]
pub(crate) struct FakeProxy {
    pub(crate) request: RefCell<Lines>,
    pub(crate) response: RefCell<Lines>,
    pub(crate) trailers: RefCell<Lines>,
    pub(crate) properties: RefCell<HashMap<String, String>>,
    pub(crate) flags: Cell<u64>,
    pub(crate) now_ns: Cell<u64>,
    pub(crate) metrics: RefCell<Vec<(String, u64)>>,
    pub(crate) definitions: Cell<usize>,
    pub(crate) log: RefCell<Vec<String>>,
    /// What workers have left, with its version.
    pub(crate) shared: RefCell<HashMap<String, (Vec<u8>, u32)>>,
    /// What another worker leaves just before a worker of these tests does, under any key.
    pub(crate) in_between: RefCell<Option<Vec<u8>>>,
    /// How often it was asked to tick.
    pub(crate) ticks_ms: Cell<Option<u32>>,
    /// Whether there are random bytes to be had.
    pub(crate) dry: Cell<bool>,
}

impl FakeProxy {
    /// All values of `name` in `map`.
    fn values(map: &RefCell<Lines>, name: &str) -> Vec<Vec<u8>> {
        map.borrow().iter().filter(|(given, _)| given == name).map(|(_, value)| value.clone()).collect()
    }

    fn set(map: &RefCell<Lines>, name: &str, value: &[u8]) {
        map.borrow_mut().retain(|(given, _)| given != name);
        map.borrow_mut().push((name.to_owned(), value.to_vec()));
    }

    fn list(map: &RefCell<Lines>, name: &str) -> Option<Vec<u8>> {
        let all = Self::values(map, name);
        (!all.is_empty()).then(|| all.join(&b','))
    }

    fn shown(map: &RefCell<Lines>, name: &str) -> Vec<String> {
        Self::values(map, name).iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// The request's lines called `name`, as the application gets them.
    pub(crate) fn sent_on(&self, name: &str) -> Vec<String> {
        Self::shown(&self.request, name)
    }

    /// The response's lines called `name`, as the client gets them.
    pub(crate) fn answered(&self, name: &str) -> Vec<String> {
        Self::shown(&self.response, name)
    }

    /// Metrics that are not 0, `name=value`, in the order in which they were defined.
    pub(crate) fn counted(&self) -> Vec<String> {
        let metrics = self.metrics.borrow();
        metrics
            .iter()
            .filter(|(_, value)| *value != 0)
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }

    pub(crate) fn metric(&self, name: &str) -> u64 {
        self.metrics.borrow().iter().filter(|(known, _)| known == name).map(|(_, value)| value).sum()
    }
}

impl Host for FakeProxy {
    fn request_header(&self, name: &str) -> Option<Vec<u8>> {
        Self::values(&self.request, name).into_iter().next()
    }

    fn request_header_list(&self, name: &str) -> Option<Vec<u8>> {
        Self::list(&self.request, name)
    }

    fn set_request_header(&self, name: &str, value: &[u8]) {
        Self::set(&self.request, name, value);
    }

    fn remove_request_header(&self, name: &str) {
        self.request.borrow_mut().retain(|(given, _)| given != name);
    }

    fn set_property(&self, name: &str, value: &[u8]) {
        self.properties.borrow_mut().insert(name.to_owned(), String::from_utf8(value.to_vec()).unwrap());
    }

    fn response_header(&self, name: &str) -> Option<Vec<u8>> {
        Self::values(&self.response, name).into_iter().next()
    }

    fn response_header_list(&self, name: &str) -> Option<Vec<u8>> {
        Self::list(&self.response, name)
    }

    fn set_response_header(&self, name: &str, value: &[u8]) {
        Self::set(&self.response, name, value);
    }

    fn add_response_header(&self, name: &str, value: &[u8]) {
        self.response.borrow_mut().push((name.to_owned(), value.to_vec()));
    }

    fn response_trailer(&self, name: &str) -> Option<Vec<u8>> {
        Self::values(&self.trailers, name).into_iter().next()
    }

    fn response_flags(&self) -> Option<u64> {
        Some(self.flags.get())
    }

    fn answer(&self, status: u32, headers: &[(&str, &str)]) {
        Self::set(&self.response, ":status", status.to_string().as_bytes());
        for (name, value) in headers {
            self.add_response_header(name, value.as_bytes());
        }
    }

    fn now_ns(&self) -> u64 {
        self.now_ns.get()
    }

    fn entropy(&self) -> Option<[u8; 32]> {
        (!self.dry.get()).then_some([7; 32])
    }

    fn define(&self, _: MetricKind, name: &str) -> MetricId {
        let mut metrics = self.metrics.borrow_mut();
        let known = metrics.iter().position(|(known, _)| known == name);
        let at = known.unwrap_or_else(|| {
            metrics.push((name.to_owned(), 0));
            metrics.len() - 1
        });
        self.definitions.set(self.definitions.get() + 1);
        MetricId(u32::try_from(at + 1).unwrap())
    }

    fn increment(&self, metric: MetricId) {
        self.metrics.borrow_mut()[metric.0 as usize - 1].1 += 1;
    }

    fn record(&self, metric: MetricId, value: u64) {
        self.metrics.borrow_mut()[metric.0 as usize - 1].1 = value;
    }

    fn shared(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>) {
        self.shared.borrow().get(key).cloned().unzip()
    }

    fn set_shared(&self, key: &str, value: &[u8], version: Option<u32>) -> bool {
        let mut shared = self.shared.borrow_mut();
        if let (Some(other), Some((known, version))) = (self.in_between.take(), shared.get_mut(key)) {
            (*known, *version) = (other, *version + 1);
        }
        let before = shared.get(key).map(|(_, version)| *version);
        let is_latest = version.is_none() || before.is_none() || before == version;
        if is_latest {
            shared.insert(key.to_owned(), (value.to_vec(), before.unwrap_or(0) + 1));
        }
        is_latest
    }

    fn tick_every(&self, milliseconds: u32) {
        self.ticks_ms.set(Some(milliseconds));
    }

    fn warn(&self, line: &str) {
        self.log.borrow_mut().push(line.to_owned());
    }
}

/// The policy of these tests, with `changes` over it; a `null` takes a field away.
pub(crate) fn policy(changes: &Value) -> Value {
    let mut policy = json!({
        "name": "shop/shop",
        "revision": 7,
        "hosts": ["shop.example.com"],
        "versions": [{"name": "stable"}, {"name": "canary", "weight": 500_000}],
        "salt": "shop/shop/1",
        "identity": [{"cookie": "serin"}],
        "cookie": {"name": "serin", "maxAgeSeconds": 60},
    });
    for (field, value) in changes.as_object().expect("changes are an object") {
        policy[field] = value.clone();
    }
    policy.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    policy
}

pub(crate) fn document(policies: &[Value]) -> Vec<u8> {
    json!({"version": 1, "policies": policies}).to_string().into_bytes()
}

/// A module that runs one policy with `changes`, and its proxy.
pub(crate) fn module(changes: &Value) -> (Vm, FakeProxy) {
    let (mut vm, proxy) = (Vm::default(), FakeProxy::default());
    vm.configure(&proxy, &document(&[policy(changes)]), &Proxy::default());
    assert_eq!(*proxy.log.borrow(), [""; 0], "{changes}");
    (vm, proxy)
}

/// A request comes in.
pub(crate) fn begin(vm: &mut Vm, proxy: &FakeProxy, request: &str) -> Exchange {
    let mut exchange = Exchange::default();
    *proxy.request.borrow_mut() =
        lines(&format!(":authority: shop.example.com\n:scheme: https\n:path: /\n{request}"));
    exchange.on_request_headers(vm, proxy);
    exchange
}

/// Its response goes out, and it is over.
pub(crate) fn end(vm: &mut Vm, proxy: &FakeProxy, mut exchange: Exchange, response: &str) {
    *proxy.response.borrow_mut() = lines(response);
    let has_trailers = !proxy.trailers.borrow().is_empty();
    exchange.on_response_headers(vm, proxy, !has_trailers);
    if has_trailers {
        exchange.on_response_trailers(proxy);
    }
    exchange.on_log(vm, proxy);
}

/// One request by one policy, from beginning to end.
pub(crate) fn visit(changes: &Value, request: &str, response: &str) -> FakeProxy {
    let (mut vm, proxy) = module(changes);
    let exchange = begin(&mut vm, &proxy, request);
    end(&mut vm, &proxy, exchange, response);
    proxy
}
