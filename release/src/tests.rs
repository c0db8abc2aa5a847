mod analysis;
mod templates;
mod versions;

use std::time::Duration;

use serin_policy::{Place, Policy, Weight};

use super::*;

const MINIMAL: &str = r#"
apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {name: shop, namespace: shop}
spec:
  service: {name: shop}
  canary: {version: "1.5.0"}
"#;

const FULL: &str = r#"
apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {name: shop, namespace: shop}
spec:
  service: {name: shop, port: 8080}
  stable: {version: "1.4.0"}
  canary: {version: "1.5.0"}
  routing: {hosts: [shop.example.com], previewHosts: [preview.example.com], pathPrefix: /api}
  sessionAffinity:
    sources: [{header: x-user-id}, {cookie: serin}, {baggage: serin}, requestId]
    cookie: {name: serin, maxAge: 1d, path: /api, domain: example.com, sameSite: Strict, httpOnly: false, secure: always}
    propagation: None
  links: {key: E-9poOv_kk5helVEClOHNw, query: try}
  overrides:
  - {header: x-canary}
  - {header: x-beta, tokenSha256: 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b}
  segments:
  - {name: beta, matches: [{headers: [{name: x-user-type, value: beta}]}], weight: 100}
  flags: [{name: new-checkout, percentage: 50, matches: [{headers: [{name: x-user-type, value: beta}]}]}]
  faults:
  - version: canary
    matches: [{headers: [{name: x-user-type, value: beta}]}]
    delay: {fixedDelay: 5s, percentage: 10}
    abort: {httpStatus: 500, percentage: 0.5}
    until: 2026-12-01T18:00:00Z
  - {version: stable, abort: {grpcStatus: UNAVAILABLE, percentage: 1}, until: "2026-12-01T19:00:00+01:00"}
  responseHeader: x-served-by
  strategy: {canary: {mirror: {percentage: 20, duration: 1m, methods: [GET, POST]}, steps: [{setWeight: 0.1, pause: {duration: 2m}}, {setWeight: "25%", pause: {}}, {setWeight: 50}]}}
  analysis:
    interval: 500ms
    metrics:
    - {name: request-success-rate, thresholdRange: {min: 99.5}}
    - {name: request-duration, objective: 250ms, thresholdRange: {max: 5}}
    minRequests: 200
  agentLostAfter: 20m
"#;

/// A Release whose `spec` has these lines besides what must be there.
fn with(spec: &str) -> String {
    format!("{MINIMAL}  {}\n", spec.replace('\n', "\n  "))
}

/// Checks that `yaml` is refused with exactly these lines.
fn check(yaml: &str, expected: &[&str]) {
    let error = Release::from_yaml(yaml).expect_err(yaml).to_string();
    assert_eq!(error.lines().collect::<Vec<_>>(), expected, "{yaml}");
}

/// Checks that `yaml` cannot be read, and that the message has all of `expected` in it.
fn check_unreadable(yaml: &str, expected: &[&str]) {
    let error = Release::from_yaml(yaml).expect_err(yaml);
    assert!(matches!(error, ReleaseError::Unreadable { .. }), "{error}");
    for text in expected {
        assert!(error.to_string().contains(text), "{text:?} is not in: {error}");
    }
}

fn weight(ppm: u32) -> Weight {
    Weight::from_ppm(ppm).unwrap()
}

#[test]
fn the_smallest_release_is_eight_lines_and_everything_has_a_default() {
    assert!(MINIMAL.lines().count() <= 8);
    insta::assert_debug_snapshot!(Release::from_yaml(MINIMAL).unwrap());
}

#[test]
fn every_field_reaches_the_release() {
    insta::assert_debug_snapshot!(Release::from_yaml(FULL).unwrap());
}

#[test]
fn json_is_read_like_yaml() {
    let json = r#"{"apiVersion": "serin.dev/v1alpha1", "kind": "Release", "metadata": {"name": "shop",
        "namespace": "shop"}, "spec": {"service": {"name": "shop"}, "canary": {"version": "1.5.0"}}}"#;
    assert_eq!(Release::from_yaml(json).unwrap(), Release::from_yaml(MINIMAL).unwrap());
}

