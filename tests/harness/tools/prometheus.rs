/*!
A Prometheus: the one that is asked for, the one that is installed, or one that is built.
*/
use std::env;
use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::Recipe;
use super::needs::on_path;
use super::program::{self, Program, Prometheus};

pub(super) const fn recipe() -> Recipe {
    Recipe { at_hand, ..program::recipe::<Prometheus>() }
}

/// What `SERIN_PROMETHEUS` names, or else `prometheus` on `PATH`, or else what was built.
fn at_hand() -> Result<Option<PathBuf>> {
    if let Some(asked_for) = env::var_os("SERIN_PROMETHEUS").map(PathBuf::from) {
        ensure!(asked_for.is_file(), "SERIN_PROMETHEUS names no file: {}", asked_for.display());
        return Ok(Some(asked_for));
    }
    match on_path("prometheus") {
        Some(installed) => Ok(Some(installed)),
        None => Prometheus::KEPT.at_hand(),
    }
}
