use std::fmt::Write as _;

use serde_json::from_value;

use super::*;

/// What becomes of an autoscaler's floor and notes where so many pods are needed: `3` or `3 own=1 raised=3`.
#[track_caller]
fn check(found: &str, needed: Option<u32>, wanted: &str) {
    check_of(AutoscalerKind::HorizontalPodAutoscaler, found, needed.map_or(Need::Own, Need::Pods), wanted);
}

/// The same of one that allows ten.
#[track_caller]
fn check_of(kind: AutoscalerKind, found: &str, need: Need, wanted: &str) {
    let mut object = object(kind, found);
    let before = read(kind, &object);
    if let Some(patch) = before.patch(before.wanted(need)) {
        assert_eq!(patch["metadata"]["resourceVersion"], "7", "it names what it was planned from");
        merge(&mut object, &patch);
    }
    let after = read(kind, &object);
    let again = after.patch(after.wanted(need));
    assert_eq!((in_words(&after), again), (wanted.to_owned(), None), "{found}");
}

const NOTES: [(&str, &str); 5] = [
    ("own", OWN_FLOOR),
    ("raised", RAISED_TO),
    ("at", PAUSED_AT),
    ("by-serin", PAUSED_BY_SERIN),
    ("paused", PAUSED),
];

fn object(kind: AutoscalerKind, words: &str) -> Value {
    let mut words = words.split(' ');
    let min: Option<i32> = words.next().unwrap().parse().ok();
    let note = |word: &str| {
        let (name, value) = word.split_once('=').unwrap();
        let (_, annotation) = NOTES.iter().find(|(known, _)| *known == name).unwrap();
        ((*annotation).to_owned(), json!(value))
    };
    let annotations: serde_json::Map<_, _> = words.map(note).collect();
    let mut spec = json!({"scaleTargetRef": {"kind": "Deployment", "name": "shop"}});
    let [fewest, most] = match kind {
        AutoscalerKind::HorizontalPodAutoscaler => ["minReplicas", "maxReplicas"],
        AutoscalerKind::ScaledObject => ["minReplicaCount", "maxReplicaCount"],
    };
    spec[most] = json!(10);
    if let Some(min) = min {
        spec[fewest] = json!(min);
    }
    json!({"metadata": {"name": "shop", "resourceVersion": "7", "annotations": annotations}, "spec": spec})
}

fn read(kind: AutoscalerKind, object: &Value) -> Autoscaler {
    match kind {
        AutoscalerKind::HorizontalPodAutoscaler => {
            Autoscaler::of_kubernetes(&from_value(object.clone()).unwrap())
        }
        AutoscalerKind::ScaledObject => Autoscaler::of_scaled_object(&from_value(object.clone()).unwrap()),
    }
}

fn in_words(autoscaler: &Autoscaler) -> String {
    let mut words = autoscaler.min.map_or_else(|| "none".to_owned(), |min| min.to_string());
    for (name, annotation) in NOTES {
        if let Some(value) = autoscaler.annotations.get(annotation) {
            write!(words, " {name}={value}").unwrap();
        }
    }
    words
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut target[key], value);
        }
    }
}

#[test]
fn a_floor_is_raised_to_what_is_needed_and_given_back() {
    check("3", Some(5), "5 own=3 raised=5");
    check("5 own=3 raised=5", Some(6), "6 own=3 raised=6");
    check("5 own=3 raised=5", Some(4), "4 own=3 raised=4");
    check("5 own=3 raised=5", None, "3");
}

#[test]
fn a_floor_that_is_enough_is_left_alone() {
    check("3", Some(3), "3");
    check("8", Some(3), "8");
    check("3", None, "3");
}

#[test]
fn what_its_owner_writes_meanwhile_is_never_lowered_and_stays() {
    check("9 own=3 raised=5", Some(5), "9");
    check("9 own=3 raised=5", None, "9");
    check("4 own=3 raised=5", Some(5), "5 own=4 raised=5");
    check("4 own=3 raised=5", None, "4");
}

