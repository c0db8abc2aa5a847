/*!
The `ConfigMaps` that both versions' pods are made with. One that changes in mid-run changes neither pod template: pods that
start from then on are others than those that were judged. That is told.

Only their versions are looked at, never what is in them. Secrets are not looked at at all: who may list them may read them.
*/
use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Container;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};

use super::stores::Stores;

/// The versions of `ConfigMaps` that a run began with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Noted {
    run: String,
    versions: BTreeMap<String, String>,
}

impl Noted {
    /// Which `ConfigMaps` that the pods of `deployments` are made with have changed since `run` began.
    pub(super) fn changed(
        &mut self,
        stores: &Stores,
        namespace: &str,
        run: &str,
        deployments: &[&Deployment],
    ) -> Vec<String> {
        let names: BTreeSet<_> = deployments.iter().flat_map(|deployment| used(deployment)).collect();
        let present = names.into_iter().filter_map(|name| {
            let version = stores.configs.get(namespace, &name).there()?.resource_version()?;
            Some((name, version))
        });
        self.differing(run, present)
    }

    fn differing(&mut self, run: &str, present: impl Iterator<Item = (String, String)>) -> Vec<String> {
        if self.run != run {
            *self = Self { run: run.to_owned(), versions: BTreeMap::new() };
        }
        let is_other = |(name, version): &(String, String)| {
            self.versions.entry(name.clone()).or_insert_with(|| version.clone()) != version
        };
        present.filter(is_other).map(|(name, _)| name).collect()
    }
}

/// The `ConfigMaps` that a Deployment's pods are made with.
fn used(deployment: &Deployment) -> BTreeSet<String> {
    let Some(pod) = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref()) else {
        return BTreeSet::new();
    };
    let mounted = pod.volumes.iter().flatten().flat_map(|volume| {
        let whole = volume.config_map.as_ref().map(|source| source.name.clone());
        let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
        whole.into_iter().chain(sources.filter_map(|source| Some(source.config_map.as_ref()?.name.clone())))
    });
    let in_variables = |container: &Container| {
        let one_by_one = container.env.iter().flatten().filter_map(|variable| {
            Some(variable.value_from.as_ref()?.config_map_key_ref.as_ref()?.name.clone())
        });
        let as_a_whole = container.env_from.iter().flatten();
        let as_a_whole = as_a_whole.filter_map(|source| Some(source.config_map_ref.as_ref()?.name.clone()));
        one_by_one.chain(as_a_whole).collect::<Vec<_>>()
    };
    let containers = pod.init_containers.iter().flatten().chain(&pod.containers);
    mounted.chain(containers.flat_map(in_variables)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_config_map_is_used_by_a_volume_or_a_variable() {
        let deployment = serde_json::from_value(json!({"spec": {"selector": {}, "template": {"spec": {
            "volumes": [
                {"name": "a", "configMap": {"name": "whole"}},
                {"name": "b", "projected": {"sources": [{"configMap": {"name": "projected"}}, {"secret": {"name": "s"}}]}},
                {"name": "c", "secret": {"secretName": "s"}},
            ],
            "initContainers": [{"name": "init", "envFrom": [{"configMapRef": {"name": "all-variables"}}]}],
            "containers": [{"name": "app", "env": [
                {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "one-variable", "key": "a"}}},
                {"name": "B", "value": "b"},
            ]}],
        }}}}))
        .unwrap();
        let used = used(&deployment);
        assert_eq!(used.iter().collect::<Vec<_>>(), ["all-variables", "one-variable", "projected", "whole"]);
    }

    #[test]
    fn a_change_counts_from_the_beginning_of_the_run() {
        let mut noted = Noted::default();
        let mut differing = |run: &str, present: &[(&str, &str)]| {
            let present = present.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned()));
            noted.differing(run, present)
        };
        assert_eq!(differing("v2", &[("a", "1")]), [""; 0]);
        assert_eq!(differing("v2", &[("a", "1"), ("b", "4")]), [""; 0]);
        assert_eq!(differing("v2", &[("a", "2"), ("b", "4")]), ["a"]);
        assert_eq!(differing("v2", &[("a", "2"), ("b", "5")]), ["a", "b"]);
        // Gone, and not known for a while.
        assert_eq!(differing("v2", &[("b", "4")]), [""; 0]);
        assert_eq!(differing("v3", &[("a", "2"), ("b", "5")]), [""; 0]);
    }
}
