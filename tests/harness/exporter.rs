/*!
Something to be scraped that says what it is told to, in Prometheus' text format.
*/
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use axum::Router;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// A running exporter. It is closed when this is dropped.
#[derive(Debug)]
pub struct Exporter {
    address: SocketAddr,
    text: Arc<Mutex<String>>,
    server: AbortHandle,
}

impl Exporter {
    /// Opens one that says nothing yet.
    ///
    /// # Errors
    /// When there is no port for it.
    pub async fn start() -> Result<Self> {
        let text = Arc::new(Mutex::new(String::new()));
        let said = Arc::clone(&text);
        let page = async move || {
            let text = said.lock().expect("nobody panics with it").clone();
            ([("content-type", "text/plain; version=0.0.4")], text)
        };
        let (address, server) = serve(Router::new().fallback(page)).await?;
        Ok(Self { address, text, server })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says these series, each spelled `name{labels}`, from now on.
    pub fn say<S: std::fmt::Display>(&self, series: impl IntoIterator<Item = (S, u64)>) {
        let mut text = String::new();
        for (series, value) in series {
            writeln!(text, "{series} {value}").expect("a string takes everything");
        }
        *self.text.lock().expect("nobody panics with it") = text;
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Serves `router` on a port of the kernel's choice.
///
/// # Errors
/// When there is none.
pub async fn serve(router: Router) -> Result<(SocketAddr, AbortHandle)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((address, server.abort_handle()))
}
