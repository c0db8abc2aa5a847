/*!
The agent in a cluster: it watches Releases and what belongs to them, and plans each at its interval.

[`stores`] know what is there; [`tick`] looks at one release, at its [`snapshot`], and does what follows; [`memory`] is what is
remembered of it. [`plugins`], [`routes`] and [`workloads`] write what the planner wants, each in an order that a crash leaves
sound. Of several agents one leads ([`leader`]); all of them serve the module. Nothing here decides anything: that is
`rollout`'s business.
*/
mod admission;
mod adoption;
mod api_resources;
mod arriving;
mod autoscalers;
mod carry_out;
mod client;
pub mod commands;
mod configs;
pub mod crd;
mod events;
mod finalizer;
pub mod following;
mod hooks;
pub mod inspect;
mod istio_versions;
mod leader;
mod memories;
mod memory;
mod messages;
mod metric_templates;
mod on_demand;
mod plugin_cache;
mod plugins;
mod pods;
mod proxies;
mod repairs;
mod requirements;
mod route_index;
mod routes;
pub mod runs;
mod snapshot;
pub mod stable_patch;
mod stores;
mod templates;
mod tick;
mod trouble;
pub mod uninstall;
mod unreadable;
mod watching;
mod workloads;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::{StreamExt, stream};
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher;
use kube::runtime::{WatchStreamExt, predicates};
use kube::{Client, Resource, ResourceExt};
use serde_json::json;
use tokio::sync::{mpsc, watch};

use crate::config::Operator;
use crate::errors::chain;
use crate::hooks::Asker;
use crate::mesh::plugin::ModuleSource;
use crate::metrics::Metrics;
use crate::notify::Courier;
use crate::observe::beat::Beat;
use crate::observe::prometheus::collector::Collectors;
use crate::serve::modules::Modules;
use crate::serve::site::PageAccess;
use crate::view::board::Board;
use admission::Admission;
use client::Clients;
use configs::Contents;
use memories::Memories;
use memory::{Memory, SaveError};
use plugins::Plugins;
use proxies::Proxies;
use repairs::Repairs;
use serin_release::ReleaseObject;
use stores::{Scope, Stores, Wake, Watched};
use tick::TickError;
use watching::Sight;

/// The name under which Serin owns fields of objects.
const FIELD_MANAGER: &str = "serin";

/// Keeps a deleted Release until the mesh is on stable.
const FINALIZER: &str = "serin.dev/on-stable";

/// How many releases are looked at in the same moment: each has requests to the API server under way.
const AT_ONCE: u16 = 32;

/// After a failed tick, how long until the next.
const AGAIN: Duration = Duration::from_secs(1);

/// How an agent runs.
#[derive(Debug)]
pub struct Config {
    /// The namespace whose Releases it drives; none for all.
    pub namespace: Option<String>,
    /// With one namespace: others in which there are gateways, or sidecars of callers.
    pub proxy_namespaces: Vec<String>,
    /// The namespace with the Lease by which one of several agents leads.
    pub lease_namespace: String,
    /// What this agent is called among them.
    pub identity: String,
    /// Where proxies fetch the module.
    pub module: ModuleSource,
    /// Where health, metrics and the module are served.
    pub listen: SocketAddr,
    /// What the operator says in a file.
    pub operator: Operator,
    /// Who may look at the pages; none where there are none.
    pub page: Option<PageAccess>,
}

/// Everything that ticks share.
struct Cluster {
    client: Client,
    stores: Stores,
    /// The namespace whose Releases are driven; none for all.
    namespace: Option<String>,
    plugins: Plugins,
    repairs: Arc<Repairs>,
    /// When releases under way are looked at.
    beat: Beat,
    proxies: Proxies,
    collectors: Collectors,
    operator: Operator,
    /// Brings messages.
    courier: Courier,
    /// Asks hooks.
    asker: Asker,
    /// Has a Release looked at.
    wake: Wake,
    contents: Contents,
    admission: Admission,
    /// The cluster's own, if this agent runs inside.
    domain: Option<String>,
    recorder: Recorder,
    metrics: Arc<Metrics>,
    board: Arc<Board>,
    /// Whether this agent leads.
    leads: watch::Receiver<bool>,
    /// Whether the stores know all there is.
    is_known: watch::Receiver<bool>,
    memories: Memories,
}

