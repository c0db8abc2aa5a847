/*!
HTTP/3: a listener beside a site's other one, and a client.
*/
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::task::spawn_blocking;

use crate::site::HOST;
use crate::tools::Tool;

/// The listener's name.
pub const LISTENER: &str = "http3";

/// What came back: the headers, and then the trailers if there were any. Nothing at all if there was no answer.
pub type Heads = Vec<Vec<(String, String)>>;

/// A request for [`HOST`].
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// What for.
    pub path: &'a str,
    /// The id in the cookie.
    pub id: &'a str,
    /// Whether the client leaves after a while, without an end.
    pub leaves: bool,
}

/// Adds a listener for HTTP/3 to a bootstrap, of the same routes and filters as its first. Its certificate is put into `folder`.
///
/// # Errors
/// When the certificate cannot be written.
pub fn add_listener(bootstrap: &mut Value, folder: &Path) -> Result<()> {
    let key = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
    let (certificate, private_key) = (folder.join("http3.crt"), folder.join("http3.key"));
    fs::write(&certificate, key.cert.pem())?;
    fs::write(&private_key, key.signing_key.serialize_pem())?;
    let file = |path: &Path| json!({"filename": path});
    let tls = json!({"tls_certificates": [{"certificate_chain": file(&certificate), "private_key": file(&private_key)}]});
    let listeners = bootstrap.pointer_mut("/static_resources/listeners").and_then(Value::as_array_mut);
    let listeners = listeners.context("a bootstrap has listeners")?;
    let mut listener = listeners.first().cloned().context("a bootstrap has a listener")?;
    listener["name"] = LISTENER.into();
    listener["address"]["socket_address"]["protocol"] = "UDP".into();
    listener["udp_listener_config"] =
        json!({"quic_options": {}, "downstream_socket_config": {"prefer_gro": false}});
    listener["filter_chains"][0]["transport_socket"] = json!({
        "name": "envoy.transport_sockets.quic",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.quic.v3.QuicDownstreamTransport",
            "downstream_tls_context": {"common_tls_context": tls},
        },
    });
    let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
    manager["codec_type"] = "HTTP3".into();
    manager["http3_protocol_options"] = json!({});
    listeners.push(listener);
    Ok(())
}

/// Asks one request after the other over one connection.
///
/// # Errors
/// When there is no way to the server.
pub async fn ask(proxy: SocketAddr, requests: &[Ask<'_>]) -> Result<Vec<Heads>> {
    const SCRIPT: &str = include_str!("http3.py");
    /// So long does one stay who leaves, in seconds.
    const STAYS: f64 = 0.5;
    let requests = requests.iter().map(|Ask { path, id, leaves }| {
        json!([path, [["cookie", format!("serin={id}")], ["te", "trailers"]], leaves.then_some(STAYS)])
    });
    let requests = Value::Array(requests.collect()).to_string();
    let package = spawn_blocking(|| Tool::Aioquic.path()).await??;
    let folder = package.ancestors().nth(2).context("the package lies in a folder")?;
    let mut client = Command::new("python3");
    client.args(["-c", SCRIPT, HOST, &proxy.port().to_string(), &requests]);
    client.env("PYTHONPATH", folder).stdin(Stdio::null()).kill_on_drop(true);
    let output = client.output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}
