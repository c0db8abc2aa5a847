/*!
A release that is driven by the command line alone, as a person or a pipeline drives it: the built binary, in processes of
its own.
*/
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use serin_policy::grant::Granter;
use serin_release::status::ReleasePhase;
use serin_tests::mesh::Mesh;
use serin_tests::site::{HOST, eventually};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::fixture::{AGENT, Fixture};

/// Somebody who drives the releases of a namespace, and may do nothing else.
pub(crate) const DRIVER: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: driver}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: driver}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: serin-operator}
subjects: [{kind: ServiceAccount, name: driver}]
";

/// What links to the release are made of.
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// What a command has said, and how it ended.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

/// A command line in the namespace of a release.
struct Shell<'f> {
    fixture: &'f Fixture<'f>,
    kubeconfig: PathBuf,
}

impl Shell<'_> {
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(AGENT);
        command.args(line.split(' ')).args(["--namespace", self.fixture.namespace.name()]);
        command.env("KUBECONFIG", &self.kubeconfig).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    async fn run(&self, line: &str) -> Result<Said> {
        let output = self.command(line).output().await?;
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Ok(Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
    }

    /// Runs a command that ends with `code` and says all of `parts`.
    async fn check(&self, line: &str, code: i32, parts: &[&str]) -> Result<String> {
        let said = self.run(line).await?;
        ensure!(said.code == Some(code), "serin {line}: {said:?}, not {code}");
        let all = said.out + &said.err;
        for part in parts {
            ensure!(all.contains(part), "serin {line} does not say {part:?}: {all}");
        }
        Ok(all)
    }

    /// Runs a command until it succeeds: what it asks for may not be possible yet.
    async fn insist(&self, line: &str) -> Result<String> {
        eventually(line, async || self.check(line, 0, &[]).await).await
    }
}

pub(crate) async fn a_release_is_driven_by_commands(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "driven", 1).await?;
    let agent = fixture.agent("one").await?;
    let key = Granter::new(TOKEN, &format!("{}/shop", fixture.namespace.name())).key();
    let links = format!("  links: {{key: {key}}}\n  analysis: {{");
    let steps = "{setWeight: 10, pause: {}}, {setWeight: 50, pause: {}}";
    fixture.release(steps, |yaml| yaml.replace("  analysis: {", &links)).await?;
    fixture.idle().await?;
    fixture.namespace.apply(DRIVER).await?;
    let kubeconfig = mesh.kubeconfig_of(fixture.namespace.name(), "driver").await?;
    let shell = Shell { fixture: &fixture, kubeconfig };
    at_rest(&shell).await.with_context(|| agent.log())?;
    let traffic = fixture.traffic(100).await?;
    to_the_second_step(&shell).await.with_context(|| agent.log())?;
    and_back(&shell).await.with_context(|| agent.log())?;
    and_to_the_end(&shell).await.with_context(|| agent.log())?;
    traffic.stop().await?;
    Ok(())
}

/// What is said where nothing is under way.
async fn at_rest(shell: &Shell<'_>) -> Result<()> {
    let namespace = shell.fixture.namespace.name();
    // The role is made of others, in a moment.
    eventually("the driver's rights", async || {
        shell.check("get", 0, &["NAME", "PHASE", "shop", "Idle"]).await
    })
    .await?;
    let json = shell.run("get -o json").await?.out;
    let views: Value = serde_json::from_str(&json)?;
    ensure!(views[0]["name"] == "shop" && views[0]["phase"] == "Idle", "{views}");
    let admin = Shell { fixture: shell.fixture, kubeconfig: shell.fixture.mesh.kubeconfig().to_owned() };
    let all = shell.fixture.command_line(&["get", "-A"]).await?;
    ensure!(all.lines().any(|line| line.starts_with(namespace) && line.contains("shop")), "{all}");
    let doctor = format!("doctor shop --agent-namespace {namespace}");
    let healthy = ["ok       crds", "ok       leader", "one leads", "ok       accepted", "ok       around"];
    eventually("a healthy release", async || admin.check(&doctor, 0, &healthy).await).await?;
    let said = shell.check(&doctor, 0, &["ok       leader", "warning  around", "cannot be read"]).await?;
    eprintln!("{said}");
    shell.check("status nothing", 1, &["cannot read release nothing", "not found"]).await?;
    shell.check("wait nothing --for promoted", 2, &["there is no release nothing"]).await?;
    shell.check("pause shop", 1, &["pause by ", "refused: no run is in progress"]).await?;
    // Stable has this version, and nobody has the other one.
    shell.check("wait shop --for promoted --image shop:v1", 0, &["stable has this version already"]).await?;
    let other = "deployment/shop-canary has shop:v1, not shop:v2";
    shell
        .check("wait shop --for promoted --image shop:v2 --timeout 2s", 124, &["not within 2s", other])
        .await?;
    Ok(())
}

