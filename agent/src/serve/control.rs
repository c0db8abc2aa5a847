/*!
Commands to a running agent: a Unix socket in its folder, and the client that `serin pause` and its like use.
*/
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::StatusCode;
use axum::routing::post;
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;

use super::{Shown, pages};
use crate::http;
use crate::standalone::{Commands, View};
use serin_rollout::CommandKind;

/// Name of the socket in the agent's folder.
const SOCKET: &str = "control.sock";

/// The longest path a Unix socket may have on Linux, its closing zero left out.
const MAX_PATH: usize = 107;

#[derive(Debug, Serialize, Deserialize)]
struct By {
    by: String,
}

/// Listens for commands.
///
/// # Errors
/// When the socket cannot be made.
pub fn listen(state_dir: &Path) -> anyhow::Result<UnixListener> {
    let path = socket(state_dir)?;
    // The folder is locked by this agent: a socket that is there was left by a dead one.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("{}: cannot replace it", path.display()));
        }
        _ => {}
    }
    let listener =
        UnixListener::bind(&path).with_context(|| format!("{}: cannot listen there", path.display()))?;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(listener)
}

fn socket(state_dir: &Path) -> anyhow::Result<PathBuf> {
    let path = state_dir.join(SOCKET);
    let length = path.as_os_str().len();
    if length > MAX_PATH {
        bail!(
            "--state: {}: {length} bytes are too many for a socket's path: give a folder with a shorter path",
            path.display()
        );
    }
    Ok(path)
}

/// The pages, and the commands.
pub fn commands(shown: Shown, commands: Commands) -> Router {
    let command = async |State(commands): State<Commands>,
                         UrlPath(kind): UrlPath<CommandKind>,
                         Query(By { by }): Query<By>| {
        commands.send(kind, &by).await;
        StatusCode::ACCEPTED
    };
    Router::new().route("/commands/{kind}", post(command)).with_state(commands).merge(pages(shown))
}

/// A client of a running agent.
#[derive(Debug)]
pub struct Client {
    client: reqwest::Client,
    socket: PathBuf,
}

impl Client {
    /// A client of the agent whose folder is `state_dir`.
    ///
    /// # Errors
    /// When the folder's path is too long for a socket.
    pub fn new(state_dir: &Path) -> anyhow::Result<Self> {
        let socket = socket(state_dir)?;
        let client = http::plain().unix_socket(socket.clone()).timeout(Duration::from_secs(5)).build()?;
        Ok(Self { client, socket })
    }

    /// What the agent shows.
    ///
    /// # Errors
    /// When no agent answers.
    pub async fn view(&self) -> anyhow::Result<View> {
        let response = self.client.get("http://agent/status").send().await;
        let response = response.map_err(reqwest::Error::without_url).with_context(|| self.nobody())?;
        Ok(response.error_for_status()?.json().await?)
    }

    /// Gives the agent a command.
    ///
    /// # Errors
    /// When no agent answers.
    pub async fn command(&self, kind: CommandKind, by: &str) -> anyhow::Result<()> {
        let kind = serde_json::to_value(kind)?;
        let kind = kind.as_str().context("a command is spelled as one word")?;
        let url = format!("http://agent/commands/{kind}");
        let response = self.client.post(url).query(&By { by: by.to_owned() }).send().await;
        let response = response.map_err(reqwest::Error::without_url).with_context(|| self.nobody())?;
        response.error_for_status()?;
        Ok(())
    }

    fn nobody(&self) -> String {
        format!(
            "--state: {}: no agent answers there: start `serin run` with the same --state",
            self.socket.display()
        )
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn nobody_else_on_the_machine_can_give_commands() {
        let folder = tempfile::tempdir().unwrap();
        // One of a dead agent, which anybody could open, is no matter.
        let stale = UnixListener::bind(socket(folder.path()).unwrap()).unwrap();
        std::fs::set_permissions(socket(folder.path()).unwrap(), PermissionsExt::from_mode(0o777)).unwrap();
        drop(stale);
        let _listener = listen(folder.path()).unwrap();
        let mode = std::fs::metadata(socket(folder.path()).unwrap()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
