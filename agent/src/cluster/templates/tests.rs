use super::*;

/// A Deployment with the labels `app` and `version`, by which it selects, whose pod template is otherwise as `edit` has it.
fn deployment(name: &str, edit: &dyn Fn(&mut Value)) -> Value {
    let labels = json!({"app": "shop", "version": name});
    let mut template = json!({
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "app", "image": "shop:v1"}]},
    });
    edit(&mut template);
    json!({"metadata": {"name": name}, "spec": {"selector": {"matchLabels": labels}, "template": template}})
}

fn template(name: &str, rules: &PodTemplate, edit: &dyn Fn(&mut Value)) -> Template {
    Template::of(&deployment(name, edit), rules, None).unwrap()
}

/// Sets `pointer`, which may have no parent yet, to `value`.
fn set(template: &mut Value, pointer: &str, value: &Value) {
    let mut place = template;
    for name in pointer.split('/').skip(1) {
        place = match name.parse::<usize>() {
            Ok(index) => &mut place[index],
            Err(_) => &mut place[name],
        };
    }
    *place = value.clone();
}

/// Where each of the two has what is given at `pointer`: whether both make the same version, and what stable has there once
/// it was given the canary's.
#[track_caller]
fn check_by(rules: &PodTemplate, pointer: &str, stable: &Value, canary: &Value, same: bool, given: &Value) {
    let with = |value: &Value| {
        let value = value.clone();
        move |template: &mut Value| {
            if !value.is_null() {
                set(template, pointer, &value);
            }
        }
    };
    let stable = template("shop-stable", rules, &with(stable));
    let canary = template("shop-canary", rules, &with(canary));
    assert_eq!(stable.is_same_version(&canary), same, "{pointer}");
    let after = canary.given_to(&stable);
    assert_eq!(after.pointer(pointer).unwrap_or(&Value::Null), given, "{pointer}");
    let after = template("shop-stable", rules, &|template: &mut Value| *template = after.clone());
    assert!(after.is_same_version(&canary), "{pointer}: {after:?}");
    assert_eq!((&after.own, &after.restarts), (&stable.own, &stable.restarts), "{pointer}");
}

#[track_caller]
fn check(pointer: &str, stable: &Value, canary: &Value, same: bool, given: &Value) {
    check_by(&PodTemplate::default(), pointer, stable, canary, same, given);
}

/// Pods of a Deployment, as a selector means them.
fn pods_of(name: &str) -> Value {
    json!({"matchLabels": {"app": "shop", "version": name}})
}

#[test]
fn an_image_a_variable_and_a_field_that_nobody_knows_are_part_of_the_version() {
    let none = Value::Null;
    check("/spec/containers/0/image", &json!("shop:v1"), &json!("shop:v2"), false, &json!("shop:v2"));
    let variable = json!([{"name": "LOG", "value": "debug"}]);
    check("/spec/containers/0/env", &none, &variable, false, &variable);
    check("/spec/containers/0/env", &variable, &none, false, &none);
    check("/spec/ofANewerKubernetes", &none, &json!({"on": true}), false, &json!({"on": true}));
    // A name is one nowhere in an image.
    check(
        "/spec/containers/0/image",
        &json!("shop-stable"),
        &json!("shop-canary"),
        false,
        &json!("shop-canary"),
    );
}

#[test]
fn labels_are_stables_own_but_for_those_of_the_version() {
    let none = Value::Null;
    for (label, is_of_version) in [
        ("app.kubernetes.io~1version", true),
        ("istio.io~1rev", true),
        ("sidecar.istio.io~1inject", true),
        ("track", false),
        ("app.kubernetes.io~1instance", false),
    ] {
        let pointer = format!("/metadata/labels/{label}");
        let (old, new) = (json!("old"), json!("new"));
        let set = |value: &Value| (label.replace("~1", "/"), value.clone());
        let template = |name: &str, label: Option<(String, Value)>| {
            template(name, &PodTemplate::default(), &|template: &mut Value| {
                if let Some((label, value)) = &label {
                    template["metadata"]["labels"][label] = value.clone();
                }
            })
        };
        for (stable, canary) in [(&old, &new), (&none, &new), (&old, &none)] {
            let given = |value: &Value| (!value.is_null()).then(|| set(value));
            let (of_stable, of_canary) =
                (template("shop-stable", given(stable)), template("shop-canary", given(canary)));
            assert_eq!(of_stable.is_same_version(&of_canary), !is_of_version, "{label}");
            let after = of_canary.given_to(&of_stable);
            let expected = if is_of_version { canary } else { stable };
            assert_eq!(after.pointer(&pointer).unwrap_or(&none), expected, "{label}");
        }
    }
    let own = PodTemplate { version_labels: vec!["team".to_owned()], ..PodTemplate::default() };
    check_by(&own, "/metadata/labels/team", &json!("a"), &json!("b"), false, &json!("b"));
    // What a Deployment selects by is never given to another.
    let own = PodTemplate { version_labels: vec!["version".to_owned()], ..PodTemplate::default() };
    check_by(&own, "/metadata/labels/version", &none, &none, true, &json!("shop-stable"));
}

