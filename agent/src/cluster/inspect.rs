/*!
A cluster and a Release as somebody finds them who only looks, with rights of their own: for `serin doctor`. Nothing is
written, and no agent has to be there.
*/
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Api, ListParams};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::{Client, ResourceExt};
use serde_json::Value;
use serin_policy::Arm;
use tokio::time::sleep;

use super::leader::{DURATION, EVERY, LEASE};
use super::pods::KnownPod;
pub use super::requirements::lacking;
use super::{api_resources, crd};
use crate::mesh::object::{Labels, Ownership, labels, owned, selects};
use crate::mesh::routing::istio::ROOT_NAMESPACE;
use crate::mesh::routing::{hosts_had_by, hosts_of, object_name};
use crate::preflight::{self, Entrance, Finding, Subject};
use serin_release::delivery::AttachPoint;
use serin_release::{FoundTemplate, MetricTemplate, Release, ReleaseObject};

/// What is wrong with the cluster's CustomResourceDefinitions: those that are not there, or lack a field that this version of
/// Serin has.
///
/// # Errors
/// When they may not be read.
pub async fn wrong_crds(client: &Client) -> kube::Result<Vec<String>> {
    let kind = ApiResource {
        group: "apiextensions.k8s.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "apiextensions.k8s.io/v1".to_owned(),
        kind: "CustomResourceDefinition".to_owned(),
        plural: "customresourcedefinitions".to_owned(),
    };
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
    let mut wrong = Vec::new();
    for wanted in crd::definitions() {
        let name = wanted["metadata"]["name"].as_str().unwrap_or_default();
        let Some(found) = api.get_opt(name).await? else {
            wrong.push(format!("{name} is not there"));
            continue;
        };
        let schema = |definition: &Value| definition["versions"][0]["schema"]["openAPIV3Schema"].clone();
        let lacking = lacking_field(&schema(&found.data["spec"]), &schema(&wanted["spec"]));
        wrong.extend(lacking.map(|field| format!("{name} is older than this command: it lacks {field}")));
    }
    Ok(wrong)
}

/// The first field of the schema `wanted` that `found` does not have. What else there is to a schema, the API server writes
/// in its own way.
fn lacking_field(found: &Value, wanted: &Value) -> Option<String> {
    for (name, wanted) in wanted["properties"].as_object().into_iter().flatten() {
        let Some(found) = found["properties"].get(name) else { return Some(name.clone()) };
        if let Some(within) = lacking_field(found, wanted) {
            return Some(format!("{name}.{within}"));
        }
    }
    ["items", "additionalProperties"]
        .into_iter()
        .find_map(|keyword| lacking_field(&found[keyword], wanted.get(keyword)?))
}

/// Which agent leads, by the Lease in `namespace`; none where the Lease is not renewed while it is looked at, or is not
/// there.
///
/// # Errors
/// When it may not be read.
pub async fn leader(client: &Client, namespace: &str) -> kube::Result<Option<String>> {
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let Some(first) = api.get_opt(LEASE).await? else { return Ok(None) };
    let began = Instant::now();
    // Nobody's clock is compared with another's.
    while began.elapsed() < DURATION {
        sleep(EVERY / 4).await;
        let Some(present) = api.get_opt(LEASE).await? else { return Ok(None) };
        if present.resource_version() != first.resource_version() {
            return Ok(present.spec.and_then(|spec| spec.holder_identity));
        }
    }
    Ok(None)
}

