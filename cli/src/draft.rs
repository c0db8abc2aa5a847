/*!
A document that is written for people to go on with: its fields in the order in which one reads them, and what there is to
say of it as comments before them.
*/
use std::fmt;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;
use serin_release::lint::lint;

use super::cluster::wrap;

/// The columns of a comment.
const WIDTH: usize = 100;

/// Fields, in the order in which they were given.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Fields(Vec<(String, Node)>);

/// What a field can be.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Node {
    /// Fields of its own.
    Fields(Fields),
    /// A list.
    List(Vec<Node>),
    /// Anything as it was found.
    Value(Value),
}

impl Fields {
    /// These and one more.
    pub(super) fn with(mut self, name: &str, node: impl Into<Node>) -> Self {
        self.put(name, node);
        self
    }

    /// One more.
    pub(super) fn put(&mut self, name: &str, node: impl Into<Node>) {
        self.0.push((name.to_owned(), node.into()));
    }

    /// One more, if there is something in it.
    pub(super) fn put_fields(&mut self, name: &str, fields: Self) {
        if !fields.is_empty() {
            self.put(name, fields);
        }
    }

    /// One more, if there is something.
    pub(super) fn put_some(&mut self, name: &str, node: Option<impl Into<Node>>) {
        if let Some(node) = node {
            self.put(name, node);
        }
    }

    /// All of `others` more.
    pub(super) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// The same with another `name`.
    pub(super) fn renamed(mut self, name: &str) -> Self {
        for (_, node) in self.0.iter_mut().filter(|(field, _)| field == "name") {
            *node = name.into();
        }
        self
    }

    /// The text of this name.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let (_, node) = self.0.iter().find(|(field, _)| field == name)?;
        match node {
            Node::Value(value) => value.as_str(),
            Node::Fields(_) | Node::List(_) => None,
        }
    }

    /// Whether there is one of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(field, _)| field == name)
    }

    /// Whether there are none.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, node)| (name, node)))
    }
}

macro_rules! from_values {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Node {
            fn from(value: $kind) -> Self {
                Self::Value(value.into())
            }
        }
    )*};
}

from_values!(Value, &str, String, bool, i32, u64, f64, Vec<String>);

impl From<Fields> for Node {
    fn from(fields: Fields) -> Self {
        Self::Fields(fields)
    }
}

impl From<Vec<Fields>> for Node {
    fn from(list: Vec<Fields>) -> Self {
        Self::List(list.into_iter().map(Self::Fields).collect())
    }
}

/// An object of Serin's, with what there is to say of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Draft {
    kind: &'static str,
    namespace: Option<String>,
    name: String,
    /// Each a sentence or two.
    pub(super) notes: Vec<String>,
    pub(super) spec: Fields,
}

impl Draft {
    /// A Release.
    pub(super) fn release(namespace: Option<&str>, name: &str) -> Self {
        Self::of("Release", namespace, name)
    }

    /// A MetricTemplate.
    pub(super) fn metric_template(namespace: Option<&str>, name: &str) -> Self {
        Self::of("MetricTemplate", namespace, name)
    }

    fn of(kind: &'static str, namespace: Option<&str>, name: &str) -> Self {
        let (namespace, name) = (namespace.map(str::to_owned), name.to_owned());
        Self { kind, namespace, name, notes: Vec::new(), spec: Fields::default() }
    }

    /// Says one thing more, once.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    /// Says that something of another tool's has nothing in Serin, and why.
    pub(super) fn leave_out(&mut self, place: impl fmt::Display, why: &str) {
        self.note(format!("left out: {place}: {why}"));
    }

    /// The object alone.
    pub(super) fn object(&self) -> Fields {
        let mut metadata = Fields::default().with("name", self.name.as_str());
        metadata.put_some("namespace", self.namespace.as_deref());
        Fields::default()
            .with("apiVersion", "serin.dev/v1alpha1")
            .with("kind", self.kind)
            .with("metadata", metadata)
            .with("spec", self.spec.clone())
    }

    /// A YAML document, its comments first.
    ///
    /// # Errors
    /// Never, unless the YAML writer is broken.
    pub(super) fn yaml(&self) -> anyhow::Result<String> {
        let notes = self.notes.iter().flat_map(|note| comment(note));
        let notes: String = notes.map(|line| line + "\n").collect();
        Ok(notes + &serde_saphyr::to_string(&self.object())?)
    }
}

/// A comment, its lines after the first indented. A command stays in one piece, to be copied.
fn comment(text: &str) -> Vec<String> {
    let is_command = |line: &str| line.starts_with("kubectl ");
    let whole = |line: &str| if is_command(line) { vec![line.to_owned()] } else { wrap(line, WIDTH - 4) };
    let lines = text.lines().flat_map(whole).enumerate();
    lines.map(|(i, line)| format!("#{}{line}", if i == 0 { " " } else { "   " })).collect()
}

/// The documents, once each is what Serin takes.
///
/// # Errors
/// When one is not: the text says which field.
pub(super) fn checked(drafts: &[Draft]) -> anyhow::Result<Vec<String>> {
    let documents = drafts.iter().map(Draft::yaml).collect::<anyhow::Result<Vec<_>>>()?;
    for file in lint(&[together(&documents)], Timestamp::now()) {
        for linted in file.context("what was made is no Release")? {
            linted.outcome.with_context(|| format!("Release {}", linted.name))?;
        }
    }
    Ok(documents)
}

/// Documents as one text.
pub(super) fn together(documents: &[String]) -> String {
    documents.join("---\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_draft_is_a_document_in_the_order_of_its_fields_with_comments_before_it() {
        let mut draft = Draft::release(Some("shop"), "shop");
        draft.note("a sentence");
        draft.note("word ".repeat(40));
        draft.spec.put("service", Fields::default().with("name", "shop"));
        for arm in ["stable", "canary"] {
            let target = Fields::default().with("name", format!("shop-{arm}"));
            draft.spec.put(arm, Fields::default().with("targetRef", target));
        }
        draft.spec.put("routing", json!({"timeout": "3s"}));
        draft.spec.put_fields("analysis", Fields::default());
        let text = together(&checked(std::slice::from_ref(&draft)).unwrap());
        assert!(text.starts_with("# a sentence\n# word word"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        let order = ["#   word", "apiVersion:", "service:", "stable:", "canary:", "routing:"];
        let places: Vec<_> = order.iter().map(|word| text.find(word).unwrap()).collect();
        assert!(places.is_sorted() && !text.contains("analysis"), "{text}");
        draft.spec.put("suspend", "perhaps");
        assert!(checked(&[draft]).is_err());
    }
}
