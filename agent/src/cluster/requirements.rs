/*!
What a cluster must have for Serin to work in it: said once, when the agent starts. An agent that lacks something stays:
deleted Releases are to be let go of all the same.
*/
use kube::Client;

use super::api_resources;

/// The rules in the CRD are checked by the API server from this version on.
const KUBERNETES: u32 = 29;

/// The first Istio that serves all kinds in the versions that are written here.
const ISTIO: &str = "1.22";

/// What the cluster of `client` lacks, with the mend. What cannot be found out is not said.
pub async fn lacking(client: &Client) -> Vec<String> {
    let mut lacking = Vec::new();
    if let Ok(version) = client.apiserver_version().await {
        lacking.extend(too_old(&version.major, &version.minor));
    }
    if let Ok(groups) = client.list_api_groups().await {
        for kind in [api_resources::wasm_plugin(), api_resources::virtual_service()] {
            let is_served = groups
                .groups
                .iter()
                .any(|group| group.versions.iter().any(|version| version.group_version == kind.api_version));
            if !is_served {
                lacking.push(format!(
                    "the cluster does not serve {}: install Istio {ISTIO} or later, with its CRDs",
                    kind.api_version
                ));
            }
        }
    }
    lacking
}

fn too_old(major: &str, minor: &str) -> Option<String> {
    // Providers write `29+`.
    let number = |text: &str| text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse::<u32>().ok();
    let is_old = number(major)? == 1 && number(minor)? < KUBERNETES;
    is_old.then(|| format!("Kubernetes {major}.{minor} is too old: upgrade it to 1.{KUBERNETES} or later"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_kubernetes_is_named() {
        for (major, minor, is_old) in [
            ("1", "28", true),
            ("1", "28+", true),
            ("1", "29", false),
            ("1", "34+", false),
            ("2", "0", false),
        ] {
            assert_eq!(too_old(major, minor).is_some(), is_old, "{major}.{minor}");
        }
    }
}
