/*!
Metrics that name a MetricTemplate: what they leave out is filled in from there, before anything else is made of them.
*/
use serin_policy::rule::LABEL;

use super::analysis::{PATH, custom};
use super::{API_VERSION, literal, named, quoted};
use crate::DEFAULT_NAMESPACE;
use crate::object::ReleaseObject;
use crate::problem::{Problem, Problems, ReleaseError};
use crate::resource::{self, Metric, MetricTemplateSpec, TemplateRef, TemplateResource};

/// What is known of a MetricTemplate that a Release names.
#[derive(Debug, Clone)]
pub enum FoundTemplate {
    /// It is there.
    There(Box<MetricTemplateSpec>),
    /// There is none of this name.
    Missing,
    /// It is there, and cannot be read; this is why.
    Unreadable(String),
    /// Whoever looks does not see MetricTemplates there; this is why, and the mend.
    Unseen(String),
}

/// Where a release is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Cluster,
    PlainEnvoys,
}

/// `object` with what its metrics leave out. `find` looks a template up in a namespace.
pub(crate) fn with_templates(
    object: &ReleaseObject,
    find: impl Fn(&TemplateRef, &str) -> FoundTemplate,
) -> Result<ReleaseObject, ReleaseError> {
    let (mut object, mut problems) = (object.clone(), Problems::default());
    let namespace = object.metadata.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    fill_in(&mut object.spec.analysis, namespace, Place::Cluster, find, &mut problems);
    problems.unless_any(object)
}

/// The same in front of plain Envoys, with the templates that stand beside the Release in its file.
pub(super) fn of_file(
    analysis: &mut resource::Analysis,
    namespace: Option<&str>,
    templates: Vec<TemplateResource>,
    problems: &mut Problems,
) {
    for (i, metric) in analysis.metrics.iter().flatten().enumerate() {
        custom::outside_of_clusters(&format!("{PATH}.metrics[{i}]"), metric, problems);
    }
    let mut known: Vec<((String, String), MetricTemplateSpec)> = Vec::new();
    for TemplateResource { api_version, metadata, spec, .. } in templates {
        literal("MetricTemplate apiVersion", api_version.as_deref(), API_VERSION, problems);
        let Some(name) = named("MetricTemplate metadata.name", metadata.name, &LABEL, problems) else {
            continue;
        };
        let name = (metadata.namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()), name);
        if known.iter().any(|(other, _)| *other == name) {
            let value = quoted(Some(&format!("{}/{}", name.0, name.1)));
            let hint = "another one in this file has the name: give each its own";
            problems.add("MetricTemplate metadata.name", value, hint);
        }
        known.push((name, spec));
    }
    let find = |reference: &TemplateRef, namespace: &str| {
        let found = known.iter().find(|((of, name), _)| of == namespace && *name == reference.name);
        found.map_or(FoundTemplate::Missing, |(_, spec)| FoundTemplate::There(Box::new(spec.clone())))
    };
    fill_in(analysis, namespace.unwrap_or(DEFAULT_NAMESPACE), Place::PlainEnvoys, find, problems);
}

/// Notes that nobody has looked a metric's template up.
pub(super) fn not_filled_in(path: &str, metric: &Metric, problems: &mut Problems) {
    let path = format!("{path}.templateRef");
    // Of one that is wrong more has been said.
    if let Some(reference) = metric.template_ref.as_ref().filter(|_| !problems.has(&path)) {
        problems.add(path, quoted(Some(&reference.name)), "it is not filled in: give the query instead");
    }
}

fn fill_in(
    analysis: &mut resource::Analysis,
    own: &str,
    place: Place,
    find: impl Fn(&TemplateRef, &str) -> FoundTemplate,
    problems: &mut Problems,
) {
    for (i, metric) in analysis.metrics.iter_mut().flatten().enumerate() {
        let Some(reference) = &metric.template_ref else { continue };
        // Of one that has a query as well the check says so.
        if metric.query.is_some() {
            continue;
        }
        let path = format!("{PATH}.metrics[{i}]");
        let namespace = reference.namespace.as_deref().unwrap_or(own);
        let mut wrong = |hint: String| {
            let name = format!("{namespace}/{}", reference.name);
            problems.add(format!("{path}.templateRef"), quoted(Some(&name)), hint);
        };
        match usable(find(reference, namespace), namespace, own) {
            Err(hint) => wrong(hint),
            Ok(template) => {
                let whole = template.fill_in(metric);
                let of_template = problems_of(&template, metric, &whole, &path, place);
                if of_template.is_empty() {
                    *metric = whole;
                } else {
                    for problem in of_template {
                        wrong(format!("spec.{problem}"));
                    }
                }
            }
        }
    }
}

/// The template, if Releases of namespace `own` may use it. Whether another namespace has one that it does not share is
/// nobody's business.
fn usable(found: FoundTemplate, namespace: &str, own: &str) -> Result<MetricTemplateSpec, String> {
    let is_own = namespace == own;
    match found {
        FoundTemplate::There(template) if is_own || template.is_shared_with(own) => Ok(*template),
        FoundTemplate::Unseen(why) => Err(why),
        FoundTemplate::Unreadable(why) if is_own => Err(format!("this MetricTemplate cannot be read: {why}")),
        FoundTemplate::Missing if is_own => Err(format!(
            "there is no MetricTemplate of this name in namespace {namespace}: create it, or name another"
        )),
        _ => Err(format!(
            "there is no MetricTemplate of this name in namespace {namespace} that is shared with {own}: create it, or have \
             {own:?} added to its spec.sharedWith"
        )),
    }
}

/// What is wrong with `whole`, a `metric` that is filled in, by the template's doing. Paths begin below the template's spec.
fn problems_of(
    template: &MetricTemplateSpec,
    metric: &Metric,
    whole: &Metric,
    path: &str,
    place: Place,
) -> Vec<Problem> {
    let mut problems = Problems::default();
    custom::check(path, whole, &template.query, &mut problems);
    if place == Place::PlainEnvoys {
        custom::outside_of_clusters(path, whole, &mut problems);
    }
    let of_template = |problem: Problem| {
        let below = problem.path.strip_prefix(path)?.strip_prefix('.')?.to_owned();
        let field = below.split('.').next()?;
        template.decides(field, metric).then(|| Problem { path: below.clone(), ..problem })
    };
    problems.into_list().into_iter().filter_map(of_template).collect()
}
