/*!
`docs/api.md`, the reference of every field, is made of the schemas that the API server has.
*/
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use super::definitions;

/// The whole page.
fn page() -> String {
    let mut page = "# API reference\n\n\
        Every field of the resources of `serin.dev/v1alpha1`, made of their schemas by\n\
        `SERIN_BLESS=1 cargo test -p serin-agent --lib crd`. `kubectl explain release.spec --recursive` has the same.\n"
        .to_owned();
    for definition in definitions() {
        let version = &definition["spec"]["versions"][0];
        let root = &version["schema"]["openAPIV3Schema"];
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
        write!(page, "\n## {kind}\n\n{}\n", description(root)).unwrap();
        for part in ["spec", "status"] {
            if let Some(schema) = root["properties"].get(part) {
                object(&mut page, kind, part, schema);
            }
        }
    }
    page
}

/// A table of the fields of an object, and of those within it.
fn object(page: &mut String, kind: &str, path: &str, schema: &Value) {
    let fields = schema["properties"].as_object().unwrap();
    write!(page, "\n### {kind} {path}\n\n{}\n\n| field | type | |\n|---|---|---|\n", description(schema))
        .unwrap();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, field) in fields {
        let required = if required.iter().any(|it| it == name) { " Required." } else { "" };
        let values = values(field).map_or_else(String::new, |values| format!(" One of {values}."));
        let description = description(field).replace('|', "\\|");
        writeln!(page, "| `{name}` | {} | {description}{values}{required} |", type_of(field)).unwrap();
    }
    for (name, field) in fields {
        let (within, suffix) = innermost(field);
        if within["properties"].is_object() {
            object(page, kind, &format!("{path}.{name}{suffix}"), within);
        }
    }
}

fn description(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What lists and maps hold in the end, and how a path says that it is in one.
fn innermost(schema: &Value) -> (&Value, String) {
    for (keyword, suffix) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[keyword].is_object() {
            let (within, more) = innermost(&schema[keyword]);
            return (within, format!("{suffix}{more}"));
        }
    }
    (schema, String::new())
}

fn values(schema: &Value) -> Option<String> {
    let values = innermost(schema).0["enum"].as_array()?;
    let values: Vec<_> = values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect();
    Some(values.join(", "))
}

fn type_of(schema: &Value) -> String {
    if schema["items"].is_object() {
        return format!("list of {}", type_of(&schema["items"]));
    }
    if schema["additionalProperties"].is_object() {
        return format!("map of {}", type_of(&schema["additionalProperties"]));
    }
    // A number or a text, such as 10 and "10%".
    schema["type"].as_str().unwrap_or("any").to_owned()
}

#[test]
fn the_reference_is_made_of_the_schemas() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api.md");
    let made = page();
    if std::env::var_os("SERIN_BLESS").is_some() {
        std::fs::write(&path, made).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let mend = "run SERIN_BLESS=1 cargo test -p serin-agent --lib crd";
    assert!(kept == made, "docs/api.md is not what the schemas say: {mend}");
}
