/*!
The `ConfigMaps` that the versions' pods are made with. One that changes changes no pod template: pods that start from then
on are others. In mid-run that is told. With `spec.podTemplate.configTracking` the canary's are a part of its version: those
that its pods began with, or are to begin with.

They are watched by their metadata alone. What is in those that are used is read for a hash of it, and not kept. Secrets are
not looked at at all: who may list them may read them.
*/
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Container};
use kube::api::Api;
use kube::{Client, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::json;
use xxhash_rust::xxh64::xxh64;

use super::Cluster;
use super::memory::Memory;
use super::on_demand::Known;
use super::stores::Stores;
use super::templates::CONFIG;
use super::watching::Unseen;
use super::workloads::{desired, get};
use serin_release::delivery::Delivery;
use serin_release::resource::Version;
use serin_release::{Release, ReleaseObject};

/// How long reading one may take: a look at a release does not wait for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// The hash of one that is not there.
const MISSING: &str = "";

/// Hashes of what is in `ConfigMaps`, by their names.
pub(super) type Digests = BTreeMap<String, String>;

/// What is in `ConfigMaps`, as hashes, which are good for as long as these have the same version.
#[derive(Default)]
pub(super) struct Contents(Mutex<HashMap<(String, String), Content>>);

#[derive(Debug, Clone)]
struct Content {
    version: String,
    digest: String,
}

/// The configuration that a run began with, and that of the two versions where it is tracked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Noted {
    run: String,
    digests: Digests,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tracked: Option<Tracked>,
}

/// The configurations of the two versions, as hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tracked {
    /// The one that stable was given, or had when tracking began.
    pub(super) stable: String,
    /// The one that the canary's pods began with, or are to begin with.
    pub(super) canary: String,
}

/// Looks at the configuration of a Release's versions, where that matters now.
pub(super) async fn look(cluster: &Cluster, object: &ReleaseObject, memory: &mut Memory) {
    let is_tracked = object.spec.pod_template.config_tracking;
    let configs = &mut memory.state.configs;
    memory.config_waits = false;
    if !is_tracked {
        configs.tracked = None;
        if !memory.state.status.phase.is_under_way() {
            return;
        }
    }
    let namespace = object.namespace().unwrap_or_default();
    let deployment = |version: &Version| {
        let target = version.target_ref.as_ref()?;
        get(&cluster.stores.deployments, &namespace, &target.name)
    };
    let [stable, canary] = [&object.spec.stable, &object.spec.canary].map(deployment);
    let both: Vec<_> = [&stable, &canary].into_iter().flatten().map(Arc::as_ref).collect();
    memory.configs = cluster.contents.of(&cluster.client, &cluster.stores, &namespace, &both).await;
    if let Some(canary) = canary.filter(|_| is_tracked) {
        configs.track(stable.as_deref(), &canary, &memory.configs);
        let is_new = |present: String| configs.tracked.as_ref().is_some_and(|it| it.canary != present);
        memory.config_waits = of_pods(&canary, &memory.configs).is_some_and(is_new);
    }
}

/// What people should know of the configuration of a Release's versions, as it was looked at last.
pub(super) fn warnings(
    cluster: &Cluster,
    object: &ReleaseObject,
    release: &Release,
    delivery: &Delivery,
    memory: &mut Memory,
) -> Vec<String> {
    let (mut warnings, configs) = (Vec::new(), &mut memory.state.configs);
    if memory.state.status.phase.is_under_way() {
        let run = release.run();
        let then = if configs.tracked.is_some() {
            "; a run begins with it when this one is over, and the canary has no pods"
        } else {
            ""
        };
        warnings.extend(configs.changed(run, &memory.configs).iter().map(|name| {
            format!(
                "ConfigMap {name} has changed since run {run} began: pods that start from now on have another \
                 configuration than those that were judged; abort if that is not meant{then}"
            )
        }));
    } else if memory.config_waits {
        let canary = &delivery.canary.deployment;
        warnings.push(format!(
            "a ConfigMap of Deployment {canary} has changed, and its pods are of the one before: a run begins when it has \
             none: kubectl scale deployment/{canary} --replicas=0"
        ));
    }
    let is_tracked = object.spec.pod_template.config_tracking;
    if is_tracked && cluster.stores.configs.sight() == Err(Unseen::Forbidden) {
        warnings.push(
            "spec.podTemplate.configTracking: true: no ConfigMap is tracked, for the agent has no right to see any: apply \
             manifests/base/rbac.yaml"
                .to_owned(),
        );
    }
    warnings
}

impl Contents {
    /// The hashes of the `ConfigMaps` that pods of `deployments` are made with, as far as they can be told now.
    async fn of(
        &self,
        client: &Client,
        stores: &Stores,
        namespace: &str,
        deployments: &[&Deployment],
    ) -> Digests {
        let names: BTreeSet<_> = deployments.iter().flat_map(|deployment| used(deployment)).collect();
        let read = names.into_iter().map(async |name| {
            let digest = self.of_one(client, stores, namespace, &name).await?;
            Some((name, digest))
        });
        join_all(read).await.into_iter().flatten().collect()
    }

