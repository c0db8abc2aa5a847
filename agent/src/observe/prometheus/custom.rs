/*!
Metrics that people write themselves, as PromQL with variables in braces.
*/
use std::fmt;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _, stream};
use jiff::Timestamp;
use serin_policy::Arm;

use super::answer::Answer;
use super::client::Client;
use super::error::QueryError;
use super::promql;

/// How many queries of people's own run at a time.
const AT_ONCE: usize = 8;

/// What a template may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    Namespace,
    Name,
    Service,
    Arm,
    Version,
    Interval,
}

impl Variable {
    const ALL: [Self; 6] =
        [Self::Namespace, Self::Name, Self::Service, Self::Arm, Self::Version, Self::Interval];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Name => "name",
            Self::Service => "service",
            Self::Arm => "arm",
            Self::Version => "version",
            Self::Interval => "interval",
        }
    }
}

/// PromQL with variables: `rate(jobs_failed_total{version="{{ version }}"}[{{ interval }}])`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(Variable),
}

/// A template that cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// There is nothing in it.
    #[error("the query is empty: write PromQL")]
    Empty,
    /// Nobody knows this variable.
    #[error("{{{{ {name} }}}} is not known: take one of {}", Known)]
    Unknown {
        /// The variable.
        name: String,
    },
    /// A variable does not end.
    #[error("{{{{ in {after:?} has no end: write }}}}")]
    Unclosed {
        /// What follows the braces.
        after: String,
    },
}

struct Known;

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Variable::ALL.map(Variable::as_str).join(", "))
    }
}

/// What a template is filled in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values<'v> {
    /// The release's namespace.
    pub namespace: &'v str,
    /// The release's name.
    pub name: &'v str,
    /// The service's name.
    pub service: &'v str,
    /// Which of the two versions is asked about.
    pub arm: Arm,
    /// What that version is called.
    pub version: &'v str,
    /// The time between two readings.
    pub interval: Duration,
}

impl Template {
    /// Takes a template apart.
    ///
    /// # Errors
    /// When it has variables that nobody knows.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.trim().is_empty() {
            return Err(TemplateError::Empty);
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else {
                return Err(TemplateError::Unclosed { after: after.chars().take(20).collect() });
            };
            let variable = Variable::ALL.into_iter().find(|known| known.as_str() == name.trim());
            let unknown = || TemplateError::Unknown { name: name.trim().to_owned() };
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Variable(variable.ok_or_else(unknown)?));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self { pieces })
    }

    /// The query. Values are escaped, so that none can end the string it stands in.
    pub fn fill_in(&self, values: &Values<'_>) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Variable(Variable::Namespace) => promql::escaped(values.namespace),
            Piece::Variable(Variable::Name) => promql::escaped(values.name),
            Piece::Variable(Variable::Service) => promql::escaped(values.service),
            Piece::Variable(Variable::Arm) => values.arm.as_str().to_owned(),
            Piece::Variable(Variable::Version) => promql::escaped(values.version),
            Piece::Variable(Variable::Interval) => format!("{}ms", values.interval.as_millis()),
        };
        self.pieces.iter().map(piece).collect()
    }
}

/// What became of one query. That there is nothing, no number, or no answer are three different things.
#[derive(Debug)]
pub enum Reading {
    /// A number; infinite where it was divided by zero.
    Value(f64),
    /// NaN, as zero divided by zero gives.
    NotANumber,
    /// No series matched.
    Empty,
    /// No answer, or one that is no single number.
    Failed(QueryError),
}

impl Reading {
    fn of(query: &str, answer: Result<Answer, QueryError>) -> Self {
        let value = match answer {
            Err(error) => return Self::Failed(error),
            Ok(Answer::Scalar(value)) => value,
            Ok(Answer::Vector(series)) => match series.as_slice() {
                [] => return Self::Empty,
                [only] => only.value,
                several => {
                    let (query, count) = (query.to_owned(), several.len());
                    return Self::Failed(QueryError::Several { query, count });
                }
            },
        };
        if value.is_nan() { Self::NotANumber } else { Self::Value(value) }
    }
}

/// Makes all of `queries` as of `at`, some at a time, and returns their readings in the same order.
pub async fn read(client: &Client, queries: &[String], at: Timestamp) -> Vec<Reading> {
    let read = |query: &String| read_one(client, query.clone(), at).boxed();
    let readings: Vec<_> = queries.iter().map(read).collect();
    stream::iter(readings).buffered(AT_ONCE).collect().await
}

async fn read_one(client: &Client, query: String, at: Timestamp) -> Reading {
    Reading::of(&query, client.query(&query, at).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: Values<'_> = Values {
        namespace: "shop",
        name: "cart",
        service: "cart-svc",
        arm: Arm::Canary,
        version: r#"1"5"#,
        interval: Duration::from_millis(1500),
    };

    fn check(template: &str, expected: Result<&str, &str>) {
        let found = Template::parse(template).map(|template| template.fill_in(&VALUES));
        match (found, expected) {
            (Err(found), Err(expected)) => assert_eq!(found.to_string(), expected),
            (found, expected) => {
                assert_eq!(found.as_deref().map_err(ToString::to_string), expected.map_err(str::to_owned));
            }
        }
    }

    #[test]
    fn variables_are_filled_in_with_or_without_spaces() {
        check("vector(1)", Ok("vector(1)"));
        check("{{namespace}}/{{ name }}/{{  service }}/{{ arm }}", Ok("shop/cart/cart-svc/canary"));
        check(r#"sum(rate(x{v="{{ version }}"}[{{ interval }}]))"#, Ok(r#"sum(rate(x{v="1\"5"}[1500ms]))"#));
    }

    #[test]
    fn a_variable_that_nobody_knows_is_refused_with_those_that_are_known() {
        let known = "take one of namespace, name, service, arm, version, interval";
        check("x{{ target }}", Err(&format!("{{{{ target }}}} is not known: {known}")));
        check("x{{}}", Err(&format!("{{{{  }}}} is not known: {known}")));
        check("x{{ name", Err(r#"{{ in " name" has no end: write }}"#));
        check(" \n", Err("the query is empty: write PromQL"));
    }
}
