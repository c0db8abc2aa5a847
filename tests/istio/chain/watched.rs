/*!
What `manifests/monitoring` has a Prometheus watch, as the Prometheus Operator would tell it.
*/
use std::path::Path;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams, ResourceExt};
use serde_json::{Value, json};
use serin_tests::mesh::Mesh;
use serin_tests::prometheus::Options;

use super::MANIFESTS;

/// One of the files there.
fn object(name: &str) -> Result<Value> {
    let path = Path::new(MANIFESTS).join("monitoring").join(name);
    Ok(serde_saphyr::from_str(&std::fs::read_to_string(path)?)?)
}

/// A Prometheus that scrapes what the monitors select there and then, and evaluates the rules.
pub(super) async fn options(mesh: &Mesh) -> Result<Options> {
    let options = Options::new()?.with_job(agents(mesh).await?).with_job(proxies(mesh).await?);
    let mut rules = object("rules.yaml")?;
    hasten(&mut rules);
    Ok(options.with_rules(rules["spec"]["groups"].take()))
}

/// What the `ServiceMonitor` selects: endpoints of a Service, by the name of their port.
async fn agents(mesh: &Mesh) -> Result<Value> {
    let monitor = object("agent.yaml")?;
    let namespace = monitor["metadata"]["namespace"].as_str().context("a namespace")?;
    let endpoint = &monitor["spec"]["endpoints"][0];
    let labels = monitor["spec"]["selector"]["matchLabels"].as_object().context("labels")?;
    let labels: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
    let services: Api<Service> = Api::namespaced(mesh.client(), namespace);
    let mut targets = Vec::new();
    for service in services.list(&ListParams::default().labels(&labels.join(","))).await? {
        let slices: Api<EndpointSlice> = Api::namespaced(mesh.client(), namespace);
        let of_service = format!("kubernetes.io/service-name={}", service.name_any());
        for slice in slices.list(&ListParams::default().labels(&of_service)).await? {
            let mut ports = slice.ports.iter().flatten();
            let port = ports.find(|port| endpoint["port"] == json!(port.name)).and_then(|port| port.port);
            let port = port.context("the Service has the monitor's port")?;
            for found in &slice.endpoints {
                let pod = found.target_ref.as_ref().and_then(|pod| pod.name.clone());
                targets.extend(
                    found
                        .addresses
                        .iter()
                        .map(|it| target(&format!("{it}:{port}"), namespace, pod.as_deref())),
                );
            }
        }
    }
    ensure!(targets.len() == 2, "the ServiceMonitor selects {targets:?}, not both agents");
    Ok(job("agents", endpoint, &targets))
}

/// What the `PodMonitor` selects: pods of any namespace that have a port of that name.
async fn proxies(mesh: &Mesh) -> Result<Value> {
    let monitor = object("proxies.yaml")?;
    ensure!(monitor["spec"]["namespaceSelector"]["any"] == true, "{monitor}");
    let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
    let without = &monitor["spec"]["selector"]["matchExpressions"][0];
    ensure!(without["operator"] == "DoesNotExist", "{without}");
    let selector = format!("!{}", without["key"].as_str().context("a label")?);
    let pods: Api<Pod> = Api::all(mesh.client());
    let mut targets = Vec::new();
    for pod in pods.list(&ListParams::default().labels(&selector)).await? {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
        let Some(port) = ports.find(|port| endpoint["port"] == json!(port.name)) else { continue };
        let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref());
        let address = format!("{}:{}", address.context("an address")?, port.container_port);
        targets.push(target(&address, &pod.namespace().unwrap_or_default(), Some(&pod.name_any())));
    }
    ensure!(!targets.is_empty(), "the PodMonitor selects no proxy");
    Ok(job("proxies", endpoint, &targets))
}

fn target(address: &str, namespace: &str, pod: Option<&str>) -> Value {
    json!({"targets": [address], "labels": {"namespace": namespace, "pod": pod}})
}

/// A monitor's endpoint as a `scrape_config`; what is kept of what is scraped has other letters there.
fn job(name: &str, endpoint: &Value, targets: &[Value]) -> Value {
    let relabelings = endpoint["metricRelabelings"].as_array().into_iter().flatten();
    let relabelings: Vec<Value> = relabelings
        .map(|it| json!({"source_labels": it["sourceLabels"], "regex": it["regex"], "action": it["action"]}))
        .collect();
    json!({
        "job_name": name,
        "metrics_path": endpoint["path"],
        "static_configs": targets,
        "metric_relabel_configs": relabelings,
    })
}

/// Makes an hour of what waits a minute, and a minute a second: in `for`, and in what queries look back at.
fn hasten(rules: &mut Value) {
    match rules {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "expr" || name == "for" => *text = hastened(text),
                    _ => hasten(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hasten),
        _ => {}
    }
}

/// Those of a text: numbers with a unit that are words by themselves, as `5m` is in `[5m]` and not in `ratio_rate5m`.
fn hastened(text: &str) -> String {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let faster = |word: &str| {
        let (number, unit) = word.split_at(word.len().saturating_sub(1));
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        match unit {
            "m" if is_number => format!("{number}s"),
            "h" if is_number => format!("{number}m"),
            _ => word.to_owned(),
        }
    };
    let (mut faster_text, mut word) = (String::new(), String::new());
    for letter in text.chars() {
        if is_word(letter) {
            word.push(letter);
        } else {
            faster_text.push_str(&faster(&std::mem::take(&mut word)));
            faster_text.push(letter);
        }
    }
    faster_text + &faster(&word)
}
