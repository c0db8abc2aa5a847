/*!
Go programs, built by name from one module that requires them all: what several of them import is compiled once.
*/
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use super::progress::Progress;

/// The modules of the programs, and those whose versions they leave open.
const REQUIRES: [(&str, &str); 14] = [
    ("go.etcd.io/etcd/server/v3", ETCD),
    ("k8s.io/kubernetes", KUBERNETES),
    ("istio.io/istio", ISTIO),
    // Istio pins commits of these that are not tagged; these are the tags next to them.
    ("istio.io/api", "1.31.1"),
    ("istio.io/client-go", "1.31.1"),
    ("github.com/envoyproxy/go-control-plane/envoy", "1.40.0"),
    ("github.com/envoyproxy/go-control-plane/contrib", "1.36.1-0.20260729145720-a2d8c7492908"),
    ("github.com/google/go-containerregistry", CRANE),
    ("github.com/prometheus/prometheus", PROMETHEUS),
    ("helm.sh/helm/v4", HELM),
    ("github.com/yuin/gopher-lua", LUA),
    ("github.com/grafana/grafana-foundation-sdk/go", GRAFANA_SDK),
    ("github.com/fluxcd/kustomize-controller/api", FLUX),
    ("sigs.k8s.io/cli-utils", "0.37.2"),
];

pub(super) const ETCD: &str = "3.6.8";
/// The one whose libraries Istio is written for.
pub(super) const KUBERNETES: &str = "1.36.1";
pub(super) const ISTIO: &str = "0.0.0-20260827124520-eed52ebb66ad";
pub(super) const CRANE: &str = "0.22.1";
/// 3.15, as a Go module numbers it.
pub(super) const PROMETHEUS: &str = "0.315.0";
/// The one that Istio's own command line has in it, so that most of it is compiled already.
pub(super) const HELM: &str = "4.2.0";
/// The Lua that Argo CD runs health checks with.
pub(super) const LUA: &str = "1.1.1";
/// Grafana's schemas as Go has them.
pub(super) const GRAFANA_SDK: &str = "0.0.22";

pub(super) const REGISTRY: &str = "3.1.2";
pub(super) const ACTIONLINT: &str = "1.7.12";
/// The latest that Go 1.26 builds.
pub(super) const FLUX: &str = "1.9.6";

/// The version of those modules that Kubernetes keeps in its own tree, where nobody else can build against them.
const STAGING: &str = "0.36.1";

/// The module that programs are built from.
#[derive(Debug)]
pub(super) struct Go<'a> {
    /// Where `go.mod` is.
    folder: &'a Path,
}

impl<'a> Go<'a> {
    /// Writes a module to `folder` that requires these alone: for a program that does not build with what the others want.
    pub(super) fn requiring(folder: &'a Path, modules: &[(&str, &str)]) -> Result<Self> {
        fs::write(folder.join("go.mod"), requiring(modules)?)?;
        Ok(Self { folder })
    }

    /// Writes the module to `folder`.
    pub(super) fn at(folder: &'a Path) -> Result<Self> {
        let mut module = requiring(&REQUIRES)?;
        for name in STAGED {
            write!(module, "\nreplace k8s.io/{name} => k8s.io/{name} v{STAGING}\n")?;
        }
        fs::write(folder.join("go.mod"), module)?;
        Ok(Self { folder })
    }

    /// Builds `programs` into the folder. `ldflags` are told to the linker.
    pub(super) fn build(&self, programs: &[&str], ldflags: &str, progress: &Progress) -> Result<()> {
        // At the tests' own work rather than after it, should they run meanwhile.
        let mut build = Command::new("nice");
        build.args(["go", "build", "-v", "-mod=mod"]);
        // Without the clouds that a Prometheus can ask for targets: half of what it is made of.
        build.args(["-tags", "remove_all_sd"]);
        // What debuggers read takes a tenth of the time.
        build.args(["-gcflags", "all=-dwarf=false", "-ldflags", &format!("-s -w {ldflags}")]);
        build.arg("-o").arg(self.folder).args(programs).current_dir(self.folder);
        progress.run(build)
    }

    /// The folder of a module's sources.
    pub(super) fn sources(&self, module: &str) -> Result<PathBuf> {
        let mut list = std::process::Command::new("go");
        list.args(["list", "-mod=mod", "-m", "-f", "{{.Dir}}", module]).current_dir(self.folder);
        let output = list.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("cannot run go")?;
        ensure!(output.status.success(), "go does not know where {module} is (see above)");
        Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
    }
}

/// A `go.mod` with these modules.
fn requiring(modules: &[(&str, &str)]) -> Result<String> {
    let mut module = "module serin.invalid/tools\n\ngo 1.26.0\n".to_owned();
    for (name, version) in modules {
        write!(module, "\nrequire {name} v{version}\n")?;
    }
    Ok(module)
}

/// The modules that `go.mod` of Kubernetes replaces by folders of its own tree, after `k8s.io/`.
const STAGED: [&str; 33] = [
    "api",
    "apiextensions-apiserver",
    "apimachinery",
    "apiserver",
    "cli-runtime",
    "client-go",
    "cloud-provider",
    "cluster-bootstrap",
    "code-generator",
    "component-base",
    "component-helpers",
    "controller-manager",
    "cri-api",
    "cri-client",
    "cri-streaming",
    "csi-translation-lib",
    "dynamic-resource-allocation",
    "endpointslice",
    "externaljwt",
    "kms",
    "kube-aggregator",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
    "metrics",
    "mount-utils",
    "pod-security-admission",
    "sample-apiserver",
    "sample-cli-plugin",
    "sample-controller",
    "streaming",
];
