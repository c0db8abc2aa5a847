/*!
What a proxy calls the module for.

The SDK has callbacks of its own, which make a context of every stream, and panic on one that they do not know: a panic
takes down every request on its worker. These keep what a stream needs, and only for streams that need anything. `agent/build.rs`
exports them by the names that the ABI has for them, which the SDK's own have as long as both are one library.

There is none for a new context: a stream is known from its request's headers on, and what it is a stream of follows from that.
It ends with the log phase and is deleted after that. Over HTTP/3 Envoy deletes it first, for it logs when the client has
acknowledged the answer, and finds no filter any more: such a stream is booked when it is deleted.
*/
#![expect(
    unsafe_code,
    reason = "an export is unsafe by its name alone, which is none that anything else has"
)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use hashbrown::HashMap;
use serin_policy::Proxy;

use crate::exchange::{Exchange, Onward};
use crate::proxy::{ProxyHost, configuration, property};
use crate::vm::Vm;

/// The ABI's `Action::Continue`: the filter never keeps a stream waiting.
const CONTINUE: u32 = 0;
/// The ABI's `Action::Pause`, for a stream that has been answered.
const PAUSE: u32 = 1;

proxy_wasm::main! {{}}

thread_local! {
    static MODULE: RefCell<Module> = RefCell::default();
}

/// What one plugin of the proxy knows.
type Plugin = Rc<RefCell<Vm>>;

/// What is in this worker's module.
#[derive(Default)]
struct Module {
    /// By name. Two plugins of one code run in one module, and each has policies of its own. A new configuration of one finds
    /// what the last one left.
    plugins: BTreeMap<Vec<u8>, Plugin>,
    /// By root context: each configuration of a plugin has one.
    roots: BTreeMap<u32, Plugin>,
    /// Those that a policy answers for, from their request's headers to their end.
    streams: HashMap<u32, (Plugin, Exchange)>,
}

impl Module {
    /// The plugin that the proxy is at work for.
    fn plugin(&mut self) -> Plugin {
        let name = property(&["plugin_root_id"]).unwrap_or_default();
        Rc::clone(self.plugins.entry(name).or_default())
    }

    /// The plugin that a stream is of. Which one need not be asked where there is one.
    fn plugin_of_stream(&mut self) -> Plugin {
        match self.plugins.values().next() {
            Some(only) if self.plugins.len() == 1 => Rc::clone(only),
            _ => self.plugin(),
        }
    }

    /// Runs `work` on a stream's state and its plugin's, if anything is to be done for it.
    fn with_stream(&mut self, id: u32, work: impl FnOnce(&mut Exchange, &mut Vm)) {
        if let Some((plugin, exchange)) = self.streams.get_mut(&id) {
            with(plugin, |vm| work(exchange, vm));
        }
    }

    /// A stream is over.
    fn end(&mut self, id: u32, host: &ProxyHost) {
        if let Some((plugin, mut exchange)) = self.streams.remove(&id) {
            with(&plugin, |vm| exchange.on_log(vm, host));
        }
    }
}

/// Runs `work` on a plugin's state. The proxy never calls in while it is being called, so the state is free.
fn with(plugin: &Plugin, work: impl FnOnce(&mut Vm)) {
    if let Ok(mut vm) = plugin.try_borrow_mut() {
        work(&mut vm);
    }
}

/// The same of the module's.
fn with_module(work: impl FnOnce(&mut Module)) {
    MODULE.with(|module| {
        if let Ok(mut module) = module.try_borrow_mut() {
            work(&mut module);
        }
    });
}

#[unsafe(no_mangle)]
extern "C" fn serin_on_configure(root: u32, _size: usize) -> bool {
    let node = |path: &[&str]| {
        property(&[&["xds", "node"], path].concat()).and_then(|bytes| String::from_utf8(bytes).ok())
    };
    let namespace = node(&["metadata", "NAMESPACE"]);
    let proxy = Proxy::of(&node(&["id"]).unwrap_or_default(), namespace.as_deref());
    with_module(|module| {
        let plugin = module.plugin();
        with(&plugin, |vm| vm.configure(&ProxyHost::InPhase, &configuration(), &proxy));
        module.roots.insert(root, plugin);
    });
    true
}

#[unsafe(no_mangle)]
extern "C" fn serin_on_tick(root: u32) {
    with_module(|module| {
        if let Some(plugin) = module.roots.get(&root) {
            with(plugin, |vm| vm.on_tick(&ProxyHost::InPhase));
        }
    });
}

#[unsafe(no_mangle)]
extern "C" fn serin_on_request_headers(id: u32, _headers: usize, _is_whole: bool) -> u32 {
    let mut onward = Onward::Upstream;
    with_module(|module| {
        let plugin = module.plugin_of_stream();
        let mut exchange = Exchange::default();
        with(&plugin, |vm| onward = exchange.on_request_headers(vm, &ProxyHost::InPhase));
        if exchange.is_assigned() {
            module.streams.insert(id, (plugin, exchange));
        }
    });
    match onward {
        Onward::Upstream => CONTINUE,
        Onward::Answered => PAUSE,
    }
}

#[unsafe(no_mangle)]
extern "C" fn serin_on_response_headers(id: u32, _headers: usize, is_whole: bool) -> u32 {
    with_module(|module| {
        module
            .with_stream(id, |exchange, vm| exchange.on_response_headers(vm, &ProxyHost::InPhase, is_whole));
    });
    CONTINUE
}

#[unsafe(no_mangle)]
extern "C" fn serin_on_response_trailers(id: u32, _trailers: usize) -> u32 {
    with_module(|module| {
        module.with_stream(id, |exchange, _| exchange.on_response_trailers(&ProxyHost::InPhase));
    });
    CONTINUE
}

#[unsafe(no_mangle)]
extern "C" fn serin_on_log(id: u32) {
    with_module(|module| module.end(id, &ProxyHost::InPhase));
}

#[unsafe(no_mangle)]
extern "C" fn serin_on_delete(id: u32) {
    with_module(|module| {
        // There is nothing left to book after a log phase.
        module.end(id, &ProxyHost::Deleting);
        module.roots.remove(&id);
    });
}
