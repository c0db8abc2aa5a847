//! Metrics that several Releases share: what comes from the template, what from the Release, and what is wrong with either.

use std::time::Duration;

use super::{MINIMAL, check, check_unreadable, with};
use crate::resource::TemplateRef;
use crate::{CustomMetric, Excess, FoundTemplate, Release, ReleaseObject};

const DEPTH: &str = "
---
apiVersion: serin.dev/v1alpha1
kind: MetricTemplate
metadata: {name: depth, namespace: platform}
spec:
  sharedWith: [cart, shop]
  query: 'max(depth{version=\"{{ version }}\"})'
  interval: 30s
  successRange: {max: 10}
  thresholdRange: {max: 100}
  compare: {maxRatio: 2}
";

/// A Release with this metric, as the entry of its list.
fn metric(metric: &str) -> String {
    with(&format!("analysis:\n  prometheus: {{address: \"http://prometheus\"}}\n  metrics: [{metric}]"))
}

/// The metric of a Release with this entry, in a file with this template.
fn custom(entry: &str, template: &str) -> CustomMetric {
    let mut release =
        Release::from_yaml(&(metric(entry) + template)).unwrap_or_else(|error| panic!("{entry}: {error}"));
    release.analysis.custom.remove(0)
}

#[test]
fn what_a_release_leaves_out_is_as_its_template_has_it() {
    let entry = "name: depth, templateRef: {name: depth, namespace: platform}";
    let of_template = custom(&format!("{{{entry}}}"), DEPTH);
    assert_eq!(of_template.interval, Duration::from_secs(30));
    assert_eq!((of_template.range, of_template.success), ((None, Some(100.0)), (None, Some(10.0))));
    assert_eq!(of_template.compare, Some(Excess { ratio: 2.0, slack: 0.0 }));
    let own = "interval: 5s, thresholdRange: {min: 1, max: 50}, successRange: {max: 5}, compare: {slack: 1}, dryRun: true";
    let overridden = custom(&format!("{{{entry}, {own}}}"), DEPTH);
    assert_eq!(overridden.interval, Duration::from_secs(5));
    assert_eq!((overridden.range, overridden.success), ((Some(1.0), Some(50.0)), (Some(1.0), Some(5.0))));
    assert_eq!(overridden.compare, Some(Excess { ratio: 1.5, slack: 1.0 }));
    assert!(overridden.dry_run && !of_template.dry_run);
    assert_eq!(overridden.query, of_template.query);
}

#[test]
fn a_template_is_found_in_the_releases_namespace_unless_another_is_named() {
    let here = DEPTH.replace("platform", "shop").replace("  sharedWith: [cart, shop]\n", "");
    custom("{name: depth, templateRef: {name: depth}}", &here);
    let for_all = DEPTH.replace("[cart, shop]", "['*']");
    custom("{name: depth, templateRef: {name: depth, namespace: platform}}", &for_all);
}

#[test]
fn the_order_of_documents_is_no_matter() {
    let file = format!(
        "# Ours.\n{DEPTH}---{}",
        metric("{name: depth, templateRef: {name: depth, namespace: platform}}")
    );
    assert_eq!(Release::from_yaml(&file).unwrap().analysis.custom.len(), 1);
}

#[test]
fn what_is_wrong_with_a_template_is_told_where_the_release_names_it() {
    let entry = metric("{name: depth, templateRef: {name: depth, namespace: platform}}");
    let path = "spec.analysis.metrics[0].templateRef";
    let missing = "there is no MetricTemplate of this name in namespace platform that is shared with shop: create it, or have \
                   \"shop\" added to its spec.sharedWith";
    for template in
        ["", &DEPTH.replace("[cart, shop]", "[cart]"), &DEPTH.replace("  sharedWith: [cart, shop]\n", "")]
    {
        check(&format!("{entry}{template}"), &[&format!("{path}: \"platform/depth\": {missing}")]);
    }
    check(
        &metric("{name: depth, templateRef: {name: depth}}"),
        &[&format!(
            "{path}: \"shop/depth\": there is no MetricTemplate of this name in namespace shop: create it, or name another"
        )],
    );
    check(
        &(entry.clone() + &DEPTH.replace("version }}", "target }}").replace("30s", "1ms")),
        &[
            &format!(
                "{path}: \"platform/depth\": spec.query: \"max(depth{{version=\\\"{{{{ target }}}}\\\"}})\": {{{{ target }}}} is not \
                 a variable: use one of namespace, name, service, arm, version, interval, deployment, pods, labels.NAME"
            ),
            &format!("{path}: \"platform/depth\": spec.interval: 1ms: give 1s to 1h"),
        ],
    );
    check(
        &(entry.clone() + &DEPTH.replace("version }}", "pods }}")),
        &[&format!(
            "{path}: \"platform/depth\": spec.query: \"max(depth{{version=\\\"{{{{ pods }}}}\\\"}})\": use another variable, such \
             as {{{{ version }}}}: {{{{ deployment }}}}, {{{{ pods }}}} and {{{{ labels.NAME }}}} are only known in a cluster"
        )],
    );
    check_unreadable(&(entry + &DEPTH.replace("interval", "every")), &["every", "line 19"]);
}

