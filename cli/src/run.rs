/*!
`serin run`: the agent in the foreground, until it is told to stop.
*/
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::interval;

use super::{default_state_dir, read_release};
use serin_agent::serve::{Shown, control, pages};
use serin_agent::standalone::{self, Config, Handle};
use serin_release::Release;

/// How often the Release file is looked at for a change.
const FILE_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The Release, a YAML file. It is read again whenever it changes.
    #[arg(long, value_name = "FILE")]
    release: PathBuf,
    /// Admin address of an Envoy, such as `http://127.0.0.1:9901`; may be repeated.
    #[arg(long = "envoy-admin", value_name = "URL", required = true)]
    envoy_admin: Vec<String>,
    /// The folder from which the Envoys read the filter's configuration.
    #[arg(long, value_name = "DIR")]
    ecds_dir: PathBuf,
    /// The agent's folder, for its state, audit log and control socket [default: the folder `agent` in --ecds-dir].
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Address for health, readiness, metrics and status, all read-only.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8686")]
    listen: SocketAddr,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let text = read_text(&args.release)?;
    let release = read_release(&args.release)?;
    let state_dir = args.state.unwrap_or_else(|| default_state_dir(&args.ecds_dir));
    let (listen, interval) = (args.listen, release.analysis.interval);
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("--listen: {listen}: cannot listen there"))?;
    let config =
        Config { release, proxies: args.envoy_admin, ecds_dir: args.ecds_dir, state_dir: state_dir.clone() };
    let handle = standalone::start(config).await?;
    let socket = control::listen(&state_dir)?;
    let shown = Shown {
        view: handle.view.clone(),
        metrics: handle.metrics.clone(),
        board: handle.board.clone(),
        interval,
    };
    tracing::info!(address = %listener.local_addr()?, "serving /healthz /readyz /metrics /status /page");
    let http = tokio::spawn(axum::serve(listener, pages(shown.clone())).into_future());
    let control =
        tokio::spawn(axum::serve(socket, control::commands(shown, handle.commands())).into_future());
    tokio::select! {
        result = follow(&args.release, text, &handle) => result?,
        result = told_to_stop() => result?,
        _ = http => anyhow::bail!("{listen}: the listener has ended"),
        _ = control => anyhow::bail!("the control socket has ended"),
    }
    tracing::info!("stopping; the proxies stay as they are");
    handle.stop().await;
    Ok(())
}

pub(super) async fn told_to_stop() -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Takes every change of the Release file. A version that is wrong is said to be and left out: the one before it
/// stays.
async fn follow(path: &Path, mut text: String, handle: &Handle) -> anyhow::Result<()> {
    let mut ticks = interval(FILE_INTERVAL);
    loop {
        ticks.tick().await;
        let Ok(now) = read_text(path) else { continue };
        if now == text {
            continue;
        }
        text = now;
        match Release::from_yaml(&text) {
            Ok(release) if release.name() == handle.view.borrow().release => {
                tracing::info!(run = release.run(), "the Release file has changed");
                handle.replace(release).await;
            }
            Ok(release) => {
                let name = release.name();
                tracing::error!(
                    "metadata: {name}: this agent runs another release, and only one: start another agent for {name}"
                );
            }
            Err(error) => tracing::error!("the Release file has changed and is not taken: {error}"),
        }
    }
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("--release: {}: cannot read it", path.display()))
}
