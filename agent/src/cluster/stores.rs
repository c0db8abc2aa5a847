/*!
What the cluster has, kept up to date by watches: reading it costs the API server nothing.

Every change wakes the releases that it may concern.
*/
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::Api;
use kube::core::{DeserializeGuard, DynamicObject, NamespaceResourceScope, PartialObjectMeta};
use kube::discovery::ApiResource;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;

use super::api_resources;
use super::on_demand::OnDemand;
use super::pods::Pods;
use super::route_index::RouteIndex;
use super::watching::{Sight, watch};
use crate::mesh::object::RELEASE as RELEASE_LABEL;
use crate::mesh::plugin::contents;
use serin_release::resource::TemplateRef;
use serin_release::{MetricTemplate, ReleaseObject};

/// How long is waited at the start for what an agent may have no right to see.
const OPTIONAL: Duration = Duration::from_secs(3);

/// All stores.
#[derive(Clone)]
pub(super) struct Stores {
    pub(super) releases: Store<Watched>,
    pub(super) deployments: Store<Deployment>,
    pub(super) autoscalers: Store<HorizontalPodAutoscaler>,
    pub(super) scaled_objects: OnDemand<DynamicObject>,
    /// Never what is in them.
    pub(super) configs: OnDemand<PartialObjectMeta<ConfigMap>>,
    pub(super) pods: Pods,
    pub(super) services: Store<Service>,
    pub(super) plugins: MultiStore<DynamicObject>,
    pub(super) routes: RouteIndex,
    pub(super) gateways: MultiStore<DynamicObject>,
    /// Istio's, by which callers see less than there is. An agent that may not see them can do without.
    pub(super) sidecars: MultiStore<DynamicObject>,
    /// An agent that may not see them can do without, unless a Release names one.
    pub(super) templates: Store<WatchedTemplate>,
    /// None for an agent of one namespace. One that may not see them can do without.
    pub(super) namespaces: Option<Store<Namespace>>,
    /// Rises with every change of a Service.
    services_version: Arc<AtomicU64>,
}

/// A Release as it comes from the API server: its schema lets through what Serin cannot read, and one of that kind must
/// not keep the others from being seen.
pub(super) type Watched = DeserializeGuard<ReleaseObject>;

/// A MetricTemplate, likewise.
pub(super) type WatchedTemplate = DeserializeGuard<MetricTemplate>;

/// Takes the names of releases that something has changed for.
pub(super) type Wake = UnboundedSender<ObjectRef<Watched>>;

/// Where to watch.
pub(super) struct Scope {
    pub(super) client: Client,
    /// One namespace, or none for all.
    pub(super) namespace: Option<String>,
    /// With one namespace: others in which there are proxies.
    pub(super) of_proxies: Vec<String>,
}

/// The stores of one kind, where it is watched in more than one namespace.
#[derive(Clone)]
pub(super) struct MultiStore<K: Resource + 'static>(Vec<Store<K>>)
where
    K::DynamicType: Eq + Hash;

impl<K: Resource + Clone + 'static> MultiStore<K>
where
    K::DynamicType: Clone + Eq + Hash,
{
    pub(super) fn get(&self, object: &ObjectRef<K>) -> Option<Arc<K>> {
        self.0.iter().find_map(|store| store.get(object))
    }

    pub(super) fn state(&self) -> Vec<Arc<K>> {
        self.0.iter().flat_map(Store::state).collect()
    }

    async fn wait_until_ready(&self) {
        for store in &self.0 {
            // A writer lives as long as the process: its task does not end.
            let _ = store.wait_until_ready().await;
        }
    }
}

impl Scope {
    /// Objects of a kind in this scope.
    pub(super) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// This scope, and every other with proxies in it.
    fn each(&self) -> impl Iterator<Item = Self> {
        let others = self.of_proxies.iter().filter(|_| self.namespace.is_some()).cloned();
        let namespaces = std::iter::once(self.namespace.clone()).chain(others.map(Some));
        namespaces.map(|namespace| Self { client: self.client.clone(), namespace, of_proxies: Vec::new() })
    }

    fn dynamic(&self, kind: &ApiResource) -> Api<DynamicObject> {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, kind),
            None => Api::all_with(self.client.clone(), kind),
        }
    }
}

