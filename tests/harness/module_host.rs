/*!
A proxy for the filter's module alone: the real WebAssembly in wasmtime, with everything it asks of its proxy
answered as Envoy 1.40 answers it (`source/extensions/common/wasm/context.cc`).

Time and randomness are the test's, so a run repeats exactly, down to the number of instructions. Whatever Envoy
would refuse is a trap here: in a proxy the SDK would panic on it, or it would be lost without a word.
*/
mod imports;
mod metrics;
mod stream;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use wasmtime::{Config, Engine, Linker, Memory, Module, Result, Store, TypedFunc, bail};

pub use metrics::Metrics;
pub use stream::{Headers, Request, Response, values};

use stream::{Phase, Stream};

/// The module, compiled: what takes long, and need be done only once.
pub struct Compiled {
    module: Module,
    linker: Linker<SimulatedProxy>,
}

impl Compiled {
    /// Compiles `module`.
    pub fn new(module: &[u8]) -> Result<Self> {
        let mut config = Config::new();
        config.consume_fuel(true);
        let engine = Engine::new(&config)?;
        let module = Module::new(&engine, module)?;
        let linker = imports::linker(&engine, &module)?;
        Ok(Self { module, linker })
    }

    /// A proxy that runs this module and is not configured yet.
    pub fn host(&self) -> Result<ModuleHost> {
        ModuleHost::start(self)
    }
}

/// A proxy with one worker. Every callback that the module traps in is an error, and the host of no more use.
pub struct ModuleHost {
    store: Store<SimulatedProxy>,
    calls: Calls,
    memory: Memory,
    /// Root contexts still there; the last of each plugin is the one in force.
    roots: Vec<Root>,
    next_context: u32,
}

/// A configuration of a plugin.
struct Root {
    id: u32,
    plugin: String,
    /// Those that are under way.
    requests: usize,
}

/// The module's exports that a proxy calls.
struct Calls {
    configure: TypedFunc<(u32, u32), u32>,
    request_headers: TypedFunc<(u32, u32, u32), u32>,
    response_headers: TypedFunc<(u32, u32, u32), u32>,
    response_trailers: TypedFunc<(u32, u32), u32>,
    log: TypedFunc<u32, ()>,
    tick: TypedFunc<u32, ()>,
    delete: TypedFunc<u32, ()>,
}

/// What the module's calls are answered from.
pub struct SimulatedProxy {
    guest: Option<(Memory, TypedFunc<u32, u32>)>,
    phase: Phase,
    active: u32,
    streams: HashMap<u32, Stream>,
    configuration: Vec<u8>,
    /// The plugin that is configured, and that new requests go to.
    plugin: String,
    namespace: Option<String>,
    metrics: Metrics,
    /// What the module has left for other workers, with its version.
    shared: HashMap<Vec<u8>, (Vec<u8>, u32)>,
    /// Root contexts that want to be called again and again.
    ticking: BTreeSet<u32>,
    /// Since 1970.
    now: Duration,
    random: StdRng,
    log: Vec<String>,
    /// What the module wrote to stderr: the words of a panic.
    stderr: Vec<u8>,
    crossings: Crossings,
}

/// How often a request went over the module's border, which costs more than what is done on either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Crossings {
    /// Calls of the proxy into the module.
    pub entries: u32,
    /// Calls of the module to the proxy.
    pub host_calls: u32,
    /// Calls of the proxy back into the module, for memory to put an answer into.
    pub reentries: u32,
}

/// Instructions that the module used for one request, by callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fuel {
    /// `proxy_on_request_headers`.
    pub request_headers: u64,
    /// `proxy_on_response_headers`, and `proxy_on_response_trailers` where there are any.
    pub response_headers: u64,
    /// `proxy_on_log`.
    pub log: u64,
    /// Deleting the request's context.
    pub context: u64,
}

/// A request that is over.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The request's headers as the router saw them.
    pub routed: Headers,
    /// The response's headers as the client saw them, if there was a response.
    pub response: Option<Headers>,
    /// What the module did for it.
    pub fuel: Fuel,
    /// How often that took it over the module's border.
    pub crossings: Crossings,
}

impl ModuleHost {
    /// Compiles and starts `module`. [`Compiled`] is for those who want more than one.
    pub fn new(module: &[u8]) -> Result<Self> {
        Compiled::new(module)?.host()
    }

