/*!
A client that costs next to nothing: a few keep-alive connections, ready-made requests, blocking calls.
*/
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::requests::Request;

/// After this long, an answer will not come any more.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connections to one proxy.
#[derive(Debug)]
pub(crate) struct Client(Vec<Connection>);

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// An answer, as long as the next one has not come.
#[derive(Debug)]
pub(crate) struct Answer<'c> {
    head: &'c [u8],
    pub(crate) body: &'c [u8],
    /// From the request to the answer.
    pub(crate) took: Duration,
}

impl Client {
    /// Connects to the proxy at `address`, as often as there are to be requests under way at a time.
    pub(crate) fn connect(address: SocketAddr, connections: usize) -> Result<Self> {
        let connect = |_| {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(Connection { stream, received: Vec::new() })
        };
        (0..connections).map(connect).collect::<Result<_>>().map(Self)
    }

    /// Sends `requests`, one on each connection at a time, and shows every answer to `take`.
    pub(crate) fn run<'r>(
        &mut self,
        requests: impl IntoIterator<Item = &'r Request>,
        mut take: impl FnMut(&'r Request, &Answer<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut requests = requests.into_iter();
        let mut under_way = Vec::new();
        for connection in &mut self.0 {
            under_way.push(connection.send(requests.next())?);
        }
        while under_way.iter().any(Option::is_some) {
            for (connection, slot) in self.0.iter_mut().zip(&mut under_way) {
                if let Some((request, sent)) = slot.take() {
                    take(request, &connection.receive(sent)?)?;
                    *slot = connection.send(requests.next())?;
                }
            }
        }
        Ok(())
    }
}

impl Connection {
    fn send<'r>(&mut self, request: Option<&'r Request>) -> Result<Option<(&'r Request, Instant)>> {
        let Some(request) = request else { return Ok(None) };
        let sent = Instant::now();
        self.stream.write_all(&request.bytes)?;
        Ok(Some((request, sent)))
    }

    fn receive(&mut self, sent: Instant) -> Result<Answer<'_>> {
        self.received.clear();
        let body_at = loop {
            self.fill()?;
            if let Some(at) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let length = content_length(&self.received[..body_at])?;
        while self.received.len() < body_at + length {
            self.fill()?;
        }
        let (head, body) = self.received.split_at(body_at);
        Ok(Answer { head, body, took: sent.elapsed() })
    }

    fn fill(&mut self) -> Result<()> {
        let mut chunk = [0; 8192];
        let length = self.stream.read(&mut chunk).context("no answer")?;
        ensure!(length > 0, "the connection was closed in mid-answer");
        self.received.extend_from_slice(&chunk[..length]);
        Ok(())
    }
}

impl<'c> Answer<'c> {
    /// Whether the status is 200.
    pub(crate) fn is_ok(&self) -> bool {
        self.head.starts_with(b"HTTP/1.1 200 ")
    }

    /// The value of a header that stands there once.
    pub(crate) fn header(&self, name: &str) -> Option<&'c [u8]> {
        header(self.head, name)
    }

    /// The answer as text, for complaints.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&[self.head, self.body].concat()).into_owned()
    }
}

/// The value of a header, whose name Envoy writes in lower case.
pub(crate) fn header<'h>(head: &'h [u8], name: &str) -> Option<&'h [u8]> {
    let mut lines = head.split(|&byte| byte == b'\n');
    lines.find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b":").map(<[u8]>::trim_ascii))
}

fn content_length(head: &[u8]) -> Result<usize> {
    let value = header(head, "content-length").and_then(|value| std::str::from_utf8(value).ok());
    value.and_then(|value| value.parse().ok()).context("an answer without a length")
}
