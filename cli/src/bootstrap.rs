/*!
`serin bootstrap`: an Envoy bootstrap for a release, and with it the file that Envoy wants to find when it starts.
*/
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use serin_release::{ExtraVersion, Release};

use super::read_release;
use serin_agent::mesh::bootstrap::{Bootstrap, Endpoint, Protocol, Routes, Upstream, bootstrap};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The Release, a YAML file.
    #[arg(long, value_name = "FILE")]
    release: PathBuf,
    /// Address of an instance of the stable version; may be repeated.
    #[arg(long, value_name = "HOST:PORT", required = true)]
    stable: Vec<Endpoint>,
    /// Address of an instance of the canary; may be repeated.
    #[arg(long, value_name = "HOST:PORT", required = true)]
    canary: Vec<Endpoint>,
    /// Name and address of an instance of a version beside the two, one of `spec.versions`; may be repeated.
    #[arg(long = "version-at", value_name = "NAME=HOST:PORT", value_parser = named)]
    versions: Vec<(String, Endpoint)>,
    /// The folder into which `serin run` writes the filter's configuration. Start the agent before Envoy.
    #[arg(long, value_name = "DIR")]
    ecds_dir: PathBuf,
    /// Address at which Envoy serves clients.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// Envoy's admin address, for --envoy-admin of `serin run`.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901")]
    admin: SocketAddr,
    /// Envoy's node id, by which the agent names it.
    #[arg(long, value_name = "NAME", default_value = "envoy")]
    node: String,
    /// Speak HTTP/2 to both versions, which gRPC needs.
    #[arg(long)]
    http2: bool,
    /// Trace requests, with the version among the attributes of a span, and send the spans to this collector by OTLP over
    /// HTTP, which is mostly at port 4318.
    #[arg(long, value_name = "HOST:PORT")]
    traces: Option<Endpoint>,
    /// The file to write the bootstrap to [default: standard output].
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn named(text: &str) -> Result<(String, Endpoint), &'static str> {
    let (name, endpoint) = text.split_once('=').ok_or("write NAME=HOST:PORT, such as v3=127.0.0.1:8083")?;
    let endpoint = endpoint.parse().map_err(|_| "write NAME=HOST:PORT, with an IPv6 address in brackets")?;
    Ok((name.to_owned(), endpoint))
}

/// The instances of each version beside the two.
///
/// # Errors
/// Without them its callers would be sent to stable and counted as its own.
fn others(args: &Args, release: &Release, protocol: Protocol) -> anyhow::Result<Vec<(String, Upstream)>> {
    let known = |name: &str| release.versions.iter().any(|version| version.name == name);
    if let Some((name, _)) = args.versions.iter().find(|(name, _)| !known(name)) {
        bail!("--version-at: {name}: spec.versions of the Release has no version of this name");
    }
    let upstream = |version: &ExtraVersion| {
        let own = args.versions.iter().filter(|(name, _)| *name == version.name);
        let endpoints: Vec<_> = own.map(|(_, endpoint)| endpoint.clone()).collect();
        if endpoints.is_empty() {
            bail!(
                "--version-at: missing for {0}: say where it runs, such as --version-at {0}=127.0.0.1:8083",
                version.name
            );
        }
        Ok((version.name.clone(), Upstream { endpoints, protocol }))
    };
    release.versions.iter().map(upstream).collect()
}

pub(super) fn write(args: &Args) -> anyhow::Result<()> {
    let release = read_release(&args.release)?;
    let protocol = if args.http2 { Protocol::Http2 } else { Protocol::Http1 };
    let upstream = |endpoints: &[Endpoint]| Upstream { endpoints: endpoints.to_vec(), protocol };
    // Envoy resolves a relative path from its own working directory.
    let ecds_dir = std::path::absolute(&args.ecds_dir)?;
    let json = bootstrap(&Bootstrap {
        admin: args.admin,
        listen: args.listen,
        node: args.node.clone(),
        routes: Routes::from(&release),
        stable: upstream(&args.stable),
        canary: upstream(&args.canary),
        others: others(args, &release, protocol)?,
        ecds_dir,
        traces: args.traces.clone(),
    });
    let text = format!("{json:#}\n");
    match &args.output {
        None => print!("{text}"),
        Some(path) => {
            fs::write(path, text)
                .with_context(|| format!("--output: {}: cannot write it", path.display()))?;
        }
    }
    Ok(())
}
