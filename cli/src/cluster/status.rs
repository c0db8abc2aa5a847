/*!
`serin status NAME`: how a Release stands, once or for as long as one looks.
*/
use std::io::{IsTerminal, Write as _};

use jiff::Timestamp;
use serin_release::ReleaseObject;

use super::access::{Access, Cluster};
use super::output::{Format, document};
use super::style::Paint;
use super::tree::tree;
use super::watch::Watch;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Go on showing it, until interrupted.
    #[arg(long, short, conflicts_with = "state")]
    watch: bool,
    /// The form.
    #[arg(long, short, value_enum, default_value_t = Format::Table, conflicts_with = "state")]
    output: Format,
}

pub(crate) async fn status(name: &str, args: &Args, access: &Access) -> anyhow::Result<()> {
    let cluster = access.connect().await?;
    if !args.watch {
        let release = cluster.release(name).await?;
        print!("{}", shown(&cluster, &release, args, access).await?);
        return Ok(());
    }
    tokio::select! {
        ended = follow(&cluster, name, args, access) => ended,
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
    }
}

/// Shows the Release whenever it has changed.
async fn follow(cluster: &Cluster, name: &str, args: &Args, access: &Access) -> anyhow::Result<()> {
    let mut watch = Watch::begin(cluster, name);
    loop {
        let release = watch.next().await?;
        show(&shown(cluster, &release, args, access).await?)?;
    }
}

async fn shown(
    cluster: &Cluster,
    release: &ReleaseObject,
    args: &Args,
    access: &Access,
) -> anyhow::Result<String> {
    let view = cluster.view(release).await;
    let tree = || tree(&view, Timestamp::now(), &access.words(&view.namespace), Paint::of_stdout());
    Ok(document(args.output, &view)?.unwrap_or_else(tree))
}

/// Shows what is there in place of what was, on a terminal; one after the other anywhere else.
fn show(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if out.is_terminal() {
        // From the upper left corner, and nothing below it.
        write!(out, "\x1b[H\x1b[J{text}")?;
    } else {
        writeln!(out, "{text}")?;
    }
    out.flush()
}
