/*!
Metrics that people write themselves, as PromQL with variables in braces.
*/
use std::fmt;
use std::time::Duration;

use serin_policy::Arm;

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
    /// There is no such variable.
    #[error("{{{{ {name} }}}} is not a variable: use one of {}", Known)]
    Unknown {
        /// The variable.
        name: String,
    },
    /// A variable is not closed.
    #[error("{{{{ before {after:?} is not closed: add }}}}")]
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
    /// When it is empty, or has something in braces that is not a variable.
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
            Piece::Variable(Variable::Namespace) => escaped(values.namespace),
            Piece::Variable(Variable::Name) => escaped(values.name),
            Piece::Variable(Variable::Service) => escaped(values.service),
            Piece::Variable(Variable::Arm) => values.arm.as_str().to_owned(),
            Piece::Variable(Variable::Version) => escaped(values.version),
            Piece::Variable(Variable::Interval) => format!("{}ms", values.interval.as_millis()),
        };
        self.pieces.iter().map(piece).collect()
    }
}

/// `text` as it stands inside a string of PromQL.
pub fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
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
    fn what_is_not_a_variable_is_refused_with_those_that_are() {
        let known = "use one of namespace, name, service, arm, version, interval";
        check("x{{ target }}", Err(&format!("{{{{ target }}}} is not a variable: {known}")));
        check("x{{}}", Err(&format!("{{{{  }}}} is not a variable: {known}")));
        check("x{{ name", Err(r#"{{ before " name" is not closed: add }}"#));
        check(" \n", Err("the query is empty: write PromQL"));
    }
}
