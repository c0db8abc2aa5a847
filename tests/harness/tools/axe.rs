/*!
What finds on a page what keeps people from using it: a script for a browser, from npm.
*/
use super::Recipe;
use super::cache::Kept;
use super::needs::NODE;
use super::npm;

const KEPT: Kept = Kept { name: "axe-core", version: "4.14.1", file: "node_modules/axe-core/axe.min.js" };

pub(super) const fn recipe() -> Recipe {
    Recipe {
        tool: KEPT.tool(),
        needs: &[NODE],
        at_hand: || KEPT.at_hand(),
        bring: |progress| KEPT.or_made(|folder| npm::install(KEPT.name, KEPT.version, folder, progress)),
    }
}
