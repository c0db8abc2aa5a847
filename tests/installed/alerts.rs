/*!
The alerts, by promtool: each fires when it should, is quiet when it should be, and leads to what to do.
*/
use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use serin_tests::tools::Tool;

use super::{file, run, said};

/// When an alert is to fire, and when not.
struct Case {
    alert: &'static str,
    /// How long after the beginning it is looked at.
    at: &'static str,
    /// Series with a value each minute, of which it fires.
    fires: &'static [&'static str],
    /// Series of which it does not, though they are much alike.
    quiet: &'static [&'static [&'static str]],
}

const fn case(
    alert: &'static str,
    at: &'static str,
    fires: &'static [&'static str],
    quiet: &'static [&'static [&'static str]],
) -> Case {
    Case { alert, at, fires, quiet }
}

const CASES: &[Case] = &[
    case(
        "SerinCanaryErrors",
        "10m",
        &[
            "serin_release_requests_total{release='shop/shop', version='canary'} 0+100x20",
            "serin_release_errors_total{release='shop/shop', version='canary'} 0+10x20",
            "serin_release_requests_total{release='shop/shop', version='stable'} 0+900x20",
            "serin_release_errors_total{release='shop/shop', version='stable'} 0+9x20",
        ],
        &[
            // Both fail.
            &[
                "serin_release_requests_total{release='shop/shop', version='canary'} 0+100x20",
                "serin_release_errors_total{release='shop/shop', version='canary'} 0+10x20",
                "serin_release_requests_total{release='shop/shop', version='stable'} 0+900x20",
                "serin_release_errors_total{release='shop/shop', version='stable'} 0+90x20",
            ],
            // It is stable that fails.
            &[
                "serin_release_requests_total{release='shop/shop', version='canary'} 0+100x20",
                "serin_release_errors_total{release='shop/shop', version='canary'} 0+1x20",
                "serin_release_requests_total{release='shop/shop', version='stable'} 0+900x20",
                "serin_release_errors_total{release='shop/shop', version='stable'} 0+90x20",
            ],
            // It was for a moment.
            &[
                "serin_release_requests_total{release='shop/shop', version='canary'} 0+100x20",
                "serin_release_errors_total{release='shop/shop', version='canary'} 0 0 0 5x20",
            ],
        ],
    ),
    case(
        "SerinCanarySlow",
        "12m",
        &[
            "serin_release_requests_total{release='shop/shop', version='canary'} 0+100x20",
            "serin_release_slow_total{release='shop/shop', version='canary'} 0+10x20",
            // At 100 % nobody is on stable.
            "serin_release_requests_total{release='shop/shop', version='stable'} 0x20",
            "serin_release_slow_total{release='shop/shop', version='stable'} 0x20",
        ],
        &[&[
            "serin_release_requests_total{release='shop/shop', version='canary'} 0+100x20",
            "serin_release_slow_total{release='shop/shop', version='canary'} 0+10x20",
            "serin_release_requests_total{release='shop/shop', version='stable'} 0+100x20",
            "serin_release_slow_total{release='shop/shop', version='stable'} 0+9x20",
        ]],
    ),
    case(
        "SerinCanaryNoTraffic",
        "25m",
        &[
            "serin_release_weight_ppm{release='shop/shop'} 250000x30",
            "serin_release_requests_total{release='shop/shop', version='canary'} 7x30",
            "serin_release_requests_total{release='shop/shop', version='stable'} 0+60x30",
        ],
        &[
            // Nobody is to get it, or nobody comes.
            &[
                "serin_release_weight_ppm{release='shop/shop'} 0x30",
                "serin_release_requests_total{release='shop/shop', version='canary'} 7x30",
                "serin_release_requests_total{release='shop/shop', version='stable'} 0+60x30",
            ],
            &[
                "serin_release_weight_ppm{release='shop/shop'} 250000x30",
                "serin_release_requests_total{release='shop/shop', version='canary'} 7x30",
                "serin_release_requests_total{release='shop/shop', version='stable'} 7x30",
            ],
        ],
    ),
    case(
        "SerinRolledBack",
        "70m",
        &[
            "serin_release_phase{release='shop/shop', phase='progressing'} 1x60 stale",
            "serin_release_phase{release='shop/shop', phase='rolled-back'} _x61 1x20",
        ],
        &[
            &["serin_release_phase{release='shop/shop', phase='aborted'} _x61 1x20"],
            // Known for an hour, though another agent leads now.
            &[
                "serin_release_phase{release='shop/shop', phase='rolled-back', pod='a'} 1x60 stale",
                "serin_release_phase{release='shop/shop', phase='rolled-back', pod='b'} _x61 1x20",
            ],
        ],
    ),
    case(
        "SerinEvidenceLeaning",
        "5m",
        &[
            "serin_release_evidence{release='shop/shop', metric='request-duration', claim='worse'} 4x10",
            "serin_release_evidence{release='shop/shop', metric='request-duration', claim='needed'} 5x10",
        ],
        &[
            &[
                "serin_release_evidence{release='shop/shop', metric='request-duration', claim='worse'} 2x10",
                "serin_release_evidence{release='shop/shop', metric='request-duration', claim='no-worse'} 4x10",
                "serin_release_evidence{release='shop/shop', metric='request-duration', claim='needed'} 5x10",
            ],
            // It was enough, and the canary is gone.
            &[
                "serin_release_evidence{release='shop/shop', metric='request-duration', claim='worse'} 6x10",
                "serin_release_evidence{release='shop/shop', metric='request-duration', claim='needed'} 5x10",
            ],
        ],
    ),
    case(
        "SerinStableDown",
        "3m",
        &["serin_release_holds{release='shop/shop', reason='stable-down', awaits='mending'} 1x5"],
        &[&["serin_release_holds{release='shop/shop', reason='blocked', awaits='mending'} 1x5"]],
    ),
    case(
        "SerinReleaseStalled",
        "10m",
        &["serin_release_holds{release='shop/shop', reason='blocked', awaits='mending'} 1x20"],
        &[
            &["serin_release_holds{release='shop/shop', reason='blocked', awaits='mending'} _x8 1x20"],
            &["serin_release_holds{release='shop/shop', reason='paused', awaits='person'} 1x20"],
            &["serin_release_holds{release='shop/shop', reason='stable-down', awaits='mending'} 1x20"],
        ],
    ),
    case(
        "SerinReleaseHeld",
        "70m",
        &["serin_release_holds{release='shop/shop', reason='awaits-requests', awaits='itself'} 1x80"],
        &[&[
            "serin_release_holds{release='shop/shop', reason='awaits-requests', awaits='itself'} 1x30 stale",
            "serin_release_holds{release='shop/shop', reason='awaits-capacity', awaits='itself'} _x32 1x50",
        ]],
    ),
    case(
        "SerinReleaseAwaitsPerson",
        "5h",
        &["serin_release_holds{release='shop/shop', reason='awaits-approval', awaits='person'} 1x400"],
        &[&[
            "serin_release_holds{release='shop/shop', reason='awaits-approval', awaits='person'} _x120 1x400",
        ]],
    ),
    case(
        "SerinReleaseNotDriven",
        "10m",
        &["serin_release_driven{release='shop/shop'} 0x20"],
        &[&["serin_release_driven{release='shop/shop'} 0x7 1x20"]],
    ),
    case(
        "SerinCommandRefused",
        "20m",
        // The first one: there was no such counter before.
        &["serin_release_decisions_total{release='shop/shop', reason='command-refused'} _x15 1x20"],
        &[
            &["serin_release_decisions_total{release='shop/shop', reason='command-refused'} 1x40"],
            &["serin_release_decisions_total{release='shop/shop', reason='step-begun'} 0+1x40"],
        ],
    ),
    case(
        "SerinProxiesBypassed",
        "5m",
        &["serin_release_proxies{release='shop/shop', state='bypassed'} 2x10"],
        &[
            &["serin_release_proxies{release='shop/shop', state='bypassed'} 0x10"],
            &["serin_release_proxies{release='shop/shop', state='bypassed'} 2x3 0x10"],
        ],
    ),
    case(
        "SerinProxiesSilent",
        "8m",
        &["serin_release_proxies{release='shop/shop', state='silent'} 1x10"],
        &[&["serin_release_proxies{release='shop/shop', state='silent'} 0 0 0 0 1x10"]],
    ),
    case(
        "SerinPushSlow",
        "5m",
        &["serin_release_proxies{release='shop/shop', state='behind'} 1x10"],
        // One push after the other, each of them taken within the minute.
        &[&["serin_release_proxies{release='shop/shop', state='behind'} 3 0 3 0 3 0 3 0 3 0"]],
    ),
    case(
        "SerinPolicyRefused",
        "5m",
        &["serin_refused{namespace='istio-ingress', pod='gateway-1'} 1x10"],
        &[&["serin_refused{namespace='istio-ingress', pod='gateway-1'} 0x10"]],
    ),
    case(
        "SerinAgentDown",
        "10m",
        &["up{} 0x20"],
        &[&["serin_build_info{version='0.1.0', pod='serin-1'} 1x20"]],
    ),
    case(
        "SerinNoLeader",
        "5m",
        &[
            "serin_leader{namespace='serin-system', pod='a'} 0x10",
            "serin_leader{namespace='serin-system', pod='b'} 0x10",
        ],
        &[&[
            "serin_leader{namespace='serin-system', pod='a'} 1x3 0x10",
            "serin_leader{namespace='serin-system', pod='b'} 0x3 1x10",
        ]],
    ),
    case(
        "SerinNotLooking",
        "10m",
        &["serin_last_look_timestamp_seconds{release='shop/shop', pod='a'} 60x20"],
        &[
            // Another agent looks.
            &[
                "serin_last_look_timestamp_seconds{release='shop/shop', pod='a'} 60x20",
                "serin_last_look_timestamp_seconds{release='shop/shop', pod='b'} 0+60x20",
            ],
            &[
                "serin_last_look_timestamp_seconds{release='shop/shop'} 60x20",
                "serin_release_driven{release='shop/shop'} 0x20",
            ],
        ],
    ),
    case(
        "SerinModuleMissing",
        "10m",
        &["serin_modules_missing_total{namespace='serin-system', pod='a'} 0 0 1x20"],
        &[&["serin_modules_missing_total{namespace='serin-system', pod='a'} 4x20"]],
    ),
];

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
    Ok(groups.iter().filter_map(|group| group["rules"].as_array()).flatten().cloned().collect())
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