    fn start(compiled: &Compiled) -> Result<Self> {
        let proxy = SimulatedProxy {
            guest: None,
            phase: Phase::Idle,
            active: 0,
            streams: HashMap::new(),
            configuration: Vec::new(),
            plugin: String::new(),
            namespace: None,
            metrics: Metrics::default(),
            shared: HashMap::new(),
            ticking: BTreeSet::new(),
            now: Duration::from_hours(500_000),
            random: StdRng::seed_from_u64(1),
            log: Vec::new(),
            stderr: Vec::new(),
            crossings: Crossings::default(),
        };
        let mut store = Store::new(compiled.module.engine(), proxy);
        store.set_fuel(u64::MAX)?;
        let instance = compiled.linker.instantiate(&mut store, &compiled.module)?;
        let Some(memory) = instance.get_memory(&mut store, "memory") else {
            bail!("the module has no memory")
        };
        let allocate = instance.get_typed_func(&mut store, "proxy_on_memory_allocate")?;
        store.data_mut().guest = Some((memory, allocate));
        let calls = Calls {
            configure: instance.get_typed_func(&mut store, "proxy_on_configure")?,
            request_headers: instance.get_typed_func(&mut store, "proxy_on_request_headers")?,
            response_headers: instance.get_typed_func(&mut store, "proxy_on_response_headers")?,
            response_trailers: instance.get_typed_func(&mut store, "proxy_on_response_trailers")?,
            log: instance.get_typed_func(&mut store, "proxy_on_log")?,
            tick: instance.get_typed_func(&mut store, "proxy_on_tick")?,
            delete: instance.get_typed_func(&mut store, "proxy_on_delete")?,
        };
        let initialize = instance.get_typed_func::<(), ()>(&mut store, "_initialize")?;
        initialize.call(&mut store, ())?;
        Ok(Self { store, calls, memory, roots: Vec::new(), next_context: 1 })
    }

    /// Turns to another plugin of the same module: what is configured from now on is its own, and requests go to it.
    pub fn turn_to_plugin(&mut self, name: &str) {
        name.clone_into(&mut self.store.data_mut().plugin);
    }

    /// The namespace this proxy says it is in.
    pub fn set_namespace(&mut self, namespace: &str) {
        self.store.data_mut().namespace = Some(namespace.to_owned());
    }

    /// The proxy's clock, in nanoseconds since 1970.
    pub fn now_ns(&self) -> u64 {
        self.store.data().now.as_nanos().try_into().unwrap_or(u64::MAX)
    }

    /// Lets `time` go by.
    pub fn advance(&mut self, time: Duration) {
        self.store.data_mut().now += time;
    }

    /// Hands the module a plugin configuration, in a new root context as Envoy does on every push. The old root
    /// goes when its last request does. The instructions used come back.
    pub fn configure(&mut self, json: &[u8]) -> Result<u64> {
        let root = self.new_context();
        self.store.data_mut().configuration = json.to_vec();
        let size = u32::try_from(json.len())?;
        let (taken, fuel) =
            self.call(Phase::Configure, root, |calls, store| calls.configure.call(store, (root, size)))?;
        if taken != 1 {
            bail!("on_configure refused: were it the first one, Envoy would answer every request with 500");
        }
        let plugin = self.store.data().plugin.clone();
        self.roots.push(Root { id: root, plugin, requests: 0 });
        self.drop_idle_roots()?;
        Ok(fuel)
    }

    /// Time for the module to look at what has not come to an end, if it has asked for that.
    pub fn tick(&mut self) -> Result<()> {
        for root in self.store.data().ticking.clone() {
            self.call(Phase::Idle, root, |calls, store| calls.tick.call(store, root))?;
        }
        Ok(())
    }

    /// A request from its first header to the log, after `response.took`.
    pub fn request(&mut self, request: Request) -> Result<Outcome> {
        let Request { headers, response } = request;
        let mut fuel = Fuel::default();
        self.store.data_mut().crossings = Crossings::default();
        let id = self.open(headers)?;
        fuel.request_headers = self.request_headers(id)?;
        if let Some(response) = self.answer(id)?.or(response) {
            self.advance(response.took);
            fuel.response_headers = self.response_headers(id, response)?;
        }
        fuel.log = self.log(id)?;
        let (routed, response) = self.close(id, &mut fuel)?;
        Ok(Outcome { routed, response, fuel, crossings: self.store.data().crossings })
    }

    /// A request is there; what comes next is up to the test.
    pub fn open(&mut self, headers: Headers) -> Result<u32> {
        let id = self.new_context();
        let plugin = &self.store.data().plugin;
        let Some(root) = self.roots.iter_mut().rfind(|root| root.plugin == *plugin) else {
            bail!("a request before any configuration")
        };
        root.requests += 1;
        let stream = Stream::new(root.id, plugin.clone(), headers);
        self.store.data_mut().streams.insert(id, stream);
        Ok(id)
    }

    /// The request's headers are there.
    pub fn request_headers(&mut self, id: u32) -> Result<u64> {
        let count = u32::try_from(self.stream(id)?.request.len())?;
        let call = |calls: &Calls, store: &mut Store<SimulatedProxy>| {
            calls.request_headers.call(store, (id, count, 1))
        };
        let (action, fuel) = self.call(Phase::Request, id, call)?;
        if self.stream(id)?.answer.is_none() {
            self.goes_on(action)?;
        } else if action == 0 {
            bail!("the module answered request {id}, and let it go on");
        }
        Ok(fuel)
    }

