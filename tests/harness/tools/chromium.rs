/*!
A browser without a window, from npm: a build of Chromium that is packed for machines with little on them, with the libraries and
the font that it takes.
*/
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;

use super::cache::{Kept, remove};
use super::needs::{NODE, TAR};
use super::npm;
use super::progress::Progress;
use super::{Recipe, Tool};

const KEPT: Kept = Kept { name: "chromium", version: "153.0.0", file: "chromium" };

/// What it is published as.
const PACKAGE: &str = "@sparticuz/chromium";

/// What Node.js does to unpack one file to another.
const UNPACK: &str = "const [from, to] = process.argv.slice(1); const { brotliDecompressSync } = require('zlib'); \
                      const fs = require('fs'); fs.writeFileSync(to, brotliDecompressSync(fs.readFileSync(from)));";

/// Text looks the same on every machine.
const FONTS: &str = "<?xml version=\"1.0\"?><!DOCTYPE fontconfig SYSTEM \"fonts.dtd\"><fontconfig>\
                     <dir prefix=\"relative\">fonts</dir><cachedir prefix=\"relative\">fonts-cache</cachedir></fontconfig>";

pub(super) const fn recipe() -> Recipe {
    Recipe {
        tool: KEPT.tool(),
        needs: &[NODE, TAR],
        at_hand: || KEPT.at_hand(),
        bring: |progress| KEPT.or_made(|folder| unpack(folder, progress)),
    }
}

/// The browser, with what it finds its libraries and its font by.
///
/// # Errors
/// When it cannot be brought.
pub fn chromium() -> Result<(PathBuf, [(&'static str, PathBuf); 2])> {
    let program = Tool::Chromium.path()?;
    let folder = program.parent().context("a file in the cache is in a folder")?;
    let environment =
        [("LD_LIBRARY_PATH", folder.join("lib")), ("FONTCONFIG_FILE", folder.join("fonts.conf"))];
    Ok((program, environment))
}

fn unpack(folder: &Path, progress: &Progress) -> Result<()> {
    let published = folder.join("npm");
    npm::install(PACKAGE, KEPT.version, &published, progress)?;
    let packed = published.join("node_modules").join(PACKAGE).join("bin");
    for (from, to) in
        [("chromium.br", "chromium"), ("al2023.tar.br", "libraries.tar"), ("fonts.tar.br", "fonts.tar")]
    {
        let mut node = Command::new("node");
        node.args(["-e", UNPACK]).arg(packed.join(from)).arg(folder.join(to));
        progress.run(node)?;
    }
    for archive in ["libraries.tar", "fonts.tar"] {
        let mut tar = Command::new("tar");
        tar.arg("-xf").arg(folder.join(archive)).arg("-C").arg(folder);
        progress.run(tar)?;
    }
    std::fs::write(folder.join("fonts.conf"), FONTS)?;
    std::fs::set_permissions(folder.join(KEPT.file), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(remove(&published)?)
}