#[test]
fn the_namespace_defaults_to_default_and_names_the_host() {
    let release = Release::from_yaml(&MINIMAL.replace(", namespace: shop", "")).unwrap();
    assert_eq!(release.name(), "default/shop");
    assert_eq!(release.hosts, ["shop.default.svc.cluster.local"]);
}

#[test]
fn a_version_that_looks_like_a_number_is_kept_as_it_was_written() {
    assert_eq!(Release::from_yaml(&MINIMAL.replace("\"1.5.0\"", "1.10")).unwrap().run(), "1.10");
}

#[test]
fn a_step_says_what_ends_it() {
    let steps = "strategy: {canary: {steps: [{setWeight: 1, pause: {duration: 1h30m}}, \
        {setWeight: 5, pause: {}}, {setWeight: 100}]}}";
    let pauses: Vec<_> =
        Release::from_yaml(&with(steps)).unwrap().steps.iter().map(|step| step.pause).collect();
    assert_eq!(pauses, [Pause::For(Duration::from_mins(90)), Pause::UntilApproved, Pause::None]);
}

#[test]
fn an_aspect_without_a_metric_is_not_judged_but_slow_requests_are_still_counted() {
    let release = Release::from_yaml(&with("analysis: {metrics: [{name: request-success-rate}]}")).unwrap();
    let judged = |release: &Release| release.analysis.criteria.keys().copied().collect::<Vec<_>>();
    assert_eq!(judged(&release), [Metric::RequestSuccessRate]);
    assert_eq!(release.analysis.objective_ms, 500);
    let release = Release::from_yaml(&with("analysis: {metrics: []}")).unwrap();
    assert_eq!(judged(&release), []);
}

#[test]
fn no_cookie_is_issued_but_serins_own() {
    let release = Release::from_yaml(&with("sessionAffinity: {sources: [{header: x-user-id}]}")).unwrap();
    assert_eq!(release.cookie, None);
    for (affinity, expected) in [
        // The application's session is the application's to give.
        ("{sources: [{header: a}, {cookie: sid}]}", None),
        ("{sources: [{cookie: sid}, {cookie: serin}]}", Some("serin")),
        ("{sources: [{cookie: own}], cookie: {name: own}}", Some("own")),
    ] {
        let release = Release::from_yaml(&with(&format!("sessionAffinity: {affinity}"))).unwrap();
        assert_eq!(release.cookie.map(|cookie| cookie.name).as_deref(), expected, "{affinity}");
    }
}

#[test]
fn the_policy_follows_weight_closing_and_promotion() {
    let release = Release::from_yaml(FULL).unwrap();
    let policy = release.policy(7, weight(250_000), false, false);
    insta::assert_snapshot!(serde_json::to_string_pretty(&policy).unwrap());
    let promoted = release.policy(8, Weight::FULL, false, true);
    assert_eq!(promoted.segments, [], "or the members of a segment would stay behind");
    assert!(release.policy(9, Weight::ZERO, true, false).closed);
    for spec in [policy, promoted] {
        Policy::compile(spec, Place::Edge).unwrap();
    }
}

#[test]
fn the_fingerprint_changes_with_the_policy_and_only_with_it() {
    let fingerprint = |yaml: &str| Release::from_yaml(yaml).unwrap().fingerprint();
    assert_eq!(fingerprint(FULL), fingerprint(&FULL.replace("minRequests: 200", "minRequests: 300")));
    assert_ne!(fingerprint(FULL), fingerprint(&FULL.replace("x-served-by", "x-version")));
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    check(
        "apiVersion: v1\nmetadata: {name: Shop}\nspec: {service: {port: 0}}",
        &[
            "apiVersion: \"v1\": write serin.dev/v1alpha1",
            "kind: missing: write Release",
            "metadata.name: \"Shop\": give a name of 1 to 63 lower-case letters, digits and -, with no - at its ends",
            "spec.canary.version: missing: name the version in 1 to 63 letters, digits, ., _ and -, such as \
             \"1.5.0\"",
            "spec.service.port: 0: give the service's port, 1 to 65535",
            "spec.service.name: missing: give a name of 1 to 63 lower-case letters, digits and -, with no - at its \
             ends",
        ],
    );
}

