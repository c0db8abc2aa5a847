/*!
A reader of GitLab's pipelines that has GitLab's own schema in it, from npm.
*/
use super::Recipe;
use super::cache::Kept;
use super::needs::NODE;
use super::npm;

/// The last one that Node.js 20 runs.
const KEPT: Kept =
    Kept { name: "gitlab-ci-local", version: "4.65.0", file: "node_modules/gitlab-ci-local/src/index.js" };

pub(super) const fn recipe() -> Recipe {
    Recipe {
        tool: KEPT.tool(),
        needs: &[NODE],
        at_hand: || KEPT.at_hand(),
        bring: |progress| KEPT.or_made(|folder| npm::install(KEPT.name, KEPT.version, folder, progress)),
    }
}
