//! What the manifests let the agent do.

use std::path::Path;

use serde_json::{Value, json};

use crate::observe::scrape::ISTIO_STATS_PORT;

const PEOPLES: [&str; 5] = ["serin-edit", "serin-view", "serin-viewer", "serin-command", "serin-operator"];

/// The rules of the roles that the agent has by this file.
fn rules(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests").join(file);
    let objects: Vec<Value> = serde_saphyr::from_multiple(&std::fs::read_to_string(path).unwrap()).unwrap();
    let is_the_agents = |object: &&Value| {
        let name = object["metadata"]["name"].as_str().unwrap();
        object["kind"].as_str().unwrap().ends_with("Role") && !PEOPLES.contains(&name)
    };
    let rules = objects.iter().filter(is_the_agents).flat_map(|role| role["rules"].as_array().unwrap());
    rules.cloned().collect()
}

#[test]
fn the_agent_reads_one_secret_writes_no_pods_and_gives_no_rights() {
    const READ: [&str; 3] = ["get", "list", "watch"];
    for file in ["base/rbac.yaml", "namespaced/rbac.yaml"] {
        let rules = rules(file);
        assert!(rules.len() > 5, "{file}: {rules:?}");
        for rule in rules {
            let list = |field: &str| -> Vec<String> { serde_json::from_value(rule[field].clone()).unwrap() };
            let (groups, resources, verbs) = (list("apiGroups"), list("resources"), list("verbs"));
            let all = [&groups[..], &resources, &verbs].concat();
            assert!(!all.iter().any(|word| word == "*"), "{file}: {rule}");
            if groups.iter().any(|group| group == "admissionregistration.k8s.io") {
                // Who may give commands is looked at, and nothing else of what is admitted.
                assert_eq!(
                    (&rule["resourceNames"], &verbs[..]),
                    (&json!(["serin-commands"]), &["get".to_owned()][..])
                );
            }
            let foreign = ["rbac.authorization.k8s.io", "certificates.k8s.io"];
            assert!(!groups.iter().any(|group| foreign.contains(&&**group)), "{file}: {rule}");
            let banned = |resource: &String| {
                let kind = resource.split('/').next().unwrap_or_default();
                ["serviceaccounts", "nodes"].contains(&kind) || resource.starts_with("pods/")
            };
            if resources.iter().any(|resource| resource == "secrets") {
                // By its name, and nothing by which more than that one could be had.
                let expected = json!({"apiGroups": [""], "resources": ["secrets"],
                    "resourceNames": ["serin-notifications"], "verbs": ["get"]});
                assert_eq!(rule, expected, "{file}");
            }
            assert!(!resources.iter().any(banned), "{file}: {rule}");
            let only_reads = verbs.iter().all(|verb| READ.contains(&&**verb));
            assert!(only_reads || !resources.iter().any(|resource| resource == "pods"), "{file}: {rule}");
        }
    }
}

/// What the agent opens and dials by itself: to whom, by which protocol, at which port. Whatever else it dials, Releases and
/// the operator's configuration name.
const DIALED: [(&str, &str, u16); 5] = [
    ("DNS", "UDP", 53),
    ("DNS", "TCP", 53),
    ("the API server's Service", "TCP", 443),
    ("an API server that listens there itself", "TCP", 6443),
    ("a proxy", "TCP", ISTIO_STATS_PORT),
];

#[test]
fn the_network_policy_lets_in_and_out_what_the_agent_opens_and_dials() {
    let read = |file: &str| -> Vec<Value> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/base").join(file);
        serde_saphyr::from_multiple(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let policy = &read("network-policy.yaml")[0]["spec"];
    let number = |port: &Value| u16::try_from(port.as_u64().unwrap()).unwrap();
    // Rules for anybody alone: one with `from` or `to` lets some in or out, and these others may be elsewhere.
    let ports = |rules: &Value, peers: &str, is_for_anybody: bool| -> Vec<(String, u16)> {
        let rules = rules.as_array().unwrap().iter().filter(|rule| rule[peers].is_null() == is_for_anybody);
        let ports = rules.flat_map(|rule| rule["ports"].as_array().unwrap());
        ports.map(|port| (port["protocol"].as_str().unwrap().to_owned(), number(&port["port"]))).collect()
    };
    let deployments = read("agent.yaml");
    let deployment = deployments.iter().find(|object| object["kind"] == "Deployment").unwrap();
    let opened = deployment.pointer("/spec/template/spec/containers/0/ports").unwrap().as_array().unwrap();
    let opened: Vec<_> =
        opened.iter().map(|port| ("TCP".to_owned(), number(&port["containerPort"]))).collect();
    assert_eq!(ports(&policy["ingress"], "from", true), opened);
    let labels = deployment.pointer("/spec/template/metadata/labels").unwrap();
    let selected = policy["podSelector"]["matchLabels"].as_object().unwrap();
    assert!(selected.iter().all(|(name, value)| labels[name] == *value), "{selected:?}");
    let out = ports(&policy["egress"], "to", true);
    for (whom, protocol, port) in DIALED {
        assert!(out.contains(&(protocol.to_owned(), port)), "{whom}: {protocol} {port}: {out:?}");
    }
    for (protocol, port) in &out {
        let is_dialed = DIALED.iter().any(|(_, by, to)| (by, to) == (&&**protocol, port));
        assert!(is_dialed, "nobody is dialed at {protocol} {port}");
    }
    // Other agents, for their modules.
    let to_some = ports(&policy["egress"], "to", false);
    assert!(opened.iter().all(|port| to_some.contains(port)), "{to_some:?}");
}
