/*!
A file with a Release, and the MetricTemplates beside it: documents of YAML, each with its words.
*/
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_saphyr::UserMessageFormatter;

use super::{MetricTemplateSpec, Spec};
use crate::object::MetricTemplate;
use crate::problem::{Problem, ReleaseError};
use k8s_openapi::Resource as _;

/// All of a file.
#[derive(Debug)]
pub struct Documents {
    /// The Release.
    pub release: Resource,
    /// The templates, in order.
    pub templates: Vec<TemplateResource>,
}

/// The document of a Release.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resource {
    /// The API and its version.
    pub api_version: Option<String>,
    /// The kind.
    pub kind: Option<String>,
    /// What it is called.
    #[serde(default)]
    pub metadata: Metadata,
    /// How versions are released.
    #[serde(default)]
    pub spec: Spec,
}

/// The document of a MetricTemplate.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TemplateResource {
    /// The API and its version.
    pub api_version: Option<String>,
    /// The kind, by which it was found.
    #[serde(rename = "kind")]
    _kind: IgnoredAny,
    /// What it is called.
    #[serde(default)]
    pub metadata: Metadata,
    /// What it says of metrics.
    pub spec: MetricTemplateSpec,
}

/// What an object is called.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Its name.
    pub name: Option<String>,
    /// Its namespace.
    pub namespace: Option<String>,
}

/// Reads the words; `check` makes sense of them.
pub fn read(yaml: &str) -> Result<Documents, ReleaseError> {
    let (mut releases, mut templates) = (Vec::new(), Vec::new());
    for document in documents(yaml) {
        if is_template(&document) {
            templates.push(parse(&document)?);
        } else {
            releases.push(document);
        }
    }
    let of_kind = |value: &str, hint: &str| {
        let problem = Problem { path: "kind".to_owned(), value: format!("{value:?}"), hint: hint.to_owned() };
        Err(ReleaseError::Invalid(vec![problem]))
    };
    match &releases[..] {
        [] if templates.is_empty() => Ok(Documents { release: parse(yaml)?, templates }),
        [] => of_kind(MetricTemplate::KIND, "write Release: there is none beside the templates"),
        [release] => Ok(Documents { release: parse(release)?, templates }),
        several => {
            for document in several {
                parse::<Resource>(document)?;
            }
            of_kind("Release", "another one stands in the same file: give each a file")
        }
    }
}

/// The documents with something in them, each on the lines that it has in the whole.
pub(crate) fn documents(yaml: &str) -> Vec<String> {
    let is_marker = |line: &str| {
        line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
    };
    let (mut documents, mut current) = (Vec::new(), String::new());
    for (number, line) in yaml.split_inclusive('\n').enumerate() {
        if is_marker(line) {
            documents.push(std::mem::replace(&mut current, "\n".repeat(number)));
        }
        current.push_str(line);
    }
    documents.push(current);
    let says_something = |document: &String| {
        document.lines().any(|line| {
            let line = line.strip_prefix("---").unwrap_or(line).trim_start();
            !(line.is_empty() || line.starts_with(['#', '%']))
        })
    };
    documents.retain(says_something);
    documents
}

/// Whether a document is to be a template. What cannot be read is taken for a Release, and refused as one.
fn is_template(document: &str) -> bool {
    #[derive(Deserialize)]
    struct Kind {
        kind: String,
    }
    serde_saphyr::from_str(document).is_ok_and(|Kind { kind }| kind == MetricTemplate::KIND)
}

/// Reads a document; what cannot be read is said with its line.
pub(crate) fn parse<T: DeserializeOwned>(document: &str) -> Result<T, ReleaseError> {
    serde_saphyr::from_str(document).map_err(|error| {
        let text = error.render_with_formatter(&UserMessageFormatter);
        let unknown = match error.without_snippet() {
            serde_saphyr::Error::SerdeUnknownField { field, .. } => Some(field.clone()),
            _ => None,
        };
        ReleaseError::Unreadable { text: text.strip_prefix("error: ").unwrap_or(&text).to_owned(), unknown }
    })
}
