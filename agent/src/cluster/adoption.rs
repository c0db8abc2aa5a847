/*!
What is known of a release's Service and of everything around it, before anything is written for it.
*/
use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use serin_policy::Arm;

use super::proxies::Attached;
use super::routes::Needed;
use super::snapshot::Snapshot;
use super::workloads::get;
use super::{Cluster, api_resources};
use crate::mesh::object::{Ownership, owned};
use crate::mesh::routing::istio::ROOT_NAMESPACE;
use crate::mesh::routing::{Surroundings, hosts_of, object_name};
use crate::preflight::{self, Entrance, Subject};
use serin_release::delivery::{AttachPoint, Delivery, Mode};
use serin_release::{Release, ReleaseObject};

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Adoption {
    /// What keeps the release from being driven.
    pub(super) errors: Vec<String>,
    /// Whether that passes by itself.
    pub(super) passes: bool,
    /// What its people should know of besides.
    pub(super) warnings: Vec<String>,
    /// What the routes are made by; none where the Service does not have the port that is needed.
    pub(super) around: Option<Surroundings>,
    /// Whether Serin's routes are there already.
    pub(super) taken_over: bool,
}

impl Cluster {
    /// Looks at what is there of `object`, whose requests come in at `points`.
    pub(super) fn adoption(
        &self,
        object: &ReleaseObject,
        release: &Release,
        delivery: &Delivery,
        points: &[(AttachPoint, Attached)],
    ) -> Adoption {
        let namespace = object.namespace().unwrap_or_default();
        let stores = &self.stores;
        let own = stores.routes.get(
            &api_resources::virtual_service(),
            &namespace,
            &object_name(&object.name_any()),
        );
        let taken_over = own.is_some_and(|own| owned(&own) == Ownership::Ours);
        let service = get(&stores.services, &namespace, &release.service.name);
        let stable = get(&stores.deployments, &namespace, &delivery.stable.deployment);
        let canary = get(&stores.deployments, &namespace, &delivery.canary.deployment);
        let own_service = |arm: Arm| {
            let services = delivery.routing.services.as_ref()?;
            get(&stores.services, &namespace, services.of(arm))
        };
        let [of_stable, of_canary] = [Arm::Stable, Arm::Canary].map(own_service);
        let routes = stores.routes.with(&hosts_of(release, &delivery.routing));
        let matters = |namespace: &str| {
            let are_callers = |(point, _): &(AttachPoint, Attached)| matches!(point, AttachPoint::Sidecars { namespace: callers } if callers == namespace);
            namespace == ROOT_NAMESPACE || points.iter().any(are_callers)
        };
        let sidecars = stores.sidecars.state();
        let sidecars = sidecars.iter().filter(|one| matters(one.namespace().as_deref().unwrap_or_default()));
        let sidecars: Vec<_> = sidecars.map(|one| Arc::new(api_resources::json(one))).collect();
        let entrances: Vec<_> = points.iter().map(|(point, attached)| entrance(point, attached)).collect();
        let report = preflight::check(&Subject {
            release,
            delivery,
            service: service.as_deref(),
            version_services: [of_stable.as_deref(), of_canary.as_deref()],
            stable: stable.as_deref(),
            canary: canary.as_deref(),
            routes: &routes,
            sidecars: &sidecars,
            entrances: &entrances,
            cluster_domain: self.domain.as_deref(),
            taken_over,
            now: Timestamp::now(),
        });
        let is_managed = delivery.routing.mode == Mode::Managed;
        let foreign = if is_managed { Needed::foreign(release, delivery, stores) } else { Vec::new() };
        let service_ports = service.as_ref().and_then(|service| service.spec.as_ref()?.ports.clone());
        let around = report.ports.clone().map(|ports| Surroundings {
            ports,
            service_ports: service_ports.unwrap_or_default(),
            selects_both: report.selects_both,
            traffic_policy: preflight::inherited(&routes, release).cloned(),
        });
        Adoption {
            passes: report.passes() && foreign.is_empty(),
            errors: report.errors().map(ToString::to_string).chain(foreign).collect(),
            warnings: report.warnings().map(ToString::to_string).collect(),
            around,
            taken_over,
        }
    }
}

/// What people are told of requests that came to the canary past the filter.
pub(super) fn past_the_filter(snapshot: &Snapshot, percent: u64) -> String {
    let Snapshot { release, delivery, .. } = snapshot;
    let mend = match &delivery.routing.services {
        Some(services) => format!("find out who calls Service {} by its name", services.canary),
        None => "give the canary a Service of its own in spec.canary.service".to_owned(),
    };
    format!(
        "Service {}: more than {percent}% of the canary's requests came past the filter, by what the sidecars of its pods \
         have counted: {mend}",
        release.service.name
    )
}

fn entrance(point: &AttachPoint, attached: &Attached) -> Entrance {
    Entrance {
        point: point.clone(),
        namespaces: attached.attachments.iter().map(|attachment| attachment.namespace.clone()).collect(),
        has_proxies: attached.has_proxies(),
    }
}
