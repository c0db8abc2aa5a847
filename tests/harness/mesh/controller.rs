/*!
The agent in the mesh, as a process of its own that acts with the rights of its ServiceAccount and no others.
*/
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use serin_local::child::{self, Child};
use tokio::process::Command;

use super::inside::free_address;
use super::{Mesh, Namespace};
use crate::site::eventually;

/// A running agent that drives the Releases of one namespace. It is killed when this is dropped.
#[derive(Debug)]
pub struct Controller {
    child: Child,
    log: PathBuf,
    address: String,
}

/// Where the manifests have an agent for all namespaces.
const SYSTEM: &str = "serin-system";

/// What the agent may do in its namespace: the manifests' own role, bound there.
const RIGHTS: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: serin}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: serin}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: serin}
subjects: [{kind: ServiceAccount, name: serin, namespace: NAMESPACE}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: serin-lease}
rules: [{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: serin-lease}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: serin-lease}
subjects: [{kind: ServiceAccount, name: serin, namespace: NAMESPACE}]
";

impl Controller {
    /// Starts an agent called `identity` for the Releases of `namespace`. `binary` is the agent's.
    ///
    /// # Errors
    /// When it does not come up, with what it has logged.
    pub async fn start(binary: &str, mesh: &Mesh, namespace: &Namespace, identity: &str) -> Result<Self> {
        Self::start_at(binary, mesh, namespace, identity, &free_address()?).await
    }

    /// Gives agents in `namespace` the rights that the manifests give them, if they do not have them.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn grant_rights(namespace: &Namespace) -> Result<()> {
        namespace.apply(&RIGHTS.replace("NAMESPACE", namespace.name())).await
    }

    /// Starts one that listens at `address`, where another one may have been before.
    ///
    /// # Errors
    /// When it does not come up, with what it has logged.
    pub async fn start_at(
        binary: &str,
        mesh: &Mesh,
        namespace: &Namespace,
        identity: &str,
        address: &str,
    ) -> Result<Self> {
        let module = ["--module-base", &format!("http://{address}")];
        Self::start_with(binary, mesh, namespace, identity, address, &module).await
    }

    /// Starts one with this configuration, as the operator writes it.
    ///
    /// # Errors
    /// When it does not come up, with what it has logged.
    pub async fn start_with_config(
        binary: &str,
        mesh: &Mesh,
        namespace: &Namespace,
        identity: &str,
        config: &str,
    ) -> Result<Self> {
        let file = mesh.inside().folder.join(format!("{}-{identity}.yaml", namespace.name()));
        fs::write(&file, config)?;
        let (address, file) = (free_address()?, file.to_str().context("a path of text")?);
        let more = ["--module-base", &format!("http://{address}"), "--config", file];
        Self::start_with(binary, mesh, namespace, identity, &address, &more).await
    }

    /// Starts one whose proxies get the module from a registry.
    ///
    /// # Errors
    /// When it does not come up, with what it has logged.
    pub async fn start_with_image(
        binary: &str,
        mesh: &Mesh,
        namespace: &Namespace,
        identity: &str,
        image: &str,
        secret: Option<&str>,
    ) -> Result<Self> {
        let secret = secret.iter().flat_map(|secret| ["--module-pull-secret", secret]);
        let module: Vec<_> = ["--module-image", image].into_iter().chain(secret).collect();
        Self::start_with(binary, mesh, namespace, identity, &free_address()?, &module).await
    }

    /// Starts one whose proxies get the module at this address, which others of another version may be behind, too.
    ///
    /// # Errors
    /// When it does not come up, with what it has logged.
    pub async fn start_behind(
        binary: &str,
        mesh: &Mesh,
        namespace: &Namespace,
        identity: &str,
        front: &str,
    ) -> Result<Self> {
        let module = ["--module-base", &format!("http://{front}")];
        Self::start_with(binary, mesh, namespace, identity, &free_address()?, &module).await
    }

    async fn start_with(
        binary: &str,
        mesh: &Mesh,
        namespace: &Namespace,
        identity: &str,
        address: &str,
        more: &[&str],
    ) -> Result<Self> {
        Self::grant_rights(namespace).await?;
        let name = namespace.name();
        let args = [&["--namespace", name, "--lease-namespace", name], more].concat();
        Self::launch(binary, mesh, (name, &args), identity, address).await?.ready().await
    }

    /// Starts one with the rights that are there, and does not wait until it is ready.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start_blind(
        binary: &str,
        mesh: &Mesh,
        namespace: &Namespace,
        identity: &str,
    ) -> Result<Self> {
        let (name, address) = (namespace.name(), free_address()?);
        let module = format!("http://{address}");
        let args = ["--namespace", name, "--lease-namespace", name, "--module-base", &module];
        Self::launch(binary, mesh, (name, &args), identity, &address).await
    }

    /// Starts one for the Releases of all namespaces, as the manifests do. No other may run meanwhile.
    ///
    /// # Errors
    /// When it does not come up, with what it has logged.
    pub async fn start_for_all(binary: &str, mesh: &Mesh, identity: &str) -> Result<Self> {
        let address = free_address()?;
        let args = ["--lease-namespace", SYSTEM, "--module-base", &format!("http://{address}")];
        Self::launch(binary, mesh, (SYSTEM, &args), identity, &address).await?.ready().await
    }

    async fn launch(
        binary: &str,
        mesh: &Mesh,
        (home, args): (&str, &[&str]),
        identity: &str,
        address: &str,
    ) -> Result<Self> {
        let kubeconfig = mesh.kubeconfig_of(home, "serin").await?;
        let log = mesh.inside().folder.join(format!("{home}-{identity}.log"));
        let mut command = Command::new(binary);
        command.arg("controller").args(args);
        command.args(["--identity", identity, "--listen", address]);
        command.env("KUBECONFIG", kubeconfig);
        let out = fs::File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(out);
        Ok(Self { child: child::spawn(command)?, log, address: address.to_owned() })
    }

    /// Waits until it is ready.
    async fn ready(self) -> Result<Self> {
        let client = serin_agent::http::plain().build()?;
        let ready = format!("http://{}/readyz", self.address);
        let up = eventually("the agent to be ready", async || {
            Ok(client.get(&ready).send().await?.error_for_status()?)
        });
        up.await.with_context(|| self.log())?;
        Ok(self)
    }

    /// Kills it, without a chance to say good-bye.
    ///
    /// # Errors
    /// When it has ended already.
    pub async fn kill(mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.child.wait().await?;
        Ok(())
    }

    /// Freezes it: it believes that no time goes by.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.child.pid().try_into()?).context("a process has an id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Where it serves the module and its metrics.
    pub fn address(&self) -> &str {
        &self.address
    }
}
