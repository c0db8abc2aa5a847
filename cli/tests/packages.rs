//! The manifests by which package managers install `serin`, filled in for archives of the binary that was built.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const PLATFORMS: [&str; 4] = ["linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64"];
const BASE: &str = "https://example.com/v1.2.3";

fn fill(args: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/packages/fill");
    Command::new(script).args(args).output().unwrap()
}

/// Archives as a release has them, each with something of its own beside the binary.
fn archives(folder: &Path) -> PathBuf {
    let archives = folder.join("dist");
    std::fs::create_dir(&archives).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_serin"));
    for platform in PLATFORMS {
        std::fs::write(folder.join("LICENSE"), platform).unwrap();
        let tar = Command::new("tar")
            .args(["--use-compress-program", "gzip -1", "-cf"])
            .arg(archives.join(format!("serin-{platform}.tar.gz")))
            .arg("-C")
            .arg(binary.parent().unwrap())
            .arg("serin")
            .arg("-C")
            .arg(folder)
            .arg("LICENSE")
            .status();
        assert!(tar.unwrap().success());
    }
    archives
}

fn digest(file: &Path) -> String {
    let output = Command::new("sha256sum").arg(file).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

/// What krew's `ValidatePlugin` (internal/index/validation/validate.go) asks for.
fn check_for_krew(plugin: &Value, name: &str) {
    assert_eq!(plugin["apiVersion"], "krew.googlecontainertools.github.com/v1alpha2");
    assert_eq!(plugin["kind"], "Plugin");
    assert_eq!(plugin["metadata"]["name"], name, "the file is called after the plugin");
    let spec = &plugin["spec"];
    let version = spec["version"].as_str().unwrap().strip_prefix('v').unwrap();
    assert_eq!(version.split('.').filter(|part| part.parse::<u32>().is_ok()).count(), 3, "{version}");
    let short = spec["shortDescription"].as_str().unwrap();
    assert!(!short.is_empty() && !short.contains('\n') && short.len() <= 50, "{short}");
    let mut selected = BTreeSet::new();
    for platform in spec["platforms"].as_array().unwrap() {
        let sha256 = platform["sha256"].as_str().unwrap();
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        assert!(sha256.len() == 64 && sha256.bytes().all(is_hex), "{sha256}");
        assert_eq!(platform["bin"], "serin");
        let labels = platform["selector"]["matchLabels"].as_object().unwrap();
        let keys: Vec<_> = labels.keys().map(String::as_str).collect();
        assert_eq!(keys, ["arch", "os"]);
        let name = format!("{}-{}", labels["os"].as_str().unwrap(), labels["arch"].as_str().unwrap());
        assert_eq!(platform["uri"], format!("{BASE}/serin-{name}.tar.gz"));
        assert!(selected.insert(name.clone()), "two for {name}");
    }
    assert_eq!(selected, PLATFORMS.map(str::to_owned).into());
}

#[test]
fn package_managers_get_each_archive_by_its_digest() {
    let folder = TempDir::new().unwrap();
    let archives = archives(folder.path());
    let into = folder.path().join("out");
    let paths = [&archives, &into].map(|path| path.to_str().unwrap());
    let filled = fill(&["1.2.3", BASE, "https://example.com", paths[0], paths[1]]);
    assert!(filled.status.success(), "{filled:?}");
    let krew = std::fs::read_to_string(into.join("serin.yaml")).unwrap();
    let formula = std::fs::read_to_string(into.join("serin.rb")).unwrap();
    check_for_krew(&serde_saphyr::from_str(&krew).unwrap(), "serin");
    for platform in PLATFORMS {
        let digest = digest(&archives.join(format!("serin-{platform}.tar.gz")));
        let uri = format!("uri: \"{BASE}/serin-{platform}.tar.gz\"\n    sha256: \"{digest}\"");
        assert!(krew.contains(&uri), "{uri} is not in {krew}");
        let url = format!("url \"{BASE}/serin-{platform}.tar.gz\"\n      sha256 \"{digest}\"");
        assert!(formula.contains(&url), "{url} is not in {formula}");
    }
    for text in [&krew, &formula] {
        assert!(text.contains("1.2.3") && !text.contains('@') && !text.contains("template"), "{text}");
    }
    // Not every machine has a Ruby.
    if let Ok(checked) = Command::new("ruby").arg("-c").arg(into.join("serin.rb")).output() {
        assert!(checked.status.success(), "{checked:?}");
    }
}

#[test]
fn what_cannot_be_filled_in_is_said() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().to_str().unwrap();
    let good = ["1.2.3", BASE, "https://example.com", path, path];
    for (args, code, says) in [
        (&good[..3], 64, "write fill VERSION"),
        (&["v1.2.3", BASE, good[2], path, path], 64, "without the v"),
        (&["1.2.3", "http://example.com", good[2], path, path], 64, "begins with https://"),
        (&["1.2.3", BASE, "https://x|y", path, path], 64, "has none of"),
        (&good, 1, "serin-linux-amd64.tar.gz: it is not there"),
    ] {
        let said = fill(args);
        let text = String::from_utf8(said.stderr).unwrap();
        assert!(said.status.code() == Some(code) && text.contains(says), "{args:?}: {text}");
    }
}
