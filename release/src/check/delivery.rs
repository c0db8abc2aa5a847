/*!
The part of a Release that only a cluster gives meaning to.
*/
use serin_policy::rule::LABEL;

use super::{Problems, Scalar, few, hooks, label, mirror, notifications, quoted, routes, span};
use crate::delivery::{
    AttachPoint, Autoscaler, AutoscalerKind, Delivery, Mode, Named, PodTemplate, PromotionMode, Routing,
    Target, VersionServices,
};
use crate::prometheus::Settings;
use crate::{resource, rule};

/// The word for the callers' sidecars among gateways, as Istio has it.
pub(super) const MESH: &str = "mesh";

pub(super) struct Parts<'r> {
    pub(super) namespace: &'r str,
    /// The name of the service, if it has one.
    pub(super) service: &'r str,
    pub(super) stable: &'r resource::Version,
    pub(super) canary: &'r resource::Version,
    pub(super) routing: &'r resource::Routing,
    pub(super) overrides: &'r [resource::Override],
    pub(super) has_faults: bool,
    pub(super) has_versions: bool,
    pub(super) pod_template: &'r PodTemplate,
    pub(super) strategy: &'r resource::Strategy,
    pub(super) suspended: bool,
    pub(super) prometheus: Option<&'r Settings>,
    pub(super) hooks: &'r [resource::Hook],
    pub(super) notifications: &'r [resource::Notification<resource::SecretKey>],
}

pub(super) fn check(parts: &Parts<'_>, problems: &mut Problems) -> Delivery {
    let stable = target("spec.stable", parts.stable, problems);
    let canary = target("spec.canary", parts.canary, problems);
    if stable.deployment == canary.deployment && parts.stable.target_ref.is_some() {
        let (path, value) = ("spec.canary.targetRef.name", quoted(Some(&canary.deployment)));
        problems.add(path, value, rule::OTHER_DEPLOYMENT);
    }
    let strategy = strategy(parts.strategy);
    let of_strategy = |field: &str| format!("spec.strategy.{}.{field}", strategy.name);
    let promotion = parts.strategy.promotion();
    if promotion == PromotionMode::Swap && parts.routing.mode == Mode::Verify {
        problems.add(of_strategy("promotion.mode"), "Swap", rule::SWAP_NEEDS_MANAGED);
    }
    if parts.has_faults && parts.routing.mode == Mode::Verify {
        problems.add("spec.faults", "Verify", rule::FAULTS_NEED_MANAGED);
    }
    if parts.has_versions {
        problems.add("spec.versions", "in a cluster", rule::versions::NOT_IN_CLUSTER);
    }
    if let Some((path, _)) = mirror::found(parts.strategy).filter(|_| parts.routing.mode == Mode::Verify) {
        problems.add(path, "Verify", rule::mirror::NEEDS_MANAGED);
    }
    if parts.pod_template.config_tracking && promotion != PromotionMode::Copy {
        problems.add("spec.podTemplate.configTracking", "true", rule::TRACKING_NEEDS_COPY);
    }
    let services = services(parts, problems);
    if promotion == PromotionMode::Swap && services.is_some() {
        problems.add(of_strategy("promotion.mode"), "Swap", rule::SWAP_NEEDS_SUBSETS);
    }
    let (delay, deadline) = (of_strategy("scaleDownDelay"), of_strategy("progressDeadline"));
    Delivery {
        stable,
        canary,
        pod_template: pod_template(parts.pod_template, problems),
        promotion,
        scale_down_delay: span(&delay, &strategy.scale_down_delay, &rule::UP_TO_A_DAY, problems),
        progress_deadline: span(&deadline, &strategy.progress_deadline, &rule::DEADLINE, problems),
        suspended: parts.suspended,
        routing: Routing { services, ..routing(parts, problems) },
        prometheus: parts.prometheus.map(|settings| named(settings, problems)),
        hooks: hooks::check(parts, problems),
        notifications: notifications::check(parts.notifications, problems),
    }
}

