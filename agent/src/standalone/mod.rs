/*!
The loop: look at the proxies, plan, act, tell; then wait for the next tick or for a command.

The planner decides and this room carries out, in an order that a crash at any point leaves sound: a decision is
saved before it is acted on, and what is in force is read from the ECDS file, never remembered.
*/
mod store;
mod view;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serin_policy::{Document, Leases};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::clock::Clock;
use crate::errors::chain;
use crate::journal::Journal;
use crate::mesh::ecds::{Contents, EcdsDir};
use crate::metrics::Metrics;
use crate::observe::ProxyReport;
use crate::observe::fleet::Fleet;
use crate::view::board::Board;
use serin_release::Release;
use serin_release::status::ReleaseStatus;
use serin_rollout::{Command, CommandKind, Environment, InForce, Observation, Phase, plan};
use store::{State, Store};
pub use view::View;

/// What the agent drives, and where it keeps its things.
#[derive(Debug)]
pub struct Config {
    /// The release to walk.
    pub release: Release,
    /// Admin addresses of the Envoys, e.g. `http://127.0.0.1:9901`.
    pub proxies: Vec<String>,
    /// The folder that the Envoys read their filter from.
    pub ecds_dir: PathBuf,
    /// The agent's own folder: state and audit log.
    pub state_dir: PathBuf,
}

/// A running agent. Dropping it stops the loop; proxies stay as they are.
#[derive(Debug)]
pub struct Handle {
    /// What the agent knows and thinks, after each tick.
    pub view: watch::Receiver<View>,
    /// The agent's own metrics.
    pub metrics: Arc<Metrics>,
    /// The same for people, as they are told of releases in a cluster.
    pub board: Arc<Board>,
    inbox: mpsc::Sender<Message>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Message {
    Command(Command),
    Replace(Box<Release>),
    Stop,
}

impl Handle {
    /// Gives the planner a command at once; what it made of it stands in the view.
    pub async fn command(&self, kind: CommandKind, by: &str) {
        self.send(Message::Command(Command { kind, by: by.to_owned(), person: None })).await;
    }

    /// Takes a new version of the Release document.
    pub async fn replace(&self, release: Release) {
        self.send(Message::Replace(Box::new(release))).await;
    }

    /// Ends the loop after the tick in hand, and gives up the folders.
    pub async fn stop(self) {
        self.send(Message::Stop).await;
        let _ = self.task.await;
    }

    /// A sender of commands that can be handed on.
    pub fn commands(&self) -> Commands {
        Commands(self.inbox.clone())
    }

    async fn send(&self, message: Message) {
        // The loop only ends when it is told to; then nobody is there to mind.
        let _ = self.inbox.send(message).await;
    }
}

/// Sends commands to a running agent.
#[derive(Debug, Clone)]
pub struct Commands(mpsc::Sender<Message>);

impl Commands {
    /// Gives the planner a command.
    pub async fn send(&self, kind: CommandKind, by: &str) {
        let _ = self.0.send(Message::Command(Command { kind, by: by.to_owned(), person: None })).await;
    }
}

/// Starts driving. When this returns, the first look has been taken and the ECDS file is there, so Envoys can be
/// started.
///
/// # Errors
/// When a folder cannot be used or an address is none.
pub async fn start(config: Config) -> anyhow::Result<Handle> {
    let ecds = EcdsDir::open(&config.ecds_dir)?;
    let (store, state) = Store::open(&config.state_dir, config.release.name())?;
    let fleet = Fleet::new(&config.proxies)?;
    let metrics = Arc::new(Metrics::new());
    let (view_sender, view) = watch::channel(View::new(&config.release, &state.status));
    let (inbox, messages) = mpsc::channel(16);
    let board = Arc::new(Board::default());
    let mut standalone = Standalone {
        release: Arc::new(config.release),
        ecds,
        store,
        state,
        fleet,
        metrics: Arc::clone(&metrics),
        journal: Journal::default(),
        clock: Clock::default(),
        view: view_sender,
        told: ReleaseStatus::default(),
        board: Arc::clone(&board),
    };
    standalone.tick(&mut Vec::new()).await?;
    let task = tokio::spawn(standalone.run(messages));
    Ok(Handle { view, metrics, board, inbox, task })
}

struct Standalone {
    release: Arc<Release>,
    ecds: EcdsDir,
    store: Store,
    state: State,
    fleet: Fleet,
    metrics: Arc<Metrics>,
    journal: Journal,
    clock: Clock,
    view: watch::Sender<View>,
    /// What people are told, as the status of a Release has it.
    told: ReleaseStatus,
    board: Arc<Board>,
}

impl Standalone {
    async fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        let mut next = Instant::now() + self.interval();
        // Those whose outcome is not saved yet: a tick that fails loses none.
        let mut commands = Vec::new();
        loop {
            tokio::select! {
                () = sleep_until(next) => {}
                message = messages.recv() => match message {
                    Some(Message::Command(command)) => commands.push(command),
                    Some(Message::Replace(release)) => self.release = release.into(),
                    Some(Message::Stop) | None => return,
                },
            }
            next = Instant::now() + self.interval();
            let metrics = Arc::clone(&self.metrics);
            if let Err(error) = metrics.timed(self.tick(&mut commands)).await {
                // The next tick tries again; until then proxies stay as they are.
                let trouble = chain(error.as_ref());
                tracing::error!("{trouble}");
                self.view.send_modify(|view| view.trouble = Some(trouble));
            }
        }
    }

