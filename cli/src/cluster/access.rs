/*!
The way to a cluster, and what is read there.
*/
use std::fmt::Debug;
use std::path::PathBuf;

use anyhow::Context;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::{Client, Config, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serin_agent::http::install_crypto;
use serin_agent::view::{News, View};
use serin_release::ReleaseObject;
use serin_release::resource::Spec;
use serin_release::status::Role;

/// Which cluster, and which namespace of it.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Access {
    /// The kubeconfig [default: that of kubectl].
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: the present one].
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    context: Option<String>,
    /// The namespace [default: that of the context].
    #[arg(long, short, value_name = "NAMESPACE", help_heading = "Cluster")]
    namespace: Option<String>,
}

/// A cluster.
#[derive(Clone)]
pub(super) struct Cluster {
    pub(super) client: Client,
    pub(super) namespace: String,
}

impl Access {
    /// Finds the way to the cluster.
    pub(super) async fn connect(&self) -> anyhow::Result<Cluster> {
        install_crypto();
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let config = match (&self.kubeconfig, &self.context) {
            (Some(file), _) => {
                let named = || format!("--kubeconfig: {}", file.display());
                let kubeconfig = Kubeconfig::read_from(file).with_context(named)?;
                Config::from_custom_kubeconfig(kubeconfig, &options).await.with_context(named)?
            }
            (None, Some(context)) => {
                Config::from_kubeconfig(&options).await.with_context(|| format!("--context: {context}"))?
            }
            (None, None) => Config::infer()
                .await
                .context("no way to a cluster: name a kubeconfig by --kubeconfig or in KUBECONFIG")?,
        };
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        Ok(Cluster { client: Client::try_from(config)?, namespace })
    }

    /// The same as words of a command line, so that a printed command works as it is.
    pub(super) fn words(&self, namespace: &str) -> String {
        let kubeconfig = self.kubeconfig.as_ref().map(|file| format!(" --kubeconfig {}", file.display()));
        let context = self.context.as_ref().map(|context| format!(" --context {context}"));
        format!(" -n {namespace}{}{}", kubeconfig.unwrap_or_default(), context.unwrap_or_default())
    }
}

impl Cluster {
    /// The Releases of a namespace. They are read one by one: a spec that this version does not know hides no status.
    pub(super) fn releases(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind())
    }

    /// The Releases of all namespaces.
    pub(super) fn all_releases(&self) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &kind())
    }

    /// A Release as it is now.
    ///
    /// # Errors
    /// When it is not there or may not be read.
    pub(super) async fn release(&self, name: &str) -> anyhow::Result<ReleaseObject> {
        let found = self.releases().get(name).await.with_context(|| self.cannot("read", name))?;
        Ok(read(found))
    }

    /// That something cannot be done with a Release.
    pub(super) fn cannot(&self, what: &str, name: &str) -> String {
        format!("cannot {what} release {name} in namespace {}", self.namespace)
    }

    /// All there is to say of `object`. What whoever asks may not read is left out.
    pub(super) async fn view(&self, object: &ReleaseObject) -> View {
        let namespace = object.namespace().unwrap_or_default();
        let deployments = self.deployments(object).await.unwrap_or_default();
        let events: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let events = events.list(&ListParams::default().fields(&of_release(&object.name_any()))).await;
        let told = events.map(|events| events.items.into_iter().filter_map(news).collect());
        View::of(object, &deployments, told.unwrap_or_default())
    }

    /// The Deployments of both versions, as far as there are any.
    ///
    /// # Errors
    /// When they may not be read.
    pub(super) async fn deployments(&self, object: &ReleaseObject) -> kube::Result<Vec<Deployment>> {
        both(&Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default()), object).await
    }

    /// The same with every field that the API server has.
    ///
    /// # Errors
    /// When they may not be read.
    pub(super) async fn raw_deployments(&self, object: &ReleaseObject) -> kube::Result<Vec<DynamicObject>> {
        let kind = ApiResource::erase::<Deployment>(&());
        let namespace = object.namespace().unwrap_or_default();
        both(&Api::namespaced_with(self.client.clone(), &namespace, &kind), object).await
    }
}

/// The Deployments of both versions, as far as there are any.
async fn both<K>(api: &Api<K>, object: &ReleaseObject) -> kube::Result<Vec<K>>
where
    K: Clone + DeserializeOwned + Debug,
{
    let mut found = Vec::new();
    for version in [&object.spec.stable, &object.spec.canary] {
        if let Some(target) = &version.target_ref {
            found.extend(api.get_opt(&target.name).await?);
        }
    }
    Ok(found)
}

/// The Deployment that has a role at present; by the spec, before any agent has said so.
pub(super) fn deployment_of(object: &ReleaseObject, role: Role) -> Option<&str> {
    let named = match role {
        Role::Extra => return None,
        Role::Stable => &object.spec.stable,
        Role::Canary => &object.spec.canary,
    };
    let by_spec = named.target_ref.as_ref().map(|target| &target.name);
    let versions = object.status.iter().flat_map(|status| &status.versions);
    let by_status =
        versions.filter(|version| version.role == role).find_map(|version| version.deployment.as_ref());
    by_status.or(by_spec).map(String::as_str)
}

fn kind() -> ApiResource {
    ApiResource::erase::<ReleaseObject>(&())
}

/// The Release, or what can be read of it where another version of Serin has written its spec.
pub(super) fn read(object: DynamicObject) -> ReleaseObject {
    let DynamicObject { metadata, data, .. } = object;
    let part = |name: &str| data.get(name).cloned().unwrap_or(Value::Null);
    let spec = serde_json::from_value::<Spec>(part("spec")).unwrap_or_default();
    ReleaseObject { metadata, spec, status: serde_json::from_value(part("status")).unwrap_or_default() }
}

/// Which events are of the Release `name`.
pub(super) fn of_release(name: &str) -> String {
    format!("involvedObject.kind=Release,involvedObject.name={name}")
}

/// What an event tells.
pub(super) fn news(event: Event) -> Option<News> {
    let repeated = event.series.and_then(|series| series.last_observed_time);
    let at = repeated.or(event.event_time).map(|time| time.0).or(event.last_timestamp.map(|time| time.0))?;
    Some(News {
        at,
        reason: event.reason.unwrap_or_default(),
        message: event.message.unwrap_or_default(),
        warning: event.type_.as_deref() == Some("Warning"),
    })
}