/// What every strategy says of pods.
struct OfPods {
    /// The strategy's field.
    name: &'static str,
    scale_down_delay: Scalar,
    progress_deadline: Scalar,
}

fn strategy(found: &resource::Strategy) -> OfPods {
    if let Some(resource::BlueGreen { scale_down_delay, progress_deadline, .. }) = found.blue_green.clone() {
        return OfPods { name: "blueGreen", scale_down_delay, progress_deadline };
    }
    let resource::Canary { scale_down_delay, progress_deadline, .. } =
        found.canary.clone().unwrap_or_default();
    OfPods { name: "canary", scale_down_delay, progress_deadline }
}

/// The Service of each version, if each has one.
fn services(parts: &Parts<'_>, problems: &mut Problems) -> Option<VersionServices> {
    let name = |path: &str, service: &resource::VersionService, problems: &mut Problems| {
        label(&format!("{path}.service.name"), Some(service.name.clone()), problems)
    };
    let stable = parts.stable.service.as_ref().map(|service| name("spec.stable", service, problems));
    let Some(canary) = parts.canary.service.as_ref().map(|service| name("spec.canary", service, problems))
    else {
        if let Some(stable) = stable {
            problems.add("spec.stable.service", quoted(Some(&stable)), rule::SERVICE_OF_EACH);
        }
        return None;
    };
    if canary == parts.service || stable.as_ref() == Some(&canary) {
        problems.add("spec.canary.service.name", quoted(Some(&canary)), rule::OTHER_SERVICE);
    }
    Some(VersionServices { stable: stable.unwrap_or_else(|| parts.service.to_owned()), canary })
}

fn named(settings: &Settings, problems: &mut Problems) -> Named {
    let Settings { source, address, headers, bearer_token_file, basic_auth, ca_file, insecure_skip_verify } =
        settings;
    let of_operator = [
        ("address", !address.is_empty()),
        ("headers", !headers.is_empty()),
        ("bearerTokenFile", bearer_token_file.is_some()),
        ("basicAuth", basic_auth.is_some()),
        ("caFile", ca_file.is_some()),
        ("insecureSkipVerify", *insecure_skip_verify),
    ];
    if let Some((field, _)) = of_operator.into_iter().find(|(_, is_there)| *is_there) {
        return Named::ByAddress(field);
    }
    let name = source.clone().or_else(|| Some(DEFAULT_SOURCE.to_owned()));
    Named::Source(label("spec.analysis.prometheus.source", name, problems))
}

/// The source of a Release that names none.
pub(super) const DEFAULT_SOURCE: &str = "default";

fn target(path: &str, version: &resource::Version, problems: &mut Problems) -> Target {
    let name = version.target_ref.as_ref().map(|target| target.name.clone());
    if let Some(target) = &version.target_ref {
        kind(&format!("{path}.targetRef.kind"), &target.kind, rule::DEPLOYMENT, problems);
    }
    let autoscaler = version.autoscaler_ref.as_ref();
    Target {
        deployment: label(&format!("{path}.targetRef.name"), name, problems),
        autoscaler: autoscaler.map(|found| autoscaler_of(path, found, problems)),
        traffic_policy: version.traffic_policy.clone(),
        headers: version.headers.clone(),
    }
}

fn autoscaler_of(path: &str, found: &resource::AutoscalerRef, problems: &mut Problems) -> Autoscaler {
    let [own, kedas] = rule::AUTOSCALERS;
    let kind = match &found.kind {
        kind if kind == kedas => AutoscalerKind::ScaledObject,
        kind => {
            if kind != own {
                problems.add(format!("{path}.autoscalerRef.kind"), quoted(Some(kind)), rule::AUTOSCALER);
            }
            AutoscalerKind::HorizontalPodAutoscaler
        }
    };
    Autoscaler { kind, name: found.name.clone() }
}

