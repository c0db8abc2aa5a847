/*!
Tools that are one program of a Go module.
*/
use std::path::Path;

use anyhow::Result;

use super::Recipe;
use super::cache::Kept;
use super::go::{self, Go};
use super::needs::GO;
use super::progress::Progress;

/// A program, by the package that it is built from.
pub(super) trait Program {
    const KEPT: Kept;
    const PACKAGE: &'static str;
    /// The module that it is in, where that does not build with what the other programs require.
    const ALONE: Option<&'static str> = None;
}

/// Builds a program once.
pub(super) const fn recipe<P: Program>() -> Recipe {
    Recipe {
        tool: P::KEPT.tool(),
        needs: &[GO],
        at_hand: || P::KEPT.at_hand(),
        bring: |progress| P::KEPT.or_made(|folder| build::<P>(folder, progress)),
    }
}

fn build<P: Program>(folder: &Path, progress: &Progress) -> Result<()> {
    let go = match P::ALONE {
        Some(module) => Go::requiring(folder, &[(module, P::KEPT.version)])?,
        None => Go::at(folder)?,
    };
    go.build(&[P::PACKAGE], "", progress)
}

/// crane, which serves a registry of images and pushes them.
pub(super) struct Crane;

impl Program for Crane {
    const KEPT: Kept = Kept { name: "crane", version: go::CRANE, file: "crane" };
    const PACKAGE: &'static str = "github.com/google/go-containerregistry/cmd/crane";
}

/// Helm, which renders and installs charts.
pub(super) struct Helm;

impl Program for Helm {
    const KEPT: Kept = Kept { name: "helm", version: go::HELM, file: "helm" };
    const PACKAGE: &'static str = "helm.sh/helm/v4/cmd/helm";
}

/// A registry that does what the specification says, of which crane's own leaves parts out.
pub(super) struct Registry;

impl Program for Registry {
    const KEPT: Kept = Kept { name: "registry", version: go::REGISTRY, file: "registry" };
    const PACKAGE: &'static str = "github.com/distribution/distribution/v3/cmd/registry";
    /// Nothing that the others require is older for it.
    const ALONE: Option<&'static str> = Some("github.com/distribution/distribution/v3");
}

/// What lints the workflows of GitHub Actions.
pub(super) struct Actionlint;

impl Program for Actionlint {
    const KEPT: Kept = Kept { name: "actionlint", version: go::ACTIONLINT, file: "actionlint" };
    const PACKAGE: &'static str = "github.com/rhysd/actionlint/cmd/actionlint";
    /// Its YAML is a release candidate, and the others want another one.
    const ALONE: Option<&'static str> = Some("github.com/rhysd/actionlint");
}

/// The Lua that Argo CD has in it, as a program of its own.
pub(super) struct Lua;

impl Program for Lua {
    const KEPT: Kept = Kept { name: "gopher-lua", version: go::LUA, file: "glua" };
    const PACKAGE: &'static str = "github.com/yuin/gopher-lua/cmd/glua";
}

/// What tests rules: always built, by the version that they are written for.
pub(super) struct Promtool;

impl Program for Promtool {
    const KEPT: Kept = Kept { name: "promtool", version: go::PROMETHEUS, file: "promtool" };
    const PACKAGE: &'static str = "github.com/prometheus/prometheus/cmd/promtool";
}

/// Prometheus itself.
pub(super) struct Prometheus;

impl Program for Prometheus {
    const KEPT: Kept = Kept { name: "prometheus", version: go::PROMETHEUS, file: "prometheus" };
    const PACKAGE: &'static str = "github.com/prometheus/prometheus/cmd/prometheus";
}
