/*!
Go programs, each built from a module of its own: so versions are the program's, and its sources are not touched.
*/
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::runs;

/// What to do where there is no Go.
pub(super) const MEND: &str = "install Go 1.26 or later";

/// What programs are built from.
#[derive(Debug)]
pub(super) struct Go<'a> {
    /// Modules and their versions, without the `v`.
    pub(super) requires: &'a [(&'a str, &'a str)],
    /// Modules whose version another one's `go.mod` leaves open, and that version.
    pub(super) replaces: Option<(&'a [&'a str], &'a str)>,
    /// What is told to the linker.
    pub(super) ldflags: String,
    /// Where `go.mod` is written.
    pub(super) folder: &'a Path,
}

impl<'a> Go<'a> {
    /// A module without requirements in `folder`. If there is no Go, `mend` says what to do.
    pub(super) fn at(folder: &'a Path, mend: &str) -> Result<Self> {
        runs("go", "version", mend)?;
        Ok(Self { requires: &[], replaces: None, ldflags: String::new(), folder })
    }

    /// Builds `programs` to `output`: a folder, or a file if there is but one.
    pub(super) fn build(&self, programs: &[&str], output: &Path) -> Result<()> {
        self.write_module()?;
        let mut build = Command::new("nice");
        build.args(["go", "build", "-mod=mod", "-ldflags", &self.ldflags, "-o"]).arg(output).args(programs);
        build.current_dir(self.folder).stdin(Stdio::null()).stdout(Stdio::from(io::stderr()));
        let status = build.status().context("cannot run go")?;
        ensure!(status.success(), "go could not build {} (see above)", programs.join(", "));
        Ok(())
    }

    /// The folder of a module's sources.
    pub(super) fn sources(&self, module: &str) -> Result<PathBuf> {
        let mut list = Command::new("go");
        list.args(["list", "-mod=mod", "-m", "-f", "{{.Dir}}", module]).current_dir(self.folder);
        let output = list.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("cannot run go")?;
        ensure!(output.status.success(), "go does not know where {module} is (see above)");
        Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
    }

    fn write_module(&self) -> Result<()> {
        let mut module = "module serin.invalid/tools\n\ngo 1.26\n".to_owned();
        for (name, version) in self.requires {
            write!(module, "\nrequire {name} v{version}\n")?;
        }
        if let Some((names, version)) = self.replaces {
            for name in names {
                write!(module, "\nreplace {name} => {name} v{version}\n")?;
            }
        }
        Ok(fs::write(self.folder.join("go.mod"), module)?)
    }
}
