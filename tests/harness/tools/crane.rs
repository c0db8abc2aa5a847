/*!
crane, which serves a registry of images and pushes them.
*/
use super::Recipe;
use super::cache::Kept;
use super::go::{self, Go};
use super::needs::GO;

const KEPT: Kept = Kept { name: "crane", version: go::CRANE, file: "crane" };
const PROGRAM: &str = "github.com/google/go-containerregistry/cmd/crane";

pub(super) const fn recipe() -> Recipe {
    Recipe {
        tool: KEPT.tool(),
        needs: &[GO],
        at_hand: || KEPT.at_hand(),
        bring: |progress| KEPT.or_made(|folder| Go::at(folder)?.build(&[PROGRAM], "", progress)),
    }
}
