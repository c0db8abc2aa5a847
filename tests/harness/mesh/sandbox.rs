/*!
A pod's network: a namespace with an address of its own, behind the mesh's bridge.
*/
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;

use anyhow::{Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::io::copy_bidirectional;
use tokio::process::Command;

use super::inside::{BRIDGE, BRIDGE_NAME, ip, ip_in};

/// A network namespace. It is taken away when this is dropped.
#[derive(Debug)]
pub(super) struct Sandbox {
    name: String,
    address: Ipv4Addr,
}

impl Sandbox {
    /// Makes one whose only address, but for the loopback one, is `address`.
    pub(super) fn make(address: Ipv4Addr) -> Result<Self> {
        let sandbox = Self { name: name(address), address };
        let name = &sandbox.name;
        ip(&format!(
            "netns add {name}
             link add {name} type veth peer name eth0 netns {name}
             link set {name} master {BRIDGE_NAME} up"
        ))?;
        ip_in(
            Some(name),
            &format!(
                "link set lo up
             address add {address}/17 dev eth0
             link set eth0 up
             route add default via {BRIDGE}"
            ),
        )?;
        Ok(sandbox)
    }

    pub(super) const fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// A command that runs `program` inside, where it may have more processes: they all end with it. What it writes
    /// below /var/lib is its own.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command =
            self.shell("mount -t tmpfs tmpfs /var/lib && mkdir -p /var/lib/istio/data && exec \"$@\"");
        command.arg(program);
        command
    }

    /// A command that runs `program` inside, where /run/secrets is that folder.
    pub(super) fn command_at(&self, secrets: &Path, program: &Path) -> Command {
        let furnish = "mkdir -p /run/secrets && mount --bind \"$1\" /run/secrets && shift && exec \"$@\"";
        let mut command = self.shell(furnish);
        command.arg(secrets).arg(program);
        command
    }

    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]);
        command.args([
            "unshare",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-c",
            script,
            "sh",
        ]);
        command
    }

    /// Listens inside.
    pub(super) fn listen(&self, address: SocketAddr) -> Result<TcpListener> {
        Ok(self.within(move || TcpListener::bind(address))??)
    }

    /// Makes the loopback port reachable from outside, under the pod's own address.
    pub(super) async fn forward(&self, port: u16) -> Result<()> {
        let listener = self.listen((self.address, port).into())?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (mut outer, _) = listener.accept().await?;
            let inner = self.within(move || TcpStream::connect((Ipv4Addr::LOCALHOST, port)))?;
            // Until something listens there, a connection ends as it would without this.
            let Ok(inner) = inner else { continue };
            inner.set_nonblocking(true)?;
            inner.set_nodelay(true)?;
            outer.set_nodelay(true)?;
            let mut inner = tokio::net::TcpStream::from_std(inner)?;
            tokio::spawn(async move { copy_bidirectional(&mut outer, &mut inner).await });
        }
    }

    /// Runs `work` inside. A socket stays in the namespace in which it was made; a thread would too, so this one ends.
    fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let namespace = File::open(format!("/run/netns/{}", self.name))?;
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
                io::Result::Ok(work())
            });
            Ok(inside.join().map_err(|_| anyhow!("a thread in a pod's network panicked"))??)
        })
    }
}

/// What the network of a pod at `address` is called, and its end of the bridge.
fn name(address: Ipv4Addr) -> String {
    let [_, _, high, low] = address.octets();
    format!("pod-{high}-{low}")
}

/// Nothing gets to the pod at `address` any more, nor from it.
pub(super) fn unplug(address: Ipv4Addr) -> Result<()> {
    ip(&format!("link set {} down", name(address)))
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let name = &self.name;
        // The pair of links goes with either end of it.
        let _ = ip(&format!("link delete {name}\n netns delete {name}"));
    }
}
