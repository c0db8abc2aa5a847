/*!
Connections that die without a word: what was established is dropped in both directions, and nobody is told. New
connections get through.
*/
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::control_plane::API_PORT;
use super::inside::Inside;
use super::{Controller, Mesh};
use crate::tools::Tool;

/// Connections that are dead. They stay so until this is dropped, if either end still believes in them.
#[derive(Debug)]
pub struct Severed<'m> {
    inside: &'m Inside,
    ports: Vec<u16>,
}

impl Mesh {
    /// Lets every connection that `agents` have to the API server die.
    ///
    /// # Errors
    /// When they have none, or there is no iptables.
    pub fn sever(&self, agents: &[&Controller]) -> Result<Severed<'_>> {
        let mut severed = Severed { inside: self.inside(), ports: Vec::new() };
        for agent in agents {
            severed.ports.extend(ports(agent.pid())?);
        }
        ensure!(!severed.ports.is_empty(), "no connection to the API server");
        severed.rules("--insert")?;
        Ok(severed)
    }
}

impl Severed<'_> {
    fn rules(&self, what: &str) -> Result<()> {
        for port in &self.ports {
            for (from, to) in [(*port, API_PORT), (API_PORT, *port)] {
                let mut iptables = Command::new(Tool::Iptables.path()?);
                iptables.args(["--wait", what, "INPUT", "--protocol", "tcp", "--jump", "DROP"]);
                iptables.args(["--source-port", &from.to_string(), "--destination-port", &to.to_string()]);
                iptables.envs(self.inside.iptables.iter().map(|(name, value)| (name, value)));
                let output = iptables.stdin(Stdio::null()).output().context("cannot run iptables")?;
                let said = String::from_utf8_lossy(&output.stderr);
                ensure!(output.status.success(), "iptables {what}: {}", said.trim());
            }
        }
        Ok(())
    }
}

impl Drop for Severed<'_> {
    fn drop(&mut self) {
        // Another connection may have one of the ports by and by.
        if let Err(error) = self.rules("--delete") {
            eprintln!("{error:#}");
        }
    }
}

/// The ports from which a process has connections to the API server.
fn ports(pid: u32) -> Result<Vec<u16>> {
    const ESTABLISHED: &str = "01";
    let folder = format!("/proc/{pid}");
    let sockets = fs::read_dir(Path::new(&folder).join("fd"))?
        .filter_map(|file| fs::read_link(file.ok()?.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect::<Vec<_>>();
    let table = fs::read_to_string(Path::new(&folder).join("net/tcp"))?;
    let port = |address: &str| u16::from_str_radix(address.split_once(':')?.1, 16).ok();
    let ports = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, remote, state, _, _, _, _, _, inode, ..] = fields[..] else { return None };
        let is_theirs = sockets.iter().any(|socket| socket == inode);
        (is_theirs && state == ESTABLISHED && port(remote) == Some(API_PORT)).then(|| port(local)).flatten()
    });
    Ok(ports.collect())
}
