//! What a Release is where nothing is written.

use std::time::Duration;

use serin_release::Release;

/// A Release with a line of its own in its spec.
fn with(line: &str) -> String {
    format!(
        "apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {{name: shop}}
spec:
  service: {{name: shop}}
  canary: {{version: '2'}}
  {line}
"
    )
}

#[test]
fn a_warm_up_leaves_most_of_a_short_step_to_be_judged() {
    for (steps, seconds) in [("5m", 30.0), ("8s", 2.0), ("1h}}, {setWeight: 9, pause: {duration: 60s", 15.0)]
    {
        let steps =
            format!("strategy: {{canary: {{steps: [{{setWeight: 1, pause: {{duration: {steps}}}}}]}}}}");
        let release = Release::from_yaml(&with(&steps)).unwrap();
        assert_eq!(release.analysis.warm_up, Duration::from_secs_f64(seconds), "{steps}");
    }
    let given = with("analysis: {warmUp: 1m}");
    assert_eq!(Release::from_yaml(&given).unwrap().analysis.warm_up, Duration::from_mins(1));
}

#[test]
fn steps_that_nobody_wrote_begin_where_the_traffic_says() {
    assert!(Release::from_yaml(&with("")).unwrap().steps_by_traffic);
    let written = with("strategy: {canary: {steps: [{setWeight: 1}]}}");
    assert!(!Release::from_yaml(&written).unwrap().steps_by_traffic);
}
