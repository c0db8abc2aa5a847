/*!
A real mesh: Kubernetes without machines, Istio's control plane, and Istio's proxies around stock Envoys.

All of it lives in namespaces of the process that brings it up ([`inside`]), so none of it outlives that process and
none of it touches the machine's network. The API server, its controllers and istiod are the real ones; only the
kubelet is not ([`kubelet`]): its pods are servers in this process, and proxies in network namespaces of their own.
*/
mod backend;
mod certificates;
mod control_plane;
mod controller;
mod door;
mod front;
mod image;
pub mod inside;
mod kubelet;
mod namespace;
mod process;
mod program;
mod proxy;
mod registry;
mod sandbox;
mod severed;
mod status;
mod tokens;
pub mod traffic;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use self::backend::Answer;
use self::certificates::Certificates;
pub use self::control_plane::{COLLECTOR, ControlPlane};
use self::control_plane::{ISTIO_SYSTEM, Starter};
pub use self::controller::Controller;
use self::door::{Door, istioctl_env};
pub use self::front::Front;
pub use self::image::MANNERS;
pub(crate) use self::inside::free_address;
pub use self::inside::{HOST, Inside};
use self::kubelet::Kubelet;
pub use self::namespace::{Gateway, Namespace};
pub use self::proxy::SIDECAR_PORT;
pub use self::registry::{CREDENTIALS, Registry};
pub use self::severed::Severed;
use crate::site::eventually;
use crate::tools::ISTIO_CRDS;

/// Most pods have no proxy. Where all have one, a namespace can ask for mTLS.
const WITHOUT_MTLS: &str = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: DISABLE}}
";

/// Serin's.
const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests");

/// A mesh that is up. It ends with this value, and at the latest with this process.
pub struct Mesh {
    /// What runs it.
    pub control_plane: ControlPlane,
    inside: Arc<Inside>,
    certificates: Certificates,
    kubeconfig: PathBuf,
    client: Client,
    namespaces: AtomicU32,
    calm: RwLock<()>,
    _kubelet: Kubelet,
    _door: Door,
}

/// A file that pods can fetch.
#[derive(Debug, Clone)]
pub struct Served {
    /// Where.
    pub url: String,
    /// Its digest, as a `WasmPlugin` wants it.
    pub sha256: String,
}

impl Mesh {
    /// Brings a mesh up.
    ///
    /// # Errors
    /// When a part of it does not come up, with that part's last words.
    pub async fn up(inside: Inside) -> Result<Self> {
        Inside::heed_signals()?;
        let inside = Arc::new(inside);
        let certificates = Certificates::make(inside.folder.join("certificates"))?;
        let kubeconfig = certificates.kubeconfig_of_admin(&control_plane::api_server())?;
        let starter = Starter { inside: &inside, certificates: &certificates, kubeconfig: &kubeconfig };
        let etcd = starter.etcd().await?;
        let api_server = starter.api_server().await?;
        let client = client(&kubeconfig).await?;
        let crds = std::fs::read_to_string(inside.istio().join(ISTIO_CRDS))?;
        let istio = async {
            namespace::create(&client, ISTIO_SYSTEM).await?;
            namespace::apply(&client, ISTIO_SYSTEM, &crds).await.context("Istio's CRDs")?;
            eventually("Istio's CRDs to be served", async || {
                namespace::apply(&client, ISTIO_SYSTEM, WITHOUT_MTLS).await
            })
            .await?;
            starter.istiod().await
        };
        let kubelet = Kubelet::start(client.clone(), Arc::clone(&inside));
        let (istiod, controllers, kubelet) = tokio::try_join!(istio, starter.controllers(), kubelet)?;
        let door = Door::open(&certificates).await?;
        Ok(Self {
            control_plane: ControlPlane { etcd, api_server, controllers, istiod },
            certificates,
            kubeconfig,
            client,
            namespaces: AtomicU32::new(0),
            calm: RwLock::default(),
            _kubelet: kubelet,
            _door: door,
            inside,
        })
    }

    /// Has the node of a pod with a proxy die: nothing gets to it any more, nor from it.
    ///
    /// # Errors
    /// When there is no such pod.
    pub fn unplug(&self, address: Ipv4Addr) -> Result<()> {
        sandbox::unplug(address)
    }

    /// A client that may do everything.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The same as a file.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Where all of it lives.
    pub fn inside(&self) -> &Inside {
        &self.inside
    }

