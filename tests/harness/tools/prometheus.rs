/*!
A Prometheus: the one that is asked for, the one that is installed, or one that is built.
*/
use std::env;
use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::Recipe;
use super::cache::Kept;
use super::go::{self, Go};
use super::needs::{GO, on_path};

const KEPT: Kept = Kept { name: "prometheus", version: go::PROMETHEUS, file: "prometheus" };
const PROGRAM: &str = "github.com/prometheus/prometheus/cmd/prometheus";

pub(super) const fn recipe() -> Recipe {
    Recipe {
        tool: KEPT.tool(),
        needs: &[GO],
        at_hand,
        bring: |progress| KEPT.or_made(|folder| Go::at(folder)?.build(&[PROGRAM], "", progress)),
    }
}

/// What `SERIN_PROMETHEUS` names, or else `prometheus` on `PATH`, or else what was built.
fn at_hand() -> Result<Option<PathBuf>> {
    if let Some(asked_for) = env::var_os("SERIN_PROMETHEUS").map(PathBuf::from) {
        ensure!(asked_for.is_file(), "SERIN_PROMETHEUS names no file: {}", asked_for.display());
        return Ok(Some(asked_for));
    }
    match on_path("prometheus") {
        Some(installed) => Ok(Some(installed)),
        None => KEPT.at_hand(),
    }
}
