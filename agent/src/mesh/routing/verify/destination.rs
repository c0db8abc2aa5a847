/*!
Whose pods are behind a destination: its Service's selector and its subset's labels, held against the labels of both
versions' pods. And the other way round: the destination that would be right.
*/
use serde_json::{Value, json};
use serin_policy::Arm;

use super::Check;
use crate::mesh::hosts::{resolve, service_host};
use crate::mesh::object::{Labels, labels, list, namespace, selects, text};
use crate::mesh::routing::istio::is_seen;
use crate::mesh::routing::{API_VERSION, paste, service, services, split, with};

/// Whose pods a destination means.
#[derive(PartialEq, Eq)]
pub(super) enum Whose {
    One(Arm),
    Both,
    Nobodys,
    NoService(String),
    NoSubset { host: String, subset: String },
}

impl Check<'_> {
    /// Whose pods `destination` means, in an object of namespace `of`.
    pub(super) fn whose(&self, destination: &Value, of: &str) -> Whose {
        let host = resolve(text(destination, "/host"), of);
        let Some(mut wanted) = self.selector(&host) else { return Whose::NoService(host) };
        let subset = text(destination, "/subset");
        if !subset.is_empty() {
            let subsets = self.rule(&host).map_or(&[][..], |rule| list(rule, "/spec/subsets"));
            let Some(found) = subsets.iter().find(|one| text(one, "/name") == subset) else {
                return Whose::NoSubset { host, subset: subset.to_owned() };
            };
            wanted.extend(labels(found, "/labels"));
        }
        let is = |arm| selects(&wanted, &self.subsets.of(arm).labels);
        match (is(Arm::Stable), is(Arm::Canary)) {
            (true, true) => Whose::Both,
            (true, false) => Whose::One(Arm::Stable),
            (false, true) => Whose::One(Arm::Canary),
            (false, false) => Whose::Nobodys,
        }
    }

    /// What the Service called `host` selects pods by.
    fn selector(&self, host: &str) -> Option<Labels> {
        let has = |one: &&Value| service_host(text(one, "/metadata/name"), namespace(one)) == host;
        self.existing.services.iter().find(has).map(|service| labels(service, "/spec/selector"))
    }

    /// The DestinationRule for `host`.
    pub(super) fn rule(&self, host: &str) -> Option<&Value> {
        let host_of = |rule: &Value| resolve(text(rule, "/spec/host"), namespace(rule));
        let mut rules = self.existing.destination_rules.iter();
        rules.find(|rule| host_of(rule) == host && is_seen(rule))
    }

    /// The labels that tell the pods of `arm` from the others, the fewest that people would take: what its
    /// Deployment selects them by, unless that means the others as well.
    pub(super) fn telling(&self, arm: Arm) -> Labels {
        let other = if arm == Arm::Stable { Arm::Canary } else { Arm::Stable };
        let (own, others) = (self.subsets.of(arm), &self.subsets.of(other).labels);
        if !selects(&own.selector, others) {
            return own.selector.clone();
        }
        let differs = own.labels.iter().filter(|(name, value)| others.get(*name) != Some(value));
        differs.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// A route for `arm` the way these people do it: to a subset that they have, to a Service of that version's own,
    /// or to the subset they will need.
    pub(super) fn paste(&self, arm: Arm) -> String {
        paste::route(arm, &self.destination(arm), self.release)
    }

    fn destination(&self, arm: Arm) -> Value {
        let (own, host) = (split(self.release).0, service(self.release));
        let port = self.release.service.port.map(|number| json!({"number": number}));
        let to = |destination: Value| with(destination, [("port", port.clone())]);
        let subset = |name: &str| to(json!({"host": host, "subset": name}));
        let leads_there = |destination: &Value| self.whose(destination, own) == Whose::One(arm);
        let routing = &self.delivery.routing;
        let named = routing
            .services
            .as_ref()
            .map(|_| to(json!({"host": services::host(self.release, routing, arm)})));
        let subsets = self.rule(&host).map_or(&[][..], |rule| list(rule, "/spec/subsets"));
        let known = subsets.iter().map(|one| subset(text(one, "/name"))).find(leads_there);
        let separate = || {
            let services = self.existing.services.iter().filter(|service| namespace(service) == own);
            let hosts = services.map(|service| service_host(text(service, "/metadata/name"), own));
            hosts.map(|host| to(json!({"host": host}))).find(leads_there)
        };
        named.filter(leads_there).or(known).or_else(separate).unwrap_or_else(|| subset(arm.as_str()))
    }

    /// A whole VirtualService for `host` at `place`.
    pub(super) fn whole(&self, host: &str, place: &str) -> String {
        let (own, name) = split(self.release);
        let route = |arm| paste::entry(arm, &self.destination(arm), self.release);
        let mut http = vec![route(Arm::Canary), route(Arm::Stable)];
        if self.release.path_prefix != "/" {
            // What is not under the prefix must go somewhere too.
            http.push(json!({"route": [{"destination": self.destination(Arm::Stable)}]}));
        }
        paste::yaml(&json!({
            "apiVersion": API_VERSION,
            "kind": "VirtualService",
            "metadata": {"name": name, "namespace": own},
            "spec": {"hosts": [host], "gateways": [place], "http": http},
        }))
    }
}

/// A destination in words.
pub(super) fn spelled(destination: &Value) -> String {
    match (text(destination, "/host"), text(destination, "/subset")) {
        (host, "") => host.to_owned(),
        (host, subset) => format!("{host} subset {subset}"),
    }
}
