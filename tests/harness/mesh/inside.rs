/*!
The namespaces that a mesh lives in, and the way into them.

A network of its own, so that pods can have addresses and ports as in a cluster; mounts of its own, for files that
vanish with it; and process ids of its own, of which this process is the first: when it ends, however it ends, the
kernel ends the others.
*/
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use rustix::mount::{MountFlags, mount};
use rustix::process::geteuid;
use tokio::signal::unix::{SignalKind, signal};

use crate::tools::{self, ControlPlane, Tool};

/// Where the control plane listens, and whatever else pods must reach.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);

/// The gateway of pods that have a network of their own.
pub(super) const BRIDGE: Ipv4Addr = Ipv4Addr::new(10, 244, 128, 1);

/// The bridge to their networks.
pub(super) const BRIDGE_NAME: &str = "pods";

/// Set for the process inside, to who it was outside.
const MARK: &str = "SERIN_MESH_INSIDE";
const ROOT: &str = "root";
const USER: &str = "user";

/// A process inside, with what it needs for a mesh.
#[derive(Debug)]
pub struct Inside {
    /// The id of this process as those outside see it.
    pub pid: u32,
    /// Whether it got there without being root outside, by way of a namespace of users.
    pub(super) as_user: bool,
    /// The folder of the mesh's files. It is in memory and goes with the mesh, unless `SERIN_MESH_FOLDER` names a place
    /// for it.
    pub folder: PathBuf,
    pub(super) control_plane: ControlPlane,
    pub(super) envoy: PathBuf,
    pub(super) crane: PathBuf,
    pub(super) registry: PathBuf,
    /// The variables of a program that runs iptables.
    pub(super) iptables: Vec<(&'static str, OsString)>,
}

/// Takes this process inside: it starts itself again there, with the same arguments, and only that one comes back from
/// this function. To be called before there are threads, and while the network outside can still be reached: what must
/// be built or fetched, is.
///
/// # Errors
/// When something is missing; the error says what.
pub fn enter() -> Result<Inside> {
    tools::bring(&[tools::MESH])?;
    let (control_plane, iptables) = (tools::control_plane()?, tools::iptables()?);
    let [envoy, crane, registry] = [Tool::Envoy.path()?, Tool::Crane.path()?, Tool::Registry.path()?];
    let Some(outside) = env::var_os(MARK) else { return Err(start_again_inside()) };
    // Until there is another /proc, it is the one outside.
    let pid: u32 =
        fs::read_link("/proc/self")?.to_string_lossy().parse().context("/proc/self is a process id")?;
    let folder = furnish(pid).context("cannot furnish the namespaces")?;
    Ok(Inside { pid, as_user: outside == USER, folder, control_plane, envoy, crane, registry, iptables })
}

/// Does not return, unless it fails.
fn start_again_inside() -> anyhow::Error {
    let start = || {
        let mut again = Command::new("unshare");
        again.args(["--net", "--mount", "--pid", "--fork", "--kill-child"]);
        if geteuid().is_root() {
            again.env(MARK, ROOT);
        } else {
            again.args(["--user", "--map-root-user"]).env(MARK, USER);
        }
        again.arg("--").arg(env::current_exe()?).args(env::args_os().skip(1));
        bail!("cannot run unshare: {}", again.exec())
    };
    start().unwrap_or_else(|error| error)
}

fn furnish(pid: u32) -> Result<PathBuf> {
    mount("proc", "/proc", "proc", MountFlags::empty(), None).context("mounting /proc")?;
    // For the names of network namespaces, and for the mesh's own files.
    mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), None).context("mounting /run")?;
    // Plain pods are servers of this process, so their addresses are local; the others are behind a bridge. It has a
    // hardware address of its own: otherwise it takes that of some pod, and when that pod goes, the others lose it.
    ip(&format!(
        "link set lo up
         route add local 10.244.0.0/17 dev lo
         route add local 10.0.0.0/24 dev lo
         link add {BRIDGE_NAME} address 02:00:0a:f4:80:01 type bridge
         address add {BRIDGE}/17 dev {BRIDGE_NAME}
         link set {BRIDGE_NAME} up"
    ))?;
    let folder = match env::var_os("SERIN_MESH_FOLDER") {
        // Each mesh begins without a past.
        Some(asked_for) => std::path::absolute(asked_for)?.join(pid.to_string()),
        None => PathBuf::from("/run/serin"),
    };
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Runs `ip` with these commands.
pub(super) fn ip(commands: &str) -> Result<()> {
    ip_in(None, commands)
}

/// Runs `ip` with these commands in the network namespace of this name, or in the mesh's.
pub(super) fn ip_in(namespace: Option<&str>, commands: &str) -> Result<()> {
    let mut ip = Command::new("ip");
    ip.args(namespace.iter().flat_map(|name| ["-netns", name]));
    ip.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut ip = ip.spawn().context("cannot run ip")?;
    ip.stdin.take().context("it was asked for")?.write_all(commands.as_bytes())?;
    let output = ip.wait_with_output()?;
    ensure!(output.status.success(), "ip: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// An address that was free a moment ago, and is nobody else's in these namespaces but by the same way.
pub(crate) fn free_address() -> Result<String> {
    Ok(TcpListener::bind((HOST, 0))?.local_addr()?.to_string())
}

impl Inside {
    /// Has this process end when it is asked to. The first process of a namespace does not do so by itself.
    pub(super) fn heed_signals() -> Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => std::process::exit(130),
                _ = terminate.recv() => std::process::exit(143),
            }
        });
        Ok(())
    }

    /// The folder of kubectl.
    pub fn kubernetes(&self) -> &Path {
        &self.control_plane.kubernetes
    }

    /// The folder of istioctl.
    pub fn istio(&self) -> &Path {
        &self.control_plane.istio
    }
}
