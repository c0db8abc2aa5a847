//! The command line as a person meets it: what is printed, and how mistakes are answered.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

const RELEASE: &str = "apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {name: shop, namespace: shop}
spec:
  service: {name: shop}
  canary: {version: 1.5.0}
  routing: {hosts: [shop.example.com], pathPrefix: /shop}
  overrides: [{header: x-canary}]
";

/// Runs `serin` with `args` in a folder that holds `release` as release.yaml; returns all that it says.
fn serin(release: &str, args: &[&str]) -> String {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("release.yaml"), release).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_serin")).args(args).current_dir(&folder).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let code = output.status.code().unwrap();
    format!("{}[exit {code}]", String::from_utf8(said).unwrap())
}

/// Runs `serin` once for each of `lines` and compares all of it, as a terminal would show it, with the transcript of
/// this name.
fn check(transcript: &str, release: &str, lines: &[&str]) {
    let shown = lines.iter().map(|line| {
        let args: Vec<_> = line.split('|').map(str::trim).collect();
        format!("$ serin {}\n{}\n", args.join(" "), serin(release, &args))
    });
    insta::assert_snapshot!(transcript, shown.collect::<Vec<_>>().join("\n"));
}

#[test]
fn explain_says_version_point_and_reason() {
    let explain = "explain | --release | release.yaml | --path | /shop/cart";
    let lines = [
        format!("{explain} | --weight | 60 | -H | Cookie: a=b; serin=abc"),
        format!("{explain} | --weight | 0.1% | -H | x-canary: canary"),
        format!("{explain} | --weight | 10"),
        format!("{explain} | --weight | 10 | --host | other.example.com"),
        "explain | --release | release.yaml | --weight | 10 | --path | /shopping".to_owned(),
    ];
    check("explain", RELEASE, &lines.each_ref().map(String::as_str));
    let fault = "{version: stable, delay: {fixedDelay: 1s, percentage: 5}, until: \"2999-01-01T00:00:00Z\"}";
    let over = fault.replace("2999", "2025");
    let faulty = format!("{RELEASE}  faults: [{fault}, {over}]\n");
    let lines =
        [format!("{explain} | --weight | 10 | -H | Cookie: serin=abc"), "lint | release.yaml".to_owned()];
    check("explain-faults", &faulty, &lines.each_ref().map(String::as_str));
}

#[test]
fn a_link_is_made_of_a_token_and_explained() {
    let linked = format!("{RELEASE}  links: {{key: E-9poOv_kk5helVEClOHNw}}\n");
    let link = "link | --release | release.yaml";
    let explain = "explain | --release | release.yaml | --weight | 10 | --path";
    let lines = [
        "link".to_owned(),
        link.to_owned(),
        // Any text that is long enough is a token.
        format!("{link} | --token-from | release.yaml | --key"),
        format!("{link} | --token-from | release.yaml"),
        format!("{link} | --token-from | release.yaml | --for | soon"),
        format!("{explain} | /shop/cart?a=b&serin=off"),
        format!("{explain} | /shop/cart?serin=canary.1.x"),
    ];
    check("link", &linked, &lines.each_ref().map(String::as_str));
    check("link-without-key", RELEASE, &[&lines[3]]);
}

#[test]
fn a_mistake_is_answered_with_the_field_the_value_and_the_mend() {
    let run = "run | --release | release.yaml | --ecds-dir | ecds | --listen | 127.0.0.1:0";
    let lines = [
        "explain | --release | missing.yaml | --weight | 1",
        "explain | --release | release.yaml",
        "explain | --release | release.yaml | --weight | 101",
        "explain | --release | release.yaml | --ecds-dir | nowhere",
        "explain | --release | release.yaml | --ecds-dir | release.yaml",
        "explain | --release | release.yaml | --weight | 10 | -H | no colon",
        "bootstrap | --release | release.yaml | --ecds-dir | ecds | --canary | b:80 | --stable | a",
        "status | --state | nowhere",
        "abort | --state | nowhere | --by | ann",
    ];
    check("mistakes", RELEASE, &lines);
    let admins = [format!("{run} | --envoy-admin | localhost:9901")];
    check("run-mistakes", RELEASE, &admins.each_ref().map(String::as_str));
    let wrong = RELEASE.replace("1.5.0", "'a b'").replace("shop.example.com", "http://shop");
    check("release-mistakes", &wrong, &["explain | --release | release.yaml | --weight | 1"]);
}

