/*!
An address in front of agents, as their Service is: who connects there gets to the one that is there at the moment.
*/
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::inside::HOST;

/// It is closed when this is dropped.
#[derive(Debug)]
pub struct Front {
    address: String,
    behind: Arc<Mutex<Option<String>>>,
    task: JoinHandle<()>,
}

impl Front {
    pub(super) async fn open() -> Result<Self> {
        let listener = TcpListener::bind((HOST, 0)).await?;
        let address = listener.local_addr()?.to_string();
        let behind = Arc::<Mutex<Option<String>>>::default();
        let shared = Arc::clone(&behind);
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let Some(agent) = shared.lock().unwrap_or_else(PoisonError::into_inner).clone() else {
                    continue;
                };
                tokio::spawn(async move {
                    let mut agent = TcpStream::connect(agent).await?;
                    copy_bidirectional(&mut client, &mut agent).await
                });
            }
        });
        Ok(Self { address, behind, task })
    }

    /// Where others connect.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Who gets what comes from now on.
    pub fn lead_to(&self, agent: &str) {
        *self.behind.lock().unwrap_or_else(PoisonError::into_inner) = Some(agent.to_owned());
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}