#[test]
fn nothing_is_raised_beyond_what_is_allowed() {
    check("3", Some(40), "10 own=3 raised=10");
}

#[test]
fn what_an_earlier_agent_has_raised_is_given_back() {
    check("5 own=3", Some(5), "5 own=3 raised=5");
    check("5 own=3", None, "3");
}

#[test]
fn a_note_that_makes_no_sense_counts_for_nothing() {
    check("5 own=three raised=5", None, "5");
}

#[test]
fn kedas_floor_that_is_left_out_is_left_out_again() {
    let keda = AutoscalerKind::ScaledObject;
    check_of(keda, "none", Need::Pods(3), "3 own=none raised=3");
    check_of(keda, "3 own=none raised=3", Need::Pods(4), "4 own=none raised=4");
    check_of(keda, "3 own=none raised=3", Need::Own, "none");
    check_of(keda, "6 own=none raised=3", Need::Own, "6");
    check_of(keda, "none", Need::Pods(40), "10 own=none raised=10");
}

#[test]
fn keda_keeps_no_pods_for_a_canary_that_nobody_is_sent_to() {
    let keda = AutoscalerKind::ScaledObject;
    check_of(keda, "1", Need::Nothing, "1 at=0 by-serin=true");
    check_of(keda, "3 own=none raised=3", Need::Nothing, "none at=0 by-serin=true");
    check_of(keda, "1 at=0 by-serin=true", Need::Own, "1 at=0 by-serin=true");
    check_of(keda, "1 at=0 by-serin=true", Need::Pods(2), "2 own=1 raised=2");
    check_of(keda, "1 at=0 by-serin=true", Need::Released, "1");
    check_of(keda, "3 own=none raised=3", Need::Released, "none");
    check_of(keda, "1 at=4", Need::Released, "1 at=4");
    // Who has paused it, or let it go on, had their reasons.
    check_of(keda, "1 paused=true", Need::Nothing, "1 paused=true");
    check_of(keda, "1 at=4", Need::Pods(2), "2 own=1 raised=2 at=4");
    check_of(keda, "1 by-serin=true", Need::Own, "1 by-serin=true");
    check_of(AutoscalerKind::HorizontalPodAutoscaler, "1", Need::Nothing, "1");
}

#[test]
fn one_of_kubernetes_may_belong_to_one_of_kedas() {
    let owned_by = |kind: &str| {
        let owner = json!([{"apiVersion": "v1", "kind": kind, "name": "shop", "uid": "u1"}]);
        let metadata = json!({"name": "keda-hpa-shop", "ownerReferences": owner});
        let found: HorizontalPodAutoscaler = from_value(json!({"metadata": metadata})).unwrap();
        keda_behind(&found).map(str::to_owned)
    };
    assert_eq!(owned_by("ScaledObject").as_deref(), Some("shop"));
    assert_eq!(owned_by("Deployment"), None);
}

#[test]
fn one_that_is_paused_keeps_no_floor() {
    for (words, expected) in
        [("1", true), ("1 paused=false", true), ("1 paused=true", false), ("1 at=4", false)]
    {
        let found = read(AutoscalerKind::ScaledObject, &object(AutoscalerKind::ScaledObject, words));
        assert_eq!(found.is_at_work(), expected, "{words}");
    }
}

#[test]
fn one_that_goes_below_its_floor_is_told() {
    let mut found = object(AutoscalerKind::ScaledObject, "2");
    assert_eq!(read(AutoscalerKind::ScaledObject, &found).obstacle(), None);
    found["spec"]["idleReplicaCount"] = json!(0);
    let why = read(AutoscalerKind::ScaledObject, &found).obstacle().unwrap();
    assert!(why.starts_with("ScaledObject shop has idleReplicaCount 0: "), "{why}");
}
