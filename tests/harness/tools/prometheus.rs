/*!
A Prometheus: the one that is asked for, the one that is installed, or one that is built.
*/
use std::env;
use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::go::Go;
use super::{kept, on_path};

/// The version that is built, as a Go module numbers it: 3.15.
const VERSION: &str = "0.315.0";

/// The path to a Prometheus: what `SERIN_PROMETHEUS` names, or else `prometheus` on `PATH`, or else one that is built
/// from its Go module.
pub fn prometheus() -> Result<PathBuf> {
    const MEND: &str = "install Go 1.26 or later, or set SERIN_PROMETHEUS to a Prometheus";
    if let Some(asked_for) = env::var_os("SERIN_PROMETHEUS").map(PathBuf::from) {
        ensure!(asked_for.is_file(), "SERIN_PROMETHEUS names no file: {}", asked_for.display());
        return Ok(asked_for);
    }
    if let Some(installed) = on_path("prometheus") {
        return Ok(installed);
    }
    kept("prometheus", VERSION, "prometheus", |folder| {
        let module = ("github.com/prometheus/prometheus", VERSION);
        let go = Go { requires: &[module], ..Go::at(folder, MEND)? };
        go.build(&["github.com/prometheus/prometheus/cmd/prometheus"], folder)
    })
}