    async fn of_one(&self, client: &Client, stores: &Stores, namespace: &str, name: &str) -> Option<String> {
        let version = match stores.configs.get(namespace, name) {
            Known::There(found) => found.resource_version()?,
            Known::Missing => return Some(MISSING.to_owned()),
            Known::Unseen(_) => return None,
        };
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (namespace.to_owned(), name.to_owned());
        let known = lock().get(&key).cloned();
        if let Some(Content { digest, .. }) = known.filter(|known| known.version == version) {
            return Some(digest);
        }
        let configs: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let read = tokio::time::timeout(PATIENCE, configs.get(name)).await.ok()?.ok()?;
        let digest = hash(&json!([read.data, read.binary_data]));
        lock().insert(key, Content { version: read.resource_version()?, digest: digest.clone() });
        Some(digest)
    }
}

impl Noted {
    /// Which `ConfigMaps` have changed since `run` began, of those whose `present` hashes are known.
    pub(super) fn changed(&mut self, run: &str, present: &Digests) -> Vec<String> {
        if self.run != run {
            (self.run, self.digests) = (run.to_owned(), Digests::new());
        }
        let is_other = |(name, digest): &(&String, &String)| {
            self.digests.entry((*name).clone()).or_insert_with(|| (*digest).clone()) != *digest
        };
        let there = present.iter().filter(|(_, digest)| *digest != MISSING);
        there.filter(is_other).map(|(name, _)| name.clone()).collect()
    }

    /// Takes note of the configurations of both. The canary's is that of its pods: while it has some, a change makes no
    /// other pods of them.
    fn track(&mut self, stable: Option<&Deployment>, canary: &Deployment, present: &Digests) {
        let Some(present) = of_pods(canary, present) else { return };
        let tracked =
            self.tracked.get_or_insert_with(|| Tracked { stable: present.clone(), canary: present.clone() });
        if !has_pods(canary) {
            tracked.canary = present;
        }
        if let Some(given) = stable.and_then(given) {
            tracked.stable = given;
        }
    }
}

/// The hash of all that a Deployment's pods are made with; none while not all of it is known.
fn of_pods(deployment: &Deployment, present: &Digests) -> Option<String> {
    let all: Option<Digests> =
        used(deployment).into_iter().map(|name| Some((name.clone(), present.get(&name)?.clone()))).collect();
    Some(hash(&json!(all?)))
}

/// The configuration that stable was given with the pod template.
fn given(stable: &Deployment) -> Option<String> {
    stable.spec.as_ref()?.template.metadata.as_ref()?.annotations.as_ref()?.get(CONFIG).cloned()
}

fn has_pods(deployment: &Deployment) -> bool {
    let present = deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or_default();
    desired(deployment) > 0 || present > 0
}

fn hash(value: &serde_json::Value) -> String {
    format!("{:016x}", xxh64(value.to_string().as_bytes(), 0))
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

    fn digests(present: &[(&str, &str)]) -> Digests {
        present.iter().map(|(name, digest)| ((*name).to_owned(), (*digest).to_owned())).collect()
    }

    #[test]
    fn a_change_counts_from_the_beginning_of_the_run() {
        let mut noted = Noted::default();
        let mut differing = |run: &str, present: &[(&str, &str)]| noted.changed(run, &digests(present));
        assert_eq!(differing("v2", &[("a", "1")]), [""; 0]);
        assert_eq!(differing("v2", &[("a", "1"), ("b", "4")]), [""; 0]);
        assert_eq!(differing("v2", &[("a", "2"), ("b", "4")]), ["a"]);
        assert_eq!(differing("v2", &[("a", "2"), ("b", "5")]), ["a", "b"]);
        // Gone, and not known for a while.
        assert_eq!(differing("v2", &[("a", MISSING), ("b", "4")]), [""; 0]);
        assert_eq!(differing("v2", &[("b", "4")]), [""; 0]);
        assert_eq!(differing("v3", &[("a", "2"), ("b", "5")]), [""; 0]);
    }

    /// A Deployment with so many pods that are made with the `ConfigMap` `a`, which was given this configuration.
    fn deployment(pods: i32, given: Option<&str>) -> Deployment {
        let annotations: Digests =
            given.map(|given| (CONFIG.to_owned(), given.to_owned())).into_iter().collect();
        serde_json::from_value(json!({
            "spec": {"replicas": pods, "selector": {}, "template": {
                "metadata": {"annotations": annotations},
                "spec": {"containers": [{"name": "app", "envFrom": [{"configMapRef": {"name": "a"}}]}]},
            }},
            "status": {"replicas": pods},
        }))
        .unwrap()
    }

    #[test]
    fn the_canarys_configuration_is_that_of_its_pods_and_stables_what_it_was_given() {
        let mut noted = Noted::default();
        let hash_of = |digest: &str| hash(&json!({"a": digest}));
        let mut check = |pods: i32, given: Option<&str>, digest: &str, stable: &str, canary: &str| {
            noted.track(Some(&deployment(3, given)), &deployment(pods, None), &digests(&[("a", digest)]));
            let expected = Tracked { stable: stable.to_owned(), canary: canary.to_owned() };
            assert_eq!(noted.tracked, Some(expected), "{pods} {given:?} {digest}");
        };
        let [one, two, three] = ["1", "2", "3"].map(hash_of);
        check(0, None, "1", &one, &one);
        check(0, None, "2", &one, &two);
        // Its pods have begun: they are judged, and what they were made with.
        check(2, None, "3", &one, &two);
        check(2, Some(&two), "3", &two, &two);
        check(0, Some(&two), "3", &two, &three);
        // Somebody writes stable without it.
        check(0, None, "3", &two, &three);
        check(0, None, MISSING, &two, &hash_of(MISSING));
    }
}
