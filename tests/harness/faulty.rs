/*!
A server that does with a request what its path says, to see what becomes of it elsewhere.
*/
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::protocols::read_head;

/// A faulty server. It is closed when this is dropped.
#[derive(Debug)]
pub struct Faulty {
    address: SocketAddr,
    held: Arc<watch::Sender<usize>>,
    is_released: watch::Sender<bool>,
    server: AbortHandle,
}

impl Faulty {
    /// Starts one on a port of the kernel's choice.
    ///
    /// - `/hang` is never answered,
    /// - `/reset` is answered by hanging up,
    /// - `/broken` has the first bytes of an answer, and then hangs up,
    /// - `/stream` has an answer that goes on until it is [released](Self::release),
    /// - `/fail`, and whatever begins so, is answered with 503,
    /// - `/missing` is answered with 404,
    /// - and everything else with 200.
    ///
    /// # Errors
    /// When there is no port to be had.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let held = Arc::new(watch::Sender::new(0));
        let is_released = watch::Sender::new(false);
        let (holds, released) = (Arc::clone(&held), is_released.subscribe());
        let server = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, Arc::clone(&holds), released.clone()));
            }
        });
        Ok(Self { address, held, is_released, server: server.abort_handle() })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until so many requests have been held, in all its life: those that hang, and streams.
    ///
    /// # Errors
    /// Never, while it is there.
    pub async fn holds(&self, requests: usize) -> Result<()> {
        self.held.subscribe().wait_for(|held| *held >= requests).await?;
        Ok(())
    }

    /// Ends all streams.
    pub fn release(&self) {
        self.is_released.send_replace(true);
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(
    connection: TcpStream,
    held: Arc<watch::Sender<usize>>,
    mut released: watch::Receiver<bool>,
) -> Result<()> {
    let mut connection = BufReader::new(connection);
    loop {
        let request = read_head(&mut connection).await?;
        let path = request.split(' ').nth(1).unwrap_or_default();
        let answer = match path {
            "/hang" => {
                held.send_modify(|held| *held += 1);
                // Until the other side hangs up.
                connection.read_to_end(&mut Vec::new()).await?;
                return Ok(());
            }
            "" | "/reset" => return Ok(()),
            "/broken" => {
                connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nhalf").await?;
                return Ok(());
            }
            "/stream" => {
                connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha").await?;
                held.send_modify(|held| *held += 1);
                released.wait_for(|is_released| *is_released).await?;
                "lf"
            }
            "/missing" => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            _ if path.starts_with("/fail") => "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
            _ => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        };
        connection.write_all(answer.as_bytes()).await?;
    }
}
