/*!
The workflow for GitHub, job by job, as its runner does it: each step's shell, with the variables that the jobs before have set.
*/
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use serin_release::status::{ReleasePhase, RunOutcome};
use serin_tests::mesh::Mesh;
use serin_tests::site::PREVIEW_HOST;

use super::{Ended, Given, Variables, bash, file, variables};
use crate::blue_green::blue_green;
use crate::fixture::{Fixture, all_from, check_none_failed};

struct Workflow<'f> {
    fixture: &'f Fixture<'f>,
    given: &'f Given,
    /// As it is called.
    inputs: Variables,
    yaml: Value,
}

impl<'f> Workflow<'f> {
    fn called(fixture: &'f Fixture<'f>, given: &'f Given, with: &Variables) -> Result<Self> {
        let text = std::fs::read_to_string(file("manifests/ci/github/serin-release.yaml"))?;
        let yaml: Value = serde_saphyr::from_str(&text)?;
        let mut inputs = Variables::new();
        for (name, input) in yaml["on"]["workflow_call"]["inputs"].as_object().context("inputs")? {
            let value = with.get(name).map(String::as_str).or(input["default"].as_str());
            inputs.insert(name.clone(), value.with_context(|| format!("no input {name}"))?.to_owned());
        }
        Ok(Self { fixture, given, inputs, yaml })
    }

    /// What a value comes to that may be an expression.
    fn value(&self, text: &str) -> Result<String> {
        let Some(expression) = text.strip_prefix("${{ ").and_then(|text| text.strip_suffix(" }}")) else {
            ensure!(!text.contains("${{"), "{text}: not a whole expression");
            return Ok(text.to_owned());
        };
        match expression.split_once('.') {
            Some(("inputs", name)) => {
                self.inputs.get(name).cloned().with_context(|| format!("no input {name}"))
            }
            Some(("secrets", "kubeconfig")) => Ok(std::fs::read_to_string(&self.given.kubeconfig)?),
            _ => bail!("{expression}: what is that?"),
        }
    }

    fn environment(&self, of: &Value) -> Result<Variables> {
        let pairs = of["env"].as_object().into_iter().flatten();
        pairs
            .map(|(name, value)| Ok((name.clone(), self.value(value.as_str().context("a text")?)?)))
            .collect()
    }

