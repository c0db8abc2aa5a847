//! What a status is held to be.

use serde_json::{Value, json};

use super::*;

/// What is found in this status: the level and the name of each check that is not well.
#[track_caller]
fn check(status: &Value, expected: &[(Level, &str)]) {
    let release: ReleaseObject = serde_json::from_value(json!({
        "metadata": {"name": "shop", "namespace": "shop", "generation": 1},
        "spec": {"service": {"name": "shop"}},
        "status": status,
    }))
    .unwrap();
    let lines = of_status(&View::of(&release, &[], Vec::new()), &release);
    let unwell = lines.iter().filter(|line| line.level != Level::Ok);
    let found: Vec<_> = unwell.clone().map(|line| (line.level, line.check)).collect();
    assert_eq!(found, expected, "{lines:#?}");
    assert!(unwell.clone().all(|line| line.mend.is_some()), "{lines:#?}");
}

fn condition(kind: &str, is: &str, reason: &str) -> Value {
    json!({"type": kind, "status": is, "reason": reason, "message": "why", "lastTransitionTime": "2026-11-27T08:00:00Z"})
}

#[test]
fn what_is_wrong_with_a_release_has_its_line_and_its_mend() {
    let good = |more: &[Value]| {
        let conditions = [&[condition("Accepted", "True", "Accepted")], more].concat();
        json!({
            "observedGeneration": 1, "conditions": conditions,
            "proxies": {"current": 2, "total": 2, "bypassed": 0},
        })
    };
    let with = |field: &str, value: Value| {
        let mut status = good(&[]);
        status[field] = value;
        status
    };
    check(&good(&[]), &[]);
    check(&with("observedGeneration", json!(0)), &[(Level::Error, "seen")]);
    let refused =
        json!([condition("Accepted", "False", "NotAdmitted"), condition("Stalled", "True", "NotAdmitted")]);
    check(&with("conditions", refused), &[(Level::Error, "accepted")]);
    check(&with("conditions", json!([])), &[(Level::Warning, "accepted")]);
    check(&with("proxies", json!({"current": 1, "total": 2, "bypassed": 1})), &[(Level::Error, "proxies")]);
    check(&with("proxies", json!({"current": 1, "total": 2, "bypassed": 0})), &[(Level::Warning, "proxies")]);
    check(&with("proxies", json!({"current": 0, "total": 0, "bypassed": 0})), &[(Level::Warning, "proxies")]);
    let routes =
        [condition("Routed", "False", "RoutesNotInPlace"), condition("Stalled", "True", "RoutesNotInPlace")];
    check(&good(&routes), &[(Level::Error, "routed")]);
    check(&good(&[condition("Progressing", "False", "AwaitsApproval")]), &[(Level::Warning, "waits")]);
    check(&good(&[condition("Progressing", "False", "AwaitsData")]), &[(Level::Error, "waits")]);
    check(&good(&[condition("Stalled", "True", "StableDown")]), &[(Level::Error, "waits")]);
    check(&good(&[condition("Progressing", "False", "AwaitsRequests")]), &[]);
}

#[test]
fn pods_that_are_not_ready_are_told_and_callers_without_any_are_an_error() {
    for (ready, wanted, percent, expected) in [
        (2, 2, 90, Level::Ok),
        (1, 2, 90, Level::Warning),
        (0, 2, 90, Level::Error),
        (0, 0, 10, Level::Error),
        (0, 0, 0, Level::Ok),
        (0, 2, 0, Level::Warning),
    ] {
        let release: ReleaseObject = serde_json::from_value(json!({
            "metadata": {"name": "shop", "namespace": "shop"},
            "spec": {"service": {"name": "shop"}},
            "status": {"versions": [
                {"name": "v1", "role": "Stable", "weight": {"percent": percent}, "deployment": "shop-stable"},
            ]},
        }))
        .unwrap();
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": {"name": "shop-stable"},
            "spec": {"replicas": wanted, "selector": {}, "template": {}},
            "status": {"readyReplicas": ready},
        }))
        .unwrap();
        let view = View::of(&release, &[deployment], Vec::new());
        let line = pods(&view.versions[0]).unwrap();
        assert_eq!(line.level, expected, "{line:?}");
        assert!(line.text.starts_with(&format!("v1: {ready} of {wanted} are ready")), "{line:?}");
    }
}

#[test]
fn a_line_has_80_columns_and_the_mend_below_it() {
    let lines = [
        Line::ok("api server", "Kubernetes 1.34"),
        Line::error("crds", format!("releases.serin.dev {}", "is of another version ".repeat(5)), INSTALL),
    ];
    let shown = table(&lines, Paint(false));
    assert!(shown.lines().all(|line| line.chars().count() <= WIDTH), "{shown}");
    let indented = format!("\n{}mend: {INSTALL}\n", " ".repeat(INDENT));
    assert!(shown.starts_with("ok       api server   Kubernetes 1.34\nerror    crds "), "{shown}");
    assert!(shown.ends_with(&indented), "{shown}");
}
