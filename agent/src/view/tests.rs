//! What is made of a status.

use serde_json::{Value, json};
use serin_release::status::Odds;
use serin_rollout::CommandKind;

use super::evidence::against;
use super::*;

/// A Release of two steps with this status.
pub(crate) fn two_steps(name: &str, status: &Value) -> ReleaseObject {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "shop", "generation": 2},
        "spec": {
            "service": {"name": "shop"},
            "stable": {"targetRef": {"name": "shop-stable"}},
            "canary": {"targetRef": {"name": "shop-canary"}},
            "strategy": {"canary": {"steps": [{"setWeight": 10, "pause": {}}, {"setWeight": 50}]}},
        },
        "status": status,
    }))
    .unwrap()
}

fn release(status: &Value) -> ReleaseObject {
    two_steps("shop", status)
}

fn view(status: &Value) -> View {
    View::of(&release(status), &[], Vec::new())
}

fn condition(kind: &str, is: &str, reason: &str) -> Value {
    let since = "2026-11-27T08:00:00Z";
    json!({"type": kind, "status": is, "reason": reason, "message": "as it is", "lastTransitionTime": since})
}

/// A change of the weight, in the minute `at`.
fn change(at: u32, reason: &str, to: u32) -> Value {
    let at = format!("2026-11-27T08:{at:02}:00Z");
    json!({"at": at, "by": "the planner", "from": {"percent": 0}, "to": {"percent": to}, "reason": reason, "message": reason})
}

/// What a release waits for and what there is to do, under `conditions` in a `phase`.
#[track_caller]
fn check(phase: &str, conditions: &[Value], waits: Option<(&str, WaitsOn)>, commands: &[CommandKind]) {
    let view = view(&json!({"phase": phase, "conditions": conditions, "proxies": {}, "message": ""}));
    let found = view.waits.as_ref().map(|waits| (waits.reason.as_str(), waits.on));
    assert_eq!(found, waits, "{phase} {conditions:?}");
    let todo = view.todo.map(|todo| todo.commands).unwrap_or_default();
    assert_eq!(todo, commands, "{phase} {conditions:?}");
}

#[test]
fn it_waits_for_what_its_conditions_say() {
    use CommandKind::{Abort, Promote, Resume, Retry};
    let held = |reason| condition("Progressing", "False", reason);
    let stalled = |reason| condition("Stalled", "True", reason);
    let under_way = condition("Reconciling", "True", "Progressing");
    check("Progressing", std::slice::from_ref(&under_way), Some(("Progressing", WaitsOn::Course)), &[]);
    let approval = [held("AwaitsApproval"), under_way.clone()];
    check("Progressing", &approval, Some(("AwaitsApproval", WaitsOn::Person)), &[Resume, Abort]);
    check("Progressing", &[held("AwaitsRequests")], Some(("AwaitsRequests", WaitsOn::Others)), &[]);
    let off_plan = [stalled("OffPlan"), held("OffPlan")];
    check("OffPlan", &off_plan, Some(("OffPlan", WaitsOn::Mending)), &[Resume, Promote, Abort]);
    check("Idle", &[stalled("NotAdmitted")], Some(("NotAdmitted", WaitsOn::Mending)), &[]);
    check("RolledBack", &[stalled("RolledBack"), held("RolledBack")], None, &[Retry]);
    check("Idle", &[stalled("StableReplaced")], None, &[Retry]);
    check("Keeping", &[held("Keeping")], Some(("Keeping", WaitsOn::Course)), &[Abort]);
    check("Promoted", &[held("Promoted")], None, &[]);
}

#[test]
fn whoever_is_waited_for_is_told_what_to_do_and_nobody_else() {
    for (name, awaits) in Hold::AWAITS {
        let view =
            view(&json!({"phase": "Progressing", "conditions": [condition("Progressing", "False", name)]}));
        // While the old version is kept, one may go back.
        let is_somebodys_turn = matches!(awaits, Awaits::Person | Awaits::Mending) || *name == "Keeping";
        assert_eq!(view.todo.is_some(), is_somebodys_turn, "{name}");
    }
}