/// Looks at all that is around a Release, as an agent does before it writes anything.
///
/// # Errors
/// When its spec makes no sense, or something may not be read: the text says what.
pub async fn around(client: &Client, object: &ReleaseObject) -> anyhow::Result<Vec<Finding>> {
    let namespace = object.namespace().unwrap_or_default();
    let object = with_templates(client, object).await?;
    let (release, delivery) = Release::from_object(&object, "none")?;
    let services: Api<Service> = Api::namespaced(client.clone(), &namespace);
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    let service = async |name: Option<&str>| match name {
        Some(name) => services.get_opt(name).await.context("services may not be read"),
        None => Ok(None),
    };
    let deployment =
        async |name: &str| deployments.get_opt(name).await.context("deployments may not be read");
    let own = |arm| delivery.routing.services.as_ref().map(|services| services.of(arm));
    let (found, of_stable, of_canary, stable, canary) = tokio::try_join!(
        service(Some(&release.service.name)),
        service(own(Arm::Stable)),
        service(own(Arm::Canary)),
        deployment(&delivery.stable.deployment),
        deployment(&delivery.canary.deployment),
    )?;
    let (virtual_services, rules, sidecars) = tokio::try_join!(
        all(client, api_resources::virtual_service()),
        all(client, api_resources::destination_rule()),
        all(client, api_resources::sidecar()),
    )?;
    let hosts = hosts_of(&release, &delivery.routing);
    let concerns = |route: &Arc<Value>| {
        hosts_had_by(route).iter().any(|host| host.starts_with('*') || hosts.contains(host))
    };
    let own_name = object_name(&object.name_any());
    let is_own = |route: &&Arc<Value>| {
        route["metadata"]["namespace"] == *namespace && route["metadata"]["name"] == *own_name
    };
    let taken_over = virtual_services.iter().find(is_own).is_some_and(|own| owned(own) == Ownership::Ours);
    let routes: Vec<_> = virtual_services.into_iter().chain(rules).filter(concerns).collect();
    let mut entrances = Vec::new();
    for point in &delivery.routing.attach_points {
        entrances.push(entrance(client, point).await?);
    }
    let is_callers =
        |of: &Value| {
            *of == ROOT_NAMESPACE
                || delivery.routing.attach_points.iter().any(
                    |point| matches!(point, AttachPoint::Sidecars { namespace } if of == namespace.as_str()),
                )
        };
    let sidecars: Vec<_> =
        sidecars.into_iter().filter(|sidecar| is_callers(&sidecar["metadata"]["namespace"])).collect();
    let report = preflight::check(&Subject {
        release: &release,
        delivery: &delivery,
        service: found.as_ref(),
        version_services: [of_stable.as_ref(), of_canary.as_ref()],
        stable: stable.as_ref(),
        canary: canary.as_ref(),
        routes: &routes,
        sidecars: &sidecars,
        entrances: &entrances,
        cluster_domain: None,
        taken_over,
        now: Timestamp::now(),
    });
    Ok(report.findings)
}

/// What people have around a Service, as it is.
#[derive(Debug, Default)]
pub struct Neighbours {
    /// VirtualServices and DestinationRules.
    pub routes: Vec<Arc<Value>>,
    /// KEDA's `ScaledObject`s of the namespace; none where KEDA is not.
    pub scaled_objects: Vec<Arc<Value>>,
    /// Whether the routes are those of all namespaces. Whoever may not see them all gets those of the namespace alone.
    pub sees_all: bool,
}

/// The routes of all namespaces, and what scales the Deployments of `namespace` besides Kubernetes' own autoscalers.
///
/// # Errors
/// When even the routes of the namespace may not be read.
pub async fn neighbours(client: &Client, namespace: &str) -> anyhow::Result<Neighbours> {
    let scaled_objects = within(client, namespace, api_resources::scaled_object()).await.unwrap_or_default();
    let mut found = Neighbours { sees_all: true, scaled_objects, ..Neighbours::default() };
    for kind in [api_resources::virtual_service(), api_resources::destination_rule()] {
        if let Ok(routes) = all(client, kind.clone()).await {
            found.routes.extend(routes);
        } else {
            found.sees_all = false;
            found.routes.extend(within(client, namespace, kind).await?);
        }
    }
    Ok(found)
}

/// Serin's `WasmPlugin`s wherever a Release's requests may come in: of all namespaces, or where these may not be read of its
/// own, its Gateways' and its callers'.
///
/// # Errors
/// When those of one may not be read either.
pub async fn plugins(client: &Client, object: &ReleaseObject) -> anyhow::Result<Vec<Arc<Value>>> {
    let kind = api_resources::wasm_plugin();
    let is_ours = |plugin: &Arc<Value>| owned(plugin) == Ownership::Ours;
    if let Ok(found) = all(client, kind.clone()).await {
        return Ok(found.into_iter().filter(is_ours).collect());
    }
    let own = object.namespace().unwrap_or_default();
    let routing = &object.spec.routing;
    let of_gateways =
        routing.gateways.iter().filter_map(|gateway| Some(gateway.split_once('/')?.0.to_owned()));
    let of_callers = routing.mesh_namespaces.iter().flatten().cloned();
    let namespaces: BTreeSet<_> = of_gateways.chain(of_callers).chain([own]).collect();
    let mut found = Vec::new();
    for namespace in &namespaces {
        found.extend(within(client, namespace, kind.clone()).await?);
    }
    found.retain(is_ours);
    Ok(found)
}

