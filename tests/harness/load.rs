/*!
Steady load from callers with known ids, and what became of every single request.
*/
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use crate::client::Client;

/// Load that goes on until it is told to stop.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    callers: JoinSet<Result<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    answered: AtomicU64,
}

impl Load {
    /// Every one of `ids` asks again as soon as it has its answer, on a connection of its own. A request without
    /// an answer ends the load with an error, and so does an answer that `accept` does not take.
    pub fn start(address: SocketAddr, ids: &[String], accept: fn(u16) -> bool) -> Self {
        let shared = Arc::new(Shared::default());
        let mut callers = JoinSet::new();
        for id in ids {
            let (client, cookie, shared) = (Client::new(address), format!("serin={id}"), Arc::clone(&shared));
            callers.spawn(async move {
                while !shared.stop.load(Ordering::Relaxed) {
                    let answer = client.get("/", &[("cookie", &cookie)]).await?;
                    ensure!(accept(answer.status), "{answer:?}");
                    shared.answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        Self { shared, callers }
    }

    /// How many requests have been answered so far.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Stops and says how many requests were answered.
    ///
    /// # Errors
    /// When one was not.
    pub async fn stop(mut self) -> Result<u64> {
        self.shared.stop.store(true, Ordering::Relaxed);
        while let Some(caller) = self.callers.join_next().await {
            caller??;
        }
        Ok(self.answered())
    }
}