/// The states of the steps, at 10, 50 and 100 %, in a `phase` at `weight`, after a run that had these weights.
#[track_caller]
fn steps_are(phase: &str, weight: u32, had: &[u32], expected: &str) {
    let changes: Vec<_> = had.iter().map(|to| change(0, "StepBegun", *to)).collect();
    let run = json!({"run": "v2", "started": "2026-11-27T08:00:00Z", "changes": changes});
    let status = json!({"phase": phase, "run": "v2", "weight": {"percent": weight}, "history": [run]});
    let steps = view(&status).steps.into_iter().map(|step| match step.state {
        StepState::Done => '+',
        StepState::Now => '@',
        StepState::Ahead => '-',
        StepState::TakenBack => 'x',
    });
    assert_eq!(steps.collect::<String>(), expected, "{phase} {weight}");
}

#[test]
fn steps_are_as_far_as_the_run_is() {
    steps_are("Idle", 0, &[], "---");
    steps_are("Starting", 0, &[], "---");
    steps_are("Progressing", 50, &[10, 50], "+@-");
    steps_are("OffPlan", 30, &[10], "+--");
    steps_are("Baking", 100, &[10, 50, 100], "++@");
    steps_are("Promoting", 0, &[10, 50, 100, 0], "++@");
    steps_are("Promoted", 0, &[10, 50, 100, 0], "+++");
    steps_are("RolledBack", 0, &[10, 50, 0], "+x-");
    steps_are("Aborted", 0, &[], "---");
}

#[test]
fn what_is_too_old_to_have_an_event_comes_from_the_history() {
    let run = json!({
        "run": "v2", "started": "2026-11-27T08:00:00Z",
        "changes": [change(1, "StepBegun", 10), change(9, "RolledBack", 0)],
    });
    let told = |minute: u32, reason: &str| News {
        at: format!("2026-11-27T08:{minute:02}:00Z").parse().unwrap(),
        reason: reason.to_owned(),
        message: String::new(),
        warning: false,
    };
    let object = release(&json!({"history": [run]}));
    let reasons =
        |told| -> Vec<_> { View::of(&object, &[], told).news.into_iter().map(|news| news.reason).collect() };
    assert_eq!(
        reasons(vec![told(9, "RolledBack"), told(5, "Paused")]),
        ["StepBegun", "Paused", "RolledBack"]
    );
    assert_eq!(reasons(Vec::new()), ["StepBegun", "RolledBack"]);
}

#[test]
fn versions_have_the_pods_of_their_deployments_where_these_may_be_read() {
    let status = json!({"versions": [
        {"name": "stable", "role": "Stable", "deployment": "shop-stable", "weight": {"percent": 90}},
        {"name": "canary", "role": "Canary", "weight": {"percent": 10}},
    ]});
    let deployment = serde_json::from_value(json!({
        "metadata": {"name": "shop-stable"},
        "spec": {"replicas": 3, "selector": {}, "template": {"spec": {"containers": [{"name": "a", "image": "shop:v1"}]}}},
        "status": {"readyReplicas": 2},
    }))
    .unwrap();
    let view = View::of(&release(&status), &[deployment], Vec::new());
    assert_eq!(view.versions[0].pods, Some(Pods { ready: 2, wanted: 3 }));
    assert_eq!(view.versions[0].image.as_deref(), Some("shop:v1"));
    assert_eq!((view.versions[1].pods, view.versions[1].image.as_ref()), (None, None));
    assert!(!view.is_current, "no agent has seen generation 2");
}

#[test]
fn evidence_is_as_far_as_its_logarithm() {
    let odds = |now, needed| Odds { now, needed };
    for (given, expected) in
        [(odds(1, 100), 0.0), (odds(10, 100), 0.5), (odds(1_000, 100), 1.0), (odds(0, 0), 0.0)]
    {
        assert!((against(given) - expected).abs() < 0.001, "{given:?}");
    }
}
