/*!
A registry of images that pods can pull from, without TLS: by anybody, or with credentials.
*/
use std::fs;

use anyhow::{Context, Result};

use super::Mesh;
use super::inside::free_address;
use super::process::{Plan, Process};

/// Who may push to a private registry and pull from it: name and password.
pub const CREDENTIALS: (&str, &str) = ("robot", "secret");

/// The same as a web server wants it: bcrypt, as cheap as it gets.
const HTPASSWD: &str = "robot:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";

/// A running registry. It ends with this value, and what is in it too.
pub struct Registry<'m> {
    mesh: &'m Mesh,
    address: String,
    _process: Process,
}

impl<'m> Registry<'m> {
    pub(super) async fn start(mesh: &'m Mesh, private: bool) -> Result<Self> {
        let address = free_address()?;
        let folder = mesh.inside.folder.join("registry").join(&address);
        fs::create_dir_all(&folder)?;
        let config = folder.join("config.yaml");
        let storage = "version: 0.1\nlog: {level: warn}\nstorage: {inmemory: {}}";
        let (htpasswd, mut auth) = (folder.join("htpasswd"), String::new());
        if private {
            fs::write(&htpasswd, HTPASSWD)?;
            // Istio's client refuses a realm that is no address, and one of a private network.
            let realm = "https://registry.example.com/";
            auth = format!("auth: {{htpasswd: {{realm: '{realm}', path: '{}'}}}}\n", htpasswd.display());
        }
        let text = format!("{storage}\nhttp: {{addr: '{address}'}}\n{auth}");
        fs::write(&config, text)?;
        let args = ["serve", config.to_str().context("a path of text")?].map(str::to_owned);
        let plan = Plan {
            name: "registry",
            program: mesh.inside.registry.clone(),
            args: args.into(),
            env: Vec::new(),
            folder,
            ready: format!("http://{address}/"),
        };
        let process = Process::up(plan, serin_agent::http::plain().build()?).await;
        Ok(Self { mesh, address, _process: process.context("the registry does not come up")? })
    }

    /// Where it is.
    pub fn address(&self) -> &str {
        &self.address
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
