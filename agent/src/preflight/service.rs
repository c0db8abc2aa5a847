/*!
The Service: whether it is there, has the port, and speaks HTTP as Istio sees it; and whether Services of the versions'
own have its ports.
*/
use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{PodSpec, Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Findings, Severity, Subject, Version};
use crate::mesh::object::Labels;
use crate::mesh::routing::Ports;

/// Looks at the Service. Returns its ports, if it has the one that is needed.
pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) -> Option<Ports> {
    let name = &subject.release.service.name;
    let at = format!("Service {name}");
    let Some(Service { spec: Some(spec), .. }) = subject.service else {
        let what = format!("there is none in {}", subject.namespace());
        found.error(at, what, "create it, or name another in spec.service.name");
        return None;
    };
    if let Some((what, mend)) = unfit(spec, "spec.service.name", subject) {
        found.error(at, what, mend);
        return None;
    }
    let main = main(&at, spec, subject.release.service.port, found)?;
    check_protocol(&at, main, subject, found);
    let tcp = spec.ports.iter().flatten().filter(|port| {
        number(port) != number(main) && matches!(protocol(port), Protocol::Http | Protocol::Guessed)
    });
    let others: BTreeSet<_> = tcp.clone().filter_map(number).collect();
    for version in subject.versions() {
        let http =
            std::iter::once((main, Severity::Error)).chain(tcp.clone().map(|port| (port, Severity::Warning)));
        check_ports(subject, &version, http, found);
    }
    Some(Ports { main: number(main)?, others: others.into_iter().collect() })
}

/// Looks at the Service by which a version's pods are reached: it has the ports that are led to, and these lead on. One that
/// Serin makes has them.
fn check_ports<'p>(
    subject: &Subject<'_>,
    version: &Version<'_>,
    ports: impl Iterator<Item = (&'p ServicePort, Severity)>,
    found: &mut Findings,
) {
    // That of Serin's has, or gets, the ports of the one that the Release is for.
    let is_serins = version.has_a_service_of_serins(subject);
    let (name, service) = if is_serins {
        (subject.release.service.name.as_str(), subject.service)
    } else {
        (version.service_name, version.service)
    };
    let at = format!("Service {name}");
    let Some(Service { spec: Some(spec), .. }) = service else { return };
    if name != subject.release.service.name
        && let Some((what, mend)) =
            unfit(spec, &format!("spec.{}.service.name", version.arm.as_str()), subject)
    {
        found.error(at, what, mend);
        return;
    }
    for (wanted, severity) in ports {
        match spec.ports.iter().flatten().find(|port| port.port == wanted.port) {
            Some(port) => check_target(&at, port, version, severity, found),
            None => found.error(
                &at,
                format!("has no port {}, to which requests for this version go", wanted.port),
                format!("give it the ports of Service {}", subject.release.service.name),
            ),
        }
    }
}

/// Why a Service of this kind, named in `field`, cannot be released.
fn unfit(spec: &ServiceSpec, field: &str, subject: &Subject<'_>) -> Option<(&'static str, String)> {
    if spec.type_.as_deref() == Some("ExternalName") {
        return Some((
            "is an ExternalName: it has no pods of its own, and no version can be chosen among them",
            format!("name the Service that selects the pods in {field}"),
        ));
    }
    if spec.selector.as_ref().is_none_or(Labels::is_empty) {
        return Some((
            "has no selector: its endpoints have no labels, and subsets would be empty",
            "give it a spec.selector that its pods meet".to_owned(),
        ));
    }
    // A Gateway looks endpoints up in any case.
    (spec.cluster_ip.as_deref() == Some("None") && subject.is_called_inside()).then(|| {
        (
            "is headless: callers connect to the pods' own addresses, and no route applies",
            format!(
                "name a Service with a cluster IP in {field}; a second one beside the headless one will do"
            ),
        )
    })
}

/// The port that Gateways lead to.
fn main<'s>(
    at: &str,
    spec: &'s ServiceSpec,
    wanted: Option<u16>,
    found: &mut Findings,
) -> Option<&'s ServicePort> {
    let ports = spec.ports.as_deref().unwrap_or_default();
    let main = main_port(spec, wanted);
    if main.is_none() {
        let list: Vec<_> = ports.iter().map(spelled).collect();
        let what = match (wanted, list.as_slice()) {
            (_, []) => "has no ports".to_owned(),
            (Some(wanted), _) => format!("has no port {wanted}, only {}", list.join(", ")),
            (None, _) => format!("has several ports, {}, and the Release names none", list.join(", ")),
        };
        found.error(at, what, "give spec.service.port the one that speaks HTTP");
    }
    main
}

