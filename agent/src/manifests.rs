//! What the manifests let the agent do.

use std::path::Path;

use serde_json::Value;

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
fn the_agent_has_no_secrets_writes_no_pods_and_gives_no_rights() {
    const READ: [&str; 3] = ["get", "list", "watch"];
    for file in ["base/rbac.yaml", "namespaced/rbac.yaml"] {
        let rules = rules(file);
        assert!(rules.len() > 5, "{file}: {rules:?}");
        for rule in rules {
            let list = |field: &str| -> Vec<String> { serde_json::from_value(rule[field].clone()).unwrap() };
            let (groups, resources, verbs) = (list("apiGroups"), list("resources"), list("verbs"));
            let all = [&groups[..], &resources, &verbs].concat();
            assert!(!all.iter().any(|word| word == "*"), "{file}: {rule}");
            let foreign =
                ["rbac.authorization.k8s.io", "admissionregistration.k8s.io", "certificates.k8s.io"];
            assert!(!groups.iter().any(|group| foreign.contains(&&**group)), "{file}: {rule}");
            let banned = |resource: &String| {
                let kind = resource.split('/').next().unwrap_or_default();
                ["secrets", "serviceaccounts", "nodes"].contains(&kind) || resource.starts_with("pods/")
            };
            assert!(!resources.iter().any(banned), "{file}: {rule}");
            let only_reads = verbs.iter().all(|verb| READ.contains(&&**verb));
            assert!(only_reads || !resources.iter().any(|resource| resource == "pods"), "{file}: {rule}");
        }
    }
}