impl Stores {
    /// Begins to watch everything. Releases themselves are watched by whoever gives `releases`.
    pub(super) fn watch(scope: &Scope, releases: Store<Watched>, wake: &Wake) -> Self {
        let services_version = Arc::<AtomicU64>::default();
        let on_service = {
            let (version, releases, wake) = (Arc::clone(&services_version), releases.clone(), wake.clone());
            move |service: Option<&Service>| {
                version.fetch_add(1, Ordering::Relaxed);
                if let Some(service) = service {
                    wake_releases_of(&releases, &wake, service);
                }
            }
        };
        let wake_all_or_owner = || {
            let (releases, wake) = (releases.clone(), wake.clone());
            move |object: Option<&DynamicObject>| {
                if let Some(object) = object {
                    wake_owner_or_all(&releases, &wake, object);
                }
            }
        };
        let routes = [api_resources::virtual_service(), api_resources::destination_rule()].map(|kind| {
            let api = scope.dynamic(&kind);
            (kind, api)
        });
        let plugins = scope.each().map(|scope| {
            let wake = wake.clone();
            let kind = api_resources::wasm_plugin();
            keep(scope.dynamic(&kind), kind, move |plugin| {
                if let Some(plugin) = plugin {
                    wake_attached(&wake, plugin);
                }
            })
        });
        let gateways = scope.each().map(|scope| {
            let kind = api_resources::gateway();
            keep(scope.dynamic(&kind), kind, wake_all_or_owner())
        });
        let sidecars = scope.each().map(|scope| {
            let kind = api_resources::sidecar();
            keep(scope.dynamic(&kind), kind, wake_all_or_owner())
        });
        let on_template = {
            let (releases, wake) = (releases.clone(), wake.clone());
            move |template: Option<&WatchedTemplate>| match template {
                Some(template) => wake_releases_by(&releases, &wake, template),
                None => wake_all(&releases, &wake),
            }
        };
        let pods = scope.each().map(|scope| (scope.namespace.clone(), scope.api()));
        Self {
            deployments: keep_slim(
                scope.api(),
                (),
                Sight::default(),
                only_managers,
                wakes_users(&releases, wake),
            ),
            autoscalers: keep(scope.api(), (), wakes_users(&releases, wake)),
            scaled_objects: OnDemand::new(
                scope.dynamic(&api_resources::scaled_object()),
                api_resources::scaled_object(),
                no_managers,
                wakes_users(&releases, wake),
            ),
            configs: OnDemand::new(scope.api(), (), only_version, |_| {}),
            pods: Pods::watch(pods.collect()),
            services: keep(scope.api(), (), on_service),
            plugins: MultiStore(plugins.collect()),
            routes: RouteIndex::watch(routes.into(), wake_all_or_owner()),
            gateways: MultiStore(gateways.collect()),
            sidecars: MultiStore(sidecars.collect()),
            templates: keep(scope.api(), (), on_template),
            namespaces: scope.namespace.is_none().then(|| keep(Api::all(scope.client.clone()), (), |_| {})),
            services_version,
            releases,
        }
    }

    /// Another number whenever a Service has changed.
    pub(super) fn services_version(&self) -> u64 {
        self.services_version.load(Ordering::Relaxed)
    }

    /// Waits until every store knows all there is. For one task alone, that of the controller: of several that wait, a
    /// store wakes only the last (`kube_runtime`'s `DelayedInit` has one waker).
    pub(super) async fn ready(&self) {
        // A writer lives as long as the process: its task does not end.
        let _ = tokio::join!(
            self.releases.wait_until_ready(),
            self.deployments.wait_until_ready(),
            self.autoscalers.wait_until_ready(),
            self.pods.wait_until_ready(),
            self.services.wait_until_ready(),
            self.plugins.wait_until_ready(),
            self.routes.wait_until_ready(),
            self.gateways.wait_until_ready(),
            // No right to see them is no reason to wait forever.
            tokio::time::timeout(OPTIONAL, self.sidecars.wait_until_ready()),
            tokio::time::timeout(OPTIONAL, self.templates.wait_until_ready()),
            tokio::time::timeout(OPTIONAL, async {
                match &self.namespaces {
                    Some(namespaces) => namespaces.wait_until_ready().await.is_ok(),
                    None => true,
                }
            }),
        );
    }
}

/// Leaves of the fields that somebody manages only who does, and since when.
fn only_managers(meta: &mut ObjectMeta) {
    for entry in meta.managed_fields.iter_mut().flatten() {
        entry.fields_v1 = None;
    }
}

/// Leaves out who manages which field.
fn no_managers(meta: &mut ObjectMeta) {
    meta.managed_fields = None;
}

/// Leaves out what has no bound.
fn only_version(meta: &mut ObjectMeta) {
    (meta.managed_fields, meta.annotations) = (None, None);
}

