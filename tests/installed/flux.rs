/*!
What Flux makes of a Release, by kstatus, and of the example, by its own types.
*/
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use serin_tests::tools::Tool;

use super::argocd::{release, statuses};
use super::{file, run, said};

/// How a Release is by kstatus.
fn kstatus(mut release: Value) -> Result<String> {
    release["apiVersion"] = json!("serin.dev/v1alpha1");
    release["kind"] = json!("Release");
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("release.json");
    std::fs::write(&path, release.to_string())?;
    run(&Tool::Flux.path()?, &["kstatus", path.to_str().context("a path of text")?])
}

/// What kstatus makes of the agent's own statuses: `Current` is healthy, `Failed` is not, and the others are waited for.
const CASES: [(&str, &str); 25] = [
    ("Idle", "Current"),
    ("Preparing", "InProgress"),
    ("Starting", "InProgress"),
    ("Progressing", "InProgress"),
    ("OffPlan", "InProgress"),
    ("Baking", "InProgress"),
    ("Keeping", "Current"),
    ("Promoting", "InProgress"),
    ("Promoted", "Current"),
    ("RollingBack", "InProgress"),
    ("RolledBack", "Failed"),
    ("Aborted", "Failed"),
    ("Unknown", "InProgress"),
    ("Progressing Paused", "InProgress"),
    ("Progressing Suspended", "InProgress"),
    ("Progressing AwaitsApproval", "InProgress"),
    ("Starting AwaitsCutover", "InProgress"),
    ("Keeping AwaitsCleanup", "Current"),
    ("Promoting HandingOver", "InProgress"),
    ("Progressing AwaitsRequests", "InProgress"),
    ("Progressing StableDown", "Failed"),
    ("Progressing Blocked", "Failed"),
    ("Promoting StablePutBack", "Failed"),
    ("Idle StableReplaced", "Failed"),
    ("Progressing InvalidSpec", "Failed"),
];

#[test]
fn kstatus_reads_the_conditions_as_they_are_meant() -> Result<()> {
    let statuses = statuses()?;
    assert_eq!(statuses.len(), CASES.len(), "each of the agent's statuses has a case");
    for (name, expected) in CASES {
        let status = statuses.get(name).with_context(|| format!("the agent gives no status {name}"))?;
        let said = kstatus(release(status))?;
        ensure!(said.starts_with(&format!("{expected}: ")), "{name}: {said}, not {expected}");
    }
    let mut edited = release(&statuses["Promoted"]);
    edited["metadata"]["generation"] = json!(3);
    let said = kstatus(edited)?;
    ensure!(said.starts_with("InProgress: "), "nobody has read the new spec: {said}");
    Ok(())
}

#[test]
fn flux_reads_the_example() -> Result<()> {
    let (flux, example) = (Tool::Flux.path()?, file("manifests/flux/kustomization.yaml"));
    let path = example.to_str().context("a path of text")?;
    run(&flux, &["kustomization", path])?;
    let folder = tempfile::tempdir()?;
    let wrong = folder.path().join("wrong.yaml");
    std::fs::write(&wrong, std::fs::read_to_string(&example)?.replace("healthChecks:", "healthcheck:"))?;
    let refusal = said(&flux, &["kustomization", wrong.to_str().context("a path of text")?])?;
    let refusal = refusal.err().context("it is read")?;
    ensure!(refusal.contains("healthcheck"), "{refusal}");
    Ok(())
}
