/*!
A reader of dashboards that is as strict as Grafana's own schema. Grafana itself takes whatever it is given, and shows what it
understands of it.
*/
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::Recipe;
use super::cache::Kept;
use super::go::{self, Go};
use super::needs::GO;
use super::progress::Progress;

const KEPT: Kept = Kept { name: "grafana-schema", version: go::GRAFANA_SDK, file: "grafana-schema" };
const PROGRAM: &str = include_str!("grafana.go");

pub(super) const fn recipe() -> Recipe {
    Recipe {
        tool: KEPT.tool(),
        needs: &[GO],
        at_hand: || KEPT.at_hand(),
        bring: |progress| KEPT.or_made(|folder| build(folder, progress)),
    }
}

fn build(folder: &Path, progress: &Progress) -> Result<()> {
    let go = Go::at(folder)?;
    fs::write(folder.join("main.go"), PROGRAM)?;
    go.build(&["."], "", progress)?;
    // Named after the module.
    Ok(fs::rename(folder.join("tools"), folder.join("grafana-schema"))?)
}
