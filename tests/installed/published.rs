/*!
What a release publishes: the agent's image, pushed to a registry and read back by crane, and what its page says.
*/
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use serin_local::child::{self, Child};
use serin_tests::site::{self, eventually};
use serin_tests::tools::Tool;
use tempfile::{NamedTempFile, TempDir};

use super::{file, run, said};

/// A registry on this machine. It ends with this value.
struct Registry {
    address: String,
    _server: Child,
}

impl Registry {
    /// Returns once it listens; until then it has no port.
    async fn start() -> Result<Self> {
        let log = NamedTempFile::new()?;
        let mut serve = tokio::process::Command::new(Tool::Crane.path()?);
        serve.args(["registry", "serve", "--address", "127.0.0.1:0"]);
        serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.reopen()?);
        let server = child::spawn(serve)?;
        let port = eventually("the registry", async || {
            let log = fs::read_to_string(log.path())?;
            let (_, port) = log.trim_end().split_once("serving on port ").context("no port yet")?;
            Ok(port.parse::<u16>()?)
        })
        .await?;
        Ok(Self { address: format!("127.0.0.1:{port}"), _server: server })
    }

    /// Pushes an image of these binaries, as the release does, and returns its name by digest.
    fn push(&self, name: &str, binaries: &[(&str, &Path)]) -> Result<String> {
        let crane = Tool::Crane.path()?;
        let path = std::env::var("PATH").context("PATH")?;
        let mut push = Command::new(file(".ci/image"));
        push.arg(format!("{}/{name}", self.address));
        push.args(binaries.iter().map(|(architecture, path)| format!("{architecture}={}", path.display())));
        push.env("PATH", format!("{}:{path}", crane.parent().context("a folder")?.display()));
        push.env("CERTIFICATES", file("LICENSE")).stdin(Stdio::null());
        let output = push.output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }
}

/// What crane says.
fn crane(args: &[&str]) -> Result<String> {
    run(&Tool::Crane.path()?, args)
}

#[test]
fn an_image_is_one_static_binary_for_each_architecture() -> Result<()> {
    site::run(check_image())
}

async fn check_image() -> Result<()> {
    let registry = Registry::start().await?;
    let folder = tempfile::tempdir()?;
    let binaries = ["amd64", "arm64"].map(|architecture| (architecture, folder.path().join(architecture)));
    for (architecture, path) in &binaries {
        fs::write(path, format!("a binary for {architecture}"))?;
    }
    let binaries = binaries.each_ref().map(|(architecture, path)| (*architecture, &**path));
    let image = registry.push("serin:1", &binaries)?;
    let again = registry.push("again:1", &binaries)?;
    let digest = |name: &str| name.split_once('@').map(|(_, digest)| digest.to_owned());
    ensure!(digest(&image).is_some() && digest(&image) == digest(&again), "{image}, then {again}");

    let index: Value = serde_json::from_str(&crane(&["manifest", &image])?)?;
    let manifests = index["manifests"].as_array().context("an index")?;
    ensure!(manifests.len() == 2, "{index}");
    for (manifest, (architecture, _)) in manifests.iter().zip(binaries) {
        ensure!(manifest["platform"]["architecture"] == architecture, "{manifest}");
        ensure!(manifest["platform"]["os"] == "linux", "{manifest}");
        let platform = format!("linux/{architecture}");
        let config: Value = serde_json::from_str(&crane(&["config", "--platform", &platform, &image])?)?;
        let part = &config["config"];
        ensure!(part["Entrypoint"] == serde_json::json!(["/serin"]), "{config}");
        ensure!(
            part["Cmd"] == serde_json::json!(["controller"]) && part["User"] == "65532:65532",
            "{config}"
        );
        let tar = folder.path().join("image.tar");
        let tar = tar.to_str().context("a path of text")?;
        crane(&["export", "--platform", &platform, &image, tar])?;
        let files = run(Path::new("tar"), &["-tvf", tar])?;
        let binary = files.lines().find(|line| line.ends_with("serin")).context("the binary")?;
        ensure!(binary.starts_with("-rwxr-xr-x 0/0"), "{files}");
        ensure!(files.contains("etc/ssl/certs/ca-certificates.crt"), "{files}");
        let unpacked = run(Path::new("tar"), &["-xOf", tar, "--wildcards", "*serin"])?;
        ensure!(unpacked == format!("a binary for {architecture}"), "{unpacked}");
    }
    Ok(())
}

/// The files that name a version, in a folder of their own; `edit` changes one of them.
fn versions(edit: impl Fn(&str, String) -> String) -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let chart = "manifests/helm/serin/Chart.yaml";
    for path in
        [".ci/release-notes", "Cargo.toml", chart, "manifests/base/kustomization.yaml", "CHANGELOG.md"]
    {
        let to = folder.path().join(path);
        fs::create_dir_all(to.parent().context("a folder")?)?;
        fs::write(&to, edit(path, fs::read_to_string(file(path))?))?;
        fs::set_permissions(&to, fs::metadata(file(path))?.permissions())?;
    }
    Ok(folder)
}

/// What the release's page would say of the version that is in Cargo.toml.
fn notes(edit: impl Fn(&str, String) -> String) -> Result<Result<String, String>> {
    let folder = versions(edit)?;
    let tag = format!("v{}", env!("CARGO_PKG_VERSION"));
    said(&folder.path().join(".ci/release-notes"), &[&tag])
}

#[test]
fn the_page_of_a_release_is_its_section_of_the_changelog() -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let dated = |path: &str, text: String| match path {
        "CHANGELOG.md" => format!(
            "# Changelog\n\n## Unreleased\n\n- Later.\n\n## {version} (2026-12-01)\n\n- Now.\n\n## 0.0.1\n\n- Before.\n"
        ),
        _ => text,
    };
    let page = notes(dated)?.map_err(anyhow::Error::msg)?;
    assert_eq!(page.trim(), "- Now.");
    let undated = notes(|path, text| dated(path, text).replace(" (2026-12-01)", ""))?;
    assert_eq!(undated.map_err(anyhow::Error::msg)?.trim(), "- Now.");
    for (wrong, part) in [
        ("Cargo.toml", "Cargo.toml: version: is 9.9.9, not "),
        ("manifests/helm/serin/Chart.yaml", "Chart.yaml: version: is 9.9.9, not "),
        ("manifests/base/kustomization.yaml", "kustomization.yaml:   newTag: is 9.9.9, not "),
        ("CHANGELOG.md", "CHANGELOG.md: has no section"),
    ] {
        let edit = |path: &str, text: String| {
            let text = dated(path, text);
            if path == wrong { text.replace(version, "9.9.9") } else { text }
        };
        let refusal = notes(edit)?.err().with_context(|| format!("{wrong}: it is published"))?;
        ensure!(refusal.contains(part), "{wrong}: {refusal}");
    }
    Ok(())
}
