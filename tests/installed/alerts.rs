/*!
The alerts, by promtool: each fires when it should, is quiet when it should be, and leads to what to do.
*/
mod cases;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use serin_tests::tools::Tool;

use self::cases::{CASES, Case};
use super::{check_series, file, run, said};

const RULES: &str = "manifests/monitoring/rules.yaml";

/// What Prometheus reads of it.
fn spec() -> Result<Value> {
    let mut object: Value = serde_saphyr::from_str(&std::fs::read_to_string(file(RULES))?)?;
    Ok(object["spec"].take())
}

/// All alerts.
fn alerts() -> Result<Vec<Value>> {
    let spec = spec()?;
    let groups = spec["groups"].as_array().context("groups")?;
    let rules = groups.iter().filter_map(|group| group["rules"].as_array()).flatten();
    Ok(rules.filter(|rule| rule["record"].is_null()).cloned().collect())
}

/// A case as promtool has it: the alert fires, or does not.
fn test(case: &Case, series: &[&str], fires: bool) -> Value {
    let input = series.iter().map(|series| {
        let (name, values) = series.split_once("} ").expect("a series has labels and values");
        json!({"series": format!("{name}}}"), "values": values})
    });
    let input: Vec<Value> = input.collect();
    let query = format!("count(ALERTS{{alertstate='firing', alertname='{}'}})", case.alert);
    let samples = if fires { json!([{"labels": "{}", "value": 1}]) } else { json!([]) };
    json!({
        "name": format!("{} {}", case.alert, if fires { "fires" } else { "is quiet" }),
        "interval": "1m",
        "input_series": input,
        "promql_expr_test": [{"expr": query, "eval_time": case.at, "exp_samples": samples}],
    })
}

#[test]
fn each_alert_fires_when_it_should_and_not_otherwise() -> Result<()> {
    let cases: BTreeSet<&str> = CASES.iter().map(|case| case.alert).collect();
    let alerts = alerts()?;
    let alerts: BTreeSet<&str> = alerts.iter().filter_map(|alert| alert["alert"].as_str()).collect();
    assert_eq!(cases, alerts, "each alert has a case");
    let tests = CASES.iter().flat_map(|case| {
        assert!(!case.quiet.is_empty(), "{} is never quiet", case.alert);
        let quiet = case.quiet.iter().map(|series| test(case, series, false));
        quiet.chain([test(case, case.fires, true)])
    });
    promtool(&tests.collect::<Vec<_>>())?.map_err(anyhow::Error::msg)?;
    Ok(())
}

#[test]
fn an_alert_says_what_is_so_and_what_to_do() -> Result<()> {
    let case = CASES.first().context("a case")?;
    let mut test = test(case, case.fires, true);
    test["alert_rule_test"] = json!([{
        "alertname": "SerinCanaryErrors",
        "eval_time": "10m",
        "exp_alerts": [{
            "exp_labels": {"release": "shop/shop", "severity": "critical"},
            "exp_annotations": {
                "summary": "The canary of shop/shop fails",
                "description": "10% of the canary's requests fail, more than 1.5 times stable's share. Serin takes it back \
                    on its own when the evidence is conclusive. To do it now, give the Release the command abort.",
                "runbook_url": "docs/alerts.md#serincanaryerrors",
            },
        }],
    }]);
    promtool(&[test])?.map_err(anyhow::Error::msg)?;
    Ok(())
}

/// What promtool says of `tests`.
fn promtool(tests: &[Value]) -> Result<Result<String, String>> {
    let folder = tempfile::tempdir()?;
    let [rules, cases] = ["rules.yaml", "tests.yaml"].map(|name| folder.path().join(name));
    // JSON is YAML.
    std::fs::write(&rules, spec()?.to_string())?;
    std::fs::write(&cases, json!({"rule_files": ["rules.yaml"], "tests": tests}).to_string())?;
    let (rules, cases) =
        (rules.to_str().context("a path of text")?, cases.to_str().context("a path of text")?);
    run(&Tool::Promtool.path()?, &["check", "rules", rules])?;
    said(&Tool::Promtool.path()?, &["test", "rules", cases])
}

#[test]
fn each_alert_has_a_severity_and_leads_to_its_heading_in_the_runbook() -> Result<()> {
    let runbook = std::fs::read_to_string(file("docs/alerts.md"))?;
    let headings: BTreeSet<&str> = runbook.lines().filter_map(|line| line.strip_prefix("## Serin")).collect();
    let alerts = alerts()?;
    let mut named = BTreeSet::new();
    for alert in &alerts {
        let name = alert["alert"].as_str().context("a name")?;
        let severity = alert["labels"]["severity"].as_str().unwrap_or_default();
        ensure!(["info", "warning", "critical"].contains(&severity), "{name}: severity {severity:?}");
        for annotation in ["summary", "description"] {
            ensure!(alert["annotations"][annotation].is_string(), "{name} has no {annotation}");
        }
        let expected = format!("docs/alerts.md#{}", name.to_lowercase());
        assert_eq!(alert["annotations"]["runbook_url"], expected, "{name}");
        named.insert(name.trim_start_matches("Serin"));
    }
    assert_eq!(named, headings, "docs/alerts.md has a heading for each alert and for nothing else");
    Ok(())
}

/// The word in kebab-case for one in `CamelCase`, as the labels of metrics have it.
fn kebab(word: &str) -> String {
    let letters = word.char_indices().flat_map(|(at, letter)| {
        let dash = (at > 0 && letter.is_ascii_uppercase()).then_some('-');
        dash.into_iter().chain([letter.to_ascii_lowercase()])
    });
    letters.collect()
}

#[test]
fn an_alert_reads_series_and_labels_that_there_are() -> Result<()> {
    let [series, status] =
        ["docs/series.md", "docs/status.md"].map(|page| std::fs::read_to_string(file(page)));
    let (series, status) = (series?, status?);
    let words = |page: &str| page.split('`').skip(1).step_by(2).map(kebab).collect::<BTreeSet<_>>();
    let (of_series, of_status) = (words(&series), words(&status));
    let mut checked = 0;
    for alert in alerts()? {
        let query = alert["expr"].as_str().context("a query")?;
        check_series(query).with_context(|| alert["alert"].to_string())?;
        for label in ["phase", "state", "awaits", "version", "reason"] {
            let known = if label == "reason" { &of_status } else { &of_series };
            for (at, _) in query.match_indices(&format!("{label}=\"")) {
                let value = query[at..].split('"').nth(1).unwrap_or_default();
                ensure!(known.contains(value), "{}: there is no {label} {value:?}", alert["alert"]);
                checked += 1;
            }
        }
    }
    ensure!(checked > 10, "only {checked} labels were found");
    Ok(())
}
