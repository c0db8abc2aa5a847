/*!
The metrics of a Canary, and the MetricTemplates that they name.
*/
use serde_json::Value;
use serin_agent::mesh::object::text;

use super::query::{filled, variable};
use super::source::Source;
use super::{Found, with_the_rest};
use crate::draft::{Draft, Fields};

/// What a Canary's metrics become.
pub(super) struct Metrics {
    pub(super) metrics: Vec<Fields>,
    /// The MetricTemplates.
    pub(super) drafts: Vec<Draft>,
}

/// Takes the metrics of a Canary in `namespace`.
pub(super) fn metrics(
    source: &mut Source,
    namespace: Option<&str>,
    found: &Found,
    draft: &mut Draft,
) -> Metrics {
    let mut converted = Metrics { metrics: Vec::new(), drafts: Vec::new() };
    let mut named = Vec::new();
    let all = source.take_list("spec.analysis.metrics");
    let is_empty = all.is_empty();
    for (i, mut metric) in all.into_iter().enumerate() {
        let place = format!("spec.analysis.metrics[{i}]");
        let name = metric.take_text("name").unwrap_or_default();
        let one = Reading { namespace, found, name: &name };
        let outcome = match name.as_str() {
            "request-success-rate" => Ok(one.success_rate(&mut metric)),
            "request-duration" => one.duration(&mut metric),
            _ => one.own(&mut metric, &mut converted.drafts, draft),
        };
        match outcome {
            Ok(fields) => {
                named.push(name);
                converted.metrics.push(fields);
                metric.tell_rest("spec.analysis.metrics[]", &place, super::flagger_fields::FIELDS, draft);
            }
            Err(why) => draft.leave_out(format!("{place} ({name})"), &why),
        }
    }
    if !is_empty {
        converted.metrics = with_the_rest(converted.metrics, &named, draft);
    }
    converted
}

/// Whether a Canary names this MetricTemplate.
pub(super) fn is_named(template: &Value, found: &Found) -> bool {
    let [name, namespace] = ["/metadata/name", "/metadata/namespace"].map(|path| text(template, path));
    found.of("flagger.app", &["Canary"]).any(|canary| {
        let analyses = ["/spec/analysis/metrics", "/spec/canaryAnalysis/metrics"];
        let mut metrics = analyses.iter().filter_map(|path| canary.pointer(path)?.as_array()).flatten();
        metrics.any(|metric| {
            let own = text(canary, "/metadata/namespace");
            let of = Some(text(metric, "/templateRef/namespace")).filter(|of| !of.is_empty()).unwrap_or(own);
            text(metric, "/templateRef/name") == name && of == namespace
        })
    })
}

struct Reading<'r> {
    namespace: Option<&'r str>,
    found: &'r Found,
    name: &'r str,
}

impl Reading<'_> {
    fn success_rate(&self, metric: &mut Source) -> Fields {
        let mut fields = Fields::default().with("name", self.name);
        metric.take("interval");
        let old = metric.take("threshold");
        let min = metric.take("thresholdRange.min").or(old);
        fields.put_some("thresholdRange", min.map(|min| Fields::default().with("min", min)));
        // No share is above 100 %.
        metric.take("thresholdRange.max");
        fields
    }

    /// Of a p99 of at most 500 ms one in a hundred is slower.
    fn duration(&self, metric: &mut Source) -> Result<Fields, String> {
        let mut fields = Fields::default().with("name", self.name);
        metric.take("interval");
        let old = metric.take("threshold");
        if let Some(max) = metric.take("thresholdRange.max").or(old) {
            let milliseconds = max.as_f64().filter(|max| *max >= 1.0);
            let milliseconds =
                milliseconds.ok_or_else(|| format!("thresholdRange.max: {max}: a time has 1ms at least"))?;
            fields.put("objective", format!("{milliseconds}ms"));
            fields.put("thresholdRange", Fields::default().with("max", 1));
        }
        metric.take("thresholdRange.min");
        Ok(fields)
    }

    fn own(&self, metric: &mut Source, drafts: &mut Vec<Draft>, draft: &mut Draft) -> Result<Fields, String> {
        let mut fields = Fields::default().with("name", self.name);
        let variables = metric.take("templateVariables").unwrap_or_default();
        if let Some(query) = metric.take_text("query") {
            fields.put("query", query_of(&query, &variables)?);
        } else if let Some(name) = metric.take_text("templateRef.name") {
            let of = metric.take_text("templateRef.namespace");
            self.template(&name, of.as_deref(), &variables, &mut fields, drafts, draft)?;
        } else {
            return Err("it is not built in, and has neither a query nor a templateRef".to_owned());
        }
        fields.put_some("interval", metric.take("interval"));
        let mut range = Fields::default();
        for bound in ["min", "max"] {
            range.put_some(bound, metric.take(&format!("thresholdRange.{bound}")));
        }
        if let Some(old) = metric.take("threshold") {
            range.put("max", old);
        }
        if range.is_empty() {
            return Err("it has no thresholdRange: nothing says what is good".to_owned());
        }
        fields.put("thresholdRange", range);
        Ok(fields)
    }

    /// A query that stands in a MetricTemplate.
    fn template(
        &self,
        name: &str,
        of: Option<&str>,
        variables: &Value,
        fields: &mut Fields,
        drafts: &mut Vec<Draft>,
        draft: &mut Draft,
    ) -> Result<(), String> {
        let namespace = of.or(self.namespace);
        let reference = || {
            let mut reference = Fields::default().with("name", name);
            reference.put_some("namespace", of);
            reference
        };
        let Some(template) = self.found.named("flagger.app", &["MetricTemplate"], namespace, name) else {
            draft.note(format!("to do: MetricTemplate {name} is in none of the files: convert it too."));
            fields.put("templateRef", reference());
            return Ok(());
        };
        let provider = text(template, "/spec/provider/type");
        if provider != "prometheus" {
            return Err(format!("MetricTemplate {name} asks {provider}: Serin asks whatever answers PromQL"));
        }
        let query = query_of(text(template, "/spec/query"), variables)?;
        if variables.as_object().is_some_and(|variables| !variables.is_empty()) {
            fields.put("query", query);
        } else {
            fields.put("templateRef", reference());
            let mut made = Draft::metric_template(namespace, name);
            made.note(format!("From Flagger's MetricTemplate {name}."));
            if namespace != self.namespace {
                made.spec
                    .put("sharedWith", self.namespace.map(|own| vec![own.to_owned()]).unwrap_or_default());
            }
            made.spec.put("query", query);
            drafts.push(made);
        }
        let address = text(template, "/spec/provider/address");
        draft.note(format!(
            "not needed: provider.address of MetricTemplate {name}: {address} belongs into the agent's configuration, as a source"
        ));
        Ok(())
    }
}

/// A query with Serin's variables.
fn query_of(query: &str, variables: &Value) -> Result<String, String> {
    filled(query, |name| match name {
        "namespace" | "name" | "service" | "interval" => Ok(variable(name)),
        "target" => Ok(variable("deployment")),
        _ => {
            let given = name.strip_prefix("variables.").and_then(|name| variables[name].as_str());
            given
                .map(str::to_owned)
                .ok_or_else(|| format!("{{{{ {name} }}}} in its query: Serin has no such variable"))
        }
    })
}
