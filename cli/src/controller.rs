/*!
`serin controller`: the agent in a cluster, until it is told to stop.
*/
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::run::told_to_stop;
use serin_agent::cluster::{self, Config};
use serin_agent::config::Operator;
use serin_agent::mesh::plugin::ModuleSource;
use serin_agent::serve::cluster::{module_path, module_sha256};
use serin_agent::serve::site::PageAccess;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only run the Releases of this namespace [default: of all].
    #[arg(long, value_name = "NAMESPACE", env = "SERIN_NAMESPACE")]
    namespace: Option<String>,
    /// With --namespace: another namespace with gateways or with callers' sidecars; may be repeated.
    #[arg(long = "proxy-namespace", value_name = "NAMESPACE", requires = "namespace")]
    proxy_namespaces: Vec<String>,
    /// The namespace of the Lease by which replicas elect their leader.
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE", default_value = "serin-system")]
    lease_namespace: String,
    /// The name of this replica in the Lease [default: serin- and the process id].
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    identity: Option<String>,
    /// The URL at which proxies reach this agent to fetch the filter's module.
    #[arg(
        long,
        value_name = "URL",
        env = "SERIN_MODULE_BASE",
        default_value = "http://serin.serin-system.svc.cluster.local"
    )]
    module_base: String,
    /// An OCI image with the filter's module, by digest (`oci://…@sha256:…`), instead of the module that this agent serves.
    #[arg(long, value_name = "URL", env = "SERIN_MODULE_IMAGE", conflicts_with = "module_base")]
    module_image: Option<String>,
    /// Address for health, metrics and the module.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// A YAML file with what the operator says: Prometheus servers, who is told of releases, allowed addresses [default: none].
    #[arg(long, value_name = "FILE", env = "SERIN_CONFIG")]
    config: Option<PathBuf>,
    /// Who may look at the pages of Releases, below /page/ at --listen. They are read-only.
    #[arg(long, value_enum, value_name = "WHO", env = "SERIN_PAGE", default_value_t = Page::Viewers)]
    page: Page,
}

/// Who may look at the pages.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Page {
    /// Nobody: there are none.
    Off,
    /// Whoever may read the Releases: the API server is asked about the bearer token of each request.
    Viewers,
    /// Whoever reaches the port: for those who keep it behind a proxy of their own.
    Anyone,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let module = if let Some(image) = &args.module_image {
        ModuleSource::new(image, None).context("--module-image")?
    } else {
        let url = format!("{}{}", args.module_base.trim_end_matches('/'), module_path());
        ModuleSource::new(&url, Some(&module_sha256())).context("--module-base")?
    };
    let operator = args.config.as_deref().map(read_config).transpose()?.unwrap_or_default();
    let config = Config {
        namespace: args.namespace,
        proxy_namespaces: args.proxy_namespaces,
        lease_namespace: args.lease_namespace,
        identity: args.identity.unwrap_or_else(|| format!("serin-{}", std::process::id())),
        module,
        listen: args.listen,
        operator,
        page: match args.page {
            Page::Off => None,
            Page::Viewers => Some(PageAccess::Viewers),
            Page::Anyone => Some(PageAccess::Anyone),
        },
    };
    cluster::run(config, told_to_stop()).await?;
    tracing::info!("stopping; the proxies stay as they are");
    Ok(())
}

fn read_config(path: &Path) -> anyhow::Result<Operator> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("--config: {}: cannot read it", path.display()))?;
    Operator::from_yaml(&text).with_context(|| format!("--config: {}", path.display()))
}
