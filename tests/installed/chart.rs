/*!
The Helm chart: it says what the kustomizations say, refuses values that make no sense, and renders what it rendered.
*/
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use serin_tests::tools::Tool;

use super::{Objects, file, kustomized, objects, run, said};

const CHART: &str = "manifests/helm/serin";

/// Labels that Helm's conventions want, and kustomize has no use for.
const HELMS_LABELS: [&str; 4] = [
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
    "helm.sh/chart",
];

/// What Helm says of the chart with `values`, given as YAML.
fn helm(command: &[&str], values: &str) -> Result<Result<String, String>> {
    let folder = tempfile::tempdir()?;
    let values_file = folder.path().join("values.yaml");
    std::fs::write(&values_file, values)?;
    let (chart, values) = (file(CHART), values_file.to_str().context("a path of text")?);
    let chart = chart.to_str().context("a path of text")?;
    said(
        &Tool::Helm.path()?,
        &[command, &[chart, "--namespace", "serin-system", "--values", values]].concat(),
    )
}

/// The objects that an installation called `serin` would have.
fn rendered(values: &str) -> Result<Objects> {
    objects(&helm(&["template", "serin"], values)?.map_err(anyhow::Error::msg)?)
}

/// The objects without that in which the two ways of installing differ by their nature.
fn comparable(objects: Objects) -> Result<Objects> {
    objects.into_iter().map(|(name, object)| comparable_object(&name, object)).collect()
}

fn comparable_object(name: &str, mut object: Value) -> Result<(String, Value)> {
    let is_crd = object["kind"] == "CustomResourceDefinition";
    let metadata = object["metadata"].as_object_mut().context("an object has metadata")?;
    if is_crd {
        // Nobody is asked when a chart is uninstalled, so it keeps them; and their file is not labelled.
        ensure!(
            metadata.remove("annotations").is_none_or(|it| it == json!({"helm.sh/resource-policy": "keep"}))
        );
        metadata.remove("labels");
    } else if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
        labels.retain(|label, _| !HELMS_LABELS.contains(&label.as_str()));
    }
    // By what it says: kustomize has the file with its comments.
    if let Some(config) = object.pointer_mut("/data/config.yaml") {
        *config = serde_saphyr::from_str(config.as_str().context("a file is text")?)?;
    }
    if is_crd {
        whole_numbers(&mut object);
    }
    // Both name the ConfigMap after its contents, each by its own hash.
    let (name, object) = (without_hash(name), without_hash(&object.to_string()));
    Ok((name, serde_json::from_str(&object)?))
}

/// Writes 1000.0 as 1000, as kustomize does.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Number(number) if number.is_f64() => {
            let text = number.to_string();
            if let Some(Ok(whole)) = text.strip_suffix(".0").map(str::parse::<i64>) {
                *value = json!(whole);
            }
        }
        _ => {}
    }
}

fn without_hash(text: &str) -> String {
    const NAME: &str = "serin-config";
    let Some((before, after)) = text.split_once("serin-config-") else { return text.to_owned() };
    format!("{before}{NAME}{}", &after[10..])
}

/// Fails unless these objects of the chart are those of `folder`.
fn check_same(found: Objects, folder: &str) -> Result<()> {
    let (found, mut expected) = (comparable(found)?, comparable(kustomized(folder)?)?);
    // Helm leaves the making of a namespace, and so its labels, to whoever installs.
    expected.remove("Namespace  serin-system");
    let names = |objects: &Objects| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected), "other objects than in {folder}");
    for (name, object) in &found {
        let [found, expected] = [object, &expected[name]].map(|it| format!("{it:#}"));
        let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
        assert!(found == expected, "{name} is not as in {folder}, from {differs:?} on");
    }
    Ok(())
}

#[test]
fn the_chart_says_what_the_kustomizations_say() -> Result<()> {
    let defaults = rendered("")?;
    let mut monitored = rendered(MONITORED)?;
    monitored.retain(|name, _| !defaults.contains_key(name));
    check_same(monitored, "manifests/monitoring")?;
    let mut dashboards = rendered("monitoring: {dashboards: {enabled: true}}")?;
    dashboards.retain(|name, _| !defaults.contains_key(name));
    check_same(dashboards, "manifests/grafana")?;
    check_same(defaults, "manifests")?;
    let scope = "scope: {namespace: canary-demo, proxyNamespaces: [istio-ingress]}";
    check_same(rendered(scope)?, "manifests/namespaced")
}

const MONITORED: &str = "monitoring: {agent: true, proxies: true, rules: {enabled: true}}";

