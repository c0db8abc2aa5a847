/*!
What must be so before a service is taken over, and what its people should know of besides.

The checks are pure: they go by the objects of a cluster as they are, and say what is wrong, where, and the mend. Whoever
has the objects can ask them: the controller before it writes anything, a command before anybody has a controller.

[`service`] is about the Service and its ports, [`selectors`] about whose pods are behind it and behind the versions' own,
[`versions`] about these pods, [`routes`] about the ways by which
requests come past Serin's own, [`rules`] about settings that hide others, [`sidecars`] about callers that see nothing of
all that.
*/
mod domain;
mod routes;
mod rules;
mod selectors;
mod service;
mod sidecars;
#[cfg(test)]
mod tests;
mod versions;

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};
use serin_policy::Arm;

use crate::mesh::object::Labels;
use crate::mesh::routing::conflicts::conflicts;
use crate::mesh::routing::services::is_made_for;
use crate::mesh::routing::{Ports, split};
pub use domain::cluster_domain;
pub use rules::inherited;
use serin_release::Release;
use serin_release::delivery::{AttachPoint, Delivery, Mode, Target};
pub use service::main_port;

/// Something that is wrong, or that somebody should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it keeps the Release from being driven.
    pub severity: Severity,
    /// The object, or the field.
    pub at: String,
    /// What is wrong there.
    pub what: String,
    /// What to do.
    pub mend: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Requests would fail, or nothing would come of the Release: nothing is written.
    Error,
    /// They would at the moment; it passes by itself, and nothing is written before it has.
    Passing,
    /// It works, and not for everybody, or not as people may think.
    Warning,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, what, mend, .. } = self;
        write!(f, "{at}: {what}: {mend}")
    }
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'s> {
    /// The Release.
    pub release: &'s Release,
    /// The same, as far as a cluster matters, in its present roles.
    pub delivery: &'s Delivery,
    /// The Service that the Release is for.
    pub service: Option<&'s Service>,
    /// Stable's and the canary's own, where the Release names such.
    pub version_services: [Option<&'s Service>; 2],
    /// The stable version's Deployment.
    pub stable: Option<&'s Deployment>,
    /// The canary's.
    pub canary: Option<&'s Deployment>,
    /// The VirtualServices and DestinationRules that have one of the Release's hosts or lead to its Service.
    pub routes: &'s [Arc<Value>],
    /// All Istio Sidecars.
    pub sidecars: &'s [Arc<Value>],
    /// Where requests come in, and how it is there.
    pub entrances: &'s [Entrance],
    /// The domain of the cluster, if it is known.
    pub cluster_domain: Option<&'s str>,
    /// Whether Serin's routes are there already: what stands for others is not held against the Release then.
    pub taken_over: bool,
    /// The present time.
    pub now: Timestamp,
}

/// A place where requests come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entrance {
    /// The place.
    pub point: AttachPoint,
    /// The namespaces of its proxies.
    pub namespaces: Vec<String>,
    /// Whether any proxy runs there.
    pub has_proxies: bool,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// All of it, errors first.
    pub findings: Vec<Finding>,
    /// The ports of the Service, if it has the one that the Release needs and routes can lead to each version's pods.
    pub ports: Option<Ports>,
    /// Whether the Service selects the pods of both versions.
    pub selects_both: bool,
}

impl Report {
    /// What keeps the Release from being driven.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity != Severity::Warning)
    }

    /// Whether all that keeps it from being driven passes by itself.
    pub fn passes(&self) -> bool {
        self.errors().all(|finding| finding.severity == Severity::Passing)
    }

    /// What does not.
    pub fn warnings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Warning)
    }
}

/// Looks at everything that can be told before anything is written.
///
/// Where people write the routes themselves, they are looked at as a whole elsewhere
/// ([`verify`](crate::mesh::routing::verify::verify)): only what is not in the routes counts here.
pub fn check(subject: &Subject<'_>) -> Report {
    let mut found = Findings::default();
    let mut ports = None;
    domain::check(subject, &mut found);
    let leads_to_each = selectors::check(subject, &mut found);
    if subject.delivery.routing.mode == Mode::Managed {
        ports = service::check(subject, &mut found).filter(|_| leads_to_each);
        versions::check(subject, &mut found);
        if !subject.taken_over {
            let routes = subject.routes.iter().map(|route| &**route);
            for conflict in conflicts(routes, subject.release, subject.delivery).now {
                let what = conflict.what();
                found.error(conflict.object, what, conflict.hint);
            }
        }
        routes::check(subject, &mut found);
        rules::check(subject, &mut found);
    }
    sidecars::check(subject, &mut found);
    let Findings(mut findings) = found;
    findings.sort_by_key(|finding| finding.severity == Severity::Warning);
    Report { findings, ports, selects_both: selectors::selects_both(subject) }
}

impl<'s> Subject<'s> {
    /// The Release's namespace.
    fn namespace(&self) -> &'s str {
        split(self.release).0
    }

    /// Whether sidecars assign callers.
    fn is_called_inside(&self) -> bool {
        let points = &self.delivery.routing.attach_points;
        points.iter().any(|point| matches!(point, AttachPoint::Sidecars { .. }))
    }

    fn versions(&self) -> [Version<'s>; 2] {
        let [own_stable, own_canary] = self.version_services;
        [
            (Arm::Stable, &self.delivery.stable, self.stable, own_stable),
            (Arm::Canary, &self.delivery.canary, self.canary, own_canary),
        ]
        .map(|(arm, target, deployment, own)| {
            let name = self.delivery.routing.services.as_ref().map(|services| services.of(arm));
            let (service_name, service) = match name.filter(|name| *name != self.release.service.name) {
                Some(name) => (name, own),
                None => (self.release.service.name.as_str(), self.service),
            };
            Version { arm, target, deployment, service_name, service }
        })
    }
}

/// One of the two versions.
struct Version<'v> {
    arm: Arm,
    target: &'v Target,
    deployment: Option<&'v Deployment>,
    /// The Service by which its pods are reached: its own, or that of both.
    service_name: &'v str,
    service: Option<&'v Service>,
}

impl Version<'_> {
    /// The labels of its pods.
    fn labels(&self) -> Option<Labels> {
        let template = &self.deployment?.spec.as_ref()?.template;
        Some(template.metadata.as_ref().and_then(|metadata| metadata.labels.clone()).unwrap_or_default())
    }

    /// Whether its Service is Serin's to make, and to put right.
    fn has_a_service_of_serins(&self, subject: &Subject<'_>) -> bool {
        let release = subject.release;
        subject.delivery.routing.mode == Mode::Managed
            && self.arm == Arm::Canary
            && self.service_name != release.service.name
            && self.service.is_none_or(|service| is_made_for(&json!(service), release))
    }
}

/// Findings as they come.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, at: impl Into<String>, what: impl Into<String>, mend: impl Into<String>) {
        self.add(Severity::Error, at, what, mend);
    }

    fn warning(&mut self, at: impl Into<String>, what: impl Into<String>, mend: impl Into<String>) {
        self.add(Severity::Warning, at, what, mend);
    }

    fn add(
        &mut self,
        severity: Severity,
        at: impl Into<String>,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.0.push(Finding { severity, at: at.into(), what: what.into(), mend: mend.into() });
    }
}
