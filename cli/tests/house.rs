//! The walls of the house: what ARCHITECTURE.md says is where it says, and no room knows what it must not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All Rust files below `folder`, with their text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no Rust files");
    found
}

#[test]
fn every_path_in_the_architecture_is_there() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let quoted = text.split('`').skip(1).step_by(2);
    let paths: Vec<_> = quoted
        .filter(|quoted| quoted.contains('/') && !quoted.contains([' ', '<', '{', '*', ':', '\n']))
        .collect();
    assert!(paths.len() > 20, "only {} paths were found", paths.len());
    let missing: Vec<_> = paths.iter().filter(|path| !root().join(path).exists()).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names what is not there: {missing:?}");
}

#[test]
fn every_threat_has_a_test_or_a_reason() {
    let text = std::fs::read_to_string(root().join("docs/security.md")).unwrap();
    let (_, table) = text.split_once("| threat | what holds it | test |\n|---|---|---|\n").unwrap();
    let rows: Vec<_> = table.lines().take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 20, "only {} rows were found", rows.len());
    let code: String = ["policy", "filter", "release", "rollout", "agent", "cli", "tests"]
        .into_iter()
        .flat_map(sources)
        .map(|(_, text)| text)
        .collect();
    for row in rows {
        let columns: Vec<_> = row.trim_matches('|').split(" | ").collect();
        let [_, holds, tests] = columns[..] else { panic!("three columns: {row}") };
        let tests: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        assert!(
            !tests.is_empty() || holds.starts_with("accepted, because "),
            "neither a test nor a reason: {row}"
        );
        for test in tests {
            let name = test.rsplit("::").next().unwrap();
            assert!(code.contains(&format!("fn {name}(")), "there is no test {test}: {row}");
        }
    }
}

/// The names of all that `package` is built with, directly or not.
fn dependencies(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", package, "--edges=normal", "--prefix=none", "--format={p}", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let names = lines.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

#[test]
fn no_room_depends_on_what_it_must_not_know() {
    let io = ["kube", "kube-client", "tokio", "reqwest", "hyper", "axum", "rustix", "anyhow"];
    let adapters = ["serin-agent", "serin", "serin-demo", "serin-local"];
    let check = |room: &str, banned: &[&str]| {
        let known = dependencies(room);
        let found: Vec<_> = banned.iter().filter(|banned| known.contains(**banned)).collect();
        assert!(found.is_empty(), "{room} depends on {found:?}");
    };
    for room in ["serin-policy", "serin-filter", "serin-release", "serin-rollout", "serin-simulate"] {
        check(room, &adapters);
    }
    for room in ["serin-policy", "serin-filter", "serin-release", "serin-rollout"] {
        check(room, &io);
    }
    check("serin-policy", &["proxy-wasm", "k8s-openapi", "jiff", "serin-release", "serin-rollout"]);
    check("serin-filter", &["serin-release", "serin-rollout", "k8s-openapi"]);
    check("serin-release", &["serin-rollout", "proxy-wasm"]);
    check("serin-agent", &["serin", "serin-demo", "serin-simulate", "serin-local"]);
}

#[test]
fn nothing_imports_the_cluster_but_the_command_line() {
    for room in ["agent/src", "demo/src", "simulate/src", "local/src", "rollout/src", "release/src"] {
        for (path, text) in sources(room) {
            let is_inside = path.components().any(|part| part.as_os_str() == "cluster");
            let imports = text.contains("crate::cluster") || text.contains("serin_agent::cluster");
            assert!(is_inside || !imports, "{} imports cluster", path.display());
        }
    }
}

#[test]
fn the_harness_does_not_import_the_demo() {
    for (path, text) in sources("tests/harness") {
        assert!(!text.contains("serin_demo"), "{} imports the demo", path.display());
    }
}

#[test]
fn the_planner_and_the_release_read_no_clock() {
    let clocks = ["Timestamp::now", "SystemTime", "Instant::now", "Zoned::now"];
    for room in ["policy/src", "release/src", "rollout/src"] {
        for (path, text) in sources(room) {
            let found: Vec<_> = clocks.iter().filter(|clock| text.contains(*clock)).collect();
            assert!(found.is_empty(), "{} reads {found:?}", path.display());
        }
    }
}

#[test]
fn a_file_is_read_in_one_sitting() {
    const LONGEST: usize = 420;
    for room in ["policy/src", "filter/src", "release/src", "rollout/src", "agent/src", "cli/src", "demo/src"]
    {
        for (path, text) in sources(room) {
            let lines = text.lines().count();
            assert!(lines <= LONGEST, "{} has {lines} lines", path.display());
        }
    }
}
