/*!
Hooks, asked of Flagger's own load tester: gates, tests and load at their points of a run, each once, though leaders change;
one that never answers, which keeps nobody from the evidence; and checks that
need no other pod.
*/
use std::net::TcpListener;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use serin_release::status::{ReleasePhase, RunOutcome};
use serin_tests::load_tester::LoadTester;
use serin_tests::mesh::{HOST as MACHINE, Mesh};
use serin_tests::site::{HOST, eventually};

use crate::fixture::{Fixture, check_none_failed, is_at, told, weights};

/// Adds `hooks` to a Release.
fn with(hooks: &str) -> impl Fn(String) -> String {
    let hooks = format!("  overrides: [{{header: x-canary}}]\n  hooks: [{hooks}]\n  analysis: {{");
    move |yaml| yaml.replace("  analysis: {", &hooks)
}

/// How often a command of the load tester has written its line to `file`.
fn lines(file: &Path) -> usize {
    std::fs::read_to_string(file).map_or(0, |text| text.lines().count())
}

/// What a hook has said last, as it is saved.
async fn said(fixture: &Fixture<'_>, hook: &str) -> Result<Value> {
    let state: Value = serde_json::from_str(&fixture.status().await?.state.context("a state")?)?;
    let questions = state["status"]["questions"].as_array().cloned().unwrap_or_default();
    let question = questions.iter().find(|question| question["hook"] == hook);
    Ok(question.map(|question| question["answer"].clone()).unwrap_or_default())
}

/// Waits until the run is held by this hook.
async fn held_by(fixture: &Fixture<'_>, hook: &str) -> Result<()> {
    let held = format!("hook {hook} ");
    fixture.status_that(&held, |status| status.message.contains(&held)).await?;
    Ok(())
}

pub(crate) async fn a_release_goes_by_flaggers_load_tester(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "hooks", 1).await?;
    let (gates, promotion, tester) =
        tokio::try_join!(LoadTester::start(), LoadTester::start(), LoadTester::start())?;
    let origins = [&gates, &promotion, &tester].map(|tester| format!("'{}'", tester.url("")));
    let config = format!("allowedAddresses: [{}]", origins.join(", "));
    let folder = tempfile::tempdir()?;
    let (smoke, load, report) =
        (folder.path().join("smoke"), folder.path().join("load"), folder.path().join("report"));
    let entrance = fixture.gateway.pods[0].1;
    // What the guides' smoke tests do: ask the new version itself, before anybody has it.
    let asks = format!(
        r#"exec 3<>/dev/tcp/{entrance}/80 && printf "GET / HTTP/1.1\r\nhost: {HOST}\r\nx-canary: canary\r\nconnection: close\r\n\r\n" >&3 && grep -q shop-canary <&3 && echo asked >> {}"#,
        smoke.display()
    );
    let hook = |name: &str, when: &str, url: String, more: &str| {
        format!("{{name: {name}, when: {when}, url: '{url}', interval: 1s{more}}}")
    };
    let bash = |command: &str| {
        let command = command.replace('\'', "''");
        format!(", metadata: {{type: bash, cmd: '{command}'}}")
    };
    let hooks = [
        hook("ticket", "confirm-rollout", gates.url("/gate/check"), ""),
        hook("smoke", "pre-rollout", tester.url("/"), &bash(&asks)),
        hook("load", "rollout", tester.url("/"), &bash(&format!("echo ran >> {}", load.display()))),
        hook("sign-off", "confirm-promotion", promotion.url("/gate/check"), ""),
        hook("report", "post-rollout", tester.url("/"), &bash(&format!("echo over >> {}", report.display()))),
        hook("alarm", "rollback", gates.url("/rollback/check"), ""),
    ];
    fixture.kubectl(&["scale", "deployment/shop-canary", "--replicas=0"]).await?;
    let first = fixture.agent_with_config("one", &config).await?;
    fixture.release("{setWeight: 10, pause: {duration: 3s}}", with(&hooks.join(", "))).await?;
    fixture.idle().await?;
    let traffic = fixture.traffic(60).await?;
    fixture.set_image("shop:v2").await?;
    held_by(&fixture, "ticket").await.with_context(|| first.log())?;
    ensure!(fixture.replicas("shop-canary").await? == 0, "it has pods, and nobody has confirmed the rollout");
    let namespace = fixture.namespace.name().to_owned();
    gates.tell("/gate/open", &namespace, "shop").await?;
    fixture.status_that("10 %", |status| is_at(status, 10)).await.with_context(|| first.log())?;
    ensure!(lines(&smoke) == 1, "the smoke test was run {} times", lines(&smoke));
    held_by(&fixture, "sign-off").await.with_context(|| first.log())?;
    ensure!(lines(&load) >= 2, "the load is to be made again and again: {}", lines(&load));
    first.kill().await?;
    let second = fixture.agent_with_config("two", &config).await?;
    promotion.tell("/gate/open", &namespace, "shop").await?;
    fixture.outcome(RunOutcome::Promoted).await.with_context(|| second.log())?;
    eventually("the end to be told", async || {
        let said = said(&fixture, "report").await?;
        ensure!(said == json!("yes"), "{said}: {}", told(&fixture.status().await?));
        Ok(())
    })
    .await?;
    fixture.phase(ReleasePhase::Promoted).await?;
    ensure!((lines(&smoke), lines(&report)) == (1, 1), "{}, {}", lines(&smoke), lines(&report));
    check_none_failed(&traffic.stop().await?)
}

