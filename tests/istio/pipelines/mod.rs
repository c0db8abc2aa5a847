/*!
The pipelines of `manifests/ci`, each step's shell run as its service runs it, against a release with users: v2 goes out and v3
is taken back. They have the program from a server, and a kubeconfig that may do what `manifests/ci/rbac.yaml` says.
*/
pub(crate) mod github;
pub(crate) mod gitlab;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serin_tests::mesh::Served;
use tokio::process::Command;

use crate::fixture::{AGENT, Fixture};

/// Variables of a shell.
type Variables = BTreeMap<String, String>;

fn variables<const N: usize>(pairs: [(&str, &str); N]) -> Variables {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// A file of the repository.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// What a pipeline is given.
struct Given {
    /// Where the program is.
    serin: Served,
    /// The kubeconfig of its account.
    kubeconfig: PathBuf,
}

impl Given {
    async fn to(fixture: &Fixture<'_>) -> Result<Self> {
        fixture.namespace.apply(&std::fs::read_to_string(file("manifests/ci/rbac.yaml"))?).await?;
        let serin = fixture.mesh.serve(std::fs::read(AGENT)?).await?;
        let kubeconfig = fixture.mesh.kubeconfig_of(fixture.namespace.name(), "pipeline").await?;
        Ok(Self { serin, kubeconfig })
    }
}

/// What a script has said, and how it ended.
#[derive(Debug)]
struct Ended {
    succeeded: bool,
    said: String,
}

/// Runs a script by bash in `folder` with `variables` and no others. kubectl is there, as on the services' machines.
async fn bash(fixture: &Fixture<'_>, folder: &Path, script: &str, variables: &Variables) -> Result<Ended> {
    let path = folder.join("script.sh");
    std::fs::write(&path, script)?;
    let mut command = Command::new("bash");
    command.args(["--noprofile", "--norc", "-eo", "pipefail"]).arg(&path);
    command.current_dir(folder).env_clear().envs(variables);
    let given = variables.get("PATH").map_or_else(String::new, |path| format!("{path}:"));
    let kubectl = fixture.mesh.inside().kubernetes().display().to_string();
    let usual = std::env::var("PATH").context("PATH")?;
    command.env("PATH", format!("{given}{kubectl}:{usual}"));
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    eprintln!("{said}");
    Ok(Ended { succeeded: output.status.success(), said })
}

impl Ended {
    fn ok(self, what: &str) -> Result<String> {
        ensure!(self.succeeded, "{what}: {}", self.said);
        Ok(self.said)
    }
}