/// Runs until `stop`.
///
/// # Errors
/// When the cluster cannot be reached at first, the address is taken, or `stop` fails.
pub async fn run(config: Config, stop: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    crate::http::install_crypto();
    let metrics = Arc::new(Metrics::new());
    let clients = Clients::infer(metrics.requests()).await.context("no way to the cluster's API server")?;
    let (ready, is_ready) = watch::channel(false);
    let modules = Modules::new(config.module.base())?;
    let board = Arc::new(Board::default());
    let pages = crate::serve::cluster::pages(
        Arc::clone(&metrics),
        is_ready,
        Arc::clone(&modules),
        Arc::clone(&board),
        config.page,
        clients.requests.clone(),
    );
    let listener = tokio::net::TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("--listen: {}: cannot listen there", config.listen))?;
    tracing::info!(address = %listener.local_addr()?, "serving the module, /livez /readyz /metrics /releases /page");
    let http = tokio::spawn(axum::serve(listener, pages).into_future());
    for lack in requirements::lacking(&clients.requests).await {
        tracing::error!(code = "requirements", "{lack}");
    }
    let mut standing =
        leader::stand(clients.requests.clone(), &config.lease_namespace, &config.identity).await?;
    let drive = drive(clients, config, modules, metrics, board, ready, standing.leads.clone());
    tokio::select! {
        end = drive => end.and_then(|()| anyhow::bail!("the controller has ended"))?,
        result = http => anyhow::bail!("the listener has ended: {result:?}"),
        result = &mut standing.renewal => anyhow::bail!("the lease is no longer renewed: {result:?}"),
        result = stop => result?,
    }
    standing.end().await;
    Ok(())
}

async fn drive(
    Clients { requests: client, watches }: Clients,
    config: Config,
    modules: Arc<Modules>,
    metrics: Arc<Metrics>,
    board: Arc<Board>,
    ready: watch::Sender<bool>,
    leads: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let (wake, woken) = mpsc::unbounded_channel();
    let scope =
        Scope { client: watches, namespace: config.namespace.clone(), of_proxies: config.proxy_namespaces };
    let writer = Writer::default();
    let releases = writer.as_reader();
    // A tick writes the status; only what others write is news. Metadata counts: a command is an annotation there.
    // The watch begins anew by itself. To a controller every error is a reason to wait longer, half a minute in the end, with
    // whatever anybody wants of it.
    let changes = watching::watch(scope.api::<Watched>(), Sight::default())
        .map(Ok::<_, watcher::Error>)
        .reflect(writer)
        .inspect(following::follow(releases.clone(), wake.clone(), Arc::clone(&board)))
        .applied_objects()
        .predicate_filter(
            kube::runtime::Predicate::combine(predicates::generation, predicates::annotations),
            kube::runtime::PredicateConfig::default(),
        );
    let stores = Stores::watch(&scope, releases.clone(), &wake);
    let beat = Beat::begin();
    let repairs = Arc::new(Repairs::new(client.clone()));
    let cluster = Arc::new(Cluster {
        plugins: Plugins::new(
            client.clone(),
            stores.plugins.clone(),
            config.module,
            modules,
            Arc::clone(&repairs),
        ),
        repairs,
        recorder: Recorder::new(
            client.clone(),
            Reporter { controller: "serin".into(), instance: Some(config.identity) },
        ),
        client,
        stores,
        namespace: config.namespace,
        beat,
        proxies: Proxies::new(beat)?,
        collectors: Collectors::new(beat),
        operator: config.operator,
        courier: Courier::new().context("no TLS for messages")?,
        asker: Asker::new().context("no TLS for hooks")?,
        wake,
        contents: Contents::default(),
        admission: Admission::default(),
        domain: cluster_domain(),
        metrics,
        board,
        leads: leads.clone(),
        is_known: ready.subscribe(),
        memories: Memories::default(),
    });
    let controller = Controller::for_stream(changes, releases)
        .with_config(controller::Config::default().concurrency(AT_ONCE))
        .reconcile_on(stream::unfold(woken, async |mut woken| Some((woken.recv().await?, woken))))
        .reconcile_all_on(changes_of(leads));
    let ready_when_known = async {
        cluster.stores.ready().await;
        // Those who have them are replaced when this agent is ready.
        cluster.plugins.serve_all().await;
        let _ = ready.send(true);
        // Until then nobody can say whether a policy's release is gone.
        std::future::pending::<()>().await;
    };
    let run = controller.run(reconcile, retry, Arc::clone(&cluster)).for_each(async |result| {
        if let Err(error) = result {
            tracing::debug!("{error}");
        }
    });
    let sweep = finalizer::sweep(&cluster);
    tokio::select! {
        () = run => {}
        () = ready_when_known => {}
        () = sweep => {}
        () = tell_while_leading(&cluster) => {}
    }
    Ok(())
}

/// Of releases only the agent that leads has metrics.
async fn tell_while_leading(cluster: &Cluster) {
    let mut leads = cluster.leads.clone();
    loop {
        cluster.metrics.lead(*leads.borrow_and_update());
        if leads.changed().await.is_err() {
            // Whoever stands for leadership has ended; that ends the process elsewhere.
            return std::future::pending().await;
        }
    }
}

