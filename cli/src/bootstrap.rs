/*!
`serin bootstrap`: an Envoy bootstrap for a release, and with it the file that Envoy wants to find when it starts.
*/
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;

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