pub(crate) async fn hooks_take_a_version_back_or_keep_nobody_from_doing_so(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "alarms", 1).await?;
    let tester = LoadTester::start().await?;
    // It takes connections, and never says anything.
    let silent = TcpListener::bind((MACHINE, 0))?;
    let silent_url = format!("http://{}", silent.local_addr()?);
    let config = format!("allowedAddresses: ['{}', '{silent_url}']", tester.url(""));
    let agent = fixture.agent_with_config("one", &config).await?;
    let hooks = format!(
        "{{name: alarm, when: rollback, url: '{}', interval: 1s}}, \
         {{name: silent, when: rollout, url: '{silent_url}', timeout: 10m}}, \
         {{name: elsewhere, when: post-rollout, url: 'http://169.254.169.254/'}}",
        tester.url("/rollback/check")
    );
    fixture.release("{setWeight: 10, pause: {duration: 1s}}, {setWeight: 50}", with(&hooks)).await?;
    fixture.idle().await?;
    let traffic = fixture.traffic(100).await?;
    fixture.set_image("shop:v2").await?;
    held_by(&fixture, "silent").await.with_context(|| agent.log())?;
    tester.tell("/rollback/open", fixture.namespace.name(), "shop").await?;
    let status = fixture.outcome(RunOutcome::RolledBack).await.with_context(|| agent.log())?;
    ensure!(status.message.contains("hook alarm"), "{}", told(&status));
    eventually("the address that nobody allows to be refused", async || {
        let said = said(&fixture, "elsewhere").await?.to_string();
        ensure!(said.contains("http://169.254.169.254 is not among the addresses"), "{said}");
        Ok(())
    })
    .await?;
    tester.tell("/rollback/close", fixture.namespace.name(), "shop").await?;
    fixture.set_image("shop:v3?errors=30%").await?;
    let status = fixture.taken_back("v3").await.with_context(|| agent.log())?;
    ensure!(status.message.contains("the canary failed"), "{}", told(&status));
    drop(traffic.stop().await?);
    Ok(())
}

/// The Jobs of hooks there are.
async fn jobs(fixture: &Fixture<'_>) -> Result<usize> {
    let names = fixture.kubectl(&["get", "jobs", "-l", "serin.dev/hook", "-o", "name"]).await?;
    Ok(names.lines().count())
}