    /// Runs a job on a machine of its own.
    async fn job(&self, name: &str) -> Result<Ended> {
        let job = &self.yaml["jobs"][name];
        let machine = tempfile::tempdir()?;
        let place = |name: &str| machine.path().join(name).display().to_string();
        let mut environment = self.environment(&self.yaml)?;
        environment.extend(variables([
            ("RUNNER_TEMP", &place("")),
            ("GITHUB_ENV", &place("env")),
            ("GITHUB_PATH", &place("path")),
            ("GITHUB_STEP_SUMMARY", &place("summary")),
            ("GITHUB_ACTOR", "ann"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_REPOSITORY", "example/myapp"),
            ("GITHUB_RUN_ID", "7"),
        ]));
        let mut ended = Ended { succeeded: true, said: String::new() };
        for step in job["steps"].as_array().with_context(|| format!("no job {name}"))? {
            let Some(script) = step["run"].as_str() else {
                ensure!(
                    step["uses"].as_str().is_some_and(|uses| uses.starts_with("actions/checkout@")),
                    "{step}"
                );
                continue;
            };
            match step["if"].as_str() {
                None if ended.succeeded => {}
                Some("failure()") if !ended.succeeded => {}
                None | Some("failure()") => continue,
                Some(other) => bail!("{other}: what is that?"),
            }
            eprintln!("{name}: {}", step["name"]);
            let mut with = environment.clone();
            with.extend(self.environment(step)?);
            let step = bash(self.fixture, machine.path(), script, &with).await?;
            ended.succeeded &= step.succeeded;
            ended.said += &step.said;
            for line in read(&place("env")).lines() {
                let (name, value) = line.split_once('=').with_context(|| format!("{line}: no variable"))?;
                environment.insert(name.to_owned(), value.to_owned());
            }
            let path: Vec<_> = read(&place("path")).lines().rev().map(str::to_owned).collect();
            environment.insert("PATH".to_owned(), path.join(":"));
        }
        Ok(ended)
    }

    /// Runs the jobs of an action, each after those that it needs.
    async fn jobs<const N: usize>(&self, names: [&str; N]) -> Result<()> {
        for (at, name) in names.iter().enumerate() {
            let needs = &self.yaml["jobs"][name]["needs"];
            ensure!(needs.as_str() == at.checked_sub(1).map(|before| names[before]), "{name} needs {needs}");
            self.job(name).await?.ok(name)?;
        }
        Ok(())
    }
}

/// What a step has left in a file, if anything.
fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// v2 is deployed, tested, switched to and watched, and blue is let go; v3 goes the same way, and a person takes it back.
pub(crate) async fn a_version_goes_out_and_the_next_is_taken_back(mesh: &Mesh) -> Result<()> {
    let fields = "cutover: Manual, keep: 2s, cleanup: Manual";
    let (fixture, agent, traffic) = blue_green(mesh, "github", 1, fields).await?;
    let given = Given::to(&fixture).await?;
    let gateway = format!("http://{}", fixture.gateway.address());
    let namespace = fixture.namespace.name();
    let call = |action: &str, image: &str| {
        let tests = format!(
            "curl --fail --silent --show-error -H 'host: {PREVIEW_HOST}' \"$PREVIEW_URL\" | grep '\"version\":\"{}\"'",
            image.trim_start_matches("shop:")
        );
        let inputs = variables([
            ("action", action),
            ("release", "shop"),
            ("namespace", namespace),
            ("agent-namespace", namespace),
            ("image", image),
            ("container", "shop"),
            ("test-command", &tests),
            ("preview-url", &gateway),
            ("timeout", "3m"),
            ("serin-url", &given.serin.url),
            ("serin-sha256", &given.serin.sha256),
        ]);
        Workflow::called(&fixture, &given, &inputs)
    };

    let v2 = call("deploy", "shop:v2")?;
    v2.jobs(["deploy-green", "integration-tests"]).await.with_context(|| agent.log())?;
    all_from(&traffic, "shop-stable").await.context("nobody gets green before the switch")?;
    let wrong = call("deploy", "shop:v9")?.job("integration-tests").await?;
    ensure!(!wrong.succeeded, "the tests of another version succeed: {}", wrong.said);
    for job in ["switch-traffic", "monitor"] {
        v2.job(job).await?.ok(job).with_context(|| agent.log())?;
    }
    all_from(&traffic, "shop-canary").await?;
    let early = call("deploy", "shop:v3")?.job("deploy-green").await?;
    ensure!(!early.succeeded && early.said.contains("::error::the last release"), "{}", early.said);
    call("cleanup", "")?.jobs(["cleanup"]).await.with_context(|| agent.log())?;
    fixture.phase(ReleasePhase::Promoted).await?;
    all_from(&traffic, "shop-canary").await?;

    // Blue and green have changed places.
    let v3 = call("deploy", "shop:v3")?;
    v3.jobs(["deploy-green", "integration-tests", "switch-traffic"]).await.with_context(|| agent.log())?;
    all_from(&traffic, "shop-stable").await?;
    call("rollback", "")?.jobs(["rollback"]).await.with_context(|| agent.log())?;
    all_from(&traffic, "shop-canary").await?;
    let status = fixture.outcome(RunOutcome::Aborted).await?;
    let because = "ann by https://github.com/example/myapp/actions/runs/7";
    ensure!(status.history.len() == 2 && status.message.contains(because), "{status:?}");
    let late = v3.job("monitor").await?;
    ensure!(!late.succeeded && late.said.contains("aborted by"), "{}", late.said);
    check_none_failed(&traffic.stop().await?)
}
