/*!
`serin promote NAME --print-patch`: the change to stable's Deployment that Git is to get where `promotion.mode` is `Wait`.
It is read, and nothing is written.
*/
use std::process::ExitCode;

use anyhow::{Context, ensure};
use kube::ResourceExt;
use serde_json::json;
use serin_agent::cluster::stable_patch::stable_patch;
use serin_release::status::Role;

use super::access::{Access, deployment_of};

/// Prints what stable's Deployment becomes.
pub(crate) async fn print_patch(name: &str, access: &Access) -> anyhow::Result<ExitCode> {
    let cluster = access.connect().await?;
    let release = cluster.release(name).await?;
    // As they are written: this program may not know every field.
    let both = cluster.raw_deployments(&release).await.context("cannot read the release's deployments")?;
    let of = |role| {
        let name = deployment_of(&release, role)?;
        both.iter().find(|found| found.name_any() == name)
    };
    let (Some(stable), Some(canary)) = (of(Role::Stable), of(Role::Canary)) else {
        anyhow::bail!("release {name}: a Deployment that it names is not there");
    };
    let patch = stable_patch(&release, &json!(stable), &json!(canary));
    let patch = patch.with_context(|| format!("release {name}: a Deployment has no pod template"))?;
    let has_it = patch.as_array().is_some_and(Vec::is_empty);
    ensure!(
        !has_it,
        "deployment/{} has the new version already: there is nothing to change",
        stable.name_any()
    );
    println!(
        "# deployment/{} takes the new version: serin promote {name}{} --print-patch\n{}",
        stable.name_any(),
        access.words(&cluster.namespace),
        serde_saphyr::to_string(&patch)?.trim_end(),
    );
    Ok(ExitCode::SUCCESS)
}
