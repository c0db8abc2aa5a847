/*!
Go programs that are written here, around somebody else's library: what has the library, and no program for it.
*/
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::Recipe;
use super::cache::Kept;
use super::go::{self, Go};
use super::needs::GO;
use super::progress::Progress;

/// A program, by its source.
pub(super) trait Written {
    const KEPT: Kept;
    const SOURCE: &'static str;
}

/// Builds a program once.
pub(super) const fn recipe<W: Written>() -> Recipe {
    Recipe {
        tool: W::KEPT.tool(),
        needs: &[GO],
        at_hand: || W::KEPT.at_hand(),
        bring: |progress| W::KEPT.or_made(|folder| build::<W>(folder, progress)),
    }
}

fn build<W: Written>(folder: &Path, progress: &Progress) -> Result<()> {
    let go = Go::at(folder)?;
    fs::write(folder.join("main.go"), W::SOURCE)?;
    go.build(&["."], "", progress)?;
    // Named after the module.
    Ok(fs::rename(folder.join("tools"), folder.join(W::KEPT.file))?)
}

/// A reader of dashboards that is as strict as Grafana's own schema. Grafana itself takes whatever it is given, and shows
/// what it understands of it.
pub(super) struct GrafanaSchema;

impl Written for GrafanaSchema {
    const KEPT: Kept = Kept { name: "grafana-schema", version: go::GRAFANA_SDK, file: "grafana-schema" };
    const SOURCE: &'static str = include_str!("grafana.go");
}

/// Flux's own reading of its objects, and kstatus, by which it and others tell how an object is.
pub(super) struct Flux;

impl Written for Flux {
    const KEPT: Kept = Kept { name: "flux", version: go::FLUX, file: "flux" };
    const SOURCE: &'static str = include_str!("flux.go");
}