/// Sets of values as people have them, by what they are for.
const VALUES: [(&str, &str); 6] = [
    ("defaults", ""),
    (
        "one-namespace",
        "
scope: {namespace: shop, proxyNamespaces: [istio-ingress, edge]}
clusterDomain: cluster.example.com
",
    ),
    ("monitored", MONITORED),
    (
        "high-availability",
        "
replicas: 3
podDisruptionBudget: {minAvailable: 2}
priorityClassName: system-cluster-critical
resources: {requests: {cpu: 500m, memory: 512Mi}, limits: {cpu: null, memory: 1Gi}}
topologySpreadConstraints:
- {maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: DoNotSchedule}
tolerations: [{key: node-role.kubernetes.io/infra, operator: Exists}]
nodeSelector: {node-role.kubernetes.io/infra: ''}
",
    ),
    (
        "private-registry",
        "
image: {repository: registry.example.com/serin, digest: 'sha256:DIGEST', pullPolicy: Always}
imagePullSecrets: [{name: registry}]
module: {image: 'oci://registry.example.com/serin/filter@sha256:DIGEST', pullSecret: registry}
",
    ),
    (
        "own-prometheus",
        "
config:
  prometheus:
    sources:
      default:
        access: {address: 'https://thanos.monitoring:9443', bearerTokenFile: /etc/serin/thanos/token}
        namespaces: [shop]
  notifications:
    page: 'https://serin.example.com/{{ namespace }}/{{ name }}'
    channels: [{channel: {name: platform, severity: Warning, slack: {secretRef: {file: /etc/serin/slack}}}}]
  allowedAddresses: ['https://hooks.slack.com']
extraVolumes: [{name: thanos, secret: {secretName: thanos}}]
extraVolumeMounts: [{name: thanos, mountPath: /etc/serin/thanos, readOnly: true}]
extraEnv: [{name: RUST_LOG, value: debug}]
extraArgs: [--identity, blue]
networkPolicy:
  extraEgress: [{ports: [{protocol: TCP, port: 9443}]}]
",
    ),
];

#[test]
fn values_render_what_they_rendered() -> Result<()> {
    let defaults = rendered("crds: {install: false}")?;
    for (name, values) in VALUES {
        let values = values.replace("DIGEST", &"0123456789abcdef".repeat(4));
        let mut found = rendered(&format!("{values}\ncrds: {{install: false}}\n"))?;
        // Of all others, only what they change.
        if name != "defaults" {
            found.retain(|name, object| defaults.get(name) != Some(object));
        }
        let documents = found.values().map(serde_saphyr::to_string).collect::<Result<Vec<_>, _>>()?;
        insta::assert_snapshot!(name, documents.join("---\n"));
    }
    Ok(())
}

#[test]
fn helm_finds_nothing_wrong_with_the_chart() -> Result<()> {
    for (_, values) in VALUES {
        let values = values.replace("DIGEST", &"0123456789abcdef".repeat(4));
        helm(&["lint", "--strict"], &values)?.map_err(anyhow::Error::msg)?;
    }
    Ok(())
}

/// Fails unless Helm refuses `values`, and says all of `parts`.
fn check_refused(values: &str, parts: &[&str]) -> Result<()> {
    let refusal = helm(&["template", "serin"], values)?.err().context("it is not refused")?;
    for part in parts {
        ensure!(refusal.contains(part), "{values:?}: no {part:?} in: {refusal}");
    }
    Ok(())
}

#[test]
fn a_value_that_makes_no_sense_is_refused_by_its_name() -> Result<()> {
    check_refused("replica: 3", &["additional properties", "'replica'"])?;
    check_refused("replicas: two", &["'/replicas'", "want integer"])?;
    check_refused("image: {digest: latest}", &["'/image/digest'", "does not match pattern"])?;
    check_refused("image: {name: serin}", &["'/image'", "'name'"])?;
    check_refused("module: {image: 'oci://registry/filter:latest'}", &["'/module/image'"])?;
    check_refused("module: {pullSecret: registry}", &["'/module/image'"])?;
    check_refused("scope: {proxyNamespaces: [istio-ingress]}", &["'/scope"])?;
    check_refused("scope: {namespace: Shop}", &["'/scope/namespace'"])?;
    check_refused("config: {prometheus: {sources: {default: {address: 'http://p'}}}}", &["'address'"])?;
    check_refused("config: {allowedAddresses: [hooks.slack.com]}", &["'/config/allowedAddresses/0'"])?;
    check_refused("config: {notifications: {channels: [{name: a}]}}", &["'channel'"])?;
    check_refused("monitoring: {interval: 15}", &["'/monitoring/interval'"])?;
    check_refused("podLabels: {team: 7}", &["'/podLabels/team'"])
}

#[test]
fn a_configuration_of_the_chart_is_one_that_the_agent_reads() -> Result<()> {
    let (_, values) = VALUES.iter().find(|(name, _)| *name == "own-prometheus").context("a set of values")?;
    let objects = rendered(values)?;
    let (_, config) =
        objects.iter().find(|(name, _)| name.starts_with("ConfigMap")).context("a ConfigMap")?;
    let text = config["data"]["config.yaml"].as_str().context("a file")?;
    serin_agent::config::Operator::from_yaml(text)?;
    Ok(())
}

#[test]
fn the_chart_has_the_version_of_the_agent() -> Result<()> {
    let said = run(&Tool::Helm.path()?, &["show", "chart", file(CHART).to_str().context("a path of text")?])?;
    let chart: Value = serde_saphyr::from_str(&said)?;
    assert_eq!([&chart["version"], &chart["appVersion"]], [env!("CARGO_PKG_VERSION"); 2]);
    Ok(())
}
