/*!
What all objects of Serin in a cluster have in common: the labels that say whose they are, and the comparison that
finds what somebody else has changed in them.
*/
use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value, json};

/// The label by which an object is known for Serin's own, and its value.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "serin");

/// The label that names the Release an object belongs to.
pub const RELEASE: &str = "serin.dev/release";

/// The annotation that tells people what they are looking at.
pub const ABOUT: &str = "serin.dev/about";

/// Labels of pods.
pub type Labels = BTreeMap<String, String>;

/// Who wrote an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// Serin.
    Ours,
    /// Somebody else.
    Foreign {
        /// `namespace/name`.
        name: String,
    },
}

/// Who wrote `object`, by its label.
pub fn owned(object: &Value) -> Ownership {
    if label(object, MANAGED_BY.0) == Some(MANAGED_BY.1) {
        Ownership::Ours
    } else {
        Ownership::Foreign { name: full_name(object) }
    }
}

/// `namespace/name` of `object`.
pub fn full_name(object: &Value) -> String {
    format!("{}/{}", namespace(object), text(object, "/metadata/name"))
}

/// The namespace of `object`.
pub fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

/// A label of `object`.
pub fn label<'o>(object: &'o Value, name: &str) -> Option<&'o str> {
    object.get("metadata")?.get("labels")?.get(name)?.as_str()
}

/// The text at `pointer`; nothing there is an empty one.
pub fn text<'o>(object: &'o Value, pointer: &str) -> &'o str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The list at `pointer`; nothing there is an empty one.
pub fn list<'o>(object: &'o Value, pointer: &str) -> &'o [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The texts of the list at `pointer`.
pub fn texts<'o>(object: &'o Value, pointer: &str) -> impl Iterator<Item = &'o str> {
    list(object, pointer).iter().filter_map(Value::as_str)
}

/// The labels in the object at `pointer`.
pub fn labels(object: &Value, pointer: &str) -> Labels {
    let map = object.pointer(pointer).and_then(Value::as_object);
    let entries = map.into_iter().flatten();
    entries.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// Whether pods with `labels` are among those that `selector` means.
pub fn selects(selector: &Labels, labels: &Labels) -> bool {
    selector.iter().all(|(name, value)| labels.get(name) == Some(value))
}

/// Labels as people write a selector.
pub(crate) fn spelled(labels: &Labels) -> String {
    let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    labels.join(",")
}

/// The metadata of an object of Serin's own. `release` is the one it belongs to, if to one alone.
pub(super) fn metadata(namespace: &str, name: &str, release: Option<&str>, about: &str) -> Value {
    let mut labels = Map::new();
    labels.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.into());
    if let Some(release) = release {
        labels.insert(RELEASE.to_owned(), release.into());
    }
    json!({"namespace": namespace, "name": name, "labels": labels, "annotations": {ABOUT: about}})
}

/// A field that somebody has edited by hand.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// Where it is: `spec.http[0].timeout`.
    pub path: String,
    /// What is there; nothing if the field was taken out.
    pub found: Option<Value>,
    /// What should be; nothing if the field was put in.
    pub wanted: Option<Value>,
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, found, wanted } = self;
        write!(f, "{path}: found {}, want {}", short(found.as_ref()), short(wanted.as_ref()))
    }
}

