/*!
An Envoy process: started from a bootstrap, ready when it serves, gone when it is dropped.
*/
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::child::{self, Child};
use serin_agent::http;

/// How long Envoy may take until it serves; compiling the filter on a busy machine is most of it.
const START: Duration = Duration::from_mins(1);

/// How often to look whether Envoy serves: it has no way to tell.
const LOOK: Duration = Duration::from_millis(10);

/// What an Envoy is started from.
#[derive(Debug, Clone)]
pub struct EnvoyOptions {
    /// The program.
    pub binary: PathBuf,
    /// Its bootstrap. Port 0 asks the kernel for a port.
    pub bootstrap: Value,
    /// How many workers.
    pub concurrency: u32,
    /// A folder of its own for the bootstrap, the log and the admin address.
    pub dir: PathBuf,
}

/// A running Envoy that serves. It is killed when this is dropped.
#[derive(Debug)]
pub struct Envoy {
    options: EnvoyOptions,
    child: Child,
    admin: SocketAddr,
    listeners: BTreeMap<String, SocketAddr>,
}

impl Envoy {
    /// Starts Envoy and waits until it serves. What it said last is part of the error when it does not.
    pub async fn start(options: EnvoyOptions) -> Result<Self> {
        let mut child = launch(&options)?;
        let ready = tokio::select! {
            ready = timeout(START, ready(&options.dir)) => match ready {
                Ok(ready) => ready,
                Err(_) => Err(anyhow!("Envoy does not serve after {} s", START.as_secs())),
            },
            ended = child.wait() => Err(anyhow!("Envoy ended at the start ({})", ended?)),
        };
        let (admin, listeners) =
            ready.with_context(|| format!("Envoy's last words:\n{}", tail(&options.dir)))?;
        Ok(Self { options, child, admin, listeners })
    }

    /// The address of the admin interface.
    pub const fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The address that the listener of this name really has.
    pub fn listener(&self, name: &str) -> Option<SocketAddr> {
        self.listeners.get(name).copied()
    }

    /// The process id.
    pub const fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Where Envoy writes its log.
    pub fn log(&self) -> PathBuf {
        self.options.dir.join(LOG)
    }

    /// Waits for Envoy to end, which it does not by itself.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Stops Envoy. Started again from the options that come back, it has the same ports.
    pub async fn stop(mut self) -> Result<EnvoyOptions> {
        pin_ports(&mut self.options.bootstrap, self.admin, &self.listeners);
        self.child.stop().await.context("stopping Envoy")?;
        Ok(self.options)
    }
}

const LOG: &str = "envoy.log";
const BOOTSTRAP: &str = "bootstrap.json";
const ADMIN: &str = "admin-address";

fn launch(options: &EnvoyOptions) -> Result<Child> {
    let EnvoyOptions { binary, bootstrap, concurrency, dir } = options;
    let write = || -> io::Result<_> {
        fs::create_dir_all(dir)?;
        let _ = fs::remove_file(dir.join(ADMIN));
        fs::write(dir.join(BOOTSTRAP), format!("{bootstrap:#}"))?;
        let log = OpenOptions::new().create(true).append(true).open(dir.join(LOG))?;
        Ok((log.try_clone()?, log))
    };
    let (stdout, stderr) = write().with_context(|| format!("cannot write to {}", dir.display()))?;
    let mut command = Command::new(binary);
    command.arg("--config-path").arg(dir.join(BOOTSTRAP));
    command.arg("--admin-address-path").arg(dir.join(ADMIN));
    command.arg("--concurrency").arg(concurrency.to_string());
    // Shared memory for hot restarts would tie Envoys on one machine to each other.
    command.args(["--disable-hot-restart", "--log-level", "warning", "--component-log-level", "wasm:info"]);
    command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    child::spawn(command).with_context(|| format!("cannot run {}", binary.display()))
}

type Addresses = (SocketAddr, BTreeMap<String, SocketAddr>);