#[test]
fn what_is_wrong_with_the_release_is_told_of_the_release() {
    let entry = "name: depth, templateRef: {name: depth, namespace: platform}";
    let path = "spec.analysis.metrics[0]";
    check(
        &(metric(&format!("{{{entry}, query: x, thresholdRange: {{max: 1}}}}")) + DEPTH),
        &[&format!("{path}.query: \"x\": leave it out, or leave templateRef out: a metric has one query")],
    );
    check(
        &(metric(&format!("{{{entry}, interval: 1ms, thresholdRange: {{max: 5}}}}")) + DEPTH),
        &[
            &format!("{path}.interval: 1ms: give 1s to 1h"),
            &format!(
                "{path}.successRange.max: 10: give a value within thresholdRange.max, 5: beyond, the canary is taken back"
            ),
        ],
    );
    let bare = "\n---\n{apiVersion: serin.dev/v1alpha1, kind: MetricTemplate, metadata: {name: depth, namespace: shop}, \
                spec: {query: x}}";
    check(
        &(metric("{name: depth, templateRef: {name: depth}}") + bare),
        &[&format!(
            "{path}.thresholdRange: missing: say what is good: thresholdRange: {{min, max}}, or compare: {{maxRatio: 1.5}}"
        )],
    );
    check(
        &(metric("{name: request-duration, templateRef: {name: depth, namespace: platform}}") + DEPTH),
        &[&format!("{path}.name: \"request-duration\": give a metric with a query a name of its own")],
    );
}

#[test]
fn a_file_has_one_release() {
    check(
        &format!("{MINIMAL}---{MINIMAL}"),
        &["kind: \"Release\": another one stands in the same file: give each a file"],
    );
    check_unreadable(&format!("{MINIMAL}---\nkind: MetricTemplate\nspec: ["), &["line 10"]);
    check(DEPTH, &["kind: \"MetricTemplate\": write Release: there is none beside the templates"]);
    check(
        &(MINIMAL.to_owned() + &DEPTH.replace("v1alpha1", "v1").replace("name: depth, ", "")),
        &[
            "MetricTemplate apiVersion: \"serin.dev/v1\": write serin.dev/v1alpha1",
            "MetricTemplate metadata.name: missing: give a name of 1 to 63 lower-case letters, digits and -, with no - at its ends",
        ],
    );
    check(
        &format!("{MINIMAL}{DEPTH}{DEPTH}"),
        &[
            "MetricTemplate metadata.name: \"platform/depth\": another one in this file has the name: give each its own",
        ],
    );
}

#[test]
fn in_a_cluster_a_release_with_its_templates_filled_in_needs_them_no_more() {
    let yaml = metric("{name: depth, templateRef: {name: depth}}")
        .replace("canary: {version: \"1.5.0\"}", "canary: {targetRef: {name: b}}");
    let mut object: serde_json::Value =
        serde_json::to_value(serde_saphyr::from_str::<serde_json::Value>(&yaml).unwrap()).unwrap();
    object["spec"]["stable"] = serde_json::json!({"targetRef": {"name": "a"}});
    object["spec"]["analysis"]["prometheus"] = serde_json::Value::Null;
    let object: ReleaseObject = serde_json::from_value(object).unwrap();
    let refused =
        |error: crate::ReleaseError, part: &str| assert!(error.to_string().contains(part), "{error}");
    refused(
        Release::from_object(&object, "v2").unwrap_err(),
        "spec.analysis.metrics[0].templateRef: \"depth\": it is not filled in",
    );
    let find = |found: FoundTemplate| {
        move |reference: &TemplateRef, namespace: &str| {
            assert_eq!((&*reference.name, namespace), ("depth", "shop"));
            found.clone()
        }
    };
    refused(
        object.with_templates(find(FoundTemplate::Unreadable("bad".to_owned()))).unwrap_err(),
        "this MetricTemplate cannot be read: bad",
    );
    refused(
        object.with_templates(find(FoundTemplate::Unseen("unseen".to_owned()))).unwrap_err(),
        "\"shop/depth\": unseen",
    );
    let spec = serde_json::json!({"query": "{{ pods }}", "thresholdRange": {"max": 1}});
    let found = FoundTemplate::There(Box::new(serde_json::from_value(spec).unwrap()));
    let whole = object.with_templates(find(found)).unwrap();
    let kept = serde_json::from_value(serde_json::json!(whole.spec)).unwrap();
    let kept = ReleaseObject { spec: kept, ..object.clone() };
    assert_eq!(Release::from_object(&kept, "v2").unwrap().0.analysis.custom[0].range, (None, Some(1.0)));
}