/// A value in at most a line.
fn short(value: Option<&Value>) -> String {
    const LONGEST: usize = 60;
    let Some(value) = value else { return "nothing".to_owned() };
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

/// The fields of `found` that are not as Serin wrote them in `wanted`.
///
/// The spec is Serin's alone, so that a field too many in it is an edit too. Of the metadata only what Serin wrote
/// is compared: the API server adds to it, and so may anybody.
pub fn drift(wanted: &Value, found: &Value) -> Vec<Edit> {
    let mut edits = Vec::new();
    for map in ["labels", "annotations"] {
        let at = |object: &Value| object.get("metadata").and_then(|metadata| metadata.get(map)).cloned();
        let (Some(Value::Object(wanted)), found) = (at(wanted), at(found)) else { continue };
        for (key, value) in &wanted {
            let found = found.as_ref().and_then(|found| found.get(key));
            compare(&format!("metadata.{map}.{key}"), Some(value), found, &mut edits);
        }
    }
    compare("spec", wanted.get("spec"), found.get("spec"), &mut edits);
    edits
}

/// What has to be merged into `found` so that its spec has no field more than that of `wanted`, if it has any. To apply
/// `wanted` is not enough: what somebody else has put in stays theirs. Lists are replaced as a whole in any case.
pub fn removal(wanted: &Value, found: &Value) -> Option<Value> {
    let spec = nulls(wanted.get("spec")?, found.get("spec")?)?;
    Some(json!({"metadata": {"resourceVersion": text(found, "/metadata/resourceVersion")}, "spec": spec}))
}

fn nulls(wanted: &Value, found: &Value) -> Option<Value> {
    let (Value::Object(wanted), Value::Object(found)) = (wanted, found) else { return None };
    let null = |(key, found): (&String, &Value)| {
        let null = wanted.get(key).map_or(Some(Value::Null), |wanted| nulls(wanted, found))?;
        Some((key.clone(), null))
    };
    let nulls: Map<_, _> = found.iter().filter_map(null).collect();
    (!nulls.is_empty()).then_some(Value::Object(nulls))
}

fn compare(path: &str, wanted: Option<&Value>, found: Option<&Value>, edits: &mut Vec<Edit>) {
    // A null is what the API server drops, and an empty list or object means no more than none.
    let (wanted, found) = (wanted.filter(|value| !is_void(value)), found.filter(|value| !is_void(value)));
    match (wanted, found) {
        (Some(Value::Object(wanted)), Some(Value::Object(found))) => {
            for key in wanted.keys().chain(found.keys().filter(|&key| !wanted.contains_key(key))) {
                compare(&format!("{path}.{key}"), wanted.get(key), found.get(key), edits);
            }
        }
        (Some(Value::Array(wanted)), Some(Value::Array(found))) if wanted.len() == found.len() => {
            for (i, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                compare(&format!("{path}[{i}]"), Some(wanted), Some(found), edits);
            }
        }
        // Numbers may come back as doubles.
        (Some(Value::Number(wanted)), Some(Value::Number(found))) if wanted.as_f64() == found.as_f64() => {}
        (wanted, found) if wanted == found => {}
        (wanted, found) => {
            edits.push(Edit { path: path.to_owned(), found: found.cloned(), wanted: wanted.cloned() });
        }
    }
}

fn is_void(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(spec: &Value) -> Value {
        json!({"metadata": metadata("shop", "it", Some("shop"), "about"), "spec": spec})
    }

    /// Checks what is said of `found` where `wanted` was written.
    fn check(wanted: &Value, found: &Value, expected: &[&str]) {
        let edits = drift(&object(wanted), &object(found));
        let lines: Vec<_> = edits.iter().map(ToString::to_string).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn an_edit_is_found_by_its_path() {
        let wanted = json!({"a": 1, "b": {"c": ["x", {"y": true}]}});
        check(&wanted, &wanted, &[]);
        check(
            &wanted,
            &json!({"a": 2, "b": {"c": ["x", {"y": false}]}}),
            &["spec.a: found 2, want 1", "spec.b.c[1].y: found false, want true"],
        );
        check(&wanted, &json!({"a": 1}), &[r#"spec.b: found nothing, want {"c":["x",{"y":true}]}"#]);
        check(
            &wanted,
            &json!({"a": 1, "b": {"c": ["x"]}}),
            &[r#"spec.b.c: found ["x"], want ["x",{"y":true}]"#],
        );
        check(
            &wanted,
            &json!({"a": 1, "b": {"c": ["x", {"y": true}]}, "z": 3}),
            &["spec.z: found 3, want nothing"],
        );
    }

    #[test]
    fn a_field_too_many_is_taken_out() {
        let wanted = json!({"a": 1, "b": {"c": ["x"], "d": {}}});
        assert_eq!(removal(&object(&wanted), &object(&wanted)), None);
        assert_eq!(removal(&object(&wanted), &object(&json!({"a": 2, "b": {"c": [{"y": 1}]}}))), None);
        let found = object(&json!({"a": 1, "b": {"c": [], "d": {"e.f": 1}}, "z": {"y": 3}}));
        let removal = removal(&object(&wanted), &found).unwrap();
        assert_eq!(removal["spec"], json!({"b": {"d": {"e.f": null}}, "z": null}));
    }

    #[test]
    fn doubles_nulls_and_nothing_are_no_edits() {
        check(&json!({"a": 1_000_000, "b": [], "c": null}), &json!({"a": 1e6, "d": {}}), &[]);
    }

    #[test]
    fn what_the_api_server_adds_is_no_edit_and_a_lost_label_is() {
        let wanted = object(&json!({"a": 1}));
        let mut found = wanted.clone();
        found["metadata"]["resourceVersion"] = "7".into();
        found["metadata"]["managedFields"] = json!([{}]);
        found["metadata"]["labels"]["team"] = "shop".into();
        found["status"] = json!({"conditions": []});
        assert_eq!(drift(&wanted, &found), []);
        found["metadata"]["labels"][MANAGED_BY.0] = "Helm".into();
        let edits = drift(&wanted, &found);
        assert_eq!(edits.len(), 1);
        let line = edits[0].to_string();
        assert_eq!(line, r#"metadata.labels.app.kubernetes.io/managed-by: found "Helm", want "serin""#);
        assert_eq!(owned(&wanted), Ownership::Ours);
        assert_eq!(owned(&found), Ownership::Foreign { name: "shop/it".to_owned() });
    }
}
