/*!
A file of objects for a cluster, as far as it can be judged without one: what `Accepted` would say of each Release's spec
alone.
*/
use jiff::Timestamp;
use k8s_openapi::Resource as _;
use serde::Deserialize;

use crate::check::FoundTemplate;
use crate::object::{MetricTemplate, ReleaseObject};
use crate::problem::ReleaseError;
use crate::resource::document::{documents, parse};
use crate::resource::{MetricTemplateSpec, TemplateRef};
use crate::{DEFAULT_NAMESPACE, Release};

/// A Release of a file.
#[derive(Debug)]
pub struct Linted {
    /// `namespace/name`, as far as it is known.
    pub name: String,
    /// What is worth a word, such as what was left out of account, or what is wrong.
    pub outcome: Result<Vec<String>, ReleaseError>,
}

/// Checks the Releases of files with these texts, as they are at `now`; other objects are passed over. MetricTemplates of all
/// files count.
///
/// One that names no Deployment is for plain Envoys.
///
/// # Errors
/// [`ReleaseError::Unreadable`] for each text that is no YAML, in its place.
pub fn lint(texts: &[String], now: Timestamp) -> Vec<Result<Vec<Linted>, ReleaseError>> {
    let templates: Vec<_> = texts.iter().flat_map(|text| templates(text)).collect();
    texts.iter().map(|text| lint_one(text, &templates, now)).collect()
}

/// What tells an object's kind.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
}

impl Head {
    fn is(&self, kind: &str) -> bool {
        self.kind == kind && self.api_version.starts_with(ReleaseObject::GROUP)
    }
}

fn templates(text: &str) -> Vec<MetricTemplate> {
    let of_kind = documents(text)
        .into_iter()
        .filter(|document| parse::<Head>(document).is_ok_and(|head| head.is(MetricTemplate::KIND)));
    of_kind.filter_map(|document| parse(&document).ok()).collect()
}

fn lint_one(text: &str, templates: &[MetricTemplate], now: Timestamp) -> Result<Vec<Linted>, ReleaseError> {
    let mut linted = Vec::new();
    for document in documents(text) {
        let head = parse::<Head>(&document)?;
        if head.is(ReleaseObject::KIND) {
            linted.push(release(text, &document, templates, now));
        } else if head.is(MetricTemplate::KIND) {
            parse::<MetricTemplate>(&document)?;
        }
    }
    Ok(linted)
}

fn release(text: &str, document: &str, templates: &[MetricTemplate], now: Timestamp) -> Linted {
    let object = match parse::<ReleaseObject>(document) {
        Ok(object) => object,
        Err(error) => return Linted { name: "Release".to_owned(), outcome: Err(error) },
    };
    let namespace = object.metadata.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    let name = format!("{namespace}/{}", object.metadata.name.as_deref().unwrap_or_default());
    let is_for_a_cluster =
        [&object.spec.stable, &object.spec.canary].iter().any(|version| version.target_ref.is_some());
    let outcome = if is_for_a_cluster {
        in_cluster(&object, templates)
    } else {
        Release::from_yaml(text).map(|release| (release, Vec::new()))
    };
    let outcome = outcome.map(|(release, mut told)| {
        told.extend(over(&release, now));
        told
    });
    Linted { name, outcome }
}

/// Which faults have ended before `now`: a time of the wrong year or zone is easily written.
fn over(release: &Release, now: Timestamp) -> impl Iterator<Item = String> {
    let over = release.faults.iter().enumerate().filter(move |(_, fault)| fault.until <= now);
    over.map(|(i, fault)| format!("spec.faults[{i}] is over since {}: nothing is injected", fault.until))
}

