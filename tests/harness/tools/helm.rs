/*!
Helm, which renders and installs charts.
*/
use super::Recipe;
use super::cache::Kept;
use super::go::{self, Go};
use super::needs::GO;

const KEPT: Kept = Kept { name: "helm", version: go::HELM, file: "helm" };
const PROGRAM: &str = "helm.sh/helm/v4/cmd/helm";

pub(super) const fn recipe() -> Recipe {
    Recipe {
        tool: KEPT.tool(),
        needs: &[GO],
        at_hand: || KEPT.at_hand(),
        bring: |progress| KEPT.or_made(|folder| Go::at(folder)?.build(&[PROGRAM], "", progress)),
    }
}
