/*!
The proxy in a pod: Istio's own agent around a stock Envoy.
*/
use std::fs::OpenOptions;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, ResourceExt};
use serde_json::json;
use serin_local::child;

use super::control_plane::XDS_PORT;
use super::inside::{HOST, Inside};
use super::program::Running;
use super::sandbox::Sandbox;
use super::tokens;
use crate::tools::ISTIO_BOOTSTRAP;

/// The container that is a proxy, as Istio names it.
pub(super) const CONTAINER: &str = "istio-proxy";

/// What its image is until Istio's injector has put a real one there.
pub(super) const IMAGE: &str = "auto";

/// Where a sidecar takes requests from the application that it is beside, as an HTTP proxy.
pub const SIDECAR_PORT: u16 = 18_888;

/// Where Istio's agent looks for the token of its pod's account, in its working directory, and whom the token is for.
const TOKEN: (&str, &str) = ("var/run/secrets/tokens", "istio-token");
const AUDIENCE: &str = "istio-ca";

/// The label by which Istio's injector tells callers that a pod speaks mTLS.
pub(super) const SPEAKS_MTLS: (&str, &str) = ("security.istio.io/tlsMode", "istio");

/// A token by which istiod's authority knows the pod's account.
pub(super) async fn token(client: &Client, pod: &Pod) -> Result<String> {
    let token = tokens::token(client, &pod.namespace().unwrap_or_default(), &account(pod), &[AUDIENCE]).await;
    token.with_context(|| format!("a token of {}", account(pod)))
}

/// What a proxy is to its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It is all there is.
    Gateway,
    /// It is beside an application.
    Sidecar,
}

impl Role {
    /// Istio's injector is told so by this annotation.
    pub(super) fn of(pod: &Pod) -> Self {
        let gateway =
            pod.annotations().get("inject.istio.io/templates").is_some_and(|name| name == "gateway");
        if gateway { Self::Gateway } else { Self::Sidecar }
    }
}

/// Has every connection to the pod arrive at its sidecar, whatever the port, as Istio's init container does it.
///
/// What goes out is left alone: the rules tell the proxy from the application by the user, and the namespaces of an
/// ordinary user have but one, which is root there.
pub(super) async fn capture(inside: &Inside, sandbox: &Sandbox) -> Result<()> {
    const ROOT: &str = "0";
    let mut command = sandbox.command(&inside.istio().join("pilot-agent"));
    command.args(["istio-iptables", "--log_output_level", "default:error"]);
    command.args(["-p", "15001", "-z", "15006", "-u", ROOT, "-g", ROOT, "-m", "REDIRECT"]);
    // But for what the proxy itself serves.
    command.args(["-i", "", "-b", "*", "-d", &format!("15090,15021,15020,{SIDECAR_PORT}")]);
    command.envs(inside.iptables.iter().map(|(name, value)| (name, value)));
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.context("cannot run ip")?;
    let complaint = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "istio-iptables: {}", String::from_utf8_lossy(&complaint).trim());
    Ok(())
}

/// Starts the proxy of `pod` in its network.
pub(super) fn start(inside: &Inside, pod: &Pod, sandbox: &Sandbox, token: &str) -> Result<Running> {
    let name = pod.name_any();
    let namespace = pod.namespace().unwrap_or_default();
    let folder = folder(inside, &namespace, &name);
    let (tokens, name) = (folder.join(TOKEN.0), TOKEN.1);
    std::fs::create_dir_all(&tokens)?;
    std::fs::write(tokens.join(name), token)?;
    let mut command = sandbox.command(&inside.istio().join("pilot-agent"));
    command.args(["proxy", if Role::of(pod) == Role::Gateway { "router" } else { "sidecar" }]);
    command.arg("--domain").arg(format!("{namespace}.svc.cluster.local"));
    command.arg("--templateFile").arg(inside.istio().join(ISTIO_BOOTSTRAP));
    for (variable, value) in environment(inside, pod, sandbox.address(), &folder) {
        command.env(variable, value);
    }
    let log = OpenOptions::new().create(true).append(true).open(log(&folder))?;
    command.current_dir(&folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let child = child::spawn(command).context("cannot run ip")?;
    Ok(Running { child, ready: format!("http://{}:15021/healthz/ready", sandbox.address()) })
}

fn environment(inside: &Inside, pod: &Pod, address: Ipv4Addr, folder: &Path) -> Vec<(&'static str, String)> {
    let config = json!({
        "discoveryAddress": format!("{HOST}:{XDS_PORT}"),
        "controlPlaneAuthPolicy": "NONE",
        "binaryPath": inside.envoy,
        "configPath": folder.join("config"),
        "concurrency": 2,
        "statusPort": 15_020,
        "terminationDrainDuration": "1s",
    });
    let mut environment = vec![
        ("POD_NAME", pod.name_any()),
        ("POD_NAMESPACE", pod.namespace().unwrap_or_default()),
        ("INSTANCE_IP", address.to_string()),
        ("SERVICE_ACCOUNT", account(pod)),
        ("ISTIO_META_CLUSTER_ID", "Kubernetes".to_owned()),
        ("ISTIO_METAJSON_LABELS", json!(pod.labels()).to_string()),
        ("PILOT_CERT_PROVIDER", "none".to_owned()),
        ("PROXY_CONFIG", config.to_string()),
    ];
    if Role::of(pod) == Role::Sidecar {
        environment.push(("ISTIO_META_HTTP_PROXY_PORT", SIDECAR_PORT.to_string()));
    }
    environment
}

/// The account that a pod runs as.
pub(super) fn account(pod: &Pod) -> String {
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
    account.unwrap_or_else(|| "default".to_owned())
}

/// Where the proxy of a pod lives.
pub(super) fn folder(inside: &Inside, namespace: &str, pod: &str) -> PathBuf {
    inside.folder.join("pods").join(namespace).join(pod)
}

/// What it writes there.
pub(super) fn log(folder: &Path) -> PathBuf {
    folder.join("proxy.log")
}