/// The Release with its MetricTemplates, which are asked for one by one.
async fn with_templates(client: &Client, object: &ReleaseObject) -> anyhow::Result<ReleaseObject> {
    let own = object.namespace().unwrap_or_default();
    let metrics = object.spec.analysis.metrics.iter().flatten();
    let mut found = Vec::new();
    for reference in metrics.filter_map(|metric| metric.template_ref.as_ref()) {
        let namespace = reference.namespace.as_ref().unwrap_or(&own);
        let api: Api<MetricTemplate> = Api::namespaced(client.clone(), namespace);
        let template = api.get_opt(&reference.name).await.context("metrictemplates may not be read")?;
        found.extend(template.map(|template| ((namespace.clone(), reference.name.clone()), template.spec)));
    }
    let whole = object.with_templates(|reference, namespace| {
        let is_it = |((of, name), _): &&((String, String), _)| of == namespace && *name == reference.name;
        found
            .iter()
            .find(is_it)
            .map_or(FoundTemplate::Missing, |(_, spec)| FoundTemplate::There(Box::new(spec.clone())))
    })?;
    Ok(whole)
}

/// How it is where requests come in.
async fn entrance(client: &Client, point: &AttachPoint) -> anyhow::Result<Entrance> {
    let (pods, selector): (Api<Pod>, Labels) = match point {
        AttachPoint::Sidecars { namespace } => (Api::namespaced(client.clone(), namespace), Labels::new()),
        AttachPoint::Gateway { namespace, name } => {
            let gateways: Api<DynamicObject> =
                Api::namespaced_with(client.clone(), namespace, &api_resources::gateway());
            let gateway = gateways.get_opt(name).await.context("gateways may not be read")?;
            let gateway = gateway.with_context(|| format!("there is no Gateway {namespace}/{name}"))?;
            (Api::all(client.clone()), labels(&gateway.data, "/spec/selector"))
        }
    };
    let wanted = selector.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",");
    let found = pods.list(&ListParams::default().labels(&wanted)).await.context("pods may not be read")?;
    let known = found.items.iter().map(KnownPod::from);
    let proxies: Vec<_> =
        known.filter(|pod| pod.proxy.is_some() && selects(&selector, &pod.labels)).collect();
    let mut namespaces: Vec<_> = proxies.iter().map(|pod| pod.namespace.clone()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    if let (true, AttachPoint::Gateway { namespace, .. } | AttachPoint::Sidecars { namespace }) =
        (namespaces.is_empty(), point)
    {
        namespaces.push(namespace.clone());
    }
    Ok(Entrance { point: point.clone(), namespaces, has_proxies: !proxies.is_empty() })
}

/// All objects of one of Istio's kinds.
async fn all(client: &Client, kind: ApiResource) -> anyhow::Result<Vec<Arc<Value>>> {
    let api = Api::all_with(client.clone(), &kind);
    list(&api, &kind).await.with_context(|| format!("{} of all namespaces may not be read", kind.plural))
}

/// All objects of a kind in one namespace.
async fn within(client: &Client, namespace: &str, kind: ApiResource) -> anyhow::Result<Vec<Arc<Value>>> {
    let api = Api::namespaced_with(client.clone(), namespace, &kind);
    list(&api, &kind).await.with_context(|| format!("{} of {namespace} may not be read", kind.plural))
}

async fn list(api: &Api<DynamicObject>, kind: &ApiResource) -> kube::Result<Vec<Arc<Value>>> {
    let json = |object: DynamicObject| {
        // Lists leave the kind out.
        let mut json = api_resources::json(&object);
        json["kind"] = kind.kind.clone().into();
        Arc::new(json)
    };
    Ok(api.list(&ListParams::default()).await?.items.into_iter().map(json).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_older_definition_lacks_a_field() {
        let of = |fields: Value| json!({"properties": {"spec": {"properties": {"steps": {"items": {"properties": fields}}}}}});
        let wanted = of(json!({"weight": {}, "pause": {}}));
        for (found, expected) in [
            (of(json!({"weight": {}, "pause": {}, "more": {}})), None),
            (of(json!({"weight": {}})), Some("spec.steps.pause")),
            (json!({}), Some("spec")),
        ] {
            assert_eq!(lacking_field(&found, &wanted).as_deref(), expected, "{found}");
        }
    }
}
