/*!
Flagger's load tester: gates that are opened and shut, and commands that are run, for whoever asks as Flagger does.
*/
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use serin_local::child::{self, Child};
use tokio::process::Command;
use tokio::task::spawn_blocking;

use crate::mesh::free_address;
use crate::site::eventually;
use crate::tools::Tool;

/// A running load tester. It is killed when this is dropped.
#[derive(Debug)]
pub struct LoadTester {
    _child: Child,
    client: reqwest::Client,
    address: String,
}

impl LoadTester {
    /// Starts one, where agents in the mesh reach it.
    ///
    /// # Errors
    /// When it cannot be brought, or does not come up.
    pub async fn start() -> Result<Self> {
        let program = spawn_blocking(|| Tool::LoadTester.path()).await??;
        let address = free_address()?;
        let (_, port) = address.split_once(':').context("a port")?;
        let mut command = Command::new(&program);
        command.args(["-port", port, "-log-level", "error"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = child::spawn(command).with_context(|| format!("cannot run {}", program.display()))?;
        let client = serin_agent::http::plain().build()?;
        let tester = Self { _child: child, client, address };
        eventually("the load tester", async || {
            let answer = tester.client.get(tester.url("/healthz")).send().await?;
            ensure!(answer.status().is_success(), "{answer:?}");
            Ok(())
        })
        .await?;
        Ok(tester)
    }

    /// The address of `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Opens or shuts something for a Release, as people do: `/gate/open`, `/gate/close`, `/rollback/open`.
    ///
    /// # Errors
    /// When it does not.
    pub async fn tell(&self, path: &str, namespace: &str, name: &str) -> Result<()> {
        let body = json!({"name": name, "namespace": namespace});
        let answer = self.client.post(self.url(path)).json(&body).send().await?;
        ensure!(answer.status().is_success(), "{answer:?}");
        Ok(())
    }
}
