/*!
Dashboards as Grafana reads them.
*/
use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::description::{Dashboard, Kind, Panel, Release};

/// The columns of a dashboard.
const COLUMNS: u32 = 24;

/// How high a panel is, in rows.
const fn height(kind: Kind) -> u32 {
    match kind {
        Kind::Lines | Kind::Pie => 8,
        Kind::Number | Kind::Names => 4,
    }
}

pub(super) fn json(dashboard: &Dashboard) -> Value {
    let mut panels = Vec::new();
    let (mut x, mut y, mut row) = (0, 0, 0);
    for (panel, id) in dashboard.panels.iter().zip(1_u32..) {
        if x + panel.width > COLUMNS {
            (x, y, row) = (0, y + row, 0);
        }
        let high = height(panel.kind);
        panels.push(panel_json(panel, id, &json!({"x": x, "y": y, "w": panel.width, "h": high})));
        (x, row) = (x + panel.width, row.max(high));
    }
    json!({
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["serin"],
        "editable": true,
        "graphTooltip": 1,
        "refresh": "10s",
        "schemaVersion": 39,
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": variables(dashboard.release)},
        "panels": panels,
    })
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

fn variables(release: Release) -> Vec<Value> {
    let source_variable = json!({
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
    });
    let all = release == Release::OneOrAll;
    let mut release_variable = json!({
        "name": "release",
        "label": "Release",
        "type": "query",
        "datasource": source(),
        "query": {"query": "label_values(serin_release_weight_ppm, release)", "refId": "release"},
        "refresh": 2,
        "sort": 1,
        "multi": false,
        "includeAll": all,
    });
    if all {
        release_variable["allValue"] = json!(".*");
    }
    let variables = [Some(source_variable), (release != Release::All).then_some(release_variable)];
    variables.into_iter().flatten().collect()
}

fn panel_json(panel: &Panel, id: u32, position: &Value) -> Value {
    // Numbers are of now, lines of the time that is shown.
    let now = panel.kind != Kind::Lines;
    let targets = panel.queries.iter().zip('A'..).map(|((query, legend), letter)| {
        json!({
            "refId": letter.to_string(),
            "datasource": source(),
            "expr": query,
            "legendFormat": legend,
            "instant": now,
            "range": !now,
        })
    });
    let reduce = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
    let legend = json!({"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []});
    let stat = |text: &str| {
        json!({
            "reduceOptions": reduce, "textMode": text, "colorMode": "value", "graphMode": "none", "justifyMode": "auto",
            "orientation": "auto", "wideLayout": true, "showPercentChange": false, "percentChangeColorMode": "standard",
        })
    };
    let (kind, options) = match panel.kind {
        Kind::Lines => {
            ("timeseries", json!({"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}))
        }
        Kind::Pie => {
            let mut legend = legend;
            legend["values"] = json!(["percent"]);
            let tooltip = json!({"mode": "single", "sort": "none"});
            let options = json!({
                "legend": legend, "tooltip": tooltip, "pieType": "donut", "reduceOptions": reduce,
                "orientation": "auto",
            });
            ("piechart", options)
        }
        Kind::Number => ("stat", stat("value")),
        Kind::Names => ("stat", stat("name")),
    };
    let mut defaults = json!({"unit": panel.unit});
    if panel.kind == Kind::Lines {
        defaults["min"] = json!(0);
        defaults["custom"] = json!({"fillOpacity": 10, "showPoints": "never"});
    }
    json!({
        "id": id,
        "type": kind,
        "title": panel.title,
        "description": panel.description,
        "gridPos": position,
        "datasource": source(),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": targets.collect::<Vec<_>>(),
    })
}

/// Fails on what Grafana would show wrongly, though its schema allows it.
pub(super) fn check(dashboard: &Value) -> Result<()> {
    let list = |pointer: &str| {
        let list = dashboard.pointer(pointer).and_then(Value::as_array);
        list.cloned().with_context(|| format!("no list at {pointer}"))
    };
    let uid = dashboard["uid"].as_str().context("a uid")?;
    ensure!(uid.len() <= 40, "the uid {uid} is longer than 40 characters");
    let variables = list("/templating/list")?;
    let variables: BTreeSet<_> = variables.iter().filter_map(|variable| variable["name"].as_str()).collect();
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in list("/panels")? {
        let title = panel["title"].as_str().context("a title")?;
        ensure!(ids.insert(panel["id"].as_u64()), "{title}: its id is another panel's");
        let at = |name: &str| panel["gridPos"][name].as_u64().with_context(|| format!("{title}: no {name}"));
        let (x, y, width, high) = (at("x")?, at("y")?, at("w")?, at("h")?);
        ensure!(x + width <= COLUMNS.into(), "{title}: wider than the dashboard");
        for cell in (x..x + width).flat_map(|x| (y..y + high).map(move |y| (x, y))) {
            ensure!(cells.insert(cell), "{title}: it lies over another panel");
        }
        let mut letters = BTreeSet::new();
        for target in panel["targets"].as_array().context("targets")? {
            ensure!(letters.insert(target["refId"].as_str()), "{title}: two queries of one refId");
            let query = target["expr"].as_str().context("a query")?;
            for used in query.split('$').skip(1) {
                let end = used.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
                let name = &used[..end.unwrap_or(used.len())];
                // Those of Prometheus' own regular expressions.
                let is_group = name.bytes().all(|byte| byte.is_ascii_digit());
                ensure!(
                    is_group || name == "__rate_interval" || variables.contains(name),
                    "{title}: there is no ${name}"
                );
            }
        }
    }
    Ok(())
}
