//! Real objects of other tools, by their values: what becomes of each stands in `examples.tsv`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::source::Table;
use super::*;

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// A row of the table.
struct Example {
    outcome: String,
    /// What was left out, or why it was refused.
    says: String,
    source: String,
    objects: Vec<Value>,
    json: String,
}

fn examples() -> Vec<Example> {
    let table = std::fs::read_to_string(path("src/convert/examples.tsv")).unwrap();
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| {
        let [outcome, says, source, json] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        Example {
            outcome: outcome.to_owned(),
            says: says.to_owned(),
            source: source.to_owned(),
            objects: serde_json::from_str(json).unwrap(),
            json: json.to_owned(),
        }
    })
    .collect()
}

/// What becomes of `objects`: a word, and what was left out or why it was refused.
fn outcome(objects: &[Value]) -> (&'static str, String, Outcome) {
    let outcome = all(&Found { objects: objects.to_vec() });
    if !outcome.refused.is_empty() {
        return ("refused", outcome.refused.join("; "), outcome);
    }
    let notes = outcome.documents.iter().flat_map(|text| text.lines()).filter_map(|line| {
        let rest = line.strip_prefix("# left out: ")?;
        // A place may have a name in brackets; the reason comes after it.
        Some(rest.split(": ").next().unwrap_or_default().trim_end_matches(':').to_owned())
    });
    let places: Vec<_> = notes.collect();
    let word = if places.is_empty() { "converted" } else { "partly" };
    (word, places.join("; "), outcome)
}

#[test]
fn real_objects_are_converted_partly_converted_or_refused_with_the_reason() {
    let examples = examples();
    let is_blessed = std::env::var_os("SERIN_BLESS").is_some();
    let (mut wrong, mut unknown, mut table) =
        (Vec::new(), Vec::new(), "# outcome\tsays\tsource\tobjects\n".to_owned());
    let mut counted = std::collections::BTreeMap::new();
    for example in &examples {
        let (word, says, outcome) = outcome(&example.objects);
        *counted.entry(word).or_insert(0) += 1;
        let text = together(&outcome.documents);
        if text.contains("Serin has no such field") {
            unknown.push(format!("{}: a field is in no table:\n{text}", example.source));
        }
        if (word, &says) != (&example.outcome, &example.says) {
            wrong.push(format!("{}: {word}: {says}", example.source));
        }
        writeln!(table, "{word}\t{says}\t{}\t{}", example.source, example.json).unwrap();
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
    if is_blessed {
        std::fs::write(path("src/convert/examples.tsv"), table).unwrap();
        return;
    }
    assert!(wrong.is_empty(), "{}\nSERIN_BLESS=1 writes it anew: read the difference", wrong.join("\n"));
    for word in ["converted", "partly", "refused"] {
        assert!(counted[word] >= 5, "{counted:?}");
    }
    assert!(examples.len() >= 30);
}

/// What becomes of a Canary of the namespace `test` with this analysis, beside `others`: what was left out, what is said besides
/// as one text, and a field of the Release's `spec`.
pub(super) struct Read {
    pub(super) left_out: String,
    pub(super) text: String,
    spec: Value,
}

impl Read {
    /// Reads what a Canary becomes.
    pub(super) fn canary(analysis: &Value, others: &[Value]) -> Self {
        let canary = json!({
            "apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "podinfo", "namespace": "test"},
            "spec": {"targetRef": {"kind": "Deployment", "name": "podinfo"}, "analysis": analysis},
        });
        let objects: Vec<_> = std::iter::once(canary).chain(others.iter().cloned()).collect();
        let (word, left_out, outcome) = outcome(&objects);
        assert_ne!(word, "refused", "{left_out}");
        let text = together(&outcome.documents);
        let release: Value = serde_saphyr::from_str(&outcome.documents[0]).unwrap();
        let words: Vec<_> = text.split_whitespace().filter(|word| *word != "#").collect();
        Self { left_out, text: words.join(" "), spec: release["spec"].clone() }
    }

    /// Compares a field of the spec.
    #[track_caller]
    pub(super) fn check(&self, field: &str, expected: &Value) {
        assert_eq!(&self.spec[field], expected, "{}", self.text);
    }

    /// Looks for something that is said.
    #[track_caller]
    pub(super) fn says(&self, words: &str) {
        assert!(self.text.contains(words), "{words}: {}", self.text);
    }
}

/// The rows of a page's table.
fn rows(table: Table) -> String {
    table.iter().fold(String::new(), |rows, (field, becomes)| format!("{rows}| `{field}` | {becomes} |\n"))
}

#[test]
fn the_pages_say_what_is_done_with_each_field() {
    const HEAD: &str = "|---|---|\n";
    for (page, table) in
        [("coming-from-flagger.md", flagger_fields::FIELDS), ("coming-from-argo.md", argo::FIELDS)]
    {
        let path = path("../docs").join(page);
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, after) = text.split_once("## Field by field\n").unwrap();
        let (head, rest) = after.split_once(HEAD).unwrap();
        let there: String = rest.split_inclusive('\n').take_while(|line| line.starts_with('|')).collect();
        let wanted = rows(table);
        if std::env::var_os("SERIN_BLESS").is_some() {
            let rest = &rest[there.len()..];
            std::fs::write(&path, format!("{before}## Field by field\n{head}{HEAD}{wanted}{rest}")).unwrap();
        } else {
            assert!(
                there == wanted,
                "{page} is not what the code does: SERIN_BLESS=1 cargo test -p serin --lib convert"
            );
        }
    }
}
