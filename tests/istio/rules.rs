/*!
What the API server makes of values on and over the edge of every rule: the same as the check of a Release.
*/
use anyhow::{Context, Result, ensure};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, PostParams};
use serde_json::{Value, json};
use serin_release::{Release, ReleaseError, ReleaseObject};
use serin_tests::mesh::Mesh;

/// Changes of a spec, who speaks against them, and the field.
const ROWS: &str = include_str!("../../release/tests/rules.tsv");

pub(crate) async fn the_api_server_and_the_check_agree(mesh: &Mesh) -> Result<()> {
    let namespace = mesh.namespace("rules").await?;
    let kind = ApiResource::erase::<ReleaseObject>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(mesh.client(), namespace.name(), &kind);
    let try_only = PostParams { dry_run: true, ..PostParams::default() };
    let mut wrong = Vec::new();
    for row in ROWS.lines().filter(|line| !line.starts_with('#')) {
        let (says, rest) = row.split_once('\t').context("two columns")?;
        let (changes, field) = rest.split_once('\t').unwrap_or((rest, ""));
        let spec = spec(&serde_json::from_str(changes)?);
        let object = DynamicObject::new("shop", &kind).data(json!({"spec": spec}));
        let answer = api.create(&try_only, &object).await;
        let refused = answer.err().map(|error| error.to_string());
        let hint = if says == "rule" { hint(namespace.name(), &spec)? } else { String::new() };
        let as_wanted = match (says, &refused) {
            ("fine" | "check", refused) => refused.is_none(),
            (_, Some(said)) => said.contains(field) && said.contains(&hint),
            (_, None) => false,
        };
        if !as_wanted {
            wrong.push(format!("{says} {field} {changes}: {}", refused.as_deref().unwrap_or("taken")));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn spec(changes: &Value) -> Value {
    let mut spec = json!({
        "service": {"name": "shop"},
        "stable": {"targetRef": {"name": "shop-stable"}},
        "canary": {"targetRef": {"name": "shop-canary"}},
    });
    merge(&mut spec, changes);
    spec
}

fn merge(into: &mut Value, changes: &Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, value) in changes {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, changes) => *into = changes.clone(),
    }
}

/// What the check says first of a Release with this spec.
fn hint(namespace: &str, spec: &Value) -> Result<String> {
    let object = json!({"metadata": {"name": "shop", "namespace": namespace}, "spec": spec});
    let object: ReleaseObject = serde_json::from_value(object)?;
    match Release::from_object(&object, "v2") {
        Err(ReleaseError::Invalid(problems)) => Ok(problems.first().context("no problem")?.hint.clone()),
        other => anyhow::bail!("{other:?}"),
    }
}
