/*!
The containers of one pod: servers, and perhaps a proxy.
*/
use std::collections::BTreeMap;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Container as Spec, Pod};
use kube::ResourceExt;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::mesh::backend::{Answer, Backend};
use crate::mesh::image::{Image, MANNERS, Manners};
use crate::mesh::inside::Inside;
use crate::mesh::program::{Running, answers, is_program};
use crate::mesh::proxy::{self, Role, SIDECAR_PORT};
use crate::mesh::sandbox::Sandbox;
use crate::mesh::status::{Container, State};

/// How long a container that fell over stays down: so often its count of restarts grows.
const BACK_OFF: Duration = Duration::from_secs(2);

/// Which container is how, now.
pub(super) type Say = UnboundedSender<(usize, State)>;

/// The containers of a pod. They stop when this is dropped.
#[derive(Debug)]
pub(super) struct Containers {
    servers: Vec<Server>,
    states: Vec<(String, String)>,
    _tasks: JoinSet<()>,
    /// After the tasks, which listen in it.
    _sandbox: Option<Arc<Sandbox>>,
}

/// A container's server and where it listens.
#[derive(Debug, Clone)]
struct Server {
    image: Image,
    backend: Arc<Backend>,
    sandbox: Option<Arc<Sandbox>>,
    addresses: Vec<SocketAddr>,
}

/// Whether the pod has a proxy.
pub(super) fn has_proxy(pod: &Pod) -> bool {
    specs(pod).iter().any(is_proxy)
}

/// Whether a program of this machine is in the pod.
pub(super) fn has_program(pod: &Pod) -> bool {
    specs(pod).iter().any(is_program)
}

/// Whether the pod has a network of its own.
pub(super) fn has_network(pod: &Pod) -> bool {
    has_proxy(pod) || has_program(pod)
}

/// A container of the proxies' name with an image of its own only stands in for one.
fn is_proxy(container: &Spec) -> bool {
    container.name == proxy::CONTAINER && container.image.as_deref() == Some(proxy::IMAGE)
}

impl Containers {
    /// Starts them at `address`. A proxy needs a `token` of the pod's account.
    pub(super) async fn start(
        inside: &Arc<Inside>,
        pod: &Pod,
        address: Ipv4Addr,
        token: Option<&str>,
        say: &Say,
    ) -> Result<Self> {
        let sandbox = has_network(pod).then(|| Sandbox::make(address)).transpose()?.map(Arc::new);
        let (mut tasks, mut servers) = (JoinSet::new(), Vec::new());
        if let (Some(sandbox), true, Role::Sidecar) = (&sandbox, has_proxy(pod), Role::of(pod)) {
            proxy::capture(inside, sandbox).await?;
            let sandbox = Arc::clone(sandbox);
            tasks.spawn(async move { drop(sandbox.forward(SIDECAR_PORT).await) });
        }
        for (index, spec) in specs(pod).iter().enumerate() {
            let say = say.clone();
            let tell = move |state| {
                // Nobody listens any more when the pod is about to end.
                let _ = say.send((index, state));
            };
            if let Some(sandbox) = sandbox.as_ref().filter(|_| is_proxy(spec)) {
                let proxy = proxy::start(inside, pod, sandbox, token.unwrap_or_default())?;
                tasks.spawn(run(proxy, tell));
                continue;
            }
            if let Some(sandbox) = sandbox.as_ref().filter(|_| is_program(spec)) {
                let start = {
                    let (inside, pod, spec) = (Arc::clone(inside), pod.clone(), spec.clone());
                    let sandbox = Arc::clone(sandbox);
                    move || Running::start(&inside, &pod, &spec, &sandbox)
                };
                tasks.spawn(keep_running(start, tell));
                continue;
            }
            let server = Server::of(pod, spec, address, sandbox.clone())?;
            if server.image.exists {
                tasks.spawn(server.clone().run(tell));
                servers.push(server);
            } else {
                tell(State::NoImage);
            }
        }
        let states =
            specs(pod).iter().map(|spec| (spec.name.clone(), spec.image.clone().unwrap_or_default()));
        Ok(Self { servers, states: states.collect(), _tasks: tasks, _sandbox: sandbox })
    }