/// The port that requests for a Release come to, which has `wanted` one or leaves it to the Service.
pub fn main_port(spec: &ServiceSpec, wanted: Option<u16>) -> Option<&ServicePort> {
    let ports = spec.ports.as_deref().unwrap_or_default();
    let with = |wanted: u16| ports.iter().find(|port| number(port) == Some(wanted));
    match (wanted, ports) {
        (Some(wanted), _) => with(wanted),
        (None, [only]) => Some(only),
        (None, _) => with(80),
    }
}

fn number(port: &ServicePort) -> Option<u16> {
    u16::try_from(port.port).ok()
}

fn spelled(port: &ServicePort) -> String {
    match &port.name {
        Some(name) => format!("{} ({name})", port.port),
        None => port.port.to_string(),
    }
}

fn check_protocol(at: &str, port: &ServicePort, subject: &Subject<'_>, found: &mut Findings) {
    // A Gateway's own port says what is spoken there.
    if !subject.is_called_inside() {
        return;
    }
    let says = match (&port.app_protocol, &port.name) {
        (Some(protocol), _) => format!("by its appProtocol {protocol:?}"),
        (None, Some(name)) => format!("by its name {name:?}"),
        (None, None) => "by its number".to_owned(),
    };
    let mend = "give it appProtocol: http, http2 or grpc, or a name that begins so";
    match protocol(port) {
        Protocol::Http => {}
        Protocol::Guessed => found.warning(
            at,
            format!("port {} does not say what is spoken there, and Istio has to guess", port.port),
            mend,
        ),
        Protocol::Other(protocol) => found.error(
            at,
            format!(
                "port {} is {protocol} to Istio {says}, and sidecars route only HTTP by headers",
                port.port
            ),
            mend,
        ),
    }
}

/// Pods whose containers do not have a port that the Service names are no endpoints of it.
fn check_target(
    at: &str,
    port: &ServicePort,
    version: &Version<'_>,
    severity: Severity,
    found: &mut Findings,
) {
    let Some(IntOrString::String(target)) = &port.target_port else { return };
    let pods = version.deployment.and_then(|deployment| deployment.spec.as_ref()?.template.spec.as_ref());
    let Some(pods) = pods.filter(|pods| !has_port(pods, target)) else { return };
    let containers: Vec<_> = pods.containers.iter().map(|container| container.name.as_str()).collect();
    let deployment = &version.target.deployment;
    found.add(
        severity,
        at,
        format!(
            "port {} leads to the containers' port {target:?}, and no container of Deployment {deployment} has one of \
             that name: its pods would get no requests",
            port.port
        ),
        format!("name a port of {} so, or give targetPort a number", containers.join(" or ")),
    );
}

fn has_port(pods: &PodSpec, name: &str) -> bool {
    let containers = pods.containers.iter().chain(pods.init_containers.iter().flatten());
    containers
        .flat_map(|container| container.ports.iter().flatten())
        .any(|port| port.name.as_deref() == Some(name))
}

/// What Istio takes a port for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http,
    /// Nothing says; by what comes.
    Guessed,
    Other(&'static str),
}

/// The protocol by Istio's rules (`ConvertProtocol` in its `pkg/config/kube/conversion.go`).
fn protocol(port: &ServicePort) -> Protocol {
    /// Of mail, names and two databases: servers there may speak first.
    const NEVER_GUESSED: [i32; 4] = [25, 53, 3306, 27017];
    match port.protocol.as_deref() {
        Some("UDP") => return Protocol::Other("UDP"),
        Some("SCTP") => return Protocol::Other("SCTP"),
        _ => {}
    }
    match port.app_protocol.as_deref() {
        Some("kubernetes.io/h2c" | "kubernetes.io/ws") => return Protocol::Http,
        Some("kubernetes.io/wss") => return Protocol::Other("HTTPS"),
        _ => {}
    }
    let says = port.app_protocol.as_ref().or(port.name.as_ref()).map(|says| says.to_ascii_lowercase());
    let says = says.unwrap_or_default();
    match says.split_once('-').map_or(says.as_str(), |(first, _)| first) {
        // With what begins with `grpc-web`.
        "http" | "http2" | "http_proxy" | "grpc" => Protocol::Http,
        "https" => Protocol::Other("HTTPS"),
        "tls" => Protocol::Other("TLS"),
        "tcp" => Protocol::Other("TCP"),
        "udp" => Protocol::Other("UDP"),
        "mongo" => Protocol::Other("MongoDB"),
        "redis" => Protocol::Other("Redis"),
        "mysql" => Protocol::Other("MySQL"),
        _ if NEVER_GUESSED.contains(&port.port) => Protocol::Other("TCP"),
        _ => Protocol::Guessed,
    }
}
