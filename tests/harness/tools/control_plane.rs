/*!
What a mesh is made of: etcd, Kubernetes and Istio, built by name from their Go modules.
*/
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::go::{Go, MEND};
use super::kept;

const ETCD: &str = "3.6.5";

const KUBERNETES: &str = "1.34.4";
/// The version of those modules that Kubernetes keeps in its own tree, where nobody else can build against them.
const STAGING: &str = "0.34.4";

const ISTIO: &str = "0.0.0-20260827124520-eed52ebb66ad";
/// Istio pins commits of these that are not tagged; these are the tags next to them.
const ISTIO_REQUIRES: [(&str, &str); 5] = [
    ("istio.io/istio", ISTIO),
    ("istio.io/api", "1.31.1"),
    ("istio.io/client-go", "1.31.1"),
    ("github.com/envoyproxy/go-control-plane/envoy", "1.40.0"),
    ("github.com/envoyproxy/go-control-plane/contrib", "1.36.1-0.20260729145720-a2d8c7492908"),
];

/// Where the programs of a control plane are.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    /// etcd itself.
    pub etcd: PathBuf,
    /// The folder of kube-apiserver, kube-controller-manager and kubectl.
    pub kubernetes: PathBuf,
    /// The folder of pilot-discovery, pilot-agent and istioctl, of Istio's CRDs, and of the bootstrap for its proxies.
    pub istio: PathBuf,
}

/// Istio's CRDs, in [`ControlPlane::istio`].
pub const ISTIO_CRDS: &str = "crd-all.gen.yaml";

/// The template from which pilot-agent makes the bootstrap of an Envoy, in [`ControlPlane::istio`].
pub const ISTIO_BOOTSTRAP: &str = "envoy_bootstrap.json";

/// A control plane's programs, built if they are not in the cache yet.
pub fn control_plane() -> Result<ControlPlane> {
    Ok(ControlPlane {
        etcd: kept("etcd", ETCD, "etcd", build_etcd)?,
        kubernetes: folder_of(&kept("kubernetes", KUBERNETES, "kube-apiserver", build_kubernetes)?)?,
        istio: folder_of(&kept("istio", ISTIO, "pilot-discovery", build_istio)?)?,
    })
}

fn build_etcd(folder: &Path) -> Result<()> {
    const MODULE: &str = "go.etcd.io/etcd/server/v3";
    let go = Go { requires: &[(MODULE, ETCD)], ..Go::at(folder, MEND)? };
    go.build(&[MODULE], &folder.join("etcd"))
}

fn build_kubernetes(folder: &Path) -> Result<()> {
    const VERSION: &str = "k8s.io/component-base/version";
    let minor = KUBERNETES.split('.').nth(1).context("a version has a minor one")?;
    let go = Go {
        requires: &[("k8s.io/kubernetes", KUBERNETES)],
        replaces: Some((&STAGED, STAGING)),
        // Clients parse the version, and some do not take what is there otherwise.
        ldflags: format!(
            "-X {VERSION}.gitVersion=v{KUBERNETES} -X {VERSION}.gitMajor=1 -X {VERSION}.gitMinor={minor}"
        ),
        ..Go::at(folder, MEND)?
    };
    let programs = ["kube-apiserver", "kube-controller-manager", "kubectl"];
    let programs = programs.map(|program| format!("k8s.io/kubernetes/cmd/{program}"));
    go.build(&programs.each_ref().map(String::as_str), folder)
}

fn build_istio(folder: &Path) -> Result<()> {
    const MODULE: &str = "istio.io/istio";
    let go = Go { requires: &ISTIO_REQUIRES, ..Go::at(folder, MEND)? };
    let programs = ["pilot/cmd/pilot-discovery", "pilot/cmd/pilot-agent", "istioctl/cmd/istioctl"];
    let programs = programs.map(|program| format!("{MODULE}/{program}"));
    go.build(&programs.each_ref().map(String::as_str), folder)?;
    let sources = go.sources(MODULE)?;
    let (charts, packaging) = ("manifests/charts/base/files", "tools/packaging/common");
    fs::copy(sources.join(charts).join(ISTIO_CRDS), folder.join(ISTIO_CRDS))?;
    fs::copy(sources.join(packaging).join(ISTIO_BOOTSTRAP), folder.join(ISTIO_BOOTSTRAP))?;
    Ok(())
}

fn folder_of(file: &Path) -> Result<PathBuf> {
    Ok(file.parent().context("a file in the cache is in a folder")?.to_owned())
}

/// The modules that `go.mod` of Kubernetes replaces by folders of its own tree.
const STAGED: [&str; 31] = [
    "k8s.io/api",
    "k8s.io/apiextensions-apiserver",
    "k8s.io/apimachinery",
    "k8s.io/apiserver",
    "k8s.io/cli-runtime",
    "k8s.io/client-go",
    "k8s.io/cloud-provider",
    "k8s.io/cluster-bootstrap",
    "k8s.io/code-generator",
    "k8s.io/component-base",
    "k8s.io/component-helpers",
    "k8s.io/controller-manager",
    "k8s.io/cri-api",
    "k8s.io/cri-client",
    "k8s.io/csi-translation-lib",
    "k8s.io/dynamic-resource-allocation",
    "k8s.io/endpointslice",
    "k8s.io/externaljwt",
    "k8s.io/kms",
    "k8s.io/kube-aggregator",
    "k8s.io/kube-controller-manager",
    "k8s.io/kube-proxy",
    "k8s.io/kube-scheduler",
    "k8s.io/kubectl",
    "k8s.io/kubelet",
    "k8s.io/metrics",
    "k8s.io/mount-utils",
    "k8s.io/pod-security-admission",
    "k8s.io/sample-apiserver",
    "k8s.io/sample-cli-plugin",
    "k8s.io/sample-controller",
];
