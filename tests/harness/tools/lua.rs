/*!
The interpreter that Argo CD has in it, as a program of its own.
*/
use super::Recipe;
use super::cache::Kept;
use super::go::{self, Go};
use super::needs::GO;

const KEPT: Kept = Kept { name: "gopher-lua", version: go::LUA, file: "glua" };
const PROGRAM: &str = "github.com/yuin/gopher-lua/cmd/glua";

pub(super) const fn recipe() -> Recipe {
    Recipe {
        tool: KEPT.tool(),
        needs: &[GO],
        at_hand: || KEPT.at_hand(),
        bring: |progress| KEPT.or_made(|folder| Go::at(folder)?.build(&[PROGRAM], "", progress)),
    }
}
