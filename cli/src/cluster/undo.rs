/*!
`serin undo NAME`: an earlier version of stable's as a release of its own, after a promotion that should not have been.

Kubernetes keeps the pod templates that stable's Deployment has had, as `ReplicaSets`. One of them goes to the canary's
Deployment, with the rights of whoever asks; from there it is a run like any other, and `serin promote` ends it at once.
*/
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use serin_agent::cluster::stable_patch::stable_patch;
use serin_release::ReleaseObject;
use serin_release::resource::PromotionMode;
use serin_release::status::Role;

use super::access::{Access, Cluster, deployment_of};
use super::commands::FIELD_MANAGER;
use super::confirm::confirmed;
use super::output::aligned;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The Release.
    name: String,
    /// The revision of stable's Deployment whose version is to come back, as `--list` has them [default: the one before the
    /// present one].
    #[arg(long, value_name = "REVISION")]
    to: Option<u64>,
    /// List the revisions there are, and change nothing.
    #[arg(long, conflicts_with_all = ["to", "print_patch", "yes"])]
    list: bool,
    /// Print the change as a JSON Patch, for Git, and change nothing.
    #[arg(long, conflicts_with = "yes")]
    print_patch: bool,
    /// Do not ask, as in a script.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    access: Access,
}

pub(crate) async fn undo(args: &Args) -> anyhow::Result<ExitCode> {
    let Args { name, access, .. } = args;
    let cluster = access.connect().await?;
    let mut release = cluster.release(name).await?;
    let both = cluster.raw_deployments(&release).await.context("cannot read the release's deployments")?;
    let of = |role| {
        let name = deployment_of(&release, role)?;
        both.iter().find(|found| found.name_any() == name)
    };
    let (Some(stable), Some(canary)) = (of(Role::Stable), of(Role::Canary)) else {
        bail!("release {name}: a Deployment that it names is not there");
    };
    // The history of that Deployment is of what was tried there, not of what was stable.
    ensure!(
        release.spec.strategy.promotion() != PromotionMode::Swap,
        "release {name}: with promotion.mode Swap the version before was in deployment/{}: abort goes back to it while it is \
         kept, and after that another image there is a release",
        canary.name_any()
    );
    let revisions = revisions(&cluster, &release, stable).await?;
    if args.list {
        print!("{}", table(&revisions));
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = chosen(&revisions, args.to, name, &access.words(&cluster.namespace))?;
    // What the agent has noted of configuration is of the present versions.
    release.status = None;
    let patch = stable_patch(&release, &json!(canary), &chosen.deployment(stable))
        .with_context(|| format!("deployment/{}: it has no pod template", canary.name_any()))?;
    let words = access.words(&cluster.namespace);
    ensure!(
        patch.as_array().is_some_and(|operations| !operations.is_empty()),
        "deployment/{} has the version of revision {} already: serin retry {name}{words} releases it again",
        canary.name_any(),
        chosen.number
    );
    if args.print_patch {
        println!(
            "# deployment/{} takes the version of revision {}\n{}",
            canary.name_any(),
            chosen.number,
            serde_saphyr::to_string(&patch)?.trim_end()
        );
        return Ok(ExitCode::SUCCESS);
    }
    let what = format!(
        "{}: a release of revision {} begins ({}), by way of deployment/{}",
        name,
        chosen.number,
        chosen.images,
        canary.name_any()
    );
    if !confirmed(&what, args.yes)? {
        eprintln!("serin: nothing was done");
        return Ok(ExitCode::FAILURE);
    }
    write(&cluster, canary, patch).await?;
    println!(
        "deployment/{} has the version of revision {} ({}), and its release begins\n\
         how it goes:           serin status {name}{words} --watch\n\
         everybody at once:     serin promote {name}{words}",
        canary.name_any(),
        chosen.number,
        chosen.images
    );
    Ok(ExitCode::SUCCESS)
}

/// A pod template that stable's Deployment has had, or has.
#[derive(Debug)]
struct Revision {
    number: u64,
    images: String,
    template: Value,
    is_present: bool,
}

impl Revision {
    fn of(set: &Value, present: u64) -> Option<Self> {
        let number =
            set.pointer("/metadata/annotations").and_then(|it| it[REVISION].as_str()?.parse().ok())?;
        let mut template = set.pointer("/spec/template")?.clone();
        if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
            labels.remove("pod-template-hash");
        }
        let containers = template.pointer("/spec/containers").and_then(Value::as_array);
        let images = containers.into_iter().flatten().filter_map(|it| it["image"].as_str());
        let images = images.collect::<Vec<_>>().join(", ");
        Some(Self { number, images, template, is_present: number == present })
    }

    /// Stable's Deployment as it was then.
    fn deployment(&self, stable: &DynamicObject) -> Value {
        let mut then = json!(stable);
        then["spec"]["template"] = self.template.clone();
        then
    }
}