pub(crate) async fn a_job_is_run_once_though_leaders_change(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "jobs", 1).await?;
    let agent = fixture.agent("one").await?;
    let job = |image: &str| {
        format!("job: {{template: {{spec: {{containers: [{{name: test, image: '{image}'}}]}}}}}}")
    };
    let load = "load: {path: '/healthz', rate: 20, duration: 3s}";
    let hooks = |image: &str| {
        format!(
            "{{name: smoke, when: pre-rollout, interval: 1s, retries: 0, {}}}, \
             {{name: load, when: pre-rollout, timeout: 2s, {load}}}",
            job(image)
        )
    };
    fixture.release("{setWeight: 10, pause: {}}", with(&hooks("tests:v1?end=6s"))).await?;
    fixture.idle().await?;
    let traffic = fixture.traffic(60).await?;
    fixture.set_image("shop:v2").await?;
    let mend = "kubectl create rolebinding serin-jobs";
    fixture.status_that(mend, |status| status.message.contains(mend)).await.with_context(|| agent.log())?;
    ensure!(jobs(&fixture).await? == 0, "a Job was made without the right");
    let account = format!("--serviceaccount={}:serin", fixture.namespace.name());
    fixture.kubectl(&["create", "rolebinding", "serin-jobs", "--clusterrole=serin-jobs", &account]).await?;
    eventually("the Job to run", async || {
        ensure!(jobs(&fixture).await? == 1, "{}", told(&fixture.status().await?));
        Ok(())
    })
    .await
    .with_context(|| agent.log())?;
    agent.kill().await?;
    let agent = fixture.agent("two").await?;
    fixture.status_that("10 %", |status| is_at(status, 10)).await.with_context(|| agent.log())?;
    ensure!(jobs(&fixture).await? == 1, "the second agent has made another one");
    let figures = fixture.events().await?;
    let is_told = |(reason, text): &(String, String)| {
        reason == "HookPassed" && text.contains("hook load has passed: ") && text.contains("0 failed, p99 ")
    };
    ensure!(figures.iter().any(is_told), "{figures:?}");

    let patch = format!(
        "spec: {{hooks: [{{name: smoke, when: pre-rollout, retries: 0, failure: Rollback, {}}}]}}",
        job("tests:v1?end=1s&exit=1")
    );
    fixture.kubectl(&["patch", "release", "shop", "--type=merge", "-p", &patch]).await?;
    fixture.set_image("shop:v3").await?;
    let status = fixture.taken_back("v3").await.with_context(|| agent.log())?;
    for part in [
        "hook smoke: Job shop-smoke-",
        "has failed (BackoffLimitExceeded): asking the shop / the basket is empty",
    ] {
        ensure!(status.message.contains(part), "{}", told(&status));
    }
    fixture.kubectl(&["delete", "release", "shop"]).await?;
    eventually("the Jobs to go with the Release", async || {
        ensure!(jobs(&fixture).await? == 0, "they are there");
        Ok(())
    })
    .await?;
    check_none_failed(&traffic.stop().await?)
}

/// What hooks of checks have to do with: the way in by the Gateway takes a token.
fn checked(hooks: &str) -> impl Fn(String) -> String {
    const TOKEN_SHA256: &str = "badc4b7bad14802fabe001335c4e1b6fbba24aae386eb23364e6622de6a73598";
    let hooks = format!(
        "  overrides: [{{header: x-canary, tokenSha256: {TOKEN_SHA256}}}]\n  hooks: [{hooks}]\n  analysis: {{"
    );
    move |yaml| yaml.replace("  analysis: {", &hooks)
}

pub(crate) async fn checks_ask_the_new_version_before_anybody_has_it(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "checks", 1).await?;
    let secret = ["create", "secret", "generic", "serin-notifications", "--from-literal=tester=testers-only"];
    fixture.kubectl(&secret).await?;
    let agent = fixture.agent("one").await?;
    let is_canary = "jsonPointer: {path: /deployment, value: shop-canary}";
    let by_gateway = format!(
        "{{path: '/cart?full=1', through: Gateway, secretRef: {{name: serin-notifications, key: tester}}, {is_canary}}}"
    );
    let hooks = format!(
        "{{name: pods, when: pre-rollout, interval: 1s, retries: 1, failure: Rollback, \
         checks: [{{path: /healthz, repeat: 20, maxLatency: 5s, {is_canary}}}]}}, \
         {{name: tester, when: pre-rollout, interval: 1s, checks: [{by_gateway}]}}"
    );
    fixture.release("{setWeight: 10, pause: {}}", checked(&hooks)).await?;
    fixture.idle().await?;
    let traffic = fixture.traffic(60).await?;
    fixture.set_image("shop:v2").await?;
    fixture.status_that("10 %", |status| is_at(status, 10)).await.with_context(|| agent.log())?;
    fixture.set_image("shop:v3?errors=100%").await?;
    let status = fixture.taken_back("v3").await.with_context(|| agent.log())?;
    let why = "hook pods: check 1 of 1, GET /healthz: it answers 500, not 200";
    ensure!(status.message.contains(why), "{}", told(&status));
    ensure!(weights(&status).iter().all(|weight| weight == "0%"), "{:?}", weights(&status));

    // Who comes in by the Gateway with another token is nobody's tester, and gets stable.
    let wrong = r#"{"stringData": {"tester": "somebody"}}"#;
    fixture.kubectl(&["patch", "secret", "serin-notifications", "-p", wrong]).await?;
    fixture.set_image("shop:v4").await?;
    let why = "its JSON at /deployment is not \"shop-canary\"";
    fixture.status_that(why, |status| status.message.contains(why)).await.with_context(|| agent.log())?;
    ensure!(!agent.log().contains("testers-only"), "the token is in the log");
    check_none_failed(&traffic.stop().await?)
}