/// Up to 50 %, with a pause on the way.
async fn to_the_second_step(shell: &Shell<'_>) -> Result<()> {
    let fixture = shell.fixture;
    let mut watching = shell.command("status shop --watch").stdout(Stdio::piped()).spawn()?;
    let mut shown = BufReader::new(watching.stdout.take().context("its output")?).lines();
    fixture.set_image("shop:v2").await?;
    shell.check("wait shop --for step=1 --image shop:v2 --timeout 2m", 0, &["Preparing", "run v2-"]).await?;
    shell.check("pause shop --by ann", 0, &["taken: pause by ann (not proved)"]).await?;
    shell
        .check("status shop", 0, &["Paused for ", "serin resume shop -n ", "● 10%", "○ 50%", "pods"])
        .await?;
    shell.check("resume shop", 0, &["taken: resume by "]).await?;
    fixture.status_that("approval", |status| status.message.contains("waits for approval")).await?;
    let tree =
        shell.check("status shop", 0, &["AwaitsApproval", "● 10%", "1 of 1 report this weight"]).await?;
    eprintln!("{tree}");
    judged_and_explained(shell).await?;
    linked(shell).await?;
    shell.check("approve shop", 0, &["taken: resume by "]).await?;
    shell.check("wait shop --for step=2 --image shop:v2 --timeout 2m", 0, &["run v2-"]).await?;
    // Whoever watches has seen all that without asking.
    let seen = async {
        while let Some(line) = shown.next_line().await? {
            if line.contains("● 50%") {
                return Ok(());
            }
        }
        anyhow::bail!("it has ended without the second step")
    };
    seen.await?;
    let pid =
        watching.id().and_then(|pid| Pid::from_raw(pid.try_into().ok()?)).context("a process has an id")?;
    kill_process(pid, Signal::INT)?;
    while shown.next_line().await?.is_some() {}
    let ended = watching.wait().await?;
    ensure!(ended.success(), "{ended}");
    Ok(())
}

/// What is said of the first step while it waits: the verdict, what each version gets, and where requests go.
async fn judged_and_explained(shell: &Shell<'_>) -> Result<()> {
    let fixture = shell.fixture;
    let healthy = "healthy: the canary is within its limits";
    shell.check("analyze shop", 0, &[healthy, "request-success-rate"]).await?;
    // Whether an agent leads, this one may not see, and is told so aside.
    let said = shell.run("analyze shop --json").await?;
    let json: Value = serde_json::from_str(&said.out).with_context(|| format!("{said:?}"))?;
    ensure!(json["verdict"] == "Pass", "{json}");
    eventually("rates", async || {
        let top = shell.check("top --interval 1s", 0, &["NAME", "AwaitsApproval"]).await?;
        let row: Vec<_> = top.lines().nth(1).context("a release")?.split_whitespace().collect();
        let [.., stable, _, canary, _, _] = row[..] else { anyhow::bail!("{top}") };
        let (stable, canary): (f64, f64) = (stable.parse()?, canary.parse()?);
        ensure!(stable > canary && canary > 0.0, "{top}");
        Ok(())
    })
    .await?;
    let run = fixture.status().await?.run.context("a run has a name")?;
    let (on, off) = fixture.one_on_each(&run, 10)?;
    for (user, version) in [(on, "canary"), (off, "stable")] {
        let line = format!("explain shop --url http://{HOST}/cart?a=b -H cookie:serin={user}");
        let version = format!("version   {version}");
        let parts =
            ["WasmPlugin", version.as_str(), user, "weight    10%", "1 of 1 report the present policy"];
        shell.check(&line, 0, &parts).await?;
    }
    let nobody = format!("no policy answers for elsewhere.{HOST}/");
    shell.check(&format!("explain shop --host elsewhere.{HOST}"), 0, &[&nobody]).await?;
    Ok(())
}

