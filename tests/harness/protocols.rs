/*!
Servers and clients for what is not plain HTTP/1.1: gRPC over HTTP/2 with its trailers, and WebSockets.
*/
use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::{Result, ensure};
use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::Frame;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::site::HOST;

/// Serves gRPC: every call is answered with `name` as its message and `status` in its trailers.
///
/// # Errors
/// When there is no port to be had.
pub async fn grpc_server(name: &'static str, status: u32) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let service = service_fn(move |_request| async move {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from(status));
                let frames = [Frame::data(Bytes::from_static(name.as_bytes())), Frame::trailers(trailers)];
                let body = StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>)));
                Response::builder().header("content-type", "application/grpc").body(body)
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(connection), service));
        }
    });
    Ok(address)
}

/// What came back from a gRPC call.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// The message.
    pub message: String,
    /// `grpc-status` from the trailers.
    pub status: Option<String>,
    /// `x-served-by` from the headers.
    pub served_by: Option<String>,
}

/// Calls a gRPC method over HTTP/2 without TLS.
///
/// # Errors
/// When there is no answer.
pub async fn grpc_call(proxy: SocketAddr, id: &str) -> Result<Reply> {
    let connection = TokioIo::new(TcpStream::connect(proxy).await?);
    let (mut sender, standalone) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), connection).await?;
    tokio::spawn(standalone);
    let request = Request::post(format!("http://{HOST}/shop.Shop/Buy"))
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("cookie", format!("serin={id}"))
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let text = |map: &HeaderMap, name| map.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let served_by = text(response.headers(), "x-served-by");
    let body = response.into_body().collect().await?;
    let status = body.trailers().and_then(|trailers| text(trailers, "grpc-status"));
    Ok(Reply { message: String::from_utf8(body.to_bytes().to_vec())?, status, served_by })
}

/// Serves WebSockets, as far as a proxy can see them: an upgrade, then bytes both ways. Each line is answered with
/// `name` and the line.
///
/// # Errors
/// When there is no port to be had.
pub async fn websocket_server(name: &'static str) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = BufReader::new(connection);
                read_head(&mut connection).await?;
                connection.write_all(SWITCHING).await?;
                let mut line = String::new();
                while connection.read_line(&mut line).await? > 0 {
                    connection.write_all(format!("{name}: {line}").as_bytes()).await?;
                    line.clear();
                }
                std::io::Result::Ok(())
            });
        }
    });
    Ok(address)
}

const SWITCHING: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

/// Reads up to the empty line and returns what was read.
pub(crate) async fn read_head(connection: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && connection.read_line(&mut head).await? > 0 {}
    Ok(head)
}

/// Upgrades a connection to a WebSocket, says two lines, and returns what came back.
///
/// # Errors
/// When the upgrade or the talk fails.
pub async fn websocket_talk(proxy: SocketAddr, id: &str) -> Result<Vec<String>> {
    let mut connection = BufReader::new(TcpStream::connect(proxy).await?);
    let request = format!(
        "GET /socket HTTP/1.1\r\nhost: {HOST}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\ncookie: serin={id}\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await?;
    let head = read_head(&mut connection).await?;
    ensure!(head.starts_with("HTTP/1.1 101"), "{head}");
    let mut lines = Vec::new();
    for word in ["hello", "again"] {
        connection.write_all(format!("{word}\n").as_bytes()).await?;
        let mut line = String::new();
        connection.read_line(&mut line).await?;
        lines.push(line.trim_end().to_owned());
    }
    Ok(lines)
}
