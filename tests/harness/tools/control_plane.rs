/*!
What a mesh is made of: etcd, Kubernetes and Istio.
*/
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::cache::Kept;
use super::go::{self, Go};
use super::needs::GO;
use super::progress::Progress;
use super::{Recipe, Tool};

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
    let folder_of = |tool: Tool| {
        let program = tool.path()?;
        program.parent().map(Path::to_owned).context("a file in the cache is in a folder")
    };
    Ok(ControlPlane {
        etcd: Tool::Etcd.path()?,
        kubernetes: folder_of(Tool::Kubernetes)?,
        istio: folder_of(Tool::Istio)?,
    })
}

const ETCD: Kept = Kept { name: "etcd", version: go::ETCD, file: "etcd" };
const KUBERNETES: Kept = Kept { name: "kubernetes", version: go::KUBERNETES, file: "kube-apiserver" };
const ISTIO: Kept = Kept { name: "istio", version: go::ISTIO, file: "pilot-discovery" };

pub(super) const fn etcd() -> Recipe {
    Recipe {
        tool: ETCD.tool(),
        needs: &[GO],
        at_hand: || ETCD.at_hand(),
        bring: |progress| ETCD.or_made(|folder| build_etcd(folder, progress)),
    }
}

pub(super) const fn kubernetes() -> Recipe {
    Recipe {
        tool: KUBERNETES.tool(),
        needs: &[GO],
        at_hand: || KUBERNETES.at_hand(),
        bring: |progress| KUBERNETES.or_made(|folder| build_kubernetes(folder, progress)),
    }
}

pub(super) const fn istio() -> Recipe {
    Recipe {
        tool: ISTIO.tool(),
        needs: &[GO],
        at_hand: || ISTIO.at_hand(),
        bring: |progress| ISTIO.or_made(|folder| build_istio(folder, progress)),
    }
}

fn build_etcd(folder: &Path, progress: &Progress) -> Result<()> {
    Go::at(folder)?.build(&["go.etcd.io/etcd/server/v3"], "", progress)?;
    Ok(fs::rename(folder.join("server"), folder.join("etcd"))?)
}

fn build_kubernetes(folder: &Path, progress: &Progress) -> Result<()> {
    const VERSION: &str = "k8s.io/component-base/version";
    let minor = go::KUBERNETES.split('.').nth(1).context("a version has a minor one")?;
    // Clients parse the version, and some do not take what is there otherwise.
    let ldflags = format!(
        "-X {VERSION}.gitVersion=v{} -X {VERSION}.gitMajor=1 -X {VERSION}.gitMinor={minor}",
        go::KUBERNETES
    );
    let programs = ["kube-apiserver", "kube-controller-manager", "kubectl"];
    let programs = programs.map(|program| format!("k8s.io/kubernetes/cmd/{program}"));
    Go::at(folder)?.build(&programs.each_ref().map(String::as_str), &ldflags, progress)
}

fn build_istio(folder: &Path, progress: &Progress) -> Result<()> {
    const MODULE: &str = "istio.io/istio";
    let programs = ["pilot/cmd/pilot-discovery", "pilot/cmd/pilot-agent", "istioctl/cmd/istioctl"];
    let programs = programs.map(|program| format!("{MODULE}/{program}"));
    let go = Go::at(folder)?;
    go.build(&programs.each_ref().map(String::as_str), "", progress)?;
    let sources = go.sources(MODULE)?;
    let (charts, packaging) = ("manifests/charts/base/files", "tools/packaging/common");
    fs::copy(sources.join(charts).join(ISTIO_CRDS), folder.join(ISTIO_CRDS))?;
    fs::copy(sources.join(packaging).join(ISTIO_BOOTSTRAP), folder.join(ISTIO_BOOTSTRAP))?;
    Ok(())
}
