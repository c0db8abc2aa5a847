/*!
The proxies at each attach point: which pods they are, where their plugin lives, and what they say of themselves.
*/
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::api_resources;
use super::stores::Stores;
use crate::mesh::object::{Labels, labels, selects};
use crate::mesh::plugin::Attachment;
use crate::observe::fleet::{Fleet, ProxyAt, Seen};
use serin_release::delivery::AttachPoint;

/// Proxies say how they are at most so often, however many releases ask.
const FRESH: Duration = Duration::from_millis(300);

/// What Istio calls its container, in gateways and beside applications.
const PROXY_CONTAINER: &str = "istio-proxy";

/// All proxies that are asked.
#[derive(Debug, Default)]
pub(super) struct Proxies(Mutex<HashMap<AttachPoint, Arc<tokio::sync::Mutex<Asked>>>>);

#[derive(Debug, Default)]
struct Asked {
    fleet: Fleet,
    latest: Option<(Instant, Arc<Vec<Seen>>)>,
}

/// An attach point as it is in the cluster.
#[derive(Debug)]
pub(super) struct Attached {
    /// Where its plugins live.
    pub(super) attachments: Vec<Attachment>,
    /// Its live proxies, by IP address.
    proxies: BTreeMap<String, ProxyAt>,
}

/// Finds an attach point in the cluster.
///
/// # Errors
/// When there is none of that name; the text says which, and the hint.
pub(super) fn find(stores: &Stores, point: &AttachPoint) -> Result<Attached, String> {
    match point {
        AttachPoint::Sidecars { namespace } => {
            let pods = live(stores, point, |pod| pod.namespace().as_deref() == Some(namespace));
            let attachment = Attachment { namespace: namespace.clone(), pods: Labels::new() };
            Ok(Attached {
                attachments: vec![attachment],
                proxies: pods.into_iter().map(|(_, ip, at)| (ip, at)).collect(),
            })
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
            let pods = live(stores, point, |pod| selects(&selector, pod.labels()));
            let mut namespaces: Vec<_> = pods.iter().map(|(namespace, ..)| namespace.clone()).collect();
            namespaces.sort_unstable();
            namespaces.dedup();
            if namespaces.is_empty() {
                namespaces.push(namespace.clone());
            }
            let attachment = |namespace| Attachment { namespace, pods: selector.clone() };
            Ok(Attached {
                attachments: namespaces.into_iter().map(attachment).collect(),
                proxies: pods.into_iter().map(|(_, ip, at)| (ip, at)).collect(),
            })
        }
    }
}

impl Proxies {
    /// What the proxies at `point` say, now or a moment ago.
    pub(super) async fn look(&self, point: &AttachPoint, attached: &Attached) -> Arc<Vec<Seen>> {
        let asked = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(point.clone()).or_default())
        };
        // Whoever comes while another asks waits for the same answer.
        let mut asked = asked.lock().await;
        if let Some((at, seen)) = &asked.latest
            && at.elapsed() < FRESH
        {
            return Arc::clone(seen);
        }
        asked.fleet.keep(&attached.proxies);
        let seen = Arc::new(asked.fleet.look().await);
        asked.latest = Some((Instant::now(), Arc::clone(&seen)));
        seen
    }
}

/// Pods with a proxy that takes requests: their namespace, IP address and name.
fn live(
    stores: &Stores,
    point: &AttachPoint,
    of_interest: impl Fn(&Pod) -> bool,
) -> Vec<(String, String, ProxyAt)> {
    let pods = stores.pods.state();
    let live = pods.iter().filter(|pod| of_interest(pod) && runs_proxy(pod)).filter_map(|pod| {
        let namespace = pod.namespace()?;
        let ip = pod.status.as_ref()?.pod_ip.clone()?;
        let name = format!("{namespace}/{}", pod.name_any());
        Some((namespace, ip, ProxyAt { name, attach_point: point.to_string() }))
    });
    live.collect()
}

fn runs_proxy(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    // One that ends takes no new requests, and may answer no question any more.
    if pod.metadata.deletion_timestamp.is_some() || status.phase.as_deref() != Some("Running") {
        return false;
    }
    let containers = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    let mut proxies = containers.filter(|container| container.name == PROXY_CONTAINER);
    proxies.any(|container| container.ready)
}