/// Where Kubernetes numbers the pod templates of a Deployment.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// What stable's Deployment has had and has, the latest first.
async fn revisions(
    cluster: &Cluster,
    release: &ReleaseObject,
    stable: &DynamicObject,
) -> anyhow::Result<Vec<Revision>> {
    let namespace = release.namespace().unwrap_or_default();
    // With every field that the API server has: what is given back is a whole template.
    let kind = ApiResource::erase::<ReplicaSet>(&());
    let sets: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), &namespace, &kind);
    let sets = sets.list(&ListParams::default()).await.context("cannot list the replicasets")?;
    let uid = stable.uid();
    let is_its = |set: &&DynamicObject| set.owner_references().iter().any(|it| Some(&it.uid) == uid.as_ref());
    let present = stable.annotations().get(REVISION).and_then(|number| number.parse().ok()).unwrap_or(0);
    let mut revisions: Vec<_> =
        sets.items.iter().filter(is_its).filter_map(|set| Revision::of(&json!(set), present)).collect();
    revisions.sort_by_key(|revision| std::cmp::Reverse(revision.number));
    Ok(revisions)
}

fn chosen<'r>(
    revisions: &'r [Revision],
    to: Option<u64>,
    name: &str,
    words: &str,
) -> anyhow::Result<&'r Revision> {
    let mut earlier = revisions.iter().filter(|revision| !revision.is_present);
    match to {
        None => earlier.next().with_context(|| {
            format!(
                "release {name}: Kubernetes has kept no earlier version of stable's Deployment: \
                 spec.revisionHistoryLimit there says how many it keeps"
            )
        }),
        Some(to) => earlier.find(|revision| revision.number == to).with_context(|| {
            format!("--to {to}: there is no such earlier revision: serin undo {name}{words} --list shows those there are")
        }),
    }
}

fn table(revisions: &[Revision]) -> String {
    let mut rows = vec![["REVISION", "IMAGE", ""].map(str::to_owned).to_vec()];
    for Revision { number, images, is_present, .. } in revisions {
        let note = if *is_present { "stable's now" } else { "" };
        rows.push(vec![number.to_string(), images.clone(), note.to_owned()]);
    }
    aligned(&rows, |_, _| None)
}

/// Gives the canary's Deployment what `patch` says, if it is still as it was read.
async fn write(cluster: &Cluster, canary: &DynamicObject, patch: Value) -> anyhow::Result<()> {
    let api: Api<Deployment> =
        Api::namespaced(cluster.client.clone(), &canary.namespace().unwrap_or_default());
    let as_read =
        json!({"op": "test", "path": "/metadata/resourceVersion", "value": canary.resource_version()});
    let operations = [json!([as_read]), patch].into_iter().filter_map(|list| list.as_array().cloned());
    let patch: json_patch::Patch = serde_json::from_value(operations.flatten().collect())?;
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let name = canary.name_any();
    let changed = api.patch(&name, &params, &Patch::Json::<()>(patch)).await;
    changed.with_context(|| {
        format!("cannot change deployment/{name}; --print-patch prints what it is to get")
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(number: u64, present: u64) -> Revision {
        let set = json!({
            "metadata": {"annotations": {REVISION: number.to_string()}},
            "spec": {"template": {
                "metadata": {"labels": {"app": "shop", "pod-template-hash": "5d4f"}},
                "spec": {"containers": [{"image": format!("shop:v{number}")}, {"image": "log:1"}]},
            }},
        });
        Revision::of(&set, present).unwrap()
    }

    fn check(to: Option<u64>, expected: Result<u64, &str>) {
        let revisions = [5, 4, 2].map(|number| revision(number, 5));
        match (chosen(&revisions, to, "shop", " -n shop"), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.number, expected),
            (Err(found), Err(expected)) => assert!(found.to_string().contains(expected), "{found}"),
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn the_revision_before_the_present_one_comes_back_unless_another_is_named() {
        check(None, Ok(4));
        check(Some(2), Ok(2));
        check(Some(3), Err("--to 3: there is no such earlier revision: serin undo shop -n shop --list"));
        check(Some(5), Err("--to 5"));
        assert!(
            chosen(&[revision(1, 1)], None, "shop", "")
                .unwrap_err()
                .to_string()
                .contains("revisionHistoryLimit")
        );
    }

    #[test]
    fn a_revision_is_what_the_deployment_had_then() {
        let it = revision(4, 5);
        assert_eq!((&*it.images, it.is_present), ("shop:v4, log:1", false));
        assert_eq!(it.template["metadata"]["labels"], json!({"app": "shop"}));
        assert_eq!(
            table(&[revision(5, 5), it]),
            "REVISION   IMAGE\n5          shop:v5, log:1   stable's now\n4          shop:v4, log:1\n"
        );
    }
}