    fn interval(&self) -> Duration {
        self.release.analysis.interval
    }

    /// One tick. `commands` are heard, and taken out, when what comes of them is saved.
    async fn tick(&mut self, commands: &mut Vec<Command>) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let name = self.release.name().to_owned();
        let moved = self.clock.look(now, self.state.looked);
        if !moved.is_zero() {
            self.state.status.clock_moved(moved);
        }
        self.state.looked = Some(now);
        let contents = self.ecds.read()?;
        let before = self.state.clone();
        let complaint = contents.complaint();
        let ProxyReport {
            proxies,
            blown_fuses,
            counted,
            at_proxies,
            chosen,
            mirrored,
            unassignable,
            users,
            users_of_extras,
            readings,
            outage,
            ..
        } = self.fleet.look(&self.release, &mut self.state.deltas, complaint.as_deref(), now).await;
        let until = contents.lease(&name);
        let in_force = in_force(&contents, &name, now);
        let observation = Observation {
            in_force,
            proxies,
            counted,
            at_proxies,
            chosen,
            mirrored,
            blown_fuses,
            unassignable,
            users,
            users_of_extras,
            readings,
            outage,
            commands: commands.clone(),
            environment: Environment::Standalone,
        };
        let planned = plan(&self.release, &self.state.status, &observation, now);
        if planned.status.run != self.state.status.run {
            self.fleet.clear_latency();
        }
        self.state.status = planned.status.clone();
        if let Err(error) = self.store.save(&self.state) {
            // Nothing of this was decided, then: what was counted counts again in the next tick.
            self.state = before;
            return Err(error);
        }
        commands.clear();
        self.fleet.saved();
        // What is there is not known where the state cannot be read: that is written by nobody, and runs out.
        let is_known = !matches!(planned.status.phase, Phase::Unreadable { .. });
        // Nor is a rise that was decided and waits for proxies: it is not there yet.
        let is_there = matches!(&observation.in_force, InForce::Policy { revision, .. } if *revision == planned.status.revision);
        if planned.push.is_some() || is_known && is_there && planned.term.is_due(until, now) {
            // Without a push it is what is there already, but for the time.
            let policy = planned.status.policy(&self.release);
            let leases: Leases =
                planned.term.lease(until, now).map(|until| (name, until)).into_iter().collect();
            self.ecds.write(&Document { leases, ..Document::new(vec![policy]) })?;
        }
        self.tell(&observation, &planned, now);
        Ok(())
    }
}

fn in_force(contents: &Contents, release: &str, now: Timestamp) -> InForce {
    match contents {
        Contents::Nothing => InForce::Nothing,
        Contents::Unreadable(why) => InForce::Unreadable { why: why.clone() },
        Contents::Policies { .. } => match contents.policy(release) {
            None => {
                let missing = || format!("no policy for {release} in it");
                InForce::Unreadable { why: contents.complaint().unwrap_or_else(missing) }
            }
            Some(policy) => InForce::of(policy, contents.until(release), now),
        },
    }
}
