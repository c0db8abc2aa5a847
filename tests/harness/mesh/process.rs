/*!
A server that tests may kill, freeze and start again.
*/
use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serin_local::child::{self, Child};
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::site::eventually;

/// A server as a child process. It ends with this value.
#[derive(Debug)]
pub struct Process {
    plan: Plan,
    client: reqwest::Client,
    child: Mutex<Option<Child>>,
}

/// How a server is started.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(&'static str, String)>,
    /// Where it runs and writes its log.
    pub(super) folder: PathBuf,
    /// Answers 200 once it is ready.
    pub(super) ready: String,
}

impl Process {
    /// Starts it and waits until it is ready.
    pub(super) async fn up(plan: Plan, client: reqwest::Client) -> Result<Self> {
        let process = Self { plan, client, child: Mutex::default() };
        process.start().await?;
        Ok(process)
    }

    /// Kills it, without a chance to say good-bye.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&self) -> Result<()> {
        let mut child = self.child.lock().await.take().context("it does not run")?;
        kill_process(pid(&child)?, Signal::KILL)?;
        child.wait().await?;
        Ok(())
    }

    /// Starts it, as it was started before, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not come up, with the end of its log.
    pub async fn start(&self) -> Result<()> {
        {
            let mut child = self.child.lock().await;
            ensure!(child.is_none(), "{} runs already", self.plan.name);
            *child = Some(self.launch()?);
        }
        self.ready().await
    }

    /// Freezes it: its connections stay, and nobody gets an answer.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP).await
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT).await
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        const LINES: usize = 20;
        let log = std::fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    /// Waits until it is ready.
    async fn ready(&self) -> Result<()> {
        let up = eventually(self.plan.name, async || {
            drop(self.client.get(&self.plan.ready).send().await?.error_for_status()?);
            Ok(())
        });
        up.await.with_context(|| format!("the last words of {}:\n{}", self.plan.name, self.last_words()))
    }

    async fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.lock().await;
        Ok(kill_process(pid(child.as_ref().context("it does not run")?)?, signal)?)
    }

    fn launch(&self) -> Result<Child> {
        let Plan { program, args, env, folder, .. } = &self.plan;
        std::fs::create_dir_all(folder)?;
        let log = OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut command = Command::new(program);
        command.args(args).envs(env.iter().map(|(name, value)| (name, value))).current_dir(folder);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        child::spawn(command).with_context(|| format!("cannot run {}", program.display()))
    }

    fn log(&self) -> PathBuf {
        self.plan.folder.join(format!("{}.log", self.plan.name))
    }
}

fn pid(child: &Child) -> Result<Pid> {
    Pid::from_raw(child.pid().try_into()?).context("a process has an id")
}
