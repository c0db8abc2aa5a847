/*!
A registry of images that pods can pull from, without TLS and without credentials.
*/
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::Mesh;
use super::inside::free_address;
use super::process::{Plan, Process};

/// A running registry. It ends with this value, and what is in it too.
pub struct Registry<'m> {
    mesh: &'m Mesh,
    address: String,
    folder: PathBuf,
    _process: Process,
}

impl<'m> Registry<'m> {
    pub(super) async fn start(mesh: &'m Mesh) -> Result<Self> {
        let address = free_address()?;
        let folder = mesh.inside.folder.join("registry").join(&address);
        let args = ["registry", "serve", "--address", &address].map(str::to_owned);
        let plan = Plan {
            name: "registry",
            program: mesh.inside.crane.clone(),
            args: args.into(),
            env: Vec::new(),
            folder: folder.clone(),
            ready: format!("http://{address}/v2/"),
        };
        let process = Process::up(plan, serin_agent::http::plain().build()?).await;
        Ok(Self { mesh, address, folder, _process: process.context("the registry does not come up")? })
    }

    /// Pushes `module` as Istio wants it, the file `plugin.wasm` in the one layer of an image, and returns the image's
    /// name: that of its manifest.
    ///
    /// # Errors
    /// When it cannot be packed, or the registry refuses it.
    pub async fn push(&self, module: &[u8]) -> Result<String> {
        fs::write(self.folder.join("plugin.wasm"), module)?;
        let folder = self.folder.to_str().context("a path of text")?;
        let layer = &format!("{folder}/layer.tar.gz");
        self.mesh.run("tar".as_ref(), &["-C", folder, "-czf", layer, "plugin.wasm"]).await?;
        let name = format!("{}/serin/filter:1", self.address);
        self.crane(&["append", "--oci-empty-base", "--new_layer", layer, "--new_tag", &name]).await
    }

    /// Pushes an index of one image, as builders for several platforms do, and returns the index's name.
    ///
    /// # Errors
    /// When the registry refuses it.
    pub async fn push_index(&self, image: &str) -> Result<String> {
        let name = format!("{}/serin/filter:index", self.address);
        let image = image.trim_start_matches("oci://");
        self.crane(&["index", "append", "--manifest", image, "--tag", &name]).await
    }

    async fn crane(&self, args: &[&str]) -> Result<String> {
        let name = self.mesh.run(&self.mesh.inside.crane, args).await?;
        Ok(format!("oci://{}", name.trim()))
    }
}
