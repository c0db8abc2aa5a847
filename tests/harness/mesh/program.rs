/*!
A container whose image is a program of this machine, by its path: `/somewhere/serin-agent:0.1.0`. It runs as its kubelet would
have it: with the container's arguments and variables, `ConfigMaps` as files, and its account's token where programs in a
cluster look for it.
*/
use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, Pod};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{Api, Client, ResourceExt};
use serin_local::child::{self, Child};
use tokio::time::sleep;

use super::control_plane::API_PORT;
use super::inside::{HOST, Inside};
use super::sandbox::Sandbox;
use super::{proxy, tokens};

/// A process that a container is. It ends with this value.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) child: Child,
    /// Answers 200 once it serves.
    pub(super) ready: String,
}

/// Comes back when `url` answers 200.
pub(super) async fn answers(url: &str) -> Result<()> {
    const LOOK: Duration = Duration::from_millis(50);
    let client = serin_agent::http::plain().timeout(Duration::from_secs(1)).build()?;
    while !client.get(url).send().await.is_ok_and(|answer| answer.status().is_success()) {
        sleep(LOOK).await;
    }
    Ok(())
}

/// Whether a container's image is a program.
pub(super) fn is_program(container: &Container) -> bool {
    container.image.as_deref().is_some_and(|image| image.starts_with('/'))
}

/// Puts the files of a pod into its folder: those of its `ConfigMaps`, by volume, and those that tell who it is.
pub(super) async fn furnish(client: &Client, inside: &Inside, pod: &Pod) -> Result<()> {
    let namespace = pod.namespace().unwrap_or_default();
    let folder = folder(inside, pod);
    let account = secrets(&folder).join("kubernetes.io/serviceaccount");
    fs::create_dir_all(&account)?;
    let token = tokens::token(client, &namespace, &proxy::account(pod), &[]).await?;
    fs::write(account.join("token"), token)?;
    fs::write(account.join("namespace"), &namespace)?;
    fs::copy(inside.folder.join("certificates/ca.crt"), account.join("ca.crt"))?;
    let configs: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        let Some(source) = &volume.config_map else { continue };
        let config = configs.get(&source.name).await?;
        let at = folder.join(&volume.name);
        fs::create_dir_all(&at)?;
        for (name, text) in config.data.iter().flatten() {
            fs::write(at.join(name), text)?;
        }
    }
    Ok(())
}

impl Running {
    /// Starts the program of a container in the pod's network.
    pub(super) fn start(inside: &Inside, pod: &Pod, spec: &Container, sandbox: &Sandbox) -> Result<Self> {
        let folder = folder(inside, pod);
        let image = spec.image.as_deref().unwrap_or_default();
        let program = image.rsplit_once(':').map_or(image, |(program, _)| program);
        let mut command = sandbox.command_at(&secrets(&folder), Path::new(program));
        let path = std::env::var_os("PATH").context("PATH")?;
        command.env_clear().env("PATH", path);
        command.env("KUBERNETES_SERVICE_HOST", HOST.to_string());
        command.env("KUBERNETES_SERVICE_PORT", API_PORT.to_string());
        let mounted = |text: &str| {
            // Files are in the pod's folder in place of where they are mounted.
            spec.volume_mounts.iter().flatten().fold(text.to_owned(), |text, mount| {
                text.replace(&mount.mount_path, &folder.join(&mount.name).to_string_lossy())
            })
        };
        for (name, value) in environment(pod, spec, sandbox) {
            command.env(name, mounted(&value));
        }
        command.args(spec.args.iter().flatten().map(|arg| mounted(arg)));
        let log = OpenOptions::new().create(true).append(true).open(log(&folder))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = child::spawn(command).with_context(|| format!("cannot run {program}"))?;
        Ok(Self { child, ready: ready(spec, sandbox)? })
    }
}

/// The variables of a container, in order: those that name earlier ones, as in `http://$(POD_IP)`, have their values.
fn environment(pod: &Pod, spec: &Container, sandbox: &Sandbox) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = Vec::new();
    for EnvVar { name, value, value_from } in spec.env.iter().flatten() {
        let field = value_from.as_ref().and_then(|from| from.field_ref.as_ref());
        let value = match field.map(|field| field.field_path.as_str()) {
            Some("metadata.name") => pod.name_any(),
            Some("metadata.namespace") => pod.namespace().unwrap_or_default(),
            Some("status.podIP") => sandbox.address().to_string(),
            _ => value.clone().unwrap_or_default(),
        };
        let value =
            variables.iter().fold(value, |value, (name, known)| value.replace(&format!("$({name})"), known));
        variables.push((name.clone(), value));
    }
    variables
}

/// What its readiness probe asks.
fn ready(spec: &Container, sandbox: &Sandbox) -> Result<String> {
    let probe = spec.readiness_probe.as_ref().and_then(|probe| probe.http_get.as_ref());
    let probe = probe.context("a program has a readiness probe by HTTP")?;
    let ports: HashMap<_, _> =
        spec.ports.iter().flatten().map(|port| (port.name.as_deref(), port.container_port)).collect();
    let port = match &probe.port {
        IntOrString::Int(port) => *port,
        IntOrString::String(name) => {
            *ports.get(&Some(name.as_str())).context("the probe's port has a name")?
        }
    };
    let path = probe.path.as_deref().unwrap_or("/");
    Ok(format!("http://{}:{port}{path}", sandbox.address()))
}

fn folder(inside: &Inside, pod: &Pod) -> PathBuf {
    proxy::folder(inside, &pod.namespace().unwrap_or_default(), &pod.name_any())
}

fn secrets(folder: &Path) -> PathBuf {
    folder.join("secrets")
}

/// What it writes there.
pub(super) fn log(folder: &Path) -> PathBuf {
    folder.join("program.log")
}