/// Whenever this agent begins to lead, everything is to be looked at.
fn changes_of(leads: watch::Receiver<bool>) -> impl futures::Stream<Item = ()> {
    stream::unfold(leads, async |mut leads| {
        leads.changed().await.ok()?;
        Some(((), leads))
    })
}

async fn reconcile(watched: Arc<Watched>, cluster: Arc<Cluster>) -> Result<Action, Arc<TickError>> {
    if !*cluster.leads.borrow() {
        // What is remembered here grows old while another leads.
        cluster.memories.forget_all();
        cluster.board.rest_all();
        cluster.proxies.stop();
        cluster.collectors.stop();
        return Ok(Action::await_change());
    }
    // One that is deleted is not kept by what this agent cannot see, such as Istio's kinds where Istio is gone.
    if tokio::time::timeout(AGAIN, cluster.known()).await.is_err()
        && watched.meta().deletion_timestamp.is_none()
    {
        return Ok(Action::requeue(AGAIN));
    }
    let (object, unreadable) = match &watched.0 {
        Ok(object) => (object.clone(), None),
        Err(InvalidObject { error, .. }) => match cluster.last_good(&watched).await {
            // What is under way is still watched over, by what was right before, and goes no further.
            Ok(Some(object)) => {
                cluster.admission.keep(&object);
                (object, Some(error.as_str()))
            }
            Ok(None) => {
                return cluster
                    .tell_unreadable(&watched, error)
                    .await
                    .map_err(|error| Arc::new(error.into()));
            }
            Err(error) => return Err(Arc::new(error.into())),
        },
    };
    let object = Arc::new(object);
    let memory = cluster.memories.of(&object.uid().unwrap_or_default());
    let mut memory = memory.lock().await;
    if object.metadata.deletion_timestamp.is_some() {
        return finalizer::finalize(&cluster, &object, &mut memory).await.map_err(Arc::new);
    }
    if !object.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
        cluster.keep_until_on_stable(&object).await.map_err(|error| Arc::new(error.into()))?;
    }
    let open = memory.get_or_insert_with(|| Memory::open(&object));
    match cluster.metrics.timed(tick::tick(&cluster, &object, unreadable, open)).await {
        Ok(again) => Ok(Action::requeue(again)),
        Err(error) => {
            tracing::warn!(release = %cluster_name(&object), "{}", chain(&error));
            if matches!(error, TickError::Save(SaveError::Overtaken)) {
                // What they decided is in the status.
                *memory = None;
            }
            Err(Arc::new(error))
        }
    }
}

fn retry(_: Arc<Watched>, _: &Arc<TickError>, _: Arc<Cluster>) -> Action {
    Action::requeue(AGAIN)
}

/// For patches that change some fields and leave the others to whoever wrote them.
fn as_serin() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

/// The domain of the cluster that this process runs in, if it runs in one.
fn cluster_domain() -> Option<String> {
    let text = std::fs::read_to_string("/etc/resolv.conf").ok()?;
    crate::preflight::cluster_domain(&text).map(str::to_owned)
}

/// `namespace/name`.
fn cluster_name(object: &ReleaseObject) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

impl Cluster {
    /// Waits until the stores know all there is. Leadership may come sooner.
    async fn known(&self) {
        // Whoever sends it lives as long as the controller.
        let _ = self.is_known.clone().wait_for(|is_known| *is_known).await;
    }

    async fn keep_until_on_stable(&self, object: &ReleaseObject) -> Result<DynamicObject, kube::Error> {
        let mut finalizers = object.finalizers().to_vec();
        finalizers.push(FINALIZER.to_owned());
        let metadata = json!({"resourceVersion": object.resource_version(), "finalizers": finalizers});
        self.patch_metadata(object, metadata).await
    }

    /// Takes off the command that was heard, and says in which version of the Release there is none. What fails is tried
    /// again at the next tick.
    async fn take_command_off(&self, object: &ReleaseObject, id: &str) -> Option<u64> {
        let releases = api_resources::releases(self.client.clone(), &object.namespace().unwrap_or_default());
        commands::take_off(&releases, &object.name_any(), id).await.unwrap_or_else(|error| {
            let release = cluster_name(object);
            tracing::warn!(release, "a command that was heard is still there: {}", chain(&error));
            None
        })
    }

    async fn patch_metadata(
        &self,
        object: &ReleaseObject,
        metadata: serde_json::Value,
    ) -> Result<DynamicObject, kube::Error> {
        let releases = api_resources::releases(self.client.clone(), &object.namespace().unwrap_or_default());
        releases.patch(&object.name_any(), &as_serin(), &Patch::Merge(json!({"metadata": metadata}))).await
    }
}
