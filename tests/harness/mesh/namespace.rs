/*!
A namespace of the mesh, for one test, and what tests usually put into it.
*/
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace as Resource, Pod};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::{self, Scope};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::proxy::SIDECAR_PORT;
use crate::site::eventually;

/// A namespace. It is deleted, with all that is in it, when this is dropped; nobody waits for that.
pub struct Namespace {
    client: Client,
    name: String,
}

/// A gateway of a namespace: the proxies by which clients come in.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Names and addresses of its pods.
    pub pods: Vec<(String, Ipv4Addr)>,
}

impl Gateway {
    /// Where the first of its pods serves clients.
    pub fn address(&self) -> SocketAddr {
        (self.pods[0].1, 80).into()
    }
}

impl Namespace {
    pub(super) async fn create(client: Client, name: String) -> Result<Self> {
        create(&client, &name).await?;
        Ok(Self::of(client, name))
    }

    pub(super) const fn of(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Resources of a kind in this namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Applies YAML, on the server's side. What names no namespace goes into this one.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn apply(&self, yaml: &str) -> Result<()> {
        apply(&self.client, &self.name, yaml).await
    }

    /// Deploys `replicas` gateway proxies and a Gateway that has them serve every host at port 80, and waits until they
    /// are ready. VirtualServices name it `gateway`.
    ///
    /// # Errors
    /// When they do not get ready.
    pub async fn gateway(&self, replicas: u32) -> Result<Gateway> {
        // A Gateway takes proxies of every namespace, so each has a label of its own.
        let labels = json!({"istio": format!("gateway-{}", self.name)});
        let annotations = json!({"inject.istio.io/templates": "gateway"});
        let proxy = json!([{"name": "istio-proxy", "image": "auto", "ports": [{"containerPort": 80}]}]);
        self.apply(&documents(&[
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "gateway"}}),
            json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "gateway", "labels": labels},
                "spec": {"selector": labels, "ports": [{"name": "http", "port": 80}]},
            }),
            json!({
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "gateway"},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels, "annotations": annotations},
                        "spec": {"serviceAccountName": "gateway", "containers": proxy},
                    },
                },
            }),
            json!({
                "apiVersion": "networking.istio.io/v1",
                "kind": "Gateway",
                "metadata": {"name": "gateway"},
                "spec": {
                    "selector": labels,
                    "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
                },
            }),
        ]))
        .await?;
        self.rolled_out("gateway").await?;
        let gateway = self.gateway_pods().await?;
        ensure!(gateway.pods.len() == usize::try_from(replicas)?, "{gateway:?}");
        Ok(gateway)
    }

    /// The gateway's proxies as they are now.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn gateway_pods(&self) -> Result<Gateway> {
        self.gateway_called(&format!("istio=gateway-{}", self.name)).await
    }

    /// The proxies of a gateway of these labels as they are now.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn gateway_called(&self, labels: &str) -> Result<Gateway> {
        let pods = self.pods(labels).await?;
        let address = |pod: &Pod| {
            let address = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
            Some((pod.name_any(), address))
        };
        Ok(Gateway { pods: pods.iter().filter_map(address).collect() })
    }

    /// Deploys a service in two versions, one pod each, and waits until they are ready: Deployments `NAME-stable` and
    /// `NAME-canary`, told apart by the label `version`, and the Service `NAME` at port 80.
    ///
    /// # Errors
    /// When they do not get ready.
    pub async fn shop(&self, name: &str, stable: &str, canary: &str) -> Result<()> {
        self.versions(name, stable, canary, false).await
    }

    /// The same, with a sidecar in each pod, which takes requests by mTLS only.
    ///
    /// # Errors
    /// When they do not get ready.
    pub async fn strict_shop(&self, name: &str, stable: &str, canary: &str) -> Result<()> {
        self.apply(&documents(&[
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}),
            json!({
                "apiVersion": "security.istio.io/v1",
                "kind": "PeerAuthentication",
                "metadata": {"name": "default"},
                "spec": {"mtls": {"mode": "STRICT"}},
            }),
        ]))
        .await?;
        self.versions(name, stable, canary, true).await
    }

    async fn versions(&self, name: &str, stable: &str, canary: &str, strict: bool) -> Result<()> {
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        });
        self.apply(&documents(&[service])).await?;
        for (version, image) in [("stable", stable), ("canary", canary)] {
            let deployment = deployment(name, version, image, 1, strict);
            self.apply(&documents(&[deployment])).await?;
        }
        for version in ["stable", "canary"] {
            self.rolled_out(&format!("{name}-{version}")).await?;
        }
        Ok(())
    }

    /// Deploys a pod with a sidecar, and waits until it is ready: a server of that image, at port 8080 of the Service
    /// `NAME`, and the proxy, where requests are taken as an application's would be. Returns the proxy's address.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn application(&self, name: &str, image: &str) -> Result<SocketAddr> {
        let labels = json!({"app": name});
        let containers =
            json!([{"name": name, "image": image, "ports": [{"containerPort": 8080}]}, sidecar()]);
        let annotations = json!({"sidecar.istio.io/inject": "true"});
        self.apply(&documents(&[
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}),
            json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name},
                "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
            }),
            json!({
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name},
                "spec": {
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels, "annotations": annotations},
                        "spec": {"serviceAccountName": name, "containers": containers},
                    },
                },
            }),
        ]))
        .await?;
        self.rolled_out(name).await?;
        let pods = self.pods(&format!("app={name}")).await?;
        let address = pods.first().and_then(|pod| pod.status.as_ref()?.pod_ip.as_ref());
        Ok((address.context("its pod has an address")?.parse::<Ipv4Addr>()?, SIDECAR_PORT).into())
    }

    /// Deploys one version of a service, or changes what is deployed.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn deploy(&self, name: &str, version: &str, image: &str, replicas: u32) -> Result<()> {
        self.apply(&documents(&[deployment(name, version, image, replicas, false)])).await
    }

    /// Waits until all of a Deployment's pods are of its latest template and ready.
    ///
    /// # Errors
    /// When that does not happen.
    pub async fn rolled_out(&self, deployment: &str) -> Result<()> {
        let deployments: Api<Deployment> = self.api();
        eventually(&format!("{deployment} to be rolled out"), async || {
            let found = deployments.get(deployment).await?;
            let wanted = found.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
            let status = found.status.context("it has no status yet")?;
            let latest = status.observed_generation == found.metadata.generation;
            let counts = [status.updated_replicas, status.available_replicas, status.replicas];
            ensure!(latest && counts.iter().all(|count| count.unwrap_or(0) == wanted), "{status:?}");
            Ok(())
        })
        .await
    }

    /// The pods with these labels that are not on their way out.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn pods(&self, labels: &str) -> Result<Vec<Pod>> {
        let pods = self.api::<Pod>().list(&ListParams::default().labels(labels)).await?;
        Ok(pods.items.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (namespaces, name) = (Api::<Resource>::all(self.client.clone()), self.name.clone());
        // Best effort: it goes with the mesh in any case.
        runtime.spawn(async move { namespaces.delete(&name, &DeleteParams::background()).await });
    }
}

