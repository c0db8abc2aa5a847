/*!
What stable's Deployment becomes in a promotion, as a patch: for whoever owns that Deployment and makes the change in Git, as
`promotion.mode: Wait` wants it.
*/
use json_patch::diff;
use serde_json::{Value, json};

use super::memory::Memory;
use super::templates::Template;
use serin_release::ReleaseObject;

/// The JSON Patch (RFC 6902) by which the Deployment `stable` takes the pod template of `canary`, keeping what is its own, as
/// the agent itself writes it with `Copy`. Both are as the API server has them. No operations where stable has that version
/// already; nothing at all where one of them has no pod template.
///
/// An `add` puts a field in place of one that is there, and needs none there: what the API server has filled in is not in Git.
pub fn stable_patch(object: &ReleaseObject, stable: &Value, canary: &Value) -> Option<Value> {
    let (rules, tracked) = (&object.spec.pod_template, Memory::open(object).state.configs.tracked);
    let of = |deployment, config| Template::of(deployment, rules, config);
    let old = of(stable, tracked.as_ref().map(|tracked| &*tracked.stable))?;
    let new = of(canary, tracked.as_ref().map(|tracked| &*tracked.canary))?;
    if old.is_same_version(&new) {
        return Some(json!([]));
    }
    let in_place = |template: &Value| json!({"spec": {"template": template}});
    let patch = diff(&in_place(&stable["spec"]["template"]), &in_place(&new.given_to(&old)));
    let mut patch = json!(patch);
    for operation in patch.as_array_mut().into_iter().flatten() {
        let in_list =
            operation["path"].as_str().and_then(|path| path.rsplit('/').next()).is_some_and(is_index);
        if operation["op"] == "replace" && !in_list {
            operation["op"] = json!("add");
        }
    }
    Some(patch)
}

/// Whether the last word of a path is a place in a list, where an `add` would put something in between.
fn is_index(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(name: &str, image: &str, more: &Value) -> Value {
        let labels = json!({"app": "shop", "version": name});
        let mut container =
            json!({"name": "shop", "image": image, "terminationMessagePath": "/dev/termination-log"});
        for (field, value) in more.as_object().into_iter().flatten() {
            container[field] = value.clone();
        }
        json!({
            "metadata": {"name": format!("shop-{name}")},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        })
    }

    /// Fails unless stable's Deployment with v1 needs `expected` to get what `canary` has.
    #[track_caller]
    fn check(canary: &Value, expected: &Value) {
        let release = json!({
            "metadata": {"name": "shop", "namespace": "shop"},
            "spec": {
                "service": {"name": "shop"},
                "stable": {"targetRef": {"name": "shop-stable"}},
                "canary": {"targetRef": {"name": "shop-canary"}},
            },
        });
        let release: ReleaseObject = serde_json::from_value(release).unwrap();
        let stable = deployment("stable", "shop:v1", &json!({"args": ["--a"]}));
        assert_eq!(stable_patch(&release, &stable, canary).as_ref(), Some(expected));
    }

    #[test]
    fn only_what_the_new_version_changes_is_in_it() {
        check(&deployment("canary", "shop:v1", &json!({"args": ["--a"]})), &json!([]));
        check(
            &deployment("canary", "shop:v2", &json!({"args": ["--a"]})),
            &json!([{"op": "add", "path": "/spec/template/spec/containers/0/image", "value": "shop:v2"}]),
        );
        check(
            &deployment("canary", "shop:v1", &json!({"args": ["--b"]})),
            &json!([{"op": "replace", "path": "/spec/template/spec/containers/0/args/0", "value": "--b"}]),
        );
        check(
            &deployment("canary", "shop:v1", &json!({"env": [{"name": "A", "value": "b"}]})),
            &json!([
                {"op": "add", "path": "/spec/template/spec/containers/0/env",
                 "value": [{"name": "A", "value": "b"}]},
                {"op": "remove", "path": "/spec/template/spec/containers/0/args"},
            ]),
        );
    }
}
