/*!
The `AnalysisTemplate`s that a Rollout names, as metrics.
*/
use std::collections::BTreeMap;

use serde_json::Value;
use serin_agent::mesh::object::{list, text};

use super::conditions::{where_false, where_true};
use super::query::filled;
use super::{Found, with_the_rest};
use crate::draft::{Draft, Fields};

/// The templates as they are named, one after the other.
pub(super) struct Templates<'f> {
    found: &'f Found,
    namespace: Option<&'f str>,
    metrics: Vec<Fields>,
    names: Vec<String>,
}

impl<'f> Templates<'f> {
    pub(super) const fn new(found: &'f Found, namespace: Option<&'f str>) -> Self {
        Self { found, namespace, metrics: Vec::new(), names: Vec::new() }
    }

    /// All metrics, and Serin's own; none where no template gave any.
    pub(super) fn metrics(self, draft: &mut Draft) -> Vec<Fields> {
        if self.metrics.is_empty() { self.metrics } else { with_the_rest(self.metrics, &self.names, draft) }
    }

    /// Takes what `{templates: [{templateName}], args: […]}` at `place` names.
    pub(super) fn add(&mut self, analysis: &Value, place: &str, draft: &mut Draft) {
        let dry: Vec<_> =
            list(analysis, "/dryRun").iter().map(|one| text(one, "/metricName").to_owned()).collect();
        for reference in list(analysis, "/templates") {
            let name = text(reference, "/templateName");
            let is_for_all = reference["clusterScope"] == true;
            let (kinds, namespace): (&[&str], _) = if is_for_all {
                (&["ClusterAnalysisTemplate"], None)
            } else {
                (&["AnalysisTemplate"], self.namespace)
            };
            let Some(template) = self.found.named("argoproj.io", kinds, namespace, name) else {
                draft.leave_out(
                    format!("{place} ({name})"),
                    &format!("{} {name} is in none of the files: give it too", kinds[0]),
                );
                continue;
            };
            let args = args(template, analysis);
            for metric in list(template, "/spec/metrics") {
                let name = text(metric, "/name");
                if self.names.iter().any(|known| known == name) {
                    continue;
                }
                match read(metric, &args) {
                    Ok(mut fields) => {
                        if dry.iter().any(|pattern| pattern == name || pattern == ".*") {
                            fields.put("dryRun", true);
                        }
                        self.names.push(name.to_owned());
                        self.metrics.push(fields);
                    }
                    Err(why) => draft.leave_out(format!("{place} ({name})"), &why),
                }
            }
            let address = list(template, "/spec/metrics")
                .iter()
                .map(|metric| text(metric, "/provider/prometheus/address"));
            if let Some(address) = address.into_iter().find(|address| !address.is_empty()) {
                draft.note(format!(
                    "not needed: the address of AnalysisTemplate {name}: {address} belongs into the agent's configuration, as a source"
                ));
            }
        }
    }
}

/// The arguments by name: those of the analysis, and the template's own. What is only known in a run has no value.
fn args(template: &Value, analysis: &Value) -> BTreeMap<String, Option<String>> {
    let all = list(template, "/spec/args").iter().chain(list(analysis, "/args"));
    let mut args = BTreeMap::new();
    for arg in all {
        let value = arg.get("value").and_then(Value::as_str).map(str::to_owned);
        if value.is_some() || arg.get("valueFrom").is_some() {
            args.insert(text(arg, "/name").to_owned(), value);
        }
    }
    args
}

fn read(metric: &Value, args: &BTreeMap<String, Option<String>>) -> Result<Fields, String> {
    let provider = metric["provider"].as_object().and_then(|providers| providers.keys().next().cloned());
    let provider = provider.unwrap_or_default();
    if provider != "prometheus" {
        return Err(format!("it asks {provider}: Serin asks whatever answers PromQL"));
    }
    let query = filled(text(metric, "/provider/prometheus/query"), |name| {
        let arg = name.strip_prefix("args.").or_else(|| name.strip_prefix("inputs.")).unwrap_or(name);
        match args.get(arg) {
            Some(Some(value)) => Ok(value.clone()),
            Some(None) => Err(format!(
                "{{{{ args.{arg} }}}} is only known in a run: write {{{{ version }}}}, {{{{ deployment }}}} or {{{{ pods }}}} for it"
            )),
            None => Err(format!("{{{{ {name} }}}} has no value in the files: write it into the query")),
        }
    })?;
    let condition = |field: &str| metric.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    let success =
        condition("successCondition").map(where_true).transpose().map_err(|error| error.to_string())?;
    let failure =
        condition("failureCondition").map(where_false).transpose().map_err(|error| error.to_string())?;
    let mut fields = Fields::default().with("name", text(metric, "/name")).with("query", query);
    if let Some(interval) = metric.get("interval").and_then(Value::as_str) {
        fields.put("interval", interval);
    }
    match (success, failure) {
        (None, None) => Err("it has no condition: nothing says what is good".to_owned()),
        (Some(good), None) | (None, Some(good)) => Ok(fields.with("thresholdRange", good.fields())),
        // Between the two a measurement is inconclusive, and the release stays where it is.
        (Some(good), Some(not_bad)) => {
            Ok(fields.with("thresholdRange", not_bad.fields()).with("successRange", good.fields()))
        }
    }
}