#[test]
fn a_command_for_a_cluster_says_what_is_missing_and_what_goes_not_together() {
    let lines = [
        "status",
        "abort | --reason | late",
        "promote | shop | --state | nowhere",
        "promote | shop | --print-patch | --yes",
        "promote | --print-patch",
        "pause | --state | nowhere | --no-wait",
        "override-freeze | shop",
        "status | --state | nowhere | --watch",
        "get | -A | -n | shop",
        "wait | shop",
        "wait | shop | --for | ready",
        "wait | shop | --for | step=0",
        "wait | shop | --for | promoted | --timeout | soon",
        "get | --kubeconfig | missing.yaml",
        "wait | shop | --for | promoted | --kubeconfig | missing.yaml",
        "adopt | pod/shop",
        "adopt | shop | --kubeconfig | missing.yaml",
        "convert",
        "convert | missing.yaml",
        "convert | release.yaml",
        "explain",
        "explain | shop | --weight | 10",
        "explain | shop | --url | shop",
        "analyze | shop | --state | nowhere",
        "report | shop | -o | pdf",
        "top | --interval | often",
        "top | --interval | 0s",
        "module | push | registry.example.com/serin/filter:1",
        "module | push | oci://registry.example.com/serin/filter@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "man | nothing",
        "lint | missing.yaml",
        "lint | release.yaml",
    ];
    check("cluster-mistakes", RELEASE, &lines);
}

#[test]
fn a_release_is_checked_without_a_cluster() {
    let in_cluster = RELEASE.replace(
        "canary: {version: 1.5.0}",
        "stable: {targetRef: {name: a}}\n  canary: {targetRef: {name: a}}",
    );
    check("lint", &in_cluster, &["lint | release.yaml"]);
}

#[test]
fn words_of_other_tools_are_refused_with_what_to_write_instead() {
    for (name, strategy) in [
        ("lint-flagger", "{canary: {stepWeight: 10, maxWeight: 50}}"),
        ("lint-argo", "{canary: {steps: [{setWeight: 10}, {setHeaderRoute: {name: testers}}]}}"),
        ("lint-blue-green", "{blueGreen: {autoPromotionEnabled: false}}"),
        ("lint-nobody", "{canary: {stepWait: 10}}"),
    ] {
        let release = format!("{RELEASE}  strategy: {strategy}\n");
        check(name, &release, &["lint | release.yaml", "simulate | --release | release.yaml"]);
    }
}

/// Of a Canary with a metric of its own, a MetricTemplate that none names, and of a Rollout that is not for Istio.
const OTHERS: &str = "
apiVersion: v1
kind: List
items:
- apiVersion: flagger.app/v1beta1
  kind: Canary
  metadata: {name: shop, namespace: shop}
  spec:
    targetRef: {apiVersion: apps/v1, kind: Deployment, name: shop}
    service: {port: 80, gateways: [istio-system/main], hosts: [shop.example.com], timeout: 5s}
    analysis:
      interval: 1m
      threshold: 5
      stepWeights: [5, 20, 50]
      metrics:
      - {name: request-success-rate, thresholdRange: {min: 99}, interval: 1m}
      - {name: depth, templateRef: {name: depth}, thresholdRange: {max: 10}, interval: 30s}
      webhooks: [{name: load, type: rollout, url: 'http://tester.load/'}]
      alerts: [{name: On call, severity: error, providerRef: {name: on-call}}]