    /// What the module itself answered the request, if it did. It goes out like any other answer.
    pub fn answer(&mut self, id: u32) -> Result<Option<Response>> {
        let headers = self.stream(id)?.answer.clone();
        Ok(headers.map(|headers| Response { headers, ..Response::default() }))
    }

    /// The response's headers are there, and then its trailers, if it ends with any.
    pub fn response_headers(&mut self, id: u32, response: Response) -> Result<u64> {
        let stream = self.stream(id)?;
        let count = u32::try_from(response.headers.len())?;
        let trailers = response.trailers.as_ref().map(Vec::len).map(u32::try_from).transpose()?;
        stream.response = Some(response.headers);
        stream.trailers = response.trailers;
        stream.flags = response.flags;
        let call = |calls: &Calls, store: &mut Store<SimulatedProxy>| {
            calls.response_headers.call(store, (id, count, u32::from(trailers.is_none())))
        };
        let (action, mut fuel) = self.call(Phase::Response, id, call)?;
        self.goes_on(action)?;
        if let Some(count) = trailers {
            let call = |calls: &Calls, store: &mut Store<SimulatedProxy>| {
                calls.response_trailers.call(store, (id, count))
            };
            let (action, used) = self.call(Phase::Trailers, id, call)?;
            self.goes_on(action)?;
            fuel += used;
        }
        Ok(fuel)
    }

    /// The request is over, however it ended.
    pub fn log(&mut self, id: u32) -> Result<u64> {
        self.call(Phase::Log, id, |calls, store| calls.log.call(store, id)).map(|((), fuel)| fuel)
    }

    /// Takes the request's context away.
    pub fn close(&mut self, id: u32, fuel: &mut Fuel) -> Result<(Headers, Option<Headers>)> {
        let ((), used) = self.call(Phase::Delete, id, |calls, store| calls.delete.call(store, id))?;
        fuel.context += used;
        let Some(stream) = self.store.data_mut().streams.remove(&id) else { bail!("no request {id}") };
        if let Some(root) = self.roots.iter_mut().find(|root| root.id == stream.root) {
            root.requests -= 1;
        }
        self.drop_idle_roots()?;
        Ok((stream.request, stream.response))
    }

    /// Requests whose contexts are still there.
    pub fn in_flight(&self) -> usize {
        self.store.data().streams.len()
    }

    /// How large the module's memory is. It never shrinks.
    pub fn memory_bytes(&self) -> usize {
        self.memory.data_size(&self.store)
    }

    /// The counters, gauges and histograms this proxy has.
    pub fn metrics(&self) -> &Metrics {
        &self.store.data().metrics
    }

    /// Lines the module has logged since the last time.
    pub fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.store.data_mut().log)
    }

    fn stream(&mut self, id: u32) -> Result<&mut Stream> {
        let stream = self.store.data_mut().streams.get_mut(&id);
        stream.ok_or_else(|| wasmtime::format_err!("no request {id}"))
    }

    fn new_context(&mut self) -> u32 {
        let id = self.next_context;
        self.next_context += 1;
        id
    }

    fn drop_idle_roots(&mut self) -> Result<()> {
        let is_over = |at: usize, root: &Root| {
            let in_force = self.roots.iter().rposition(|other| other.plugin == root.plugin);
            root.requests == 0 && in_force != Some(at)
        };
        let over: Vec<_> = self
            .roots
            .iter()
            .enumerate()
            .filter(|(at, root)| is_over(*at, root))
            .map(|(_, root)| root.id)
            .collect();
        for root in over {
            self.store.data_mut().ticking.remove(&root);
            self.call(Phase::Idle, root, |calls, store| calls.delete.call(store, root))?;
            self.roots.retain(|other| other.id != root);
        }
        Ok(())
    }

    fn goes_on(&self, action: u32) -> Result<()> {
        if action != 0 {
            bail!("the module paused request {}, and nothing would wake it up", self.store.data().active);
        }
        Ok(())
    }

    /// Runs one callback in `phase`; its result, and the instructions it took.
    fn call<T>(
        &mut self,
        phase: Phase,
        context: u32,
        work: impl FnOnce(&Calls, &mut Store<SimulatedProxy>) -> Result<T>,
    ) -> Result<(T, u64)> {
        self.store.set_fuel(u64::MAX)?;
        let proxy = self.store.data_mut();
        (proxy.phase, proxy.active) = (phase, context);
        proxy.crossings.entries += 1;
        let result = work(&self.calls, &mut self.store).map_err(|error| {
            let said = String::from_utf8_lossy(&self.store.data().stderr).into_owned();
            error.context(format!("in phase {phase:?} of context {context}; the module said {said:?}"))
        })?;
        self.store.data_mut().phase = Phase::Idle;
        Ok((result, u64::MAX - self.store.get_fuel()?))
    }
}
