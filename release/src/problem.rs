/*!
What is wrong with a Release, in words that say what to write instead.
*/
use std::fmt;

/// Why a text is not a Release.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// Not YAML, an unknown field, or a value of the wrong kind.
    #[error("{text}")]
    Unreadable {
        /// What is wrong, with the line.
        text: String,
        /// The field that no Release has, if that is what is wrong.
        unknown: Option<String>,
    },
    /// Readable, but some fields make no sense: all of them, one a line.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
}

/// One field that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where the field stands, e.g. `spec.strategy.canary.steps[1].setWeight`.
    pub path: String,
    /// What was found there.
    pub value: String,
    /// What to write instead.
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.path, self.value, self.hint)
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// Everything found wrong so far.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, path: impl Into<String>, value: impl fmt::Display, hint: impl Into<String>) {
        self.0.push(Problem { path: path.into(), value: value.to_string(), hint: hint.into() });
    }

    /// `sound` if nothing was wrong with it.
    pub(super) fn unless_any<T>(self, sound: T) -> Result<T, ReleaseError> {
        if self.0.is_empty() { Ok(sound) } else { Err(ReleaseError::Invalid(self.0)) }
    }

    /// Whether something is wrong with the field at `path`.
    pub(super) fn has(&self, path: &str) -> bool {
        self.0.iter().any(|problem| problem.path == path)
    }

    /// Whether something is wrong with a field of what stands at `path`.
    pub(super) fn is_below(&self, path: &str) -> bool {
        let is_below =
            |problem: &Problem| problem.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
        self.0.iter().any(is_below)
    }

    pub(super) fn into_list(self) -> Vec<Problem> {
        self.0
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
