/*!
Metrics that people write themselves, as PromQL with variables in braces.
*/
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serin_policy::Arm;

/// What a template may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Variable {
    Namespace,
    Name,
    Service,
    Arm,
    Version,
    Interval,
    Deployment,
    Pods,
    Label(String),
}

impl Variable {
    const NAMED: [(&str, Self); 8] = [
        ("namespace", Self::Namespace),
        ("name", Self::Name),
        ("service", Self::Service),
        ("arm", Self::Arm),
        ("version", Self::Version),
        ("interval", Self::Interval),
        ("deployment", Self::Deployment),
        ("pods", Self::Pods),
    ];

    fn named(name: &str) -> Option<Self> {
        if let Some(label) = name.strip_prefix("labels.").filter(|label| !label.is_empty()) {
            return Some(Self::Label(label.to_owned()));
        }
        Self::NAMED.into_iter().find_map(|(known, variable)| (known == name).then_some(variable))
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
        write!(f, "{}, labels.NAME", Variable::NAMED.map(|(name, _)| name).join(", "))
    }
}

/// A value that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MissingValue {
    /// The version is no Deployment of a cluster.
    #[error("{{{{ deployment }}}}, {{{{ pods }}}} and {{{{ labels.NAME }}}} are only known in a cluster")]
    Workload,
    /// The pods have no such label.
    #[error("{{{{ labels.{label} }}}}: the pods of Deployment {deployment} have no label {label}")]
    Label {
        /// The label.
        label: String,
        /// The Deployment that makes the pods.
        deployment: String,
    },
}

/// The Deployment of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Its name.
    pub deployment: String,
    /// The labels of its pod template.
    pub labels: BTreeMap<String, String>,
}

impl Workload {
    /// A pattern, as PromQL has them, that matches the names of its pods and no other Deployment's.
    fn pods(&self) -> String {
        // A pod is called by its Deployment, a hash, and five letters or digits; of a long name, the end is cut off.
        let name: String = self.deployment.chars().take(LONGEST_WHOLE_NAME).collect();
        let rest = if name == self.deployment { "-[0-9a-z]+-[0-9a-z]{5}" } else { "[0-9a-z.-]*" };
        name.replace('.', r"\.") + rest
    }
}

/// A Deployment's name that is no longer than this is in its pods' names as a whole: those have 63 characters at most.
const LONGEST_WHOLE_NAME: usize = 46;

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
    /// The version's Deployment, in a cluster.
    pub workload: Option<&'v Workload>,
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
            let variable = Variable::named(name.trim());
            let unknown = || TemplateError::Unknown { name: name.trim().to_owned() };
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Variable(variable.ok_or_else(unknown)?));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self { pieces })
    }

    /// Whether it can only be filled in in a cluster.
    pub fn needs_a_cluster(&self) -> bool {
        let needs = |variable: &Variable| {
            matches!(variable, Variable::Deployment | Variable::Pods | Variable::Label(_))
        };
        self.pieces.iter().any(|piece| matches!(piece, Piece::Variable(variable) if needs(variable)))
    }

    /// The query. Values are escaped, so that none can end the string it stands in.
    ///
    /// # Errors
    /// When one of the values is missing.
    pub fn fill_in(&self, values: &Values<'_>) -> Result<String, MissingValue> {
        let workload = || values.workload.ok_or(MissingValue::Workload);
        let piece = |piece: &Piece| {
            Ok(match piece {
                Piece::Text(text) => text.clone(),
                Piece::Variable(Variable::Namespace) => escaped(values.namespace),
                Piece::Variable(Variable::Name) => escaped(values.name),
                Piece::Variable(Variable::Service) => escaped(values.service),
                Piece::Variable(Variable::Arm) => values.arm.as_str().to_owned(),
                Piece::Variable(Variable::Version) => escaped(values.version),
                Piece::Variable(Variable::Interval) => format!("{}ms", values.interval.as_millis()),
                Piece::Variable(Variable::Deployment) => escaped(&workload()?.deployment),
                Piece::Variable(Variable::Pods) => escaped(&workload()?.pods()),
                Piece::Variable(Variable::Label(label)) => {
                    let Workload { deployment, labels } = workload()?;
                    let missing =
                        || MissingValue::Label { label: label.clone(), deployment: deployment.clone() };
                    escaped(labels.get(label).ok_or_else(missing)?)
                }
            })
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
        workload: None,
    };

    fn check(template: &str, expected: Result<&str, &str>) {
        let found = Template::parse(template).map(|template| template.fill_in(&VALUES).unwrap());
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
        let known =
            "use one of namespace, name, service, arm, version, interval, deployment, pods, labels.NAME";
        check("x{{ labels. }}", Err(&format!("{{{{ labels. }}}} is not a variable: {known}")));
        check("x{{ target }}", Err(&format!("{{{{ target }}}} is not a variable: {known}")));
        check("x{{}}", Err(&format!("{{{{  }}}} is not a variable: {known}")));
        check("x{{ name", Err(r#"{{ before " name" is not closed: add }}"#));
        check(" \n", Err("the query is empty: write PromQL"));
    }

    /// Fills `template` in for a Deployment of this name, whose pods are of team web.
    #[track_caller]
    fn check_in_cluster(deployment: &str, template: &str, expected: Result<&str, &str>) {
        let labels = [("app.kubernetes.io/team".to_owned(), "web".to_owned())].into();
        let workload = Workload { deployment: deployment.to_owned(), labels };
        let template = Template::parse(template).unwrap();
        assert!(template.needs_a_cluster());
        assert_eq!(template.fill_in(&VALUES), Err(MissingValue::Workload));
        let found = template.fill_in(&Values { workload: Some(&workload), ..VALUES });
        let found = found.map_err(|missing| missing.to_string());
        assert_eq!(found.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn in_a_cluster_there_are_deployment_pods_and_labels() {
        check_in_cluster("shop", "{{ deployment }}", Ok("shop"));
        check_in_cluster("shop", "{{ labels.app.kubernetes.io/team }}", Ok("web"));
        let pods = r#"x{pod=~"{{ pods }}"}"#;
        check_in_cluster("shop.v2", pods, Ok(r#"x{pod=~"shop\\.v2-[0-9a-z]+-[0-9a-z]{5}"}"#));
        let long = "a".repeat(50);
        let cut = format!("{}[0-9a-z.-]*", "a".repeat(46));
        check_in_cluster(&long, "{{ pods }}", Ok(&cut));
        check_in_cluster(
            "shop",
            "{{ labels.color }}",
            Err("{{ labels.color }}: the pods of Deployment shop have no label color"),
        );
        assert!(!Template::parse("{{ version }}").unwrap().needs_a_cluster());
    }
}
