/*!
Tools that are one program of a Go module.
*/
use super::Recipe;
use super::cache::Kept;
use super::go::{self, Go};
use super::needs::GO;

/// A program, by the package that it is built from.
pub(super) trait Program {
    const KEPT: Kept;
    const PACKAGE: &'static str;
}

/// Builds a program once.
pub(super) const fn recipe<P: Program>() -> Recipe {
    Recipe {
        tool: P::KEPT.tool(),
        needs: &[GO],
        at_hand: || P::KEPT.at_hand(),
        bring: |progress| P::KEPT.or_made(|folder| Go::at(folder)?.build(&[P::PACKAGE], "", progress)),
    }
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
