/*!
crane, which serves a registry of images and pushes them: built from its Go module.
*/
use std::path::PathBuf;

use anyhow::Result;

use super::go::{Go, MEND};
use super::kept;

const MODULE: &str = "github.com/google/go-containerregistry";
const VERSION: &str = "0.22.1";

/// The path to crane, built if it is not in the cache yet.
pub fn crane() -> Result<PathBuf> {
    kept("crane", VERSION, "crane", |folder| {
        let go = Go { requires: &[(MODULE, VERSION)], ..Go::at(folder, MEND)? };
        go.build(&[&format!("{MODULE}/cmd/crane")], folder)
    })
}
