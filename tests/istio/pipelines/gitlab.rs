/*!
The pipeline for GitLab, job by job: what `extends` and `include` make of it is for a tool to say that knows GitLab's pipelines.
*/
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use serin_release::status::{ReleasePhase, RunOutcome};
use serin_tests::mesh::Mesh;
use serin_tests::tools::Tool;
use tokio::process::Command;

use super::{Ended, Given, Variables, bash, file, variables};
use crate::fixture::{Fixture, all_from, check_none_failed};

const FOLDER: &str = "manifests/ci/gitlab";

/// The pipeline as it comes out.
async fn expanded() -> Result<Value> {
    let repository = tempfile::tempdir()?;
    for entry in std::fs::read_dir(file(FOLDER))? {
        let entry = entry?;
        std::fs::copy(entry.path(), repository.path().join(entry.file_name()))?;
    }
    let run = async |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        command.args(args).current_dir(repository.path()).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await?;
        ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    run("git", &["init", "--quiet"]).await?;
    run("git", &["add", "--all"]).await?;
    let script = Tool::GitlabCi.path()?;
    let preview = run("node", &[script.to_str().context("a path of text")?, "--preview"]).await?;
    Ok(serde_saphyr::from_str(preview.trim_start_matches("---"))?)
}

struct Pipeline<'f> {
    fixture: &'f Fixture<'f>,
    yaml: &'f Value,
    /// As the project and the person who runs it give them.
    given: Variables,
}

impl Pipeline<'_> {
    /// Runs a job on a machine of its own: all of its lines in one shell.
    async fn job(&self, name: &str) -> Result<Ended> {
        let job = &self.yaml[name];
        let mut variables = Variables::new();
        for of in [&self.yaml["variables"], &job["variables"]] {
            for (name, value) in of.as_object().into_iter().flatten() {
                variables.insert(name.clone(), value.as_str().context("a text")?.to_owned());
            }
        }
        variables.extend(self.given.clone());
        let lines = ["before_script", "script"].into_iter().filter_map(|part| job[part].as_array()).flatten();
        let lines: Vec<_> = lines.filter_map(Value::as_str).collect();
        ensure!(lines.len() > 4, "{name}: {job}");
        let machine = tempfile::tempdir()?;
        eprintln!("{name}");
        bash(self.fixture, Path::new(machine.path()), &lines.join("\n"), &variables).await
    }
}

/// v2 gets its share, is judged, waits for a person and is promoted. v3 fails: Serin takes it back, the pipeline fails in its
/// stage, and the environment can be stopped all the same. v4 is taken back by stopping the environment.
pub(crate) async fn a_version_goes_out_and_the_next_is_taken_back(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "gitlab", 1).await?;
    let agent = fixture.agent("one").await?;
    fixture.release("{setWeight: 30, pause: {}}", |yaml| yaml).await?;
    fixture.idle().await.with_context(|| agent.log())?;
    let given = Given::to(&fixture).await?;
    let yaml = expanded().await?;
    let namespace = fixture.namespace.name();
    let of = |image: &str| Pipeline {
        fixture: &fixture,
        yaml: &yaml,
        given: variables([
            ("RELEASE", "shop"),
            ("NAMESPACE", namespace),
            ("AGENT_NAMESPACE", namespace),
            ("CONTAINER", "shop"),
            ("IMAGE", image),
            ("TIMEOUT", "3m"),
            ("SERIN_URL", &given.serin.url),
            ("SERIN_SHA256", &given.serin.sha256),
            ("KUBECONFIG", &given.kubeconfig.display().to_string()),
            ("GITLAB_USER_LOGIN", "ann"),
            ("CI_PIPELINE_URL", "https://gitlab.example.com/myapp/-/pipelines/7"),
        ]),
    };
    let traffic = fixture.traffic(100).await?;

    let v2 = of("shop:v2");
    for job in ["deploy-canary", "analyze", "promote"] {
        v2.job(job).await?.ok(job).with_context(|| agent.log())?;
    }
    fixture.outcome(RunOutcome::Promoted).await?;
    fixture.phase(ReleasePhase::Promoted).await?;
    all_from(&traffic, "shop-stable").await?;
    v2.job("rollback").await?.ok("an environment whose version is everybody's")?;
    ensure!(fixture.status().await?.phase == ReleasePhase::Promoted, "it is stopped");

    let v3 = of("shop:v3?errors=50%");
    let deployed = v3.job("deploy-canary").await?;
    // It may be off the air before anybody has looked whether it has its share.
    let failed = if deployed.succeeded { v3.job("analyze").await? } else { deployed };
    ensure!(!failed.succeeded && failed.said.contains("rolled back at 30%"), "{}", failed.said);
    v3.job("rollback").await?.ok("an environment whose version is off the air")?;

    let v4 = of("shop:v4");
    for job in ["deploy-canary", "rollback"] {
        v4.job(job).await?.ok(job).with_context(|| agent.log())?;
    }
    let status = fixture.outcome(RunOutcome::Aborted).await?;
    let because = "ann by https://gitlab.example.com/myapp/-/pipelines/7";
    ensure!(status.message.contains(because), "{}", status.message);
    all_from(&traffic, "shop-stable").await?;
    check_none_failed(&traffic.stop().await?)
}
