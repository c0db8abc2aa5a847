/*!
A release under way stays under watch whatever becomes of its spec, its host or its saving: evidence counts, a person is
heard, and nothing they say is lost.
*/
use anyhow::{Context, Result, ensure};
use serin_release::status::{ReleasePhase, RunOutcome};
use serin_tests::mesh::{MANNERS, Mesh};
use serin_tests::site::eventually;

use super::{STEPS, UnderLoad, said};

/// A step's pause left empty, as a template's missing variable makes it: the API server lets it through.
const EMPTY_PAUSE: (&str, &str) = ("{setWeight: 30, pause: {}}", "{setWeight: 30, pause: }");

/// What an agent may do that may not say what it has decided.
const ALL_BUT_STATUSES: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: all-but-statuses}
rules:
- {apiGroups: [serin.dev], resources: [releases, releases/finalizers], verbs: ['*']}
- {apiGroups: [serin.dev], resources: [releases/status], verbs: [get]}
- {apiGroups: ['', apps, autoscaling, extensions.istio.io, networking.istio.io, events.k8s.io], resources: ['*'], verbs: ['*']}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: all-but-statuses}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: all-but-statuses}
subjects: [{kind: ServiceAccount, name: serin, namespace: NAMESPACE}]
";

/// A Release that nothing is done for: there is no such Deployment.
const BARRED: &str = "
apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {name: barred}
spec:
  service: {name: shop}
  stable: {targetRef: {name: nobody}}
  canary: {targetRef: {name: nobody-canary}}
";

impl UnderLoad<'_> {
    async fn leave_the_pause_empty(&self) -> Result<()> {
        let (from, to) = EMPTY_PAUSE;
        self.fixture.release(STEPS, |yaml| yaml.replace(from, to)).await?;
        self.said("spec.strategy.canary.steps[0]").await.map(drop)
    }

    async fn spoil_the_canary(&self) -> Result<()> {
        let bad = format!("{MANNERS}=errors=30%");
        self.fixture.kubectl(&["annotate", "pods", "--selector", "version=canary", &bad]).await.map(drop)
    }
}

pub(crate) async fn a_bad_version_is_taken_back_under_an_unreadable_spec(mesh: &Mesh) -> Result<()> {
    let under_load = UnderLoad::set(mesh, "unreadable", 1).await?;
    under_load.release("v2").await?;
    let case = under_load.case("a step's pause left empty at 30%, and then 30% errors");
    under_load.leave_the_pause_empty().await?;
    under_load.check_exposure(30).await?;
    under_load.spoil_the_canary().await?;
    let status = under_load.phase(ReleasePhase::RolledBack).await?;
    case.end(&said(&status), "the last good spec counts: everybody back on stable", 0)
}

/// The agent that knew the last good spec dies; the next one has it from the status.
pub(crate) async fn an_unreadable_spec_outlives_its_agent(mesh: &Mesh) -> Result<()> {
    let mut under_load = UnderLoad::set(mesh, "outlived", 1).await?;
    under_load.release("v2").await?;
    under_load.leave_the_pause_empty().await?;
    let next = under_load.fixture.agent("two").await?;
    std::mem::replace(&mut under_load.agent, next).kill().await?;
    let case = under_load.case("a step's pause left empty at 30%, another agent, and then abort");
    under_load.command("abort").await?;
    let status = under_load.phase(ReleasePhase::Aborted).await?;
    case.end(&said(&status), "the last good spec counts: everybody back on stable", 0)
}

pub(crate) async fn a_gateway_is_narrowed(mesh: &Mesh) -> Result<()> {
    let under_load = UnderLoad::set(mesh, "narrowed", 1).await?;
    under_load.release("v2").await?;
    let narrow = r#"{"spec": {"servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["other.example.com"]}]}}"#;
    under_load
        .fixture
        .kubectl(&["patch", "gateways.networking.istio.io", "gateway", "--type=merge", "-p", narrow])
        .await?;
    under_load.said("nothing of it lets namespace").await?;
    let status = under_load.fixture.status().await?;
    ensure!(status.phase == ReleasePhase::Progressing, "{}", said(&status));
    // A person is heard, and the policy gets where the proxies are.
    under_load.command("abort").await?;
    under_load.phase(ReleasePhase::Aborted).await?;
    under_load.status_that("every proxy to know", |status| status.proxies.all_current()).await.map(drop)
}

/// For as long as the agent may not write, nothing that people say is lost; afterwards it is done, once.
pub(crate) async fn a_save_fails_with_each_command(mesh: &Mesh) -> Result<()> {
    let under_load = UnderLoad::set(mesh, "unsaved", 1).await?;
    under_load.release("v2").await?;
    let case = under_load.case("the status cannot be written while a person commands");
    // Neither what is no command nor what a Release is told that nothing is done for is taken off without an answer.
    under_load.command_unsaved("shop", "stop").await?;
    under_load.event("CommandRefused", "write pause, resume").await?;
    under_load.fixture.namespace.apply(BARRED).await?;
    under_load.command_unsaved("barred", "abort").await?;
    under_load.event("CommandRefused", "nothing is done for this Release").await?;
    for (command, then) in [("pause", "paused by"), ("resume", "waits for approval"), ("abort", "aborted by")]
    {
        under_load.command_unsaved("shop", command).await?;
        under_load.said(then).await?;
    }
    under_load.command_unsaved("shop", "retry").await?;
    under_load.check_exposure(30).await?;
    under_load.command_unsaved("shop", "promote").await?;
    let status =
        under_load.fixture.outcome(RunOutcome::Promoted).await.with_context(|| under_load.agent.log())?;
    case.end(&said(&status), "each command is obeyed when the status can be written again", 0)
}

impl UnderLoad<'_> {
    /// Commands something while the agent may write anything but statuses, and lets it write those when it has tried.
    async fn command_unsaved(&self, release: &str, command: &str) -> Result<()> {
        let fixture = &self.fixture;
        fixture.namespace.apply(&ALL_BUT_STATUSES.replace("NAMESPACE", fixture.namespace.name())).await?;
        fixture.kubectl(&["delete", "rolebinding", "serin"]).await?;
        let refused = format!("releases.serin.dev \"{release}\" is forbidden");
        let refusals = || self.agent.log().matches(&refused).count();
        let before = refusals();
        let annotation = format!("serin.dev/command={command}");
        fixture.kubectl(&["annotate", "release", release, &annotation]).await?;
        eventually("a save to be refused", async || {
            ensure!(refusals() > before, "none yet");
            Ok(())
        })
        .await
        .with_context(|| self.agent.log())?;
        let kept =
            fixture.kubectl(&["get", "release", release, "-o", "jsonpath={.metadata.annotations}"]).await?;
        ensure!(kept.contains(command), "the command is lost: {kept}");
        fixture.allow_the_agent().await?;
        eventually("the command to be heard", async || {
            let left = fixture
                .kubectl(&["get", "release", release, "-o", "jsonpath={.metadata.annotations}"])
                .await?;
            ensure!(!left.contains("serin.dev/command"), "{left}");
            Ok(())
        })
        .await
        .with_context(|| self.agent.log())
    }
}
