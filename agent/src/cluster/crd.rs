/*!
The resources that a cluster is told of: `releases.serin.dev` and `metrictemplates.serin.dev`, made from the types that
read them.

kube makes the schema; this room takes from it what would not do in a cluster. Defaults are not written into it: the
API server would freeze today's into every stored Release. Every list and every text has a bound, because the cost of
a rule is reckoned by the longest there can be.
*/
use k8s_openapi::Resource;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use kube::core::schema::{OptionalEnum, OptionalIntOrString, StructuralSchemaRewriter};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use schemars::transform::AddNullable;
use serde_json::{Map, Value, json};
use serin_policy::rule::LABEL;
use serin_release::{MetricTemplate, ReleaseObject};

/// The longest text where nothing else is said.
const MAX_LENGTH: u64 = 1024;
/// The longest list, and the largest map, where nothing else is said.
const MAX_ITEMS: u64 = 16;
/// Formats that the API server knows; it warns of every other.
const FORMATS: [&str; 5] = ["int32", "int64", "float", "double", "date-time"];

/// Fields whose absence is a decision. The API server takes a key with nothing behind it (a template's empty variable,
/// say) for no key at all, which would leave an override open to everybody, or a step without its pause. Of these it
/// keeps the nothing (`Given::Empty`), so that the check refuses it: no rule of the API server can.
const GIVEN: [&str; 3] = ["tokenSha256", "pause", "duration"];

/// What `kubectl get` shows: name, type, where it stands, and whether only `-o wide` has it.
type Column = (&'static str, &'static str, &'static str, bool);

/// What `kubectl get releases` shows.
const COLUMNS: [Column; 9] = [
    ("Phase", "string", ".status.phase", false),
    ("Step", "integer", ".status.step.index", false),
    ("Of", "integer", ".status.step.of", false),
    ("Weight%", "number", ".status.weight.percent", false),
    ("Served%", "number", ".status.served.percent", false),
    ("Age", "date", ".metadata.creationTimestamp", false),
    ("Run", "string", ".status.run", true),
    ("Verdict", "string", ".status.analysis.verdict", true),
    ("Message", "string", ".status.message", true),
];

/// What `kubectl get metrictemplates` shows.
const TEMPLATE_COLUMNS: [Column; 3] = [
    ("Interval", "string", ".spec.interval", false),
    ("Age", "date", ".metadata.creationTimestamp", false),
    ("Query", "string", ".spec.query", true),
];

/// The CustomResourceDefinitions, as objects.
pub fn definitions() -> [Value; 2] {
    let releases = definition::<ReleaseObject>("release", "rel", &COLUMNS, &json!({"status": {}}));
    let templates = definition::<MetricTemplate>("metrictemplate", "mt", &TEMPLATE_COLUMNS, &json!({}));
    [releases, templates]
}

fn definition<K: Resource + JsonSchema>(
    singular: &str,
    short: &str,
    columns: &[Column],
    subresources: &Value,
) -> Value {
    let mut root = structural_schema::<K>();
    tidy(&mut root);
    if let Some(spec) = root.pointer_mut("/properties/spec") {
        bound(spec);
    }
    root["x-kubernetes-validations"] = json!([{
            "rule": format!("self.metadata.name.size() <= {} && {}", LABEL.most(), LABEL.cel("self.metadata.name")),
            "message": format!("metadata.name: {}", LABEL.hint()),
    }]);
    let columns: Vec<_> = columns
        .iter()
        .map(|(name, kind, path, wide)| {
            json!({"name": name, "type": kind, "jsonPath": path, "priority": i32::from(*wide)})
        })
        .collect();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{}", K::URL_PATH_SEGMENT, K::GROUP)},
        "spec": {
            "group": K::GROUP,
            "names": {
                "categories": ["serin"],
                "kind": K::KIND,
                "plural": K::URL_PATH_SEGMENT,
                "shortNames": [short],
                "singular": singular,
            },
            "scope": "Namespaced",
            "versions": [{
                "additionalPrinterColumns": columns,
                "name": K::VERSION,
                "schema": {"openAPIV3Schema": root},
                "served": true,
                "storage": true,
                "subresources": subresources,
            }],
        },
    })
}

/// The types' own schema, in the form that an API server takes.
fn structural_schema<K: JsonSchema>() -> Value {
    let generator = SchemaSettings::openapi3()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(AddNullable::default())
        .with_transform(StructuralSchemaRewriter)
        .with_transform(OptionalEnum)
        .with_transform(OptionalIntOrString)
        .into_generator();
    let schema = Value::from(generator.into_root_schema_for::<K>());
    // By way of the API's own type, so that what it has no word for is left out here and not there.
    let schema = serde_json::from_value::<JSONSchemaProps>(schema);
    schema.and_then(serde_json::to_value).unwrap_or_default()
}

