//! Which run is waited for, and what is taken for its end.

use serde_json::{Value, json};

use super::*;

/// A Deployment with an image.
fn deployment(name: &str, image: &str) -> Deployment {
    let labels = json!({"app": name});
    serde_json::from_value(json!({
        "metadata": {"name": name, "uid": name, "generation": 1},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "shop", "image": image}]},
            },
        },
    }))
    .unwrap()
}

/// A release with these images, whose status is `status`; `{run}` in it is the run that the canary's image makes.
struct Case {
    stable: &'static str,
    canary: &'static str,
    status: Value,
}

impl Case {
    /// The case where the status is about the canary's image.
    fn at(phase: &str) -> Self {
        let status = json!({"phase": phase, "run": "{run}", "message": "as it is", "observedGeneration": 1});
        Self { stable: "shop:v1", canary: "shop:v2", status }
    }

    fn with(mut self, field: &str, value: Value) -> Self {
        self.status[field] = value;
        self
    }

    fn standing(&self, goal: &str, image: Option<&str>, followed: &mut Option<String>) -> Standing {
        let deployments = [deployment("shop-stable", self.stable), deployment("shop-canary", self.canary)];
        let object = |status: Value| -> ReleaseObject {
            serde_json::from_value(json!({
                "metadata": {"name": "shop", "namespace": "shop", "generation": 1},
                "spec": {
                    "service": {"name": "shop"},
                    "stable": {"targetRef": {"name": "shop-stable"}},
                    "canary": {"targetRef": {"name": "shop-canary"}},
                },
                "status": status,
            }))
            .unwrap()
        };
        let run = Runs::of(&object(json!({}))).of_deployment(&deployments[1]).unwrap();
        let status = serde_json::from_str(&self.status.to_string().replace("{run}", &run)).unwrap();
        let subject = Subject { release: &object(status), deployments: &deployments, image };
        subject.standing(goal.parse().unwrap(), followed)
    }

    /// Whether what is waited for has come (`met`), cannot come any more (`over`) or may (`pending`).
    #[track_caller]
    fn check(&self, goal: &str, image: Option<&str>, expected: &str) {
        let standing = self.standing(goal, image, &mut None);
        let word = match standing {
            Standing::Met(_) => "met",
            Standing::Over(_) => "over",
            Standing::Pending(_) => "pending",
        };
        assert_eq!(word, expected, "{goal} {image:?} {}: {standing:?}", self.status);
    }
}

const V2: Option<&str> = Some("shop:v2");

#[test]
fn the_end_of_a_run_is_what_its_phase_says() {
    for (phase, promoted, rolled_back, step) in [
        ("Preparing", "pending", "pending", "pending"),
        ("Starting", "pending", "pending", "pending"),
        ("OffPlan", "pending", "pending", "pending"),
        ("Baking", "pending", "pending", "met"),
        ("Promoting", "pending", "pending", "met"),
        ("Keeping", "met", "over", "met"),
        ("Promoted", "met", "over", "met"),
        // Nobody is on it any more, and its pods are still there.
        ("RollingBack", "over", "pending", "over"),
        ("RolledBack", "over", "met", "over"),
        ("Aborted", "over", "met", "over"),
        ("Unknown", "pending", "pending", "pending"),
        // Stable has it already.
        ("Idle", "met", "over", "met"),
    ] {
        for image in [None, V2] {
            let case = Case::at(phase);
            case.check("promoted", image, promoted);
            case.check("rolled-back", image, rolled_back);
            case.check("step=1", image, step);
        }
    }
}

#[test]
fn the_former_run_is_not_taken_for_this_one() {
    for phase in ["Promoted", "RolledBack", "Aborted", "Progressing"] {
        for goal in ["promoted", "rolled-back", "step=1"] {
            Case::at(phase).with("run", json!("v1-00000000")).check(goal, V2, "pending");
        }
    }
    // No agent has seen the Release as it is now.
    Case::at("Promoted").with("observedGeneration", json!(0)).check("promoted", V2, "pending");
    Case { status: json!({}), ..Case::at("") }.check("promoted", V2, "pending");
}

#[test]
fn an_image_that_no_deployment_has_is_waited_for() {
    let case = Case::at("Promoted");
    case.check("promoted", Some("shop:v3"), "pending");
    let standing = case.standing("promoted", Some("shop:v3"), &mut None);
    assert_eq!(standing, Standing::Pending("deployment/shop-canary has shop:v2, not shop:v3".to_owned()));
}

