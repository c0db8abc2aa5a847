/*!
Flagger's load tester, for which many hooks were written. It is built from a module of its own: Flagger goes by other versions of
Kubernetes' libraries than the mesh.
*/
use super::Recipe;
use super::cache::Kept;
use super::go::Go;
use super::needs::GO;

const FLAGGER: &str = "1.44.0";

const KEPT: Kept = Kept { name: "flagger-loadtester", version: FLAGGER, file: "loadtester" };

pub(super) const fn recipe() -> Recipe {
    Recipe {
        tool: KEPT.tool(),
        needs: &[GO],
        at_hand: || KEPT.at_hand(),
        bring: |progress| {
            KEPT.or_made(|folder| {
                let go = Go::requiring(folder, &[("github.com/fluxcd/flagger", FLAGGER)])?;
                go.build(&["github.com/fluxcd/flagger/cmd/loadtester"], "", progress)
            })
        },
    }
}
