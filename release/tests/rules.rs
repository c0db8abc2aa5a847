/*!
Values on and over the edge of every rule, put to all who speak of it: the schema, the checks and, through them, the
filter's reader. What an API server makes of the same table is seen in the mesh (`tests/istio/rules.rs`).
*/
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};
use serin_policy::Weight;
use serin_policy::{Document, Proxy, Table};
use serin_release::rule::{self, Span};
use serin_release::{Problem, Release, ReleaseError, ReleaseObject};

const ROWS: &str = include_str!("rules.tsv");

/// A Release with these changes of its spec.
fn object(changes: &Value) -> Value {
    let mut spec = json!({
        "service": {"name": "shop"},
        "stable": {"targetRef": {"name": "shop-stable"}},
        "canary": {"targetRef": {"name": "shop-canary"}},
    });
    merge(&mut spec, changes);
    json!({"apiVersion": "serin.dev/v1alpha1", "kind": "Release", "metadata": {"name": "shop", "namespace": "shop"},
        "spec": spec})
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

/// What the checks say of a Release with these changes.
fn problems(changes: &Value) -> Vec<Problem> {
    let object: ReleaseObject = serde_json::from_value(object(changes)).unwrap();
    match Release::from_object(&object, "v2") {
        Ok((release, _)) => {
            let document = Document::new(vec![release.policy(1, Weight::ZERO, false, false)]);
            let json = serde_json::to_vec(&document).unwrap();
            assert_eq!(Table::read(&json, &Proxy::default(), &Table::default()).1, [], "{changes}");
            Vec::new()
        }
        Err(ReleaseError::Invalid(problems)) => problems,
        Err(error) => panic!("{changes}: {error}"),
    }
}

/// The schema of a Release's spec.
fn schema() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = true);
    let mut schema = Value::from(settings.into_generator().into_root_schema_for::<ReleaseObject>());
    schema["properties"]["spec"].take()
}

/// Where the schema has the field at `path`, and the schemas around it.
fn around<'s>(schema: &'s Value, path: &str) -> Vec<&'s Value> {
    let mut all = vec![schema];
    for field in path.trim_start_matches("spec.").split('.') {
        let (name, is_entry) = match field.split_once('[') {
            Some((name, _)) => (name, true),
            None => (field, false),
        };
        let list = &all[all.len() - 1]["properties"][name];
        all.push(list);
        if is_entry {
            all.push(&list["items"]);
        }
    }
    all.retain(|schema| !schema.is_null());
    all
}

#[test]
fn all_who_speak_of_a_rule_say_the_same() {
    let schema = schema();
    for row in ROWS.lines().filter(|line| !line.starts_with('#')) {
        let (says, rest) = row.split_once('\t').unwrap();
        let (changes, field) = rest.split_once('\t').unwrap_or((rest, ""));
        let found = problems(&serde_json::from_str(changes).unwrap());
        if says == "fine" {
            assert_eq!(found, [], "{changes}");
            continue;
        }
        let of_field = found.iter().filter(|problem| problem.path.starts_with(field)).collect::<Vec<_>>();
        assert!(!of_field.is_empty() && of_field.len() == found.len(), "{changes}: {found:?}, want {field}");
        // The hint that the schema has for this field, or for those it is among.
        let around = around(&schema, field);
        let rules = around
            .iter()
            .flat_map(|schema| schema["x-kubernetes-validations"].as_array().into_iter().flatten());
        let has_rule = rules.into_iter().any(|rule| rule["message"] == of_field[0].hint);
        assert!(says != "rule" || has_rule, "{changes}: no rule of the schema says {:?}", of_field[0].hint);
    }
}

#[test]
fn the_descriptions_name_the_bounds_that_are_checked() {
    let schema = schema();
    let bounded: [(&str, Span); 18] = [
        ("hooks[].checks[].maxLatency", rule::request::MAX_LATENCY),
        ("windows[].duration", rule::WINDOW),
        ("approval.timeout", rule::APPROVAL),
        ("hooks[].timeout", rule::hook::HOOK_TIMEOUT),
        ("hooks[].job.timeout", rule::hook::JOB_TIMEOUT),
        ("hooks[].load.duration", rule::hook::LOAD),
        ("hooks[].interval", rule::READING),
        ("analysis.interval", rule::INTERVAL),
        ("analysis.baseline", rule::UP_TO_A_DAY),
        ("analysis.warmUp", rule::UP_TO_A_DAY),
        ("analysis.noDataAfter", rule::UP_TO_A_DAY),
        ("agentLostAfter", rule::AGENT_LOST),
        ("analysis.metrics[].objective", rule::OBJECTIVE),
        ("analysis.metrics[].interval", rule::READING),
        ("strategy.canary.scaleDownDelay", rule::UP_TO_A_DAY),
        ("strategy.blueGreen.scaleDownDelay", rule::UP_TO_A_DAY),
        ("strategy.blueGreen.keep", rule::KEEP),
        ("sessionAffinity.cookie.maxAge", rule::COOKIE_AGE),
    ];
    for (path, bounds) in bounded {
        let description = around(&schema, path).pop().unwrap()["description"].to_string();
        let description = description.replace("\\n", " ");
        assert!(description.contains(&bounds.to_string()), "{path}: {description}: want {bounds}");
    }
}