- apiVersion: flagger.app/v1beta1
  kind: MetricTemplate
  metadata: {name: depth, namespace: shop}
  spec:
    provider: {type: prometheus, address: 'http://prometheus:9090'}
    query: depth{of='{{ target }}'}
- {apiVersion: flagger.app/v1beta1, kind: MetricTemplate, metadata: {name: lag, namespace: shop}, spec: {query: lag}}
- {apiVersion: flagger.app/v1beta1, kind: AlertProvider, metadata: {name: on-call, namespace: shop}, spec: {type: slack, secretRef: {name: on-call}}}
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: cart}
spec: {strategy: {canary: {trafficRouting: {nginx: {stableIngress: cart}}}}}
";

#[test]
fn others_objects_become_releases_with_a_comment_for_what_has_no_counterpart() {
    check("convert", OTHERS, &["convert | release.yaml"]);
    let converted = serin(OTHERS, &["convert", "release.yaml"]);
    let (yaml, _) = converted.split_once("serin: not converted").unwrap();
    let said = serin(yaml, &["lint", "release.yaml"]);
    assert_eq!(said, "release.yaml: shop/shop makes sense\n[exit 0]");
}

#[test]
fn shells_and_man_know_every_command() {
    let commands = [
        "get", "status", "promote", "wait", "doctor", "lint", "adopt", "convert", "top", "history", "report",
        "events",
    ];
    for command in commands {
        for shell in ["bash", "zsh", "fish"] {
            assert!(serin("", &["completions", shell]).contains(command), "{shell}: {command}");
        }
        assert!(serin("", &["man"]).contains(&format!("serin\\-{command}")), "{command}");
        assert!(serin("", &["man", command]).ends_with("[exit 0]"), "{command}");
    }
}

#[test]
fn a_simulation_of_what_cannot_be_names_the_flag_the_value_and_the_mend() {
    let lines = [
        "simulate | --rps | 0",
        "simulate | --users | many",
        "simulate | --activity | 9",
        "simulate | --error-rate | 101%",
        "simulate | --fault | 10",
        "simulate | --fault | x0.5",
        "simulate | --spread | clusters:1",
        "simulate | --runs | 0",
        "simulate | --interval | 15",
        "simulate | --interval | 1h",
    ];
    check("simulate-mistakes", RELEASE, &lines);
}

#[test]
fn bootstrap_writes_a_whole_envoy_configuration() {
    let args = [
        "bootstrap",
        "--release",
        "release.yaml",
        "--ecds-dir",
        "ecds",
        "--stable",
        "a:80",
        "--canary",
        "b:80",
    ];
    let said = serin(RELEASE, &args);
    let json: serde_json::Value = serde_json::from_str(said.trim_end_matches("[exit 0]")).unwrap();
    let file = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0/config_discovery/config_source/path_config_source/path";
    let path = PathBuf::from(json.pointer(file).and_then(serde_json::Value::as_str).unwrap());
    assert!(path.is_absolute() && path.ends_with("ecds/serin.json"), "{path:?}");
}

#[test]
fn crd_prints_what_the_manifests_install() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../manifests/base/crd.yaml");
    assert_eq!(serin("", &["crd"]), std::fs::read_to_string(path).unwrap() + "[exit 0]");
}

#[test]
fn the_examples_are_releases_and_the_minimal_one_has_eight_lines() {
    let read = |name: &str| {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../manifests/examples").join(name);
        std::fs::read_to_string(path).unwrap()
    };
    assert_eq!(read("minimal.yaml").lines().count(), 8);
    for name in ["minimal.yaml", "full.yaml", "metric-template.yaml"] {
        let said = serin(
            &read(name),
            &["explain", "--release", "release.yaml", "--weight", "100", "-H", "cookie: serin=a"],
        );
        assert!(said.contains("version   canary") && said.ends_with("[exit 0]"), "{name}: {said}");
    }
}
