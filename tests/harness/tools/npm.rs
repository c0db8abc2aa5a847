/*!
Packages from npm. Their scripts are not run.
*/
use std::path::Path;

use anyhow::Result;
use tokio::process::Command;

use super::Recipe;
use super::cache::Kept;
use super::needs::NODE;
use super::progress::Progress;

/// Packages that are installed together, each as `name@version`.
pub(super) trait Packages {
    const KEPT: Kept;
    const ALL: &'static [&'static str];
}

/// Installs packages once.
pub(super) const fn recipe<P: Packages>() -> Recipe {
    Recipe {
        tool: P::KEPT.tool(),
        needs: &[NODE],
        at_hand: || P::KEPT.at_hand(),
        bring: |progress| P::KEPT.or_made(|folder| install(P::ALL, folder, progress)),
    }
}

pub(super) fn install(packages: &[&str], folder: &Path, progress: &Progress) -> Result<()> {
    let mut install = Command::new("npm");
    install.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]).arg(folder);
    install.args(packages);
    progress.run(install)
}

/// A reader of GitLab's pipelines that has GitLab's own schema in it: the last one that Node.js 20 runs.
pub(super) struct GitlabCi;

impl Packages for GitlabCi {
    const KEPT: Kept = Kept {
        name: "gitlab-ci-local",
        version: "4.65.0",
        file: "node_modules/gitlab-ci-local/src/index.js",
    };
    const ALL: &'static [&'static str] = &["gitlab-ci-local@4.65.0"];
}

/// What others have published of what they read: Argo's and the Prometheus Operator's schemas, the grammar of Loki's queries,
/// and a linter for Tekton. The version is ours, of all of them together.
pub(super) struct Published;

impl Packages for Published {
    const KEPT: Kept =
        Kept { name: "published", version: "1", file: "node_modules/@grafana/lezer-logql/index.es.js" };
    const ALL: &'static [&'static str] = &[
        "@grafana/lezer-logql@0.4.2",
        "@ibm/tekton-lint@1.1.0",
        "@kubernetes-models/argo-cd@4.0.0",
        "@kubernetes-models/argo-rollouts@2.0.0",
        "@kubernetes-models/prometheus-operator@6.0.0",
    ];
}

/// What finds on a page what keeps people from using it: a script for a browser.
pub(super) struct Axe;

impl Packages for Axe {
    const KEPT: Kept = Kept { name: "axe-core", version: "4.14.1", file: "node_modules/axe-core/axe.min.js" };
    const ALL: &'static [&'static str] = &["axe-core@4.14.1"];
}
