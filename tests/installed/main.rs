/*!
What is installed around the agent, each by the tool that people use it with: Helm, promtool, a Prometheus, the Lua of
Argo CD, kstatus, actionlint, and GitLab's schema.
*/
mod alerts;
mod argocd;
mod chart;
mod dashboards;
mod documentation;
mod flux;
mod metrics;
mod pipelines;
mod published;
mod telemetry;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use serin_tests::tools::Tool;

/// A file of the repository.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// What a program says on stdout, or on both when it fails.
fn said(program: &Path, args: &[&str]) -> Result<Result<String, String>> {
    said_in(Path::new("."), program, args)
}

/// What a program says that is run in a folder.
fn said_in(folder: &Path, program: &Path, args: &[&str]) -> Result<Result<String, String>> {
    let output = Command::new(program)
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let [out, err] = [&output.stdout, &output.stderr].map(|out| String::from_utf8_lossy(out).into_owned());
    Ok(if output.status.success() { Ok(out) } else { Err(out + &err) })
}

/// What a program says that must not fail.
fn run(program: &Path, args: &[&str]) -> Result<String> {
    let said = said(program, args)?;
    said.map_err(|error| anyhow::anyhow!("{} {}: {error}", program.display(), args.join(" ")))
}

/// Kubernetes objects by kind, namespace and name.
type Objects = BTreeMap<String, Value>;

/// The objects of a stream of YAML documents.
fn objects(yaml: &str) -> Result<Objects> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml)?;
    let mut objects = Objects::new();
    for object in documents.into_iter().filter(Value::is_object) {
        let metadata = &object["metadata"];
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = [&object["kind"], &metadata["namespace"], &metadata["name"]].map(word).join(" ");
        ensure!(objects.insert(name.clone(), object).is_none(), "there are two of {name}");
    }
    ensure!(!objects.is_empty(), "no objects in {yaml:?}");
    Ok(objects)
}

/// What `kubectl apply -k` would apply.
fn kustomized(folder: &str) -> Result<Objects> {
    let kubectl = Tool::Kubernetes.path()?.with_file_name("kubectl");
    let folder = file(folder);
    objects(&run(&kubectl, &["kustomize", folder.to_str().context("a path of text")?])?)
}

/// The names of Serin's series in a text.
fn series(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("serin_"))
}

/// Fails unless all series of a query are in the documentation.
fn check_series(query: &str) -> Result<()> {
    let page = std::fs::read_to_string(file("docs/series.md"))?;
    let documented: BTreeSet<&str> = series(&page).collect();
    for name in series(query) {
        let base = ["_total", "_bucket"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        ensure!(documented.contains(base), "docs/series.md has no {base}");
    }
    Ok(())
}