/// Waits until Envoy is live and its listeners are there.
async fn ready(dir: &Path) -> Result<Addresses> {
    let client = http::plain().build()?;
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        // The file and the interface come in their own time; until then, there is nothing to tell.
        let Some(admin) = fs::read_to_string(dir.join(ADMIN)).ok().and_then(|text| text.parse().ok()) else {
            continue;
        };
        if let Ok(listeners) = live_listeners(&client, admin).await
            && !listeners.is_empty()
        {
            return Ok((admin, listeners));
        }
    }
}

async fn live_listeners(client: &reqwest::Client, admin: SocketAddr) -> Result<BTreeMap<String, SocketAddr>> {
    #[derive(Deserialize)]
    struct Listeners {
        #[serde(default)]
        listener_statuses: Vec<Listener>,
    }
    #[derive(Deserialize)]
    struct Listener {
        name: String,
        local_address: Address,
    }
    #[derive(Deserialize)]
    struct Address {
        socket_address: Socket,
    }
    #[derive(Deserialize)]
    struct Socket {
        address: std::net::IpAddr,
        port_value: u16,
    }
    let ready = client.get(format!("http://{admin}/ready")).send().await?.text().await?;
    if ready.trim() != "LIVE" {
        bail!("Envoy is {}", ready.trim());
    }
    let listeners = client.get(format!("http://{admin}/listeners?format=json")).send().await?;
    let listeners: Listeners = listeners.json().await?;
    let address = |Listener { name, local_address: Address { socket_address } }| {
        (name, SocketAddr::new(socket_address.address, socket_address.port_value))
    };
    Ok(listeners.listener_statuses.into_iter().map(address).collect())
}

/// Writes the ports that the kernel gave into `bootstrap`.
fn pin_ports(bootstrap: &mut Value, admin: SocketAddr, listeners: &BTreeMap<String, SocketAddr>) {
    const PORT: &str = "/address/socket_address/port_value";
    if let Some(port) = bootstrap.pointer_mut(&format!("/admin{PORT}")) {
        *port = json!(admin.port());
    }
    let known = bootstrap.pointer_mut("/static_resources/listeners").and_then(Value::as_array_mut);
    for listener in known.into_iter().flatten() {
        let address =
            listener.get("name").and_then(Value::as_str).and_then(|name| listeners.get(name)).copied();
        if let (Some(address), Some(port)) = (address, listener.pointer_mut(PORT)) {
            *port = json!(address.port());
        }
    }
}

/// The last lines of the log.
fn tail(dir: &Path) -> String {
    const LINES: usize = 15;
    let log = fs::read(dir.join(LOG)).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    let from = lines.len().saturating_sub(LINES);
    lines.get(from..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn an_envoy_that_does_not_come_up_is_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let binary = dir.path().join("envoy");
        fs::write(&binary, "#!/bin/sh\necho no such filter >&2\nexit 3\n").unwrap();
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
        let options =
            EnvoyOptions { binary, bootstrap: json!({}), concurrency: 1, dir: dir.path().join("own") };
        let error = format!("{:#}", Envoy::start(options).await.unwrap_err());
        assert!(error.contains("no such filter") && error.contains("exit status: 3"), "{error}");
    }

    #[test]
    fn the_ports_that_the_kernel_gave_are_written_down() {
        let address =
            |port: u16| json!({"address": {"socket_address": {"address": "::1", "port_value": port}}});
        let listener = |name: &str, port: u16| {
            let mut listener = address(port);
            listener["name"] = json!(name);
            listener
        };
        let bootstrap = |admin, ours| {
            let listeners = [listener("ours", ours), listener("other", 5)];
            json!({"admin": address(admin), "static_resources": {"listeners": listeners}})
        };
        let mut pinned = bootstrap(0, 0);
        let listeners = BTreeMap::from([("ours".to_owned(), "[::1]:7".parse().unwrap())]);
        pin_ports(&mut pinned, "[::1]:6".parse().unwrap(), &listeners);
        assert_eq!(pinned, bootstrap(6, 7));
    }
}
