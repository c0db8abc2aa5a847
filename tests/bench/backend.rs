/*!
The services behind the proxies: as lean as can be, for their work is nobody's question here.
*/
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::Result;
use serin_policy::Arm;

/// A path whose answer says what arrived.
pub(crate) const ECHO: &str = "/echo";

/// Where the two versions answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backends {
    pub(crate) stable: SocketAddr,
    pub(crate) canary: SocketAddr,
}

impl Backends {
    /// Starts both. They answer for as long as this process lives.
    pub(crate) fn start() -> Result<Self> {
        Ok(Self { stable: start(Arm::Stable)?, canary: start(Arm::Canary)? })
    }
}

fn start(arm: Arm) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::Builder::new().name(format!("accept-{}", arm.as_str())).spawn(move || {
        for connection in listener.incoming().flatten() {
            // A connection that breaks shows at the other end, where it is counted.
            let serve = move || drop(serve(connection, arm));
            let _ = thread::Builder::new().name(arm.as_str().to_owned()).spawn(serve);
        }
    })?;
    Ok(address)
}

/// Answers the requests of a connection, none of which has a body, with the version's name in the first line.
fn serve(mut connection: TcpStream, arm: Arm) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let usual = answer(arm.as_str().as_bytes());
    let mut head = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        let length = connection.read(&mut chunk)?;
        if length == 0 {
            return Ok(());
        }
        head.extend_from_slice(&chunk[..length]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        if head.starts_with(format!("GET {ECHO} ").as_bytes()) {
            let body = [arm.as_str().as_bytes(), b"\n", &head].concat();
            connection.write_all(&answer(&body))?;
        } else {
            connection.write_all(&usual)?;
        }
        head.clear();
    }
}

fn answer(body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}
