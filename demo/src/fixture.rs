/*!
Everything that runs while the demo does: two deployments of the shop, an Envoy in front of them, the agent that
drives it, and the users. All of it is gone when this is dropped.
*/
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serin_policy::{Arm, Document};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::script;
use crate::users::{Users, UsersOptions};
use serin_agent::mesh::bootstrap::{Bootstrap, LISTENER, Protocol, Routes, Upstream, bootstrap};
use serin_agent::mesh::ecds::EcdsDir;
use serin_agent::serve::{PAGE, Shown, control, pages};
use serin_agent::standalone::{self, Config, Handle, View};
use serin_local::envoy::{Envoy, EnvoyOptions};
use serin_local::shop::Shop;
use serin_release::Release;
use serin_rollout::ProxyState;

/// How long Envoy may take to report the first policy.
const PATIENCE: Duration = Duration::from_secs(30);

/// The running parts, in the order in which they are taken down.
pub(super) struct Fixture {
    pub(super) users: Users,
    /// The agent's pages and its control socket.
    _servers: JoinSet<()>,
    pub(super) pages: SocketAddr,
    pub(super) agent: Handle,
    pub(super) state_dir: PathBuf,
    pub(super) envoy: Envoy,
    pub(super) front: SocketAddr,
    pub(super) stable: Shop,
    pub(super) canary: Shop,
    _dir: TempDir,
}

impl Fixture {
    /// Sets the stage for `release`. The users are in when this returns.
    pub(super) async fn set(binary: PathBuf, release: Release, seed: u64) -> Result<Self> {
        let mut seeds = StdRng::seed_from_u64(seed);
        let dir = tempfile::Builder::new().prefix("serin-demo-").tempdir()?;
        let stable = Shop::start(Arm::Stable, script::FIRST, seeds.random()).await?;
        let canary = Shop::start(Arm::Canary, script::GOOD, seeds.random()).await?;

        let (ecds_dir, state_dir) = (dir.path().join("ecds"), dir.path().join("agent"));
        let envoy = start_envoy(binary, dir.path(), &ecds_dir, &release, [&stable, &canary]).await?;
        let front = envoy.listener(LISTENER).context("Envoy has no listener of ours")?;

        let (cookie, interval) = (release.cookie.clone(), release.analysis.interval);
        let proxies = vec![format!("http://{}", envoy.admin())];
        let mut agent =
            standalone::start(Config { release, proxies, ecds_dir, state_dir: state_dir.clone() }).await?;
        let shown = Shown {
            view: agent.view.clone(),
            metrics: agent.metrics.clone(),
            board: agent.board.clone(),
            interval,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (page_address, socket) = (listener.local_addr()?, control::listen(&state_dir)?);
        let mut servers = JoinSet::new();
        let (read_only, commands) = (pages(shown.clone()), control::commands(shown, agent.commands()));
        servers.spawn(async { axum::serve(listener, read_only).await.unwrap_or_default() });
        servers.spawn(async { axum::serve(socket, commands).await.unwrap_or_default() });

        wait_for_proxies(&mut agent).await?;
        let users = Users::start(&UsersOptions {
            address: front,
            host: script::HOST.to_owned(),
            cookie: cookie.context("the demo's release has a cookie")?.name,
            served_by: script::SERVED_BY.to_owned(),
            count: script::USERS,
            rate: script::RATE,
            seed: seeds.random(),
        })?;
        Ok(Self {
            users,
            _servers: servers,
            pages: page_address,
            agent,
            state_dir,
            envoy,
            front,
            stable,
            canary,
            _dir: dir,
        })
    }
}

impl Fixture {
    /// Where the page of the release is, for a browser.
    pub(super) fn page(&self) -> String {
        format!("http://{}{PAGE}/{}", self.pages, script::NAME)
    }

    /// What to try, ready to be pasted.
    pub(super) fn guide(&self) -> String {
        let Self { front, pages, envoy, state_dir, .. } = self;
        let (host, state) = (script::HOST, state_dir.display());
        let (admin, page) = (envoy.admin(), self.page());
        let serin =
            std::env::current_exe().map_or_else(|_| "serin".to_owned(), |path| path.display().to_string());
        format!(
            "
Everything goes on, with another release held at its first step. To try, until Ctrl-C:
  # a new user each time: some get the canary
  curl -si -H 'host: {host}' http://{front}/
  # one user: always the same version
  curl -s -H 'host: {host}' -b jar -c jar http://{front}/
  # a tester, who asks for the canary
  curl -s -H 'host: {host}' -H 'x-canary: canary' http://{front}/
  # the release, in a browser
  {page}
  # the agent
  {serin} status --state {state}
  {serin} resume --state {state}
  {serin} abort --state {state}
  curl -s http://{pages}/status
  curl -s http://{pages}/metrics
  # Envoy
  curl -s 'http://{admin}/stats/prometheus?filter=serin_'"
        )
    }
}

/// Whether all proxies report what the agent wants.
pub(super) fn is_known_to_proxies(view: &View) -> bool {
    let revision = view.status.revision;
    let knows =
        |state: &ProxyState| matches!(state, ProxyState::Runs { revision: runs, .. } if *runs == revision);
    !view.proxies.is_empty() && view.proxies.iter().all(|proxy| knows(&proxy.state))
}

async fn wait_for_proxies(agent: &mut Handle) -> Result<()> {
    if let Ok(known) = timeout(PATIENCE, agent.view.wait_for(is_known_to_proxies)).await {
        known.context("the agent has ended")?;
        return Ok(());
    }
    let reasons: Vec<_> = agent.view.borrow().standing.iter().map(ToString::to_string).collect();
    bail!("Envoy does not take the agent's policy: {}", reasons.join("; "))
}

/// Starts Envoy before the agent, which wants to know its admin port, while Envoy wants to find a configuration of
/// the filter: so it finds one with no policies in it, and the agent finds none.
async fn start_envoy(
    binary: PathBuf,
    dir: &Path,
    ecds_dir: &Path,
    release: &Release,
    [stable, canary]: [&Shop; 2],
) -> Result<Envoy> {
    let ecds = EcdsDir::open(ecds_dir)?;
    ecds.write(&Document::new(Vec::new()))?;
    let upstream =
        |shop: &Shop| Upstream { endpoints: vec![shop.address().into()], protocol: Protocol::Http1 };
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let bootstrap = bootstrap(&Bootstrap {
        admin: anywhere,
        listen: anywhere,
        node: "edge".to_owned(),
        routes: Routes::from(release),
        stable: upstream(stable),
        canary: upstream(canary),
        others: Vec::new(),
        ecds_dir: ecds_dir.to_owned(),
        traces: None,
    });
    let envoy =
        Envoy::start(EnvoyOptions { binary, bootstrap, concurrency: 2, dir: dir.join("envoy") }).await?;
    fs::remove_file(ecds.file())?;
    Ok(envoy)
}
