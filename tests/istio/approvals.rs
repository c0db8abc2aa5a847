/*!
Several people who have to approve: each counts once, under their own name, which the API server has proved, though leaders
change; and nobody is counted whose name is not.
*/
use anyhow::{Context, Result, ensure};
use serin_release::status::{CommandOutcome, ReleaseStatus, RunOutcome};
use serin_tests::mesh::Mesh;
use serin_tests::site::eventually;

use crate::fixture::{Fixture, is_at, told};
use crate::tenants::commands_as_rights;

const NAMESPACED: &str = include_str!("../../manifests/namespaced/rbac.yaml");

/// What an agent for one namespace may do outside of it: see whether the policy is there, too.
fn rights(namespace: &str) -> String {
    let of_cluster = NAMESPACED.split("---\n").filter(|object| object.contains("serin-farewell"));
    let of_cluster = of_cluster.collect::<Vec<_>>().join("\n---\n");
    of_cluster.replace("namespace: serin-system", &format!("namespace: {namespace}"))
}

/// Who may give commands there.
const BOUND: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: approvers, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: serin-command}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: ann}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: bob}
";

/// Gives the command in the name of `by`, as `how` says.
async fn give(fixture: &Fixture<'_>, how: &[&str], command: &str, by: &str) -> Result<String> {
    let annotations = [format!("serin.dev/command={command}"), format!("serin.dev/command-by={by}")];
    let [command, by] = &annotations;
    fixture.kubectl(&[&["annotate", "--overwrite", "release", "shop", command, by], how].concat()).await
}

/// Whether what was asked is refused, for a reason with all of `words` in it.
fn is_refused(status: &ReleaseStatus, words: &[&str]) -> bool {
    status.command.as_ref().is_some_and(|command| {
        let is_said = words.iter().all(|word| command.message.contains(word));
        is_said && command.outcome == CommandOutcome::Refused
    })
}

/// Waits until it is.
async fn refused(fixture: &Fixture<'_>, words: &[&str]) -> Result<ReleaseStatus> {
    fixture.status_that(&format!("somebody to be told: {words:?}"), |status| is_refused(status, words)).await
}

pub(crate) async fn two_people_approve_whoever_leads(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "approvals", 1).await?;
    let namespace = fixture.namespace.name();
    let first = fixture.agent("one").await?;
    let two = |yaml: String| {
        yaml.replace("  analysis: {", "  approval: {required: 2, timeout: 10m}\n  analysis: {")
    };
    fixture.release("{setWeight: 10, pause: {}}", two).await?;
    fixture.idle().await?;
    let traffic = fixture.traffic(60).await?;
    fixture.set_image("shop:v2").await?;
    let asked = |given: &'static str| {
        move |status: &ReleaseStatus| is_at(status, 10) && status.message.contains(given)
    };
    fixture.status_that("the step to wait", asked("(0 of 2; until ")).await.with_context(|| first.log())?;

    // The agent may not see yet whether names are proved; and then nobody proves them.
    give(&fixture, &[], "resume", "ann").await?;
    let unread = ["is forbidden", "have the operator apply this version's manifests"];
    refused(&fixture, &unread).await.with_context(|| first.log())?;
    fixture.namespace.apply(&rights(namespace)).await?;
    eventually("the rights to be in force", async || {
        if fixture.status().await?.command.is_none_or(|command| command.message.contains("is forbidden")) {
            give(&fixture, &[], "resume", "ann").await?;
        }
        let status = fixture.status().await?;
        let open = ["resume by ann (not proved) ", "have the operator apply manifests/commands"];
        ensure!(is_refused(&status, &open), "{}", told(&status));
        Ok(())
    })
    .await
    .with_context(|| first.log())?;
    let bound = BOUND.replace("NAMESPACE", namespace);
    let policy = commands_as_rights("serin-commands", namespace);
    fixture.namespace.apply(&[policy, bound].join("\n---\n")).await?;
    eventually("the policy to be in force", async || {
        let as_bob = ["--as", "bob", "--dry-run=server"];
        let forged = give(&fixture, &as_bob, "resume", "ann").await.err().context("bob writes as ann")?;
        ensure!(format!("{forged:#}").contains("has to be your own name: bob"), "{forged:#}");
        Ok(())
    })
    .await?;

    let (ann, bob) = (["--as", "ann"], ["--as", "bob"]);
    eventually("ann to count", async || {
        // Names count once the policy has been there for a time.
        if fixture.status().await?.command.is_none_or(|command| command.outcome == CommandOutcome::Refused) {
            give(&fixture, &ann, "resume", "ann").await?;
        }
        let status = fixture.status().await?;
        ensure!(status.message.contains("(1 of 2: ann; until "), "{}", told(&status));
        Ok(())
    })
    .await
    .with_context(|| first.log())?;
    give(&fixture, &bob, "promote", "bob").await?;
    refused(&fixture, &["promote by bob ", "promote would skip approvals"])
        .await
        .with_context(|| first.log())?;
    first.kill().await?;
    let second = fixture.agent("two").await?;
    give(&fixture, &ann, "resume", "ann").await?;
    let status =
        refused(&fixture, &["resume by ann ", "somebody else has to"]).await.with_context(|| second.log())?;
    ensure!(is_at(&status, 10), "{}", told(&status));
    give(&fixture, &bob, "resume", "bob").await?;
    fixture.outcome(RunOutcome::Promoted).await.with_context(|| second.log())?;
    let both = fixture.times_told("Approved", "approved by ann and bob").await?;
    ensure!(both == 1, "{:?}", fixture.events().await?);
    drop(traffic.stop().await?);
    fixture.kubectl(&["delete", "validatingadmissionpolicybinding", "serin-commands"]).await?;
    Ok(())
}