#[test]
fn annotations_by_which_tools_start_pods_again_are_stables_own() {
    for (annotation, same) in [
        ("kubectl.kubernetes.io/restartedAt", true),
        ("checksum/config", false),
        ("prometheus.io/port", false),
    ] {
        let (stable, canary) = (json!({annotation: "1"}), json!({annotation: "2"}));
        let given = if same { &stable } else { &canary };
        check("/metadata/annotations", &stable, &canary, same, given);
        check(
            "/metadata/annotations",
            &Value::Null,
            &canary,
            same,
            if same { &Value::Null } else { &canary },
        );
    }
    let own = PodTemplate { ignored_annotations: vec!["checksum/*".to_owned()], ..PodTemplate::default() };
    let (stable, canary) = (json!({"checksum/config": "1"}), json!({"checksum/config": "2"}));
    check_by(&own, "/metadata/annotations", &stable, &canary, true, &stable);
    let stamped = json!([{"name": "STAKATER_SHOP_CONFIGMAP", "value": "5f1d"}]);
    check("/spec/containers/0/env", &Value::Null, &stamped, true, &stamped);
}

#[test]
fn a_selector_that_places_pods_means_the_pods_of_its_own_deployment() {
    let spread = |selector: &Value| json!([{"maxSkew": 1, "topologyKey": "zone", "labelSelector": selector}]);
    let apart = |selector: &Value| json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "host", "labelSelector": selector}]}});
    let (stable, canary) = (&pods_of("shop-stable"), &pods_of("shop-canary"));
    let none = Value::Null;
    for (pointer, placed) in
        [("/spec/topologySpreadConstraints", &spread as &dyn Fn(&Value) -> Value), ("/spec/affinity", &apart)]
    {
        check(pointer, &placed(stable), &placed(canary), true, &placed(stable));
        // One that is new means stable's pods on stable.
        check(pointer, &none, &placed(canary), false, &placed(stable));
        check(pointer, &placed(stable), &none, false, &none);
        // Other pods are other pods.
        let others = json!({"matchLabels": {"app": "cart"}});
        check(pointer, &placed(stable), &placed(&others), false, &placed(&others));
        let expression = |name: &str| json!({"matchExpressions": [{"key": "version", "operator": "In", "values": [name]}]});
        check(
            pointer,
            &placed(&expression("shop-stable")),
            &placed(&expression("shop-canary")),
            true,
            &placed(&expression("shop-stable")),
        );
        check(
            pointer,
            &none,
            &placed(&expression("shop-canary")),
            false,
            &placed(&expression("shop-stable")),
        );
    }
    // As much is meant by fewer labels.
    let shorter = json!({"matchLabels": {"version": "shop-stable"}});
    check("/spec/topologySpreadConstraints", &spread(&shorter), &spread(canary), true, &spread(&shorter));
}

#[test]
fn the_name_of_a_deployment_is_its_own() {
    let pointer = "/spec/containers/0/name";
    check(pointer, &json!("shop-stable"), &json!("shop-canary"), true, &json!("shop-stable"));
    check(pointer, &json!("shop"), &json!("shop-canary"), false, &json!("shop-canary"));
    let service = |name: &str| json!([{"name": "OTEL_SERVICE_NAME", "value": name}]);
    let pointer = "/spec/containers/0/env";
    check(pointer, &service("shop-stable"), &service("shop-canary"), true, &service("shop-stable"));
    check(pointer, &service("shop-stable"), &service("shop"), false, &service("shop"));
}

#[test]
fn a_configuration_that_is_tracked_is_part_of_the_version() {
    let of = |name: &str, edit: &dyn Fn(&mut Value), config: Option<&str>| {
        Template::of(&deployment(name, edit), &PodTemplate::default(), config).unwrap()
    };
    let nothing = |_: &mut Value| {};
    let (stable, canary) = (of("shop-stable", &nothing, Some("1")), of("shop-canary", &nothing, Some("2")));
    assert!(!stable.is_same_version(&canary));
    let given = canary.given_to(&stable);
    assert_eq!(given["metadata"]["annotations"], json!({CONFIG: "2"}));
    // What it was given stays on it, and says nothing where it is not tracked any more.
    let after = |config| of("shop-stable", &|template: &mut Value| *template = given.clone(), config);
    assert!(after(Some("2")).is_same_version(&canary));
    let untracked = of("shop-canary", &nothing, None);
    assert!(after(None).is_same_version(&untracked));
    assert_eq!(untracked.given_to(&after(None))["metadata"]["annotations"], json!({CONFIG: "2"}));
}
