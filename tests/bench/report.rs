/*!
Tables, on the terminal and in `docs/benchmarks.md`.
*/
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::machine;

/// A table in Markdown, aligned so that it can be read as it is. All columns but the first hold figures.
#[derive(Debug)]
pub(crate) struct Table(Vec<Vec<String>>);

impl Table {
    pub(crate) fn new(columns: &[&str]) -> Self {
        Self(vec![columns.iter().map(|&column| column.to_owned()).collect()])
    }

    pub(crate) fn add(&mut self, row: impl Into<Vec<String>>) {
        self.0.push(row.into());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(rows) = self;
        let columns = rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        for (i, row) in rows.iter().enumerate() {
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                if column == 0 {
                    write!(f, "| {cell:<width$} |")?;
                } else {
                    write!(f, " {cell:>width$} |")?;
                }
            }
            writeln!(f)?;
            if i == 0 {
                for (column, width) in widths.iter().enumerate() {
                    if column == 0 {
                        write!(f, "|{}|", "-".repeat(width + 2))?;
                    } else {
                        write!(f, "{}:|", "-".repeat(width + 1))?;
                    }
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

/// What was measured where, in a line.
pub(crate) fn circumstances(envoy: &Path, seed: u64) -> Result<String> {
    let output = Command::new(envoy).arg("--version").output().context("cannot run Envoy")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // It says `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`, with its path in front.
    let version = said.split_once("version: ").and_then(|(_, build)| build.split('/').nth(1));
    let version = version.unwrap_or("of an unknown version");
    let date = jiff::Zoned::now().date();
    Ok(format!(
        "{date} · {} · Envoy {version} · module of {} kB · seed {seed}",
        machine::describe()?,
        serin_agent::MODULE.len() / 1000
    ))
}

/// Writes `text` to `docs/benchmarks.md`.
pub(crate) fn save(text: &str) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md");
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&path, text).with_context(|| path.display().to_string())
}