    /// What the proxy of a pod has written: Istio's agent, Envoy, and the access log.
    ///
    /// # Errors
    /// When there is no such pod.
    pub fn proxy_log(&self, namespace: &str, pod: &str) -> Result<String> {
        let log = proxy::log(&proxy::folder(&self.inside, namespace, pod));
        std::fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))
    }

    /// What the program of a pod has written.
    ///
    /// # Errors
    /// When there is no such pod.
    pub fn program_log(&self, namespace: &str, pod: &str) -> Result<String> {
        let log = program::log(&proxy::folder(&self.inside, namespace, pod));
        std::fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))
    }

    /// A command for a shell outside that opens one inside.
    pub fn way_in(&self) -> String {
        let user = if self.inside.as_user { "--user --preserve-credentials " } else { "" };
        let (kubernetes, istio) = (self.inside.kubernetes().display(), self.inside.istio().display());
        let kubeconfig = self.kubeconfig.display();
        let pid = self.inside.pid;
        let istioctl = istioctl_env().map(|(name, value)| format!("{name}={value}")).join(" ");
        format!(
            "nsenter --target {pid} {user}--net --mount --pid env KUBECONFIG={kubeconfig} {istioctl} \
             PATH=\"{kubernetes}:{istio}:$PATH\" bash"
        )
    }

    /// A kubeconfig that may do what a ServiceAccount may.
    ///
    /// # Errors
    /// When there is no such account.
    pub async fn kubeconfig_of(&self, namespace: &str, account: &str) -> Result<PathBuf> {
        let token = tokens::token(&self.client, namespace, account, &[]).await?;
        let name = format!("{namespace}.{account}");
        self.certificates.kubeconfig_with_token(&name, &control_plane::api_server(), &token)
    }

    /// A client that may do what a ServiceAccount may.
    ///
    /// # Errors
    /// When there is no such account.
    pub async fn client_of(&self, namespace: &str, account: &str) -> Result<Client> {
        client(&self.kubeconfig_of(namespace, account).await?).await
    }

    /// An address in front of agents.
    ///
    /// # Errors
    /// When there is no port for it.
    pub async fn front(&self) -> Result<Front> {
        Front::open().await
    }

    /// Runs kubectl and returns what it says.
    ///
    /// # Errors
    /// When it fails, with what it complains of.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.run(&self.inside.kubernetes().join("kubectl"), args).await
    }

    /// Runs istioctl and returns what it says.
    ///
    /// # Errors
    /// When it fails, with what it complains of.
    pub async fn istioctl(&self, args: &[&str]) -> Result<String> {
        self.run(&self.inside.istio().join("istioctl"), args).await
    }

    /// Installs Serin as its users do. Its own Deployment is not wanted: agents are started one by one.
    ///
    /// # Errors
    /// When the manifests are refused.
    pub async fn install_serin(&self) -> Result<()> {
        self.kubectl(&["apply", "--server-side", "-k", MANIFESTS]).await?;
        self.kubectl(&["--namespace", "serin-system", "delete", "deployment", "serin"]).await?;
        Ok(())
    }

    /// Has all of that deleted, and does not wait for it.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn uninstall_serin(&self) -> Result<()> {
        self.kubectl(&["delete", "-k", MANIFESTS, "--ignore-not-found", "--wait=false"]).await.map(drop)
    }

    /// A new namespace whose name begins with `name`. It is deleted when it is dropped.
    ///
    /// # Errors
    /// When it cannot be created.
    pub async fn namespace(&self, name: &str) -> Result<Namespace> {
        let number = self.namespaces.fetch_add(1, Ordering::Relaxed);
        Namespace::create(self.client(), format!("{name}-{number}")).await
    }

    /// A namespace that is there. It is deleted when it is dropped, all the same.
    pub fn namespace_there_is(&self, name: &str) -> Namespace {
        Namespace::of(self.client(), name.to_owned())
    }

    /// Held by tests that share the control plane with others.
    pub async fn shared(&self) -> RwLockReadGuard<'_, ()> {
        self.calm.read().await
    }

    /// Held by a test that stops a part of the control plane: no other test runs meanwhile.
    pub async fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.calm.write().await
    }

    /// Serves `body` to whoever asks, at a URL that pods reach too, for as long as this process runs.
    ///
    /// # Errors
    /// When there is no port for it.
    pub async fn serve(&self, body: impl Into<Bytes>) -> Result<Served> {
        let body = body.into();
        let sha256 = Sha256::digest(&body).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        let listener = TcpListener::bind((HOST, 0)).await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let router = Router::new().fallback(async move || body.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Served { url, sha256 })
    }

    /// A registry of images, at an address that pods reach.
    ///
    /// # Errors
    /// When it does not come up, with its last words.
    pub async fn registry(&self) -> Result<Registry<'_>> {
        Registry::start(self, false).await
    }

    /// The same for those who have its [`CREDENTIALS`].
    ///
    /// # Errors
    /// When it does not come up, with its last words.
    pub async fn private_registry(&self) -> Result<Registry<'_>> {
        Registry::start(self, true).await
    }

    /// Runs a program as one who may do everything, and returns what it says.
    ///
    /// # Errors
    /// When it fails, with what it complains of.
    pub async fn run(&self, program: &Path, args: &[&str]) -> Result<String> {
        let mut command = Command::new(program);
        command.args(args).env("KUBECONFIG", &self.kubeconfig).envs(istioctl_env());
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.with_context(|| format!("cannot run {}", program.display()))?;
        let said = [&output.stderr, &output.stdout].map(|out| String::from_utf8_lossy(out)).concat();
        ensure!(output.status.success(), "{} {}: {said}", program.display(), args.join(" "));
        Ok(String::from_utf8(output.stdout)?)
    }
}

async fn client(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    // Whoever asks here knows what to do about an API server that is gone.
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}