#[test]
fn steps_rise_from_above_nothing_to_at_most_all() {
    let steps = |list: &str| with(&format!("strategy: {{canary: {{steps: {list}}}}}"));
    check(
        &steps("[{setWeight: 0}, {setWeight: 10%}, {setWeight: 5%}, {setWeight: 10}, {setWeight: lots}]"),
        &[
            "spec.strategy.canary.steps[0].setWeight: 0%: give more than 0%: a step must reach somebody",
            "spec.strategy.canary.steps[2].setWeight: 5%: list weights in rising order, each above the one \
             before",
            "spec.strategy.canary.steps[3].setWeight: 10%: list weights in rising order, each above the one \
             before",
            "spec.strategy.canary.steps[4].setWeight: \"lots\": write a percentage such as 25, 0.1 or \"0.1%\"",
        ],
    );
    check(
        &steps("[{setWeight: 0.00001}, {setWeight: 101}]"),
        &[
            "spec.strategy.canary.steps[0].setWeight: \"0.00001\": give at most 4 decimals: 0.0001% is the finest \
             share there is",
            "spec.strategy.canary.steps[1].setWeight: \"101\": give at most 100%",
        ],
    );
    check(
        &steps("[]"),
        &[
            "spec.strategy.canary.steps: []: give at least one step, or leave it out for 1%, 5%, 10%, 25% and 50%",
        ],
    );
    let many: Vec<_> = (1..=101).map(|i| format!("{{setWeight: 0.{i:04}}}")).collect();
    check(
        &steps(&format!("[{}]", many.join(", "))),
        &["spec.strategy.canary.steps: 101 of them: give at most 100"],
    );
}

#[test]
fn durations_need_units_and_bounds() {
    check(
        &with(
            "strategy: {canary: {steps: [{setWeight: 1, pause: {duration: 60}}]}}\nanalysis: {interval: 10ms}",
        ),
        &[
            "spec.strategy.canary.steps[0].pause.duration: \"60\": a number needs a unit: write 60s for seconds, or \
             ms, m, h or d",
            "spec.analysis.interval: 10ms: give 100ms to 5m",
        ],
    );
    check(
        &with("strategy: {canary: {steps: [{setWeight: 1, pause: {duration: 0s}}]}}"),
        &[
            "spec.strategy.canary.steps[0].pause.duration: 0s: give more than 0s, or leave the pause out to go on as \
           soon as the analysis passes",
        ],
    );
}

#[test]
fn a_cookie_needs_a_source_of_its_name() {
    check(
        &with("sessionAffinity: {sources: [{header: x-user-id}], cookie: {maxAge: 7d}}"),
        &["spec.sessionAffinity.cookie: no cookie of Serin's is listed: add {cookie: serin} to \
           spec.sessionAffinity.sources, or leave the cookie out"],
    );
    check(
        &with("sessionAffinity: {cookie: {name: sid, maxAge: 500d}}"),
        &[
            "spec.sessionAffinity.cookie.maxAge: 500d: give 1s to 400d",
            "spec.sessionAffinity.cookie.name: \"sid\": list {cookie: sid} among the sources too, or nobody is \
             recognised by the cookie",
        ],
    );
    check(
        &with("sessionAffinity: {sources: []}"),
        &[
            "spec.sessionAffinity.sources: []: give at least one place to look for a user's id, or leave it out for \
           [{cookie: serin}]",
        ],
    );
}

