use std::time::Duration;

use jiff::Timestamp;
use serin_release::Release;
use serin_rollout::{Cell, Drawn, Hold};

use super::*;

fn release() -> Release {
    let yaml = "apiVersion: serin.dev/v1alpha1\nkind: Release\nmetadata: {name: shop}\nspec: {service: {name: shop}, \
                canary: {version: v2}}\n";
    Release::from_yaml(yaml).unwrap()
}

fn look(metrics: &Metrics, name: &str) {
    let (release, status) = (release(), Status { revision: 3, ..Status::default() });
    let progress = status.progress(&release, Timestamp::UNIX_EPOCH);
    let counts = ArmCounts { requests: 5, errors: 2, slow: 1, ..ArmCounts::default() };
    let cohort = Drawn::Cohort(serin_policy::Cohort::Rest);
    let cell = Cell { place: "gateway".to_owned(), drawn: cohort, arm: Arm::Canary, counts };
    let observation = Observation {
        proxies: vec![Proxy { name: "edge-1".to_owned(), state: ProxyState::Bypassed }],
        counted: vec![cell],
        ..Observation::default()
    };
    let reasons = vec![Hold::Suspended.into(), Hold::Draining { delay: Duration::ZERO }.into()];
    let planned = Plan { status, push: None, term: serin_rollout::Term::Open, wanted: None, reasons };
    metrics.told(name, "started");
    metrics.looked(name, &planned, &progress, &observation, true, 1_000);
}

/// What is said of the agent itself.
const OWN: [&str; 5] =
    ["serin_build", "serin_leader", "serin_modules_missing", "serin_look_duration", "serin_api_requests"];

/// The series of releases, without the agent's own.
fn series(metrics: &Metrics) -> Vec<String> {
    let text = metrics.encode().unwrap();
    let of_release = |line: &&str| !line.starts_with('#') && !OWN.iter().any(|own| line.starts_with(own));
    text.lines().filter(of_release).map(str::to_owned).collect()
}

#[test]
fn each_release_has_its_series() {
    let metrics = Metrics::new();
    look(&metrics, "shop/shop");
    look(&metrics, "shop/shop");
    insta::assert_snapshot!(metrics.encode().unwrap());
}

#[test]
fn what_is_gone_leaves_no_series_of_any_kind() {
    let metrics = Metrics::new();
    look(&metrics, "shop/old");
    look(&metrics, "shop/new");
    metrics.forget("shop/old");
    assert!(series(&metrics).iter().all(|line| line.contains("shop/new")), "{:?}", series(&metrics));
    metrics.forget_all_but(|release| release == "shop/old");
    assert_eq!(series(&metrics), [""; 0]);
}

#[test]
fn only_an_agent_that_leads_tells_of_releases() {
    let metrics = Metrics::new();
    look(&metrics, "shop/shop");
    metrics.lead(false);
    // A tick that was under way.
    look(&metrics, "shop/shop");
    assert_eq!(series(&metrics), [""; 0]);
    metrics.lead(true);
    look(&metrics, "shop/shop");
    assert!(!series(&metrics).is_empty());
}

#[test]
fn a_release_that_is_not_driven_is_told_though_it_was_never_looked_at() {
    let metrics = Metrics::new();
    metrics.unfit("shop/shop");
    assert_eq!(series(&metrics), [r#"serin_release_driven{release="shop/shop"} 0"#]);
    look(&metrics, "shop/shop");
    let driven = r#"serin_release_driven{release="shop/shop"} 1"#.to_owned();
    assert!(series(&metrics).contains(&driven), "{:?}", series(&metrics));
}

#[test]
fn every_metric_is_in_the_table_with_its_type_and_its_labels() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/series.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, table) =
        page.split_once("| series | type | labels | how many | says |\n|---|---|---|---|---|\n").unwrap();
    let metrics = Metrics::new();
    look(&metrics, "shop/shop");
    metrics.message("shop/shop", "sent");
    metrics.requests().count(Some(200));
    let text = metrics.encode().unwrap();
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let rows = families.map(|family| {
        let (name, kind) = family.split_once(' ').unwrap();
        let mut samples = text.lines().filter(|line| line.starts_with(name));
        let has_labels = |line: &&str| kind != "histogram" || line.contains("_bucket{");
        let sample = samples.find(has_labels).unwrap();
        let labels = sample.split_once('{').map_or("", |(_, labels)| labels).split("\",");
        let labels = labels.filter_map(|label| Some(format!("`{}`", label.split_once('=')?.0)));
        let labels = labels.collect::<Vec<_>>().join(", ");
        let name = if kind == "info" { format!("{name}_info") } else { name.to_owned() };
        format!("| `{name}` | {kind} | {labels} |").replace("|  |", "| |")
    });
    let documented: Vec<_> =
        table.lines().map(|row| row.rsplitn(4, '|').last().unwrap().to_owned() + "|").collect();
    assert_eq!(documented, rows.collect::<Vec<_>>());
}

#[test]
fn a_phase_begins_when_it_is_first_seen() {
    let metrics = Metrics::new();
    look(&metrics, "shop/shop");
    let began = r#"serin_phase_began_timestamp_seconds{release="shop/shop"} 1000"#.to_owned();
    assert!(series(&metrics).contains(&began), "{:?}", series(&metrics));
}