    /// What there is to report before any of them has said anything.
    pub(super) fn states(&self) -> Vec<Container> {
        let container = |(name, image): &(String, String)| Container {
            name: name.clone(),
            image: image.clone(),
            state: State::Creating,
        };
        self.states.iter().map(container).collect()
    }

    /// How long they go on serving when the pod is deleted.
    pub(super) fn stop_after(&self) -> Duration {
        // A proxy without a server beside it is a gateway, and needs the usual time.
        self.servers.iter().map(|server| server.image.stop).max().unwrap_or(Duration::from_secs(3))
    }

    /// Has the servers behave as the pod now says.
    pub(super) fn hint(&self, pod: &Pod) -> Result<()> {
        for server in &self.servers {
            server.backend.hint(manners(pod, &server.image)?);
        }
        Ok(())
    }
}

/// A program that is started again when it ends, as a kubelet does.
async fn keep_running(start: impl Fn() -> Result<Running>, tell: impl Fn(State)) {
    const PAUSE: Duration = Duration::from_secs(1);
    while let Ok(process) = start() {
        run(process, &tell).await;
        sleep(PAUSE).await;
    }
}

/// A process of its own, which ends with this.
async fn run(process: Running, tell: impl Fn(State)) {
    tell(State::Running);
    let Running { mut child, ready } = process;
    let serve = async {
        if answers(&ready).await.is_ok() {
            tell(State::Ready);
        }
        pending::<()>().await;
    };
    tokio::select! {
        _ = child.wait() => tell(State::Crashed(1)),
        () = serve => {}
    }
}

impl Server {
    fn of(pod: &Pod, spec: &Spec, address: Ipv4Addr, sandbox: Option<Arc<Sandbox>>) -> Result<Self> {
        let image = Image::parse(spec.image.as_deref().unwrap_or_default())?;
        let backend = Arc::new(Backend::new(identity(pod, &image), manners(pod, &image)?));
        let ports = spec.ports.iter().flatten().filter_map(|port| port.container_port.try_into().ok());
        let addresses = ports.map(|port: u16| (address, port).into()).collect();
        Ok(Self { image, backend, sandbox, addresses })
    }

    async fn run(self, tell: impl Fn(State)) {
        // Most never do.
        let crash = async {
            match self.image.crash {
                Some(after) => sleep(after).await,
                None => pending().await,
            }
        };
        let end = async {
            match self.image.end {
                Some(after) => sleep(after).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = end => {
                tell(State::Ended(self.image.exit));
                return;
            }
            Err(error) = self.serve(&tell) => eprintln!("a server at {:?}: {error:#}", self.addresses),
            () = crash => {}
        }
        for times in 1.. {
            tell(State::Crashed(times));
            sleep(BACK_OFF).await;
        }
    }

    /// Serves for as long as this is polled.
    async fn serve(&self, tell: &impl Fn(State)) -> Result<()> {
        let mut serving = JoinSet::new();
        for &address in &self.addresses {
            let listener = self.listen(address)?;
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            serving.spawn(Arc::clone(&self.backend).serve(listener));
        }
        tell(State::Running);
        if let Some(start) = self.image.start {
            sleep(start).await;
            tell(State::Ready);
        }
        pending().await
    }

    fn listen(&self, address: SocketAddr) -> Result<TcpListener> {
        match &self.sandbox {
            Some(sandbox) => sandbox.listen(address),
            None => TcpListener::bind(address).with_context(|| format!("cannot listen on {address}")),
        }
    }
}

fn identity(pod: &Pod, image: &Image) -> Answer {
    // A ReplicaSet is called by its Deployment's name and the hash of its template.
    let set = pod.owner_references().first().map(|owner| owner.name.as_str()).unwrap_or_default();
    let deployment = match pod.labels().get("pod-template-hash") {
        Some(hash) => set.trim_end_matches(hash.as_str()).trim_end_matches('-'),
        None => set,
    };
    Answer {
        namespace: pod.namespace().unwrap_or_default(),
        deployment: deployment.to_owned(),
        pod: pod.name_any(),
        version: image.version.clone(),
        headers: BTreeMap::new(),
    }
}

fn manners(pod: &Pod, image: &Image) -> Result<Manners> {
    image.manners.with(pod.annotations().get(MANNERS).map(String::as_str).unwrap_or_default())
}

fn specs(pod: &Pod) -> &[Spec] {
    pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default()
}