/// The same as YAML, with a line that says where it comes from.
///
/// # Errors
/// Never, unless the YAML writer is broken.
pub fn yaml() -> anyhow::Result<String> {
    let yaml =
        definitions().iter().map(serde_saphyr::to_string).collect::<Result<Vec<_>, _>>()?.join("---\n");
    Ok(format!("# What `serin crd` prints; generated, so not to be edited.\n{yaml}"))
}

/// Takes out what a cluster has no use for, here and in every schema within.
fn tidy(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    object.remove("default");
    object.remove("title");
    // The API server drops `null` where it is not allowed, and columns show nothing instead of it.
    object.remove("nullable");
    if object.get("format").and_then(Value::as_str).is_some_and(|format| !FORMATS.contains(&format)) {
        object.remove("format");
    }
    if let Some(Value::String(description)) = object.get_mut("description") {
        *description = description.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    for_each_within(object, tidy);
}

/// Bounds what has no bound, and keeps `null` where no value at all would be taken for a decision.
fn bound(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    let kind = object.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let most = match kind.as_str() {
        "string" if !object.contains_key("enum") => Some(("maxLength", MAX_LENGTH)),
        "array" => Some(("maxItems", MAX_ITEMS)),
        "object" if object.contains_key("additionalProperties") => Some(("maxProperties", MAX_ITEMS)),
        _ => None,
    };
    if let Some((keyword, most)) = most {
        object.entry(keyword).or_insert_with(|| json!(most));
    }
    for_each_within(object, bound);
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        for (_, field) in properties.iter_mut().filter(|(name, _)| GIVEN.contains(&name.as_str())) {
            field["nullable"] = json!(true);
        }
    }
}

fn for_each_within(schema: &mut Map<String, Value>, visit: impl Fn(&mut Value)) {
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.values_mut().for_each(&visit);
    }
    for keyword in ["items", "additionalProperties"] {
        schema.get_mut(keyword).into_iter().for_each(&visit);
    }
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_file_of_the_manifests_is_what_the_types_generate() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/base/crd.yaml");
        let generated = yaml().unwrap();
        if std::env::var_os("SERIN_BLESS").is_some() {
            std::fs::write(&path, generated).unwrap();
            return;
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == generated,
            "manifests/base/crd.yaml is not what the types generate: run SERIN_BLESS=1 cargo test -p serin-agent --lib crd"
        );
    }

    #[test]
    fn the_example_of_a_cluster_is_a_release_there() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/examples/canary-demo/release.yaml");
        let object: ReleaseObject = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let release = serin_release::Release::from_object(&object, "v2.0.0").unwrap().0;
        assert_eq!((release.name(), release.run()), ("canary-demo/myapp", "v2.0.0"));
    }

    #[test]
    fn every_column_shows_a_field_of_its_type() {
        for (crd, columns) in definitions().iter().zip([&COLUMNS[..], &TEMPLATE_COLUMNS]) {
            let root = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            for (name, kind, path, _) in columns.iter().filter(|(_, kind, ..)| *kind != "date") {
                let pointer = path.replace('.', "/properties/");
                assert_eq!(
                    root.pointer(&pointer).map(|field| &field["type"]),
                    Some(&json!(kind)),
                    "{name}: {path}"
                );
            }
        }
    }

    /// Calls `check` with every schema below `schema`, and the path of each.
    fn walk(schema: &Value, path: &str, check: &mut dyn FnMut(&str, &Value)) {
        check(path, schema);
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            walk(property, &format!("{path}.{name}"), check);
        }
        for keyword in ["items", "additionalProperties"] {
            if schema[keyword].is_object() {
                walk(&schema[keyword], &format!("{path}[]"), check);
            }
        }
    }

    #[test]
    fn every_field_is_described_and_bounded_and_has_no_frozen_default() {
        let specs = definitions().map(|mut crd| {
            crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].take()
        });
        let check = &mut |path: &str, schema: &Value| {
            let has = |keyword: &str| schema.get(keyword).is_some();
            let description = schema["description"].as_str().unwrap_or_default();
            assert!(path.ends_with("[]") || description.ends_with('.'), "{path}: {description:?}");
            assert!(!description.contains("None:"), "{path}: {description:?}");
            assert!(!has("default"), "{path}: {schema}");
            let may_be_null = GIVEN.iter().any(|given| path.ends_with(&format!(".{given}")));
            assert_eq!(has("nullable"), may_be_null, "{path}: {schema}");
            assert!(schema["type"] != "array" || has("maxItems"), "{path} has no end");
            assert!(schema["type"] != "string" || has("maxLength") || has("enum"), "{path} has no end");
            assert!(
                has("type") || has("x-kubernetes-preserve-unknown-fields"),
                "{path} has no type: {schema}"
            );
        };
        for spec in &specs {
            walk(spec, "spec", check);
        }
    }
}