#[test]
fn an_image_that_stable_has_is_promoted_whatever_comes_after_it() {
    let case = Case { stable: "shop:v1", ..Case::at("Progressing") };
    case.check("promoted", Some("shop:v1"), "met");
    case.check("rolled-back", Some("shop:v1"), "over");
    // Somebody has given it another one since: nobody judged that.
    let undone = json!([{
        "type": "Ready", "status": "False", "reason": "StableReplaced", "message": "", "lastTransitionTime": "2026-11-27T08:00:00Z",
    }]);
    Case::at("Idle").with("conditions", undone).check("promoted", V2, "over");
}

#[test]
fn a_step_has_begun_when_every_proxy_reports_it() {
    let at = |step: u32, current: u32| {
        let proxies = json!({"current": current, "total": 2, "bypassed": 0});
        Case::at("Progressing").with("step", json!({"index": step, "of": 3})).with("proxies", proxies)
    };
    at(1, 2).check("step=1", V2, "met");
    at(1, 1).check("step=1", V2, "pending");
    at(1, 2).check("step=2", V2, "pending");
    at(3, 0).check("step=2", V2, "met");
}

#[test]
fn where_versions_change_places_the_one_that_was_released_is_stables() {
    let swapped = json!([
        {"name": "stable", "role": "Stable", "deployment": "shop-canary", "weight": {"percent": 100}},
        {"name": "canary", "role": "Canary", "deployment": "shop-stable", "weight": {"percent": 0}},
    ]);
    let case = Case::at("Promoted").with("versions", swapped);
    case.check("promoted", V2, "met");
    // The other Deployment has had this one before: nobody has released it since.
    case.check("promoted", Some("shop:v1"), "pending");
}

#[test]
fn a_run_that_another_one_replaces_has_ended() {
    let mut followed = None;
    let under_way = Case::at("Progressing").standing("promoted", V2, &mut followed);
    assert!(matches!(under_way, Standing::Pending(_)), "{under_way:?}");
    let run = followed.clone().unwrap();
    let replaced = json!([
        {"run": "v3-00000000", "started": "2026-11-27T08:00:00Z", "changes": []},
        {"run": run, "started": "2026-11-27T07:00:00Z", "changes": [], "outcome": "Replaced"},
    ]);
    let next = Case::at("Progressing").with("run", json!("v3-00000000")).with("history", replaced);
    let standing = next.standing("promoted", V2, &mut followed);
    assert_eq!(standing, Standing::Over(format!("run {run} was replaced by another before it ended")));
}

#[test]
fn a_persons_word_is_waited_for() {
    let awaits = |phase: &str, reason: &str| {
        let progressing = json!([{
            "type": "Progressing", "status": "False", "reason": reason, "message": "", "lastTransitionTime": "2026-11-27T08:00:00Z",
        }]);
        Case::at(phase).with("conditions", progressing)
    };
    for (phase, reason, expected) in [
        ("Progressing", "AwaitsApproval", "met"),
        ("Starting", "AwaitsCutover", "met"),
        ("Keeping", "AwaitsCleanup", "met"),
        ("Progressing", "AwaitsRequests", "pending"),
        // A person's word too, and nobody knows yet what the evidence will say.
        ("Progressing", "Paused", "pending"),
        // Stable is Git's to change.
        ("Promoting", "HandingOver", "met"),
        ("Promoting", "AwaitsEndpoints", "pending"),
        ("Keeping", "Keeping", "pending"),
        ("RollingBack", "Draining", "over"),
        ("RolledBack", "RolledBack", "over"),
        ("Aborted", "Aborted", "over"),
        ("Promoted", "Promoted", "over"),
    ] {
        awaits(phase, reason).check("approval", V2, expected);
    }
    awaits("Progressing", "AwaitsApproval").check("approval", Some("shop:v1"), "over");
    awaits("Progressing", "AwaitsApproval")
        .with("run", json!("v1-00000000"))
        .check("approval", V2, "pending");
}

#[test]
fn a_goal_is_one_of_four() {
    for (text, expected) in [
        ("promoted", Some(Goal::Promoted)),
        ("rolled-back", Some(Goal::RolledBack)),
        ("approval", Some(Goal::Approval)),
        ("step=3", Some(Goal::Step(3))),
        ("step=0", None),
        ("step=", None),
        ("Promoted", None),
    ] {
        assert_eq!(text.parse::<Goal>().ok(), expected, "{text}");
    }
}
