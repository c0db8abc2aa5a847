/*!
The agent as a process of its own, as an operator would run it, to be watched, commanded and killed.
*/
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use serin_agent::serve::control::Client;
use serin_agent::standalone::View;
use serin_local::child::{self, Child};
use serin_rollout::CommandKind;
use tokio::process::Command;

use crate::site::{Site, eventually};

/// A running agent. It is killed when this is dropped.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    folder: PathBuf,
    client: Client,
}

impl Agent {
    /// Writes `release` to the site's folder and starts an agent for `admins` there. `binary` is the agent's.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(binary: &str, site: &Site, release: &str, admins: &[String]) -> Result<Self> {
        let folder = site.folder.path().to_owned();
        fs::write(folder.join("release.yaml"), release)?;
        let mut command = Command::new(binary);
        command.arg("run").arg("--release").arg(folder.join("release.yaml"));
        command.arg("--ecds-dir").arg(site.ecds_dir()).arg("--state").arg(folder.join("agent"));
        command.args(["--listen", "127.0.0.1:0"]);
        for admin in admins {
            command.args(["--envoy-admin", admin]);
        }
        let log = fs::File::options().create(true).append(true).open(folder.join("agent.log"))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut child = child::spawn(command)?;
        let client = Client::new(&folder.join("agent"))?;
        // The socket of an agent that was killed is still there: only an answer shows that this one is up.
        let up = eventually("the agent to answer", async || client.view().await);
        tokio::select! {
            view = up => { view.with_context(|| log_of(&folder))?; }
            ended = child.wait() => bail!("the agent ended: {}\n{}", ended?, log_of(&folder)),
        }
        Ok(Self { child, folder, client })
    }

    /// What the agent shows.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn view(&self) -> Result<View> {
        self.client.view().await
    }

    /// Gives a command, as somebody called `tester`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn command(&self, kind: CommandKind) -> Result<()> {
        self.client.command(kind, "tester").await
    }

    /// Waits until the view is as wanted, and returns it.
    ///
    /// # Errors
    /// When it never is; with the agent's log.
    pub async fn wait_until(&self, what: &str, wanted: impl Fn(&View) -> bool) -> Result<View> {
        let seen = eventually(what, async || {
            let view = self.view().await?;
            if wanted(&view) {
                Ok(view)
            } else {
                bail!("the view is {}", serde_json::to_string_pretty(&view)?)
            }
        });
        seen.await.with_context(|| log_of(&self.folder))
    }

    /// SIGKILL: no goodbye.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub async fn kill(mut self) -> Result<()> {
        let pid = i32::try_from(self.child.pid())?;
        let pid = Pid::from_raw(pid).context("an agent has a process id")?;
        kill_process(pid, Signal::KILL)?;
        self.child.wait().await?;
        Ok(())
    }

    /// The audit log's entries.
    ///
    /// # Errors
    /// When it is not there or not JSON.
    pub fn audit(&self) -> Result<Vec<Value>> {
        audit_in(&self.folder)
    }

    /// Where it serves its metrics.
    ///
    /// # Errors
    /// When its log does not say.
    pub fn address(&self) -> Result<SocketAddr> {
        let log = self.log();
        // One before this one may have written to the same log.
        let line = log.lines().rfind(|line| line.contains("serving /healthz"));
        let address = line.and_then(|line| line.split_once("127.0.0.1:")).map(|(_, rest)| rest);
        let port = address.and_then(|rest| rest.split(|letter: char| !letter.is_ascii_digit()).next());
        let port = port.with_context(|| format!("no address in {log}"))?.parse()?;
        Ok(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// What the agent wrote to its log so far.
    pub fn log(&self) -> String {
        log_of(&self.folder)
    }
}

/// The entries of the audit log of a site whose agent is gone or not.
///
/// # Errors
/// When it is not there or not JSON.
pub fn audit_in(folder: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(folder.join("agent/audit.jsonl")).context("the audit log")?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn log_of(folder: &Path) -> String {
    fs::read_to_string(folder.join("agent.log")).unwrap_or_default()
}
