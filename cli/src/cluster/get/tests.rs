//! The table of Releases.

use serde_json::json;
use serin_release::ReleaseObject;

use super::*;
use crate::cluster::style::unpainted;

fn view(namespace: &str, name: &str, status: &serde_json::Value) -> View {
    let object: ReleaseObject = serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"service": {"name": name}},
        "status": status,
    }))
    .unwrap();
    View::of(&object, &[], Vec::new())
}

#[test]
fn a_line_says_where_a_release_stands_and_what_it_waits_for() {
    let now = "2026-11-27T08:04:00Z".parse().unwrap();
    let held = json!({
        "type": "Progressing", "status": "False", "reason": "AwaitsApproval", "message": "resume to go on",
        "lastTransitionTime": "2026-11-27T08:00:00Z",
    });
    let views = [
        view("shop", "cart", &json!({"phase": "Promoted", "run": "v2-27041e09", "message": "done"})),
        view(
            "a-longer-name",
            "checkout",
            &json!({
                "phase": "Progressing", "run": "v3-8b95df68", "message": "resume to go on", "conditions": [held],
                "step": {"index": 2, "of": 4}, "weight": {"percent": 10}, "served": {"percent": 9.8, "requests": 98},
                "proxies": {"current": 1, "total": 2, "bypassed": 0},
            }),
        ),
    ];
    let shown = |with_namespace, is_wide| table(&views, with_namespace, is_wide, now, Paint(false));
    insta::assert_snapshot!("narrow", shown(false, false));
    insta::assert_snapshot!("of_all_namespaces", shown(true, true));
    let painted = table(&views, true, true, now, Paint(true));
    assert_eq!(unpainted(&painted), shown(true, true));
}
