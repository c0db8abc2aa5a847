/*!
A Prometheus: the one that is asked for, the one that is installed, or one that is built. Its promtool is always built,
so that rules are tested by the version that they are written for.
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

const PROMTOOL: Kept = Kept { name: "promtool", version: go::PROMETHEUS, file: "promtool" };
const PROMTOOL_PROGRAM: &str = "github.com/prometheus/prometheus/cmd/promtool";

pub(super) const fn promtool() -> Recipe {
    Recipe {
        tool: PROMTOOL.tool(),
        needs: &[GO],
        at_hand: || PROMTOOL.at_hand(),
        bring: |progress| PROMTOOL.or_made(|folder| Go::at(folder)?.build(&[PROMTOOL_PROGRAM], "", progress)),
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