/// A link gives somebody the canary whom the draw leaves on stable, and another takes it from them.
async fn linked(shell: &Shell<'_>) -> Result<()> {
    let fixture = shell.fixture;
    let mut token = tempfile::NamedTempFile::new()?;
    writeln!(token, "{TOKEN}")?;
    let from = format!("--token-from {}", token.path().display());
    shell.check(&format!("link shop --key {from}"), 0, &["links: {key: "]).await?;
    let said =
        shell.run(&format!("link shop --to canary --for 2h --url http://{HOST}/cart?a=b {from}")).await?;
    ensure!(said.code == Some(0) && said.err.contains("is on canary until"), "{said:?}");
    let address = said.out.trim();
    let explained = ["on to /cart?a=b, the cookie serin-link-shop set"];
    shell.check(&format!("explain shop --url {address}"), 0, &explained).await?;

    let run = fixture.status().await?.run.context("a run has a name")?;
    let (_, off) = fixture.one_on_each(&run, 10)?;
    let browser = serin_agent::http::plain().redirect(reqwest::redirect::Policy::none()).build()?;
    let gateway = format!("http://{}", fixture.gateway.address());
    let open = async |path: &str, cookie: &str| {
        let request = browser.get(format!("{gateway}{path}")).header("host", HOST);
        let answer = request.header("cookie", format!("serin={off}; {cookie}")).send().await?;
        let header = |name: &str| {
            let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let cookie = header("set-cookie").split(';').next().unwrap_or_default().to_owned();
        let (status, location) = (answer.status().as_u16(), header("location"));
        let served: Value = serde_json::from_str(&answer.text().await?).unwrap_or_default();
        let version =
            served["deployment"].as_str().unwrap_or_default().trim_start_matches("shop-").to_owned();
        anyhow::Ok((status, location, version, cookie))
    };
    let path = address.strip_prefix(&format!("http://{HOST}")).context("the address that was asked for")?;
    let (status, location, _, cookie) = open(path, "").await?;
    ensure!(status == 303 && location == "/cart?a=b", "{status} {location}");
    for (cookie, expected) in [(cookie.as_str(), "canary"), ("", "stable")] {
        let (status, _, version, _) = open(&location, cookie).await?;
        ensure!((status, version.as_str()) == (200, expected), "{status} {version}, not {expected}");
    }
    let (status, location, _, cookie) = open("/cart?serin=off", &cookie).await?;
    ensure!((status, location.as_str(), cookie.as_str()) == (303, "/cart", "serin-link-shop="), "{location}");
    Ok(())
}

/// Back to stable by a person, and what pipelines hear of it.
async fn and_back(shell: &Shell<'_>) -> Result<()> {
    shell.check("wait shop --for rolled-back --image shop:v2 --timeout 1s", 124, &["not within 1s"]).await?;
    for line in ["abort shop", "promote shop"] {
        shell.check(line, 1, &["--yes: missing"]).await?;
    }
    let mut following = shell.command("events shop --follow").stdout(Stdio::piped()).spawn()?;
    let mut told = BufReader::new(following.stdout.take().context("its output")?).lines();
    let parts =
        ["because: complaints", "weight: 50% to 0%", "users had the version", "proxies: 1 of 1 report it"];
    shell.check("abort shop --reason complaints --yes", 0, &parts).await?;
    shell.check("wait shop --for promoted --image shop:v2", 1, &["run v2-", "aborted by"]).await?;
    shell.check("wait shop --for rolled-back --image shop:v2 --timeout 1m", 0, &["aborted by"]).await?;
    shell.fixture.phase(ReleasePhase::Aborted).await?;
    let seen = async {
        while let Some(line) = told.next_line().await? {
            if line.contains("Aborted") && line.contains("complaints") {
                return Ok(());
            }
        }
        anyhow::bail!("it has ended without the abort")
    };
    seen.await?;
    following.kill().await?;
    reported(shell).await?;
    let tree = shell.check("status shop", 0, &["Aborted", "✗ 50%", "serin retry shop"]).await?;
    eprintln!("{tree}");
    Ok(())
}

/// What is kept of a run that is over.
async fn reported(shell: &Shell<'_>) -> Result<()> {
    shell.check("history shop", 0, &["RUN", "v2-", "50%", "Aborted"]).await?;
    shell.check("events shop", 0, &["StepBegun", "Aborted", "complaints"]).await?;
    let parts =
        ["# Release ", "| outcome | Aborted |", "0% to 10%", "50% to 0%", "complaints", "## What happened"];
    shell.check("report shop", 0, &parts).await?;
    shell.check("report shop -o html", 0, &["<!DOCTYPE html>", "<td>50% to 0%</td>"]).await?;
    let json: Value = serde_json::from_str(&shell.check("report shop -o json", 0, &[]).await?)?;
    ensure!(
        json["outcome"] == "Aborted" && json["changes"].as_array().is_some_and(|all| all.len() == 3),
        "{json}"
    );
    shell.check("report shop nothing", 1, &["has no run nothing, only v2-"]).await?;
    // Nothing is under way, and the last verdict is of what was.
    shell.check("analyze nothing", 3, &["there is no release nothing"]).await?;
    Ok(())
}

/// The same version once more, to the end; and then another one, of which the end of this one says nothing.
async fn and_to_the_end(shell: &Shell<'_>) -> Result<()> {
    shell.check("retry shop", 0, &["taken: retry by "]).await?;
    shell.check("wait shop --for step=1 --image shop:v2 --timeout 2m", 0, &[]).await?;
    shell.insist("promote shop --yes").await?;
    shell.check("wait shop --for promoted --image shop:v2 --timeout 2m", 0, &["run v2-"]).await?;
    shell.fixture.set_image("shop:v3").await?;
    shell.check("wait shop --for promoted --image shop:v3 --timeout 1s", 124, &["run v3-"]).await?;
    // Stable has it still, and so it is promoted still.
    shell.check("wait shop --for promoted --image shop:v2 --timeout 1s", 0, &["stable has it"]).await?;
    // The promotion should not have been. Whoever may drive releases alone may not give Deployments another version.
    shell.check("undo shop --yes", 1, &["cannot"]).await?;
    let admin = Shell { fixture: shell.fixture, kubeconfig: shell.fixture.mesh.kubeconfig().to_owned() };
    admin.check("undo shop --list", 0, &["REVISION", "shop:v2   stable's now", "shop:v1"]).await?;
    admin.check("undo shop --to 99", 1, &["--to 99: there is no such earlier revision", "--list"]).await?;
    admin.check("undo shop --print-patch", 0, &["/containers/0/image", "shop:v1"]).await?;
    let begun = ["has the version of revision 1 (shop:v1)", "serin promote shop"];
    admin.check("undo shop --yes", 0, &begun).await?;
    shell.check("wait shop --for step=1 --image shop:v1 --timeout 2m", 0, &["run v1-"]).await?;
    shell.insist("promote shop --yes").await?;
    shell.check("wait shop --for promoted --image shop:v1 --timeout 2m", 0, &[]).await?;
    Ok(())
}
