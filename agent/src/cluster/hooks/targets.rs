/*!
Where the requests of a Release's checks go: to the canary's pods, or to those of its Gateway as a tester comes in. Both are
found as the cluster has them, so no name and no address of anybody's is followed.
*/
use std::net::SocketAddr;

use k8s_openapi::api::core::v1::{PodSpec, Service};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::runtime::reflector::ObjectRef;
use serin_release::delivery::AttachPoint;
use serin_release::hook::Check;
use serin_release::resource::Through;

use super::super::api_resources;
use super::super::snapshot::Snapshot;
use super::super::stores::Stores;
use super::super::workloads::get;
use crate::hooks::checks::Target;
use crate::mesh::claims::{Server, servers_for};
use crate::mesh::object::selects;
use crate::preflight::main_port;

/// Where the requests of `check` go, but for the tester's token.
///
/// # Errors
/// Why there is no such place at present, in a sentence.
pub(super) fn find(stores: &Stores, snapshot: &Snapshot, check: &Check) -> Result<Target, String> {
    match check.through {
        Through::Canary => canary(stores, snapshot),
        Through::Gateway => gateway(stores, snapshot),
    }
}

/// The canary's ready pods, at the port to which the Service leads.
fn canary(stores: &Stores, snapshot: &Snapshot) -> Result<Target, String> {
    let (release, pair) = (&snapshot.release, &snapshot.pair);
    let own = snapshot.delivery.routing.services.as_ref();
    let name = own.map_or(&release.service.name, |services| &services.canary);
    let service = get(&stores.services, &pair.namespace, name);
    let port = service.as_deref().and_then(|service| {
        let port = main_port(service.spec.as_ref()?, release.service.port)?;
        target(port.target_port.as_ref(), port.port, pair.canary_pods())
    });
    let port = port.ok_or_else(|| format!("Service {name} leads to no port of the canary's pods"))?;
    let pods = snapshot.canary_pods(stores);
    let places: Vec<_> = pods.iter().filter_map(|pod| Some(SocketAddr::new(pod.ready_at?, port))).collect();
    if places.is_empty() {
        return Err("the canary has no ready pod".to_owned());
    }
    let host = host(snapshot).unwrap_or_else(|| format!("{name}.{}", pair.namespace));
    Ok(Target { places, host, is_tls: false, tester: None, is_own: true })
}

/// The proxies of the first Gateway, at the port at which it serves the Release's first host.
fn gateway(stores: &Stores, snapshot: &Snapshot) -> Result<Target, String> {
    let of_gateway = snapshot.points.iter().find_map(|(point, attached)| match point {
        AttachPoint::Gateway { namespace, name } => Some((namespace, name, attached)),
        AttachPoint::Sidecars { .. } => None,
    });
    let (namespace, name, attached) = of_gateway.ok_or("its Gateway is not there")?;
    let host = host(snapshot).ok_or("spec.routing.hosts has no host without a star to ask for")?;
    let key = ObjectRef::new_with(name, api_resources::gateway()).within(namespace);
    let found = stores.gateways.get(&key).ok_or_else(|| format!("there is no Gateway {namespace}/{name}"))?;
    let servers = servers_for(&found.data, &snapshot.pair.namespace, &host);
    let Server { port, is_tls } =
        servers.into_iter().min_by_key(|server| server.is_tls).ok_or_else(|| {
            format!("Gateway {namespace}/{name} has no server for {host} that does not send on to another")
        })?;
    let places: Vec<_> = attached
        .proxies()
        .map(|(pod, address)| SocketAddr::new(address, listener(stores, &pod.namespace, &pod.labels, port)))
        .collect();
    if places.is_empty() {
        return Err(format!("Gateway {namespace}/{name} has no ready proxy"));
    }
    let header = snapshot.release.overrides.first().map(|found| found.header.clone());
    let tester = header.map(|header| (header, "canary".to_owned()));
    Ok(Target { places, host, is_tls, tester, is_own: false })
}

/// The first of the Release's hosts that is one.
fn host(snapshot: &Snapshot) -> Option<String> {
    snapshot.release.hosts.iter().find(|host| !host.contains('*')).cloned()
}

/// The port at which a Gateway's pods listen for what its Service has at `port`.
fn listener(stores: &Stores, namespace: &str, labels: &crate::mesh::object::Labels, port: u16) -> u16 {
    let leads_here = |service: &Service| {
        let spec = service.spec.as_ref()?;
        let is_in = service.metadata.namespace.as_deref() == Some(namespace);
        let selector = spec.selector.as_ref().filter(|selector| is_in && !selector.is_empty())?;
        selects(selector, labels).then_some(())?;
        let found = spec.ports.iter().flatten().find(|found| found.port == i32::from(port))?;
        target(found.target_port.as_ref(), found.port, None)
    };
    stores.services.state().iter().find_map(|service| leads_here(service)).unwrap_or(port)
}

/// The pods' port to which a Service's leads.
fn target(target: Option<&IntOrString>, port: i32, pods: Option<&PodSpec>) -> Option<u16> {
    let port = match target {
        None => port,
        Some(IntOrString::Int(port)) => *port,
        Some(IntOrString::String(name)) => {
            let containers = pods?.containers.iter();
            let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
            ports.find(|port| port.name.as_ref() == Some(name))?.container_port
        }
    };
    u16::try_from(port).ok()
}
