/*!
Why a policy was not taken: the field, its value, and what to write instead.
*/
use std::fmt;

/// One thing wrong with a policy document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {value}: {hint}")]
pub struct Refusal {
    /// Name of the policy (`namespace/release`), where it could be read.
    pub policy: Option<String>,
    /// Path of the field in the document, e.g. `policies[2].steps[1]`.
    pub field: String,
    /// The value found there, as JSON, shortened.
    pub value: String,
    /// The kind of mistake, for a metric's label.
    pub kind: Kind,
    /// What to write instead.
    pub hint: String,
}

/// Kinds of mistakes: few and fixed, because they become label values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Not JSON, or not of the document's shape.
    Malformed,
    /// Written for a newer reader: a document version or a critical field this build does not know.
    Unsupported,
    /// The right shape with a value that makes no sense.
    Invalid,
    /// Claims a host and path, or a name, that an earlier policy has.
    Duplicate,
}

impl Kind {
    /// Every kind there is.
    pub const ALL: [Self; 4] = [Self::Malformed, Self::Unsupported, Self::Invalid, Self::Duplicate];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
            Self::Invalid => "invalid",
            Self::Duplicate => "duplicate",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Refusal {
    pub(crate) fn new(
        kind: Kind,
        field: impl Into<String>,
        value: impl fmt::Display,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            policy: None,
            field: field.into(),
            value: shorten(&value.to_string()),
            kind,
            hint: hint.into(),
        }
    }

    /// Puts the field under `prefix` and names the policy it belongs to.
    pub(crate) fn within(mut self, prefix: &str, policy: Option<&str>) -> Self {
        self.field =
            if self.field.is_empty() { prefix.to_owned() } else { format!("{prefix}.{}", self.field) };
        self.policy = policy.map(str::to_owned);
        self
    }
}

/// A refused value may be megabytes of junk: enough of it to be recognised is kept.
fn shorten(value: &str) -> String {
    const KEPT: usize = 80;
    match value.char_indices().nth(KEPT) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
        None => value.to_owned(),
    }
}
