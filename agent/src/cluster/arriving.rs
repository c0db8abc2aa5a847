/*!
What arrives at the canary's pods, as their sidecars say it: what came past the filter, and the answers to copies of stable's
requests.
*/
use jiff::Timestamp;
use serin_release::hook::Asked;

use super::memory::Memory;
use super::snapshot::Snapshot;
use super::{Cluster, hooks};
use crate::observe::arrivals::Arrivals;
use crate::observe::copies::Copies;
use crate::observe::{ProxyReport, ProxySample};

/// What is known of it in a run, as far as this agent has seen it.
#[derive(Debug, Default)]
pub(super) struct Arriving {
    arrivals: Arrivals,
    copies: Copies,
}

impl Arriving {
    /// How many percent of it came past the filter, at least, if that was found.
    pub(super) const fn past(&self) -> Option<u64> {
        self.arrivals.past()
    }
}

/// Takes in what has arrived since the last look, while a run is under way.
pub(super) async fn take_in(
    cluster: &Cluster,
    memory: &mut Memory,
    snapshot: &Snapshot,
    report: &mut ProxyReport,
    samples: &[ProxySample],
    now: Timestamp,
) {
    let status = &memory.state.status;
    if !status.phase.is_under_way() {
        return;
    }
    let pods = snapshot.canary_pods(&cluster.stores);
    let arrived = cluster.proxies.arrivals(&pods, snapshot.release.analysis.interval).await;
    let Arriving { arrivals, copies } = &mut memory.arriving;
    // They ask the pods, or the canary's own Service: no proxy with the filter gives them.
    if hooks::under_way(status, &snapshot.delivery).any(|(_, hook)| !matches!(hook.asked, Asked::Url { .. }))
    {
        arrivals.others_bring(now);
    }
    let (services, given) = (snapshot.services(), report.given_to_canary);
    report.mirrored.canary = copies.take_in(&arrived, &services, given, status.mirrors());
    // Copies come past the filter, and are no callers'.
    let given = given.requests + report.mirrored.canary.requests;
    arrivals.take_in(&arrived, &services, given, samples, now);
}