fn in_cluster(
    object: &ReleaseObject,
    templates: &[MetricTemplate],
) -> Result<(Release, Vec<String>), ReleaseError> {
    let own = object.metadata.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    let find = |reference: &TemplateRef, namespace: &str| -> Option<MetricTemplateSpec> {
        let is_it = |found: &&MetricTemplate| {
            found.metadata.name.as_deref() == Some(&reference.name)
                && found.metadata.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE) == namespace
        };
        templates.iter().find(is_it).map(|found| found.spec.clone())
    };
    let (mut object, mut left_out) = (object.clone(), Vec::new());
    if let Some(metrics) = &mut object.spec.analysis.metrics {
        metrics.retain(|metric| {
            let Some(reference) = &metric.template_ref else { return true };
            let namespace = reference.namespace.as_deref().unwrap_or(own);
            let is_there = find(reference, namespace).is_some();
            if !is_there {
                left_out.push(format!(
                    "metric {} is not looked at: MetricTemplate {namespace}/{} is in none of the files",
                    metric.name, reference.name
                ));
            }
            is_there
        });
    }
    let whole = object.with_templates(|reference, namespace| {
        find(reference, namespace).map_or(FoundTemplate::Missing, |spec| FoundTemplate::There(Box::new(spec)))
    })?;
    let (release, _) = Release::from_object(&whole, "none")?;
    Ok((release, left_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASE: &str = "
apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {name: shop, namespace: shop, labels: {team: shop}}
spec:
  service: {name: shop}
  stable: {targetRef: {name: shop-stable}}
  canary: {targetRef: {name: shop-canary}}
";
    const TEMPLATE: &str = "
apiVersion: serin.dev/v1alpha1
kind: MetricTemplate
metadata: {name: depth, namespace: shop}
spec: {query: depth, thresholdRange: {max: 10}}
";
    const WITH_TEMPLATE: &str = "  analysis: {metrics: [{name: depth, templateRef: {name: depth}}]}\n";

    /// What is said of each of `texts`.
    #[track_caller]
    fn check(texts: &[&str], expected: &[&str]) {
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        let said = lint(&texts, "2026-12-01T00:00:00Z".parse().unwrap()).into_iter().map(|file| match file {
            Err(error) => format!("unreadable {error}"),
            Ok(releases) => {
                let one = |Linted { name, outcome }| match outcome {
                    Ok(left_out) => format!("{name} ok {}", left_out.join("; ")),
                    Err(error) => format!("{name} {error}"),
                };
                releases.into_iter().map(one).collect::<Vec<_>>().join(", ")
            }
        });
        for (said, expected) in said.zip(expected) {
            assert!(said.contains(expected), "{said}, not {expected}");
        }
    }

    #[test]
    fn a_release_is_judged_by_its_spec_alone() {
        let service = "apiVersion: v1\nkind: Service\nmetadata: {name: shop}\n";
        check(
            &[RELEASE, &format!("{service}---{RELEASE}"), service],
            &["shop/shop ok ", "shop/shop ok ", ""],
        );
        let wrong = RELEASE.replace("shop-canary", "shop-stable");
        check(&[&wrong], &["spec.canary.targetRef.name"]);
        check(&[&RELEASE.replace("service:", "servce:"), "a: ["], &["servce", "unreadable"]);
        let plain = RELEASE
            .replace("targetRef: {name: shop-canary}", "version: v2")
            .replace("  stable: {targetRef: {name: shop-stable}}\n", "");
        check(&[&plain.replace(", labels: {team: shop}", "")], &["shop/shop ok "]);
    }

    #[test]
    fn a_fault_that_is_over_is_said_to_be() {
        let with = |until: &str| {
            format!(
                "{RELEASE}  faults: [{{version: canary, delay: {{fixedDelay: 1s, percentage: 1}}, until: \"{until}\"}}]\n"
            )
        };
        let [over, open] = ["2025-12-02T00:00:00Z", "2026-12-02T00:00:00Z"].map(with);
        let told = "shop/shop ok spec.faults[0] is over since 2025-12-02T00:00:00Z: nothing is injected";
        check(&[&over, &open], &[told, "shop/shop ok "]);
        let texts = [open];
        assert!(
            lint(&texts, Timestamp::UNIX_EPOCH)[0].as_ref().unwrap()[0].outcome.as_ref().unwrap().is_empty()
        );
    }

    #[test]
    fn a_template_counts_from_whichever_file_it_is_in_and_one_in_none_is_said_to_be() {
        let release = format!("{RELEASE}{WITH_TEMPLATE}");
        check(&[&release, TEMPLATE], &["shop/shop ok ", ""]);
        check(&[&release], &["MetricTemplate shop/depth is in none of the files"]);
        check(&[&release, &TEMPLATE.replace("max: 10", "max: x")], &["thresholdRange.max", ""]);
    }
}