/// Creates a namespace.
pub(super) async fn create(client: &Client, name: &str) -> Result<()> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let namespace = serde_json::from_value(namespace)?;
    Api::<Resource>::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    Ok(())
}

/// Applies YAML. What is namespaced and names no namespace goes into `namespace`.
pub(super) async fn apply(client: &Client, namespace: &str, yaml: &str) -> Result<()> {
    let mut kinds: HashMap<GroupVersionKind, (ApiResource, Scope)> = HashMap::new();
    for document in serde_saphyr::from_multiple::<Value>(yaml)? {
        if document.is_null() {
            continue;
        }
        let object: DynamicObject = serde_json::from_value(document)?;
        let kind = object.types.as_ref().context("a resource says its kind")?;
        let kind = GroupVersionKind::try_from(kind)?;
        if !kinds.contains_key(&kind) {
            let (resource, capabilities) = discovery::pinned_kind(client, &kind).await?;
            kinds.insert(kind.clone(), (resource, capabilities.scope));
        }
        let (resource, scope) = &kinds[&kind];
        let api: Api<DynamicObject> = match (scope, object.namespace()) {
            (Scope::Cluster, _) => Api::all_with(client.clone(), resource),
            (Scope::Namespaced, named) => {
                Api::namespaced_with(client.clone(), named.as_deref().unwrap_or(namespace), resource)
            }
        };
        let name = object.name_any();
        let params = PatchParams::apply("tests").force();
        let applied = api.patch(&name, &params, &Patch::Apply(&object)).await;
        applied.with_context(|| format!("applying {} {name}", kind.kind))?;
    }
    Ok(())
}

/// One version of a service; `behind_sidecar` if requests arrive by one.
fn deployment(name: &str, version: &str, image: &str, replicas: u32, behind_sidecar: bool) -> Value {
    let labels = json!({"app": name, "version": version});
    let server = json!({"name": name, "image": image, "ports": [{"containerPort": 8080}]});
    let template = if behind_sidecar {
        json!({
            "metadata": {
                "labels": labels,
                "annotations": {"sidecar.istio.io/inject": "true"},
            },
            "spec": {"serviceAccountName": name, "containers": [server, sidecar()]},
        })
    } else {
        json!({"metadata": {"labels": labels}, "spec": {"containers": [server]}})
    };
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": format!("{name}-{version}"), "labels": labels},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    })
}

/// The container of a sidecar.
fn sidecar() -> Value {
    json!({"name": "istio-proxy", "image": "auto", "ports": [{"name": "http-envoy-prom", "containerPort": 15090}]})
}

/// Documents of a YAML file: JSON is YAML.
fn documents(documents: &[Value]) -> String {
    documents.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n")
}
