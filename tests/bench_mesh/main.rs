/*!
What the agent costs in a real mesh, and how soon what a person types is in force at a gateway.

`cargo run --release -p serin-tests --bin bench-mesh` brings the mesh up, measures, and prints what it found: from an
abort to its effect, beside the bare write of a WasmPlugin in the same run; and with many Releases and proxies how soon all
are looked at, how soon a new image is noticed, the memory, and what is asked of whom in a minute.
*/
mod crowd;
mod effect;
mod stand_ins;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use serin_tests::mesh::{Mesh, inside};
use tokio::runtime::Builder;

#[derive(Debug, Parser)]
struct Args {
    /// How often an abort is measured.
    #[arg(long, default_value_t = 20)]
    aborts: u32,
    /// How many Releases one agent drives.
    #[arg(long, default_value_t = 1000)]
    releases: u32,
    /// How many proxies they are behind: stand-ins that answer scrapes.
    #[arg(long, default_value_t = 500)]
    proxies: u32,
    /// How many of the Releases are under way in the end.
    #[arg(long, default_value_t = 100)]
    under_way: u32,
}

fn main() -> Result<ExitCode> {
    // The same binary is the agent that it measures.
    if std::env::args().nth(1).as_deref() == Some("controller") {
        return Ok(serin::parse_and_run());
    }
    let args = Args::parse();
    let inside = inside::enter()?;
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mesh = Mesh::up(inside).await.context("the mesh does not come up")?;
        mesh.install_serin().await?;
        let this = std::env::current_exe()?;
        let this = this.to_str().context("a path of text")?;
        effect::measure(&mesh, this, args.aborts).await?;
        let Args { releases, proxies, under_way, .. } = args;
        crowd::measure(&mesh, this, crowd::Size { releases, proxies, under_way }).await?;
        Ok(ExitCode::SUCCESS)
    })
}
