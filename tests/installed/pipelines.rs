/*!
Pipelines: GitHub's workflows by actionlint, GitLab's by its own schema. `tests/istio/pipelines` runs them.
*/
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serin_tests::tools::Tool;
use tempfile::TempDir;

use super::{file, run, said_in};

/// A repository with the files of `from` in the folder `to` of it, each as `edit` makes it.
fn repository(from: &str, to: &str, edit: impl Fn(&str, String) -> String) -> Result<TempDir> {
    let repository = tempfile::tempdir()?;
    let folder = repository.path().join(to);
    std::fs::create_dir_all(&folder)?;
    let mut found = 0;
    for entry in std::fs::read_dir(file(from))? {
        let entry = entry?;
        let name = entry.file_name().into_string().ok().context("a name of text")?;
        std::fs::write(folder.join(&name), edit(&name, std::fs::read_to_string(entry.path())?))?;
        found += 1;
    }
    ensure!(found > 0, "{from} is empty");
    let path = repository.path().to_str().context("a path of text")?;
    run(Path::new("git"), &["init", "--quiet", path])?;
    run(Path::new("git"), &["-C", path, "add", "--all"])?;
    Ok(repository)
}

/// What actionlint says of the workflows of `folder`, as a repository has them that copied them.
fn actionlint(folder: &str, edit: impl Fn(&str, String) -> String) -> Result<Result<String, String>> {
    let repository = repository(folder, ".github/workflows", edit)?;
    // Without shellcheck, which may or may not be there.
    said_in(repository.path(), &Tool::Actionlint.path()?, &["-no-color", "-shellcheck="])
}

const GITHUB: &str = "manifests/ci/github";

#[test]
fn actionlint_finds_nothing_wrong_with_the_workflows() -> Result<()> {
    for folder in [GITHUB, ".github/workflows"] {
        actionlint(folder, |_, text| text)?.map_err(anyhow::Error::msg)?;
    }
    // And what it would not take is told: an input that the called workflow lacks, and a job that is not there.
    for (name, from, to, part) in [
        ("blue-green.yaml", "      release: myapp", "      releas: myapp", "releas"),
        ("serin-release.yaml", "needs: deploy-green", "needs: deploy-gren", "deploy-gren"),
        ("serin-release.yaml", "secrets.kubeconfig", "secrets.kubecfg", "kubecfg"),
    ] {
        let wrong =
            actionlint(GITHUB, |found, text| if found == name { text.replace(from, to) } else { text });
        let refusal = wrong?.err().with_context(|| format!("{to}: it is taken"))?;
        ensure!(refusal.contains(part), "{refusal}");
    }
    Ok(())
}

#[test]
fn what_others_write_is_in_no_script() -> Result<()> {
    let ours = [GITHUB, GITHUB, ".github/workflows"];
    for (folder, name) in ours.into_iter().zip(["blue-green.yaml", "serin-release.yaml", "release.yaml"]) {
        let text = std::fs::read_to_string(file(folder).join(name))?;
        let workflow: serde_json::Value = serde_saphyr::from_str(&text)?;
        let jobs = workflow["jobs"].as_object().context("jobs")?;
        let steps = jobs.values().filter_map(|job| job["steps"].as_array()).flatten();
        for script in steps.filter_map(|step| step["run"].as_str()) {
            // A branch's name could be a command.
            ensure!(!script.contains("${{"), "{name}: an expression becomes a part of this script: {script}");
        }
    }
    Ok(())
}

/// What GitLab's schema says of the pipeline, and which jobs it makes of it.
fn gitlab(edit: impl Fn(&str, String) -> String) -> Result<Result<String, String>> {
    let repository = repository("manifests/ci/gitlab", ".", edit)?;
    let script = Tool::GitlabCi.path()?;
    let args = [script.to_str().context("a path of text")?, "--list-csv"];
    said_in(repository.path(), Path::new("node"), &args)
}

#[test]
fn gitlab_takes_the_pipeline() -> Result<()> {
    let jobs = gitlab(|_, text| text)?.map_err(anyhow::Error::msg)?;
    let of: Vec<Vec<&str>> = jobs.lines().skip(1).map(|line| line.split(';').collect()).collect();
    let jobs: Vec<_> = of.iter().map(|job| (job[0], job[2], job[3])).collect();
    assert_eq!(
        jobs,
        [
            ("build", "build", "on_success"),
            ("test", "test", "on_success"),
            ("deploy-canary", "deploy-canary", "on_success"),
            ("analyze", "analyze", "on_success"),
            ("promote", "promote", "manual"),
            ("rollback", "cleanup", "manual"),
        ]
    );
    for (from, to, part) in [
        ("when: manual", "when: by-hand", "when"),
        ("  extends: .serin\n  stage: analyze", "  extends: .serin\n  stage: analyse", "analyse"),
        ("action: stop", "action: halt", "action"),
    ] {
        let refusal =
            gitlab(|_, text| text.replace(from, to))?.err().with_context(|| format!("{to}: it is taken"))?;
        ensure!(refusal.contains(part), "{to}: {refusal}");
    }
    Ok(())
}