fn pod_template(found: &PodTemplate, problems: &mut Problems) -> PodTemplate {
    for (field, patterns) in
        [("ignoredAnnotations", &found.ignored_annotations), ("versionLabels", &found.version_labels)]
    {
        let path = format!("spec.podTemplate.{field}");
        few(&path, patterns.len(), rule::MAX_PATTERNS, problems);
        let is_wrong = |pattern: &str| {
            let name = pattern.strip_suffix('*').unwrap_or(pattern);
            !rule::KEY_PATTERN.accepts(pattern) || name.contains('*')
        };
        for (i, pattern) in patterns.iter().enumerate().filter(|(_, it)| is_wrong(it)) {
            problems.add(format!("{path}[{i}]"), quoted(Some(pattern)), rule::KEY_PATTERN.hint());
        }
    }
    found.clone()
}

fn kind(path: &str, found: &str, wanted: &str, problems: &mut Problems) {
    if found != wanted {
        problems.add(path, quoted(Some(found)), format!("write {wanted}"));
    }
}

fn routing(parts: &Parts<'_>, problems: &mut Problems) -> Routing {
    let Parts { namespace, routing: resource, .. } = *parts;
    let mut attach_points = Vec::new();
    let mut add = |point: AttachPoint, path: String, problems: &mut Problems| {
        if attach_points.contains(&point) {
            problems.add(path, point.to_string(), "list every place once");
        } else {
            attach_points.push(point);
        }
    };
    if resource.gateways.is_empty() {
        problems.add("spec.routing.gateways", "[]", rule::GATEWAYS);
    }
    few("spec.routing.gateways", resource.gateways.len(), rule::MAX_GATEWAYS, problems);
    if resource.hosts.is_none() && resource.gateways.iter().any(|gateway| gateway != MESH) {
        problems.add("spec.routing.hosts", "missing", rule::HOSTS);
    }
    for (i, gateway) in resource.gateways.iter().enumerate() {
        let path = format!("spec.routing.gateways[{i}]");
        if gateway == MESH {
            let own = [namespace.to_owned()];
            let namespaces = resource.mesh_namespaces.as_deref().unwrap_or(&own);
            few("spec.routing.meshNamespaces", namespaces.len(), rule::MAX_MESH_NAMESPACES, problems);
            for (i, namespace) in namespaces.iter().enumerate() {
                let path = format!("spec.routing.meshNamespaces[{i}]");
                let namespace = label(&path, Some(namespace.clone()), problems);
                add(AttachPoint::Sidecars { namespace }, path, problems);
            }
            continue;
        }
        let (namespace, name) = gateway.split_once('/').unwrap_or((namespace, gateway));
        if LABEL.accepts(namespace) && LABEL.accepts(name) {
            let (namespace, name) = (namespace.to_owned(), name.to_owned());
            add(AttachPoint::Gateway { namespace, name }, path, problems);
        } else {
            problems.add(path, quoted(Some(gateway)), rule::GATEWAY);
        }
    }
    if resource.mesh_namespaces.is_some() && !resource.gateways.iter().any(|gateway| gateway == MESH) {
        let value = "mesh is not among the gateways";
        problems.add("spec.routing.meshNamespaces", value, rule::MESH_NAMESPACES);
    }
    Routing {
        mode: resource.mode,
        attach_points,
        services: None,
        timeout: resource.timeout.clone(),
        retries: resource.retries.clone(),
        fault: resource.fault.clone(),
        cors_policy: resource.cors_policy.clone(),
        headers: resource.headers.clone(),
        rewrite: resource.rewrite.clone(),
        traffic_policy: resource.traffic_policy.clone(),
        http: routes::http(parts, problems),
        tls: routes::of_connections("tls", &resource.tls, parts, problems),
        tcp: routes::of_connections("tcp", &resource.tcp, parts, problems),
        export_to: routes::export_to(parts, problems),
    }
}
