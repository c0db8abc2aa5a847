/*!
The proxies at each attach point: which pods they are, where their plugin lives, and what they say of themselves.
*/
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use kube::runtime::reflector::ObjectRef;

use super::api_resources;
use super::pods::KnownPod;
use super::stores::Stores;
use crate::mesh::object::{Labels, labels};
use crate::mesh::plugin::Attachment;
use crate::observe::ProxySample;
use crate::observe::beat::Beat;
use crate::observe::sampler::{Latest, Sampler};
use crate::observe::scrape::IstioProxies;
use serin_release::delivery::AttachPoint;

/// All proxies that are asked.
#[derive(Debug)]
pub(super) struct Proxies {
    /// Those that assign.
    callers: Sampler<IstioProxies>,
    /// Those beside canaries, of what arrives there.
    canaries: Sampler<IstioProxies>,
}

/// An attach point as it is in the cluster.
#[derive(Debug)]
pub(super) struct Attached {
    /// Where its plugins live.
    pub(super) attachments: Vec<Attachment>,
    /// The pods of its live proxies.
    pods: Vec<Arc<KnownPod>>,
}

/// Finds an attach point in the cluster.
///
/// # Errors
/// When there is none of that name; the text says which, and the hint.
pub(super) fn find(stores: &Stores, point: &AttachPoint) -> Result<Attached, String> {
    let live = |mut pods: Vec<Arc<KnownPod>>| {
        pods.retain(|pod| pod.proxy.is_some());
        pods
    };
    match point {
        AttachPoint::Sidecars { namespace } => {
            let attachment = Attachment { namespace: namespace.clone(), pods: Labels::new() };
            Ok(Attached { attachments: vec![attachment], pods: live(stores.pods.in_namespace(namespace)) })
        }
        AttachPoint::Gateway { namespace, name } => {
            let gateway =
                stores.gateways.get(&ObjectRef::new_with(name, api_resources::gateway()).within(namespace));
            let Some(gateway) = gateway else {
                return Err(format!(
                    "spec.routing.gateways: there is no Gateway {namespace}/{name}: create it, or name another"
                ));
            };
            let selector = labels(&gateway.data, "/spec/selector");
            if selector.is_empty() {
                return Err(format!("Gateway {namespace}/{name} selects no pods: give it a spec.selector"));
            }
            // Istio looks for a Gateway's pods in all namespaces.
            let pods = live(stores.pods.with(&selector));
            let mut namespaces: Vec<_> = pods.iter().map(|pod| pod.namespace.clone()).collect();
            // They come in the order of their namespaces.
            namespaces.dedup();
            if namespaces.is_empty() {
                namespaces.push(namespace.clone());
            }
            let attachment = |namespace| Attachment { namespace, pods: selector.clone() };
            Ok(Attached { attachments: namespaces.into_iter().map(attachment).collect(), pods })
        }
    }
}

impl Proxies {
    /// Asks nobody yet.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub(super) fn new(beat: Beat) -> anyhow::Result<Self> {
        let callers = Sampler::new(IstioProxies::new()?, beat);
        Ok(Self { callers, canaries: Sampler::new(IstioProxies::of_arrivals()?, beat) })
    }

    /// What the proxies at `points` last said. One that is found at several counts at the first.
    pub(super) async fn look(&self, points: &[(AttachPoint, Attached)]) -> Vec<ProxySample> {
        let mut addresses = HashSet::new();
        let (mut pods, mut asked) = (Vec::new(), Vec::new());
        for (point, attached) in points {
            let point: Arc<str> = point.to_string().into();
            for (pod, address) in attached.proxies().filter(|(_, address)| addresses.insert(*address)) {
                pods.push((Arc::clone(&point), pod));
                asked.push(address);
            }
        }
        let latest = self.callers.latest(&asked).await;
        // A node that is gone holds nobody: the cluster sends no requests to its pods either.
        let sample = |(((attach_point, pod), address), latest): (((_, &KnownPod), IpAddr), _)| {
            let Latest { at, sample } = latest;
            let name = format!("{}/{}", pod.namespace, pod.name);
            let is_gone = pod.is_cut_off && sample.is_err();
            (!is_gone).then(|| ProxySample { name, address: address.to_string(), attach_point, at, sample })
        };
        pods.into_iter().zip(asked).zip(latest).filter_map(sample).collect()
    }

    /// Has the proxies at `points` asked once in `every` from now on.
    pub(super) fn want(&self, points: &[(AttachPoint, Attached)], every: Duration) {
        let proxies = points.iter().flat_map(|(_, attached)| attached.proxies());
        self.callers.want(&proxies.map(|(_, address)| address).collect::<Vec<_>>(), every);
    }

    /// What the sidecars of a canary's `pods` last said of what arrives there. They are asked once in `every` from now on.
    pub(super) async fn arrivals(&self, pods: &[Arc<KnownPod>], every: Duration) -> Vec<(String, Latest)> {
        let addresses: Vec<_> = pods.iter().filter_map(|pod| pod.proxy).collect();
        let latest = self.canaries.latest(&addresses).await;
        self.canaries.want(&addresses, every);
        addresses.iter().map(ToString::to_string).zip(latest).collect()
    }

    /// Asks nobody any more.
    pub(super) fn stop(&self) {
        self.callers.stop();
        self.canaries.stop();
    }
}

impl Attached {
    /// Whether any of its proxies takes requests.
    pub(super) fn has_proxies(&self) -> bool {
        !self.pods.is_empty()
    }

    /// The proxies that take requests, with their addresses.
    pub(super) fn proxies(&self) -> impl Iterator<Item = (&KnownPod, IpAddr)> {
        self.pods.iter().filter_map(|pod| Some((&**pod, pod.proxy?)))
    }
}
