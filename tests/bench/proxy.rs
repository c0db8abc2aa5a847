/*!
An Envoy for each variant: one worker, alone on its core with the others, which wait while one is measured.
*/
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use serin_agent::mesh::bootstrap::{Bootstrap, Endpoint, LISTENER, Protocol, Routes, Upstream, bootstrap};
use serin_agent::mesh::ecds::EcdsDir;
use serin_local::envoy::{Envoy, EnvoyOptions};
use serin_policy::{Arm, Document};

use crate::backend::Backends;
use crate::machine;
use crate::requests::HOST;
use crate::variants::Way;

const MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";

/// What proxies are made from.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) binary: PathBuf,
    pub(crate) backends: Backends,
    pub(crate) folder: PathBuf,
}

/// A running Envoy.
#[derive(Debug)]
pub(crate) struct BenchEnvoy {
    envoy: Envoy,
    /// Where clients are served.
    pub(crate) address: SocketAddr,
}

impl Ground {
    /// Starts an Envoy that goes `way`.
    pub(crate) async fn proxy(&self, name: &str, way: &Way) -> Result<BenchEnvoy> {
        let ecds_dir = self.ecds_dir(name);
        let copied = match way {
            Way::Serin(_, policy) if !policy.marks.is_empty() => Some(policy.name.clone()),
            _ => None,
        };
        let mut bootstrap = self.bootstrap(&ecds_dir, copied);
        match way {
            Way::Weights => {
                without_filter(&mut bootstrap)?;
                *at(&mut bootstrap, "/route_config/virtual_hosts/0/routes")? = weighted_routes();
            }
            Way::Routes => without_filter(&mut bootstrap)?,
            Way::Lua => *at(&mut bootstrap, "/http_filters/0")? = lua(),
            Way::Idle(module) => write(&ecds_dir, module, &Document::new(vec![]))?,
            Way::Serin(module, policy) => {
                write(&ecds_dir, module, &Document::new(vec![(**policy).clone()]))?;
            }
        }
        self.start(name, bootstrap).await
    }

    /// Starts an Envoy that takes its policies from [`ecds_dir`](Self::ecds_dir).
    pub(crate) async fn driven_proxy(&self, name: &str) -> Result<BenchEnvoy> {
        self.start(name, self.bootstrap(&self.ecds_dir(name), None)).await
    }

    /// The folder of the proxy's policies.
    pub(crate) fn ecds_dir(&self, name: &str) -> PathBuf {
        self.folder.join(name).join("ecds")
    }

    /// `copied` is the name of the release of whose requests the canary gets copies, if it does of any.
    fn bootstrap(&self, ecds_dir: &Path, copied: Option<String>) -> Value {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let upstream =
            |address| Upstream { endpoints: vec![Endpoint::from(address)], protocol: Protocol::Http1 };
        bootstrap(&Bootstrap {
            admin: any_port,
            listen: any_port,
            node: "bench".to_owned(),
            routes: Routes {
                hosts: vec![HOST.to_owned()],
                path_prefix: "/".to_owned(),
                injections: Vec::new(),
                mirrored: copied,
                access_log: false,
            },
            stable: upstream(self.backends.stable),
            canary: upstream(self.backends.canary),
            others: Vec::new(),
            ecds_dir: ecds_dir.to_owned(),
            traces: None,
        })
    }

    async fn start(&self, name: &str, bootstrap: Value) -> Result<BenchEnvoy> {
        let (binary, dir) = (self.binary.clone(), self.folder.join(name));
        let envoy = Envoy::start(EnvoyOptions { binary, bootstrap, concurrency: 1, dir }).await?;
        machine::pin_envoy(envoy.pid())?;
        let address = envoy.listener(LISTENER).context("a bootstrap without its listener")?;
        Ok(BenchEnvoy { envoy, address })
    }
}

impl BenchEnvoy {
    /// The process id.
    pub(crate) const fn pid(&self) -> u32 {
        self.envoy.pid()
    }

    /// The CPU time it has used so far.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        machine::cpu_time(self.envoy.pid())
    }
}

fn at<'b>(bootstrap: &'b mut Value, path: &str) -> Result<&'b mut Value> {
    let path = format!("{MANAGER}{path}");
    bootstrap.pointer_mut(&path).with_context(|| format!("a bootstrap without {path}"))
}

fn without_filter(bootstrap: &mut Value) -> Result<()> {
    let filters = at(bootstrap, "/http_filters")?.as_array_mut().context("filters are a list")?;
    filters.remove(0);
    Ok(())
}

fn weighted_routes() -> Value {
    let cluster = |arm: Arm, weight| json!({"name": arm.as_str(), "weight": weight});
    let canary = Way::canary_percent();
    let clusters = [cluster(Arm::Stable, 100 - canary), cluster(Arm::Canary, canary)];
    let route = json!({"weighted_clusters": {"clusters": clusters}, "timeout": "0s"});
    json!([{"match": {"prefix": "/"}, "route": route}])
}

fn lua() -> Value {
    json!({
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": include_str!("assign.lua")},
        },
    })
}

/// Puts `document` into force as the agent would, but for the module, which may be any.
fn write(ecds_dir: &Path, module: &[u8], document: &Document) -> Result<()> {
    let ecds = EcdsDir::open(ecds_dir)?;
    ecds.write(document)?;
    let other = ecds_dir.join("measured.wasm");
    fs::write(&other, module)?;
    let mut file: Value = serde_json::from_slice(&fs::read(ecds.file())?)?;
    let path = "/resources/0/typed_config/config/vm_config/code/local/filename";
    *file.pointer_mut(path).context("an ECDS file without a module")? = json!(other);
    // The Envoy that reads it is yet to be started: there is no need for a rename.
    Ok(fs::write(ecds.file(), file.to_string())?)
}