/// Checks that the filter's reader would refuse what `spec` gives at exactly these paths. The words are the policy's.
fn check_refused_by_filter(spec: &str, expected: &[&str]) {
    match Release::from_yaml(&with(spec)) {
        Err(ReleaseError::Invalid(problems)) => {
            assert_eq!(problems.iter().map(|problem| problem.path.as_str()).collect::<Vec<_>>(), expected);
        }
        other => panic!("{spec}: {other:?}"),
    }
}

#[test]
fn what_the_filter_would_refuse_is_refused_under_the_name_it_has_here() {
    check_refused_by_filter(
        "routing: {hosts: [good.example.com, 'http://bad'], pathPrefix: api}
responseHeader: Set-Cookie
sessionAffinity: {sources: [{cookie: serin}, {header: X-User}], cookie: {sameSite: None}}
overrides: [{header: x-canary}, {header: x-beta, tokenSha256: secret}]
segments:
- {name: beta, weight: 100, matches: [{headers: [{name: x-type, value: beta}]}, {cookies: [{name: a, type: Prefix}]}]}
- {name: all, weight: 50, matches: [{}]}",
        &[
            "spec.routing.pathPrefix",
            "spec.responseHeader",
            "spec.sessionAffinity.cookie.secure",
            "spec.routing.hosts[1]",
            "spec.sessionAffinity.sources[1]",
            "spec.overrides[1].tokenSha256",
            "spec.segments[0].matches[1].cookies[0].value",
            "spec.segments[1].matches[0]",
        ],
    );
    let segment = "{name: beta, weight: 100, matches: [{method: GET}]}";
    check_refused_by_filter(&format!("segments: [{segment}, {segment}]"), &["spec.segments[1].name"]);
    check_refused_by_filter("routing: {hosts: []}", &["spec.routing.hosts"]);
    check(
        &with("responseHeader: Set-Cookie"),
        &[
            "spec.responseHeader: \"Set-Cookie\": write a header's name in lower case: letters, digits, -, _ and ., such \
             as x-canary",
        ],
    );
}

#[test]
fn what_cannot_be_read_is_shown_with_its_line() {
    check_unreadable("a: [", &["line 1"]);
    check_unreadable(&with("analisys: {}"), &["analisys", "line 8", "analysis"]);
    check_unreadable(&with("overrides: [{header: x, tokenSha265: ab}]"), &["tokenSha265", "line 8"]);
    check_unreadable(&with("analysis: {minRequests: many}"), &["line 8"]);
    check_unreadable(&with("sessionAffinity: {sources: [{ip: x}]}"), &["ip", "line 8"]);
    check_unreadable(&with("strategy: {canary: {steps: [{setWeight: [1]}]}}"), &["line 8"]);
    check_unreadable(&with("strategy: {canary: {steps: [{pause: {}}]}}"), &["setWeight", "line 8"]);
}

#[test]
fn a_key_with_nothing_behind_it_never_takes_the_riskier_way() {
    let pause = |pause: &str| with(&format!("strategy: {{canary: {{steps: [{{setWeight: 1, {pause}}}]}}}}"));
    for empty in ["", "null", "~"] {
        check(
            &pause(&format!("pause: {{duration: {empty}}}")),
            &[
                "spec.strategy.canary.steps[0].pause.duration: empty: write a duration such as 5m, or leave it out to \
                 wait for a person",
            ],
        );
        check(
            &pause(&format!("pause: {empty}")),
            &[
                "spec.strategy.canary.steps[0].pause: empty: write {duration: 5m}, or {} to wait for a person, or leave \
                 pause out to go on as soon as the analysis passes",
            ],
        );
        check(
            &with(&format!("overrides: [{{header: x-beta, tokenSha256: {empty}}}]")),
            &[
                "spec.overrides[0].tokenSha256: empty: give the token's SHA-256 as 64 hexadecimal digits, or leave it \
                 out to let anybody use the override",
            ],
        );
    }
    let release = Release::from_yaml(&with("analysis: {metrics: }")).unwrap();
    assert_eq!(release.analysis.criteria.keys().copied().collect::<Vec<_>>(), Metric::ALL);
}