/// Keeps a store of all objects that `api` has. `on_change` is given what has changed, or nothing when all of it may have.
fn keep<K>(api: Api<K>, kind: K::DynamicType, on_change: impl Fn(Option<&K>) + Send + 'static) -> Store<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Clone + Eq + Hash + Send + Sync,
{
    keep_slim(api, kind, Sight::default(), no_managers, on_change)
}

/// The same, without what `slim` takes out of their metadata. `sight` is told whether all of
/// them are known.
pub(super) fn keep_slim<K>(
    api: Api<K>,
    kind: K::DynamicType,
    sight: Sight,
    slim: fn(&mut ObjectMeta),
    on_change: impl Fn(Option<&K>) + Send + 'static,
) -> Store<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Clone + Eq + Hash + Send + Sync,
{
    let mut writer = Writer::new(kind);
    let store = writer.as_reader();
    let mut events = watch(api, sight.clone()).boxed();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            let event = event.modify(|object: &mut K| slim(object.meta_mut()));
            writer.apply_watcher_event(&event);
            match event {
                Event::Apply(object) | Event::Delete(object) => on_change(Some(&object)),
                Event::InitDone => {
                    sight.set(Ok(()));
                    on_change(None);
                }
                Event::Init | Event::InitApply(_) => {}
            }
        }
    });
    store
}

/// Wakes the releases that use the Deployment or autoscaler it is given.
fn wakes_users<K: Resource>(releases: &Store<Watched>, wake: &Wake) -> impl Fn(Option<&K>) + use<K> {
    let (releases, wake) = (releases.clone(), wake.clone());
    move |used| {
        if let Some(used) = used {
            wake_users(&releases, &wake, used.namespace().as_deref(), &used.name_any());
        }
    }
}

fn wake_users(releases: &Store<Watched>, wake: &Wake, namespace: Option<&str>, name: &str) {
    for release in releases.state() {
        let Ok(release) = &release.0 else { continue };
        let spec = &release.spec;
        let uses = [&spec.stable, &spec.canary].into_iter().any(|version| {
            version.target_ref.as_ref().is_some_and(|target| target.name == name)
                || version.autoscaler_ref.as_ref().is_some_and(|autoscaler| autoscaler.name == name)
        });
        if uses && release.namespace().as_deref() == namespace {
            send(wake, ObjectRef::new(&release.name_any()).within(namespace.unwrap_or_default()));
        }
    }
}

/// Wakes the releases that use a Service.
fn wake_releases_of(releases: &Store<Watched>, wake: &Wake, service: &Service) {
    let (name, namespace) = (service.name_any(), service.namespace());
    for release in releases.state() {
        let Ok(object) = &release.0 else { continue };
        let spec = &object.spec;
        let of_versions =
            [&spec.stable, &spec.canary].into_iter().filter_map(|version| version.service.as_ref());
        let mut names = of_versions.map(|service| &service.name).chain(&spec.service.name);
        if names.any(|one| *one == name) && object.namespace() == namespace {
            send(wake, ObjectRef::from_obj(&*release));
        }
    }
}

/// Wakes the releases that are judged by a template.
fn wake_releases_by(releases: &Store<Watched>, wake: &Wake, template: &WatchedTemplate) {
    let (name, namespace) = (template.name_any(), template.namespace());
    for release in releases.state() {
        let Ok(object) = &release.0 else { continue };
        let mut references =
            object.spec.analysis.metrics.iter().flatten().filter_map(|metric| metric.template_ref.as_ref());
        let is_meant = |reference: &TemplateRef| {
            reference.name == name && reference.namespace.clone().or_else(|| object.namespace()) == namespace
        };
        if references.any(is_meant) {
            send(wake, ObjectRef::from_obj(&*release));
        }
    }
}

/// Wakes the release that a plugin, a route or a gateway belongs to, or all: anybody's may stand in the way.
fn wake_owner_or_all(releases: &Store<Watched>, wake: &Wake, object: &DynamicObject) {
    if let (Some(name), Some(namespace)) = (object.labels().get(RELEASE_LABEL), object.namespace()) {
        send(wake, ObjectRef::new(name).within(&namespace));
        return;
    }
    wake_all(releases, wake);
}

/// Wakes all releases.
pub(super) fn wake_all(releases: &Store<Watched>, wake: &Wake) {
    for release in releases.state() {
        send(wake, ObjectRef::from_obj(&*release));
    }
}

/// Wakes all releases that have a policy in a plugin.
fn wake_attached(wake: &Wake, plugin: &DynamicObject) {
    let policies = plugin.data.pointer("/spec/pluginConfig/policies").and_then(Value::as_array);
    let names = policies.into_iter().flatten().filter_map(contents::name);
    for (namespace, name) in names.filter_map(|name| name.split_once('/')) {
        send(wake, ObjectRef::new(name).within(namespace));
    }
}

fn send(wake: &Wake, release: ObjectRef<Watched>) {
    // The receiver lives as long as the controller.
    let _ = wake.send(release);
}
